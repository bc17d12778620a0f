//! Markup within a block: emphasis, code, links, images, footnotes, addresses. Signs that are not markup, as in `2 * 3`,
//! `snake_case` or `*69`, stay.

use super::characters::DROPPED;

/// A piece of a block: text, or a run of signs that may be emphasis.
enum Piece {
    Text(String),
    Run(Run),
}

struct Run {
    sign: char,
    /// The signs that are not matched yet.
    left: usize,
    length: usize,
    before: Option<char>,
    after: Option<char>,
    opens: bool,
    closes: bool,
}

/// The plain text of a block, and whether a sign in it may begin markup that ends later.
pub(super) struct Inline {
    pub text: String,
    pub is_open: bool,
}

/// Links within links within links are not resolved further.
const MAX_DEPTH: usize = 6;

/// Reads the text of a block, or the beginning of it.
pub(super) fn read(text: &str) -> Inline {
    let chars: Vec<char> = text.chars().collect();
    let mut reader = Reader::default();
    reader.read(&chars, 0);
    let is_open = match_runs(&mut reader.pieces) || reader.is_open;
    let mut text = String::with_capacity(text.len());
    for piece in &reader.pieces {
        match piece {
            Piece::Text(piece) => text.push_str(piece),
            Piece::Run(run) => run.write(&mut text),
        }
    }
    Inline { text, is_open }
}

#[derive(Default)]
struct Reader {
    pieces: Vec<Piece>,
    is_open: bool,
}

impl Reader {
    fn read(&mut self, chars: &[char], depth: usize) {
        let mut at = 0;
        while let Some(&c) = chars.get(at) {
            let before = at.checked_sub(1).and_then(|at| chars.get(at)).copied();
            at += match c {
                '\\' => self.escape(&chars[at..]),
                '`' => self.code(&chars[at..]),
                '!' if chars.get(at + 1) == Some(&'[') => match self.link(&chars[at + 1..], before, depth) {
                    Some(length) => length + 1,
                    None => self.text(c),
                },
                '[' => self.link(&chars[at..], before, depth).unwrap_or_else(|| self.text(c)),
                '【' => self.citation(&chars[at..]),
                '*' | '_' | '~' | '=' => self.run(&chars[at..], before),
                '|' => self.bar(&chars[at..]),
                '•' | '‣' | '◦' | '⁃' => self.str("\u{fdd0}, ", 1),
                ':' if before.is_none_or(char::is_whitespace) => {
                    self.short_name(&chars[at..]).unwrap_or_else(|| self.text(c))
                }
                '$' if chars.get(at + 1) == Some(&'$') => self.str("", 2),
                c if !before.is_some_and(char::is_alphanumeric) && c.is_ascii_alphabetic() => {
                    self.address(&chars[at..]).unwrap_or_else(|| self.text(c))
                }
                c => self.text(c),
            };
        }
    }

    fn str(&mut self, text: &str, length: usize) -> usize {
        match self.pieces.last_mut() {
            Some(Piece::Text(last)) => last.push_str(text),
            _ => self.pieces.push(Piece::Text(text.to_owned())),
        }
        length
    }

    fn text(&mut self, c: char) -> usize {
        self.str(c.encode_utf8(&mut [0; 4]), 1)
    }

    /// A backslash makes the next sign text; alone, it ends a line.
    fn escape(&mut self, rest: &[char]) -> usize {
        match rest.get(1) {
            Some(c @ ('(' | ')' | '[' | ']')) => self.str(if matches!(c, '(' | '[') { " " } else { "" }, 2),
            Some(c) if c.is_ascii_punctuation() => self.text(*c) + 1,
            Some(c) if c.is_alphanumeric() => self.text('\\'),
            _ => 1,
        }
    }

    fn code(&mut self, rest: &[char]) -> usize {
        let is_tick = |c: &&char| **c == '`';
        let length = rest.iter().take_while(is_tick).count();
        let mut at = length;
        while at < rest.len() {
            let ticks = rest[at..].iter().take_while(is_tick).count();
            if ticks == length {
                let code: String = rest[length..at].iter().collect();
                return self.str(code.trim(), at + length);
            }
            at += ticks.max(1);
        }
        self.is_open = true;
        length
    }

    /// Drops the name of an emoji, such as `:thumbs_up:`.
    fn short_name(&mut self, rest: &[char]) -> Option<usize> {
        let is_part = |c: &&char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '+' | '-');
        let length = rest[1..].iter().take_while(is_part).count();
        let is_word = rest[1..=length].iter().any(char::is_ascii_lowercase) || matches!(rest.get(1), Some('+' | '-'));
        let is_closed =
            rest.get(length + 1) == Some(&':') && !rest.get(length + 2).is_some_and(|c| c.is_alphanumeric());
        (is_word && length > 1 && is_closed).then(|| self.text(DROPPED) + length + 1)
    }

    fn citation(&mut self, rest: &[char]) -> usize {
        match rest.iter().position(|c| *c == '】') {
            Some(end) if rest[..end].contains(&'†') => self.text(DROPPED) + end,
            Some(_) => self.text('【'),
            None => {
                self.is_open = true;
                self.text('【')
            }
        }
    }

    /// Reads `[text](address)`, `[text][name]`, `[[page|text]]`, `[^1]`. `None`: brackets of the text.
    fn link(&mut self, rest: &[char], before: Option<char>, depth: usize) -> Option<usize> {
        let Some(end) = closing(rest, '[', ']') else {
            self.is_open = true;
            return None;
        };
        let label = &rest[1..end];
        let text: String = label.iter().collect();
        let digits = !label.is_empty() && label.len() <= 3 && label.iter().all(char::is_ascii_digit);
        let attached = before.is_some_and(|c| !c.is_whitespace());
        match rest.get(end + 1) {
            _ if label.first() == Some(&'^') => Some(self.text(DROPPED) + end),
            Some('(') => {
                let closed = closing(&rest[end + 1..], '(', ')');
                self.is_open |= closed.is_none();
                // The text may end in the address.
                let visible = || rest[end + 1..].iter().take_while(|c| !c.is_whitespace()).count();
                let length = closed.map_or_else(visible, |length| length + 1);
                let inner_end = if closed.is_some() {
                    end + length
                } else {
                    end + 1 + length
                };
                let target: String = rest[end + 2..inner_end].iter().collect();
                let is_cut = closed.is_none() && inner_end == rest.len();
                // `f[1](2)` and `[sic](see below)` are no links.
                let is_target = target.trim_start_matches('<').starts_with(['#', '/', '.'])
                    || target.contains([':', '.', '/', '%'])
                    || target.is_empty()
                    || is_cut;
                if !is_target || depth >= MAX_DEPTH {
                    return None;
                }
                if digits && attached {
                    self.text(DROPPED);
                } else {
                    self.read(label, depth + 1);
                }
                Some(end + 1 + length)
            }
            Some('[') if !digits && depth < MAX_DEPTH => {
                let Some(length) = closing(&rest[end + 1..], '[', ']') else {
                    self.is_open = true;
                    return None;
                };
                self.read(label, depth + 1);
                Some(end + 1 + length + 1)
            }
            _ if label.first() == Some(&'[') && label.last() == Some(&']') && depth < MAX_DEPTH => {
                let page = &label[1..label.len() - 1];
                let shown = page.iter().position(|c| *c == '|').map_or(page, |bar| &page[bar + 1..]);
                self.read(shown, depth + 1);
                Some(end + 1)
            }
            // The number of a source, directly after the word.
            _ if digits && attached && before != Some('(') => Some(self.text(DROPPED) + end),
            _ if matches!(
                text.as_str(),
                "INST" | "/INST" | "TOOL_CALLS" | "AVAILABLE_TOOLS" | "/AVAILABLE_TOOLS"
            ) =>
            {
                Some(self.text(DROPPED) + end)
            }
            _ => None,
        }
    }

    fn run(&mut self, rest: &[char], before: Option<char>) -> usize {
        let sign = rest[0];
        let length = rest.iter().take_while(|c| **c == sign).count();
        if sign == '=' && length != 2 {
            return self.repeat(sign, length);
        }
        let after = rest.get(length).copied();
        let is_space = |c: Option<char>| c.is_none_or(char::is_whitespace);
        let is_sign = |c: Option<char>| c.is_some_and(|c| !c.is_alphanumeric() && !c.is_whitespace() && c != DROPPED);
        let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
        let is_ascii = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        // CommonMark, "left-flanking" and "right-flanking". Models also write `**Note:**text`, which is meant as bold.
        let mut opens = !is_space(after);
        let mut closes = !is_space(before);
        if length == 1 {
            opens &= !is_sign(after) || is_space(before) || is_sign(before);
            closes &= !is_sign(before) || is_space(after) || is_sign(after);
        }
        let is_number = (is_digit(before) || sign == '~') && is_digit(after);
        if is_number || (sign == '_' && is_word(before) && is_word(after)) {
            (opens, closes) = (false, false);
        } else if length == 1 && is_ascii(before) && is_ascii(after) {
            opens = false;
        }
        self.pieces.push(Piece::Run(Run {
            sign,
            left: length,
            length,
            before,
            after,
            opens,
            closes,
        }));
        length
    }

    fn repeat(&mut self, sign: char, length: usize) -> usize {
        for _ in 0..length {
            self.text(sign);
        }
        length
    }

    /// The border between two cells; two bars without a space hide a text in some clients.
    fn bar(&mut self, rest: &[char]) -> usize {
        let length = rest.iter().take_while(|c| **c == '|').count();
        self.str(if length == 1 { "\u{fdd0}, " } else { " " }, length)
    }

    /// Reads an address of the web as its host, and an address with the scheme `mailto` or `tel` without it.
    fn address(&mut self, rest: &[char]) -> Option<usize> {
        const SCHEMES: [&str; 6] = ["https://", "http://", "ftp://", "www.", "mailto:", "tel:"];
        let start: String = rest.iter().take(8).collect::<String>().to_ascii_lowercase();
        let scheme = SCHEMES.into_iter().find(|scheme| start.starts_with(scheme))?;
        let is_part = |c: &char| {
            !c.is_whitespace() && !matches!(*c, '<' | '>' | '"' | '`' | '|' | '\\' | '»' | '”' | '）' | '。' | '，')
        };
        let mut length = rest.iter().take_while(|c| is_part(c)).count();
        let mut opened = rest[..length].iter().filter(|c| **c == '(').count();
        while length > scheme.len() {
            let last = rest[length - 1];
            let is_end = match last {
                ')' if opened > 0 => {
                    opened -= 1;
                    false
                }
                c => matches!(
                    c,
                    '.' | ',' | ';' | ':' | '!' | '?' | ')' | ']' | '}' | '\'' | '*' | '_' | '~' | DROPPED
                ),
            };
            if !is_end {
                break;
            }
            length -= 1;
        }
        let rest = rest.get(scheme.len()..length).filter(|rest| !rest.is_empty())?;
        let whole: String = rest.iter().collect();
        let shown = match scheme {
            "mailto:" => whole.split('?').next().unwrap_or_default().to_owned(),
            "tel:" => whole,
            _ => host(&whole).to_owned(),
        };
        if scheme == "www." && !shown.contains('.') {
            return None;
        }
        Some(self.str(&shown, length))
    }
}

/// Returns the name of the host of an address without its scheme.
fn host(address: &str) -> &str {
    let authority = address.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default();
    host.strip_prefix("www.").unwrap_or(host)
}

/// Returns the place of the sign that closes the first one.
fn closing(rest: &[char], open: char, close: char) -> Option<usize> {
    let mut depth = 0;
    let mut escaped = false;
    for (at, &c) in rest.iter().enumerate() {
        if std::mem::take(&mut escaped) {
            continue;
        }
        if c == '\\' {
            escaped = true;
        } else if c == open {
            depth += 1;
        } else if c == close {
            depth -= 1;
            if depth == 0 {
                return Some(at);
            }
        }
    }
    None
}

/// Removes the signs of emphasis in pairs. Returns whether one may still be closed by later text.
fn match_runs(pieces: &mut [Piece]) -> bool {
    let mut openers: Vec<usize> = Vec::new();
    for at in 0..pieces.len() {
        let (before, rest) = pieces.split_at_mut(at);
        let Some(Piece::Run(run)) = rest.first_mut() else {
            continue;
        };
        while run.closes && run.left > 0 {
            let fits = |opener: &Run| {
                let is_both = (run.opens || opener.closes) && (opener.length + run.length).is_multiple_of(3);
                opener.sign == run.sign
                    && opener.left > 0
                    && (!is_both || (opener.length.is_multiple_of(3) && run.length.is_multiple_of(3)))
                    && (!matches!(run.sign, '~' | '=') || opener.length == run.length)
            };
            let found = openers
                .iter()
                .rposition(|at| matches!(&before[*at], Piece::Run(opener) if fits(opener)));
            let Some(found) = found else { break };
            let Some(Piece::Run(opener)) = before.get_mut(openers[found]) else {
                break;
            };
            let matched = opener.left.min(run.left);
            opener.left -= matched;
            run.left -= matched;
            openers.truncate(if opener.left > 0 { found + 1 } else { found });
        }
        if run.opens && run.left > 0 {
            openers.push(at);
        }
    }
    openers
        .iter()
        .any(|at| matches!(&pieces[*at], Piece::Run(run) if run.left > 0 && run.sign != '='))
}

impl Run {
    /// Writes the signs that are text. Unmatched signs next to a word are the rest of markup; those between or before
    /// numbers, and between spaces, are not.
    fn write(&self, out: &mut String) {
        let is_space = |c: Option<char>| c.is_none_or(char::is_whitespace);
        let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
        let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let is_alone = is_space(self.before) && is_space(self.after) && self.before.is_some() && self.after.is_some();
        let is_within = is_word(self.before) && is_word(self.after);
        let is_text = match self.sign {
            _ if self.left < self.length => false,
            '*' => match self.length {
                1 => is_alone || is_within || is_digit(self.after),
                2 => is_alone || (is_digit(self.before) && is_digit(self.after)),
                _ => false,
            },
            '_' => is_within || (is_alone && self.length == 1),
            '~' => self.length == 1 && !is_space(self.after),
            _ => true,
        };
        if is_text {
            out.extend(std::iter::repeat_n(self.sign, self.left));
        }
    }
}
