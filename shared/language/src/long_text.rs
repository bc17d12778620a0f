//! Divides a text that is too long for one message, where a reader expects a break.

use unicode_segmentation::UnicodeSegmentation;

/// Breaks in the order in which they are preferred.
const BREAKS: [&[&str]; 4] = [
    &["\n\n"],
    &["\n"],
    &[". ", "! ", "? ", "。", "！", "？", "؟ ", "। "],
    &[" "],
];

/// Divides a text into parts that each fit: at the last paragraph, line or sentence in the second half of what fits, else between
/// words, else between characters as people see them. Only blanks at the breaks are lost.
pub fn divide(text: &str, fits: impl Fn(&str) -> bool) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = match fits(rest) {
            true => rest.len(),
            false => break_in(rest, longest(rest, &fits)),
        };
        let (part, following) = rest.split_at(end);
        parts.push(part.trim_end().to_owned());
        rest = following.trim_start();
    }
    parts
}

/// Returns the end of the longest beginning that fits, at least one character. A longer text never fits if a shorter one does not.
fn longest(text: &str, fits: impl Fn(&str) -> bool) -> usize {
    let ends: Vec<usize> = text
        .grapheme_indices(true)
        .map(|(start, cluster)| start + cluster.len())
        .collect();
    let count = ends.partition_point(|end| text.get(..*end).is_some_and(&fits));
    ends.get(count.saturating_sub(1)).copied().unwrap_or(text.len())
}

/// Returns where to break a text of which the beginning up to `end` fits.
fn break_in(text: &str, end: usize) -> usize {
    let Some(beginning) = text.get(..end) else { return end };
    let between_words = text
        .get(end..)
        .is_some_and(|rest| rest.starts_with(char::is_whitespace));
    for breaks in BREAKS {
        let is_blank = breaks == [" "];
        if is_blank && between_words {
            return end;
        }
        let found = breaks
            .iter()
            .filter_map(|sign| beginning.rfind(sign).map(|at| at + sign.len()));
        if let Some(at) = found.max().filter(|at| is_blank || *at >= end / 2) {
            return at;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divided(text: &str, max: usize) -> Vec<String> {
        divide(text, |part| part.chars().count() <= max)
    }

    #[test]
    fn breaks_where_a_reader_expects_it() {
        assert_eq!(divided("short", 10), ["short"]);
        assert_eq!(divided("One two. Three four", 12), ["One two.", "Three four"]);
        assert_eq!(divided("one two three four", 9), ["one two", "three", "four"]);
        assert_eq!(
            divided("first line\n\nsecond. line", 16),
            ["first line", "second. line"]
        );
        assert_eq!(divided("一二三。四五六七", 5), ["一二三。", "四五六七"]);
        assert!(divided("  ", 5).is_empty());
    }

    #[test]
    fn never_breaks_a_character() {
        // A family of four people is one character of seven code points.
        let family = "👨‍👩‍👧‍👦";
        assert_eq!(divided(&family.repeat(3), 15), [family.repeat(2), family.to_owned()]);
        assert_eq!(divided("e\u{301}e\u{301}", 3), ["e\u{301}", "e\u{301}"]);
    }

    #[test]
    fn keeps_every_word_in_order() {
        let words: Vec<String> = (0..700).map(|index| format!("word{index}")).collect();
        for separator in [" ", "\n", ". "] {
            let text = words.join(separator);
            let parts = divided(&text, 160);
            assert!(parts.iter().all(|part| part.chars().count() <= 160));
            let joined = parts.join(" ").replace('.', " ");
            assert!(
                joined.split_whitespace().eq(words.iter().map(String::as_str)),
                "{separator:?}"
            );
        }
    }
}
