//! A place in a text, with the small steps that the readers share.

#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    pub chars: &'a [char],
    pub at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(chars: &'a [char], at: usize) -> Self {
        Self { chars, at }
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    pub(super) fn before(&self) -> Option<char> {
        self.at.checked_sub(1).and_then(|at| self.chars.get(at)).copied()
    }

    /// Whether no letter or digit touches the place from the left.
    pub(super) fn starts_word(&self) -> bool {
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | ',' | ':' | '/' | '_' | '\'' | '’' | '@');
        match self.before() {
            Some('.' | ',' | ':' | '/' | '-') => {
                let earlier = self.at.checked_sub(2).and_then(|at| self.chars.get(at));
                !earlier.is_some_and(|c| c.is_alphanumeric())
            }
            before => !before.is_some_and(is_part),
        }
    }

    /// Whether no letter or digit follows.
    pub(super) fn ends_word(&self) -> bool {
        !self.peek().is_some_and(|c| c.is_alphanumeric() || c == '_')
    }

    pub(super) fn take_while(&mut self, fits: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(c) = self.peek().filter(|c| fits(*c)) {
            taken.push(c);
            self.at += 1;
        }
        taken
    }

    /// Takes at most `max` digits.
    pub(super) fn digits(&mut self, max: usize) -> String {
        let mut taken = String::new();
        while taken.len() < max
            && let Some(c) = self.peek().filter(char::is_ascii_digit)
        {
            taken.push(c);
            self.at += 1;
        }
        taken
    }

    /// Takes the text if it follows, in any case.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let mut end = self.at;
        for expected in text.chars() {
            let is_equal = self
                .chars
                .get(end)
                .is_some_and(|c| c.to_lowercase().eq(expected.to_lowercase()));
            if !is_equal {
                return false;
            }
            end += 1;
        }
        self.at = end;
        true
    }

    pub(super) fn skip_space(&mut self) {
        if matches!(self.peek(), Some(' ' | '\u{a0}' | '\u{202f}')) {
            self.at += 1;
        }
    }
}
