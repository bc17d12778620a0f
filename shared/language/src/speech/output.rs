//! Last stage of spoken text: collapses white space, closes the gaps that dropped characters leave, and ends blocks with a
//! full stop where more text follows.

use super::characters::DROPPED;

#[derive(Default)]
pub(super) struct Output {
    ready: String,
    last: Option<char>,
    space: bool,
    dropped: bool,
    pause: bool,
}

impl Output {
    /// Returns the text since the last call. Texts of several calls are joined without a separator.
    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.ready)
    }

    /// Withdraws what is not taken yet.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Ends a sentence before the next text.
    pub(super) fn pause(&mut self) {
        self.pause = true;
    }

    pub(super) fn write(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                DROPPED => self.dropped = true,
                c if c.is_whitespace() => self.space = true,
                c => self.write_visible(c),
            }
        }
    }

    fn write_visible(&mut self, c: char) {
        let closes = matches!(
            c,
            '.' | ',' | '!' | '?' | ';' | ':' | '…' | ')' | ']' | '»' | '”' | '。' | '，'
        );
        let Some(last) = self.last else {
            if !(closes && (self.dropped || c == ',')) {
                self.emit(c);
            }
            return;
        };
        // Empty cells of a table.
        if c == ',' && last == ',' {
            return;
        }
        if self.pause {
            if !ends_clause(last) {
                self.ready.push(if is_ideograph(last) { '。' } else { '.' });
            }
            self.ready.push(' ');
        } else if self.dropped && (closes || matches!(last, '(' | '[' | '«' | '“')) {
            // No space before the sign.
        } else if self.space || (self.dropped && last.is_alphanumeric() && c.is_alphanumeric()) {
            self.ready.push(' ');
        }
        self.emit(c);
    }

    fn emit(&mut self, c: char) {
        self.ready.push(c);
        self.last = Some(c);
        (self.space, self.dropped, self.pause) = (false, false, false);
    }
}

/// Whether a voice pauses after this character.
pub(super) fn ends_clause(c: char) -> bool {
    ends_sentence(c) || matches!(c, ':' | ';' | ',' | '：' | '；' | '，' | '、' | '—' | '–' | '،' | '؛')
}

pub(super) fn ends_sentence(c: char) -> bool {
    matches!(
        c,
        '.' | '!' | '?' | '…' | '。' | '！' | '？' | '｡' | '؟' | '۔' | '।' | '॥' | '‼' | '⁉' | '։' | '။'
    )
}

fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}')
}
