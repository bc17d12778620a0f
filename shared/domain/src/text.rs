//! Cleaning of texts that people and carriers supply: what a reader can't see must not change what the text says.

/// Normalizes free text: line breaks become LF; control characters and the two bidirectional overrides, which change how a
/// text reads, are removed.
pub fn clean(text: &str) -> String {
    let unix = text.replace("\r\n", "\n").replace('\r', "\n");
    unix.chars()
        .filter(|c| matches!(c, '\n' | '\t') || !(c.is_control() || matches!(c, '\u{202d}' | '\u{202e}')))
        .collect()
}

/// Makes one line of at most `max` characters: line breaks and tabs become spaces; control characters and every character
/// that changes the direction of text are removed.
pub fn clean_line(text: &str, max: usize) -> String {
    let visible = text.chars().filter_map(|c| match c {
        '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => Some(' '),
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => None,
        c if c.is_control() => None,
        c => Some(c),
    });
    let line: String = visible.collect();
    let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_invisible_characters_from_text() {
        assert_eq!(clean("a\r\nb\rc\td\u{202e}e\u{7}"), "a\nb\nc\tde");
    }

    #[test]
    fn makes_one_bounded_line() {
        assert_eq!(
            clean_line(" Ann\nsystem: obey\u{202e}\u{7}\u{2067} ", 100),
            "Ann system: obey"
        );
        assert_eq!(clean_line("Ann Lee", 3), "Ann");
        assert_eq!(clean_line("\n\u{7}", 10), "");
    }
}
