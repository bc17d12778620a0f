//! A script in TwiML (Twilio, TwiML for Programmable Voice). Twilio ignores a name that it does not know without a word,
//! so the names stand here once, and the tests compare the text to the letter. What is said may hold anything.

use std::fmt::Write;

use butt_dial_domain::ports::voice::{Conference, ConversationSocket, Dial, Rendered, Script, Speech, Step};

use super::callback;

pub const CONTENT_TYPE: &str = "text/xml";

/// What one `<Say>` takes, in characters (Twilio, TwiML Say).
const MAX_SAY_CHARS: usize = 4_096;

pub fn render(script: &Script) -> Rendered {
    let mut xml = Xml::default();
    for step in &script.0 {
        verb(&mut xml, step);
    }
    Rendered {
        content_type: CONTENT_TYPE,
        body: format!(
            r#"<?xml version="1.0" encoding="UTF-8"?><Response>{}</Response>"#,
            xml.0
        ),
    }
}

fn verb(xml: &mut Xml, step: &Step) {
    match step {
        Step::Say(speech) => say(xml, speech),
        Step::Play(url) => xml.element("Play", &[], |xml| xml.text(url)),
        Step::Pause { seconds } => xml.empty("Pause", &[("length", &seconds.to_string())]),
        Step::Converse(conversation) => converse(xml, conversation),
        Step::Record {
            max_seconds,
            action_url,
            recording_url,
        } => xml.empty(
            "Record",
            &[
                ("action", &callback(action_url)),
                ("method", "POST"),
                ("maxLength", &max_seconds.to_string()),
                ("playBeep", "true"),
                ("recordingStatusCallback", &callback(recording_url)),
                ("recordingStatusCallbackEvent", "completed absent"),
            ],
        ),
        Step::StartRecording { recording_url } => xml.element("Start", &[], |xml| {
            xml.empty(
                "Recording",
                &[
                    ("channels", "dual"),
                    ("recordingStatusCallback", &callback(recording_url)),
                    ("recordingStatusCallbackEvent", "in-progress completed absent"),
                ],
            );
        }),
        Step::Dial(order) => dial(xml, order),
        Step::Redirect { url } => xml.element("Redirect", &[("method", "POST")], |xml| xml.text(&callback(url))),
        Step::Conference(room) => conference(xml, room),
        Step::Reject { is_busy } => {
            let reason = if *is_busy { "busy" } else { "rejected" };
            xml.empty("Reject", &[("reason", reason)]);
        }
        Step::Hangup => xml.empty("Hangup", &[]),
    }
}

fn say(xml: &mut Xml, speech: &Speech) {
    let mut attributes = Vec::new();
    if let Some(voice) = speech.voice.as_deref().filter(|voice| is_voice_of_say(voice)) {
        attributes.push(("voice", voice));
    }
    if let Some(language) = &speech.language {
        attributes.push(("language", language.as_str()));
    }
    for part in parts(&speech.text, MAX_SAY_CHARS) {
        xml.element("Say", &attributes, |xml| xml.text(part));
    }
}

/// `<Say>` knows the voices of two providers by these prefixes; a voice that it does not know would end the call.
fn is_voice_of_say(voice: &str) -> bool {
    matches!(voice, "man" | "woman" | "alice") || voice.starts_with("Polly.") || voice.starts_with("Google.")
}

fn converse(xml: &mut Xml, conversation: &ConversationSocket) {
    let action_url = callback(&conversation.action_url);
    let action = [("action", action_url.as_str()), ("method", "POST")];
    xml.element("Connect", &action, |xml| {
        let hints: Vec<_> = conversation.hints.iter().map(|hint| hint.replace(',', " ")).collect();
        let hints = hints.join(",");
        let mut attributes = vec![("url", conversation.socket_url.as_str())];
        if let Some(greeting) = &conversation.greeting {
            attributes.push(("welcomeGreeting", greeting));
        }
        attributes.push(("language", &conversation.language));
        if let Some(voice) = &conversation.voice {
            let (provider, voice) = voice_of_relay(voice);
            attributes.extend(provider.map(|provider| ("ttsProvider", provider)));
            attributes.push(("voice", voice));
        }
        attributes.push(("interruptible", "any"));
        attributes.push(("dtmfDetection", "true"));
        if conversation.partial_transcripts {
            attributes.push(("partialPrompts", "true"));
        }
        if !hints.is_empty() {
            attributes.push(("hints", &hints));
        }
        attributes.push(("events", "speaker-events tokens-played"));
        if conversation.languages.is_empty() {
            xml.empty("ConversationRelay", &attributes);
        } else {
            xml.element("ConversationRelay", &attributes, |xml| {
                for language in &conversation.languages {
                    xml.empty("Language", &[("code", language)]);
                }
            });
        }
    });
}

/// The provider and its own name of the voice: ConversationRelay wants them apart, `<Say>` together. A bare name is one of
/// the provider's that Twilio uses unless told.
fn voice_of_relay(voice: &str) -> (Option<&'static str>, &str) {
    let known = [
        ("Polly.", "Amazon"),
        ("Google.", "Google"),
        ("ElevenLabs.", "ElevenLabs"),
    ];
    known
        .into_iter()
        .find_map(|(prefix, provider)| Some((Some(provider), voice.strip_prefix(prefix)?)))
        .unwrap_or((None, voice))
}

fn dial(xml: &mut Xml, order: &Dial) {
    let (action_url, whisper_url) = (callback(&order.action_url), order.whisper_url.as_deref().map(callback));
    let (ring, limit) = (
        order.ring_seconds.to_string(),
        order.limit_seconds.map(|seconds| seconds.to_string()),
    );
    let mut attributes = vec![("action", action_url.as_str()), ("method", "POST"), ("timeout", &ring)];
    attributes.extend(order.caller_id.as_deref().map(|id| ("callerId", id)));
    attributes.extend(limit.as_deref().map(|limit| ("timeLimit", limit)));
    // The caller hears it ring, and the call counts as answered only when both are connected.
    attributes.push(("answerOnBridge", "true"));
    xml.element("Dial", &attributes, |xml| {
        let whisper: Vec<_> = whisper_url.iter().map(|url| ("url", url.as_str())).collect();
        xml.element("Number", &whisper, |xml| xml.text(&order.to));
    });
}

fn conference(xml: &mut Xml, room: &Conference) {
    let word = |is: bool| if is { "true" } else { "false" };
    xml.element("Dial", &[], |xml| {
        let attributes = [
            ("startConferenceOnEnter", word(room.starts)),
            ("endConferenceOnExit", word(room.ends)),
            ("muted", word(room.is_muted)),
            ("beep", "false"),
        ];
        xml.element("Conference", &attributes, |xml| xml.text(&room.name));
    });
}

/// The text in parts of at most so many characters, cut at spaces where there are any.
fn parts(text: &str, longest: usize) -> Vec<&str> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some((end, _)) = rest.char_indices().nth(longest) {
        let cut = rest[..end].rfind(char::is_whitespace).filter(|at| *at > 0);
        let (part, after) = rest.split_at(cut.unwrap_or(end));
        parts.push(part);
        rest = after.trim_start();
    }
    parts.push(rest);
    parts
}

#[derive(Default)]
struct Xml(String);

impl Xml {
    fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.open(name, attributes);
        self.0.push_str("/>");
    }

    fn element(&mut self, name: &str, attributes: &[(&str, &str)], content: impl FnOnce(&mut Self)) {
        self.open(name, attributes);
        self.0.push('>');
        content(self);
        // Writing to a String can't fail.
        let _ = write!(self.0, "</{name}>");
    }

    fn open(&mut self, name: &str, attributes: &[(&str, &str)]) {
        let _ = write!(self.0, "<{name}");
        for (name, value) in attributes {
            let _ = write!(self.0, " {name}=\"");
            self.text(value);
            self.0.push('"');
        }
    }

    /// Escaped for contents and attributes alike. What XML 1.0 does not allow in any form is left out.
    fn text(&mut self, text: &str) {
        for c in text.chars().filter(|c| is_allowed(*c)) {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&apos;"),
                // As they are, a parser would make spaces of them.
                '\t' | '\n' | '\r' => {
                    let _ = write!(self.0, "&#{};", u32::from(c));
                }
                c => self.0.push(c),
            }
        }
    }
}

/// XML 1.0, production 2: `Char`. Surrogates are no `char`.
fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests;
