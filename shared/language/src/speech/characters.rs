//! First stage of spoken text: decodes entities and drops the characters that a reader does not see or a voice does not
//! read. Letters, digits and punctuation pass unchanged.

use unicode_normalization::char::decompose_compatible;
use unicode_properties::{GeneralCategory, UnicodeEmoji, UnicodeGeneralCategory};

use super::entities;

/// Replaces a dropped symbol. It counts as a letter for the markup around it, so that `**😀 Sale**` is still bold. The last
/// stage removes it. A noncharacter: no text contains it, because this stage drops it.
pub(super) const DROPPED: char = '\u{fdd0}';

/// Withdraws all text before it: the end of reasoning with a beginning that was never written.
pub(super) const FORGET: char = '\u{fdd1}';

/// Longer than every name in the table of entities.
const MAX_ENTITY: usize = 12;

#[derive(Default)]
pub(super) struct Characters {
    /// The beginning of an entity, with its `&`.
    entity: String,
    after_return: bool,
    last: Option<char>,
}

impl Characters {
    pub(super) fn push(&mut self, chunk: &str, out: &mut String) {
        for c in chunk.chars() {
            self.read(c, out);
        }
    }

    pub(super) fn finish(&mut self, out: &mut String) {
        for c in std::mem::take(&mut self.entity).chars() {
            self.clean(c, out);
        }
    }

    fn read(&mut self, c: char, out: &mut String) {
        if !self.entity.is_empty() {
            if c == ';' {
                let entity = std::mem::take(&mut self.entity);
                if let Some(decoded) = entities::decode(&entity[1..]) {
                    for c in decoded.chars() {
                        self.clean(c, out);
                    }
                    return;
                }
                for c in entity.chars() {
                    self.clean(c, out);
                }
            } else if self.entity.len() < MAX_ENTITY && (c.is_ascii_alphanumeric() || c == '#') {
                self.entity.push(c);
                return;
            } else {
                self.finish(out);
            }
        }
        if c == '&' {
            self.entity.push('&');
        } else {
            self.clean(c, out);
        }
    }

    fn clean(&mut self, c: char, out: &mut String) {
        let follows_return = std::mem::replace(&mut self.after_return, c == '\r');
        let c = match c {
            '\n' if follows_return => return,
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => '\n',
            c if c.is_whitespace() => ' ',
            // Persian and Indic words are spelled with joiners.
            '\u{200c}' | '\u{200d}' if self.last.is_some_and(is_joined) => c,
            c if is_invisible(c) => return,
            c if is_styled(c) => {
                decompose_compatible(c, |plain| {
                    self.last = Some(plain);
                    out.push(plain);
                });
                return;
            }
            c if is_pictograph(c) => {
                if self.last != Some(DROPPED) {
                    self.last = Some(DROPPED);
                    out.push(DROPPED);
                }
                return;
            }
            c => c,
        };
        self.last = Some(c);
        out.push(c);
    }
}

/// Whether a joiner after this letter is part of the spelling.
fn is_joined(c: char) -> bool {
    matches!(c, '\u{620}'..='\u{6ff}' | '\u{900}'..='\u{dff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}')
}

pub(crate) fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{20e3}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffd}'
            | '\u{e0000}'..='\u{e0fff}'
    ) || c.is_control()
        || matches!(
            c.general_category(),
            GeneralCategory::PrivateUse | GeneralCategory::Unassigned | GeneralCategory::Surrogate
        )
}

/// Whether the character is a letter or digit in another design: mathematical bold, a circle, full width,
/// several in one square.
fn is_styled(c: char) -> bool {
    matches!(
        c,
        '\u{1d400}'..='\u{1d7ff}' | '\u{3200}'..='\u{3296}' | '\u{3300}'..='\u{33ff}' | '\u{2460}'..='\u{2473}' | '\u{24b6}'..='\u{24e9}' | '\u{ff10}'..='\u{ff19}'
            | '\u{ff21}'..='\u{ff3a}' | '\u{ff41}'..='\u{ff5a}'
    )
}

pub(crate) fn is_pictograph(c: char) -> bool {
    match c {
        // Voices read these.
        '°' | '©' | '®' | '™' | '℃' | '℉' | '№' | '¦' => false,
        '0'..='9' | '#' | '*' => false,
        // Arrows, and the letter in a box that is an emoji.
        '\u{2190}'..='\u{21ff}' | '\u{27f0}'..='\u{27ff}' | '\u{2900}'..='\u{297f}' | 'ℹ' => true,
        // All blocks of emoji, with letters in boxes and skin tones.
        '\u{1f000}'..='\u{1faff}' => true,
        c if c.is_ascii() || c.is_alphanumeric() => false,
        c => c.general_category() == GeneralCategory::OtherSymbol || (c.is_emoji_char() && !matches!(c, '‼' | '⁉')),
    }
}
