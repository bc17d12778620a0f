//! The prose of a file, as words with their lines: comments of Rust, TOML, SQL, YAML and shell files, and the text of
//! Markdown files. Leaves out code spans, code blocks and quoted addresses.

use super::tree::File;

/// Consecutive lines of prose: a comment, a paragraph, an item of a list.
#[derive(Default)]
pub struct Block {
    pub words: Vec<Word>,
    /// The title of a section.
    pub is_heading: bool,
}

pub struct Word {
    /// In lower case; empty for a code span.
    pub text: String,
    pub line: usize,
    pub starts_sentence: bool,
    /// The character that ends the sentence after this word, if one does.
    pub end: Option<char>,
}

/// A line of prose. Its block continues if the next line has the same kind and the next number.
struct Line<'a> {
    number: usize,
    text: &'a str,
    kind: &'a str,
}

/// Reads the prose of a file; empty for files of other types.
pub fn read(path: &str, file: &File) -> Vec<Block> {
    let name = path.rsplit('/').next().unwrap_or_default();
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let lines = match extension {
        "rs" => rust_comments(file),
        "md" => markdown(&file.text),
        "sql" => line_comments(&file.text, "--"),
        "toml" | "yml" | "yaml" | "sh" => line_comments(&file.text, "#"),
        _ if file.text.starts_with("#!") || name.starts_with("Dockerfile") => line_comments(&file.text, "#"),
        _ => Vec::new(),
    };
    blocks(&lines)
}

/// Reads a text that is one block on one line.
pub fn read_text(text: &str, number: usize) -> Vec<Block> {
    blocks(&[Line { number, text, kind: "" }])
}

fn rust_comments(file: &File) -> Vec<Line<'_>> {
    let Some(source) = &file.source else { return Vec::new() };
    let mut lines = Vec::new();
    let (mut number, mut counted) = (1, 0);
    for range in &source.comments {
        number += file.text[counted..range.start].matches('\n').count();
        counted = range.start;
        let comment = &file.text[range.clone()];
        let is_block = comment.starts_with("/*");
        // A comment after code is a separate block.
        let line_start = file.text[..range.start].rfind('\n').map_or(0, |at| at + 1);
        let is_alone = file.text[line_start..range.start].trim().is_empty();
        for (offset, line) in comment.lines().enumerate() {
            let text = line.trim_start().trim_start_matches(['/', '*', '!']);
            let kind = match line.trim_start() {
                _ if !is_alone => "after code",
                _ if is_block => "/*",
                line if line.starts_with("//!") => "//!",
                line if line.starts_with("///") => "///",
                _ => "//",
            };
            lines.push(Line {
                number: number + offset,
                text,
                kind,
            });
        }
    }
    lines
}

fn line_comments<'a>(text: &'a str, marker: &str) -> Vec<Line<'a>> {
    let comment = |(index, line): (usize, &'a str)| {
        let mut places = line.match_indices(marker).map(|(at, _)| at);
        let at = places.find(|&at| {
            let before = &line[..at];
            let is_quoted = before.matches('"').count() % 2 == 1 || before.matches('\'').count() % 2 == 1;
            !is_quoted && (before.is_empty() || before.ends_with([' ', '\t']))
        })?;
        let is_alone = line[..at].trim().is_empty();
        Some(Line {
            number: index + 1,
            text: line[at..].trim_start_matches(marker),
            kind: if is_alone { "comment" } else { "after code" },
        })
    };
    text.lines().enumerate().filter_map(comment).collect()
}

fn markdown(text: &str) -> Vec<Line<'_>> {
    let line = |(index, text)| Line {
        number: index + 1,
        text,
        kind: "markdown",
    };
    text.lines().enumerate().map(line).collect()
}

/// Joins lines to blocks and splits them into words.
fn blocks(lines: &[Line<'_>]) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut block = Block::default();
    let (mut in_fence, mut in_span) = (false, false);
    let mut last: Option<&Line<'_>> = None;
    for line in lines {
        let continues = last
            .is_some_and(|last| last.kind == line.kind && last.number + 1 == line.number && line.kind != "after code");
        last = Some(line);
        if !continues {
            in_fence = false;
        }
        let text = line.text.trim();
        let is_fence = text.starts_with("```");
        in_fence ^= is_fence;
        let (text, starts_item) = without_bullet(text);
        if !continues || in_fence || is_fence || text.is_empty() || starts_item {
            in_span = false;
            blocks.push(std::mem::take(&mut block));
            block.is_heading = line.text.trim_start().starts_with('#');
        }
        if !(in_fence || is_fence) {
            block.read_line(text, line.number, &mut in_span);
        }
    }
    blocks.push(block);
    blocks.retain(|block| !block.words.is_empty());
    blocks
}

/// Strips the marker of a list, a table or a quotation. True where one was there.
fn without_bullet(line: &str) -> (&str, bool) {
    for marker in ["- ", "* ", "> ", "|", "#"] {
        if let Some(rest) = line.strip_prefix(marker) {
            return (rest.trim_start_matches(['#', ' ']), true);
        }
    }
    let digits = line.trim_start_matches(|c: char| c.is_ascii_digit());
    match digits.strip_prefix(". ") {
        Some(rest) if digits.len() < line.len() => (rest, true),
        _ => (line, false),
    }
}

impl Block {
    fn read_line(&mut self, text: &str, line: usize, in_span: &mut bool) {
        for part in text.split_inclusive('`') {
            let (inner, closes) = part.strip_suffix('`').map_or((part, false), |inner| (inner, true));
            if *in_span {
                if closes {
                    self.push(String::new(), line);
                }
            } else {
                for piece in inner.split_whitespace().filter(|piece| !piece.contains("://")) {
                    self.read_piece(piece, line);
                }
            }
            *in_span ^= closes;
        }
    }

    fn read_piece(&mut self, piece: &str, line: usize) {
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '\'';
        for word in piece.split(|c: char| !is_word(c)).filter(|word| !word.is_empty()) {
            self.push(word.trim_matches('\'').to_lowercase(), line);
        }
        let end = piece.trim_end_matches(['"', ')', '*', '_', '\'']).chars().next_back();
        if let (Some(last), Some(end @ ('.' | '!' | '?'))) = (self.words.last_mut(), end) {
            last.end = Some(end);
        }
    }

    fn push(&mut self, text: String, line: usize) {
        let starts_sentence = self.words.last().is_none_or(|word| word.end.is_some());
        self.words.push(Word {
            text,
            line,
            starts_sentence,
            end: None,
        });
    }

    /// Whether the sentence with this word is a question.
    pub fn is_question(&self, word: usize) -> bool {
        let end = self.words[word..].iter().find_map(|word| word.end);
        end == Some('?')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::source::Source;

    fn words(path: &str, text: &str) -> Vec<String> {
        let file = File {
            text: text.to_owned(),
            source: path.ends_with(".rs").then(|| Source::new(text)),
        };
        let show = |word: &Word| {
            let mark = if word.starts_sentence { "^" } else { "" };
            format!("{mark}{}:{}", word.text, word.line)
        };
        read(path, &file)
            .iter()
            .flat_map(|block| block.words.iter().map(show))
            .collect()
    }

    #[test]
    fn reads_comments_of_rust_across_lines() {
        let text = "/// One two\n/// three. Four\nlet a = \"no\"; // five\n/* six */\n";
        assert_eq!(
            words("a.rs", text),
            ["^one:1", "two:1", "three:2", "^four:2", "^five:3", "^six:4"]
        );
    }

    #[test]
    fn leaves_out_code_spans_and_blocks() {
        assert_eq!(
            words("a.md", "a `b\nc` d\n```\ne\n```\nf"),
            ["^a:1", ":2", "d:2", "^f:6"]
        );
        assert_eq!(words("a.md", "see https://whose.example now"), ["^see:1", "now:1"]);
    }

    #[test]
    fn starts_a_sentence_in_each_item_of_a_list() {
        assert_eq!(
            words("a.md", "- a\n- b c\n1. d\n# e"),
            ["^a:1", "^b:2", "c:2", "^d:3", "^e:4"]
        );
    }

    #[test]
    fn reads_comments_of_toml_sql_and_shell() {
        assert_eq!(words("a.toml", "# a\nb = \"#c\" # d\n"), ["^a:1", "^d:2"]);
        assert_eq!(words("a.sql", "select 1 -- a\n"), ["^a:1"]);
        assert_eq!(words("run", "#!/bin/sh\n# a\necho ${#b}\n").len(), 3);
        assert!(words("a.txt", "# a").is_empty());
    }
}
