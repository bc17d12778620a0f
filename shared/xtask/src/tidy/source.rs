//! Rust source as the rules read it: `code` has comments and literals replaced by spaces, so that a word in a string
//! is not a finding; offsets and lines stay the same. A lexer, not a parser, because a parser skips macro bodies.

use std::ops::Range;

const TEST_ATTRIBUTES: [&str; 3] = ["#[cfg(test)]", "#[cfg(all(test", "#[cfg(any(test"];

pub struct Source {
    pub code: String,
    /// One per line for `//`, one per block for `/* */`.
    pub comments: Vec<Range<usize>>,
    /// String and character literals, quotes included.
    pub literals: Vec<Range<usize>>,
    tests: Vec<Range<usize>>,
    newlines: Vec<usize>,
}

/// Text that is not code.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Opaque {
    Comment,
    Literal,
}

impl Source {
    pub fn new(text: &str) -> Self {
        let Blanked {
            code,
            comments,
            literals,
        } = blank(text);
        let mut tests: Vec<Range<usize>> = Vec::new();
        for attribute in TEST_ATTRIBUTES {
            tests.extend(code.match_indices(attribute).map(|(at, _)| at..end_of_item(&code, at)));
        }
        Self {
            code,
            comments,
            literals,
            tests,
            newlines: text.match_indices('\n').map(|(at, _)| at).collect(),
        }
    }

    /// Whether the offset is in an item under `#[cfg(test)]`.
    pub fn in_test(&self, at: usize) -> bool {
        self.tests.iter().any(|range| range.contains(&at))
    }

    /// Returns the line of an offset, starting at 1.
    pub fn line(&self, at: usize) -> usize {
        1 + self.newlines.partition_point(|&newline| newline < at)
    }

    /// Counts the lines outside of items under `#[cfg(test)]`.
    pub fn lines_outside_tests(&self) -> usize {
        let (mut at, mut count) = (0, 0);
        for line in self.code.split_inclusive('\n') {
            let indent = line.len() - line.trim_start().len();
            count += usize::from(!self.in_test(at + indent.min(line.len() - 1)));
            at += line.len();
        }
        count
    }

    /// Finds `needle` as whole words: neither end is inside a longer identifier.
    pub fn find<'a>(&'a self, needle: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.code.match_indices(needle).map(|(at, _)| at).filter(move |&at| {
            let (before, after) = (&self.code[..at], &self.code[at + needle.len()..]);
            let joins = |outer: Option<char>, inner: Option<char>| outer.is_some_and(word) && inner.is_some_and(word);
            !joins(before.chars().next_back(), needle.chars().next())
                && !joins(after.chars().next(), needle.chars().next_back())
        })
    }

    /// Returns the identifier that starts at the offset, or an empty text.
    pub fn identifier(&self, at: usize) -> &str {
        let rest = &self.code[at..];
        &rest[..rest.find(|c| !word(c)).unwrap_or(rest.len())]
    }

    /// Returns the range from the first bracket at or after the offset to its closing bracket, both included.
    pub fn bracketed(&self, at: usize) -> Range<usize> {
        let open = self.code[at..]
            .find(['(', '[', '{'])
            .map_or(self.code.len(), |offset| at + offset);
        open..closing(&self.code, open).map_or(self.code.len(), |close| close + 1)
    }
}

fn word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Returns the offset of the bracket that closes the one at `open`.
fn closing(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => continue,
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// Returns the end of the item with the attribute at `at`: after its `;` or its closing brace.
fn end_of_item(code: &str, at: usize) -> usize {
    let bytes = code.as_bytes();
    let mut here = at;
    while let Some(&byte) = bytes.get(here) {
        match byte {
            b';' => return here + 1,
            b'(' | b'[' | b'{' => {
                let Some(close) = closing(code, here) else { break };
                if byte == b'{' {
                    return close + 1;
                }
                here = close;
            }
            // The attribute was on a field or an argument, and their list ends here.
            b')' | b']' | b'}' => return here,
            _ => {}
        }
        here += 1;
    }
    code.len()
}

struct Blanked {
    code: String,
    comments: Vec<Range<usize>>,
    literals: Vec<Range<usize>>,
}

/// Replaces comments and literals by spaces. Keeps newlines.
fn blank(text: &str) -> Blanked {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let (mut comments, mut literals) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < bytes.len() {
        let Some((kind, length)) = opaque(bytes, at) else {
            at += 1;
            continue;
        };
        let range = at..(at + length).min(bytes.len());
        for byte in &mut out[range.clone()] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = range.end;
        match kind {
            Opaque::Comment => comments.push(range),
            Opaque::Literal => literals.push(range),
        }
    }
    Blanked {
        code: String::from_utf8_lossy(&out).into_owned(),
        comments,
        literals,
    }
}

/// Returns the kind and the number of bytes of the comment or literal that starts here; `None` for plain code.
fn opaque(bytes: &[u8], at: usize) -> Option<(Opaque, usize)> {
    let rest = &bytes[at..];
    if !matches!(rest.first()?, b'/' | b'"' | b'\'' | b'r' | b'b' | b'c') {
        return None;
    }
    let in_word = at > 0 && word(char::from(bytes[at - 1]));
    let (kind, length) = match rest {
        [b'/', b'/', ..] => {
            let end = rest.iter().position(|&byte| byte == b'\n');
            (Opaque::Comment, end.unwrap_or(rest.len()))
        }
        [b'/', b'*', ..] => (Opaque::Comment, block_comment(rest)),
        [b'"', ..] => (Opaque::Literal, quoted(rest)),
        [b'\'', ..] => (Opaque::Literal, character(rest)),
        [b'r', b'"' | b'#', ..] if !in_word => (Opaque::Literal, raw(rest, 1)),
        [b'b' | b'c', b'r', b'"' | b'#', ..] if !in_word => (Opaque::Literal, raw(rest, 2)),
        _ => return None,
    };
    (length > 0).then_some((kind, length))
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => depth += 1,
            [b'*', b'/', ..] => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn quoted(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// Returns the length of a character literal; 0 if the quote starts a lifetime.
fn character(rest: &[u8]) -> usize {
    if rest.get(1) == Some(&b'\\') {
        let close = rest.iter().skip(3).position(|&byte| byte == b'\'');
        return close.map_or(rest.len(), |offset| offset + 4);
    }
    let text = String::from_utf8_lossy(&rest[1..rest.len().min(6)]);
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(c), Some('\'')) => c.len_utf8() + 2,
        _ => 0,
    }
}

/// Returns the length of a raw string with its hashes at `from`; 0 for a raw identifier.
fn raw(rest: &[u8], from: usize) -> usize {
    let hashes = rest[from..].iter().take_while(|&&byte| byte == b'#').count();
    if rest.get(from + hashes) != Some(&b'"') {
        return 0;
    }
    let end: Vec<u8> = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
    let body = from + hashes + 1;
    let close = rest[body..].windows(end.len()).position(|window| window == end);
    close.map_or(rest.len(), |offset| body + offset + end.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<usize> {
        let source = Source::new(text);
        source.find("word").map(|at| source.line(at)).collect()
    }

    #[test]
    fn ignores_words_in_comments_and_literals() {
        assert!(words("// word\n/* word /* word */ word */ /// word\n").is_empty());
        assert!(words(r####"a("word", 'w', b"word \" word", r#"word " word"#, br##"word "# word"##)"####).is_empty());
        assert!(words("keyword words word_ sword").is_empty());
    }

    #[test]
    fn finds_words_next_to_literals() {
        assert_eq!(
            words("'\"' \nword '\\'' \nword <'a> word '\\u{1F600}'\nword 'é' r#word"),
            [2, 3, 3, 4, 4]
        );
        assert_eq!(words("\"a\nb\" // c\nword"), [3]);
    }

    #[test]
    fn recognizes_items_under_cfg_test() {
        let text =
            "#[cfg(test)]\nmod tests;\nuse a;\n#[cfg(test)]\n#[path = \"x\"]\nmod more {\n fn f() {}\n}\nfn g() {}\n";
        let source = Source::new(text);
        let inside = |needle: &str| source.in_test(source.code.find(needle).unwrap_or_default());
        assert!(inside("mod tests") && inside("fn f"));
        assert!(!inside("use a") && !inside("fn g"));
        assert_eq!(source.lines_outside_tests(), 2);
    }

    #[test]
    fn finds_closing_brackets() {
        let source = Source::new("m! { a(\"}\") { } } b");
        assert_eq!(source.code.get(source.bracketed(0)), Some("{ a(   ) { } }"));
    }

    #[test]
    fn records_comments_and_literals() {
        let text = "a(\"x\", 'y'); // one\n/* two */ 'life";
        let source = Source::new(text);
        let texts = |ranges: &[Range<usize>]| {
            ranges
                .iter()
                .map(|range| text[range.clone()].to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(texts(&source.comments), ["// one", "/* two */"]);
        assert_eq!(texts(&source.literals), ["\"x\"", "'y'"]);
    }
}
