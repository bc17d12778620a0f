//! Third stage of spoken text: takes the marks of blocks away and passes text on as soon as no markup in it is open.
//! Decides by the characters so far only, so the result does not depend on the chunks in which a text arrives.

use super::{
    characters::FORGET,
    forms, inline,
    lines::{self, Kind},
    options::SpeechOptions,
    output::{Output, ends_sentence},
};

/// In bytes: a sentence with more is passed on at a space even if markup in it may be open;
/// with twice as many, without a space.
const MAX_UNIT: usize = 1_500;

/// Marks within marks: an entry in a quote in an entry.
const MAX_MARKS: usize = 8;

pub(super) struct Blocks {
    options: SpeechOptions,
    output: Output,
    /// The beginning of a line, until its kind is certain.
    line: String,
    /// The marks that were read in the line.
    marks: usize,
    place: Place,
    /// The text of the block that is not passed on yet.
    unit: String,
    kind: Kind,
    was_quote: bool,
    is_quote: bool,
    is_table: bool,
    number: u32,
}

#[derive(PartialEq, Eq)]
enum Place {
    LineStart,
    Text,
    /// In a line that is not text.
    Ignored,
}

impl Blocks {
    pub(super) fn new(options: SpeechOptions) -> Self {
        Self {
            options,
            output: Output::default(),
            line: String::new(),
            marks: 0,
            place: Place::LineStart,
            unit: String::new(),
            kind: Kind::Blank,
            was_quote: false,
            is_quote: false,
            is_table: false,
            number: 0,
        }
    }

    pub(super) fn push(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                FORGET => {
                    self.unit.clear();
                    self.line.clear();
                    self.place = Place::LineStart;
                    self.output.forget();
                }
                '\n' => self.end_line(),
                c => self.read(c),
            }
        }
    }

    pub(super) fn take(&mut self) -> String {
        self.output.take()
    }

    pub(super) fn finish(&mut self) {
        if self.place == Place::LineStart {
            self.start_line(true);
        }
        self.end_block();
    }

    fn read(&mut self, c: char) {
        match self.place {
            Place::LineStart => {
                self.line.push(c);
                self.start_line(false);
            }
            Place::Ignored => {}
            Place::Text => {
                self.unit.push(c);
                if c == ' ' || self.unit.len() >= 2 * MAX_UNIT {
                    self.pass_on();
                }
            }
        }
    }

    fn end_line(&mut self) {
        if self.place == Place::LineStart {
            self.start_line(true);
        }
        if matches!(self.kind, Kind::Heading | Kind::Row | Kind::Rule) || self.is_table {
            self.end_block();
        } else if self.place == Place::Text {
            self.unit.push(' ');
            self.pass_on();
        }
        self.place = Place::LineStart;
        self.line.clear();
        self.marks = 0;
        self.was_quote = std::mem::take(&mut self.is_quote);
    }

    /// Reads the marks at the start of a line, as far as they are certain.
    fn start_line(&mut self, complete: bool) {
        while self.place == Place::LineStart {
            let read = lines::mark(&self.line, complete, self.number, forms::is_month);
            let Some((kind, length)) = read else { return };
            let has_bar = self.line.contains('|');
            self.line.drain(..length);
            self.marks += 1;
            let kind = if self.marks > MAX_MARKS { Kind::Text } else { kind };
            self.apply(kind, has_bar);
            if complete && self.line.is_empty() {
                return;
            }
        }
    }

    fn apply(&mut self, kind: Kind, has_bar: bool) {
        match kind {
            Kind::Blank => {
                if self.marks <= 1 {
                    self.end_block();
                    self.is_table = false;
                }
                self.place = Place::Ignored;
            }
            Kind::Rule => {
                self.end_block();
                self.is_table = has_bar;
                self.place = Place::Ignored;
            }
            Kind::Definition => {
                self.end_block();
                self.place = Place::Ignored;
            }
            Kind::Quote => self.is_quote = true,
            Kind::Heading | Kind::Item | Kind::Numbered(_) | Kind::Row => {
                self.end_block();
                self.kind = kind;
                if let Kind::Numbered(number) = kind {
                    self.number = number;
                }
                if kind == Kind::Row {
                    self.start_text();
                }
            }
            Kind::Text | Kind::Symbol => {
                let continues = self.is_quote == self.was_quote && kind == Kind::Text;
                if self.marks == 1 && !continues || self.kind == Kind::Blank {
                    self.end_block();
                    self.kind = Kind::Text;
                }
                self.start_text();
            }
        }
    }

    fn start_text(&mut self) {
        self.place = Place::Text;
        let line = std::mem::take(&mut self.line);
        for c in line.chars() {
            self.read(c);
        }
    }

    /// Passes a sentence on that is complete, with the space after it.
    fn pass_on(&mut self) {
        let before = self.unit.trim_end();
        let is_closing = |c: char| {
            matches!(
                c,
                '*' | '_' | '~' | '`' | ')' | ']' | '"' | '\'' | '”' | '’' | '»' | '」'
            )
        };
        let is_complete = before.trim_end_matches(is_closing).ends_with(ends_sentence) && !ends_with_date(before);
        let is_long = self.unit.len() >= MAX_UNIT;
        if !is_complete && !is_long {
            return;
        }
        let inline = inline::read(&self.unit);
        if is_long || !inline.is_open {
            self.write(&inline.text);
            self.unit.clear();
        }
    }

    fn end_block(&mut self) {
        let unit = std::mem::take(&mut self.unit);
        let mut text = unit.trim_end();
        if self.kind == Kind::Heading {
            let without = text.trim_end_matches('#');
            text = if without.ends_with(' ') || without.is_empty() {
                without
            } else {
                text
            };
        }
        let text = if self.kind == Kind::Row {
            text.trim_end_matches(['|', ' '])
        } else {
            text
        };
        if !text.is_empty() {
            self.write(&inline::read(text).text);
        }
        self.output.pause();
        self.kind = Kind::Blank;
    }

    fn write(&mut self, text: &str) {
        if self.options.spoken_forms == super::options::SpokenForms::On {
            self.output.write(&forms::spoken(text, &self.options.language));
        } else {
            self.output.write(text);
        }
    }
}

/// Whether the text may end with a date such as `24.12.`, which does not end a sentence.
fn ends_with_date(text: &str) -> bool {
    let Some(text) = text.strip_suffix('.') else {
        return false;
    };
    let day = text.trim_end_matches(|c: char| c.is_ascii_digit());
    day.len() < text.len()
        && day
            .strip_suffix('.')
            .is_some_and(|day| day.ends_with(|c: char| c.is_ascii_digit()))
}
