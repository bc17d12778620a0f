//! Text for ears: what an agent or a model writes, without markup, links, emoji and reasoning, in pieces that a carrier
//! accepts.

use butt_dial_domain::{Channel, Code, Failure, call::Plan};
pub use butt_dial_language::SpeechStream;
use butt_dial_language::{SpeechOptions, SpokenForms, split_for_speech};

use super::playback::after_prefix;

/// Characters of one text frame. No carrier documents a limit; four bytes each stay below 4 KiB.
const MAX_FRAME: usize = 1_000;
/// Characters of a reply that a model writes: about four minutes of speech. Without a bound, a model that does not stop
/// would speak until the end of the call.
const MAX_MODEL_REPLY: usize = 4_000;
/// Characters of a reply in parts that are kept, to recognize markup across its parts.
const MAX_RAW: usize = 20_000;

/// How the texts of a call are spoken in a language (BCP 47).
pub fn options(plan: &Plan, language: &str) -> SpeechOptions {
    SpeechOptions {
        spoken_forms: match plan.spoken_forms {
            Some(true) => SpokenForms::On,
            Some(false) | None => SpokenForms::Off,
        },
        ..SpeechOptions::new(language)
    }
}

/// Returns the words that are meant to be heard. Empty if there are none.
pub fn speakable(text: &str, options: &SpeechOptions) -> String {
    butt_dial_language::speakable(text, options)
}

/// Makes a streamed text speakable, sentence by sentence. The forms of numbers are left to the conversation.
pub fn stream(language: &str) -> SpeechStream {
    SpeechStream::new(&SpeechOptions::new(language))
}

/// Returns the words that are meant to be heard, or the refusal of a text without any. `field` is its name in the request.
pub fn require_speakable(field: &str, text: &str, language: Option<&str>) -> Result<String, Failure> {
    let spoken = speakable(text, &SpeechOptions::new(language.unwrap_or_default()));
    match spoken.is_empty() {
        true => Err(nothing_to_say(field)),
        false => Ok(spoken),
    }
}

/// The refusal of a text without words.
pub fn nothing_to_say(field: &str) -> Failure {
    Failure::new(Code::InvalidArgument, format!("{field} has nothing that can be spoken"))
        .on(Channel::Voice)
        .hint("give words: emoji, markup and reasoning are not spoken")
}

/// Returns what is spoken of a model's reply: it ends with a sentence, at the latest at a bound. `None`: nothing.
pub fn model_reply(text: &str, options: &SpeechOptions) -> Option<String> {
    let spoken = speakable(text, options);
    split_for_speech(&spoken, MAX_MODEL_REPLY).into_iter().next()
}

/// Divides a text into frames, after sentences where possible. Joined, they are the text.
pub(crate) fn frames(text: &str) -> Vec<&str> {
    let mut frames = Vec::new();
    let mut rest = text;
    if text.len() > MAX_FRAME {
        let mut pieces = split_for_speech(text, MAX_FRAME).into_iter().peekable();
        while let Some(piece) = pieces.next() {
            let Some(at) = rest.find(&piece).filter(|_| pieces.peek().is_some()) else {
                break;
            };
            let (frame, after) = rest.split_at(at + piece.len());
            frames.push(frame);
            rest = after;
        }
    }
    frames.push(rest);
    frames
}

/// A reply that arrives in parts.
#[derive(Default)]
pub(crate) struct ReplyText {
    raw: String,
    spoken: String,
}

impl ReplyText {
    /// Appends a part. Returns the text that is spoken now. Markup can cross parts, so the reply is read as a whole, and
    /// what is new in it is spoken.
    pub fn add(&mut self, part: &str, is_last: bool, options: &SpeechOptions) -> String {
        if self.raw.len() + part.len() > MAX_RAW {
            *self = Self::default();
        }
        self.raw.push_str(part);
        let mut whole = speakable(&self.raw, options);
        // The blank ends the sentence: the carrier speaks it at once.
        if !is_last && !whole.is_empty() && part.ends_with(char::is_whitespace) {
            whole.push(' ');
        }
        let new = match whole.strip_prefix(&self.spoken) {
            Some(new) => new.to_owned(),
            None => match after_prefix(&whole, &self.spoken) {
                // A marker that was spoken turned out to be markup.
                Some(new) => new.to_owned(),
                // The words before were none of the answer, or a number has become another one.
                None => {
                    part.clone_into(&mut self.raw);
                    whole = speakable(part, options);
                    format!(" {whole}")
                }
            },
        };
        if !new.is_empty() {
            self.spoken = whole;
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speaks_what_is_new_in_each_part() {
        for (parts, expected) in [
            (&["Once", " upon", " a time."][..], "Once upon a time."),
            (&["It is **very", " good**", " 😀"], "It is very good"),
            (&["<think>He wants", " a table.</think>", "Sure."], "Sure."),
            (&["Hello. ", "", " ", "You"], "Hello. You"),
            (
                &["See [our", " page](https://example.com/a)", " now."],
                "See our page now.",
            ),
        ] {
            let mut reply = ReplyText::default();
            let spoken: String = parts
                .iter()
                .map(|part| reply.add(part, false, &SpeechOptions::new("en")))
                .collect();
            let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
            assert_eq!(letters(&spoken), letters(expected), "{parts:?}: {spoken}");
        }
        let mut reply = ReplyText::default();
        let spoken = ["Once ", "upon", " a", " time. ", "", "The end."]
            .map(|part| reply.add(part, false, &SpeechOptions::new("en")));
        assert_eq!(spoken, ["Once ", "upon", " a", " time. ", "", "The end."]);
        assert_eq!(reply.add(" ", true, &SpeechOptions::new("en")), "");
    }

    #[test]
    fn frames_are_short_and_joined_the_text() {
        let sentence = "This is a sentence. ";
        for text in [
            sentence.repeat(400),
            "a".repeat(17_000),
            format!(" {}", "ä ".repeat(5_000)),
            String::new(),
        ] {
            let frames = frames(&text);
            assert_eq!(frames.concat(), text);
            assert!(frames.iter().all(|frame| frame.chars().count() <= MAX_FRAME + 1));
        }
        assert!(
            frames(&sentence.repeat(400))
                .iter()
                .all(|frame| frame.trim_end().ends_with('.'))
        );
    }

    #[test]
    fn model_reply_ends_with_a_sentence_at_its_bound() {
        let reply = model_reply(&"This is a sentence. ".repeat(900), &SpeechOptions::new("en")).unwrap();
        assert!(reply.len() <= MAX_MODEL_REPLY && reply.ends_with("sentence."));
        assert_eq!(model_reply("<think>Hm.</think> 😀", &SpeechOptions::new("en")), None);
        assert_eq!(
            model_reply("**Yes.**", &SpeechOptions::new("en")).as_deref(),
            Some("Yes.")
        );
    }
}
