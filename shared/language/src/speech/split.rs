//! Divides a long spoken text into pieces: after sentences, else after clauses, else after words.

use unicode_segmentation::UnicodeSegmentation;

use super::output::{ends_clause, ends_sentence};

/// A longer text is cut after a sentence: it would take more than an hour to say.
const MAX_TOTAL: usize = 60_000;

/// Divides `text` into pieces of at most `max_chars` characters (at least one grapheme each). Joined with spaces, they are the
/// text.
pub fn split_for_speech(text: &str, max_chars: usize) -> Vec<String> {
    let max = max_chars.max(1);
    let mut pieces = Vec::new();
    let mut rest = bounded(text.trim());
    while !rest.is_empty() {
        let end = piece_end(rest, max);
        let (piece, after) = rest.split_at(end);
        if !piece.trim().is_empty() {
            pieces.push(piece.trim().to_owned());
        }
        rest = after.trim_start();
    }
    pieces
}

fn bounded(text: &str) -> &str {
    match text.char_indices().nth(MAX_TOTAL) {
        Some(_) => &text[..piece_end(text, MAX_TOTAL)],
        None => text,
    }
}

/// Returns the length of the first piece in bytes.
fn piece_end(text: &str, max: usize) -> usize {
    let Some((limit, _)) = text.char_indices().nth(max) else {
        return text.len();
    };
    let (mut sentence, mut clause, mut word, mut grapheme) = (None, None, None, None);
    let mut last_visible = None;
    for (at, cluster) in text.grapheme_indices(true) {
        let is_space = cluster.chars().all(char::is_whitespace);
        if at > limit {
            break;
        }
        if at > 0 {
            let wide =
                last_visible.is_some_and(|c| !char::is_ascii(&c) && ends_clause(c) && !matches!(c, '—' | '–' | '…'));
            if is_space || wide {
                match last_visible {
                    Some(c) if ends_sentence(c) => sentence = Some(at),
                    Some(c) if ends_clause(c) => clause = Some(at),
                    _ if is_space => word = Some(at),
                    _ => {}
                }
            }
            grapheme = Some(at);
        }
        match cluster.chars().next() {
            Some('"' | '\'' | ')' | ']' | '”' | '’' | '»' | '」' | '』') if at > 0 => {}
            first if !is_space => last_visible = first,
            _ => {}
        }
    }
    // A short sentence at the front is not a reason for a short piece.
    let third = limit / 3;
    let far = |end: &Option<usize>| end.is_some_and(|end| end >= third);
    let first_grapheme = || text.graphemes(true).next().map_or(text.len(), str::len);
    [
        sentence.filter(|_| far(&sentence)),
        clause.filter(|_| far(&clause)),
        word,
        sentence,
        clause,
        grapheme,
    ]
    .into_iter()
    .flatten()
    .next()
    .unwrap_or_else(first_grapheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_after_sentences_clauses_and_words() {
        for (text, max, expected) in [
            ("One two. Three four! Five?", 20, vec!["One two. Three four!", "Five?"]),
            ("One two. Three four! Five?", 100, vec!["One two. Three four! Five?"]),
            ("One two, three four, five", 15, vec!["One two,", "three four,", "five"]),
            ("one two three", 8, vec!["one two", "three"]),
            ("abcdefghij", 4, vec!["abcd", "efgh", "ij"]),
            ("今日は晴れ。明日は雨。", 7, vec!["今日は晴れ。", "明日は雨。"]),
            (
                "He said \"Go.\" Then he went.",
                16,
                vec!["He said \"Go.\"", "Then he went."],
            ),
            ("", 5, vec![]),
            ("  ", 5, vec![]),
        ] {
            assert_eq!(split_for_speech(text, max), expected, "{text} {max}");
        }
    }

    #[test]
    fn never_splits_a_grapheme() {
        let family = "👨\u{200d}👩\u{200d}👧";
        assert_eq!(split_for_speech(&family.repeat(2), 1), [family, family]);
        let accents = "e\u{301}".repeat(10);
        assert!(
            split_for_speech(&accents, 5)
                .iter()
                .all(|piece| piece.starts_with('e') && piece.ends_with('\u{301}'))
        );
    }

    #[test]
    fn pieces_are_the_text_and_not_longer_than_allowed() {
        let text = "This is a sentence, with a clause. And (another) one! ".repeat(400);
        for max in [1, 7, 50, 4_000] {
            let pieces = split_for_speech(&text, max);
            assert!(pieces.iter().all(|piece| piece.chars().count() <= max));
            let joined: String = pieces.concat().chars().filter(|c| !c.is_whitespace()).collect();
            assert_eq!(joined, text.chars().filter(|c| !c.is_whitespace()).collect::<String>());
        }
        let long = split_for_speech(&"word ".repeat(20_000), 4_000);
        assert!(long.iter().map(String::len).sum::<usize>() <= MAX_TOTAL);
    }
}
