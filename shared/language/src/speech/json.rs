//! JSON that a model wrote into its answer: finds its end, and the text in it that is meant for the caller.

use serde_json::{Map, Value};

/// The members that hold an answer, if a model was told or chose to answer in JSON.
const ANSWERS: &[&str] = &[
    "response",
    "text",
    "message",
    "content",
    "answer",
    "reply",
    "speech",
    "say",
    "speak",
    "output",
    "final_answer",
    "utterance",
];

/// The members of calls of tools.
const CALLS: &[&str] = &[
    "arguments",
    "args",
    "parameters",
    "params",
    "input",
    "tool",
    "tool_name",
    "tool_calls",
    "function",
    "function_call",
];

/// In bytes: the value is dropped if it is longer.
const MAX_KEPT: usize = 64 * 1024;

pub(super) struct Json {
    text: String,
    depth: usize,
    string: Option<char>,
    escaped: bool,
    /// The value is the argument of a call, which ends with a parenthesis.
    is_argument: bool,
}

impl Json {
    /// `opening`: the brackets before the first string.
    pub(super) fn new(opening: &str, is_argument: bool) -> Self {
        Self {
            text: opening.to_owned(),
            depth: opening.chars().filter(|c| matches!(c, '{' | '[')).count(),
            string: None,
            escaped: false,
            is_argument,
        }
    }

    /// Reads one character. Returns whether the value continues.
    pub(super) fn read(&mut self, c: char) -> bool {
        if self.depth == 0 {
            return false;
        }
        if self.text.len() < MAX_KEPT {
            self.text.push(c);
        }
        match self.string {
            _ if self.escaped => self.escaped = false,
            Some(_) if c == '\\' => self.escaped = true,
            Some(quote) if c == quote => self.string = None,
            Some(_) => {}
            None => match c {
                '"' | '\'' => self.string = Some(c),
                '{' | '[' => self.depth += 1,
                '}' | ']' => self.depth -= 1,
                _ => {}
            },
        }
        self.depth > 0 || self.is_argument
    }

    /// Whether the character that ended the value is text.
    pub(super) fn is_after(&self, c: char) -> bool {
        self.is_argument && c != ')'
    }

    /// Returns the text for the caller. Calls of tools have none.
    pub(super) fn answer(&self) -> Option<String> {
        if self.is_argument {
            return None;
        }
        let members: Map<String, Value> = serde_json::from_str(&self.text).ok()?;
        let is_call = CALLS.iter().any(|call| members.contains_key(*call));
        let answer = ANSWERS.iter().find_map(|answer| members.get(*answer)?.as_str());
        answer.filter(|_| !is_call).map(str::to_owned)
    }
}
