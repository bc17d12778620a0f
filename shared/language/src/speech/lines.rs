//! The beginnings of lines that are markup: headings, entries of lists, quotes, rules, rows of tables, fences of code,
//! definitions of links and footnotes.

use super::characters::DROPPED;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Blank,
    Text,
    /// Starts a new block because of the symbol before it.
    Symbol,
    Heading,
    Item,
    /// An entry with this number.
    Numbered(u32),
    Quote,
    Row,
    /// A line without text: a rule, the line under a heading or under the head of a table, a fence.
    Rule,
    /// The address of a link, or a footnote: the line is not text.
    Definition,
}

/// The kind of a line and the length of its mark in bytes.
pub(super) type Mark = (Kind, usize);

/// In bytes: a beginning of a line with more is read as it is.
const MAX_MARK: usize = 200;

/// Reads the beginning of a line. `None`: more characters can change the result, which does not happen if the line is
/// `complete`. `previous`: the number of the entry before.
pub(super) fn mark(line: &str, complete: bool, previous: u32, is_month: fn(&str) -> bool) -> Option<Mark> {
    let text = line.trim_start_matches([' ', DROPPED]);
    let skipped = line.len() - text.len();
    let Some(first) = text.chars().next() else {
        return complete.then_some((Kind::Blank, skipped));
    };
    let (kind, length) = match first {
        '>' => quote(text, complete)?,
        '#' => heading(text, complete)?,
        '`' | '~' if text.starts_with("```") || text.starts_with("~~~") => fence(text, complete)?,
        '`' if text.len() < 3 && text.chars().all(|c| c == '`') && !complete => return None,
        '[' => definition(text, complete)?,
        '|' => row(text, complete)?,
        '•' | '‣' | '⁃' | '∙' | '·' => (Kind::Item, first.len_utf8()),
        '-' | '*' | '+' | '–' | '—' | '_' | '=' | '~' | ':' => signs(text, complete)?,
        '0'..='9' => numbered(text, complete, previous, is_month)?,
        _ => (Kind::Text, 0),
    };
    let follows_symbol = line[..skipped].contains(DROPPED);
    let kind = if kind == Kind::Text && follows_symbol {
        Kind::Symbol
    } else {
        kind
    };
    // The text after a mark is read again.
    let is_mark = !matches!(kind, Kind::Text | Kind::Symbol);
    Some((kind, if is_mark { skipped + length } else { skipped }))
}

fn quote(text: &str, complete: bool) -> Option<Mark> {
    match text[1..].chars().next() {
        None if !complete => None,
        // "greater than five"
        Some(c) if c.is_ascii_digit() || c == '=' => Some((Kind::Text, 0)),
        _ => Some((Kind::Quote, 1)),
    }
}

fn heading(text: &str, complete: bool) -> Option<Mark> {
    let signs = text.chars().take_while(|c| *c == '#').count();
    match text[signs..].chars().next() {
        None if !complete => None,
        None | Some(' ') if signs <= 6 => Some((Kind::Heading, signs)),
        Some(c) if signs >= 2 && (c.is_alphabetic() || matches!(c, '*' | '_' | DROPPED)) => {
            Some((Kind::Heading, signs))
        }
        _ => Some((Kind::Text, 0)),
    }
}

fn fence(text: &str, complete: bool) -> Option<Mark> {
    let sign = &text[..1];
    let info = text.trim_start_matches(sign);
    if info.contains(sign) {
        return Some((Kind::Text, 0));
    }
    let is_info = info.split_whitespace().count() <= 1 || info.contains('=');
    if text.len() <= MAX_MARK && (is_info || !complete) {
        return complete.then_some((Kind::Rule, text.len()));
    }
    Some((Kind::Text, 0))
}

fn definition(text: &str, complete: bool) -> Option<Mark> {
    let is_text = Some((Kind::Text, 0));
    let Some(end) = text.find(']') else {
        return if complete || text.len() > MAX_MARK {
            is_text
        } else {
            None
        };
    };
    let Some(after) = text[end + 1..].chars().next() else {
        return if complete { is_text } else { None };
    };
    if after != ':' {
        return is_text;
    }
    if text.starts_with("[^") {
        return Some((Kind::Definition, text.len()));
    }
    let target = text[end + 2..].trim_start();
    let is_target = target.starts_with(['<', '/', '#']) || target.starts_with("http") || target.starts_with("mailto");
    if target.len() < 6 && !complete {
        return None;
    }
    if is_target {
        Some((Kind::Definition, text.len()))
    } else {
        is_text
    }
}

fn row(text: &str, complete: bool) -> Option<Mark> {
    let has_text = text
        .chars()
        .any(|c| !matches!(c, '|' | '-' | ':' | '+' | '=' | ' ' | DROPPED));
    match (has_text, complete) {
        (true, _) => Some((Kind::Row, 1)),
        (false, complete) if complete || text.len() > MAX_MARK => Some((Kind::Rule, text.len())),
        (false, _) => None,
    }
}

/// Reads a line that begins with a sign that also makes rules.
fn signs(text: &str, complete: bool) -> Option<Mark> {
    let is_rule_sign = |c: char| {
        matches!(
            c,
            '-' | '*' | '+' | '–' | '—' | '_' | '=' | '~' | ':' | '|' | ' ' | DROPPED
        )
    };
    if text.chars().all(is_rule_sign) {
        return (complete || text.len() > MAX_MARK).then_some((Kind::Rule, text.len()));
    }
    let mut chars = text.chars();
    let first = chars.next()?;
    let is_bullet = matches!(first, '-' | '*' | '+' | '–' | '—' | ':');
    if !is_bullet || chars.next() != Some(' ') {
        return Some((Kind::Text, 0));
    }
    let start = first.len_utf8() + 1;
    let rest = text[start..].trim_start();
    let at = text.len() - rest.len();
    if rest.starts_with('[') {
        let is_box = |rest: &str| ["[ ]", "[x]", "[X]", "[-]"].iter().any(|mark| rest.starts_with(mark));
        if rest.len() < 4 && !complete {
            return None;
        }
        return Some((Kind::Item, if is_box(rest) { at + 3 } else { at }));
    }
    Some((Kind::Item, start))
}

/// Reads the number of an entry. "12. March" and "1984. A novel" are text.
fn numbered(text: &str, complete: bool, previous: u32, is_month: fn(&str) -> bool) -> Option<Mark> {
    let is_text = Some((Kind::Text, 0));
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let mut rest = text[digits..].chars();
    let (sign, space) = match (rest.next(), rest.next()) {
        (None, _) | (Some('.' | ')'), None) => return if complete { is_text } else { None },
        signs => signs,
    };
    let number: u32 = text[..digits].parse().unwrap_or(u32::MAX);
    let is_next = number <= 1 || number == previous.saturating_add(1);
    if !matches!(sign, Some('.' | ')')) || space != Some(' ') || !is_next {
        return is_text;
    }
    let after = text[digits + 2..].trim_start();
    let word = after.split([' ', ',', '.', ';', '!', '?']).next().unwrap_or_default();
    if word.len() == after.len() && !complete {
        return None;
    }
    if is_month(word) {
        is_text
    } else {
        Some((Kind::Numbered(number), digits + 1))
    }
}
