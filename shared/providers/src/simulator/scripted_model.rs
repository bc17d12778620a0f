//! A scripted language model: an answering machine that asks for name, number, reason and time, one per turn, confirms
//! them and says goodbye. When the prompt requires JSON, it returns the collected values. It is deterministic.

use serde_json::json;

/// A chat request, independent of the vendor.
pub struct ChatRequest {
    pub system: String,
    /// In order.
    pub turns: Vec<ChatMessage>,
}

pub struct ChatMessage {
    pub from_model: bool,
    pub text: String,
}

/// The keyword that identifies each question, and the question.
const QUESTIONS: [(&str, &str); 4] = [
    ("name", "Hello, this is the assistant. May I have your name, please?"),
    ("number", "Thank you. What number can you be called back on?"),
    ("reason", "And what is the reason for your call?"),
    ("time", "When is the best time to call you back?"),
];
const GOODBYE: &str = "Goodbye.";
/// A prompt with this mark expects it at the end, followed by the collected values.
const END: &str = "<<END>>";
/// Words per chunk of a reply.
const PIECE: usize = 3;

impl ChatRequest {
    /// Returns the complete reply.
    pub fn answer(&self) -> String {
        let [name, number, reason, time] = QUESTIONS.map(|(keyword, _)| self.find(keyword));
        let summary = || {
            let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "nothing".to_owned());
            let summary = format!("{} called about {}.", known(&name), known(&reason));
            json!({ "name": name, "number": number, "reason": reason, "callBack": time, "summary": summary })
        };
        let ends_with_mark = self.system.contains(END);
        if self.system.contains("JSON") && !ends_with_mark {
            return summary().to_string();
        }
        let (Some(name), Some(number), Some(reason), Some(time)) = (&name, &number, &reason, &time) else {
            let answers = [&name, &number, &reason, &time];
            let open = QUESTIONS.iter().zip(answers).find(|(_, answer)| answer.is_none());
            return open.map_or(GOODBYE, |((_, question), _)| question).to_owned();
        };
        let has_goodbye = |message: &ChatMessage| message.from_model && message.text.contains(GOODBYE);
        if self.turns.iter().any(has_goodbye) {
            return GOODBYE.to_owned();
        }
        let mut answer = format!(
            "Thank you, {name}. I have noted: your number is {number}, the reason is {reason}, the best time is {time}. {GOODBYE}"
        );
        if ends_with_mark {
            answer.push_str(&format!("{END}{}", summary()));
        }
        answer
    }

    /// Returns the answer to the question with this keyword.
    fn find(&self, keyword: &str) -> Option<String> {
        let lines: Vec<&str> = self.turns.iter().flat_map(|message| lines(&message.text)).collect();
        let is_question = |line: &str| {
            let request = QUESTIONS.iter().find(|(keyword, _)| line.contains(*keyword));
            line.contains('?') && request.is_some_and(|(request, _)| *request == keyword)
        };
        let answered = lines.windows(2).find(|pair| is_question(pair[0]))?;
        let answer = answered[1].trim().trim_end_matches('.');
        let intro = ["My name is ", "my name is ", "This is ", "It's ", "I am ", "I'm "];
        let bare = intro.iter().find_map(|intro| answer.strip_prefix(intro));
        Some(bare.unwrap_or(answer).to_owned())
    }
}

/// Returns the lines of a turn. A turn can hold a transcript with a speaker before each line.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let is_speaker = |keyword: &str| (1..=20).contains(&keyword.len()) && !keyword.contains(['.', '?', ',']);
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(move |line| match line.split_once(": ") {
            Some((speaker, text)) if is_speaker(speaker) => text,
            _ => line,
        })
}

/// Splits the text into chunks of a few words.
pub fn split_pieces(text: &str) -> Vec<String> {
    let words: Vec<&str> = text.split_inclusive(' ').collect();
    words.chunks(PIECE).map(<[&str]>::concat).collect()
}

/// Truncates the text to this many tokens and returns whether it did. A word counts as a token.
pub fn truncate_tokens(text: &str, max_tokens: u64) -> (String, bool) {
    let max = usize::try_from(max_tokens).unwrap_or(usize::MAX);
    let words: Vec<&str> = text.split_inclusive(' ').collect();
    let kept = words.len().min(max);
    (words[..kept].concat(), kept < words.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(from_model: bool, text: &str) -> ChatMessage {
        let text = text.to_owned();
        ChatMessage { from_model, text }
    }

    fn hold(answers: &[&str]) -> ChatRequest {
        let mut chat = ChatRequest {
            system: String::new(),
            turns: Vec::new(),
        };
        for answer in answers {
            chat.turns.push(message(false, answer));
            let next = chat.answer();
            chat.turns.push(message(true, &next));
        }
        chat
    }

    const ANSWERS: [&str; 5] = [
        "Hello?",
        "My name is Ann.",
        "+1 415 555 0123",
        "The boiler leaks",
        "after five",
    ];

    #[test]
    fn collects_a_message_over_five_turns() {
        let mut chat = hold(&ANSWERS);
        let spoken: Vec<&str> = chat.turns.iter().map(|message| message.text.as_str()).collect();
        for (place, (_, question)) in QUESTIONS.iter().enumerate() {
            assert_eq!(spoken[2 * place + 1], *question);
        }
        let last = "Thank you, Ann. I have noted: your number is +1 415 555 0123, the reason is The boiler leaks, \
                    the best time is after five. Goodbye.";
        assert_eq!(spoken[9], last);
        chat.turns.push(message(false, "Bye"));
        assert_eq!(chat.answer(), GOODBYE);
    }

    #[test]
    fn returns_summary_as_json() {
        let mut chat = hold(&ANSWERS);
        chat.system = "Answer with JSON.".to_owned();
        let summary: serde_json::Value = serde_json::from_str(&chat.answer()).unwrap();
        assert_eq!(summary["name"], "Ann");
        assert_eq!(summary["callBack"], "after five");

        let transcript = "Machine: What is your name?\nCaller: Ann\nMachine: And your number?\n";
        let one_turn = ChatRequest {
            system: "JSON".to_owned(),
            turns: vec![message(false, transcript)],
        };
        let summary: serde_json::Value = serde_json::from_str(&one_turn.answer()).unwrap();
        assert_eq!(summary["name"], "Ann");
        assert!(summary["number"].is_null());
    }

    #[test]
    fn splits_and_truncates_text() {
        let text = "one two three four";
        assert_eq!(split_pieces(text), ["one two three ", "four"]);
        assert_eq!(truncate_tokens(text, 2), ("one two ".to_owned(), true));
        assert_eq!(truncate_tokens(text, 4), (text.to_owned(), false));
    }
}
