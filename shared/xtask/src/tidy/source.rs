//! A Rust text as the rules read it: comments and the insides of literals are blanked, so that a word in a
//! string is no finding, while every offset and line stays where it was. A lexer, not a parser: macro bodies,
//! which a parser would skip, count too.

use std::ops::Range;

const TEST_ATTRIBUTES: [&str; 3] = ["#[cfg(test)]", "#[cfg(all(test", "#[cfg(any(test"];

pub struct Source {
    pub code: String,
    tests: Vec<Range<usize>>,
}

impl Source {
    pub fn new(text: &str) -> Self {
        let code = blank(text);
        let mut tests: Vec<Range<usize>> = Vec::new();
        for attribute in TEST_ATTRIBUTES {
            tests.extend(code.match_indices(attribute).map(|(at, _)| at..end_of_item(&code, at)));
        }
        Self { code, tests }
    }

    /// Whether the offset lies in an item under `#[cfg(test)]`.
    pub fn in_test(&self, at: usize) -> bool {
        self.tests.iter().any(|range| range.contains(&at))
    }

    /// The line of an offset, from 1.
    pub fn line(&self, at: usize) -> usize {
        1 + self
            .code
            .as_bytes()
            .iter()
            .take(at)
            .filter(|&&byte| byte == b'\n')
            .count()
    }

    /// Lines outside of items under `#[cfg(test)]`.
    pub fn lines_outside_tests(&self) -> usize {
        let (mut at, mut count) = (0, 0);
        for line in self.code.split_inclusive('\n') {
            let indent = line.len() - line.trim_start().len();
            count += usize::from(!self.in_test(at + indent.min(line.len() - 1)));
            at += line.len();
        }
        count
    }

    /// Where `needle` stands as whole words: neither end lies inside a longer identifier.
    pub fn find<'a>(&'a self, needle: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.code.match_indices(needle).map(|(at, _)| at).filter(move |&at| {
            let (before, after) = (&self.code[..at], &self.code[at + needle.len()..]);
            let joins = |outer: Option<char>, inner: Option<char>| outer.is_some_and(word) && inner.is_some_and(word);
            !joins(before.chars().next_back(), needle.chars().next())
                && !joins(after.chars().next(), needle.chars().next_back())
        })
    }

    /// The identifier that starts at the offset; empty if none does.
    pub fn identifier(&self, at: usize) -> &str {
        let rest = &self.code[at..];
        &rest[..rest.find(|c| !word(c)).unwrap_or(rest.len())]
    }

    /// From the first bracket at or after the offset to its partner, both included.
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

/// The offset of the bracket that closes the one at `open`.
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

/// Where the item ends that starts with the attribute at `at`: after its `;` or its closing brace.
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
            // The attribute stood on a field or an argument, whose list ends here.
            b')' | b']' | b'}' => return here,
            _ => {}
        }
        here += 1;
    }
    code.len()
}

/// The same text with comments and the insides of literals turned into spaces, newlines kept.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = at + opaque(bytes, at);
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// How many bytes from here on are a comment or a literal; 0 if here is plain code.
fn opaque(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let in_word = at > 0 && word(char::from(bytes[at - 1]));
    match rest {
        [b'/', b'/', ..] => rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => block_comment(rest),
        [b'"', ..] => quoted(rest),
        [b'\'', ..] => character(rest),
        [b'r', b'"' | b'#', ..] if !in_word => raw(rest, 1),
        [b'b' | b'c', b'r', b'"' | b'#', ..] if !in_word => raw(rest, 2),
        _ => 0,
    }
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

/// A character literal, or nothing where the quote begins a lifetime.
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

/// A raw string whose hashes start at `from`, or nothing where it is a raw identifier.
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
    fn words_in_comments_and_literals_do_not_count() {
        assert!(words("// word\n/* word /* word */ word */ /// word\n").is_empty());
        assert!(words(r####"a("word", 'w', b"word \" word", r#"word " word"#, br##"word "# word"##)"####).is_empty());
        assert!(words("keyword words word_ sword").is_empty());
    }

    #[test]
    fn words_beside_literals_count() {
        assert_eq!(
            words("'\"' \nword '\\'' \nword <'a> word '\\u{1F600}'\nword 'é' r#word"),
            [2, 3, 3, 4, 4]
        );
        assert_eq!(words("\"a\nb\" // c\nword"), [3]);
    }

    #[test]
    fn an_item_under_cfg_test_is_test_code() {
        let text =
            "#[cfg(test)]\nmod tests;\nuse a;\n#[cfg(test)]\n#[path = \"x\"]\nmod more {\n fn f() {}\n}\nfn g() {}\n";
        let source = Source::new(text);
        let inside = |needle: &str| source.in_test(source.code.find(needle).unwrap_or_default());
        assert!(inside("mod tests") && inside("fn f"));
        assert!(!inside("use a") && !inside("fn g"));
        assert_eq!(source.lines_outside_tests(), 2);
    }

    #[test]
    fn brackets_find_their_partners() {
        let source = Source::new("m! { a(\"}\") { } } b");
        assert_eq!(source.code.get(source.bracketed(0)), Some("{ a(   ) { } }"));
    }
}
