//! Second stage of spoken text: drops tags, comments, reasoning, the calls of tools and JSON that a model wrote into its
//! answer. Tags that begin a block become the markup that the next stage reads.

use super::{
    characters::{DROPPED, FORGET},
    json::Json,
    tags::{self, Effect, Scan},
};

#[derive(Default)]
enum State {
    #[default]
    Text,
    /// `held` begins with `<`.
    Tag,
    Comment,
    /// Hidden until the end tag of this name. `held` is empty, or begins with `<`.
    Hidden(String),
    /// Hidden until the next marker.
    HiddenPart,
    /// Hidden until the end of the line.
    HiddenLine,
    /// Between `<|channel|>` and `<|message|>`: the name of the channel.
    Channel(String),
    /// `held` ends with `{` or `[` and spaces: text, or the beginning of JSON.
    Brace,
    Json(Json),
}

#[derive(Default)]
pub(super) struct Regions {
    state: State,
    held: String,
    /// The last word, which may be the name of a function that is called with JSON.
    word: String,
}

impl Regions {
    pub(super) fn push(&mut self, text: &str, out: &mut String) {
        for c in text.chars() {
            self.read(c, out);
        }
    }

    pub(super) fn finish(&mut self, out: &mut String) {
        let held = std::mem::take(&mut self.held);
        match std::mem::take(&mut self.state) {
            State::Tag if tags::is_cut_tag(&held) => self.release_word(out),
            State::Text | State::Tag | State::Brace => {
                self.release_word(out);
                out.push_str(&held);
            }
            _ => {}
        }
    }

    fn read(&mut self, c: char, out: &mut String) {
        match &mut self.state {
            State::Text => self.read_text(c, out),
            State::Tag => self.read_tag(c, out),
            State::Comment => {
                self.held.push(c);
                if self.held.ends_with("-->") {
                    self.held.clear();
                    self.state = State::Text;
                }
            }
            State::Hidden(_) | State::HiddenPart => self.read_hidden(c, out),
            State::HiddenLine if c == '\n' => self.state = State::Text,
            State::HiddenLine => {}
            State::Channel(name) => {
                name.push(c);
                if name.ends_with("|>") {
                    let hidden = !name.trim_start().starts_with("final") || !name.contains("<|message");
                    self.state = if hidden { State::HiddenPart } else { State::Text };
                }
            }
            State::Brace => self.read_brace(c, out),
            State::Json(json) => {
                if json.read(c) {
                    return;
                }
                let is_after = json.is_after(c);
                let answer = json.answer();
                self.state = State::Text;
                out.push(DROPPED);
                if let Some(answer) = answer {
                    self.push(&answer, out);
                }
                if is_after {
                    self.read(c, out);
                }
            }
        }
    }

    fn read_text(&mut self, c: char, out: &mut String) {
        match c {
            '<' => {
                self.release_word(out);
                self.held.push(c);
                self.state = State::Tag;
            }
            '{' | '[' => {
                self.held.push(c);
                self.state = State::Brace;
            }
            c if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-') => {
                if self.word.ends_with('(') || self.word.len() > 64 {
                    self.release_word(out);
                }
                self.word.push(c);
            }
            '(' if !self.word.is_empty() && !self.word.ends_with('(') => self.word.push(c),
            c => {
                self.release_word(out);
                out.push(c);
            }
        }
    }

    fn release_word(&mut self, out: &mut String) {
        out.push_str(&self.word);
        self.word.clear();
    }

    fn read_tag(&mut self, c: char, out: &mut String) {
        self.held.push(c);
        if self.held.starts_with("<!--") {
            self.state = State::Comment;
            return;
        }
        match tags::scan(&self.held) {
            Scan::Open => {}
            Scan::Complete => {
                let tag = std::mem::take(&mut self.held);
                self.state = State::Text;
                self.apply(&tag, out);
            }
            Scan::Broken => {
                let held = std::mem::take(&mut self.held);
                self.state = State::Text;
                out.push('<');
                self.push(&held[1..], out);
            }
        }
    }

    fn apply(&mut self, tag: &str, out: &mut String) {
        match tags::effect(tag) {
            Effect::Replace(text) => out.push_str(text),
            Effect::Text(text) => out.push_str(&text),
            Effect::Literal => out.push_str(tag),
            Effect::Hide(name) => self.state = State::Hidden(name),
            Effect::EndOfReasoning => out.push(FORGET),
            Effect::Marker(marker) => self.mark(&marker, out),
        }
    }

    /// Reads the markers of chat templates: only the text of the final channel, and of no tool, is spoken.
    fn mark(&mut self, marker: &str, out: &mut String) {
        self.state = match marker {
            "channel" => State::Channel(String::new()),
            "start" | "call" | "start_header_id" => State::HiddenPart,
            "im_start" => State::HiddenLine,
            marker if marker.contains("begin") && (marker.contains("tool") || marker.contains("function")) => {
                State::HiddenPart
            }
            _ => State::Text,
        };
        out.push(DROPPED);
    }

    fn read_hidden(&mut self, c: char, out: &mut String) {
        if c == '<' {
            self.held.clear();
        }
        if c != '<' && self.held.is_empty() {
            return;
        }
        self.held.push(c);
        match tags::scan(&self.held) {
            Scan::Open => {}
            Scan::Broken => self.held.clear(),
            Scan::Complete => {
                let tag = std::mem::take(&mut self.held);
                match (&self.state, tags::effect(&tag)) {
                    (State::Hidden(name), _) if tags::closes(&tag, name) => self.state = State::Text,
                    (State::HiddenPart, Effect::Marker(marker)) => {
                        let is_inner = marker.contains("sep") || marker == "message" || marker == "constrain";
                        if !is_inner {
                            self.mark(&marker, out);
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    fn read_brace(&mut self, c: char, out: &mut String) {
        let is_json = matches!(c, '"' | '\'') && self.held.contains('{');
        let is_empty = c == '}' && self.held.contains('{') && !self.held.contains('[');
        let continues = c.is_whitespace() || (c == '{' && self.held.starts_with('[') && !self.held.contains('{'));
        if is_json || is_empty {
            let is_argument = self.word.ends_with('(');
            if is_argument {
                self.word.clear();
            } else {
                self.release_word(out);
            }
            let mut json = Json::new(&std::mem::take(&mut self.held), is_argument);
            if json.read(c) {
                self.state = State::Json(json);
            } else {
                out.push(DROPPED);
                self.state = State::Text;
            }
        } else if continues && self.held.len() < 64 {
            self.held.push(c);
        } else {
            self.release_word(out);
            let held = std::mem::take(&mut self.held);
            self.state = State::Text;
            let first = held.chars().next().map_or(0, char::len_utf8);
            out.push_str(&held[..first]);
            self.push(&held[first..], out);
            self.read(c, out);
        }
    }
}
