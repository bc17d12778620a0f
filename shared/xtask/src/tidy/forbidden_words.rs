//! Comments, docs, log messages, error texts and names of tests use the standard words of the field. The tables below list
//! the words and openings of sentences that are not allowed, each with a hint. Code spans are exempt.

use std::{collections::HashMap, ops::Range};

use super::{
    Finding,
    log_messages::messages,
    prose::{self, Block},
    source::Source,
    test_names::test_functions,
    tree::Tree,
};

/// Phrases that are not allowed anywhere.
const PHRASES: &[(&str, &str)] = &[
    ("whoever", "name the role: the caller, the client, the agent"),
    ("whomever", "name the role: the caller, the client, the agent"),
    ("whom", "use `that`, or two sentences"),
    ("whose", "use `with` or `of`, or two sentences"),
    ("nobody", "use `no caller`, `no client`, `no agent`, or a passive"),
    ("somebody", "name the role: a caller, a client, an agent"),
    ("anybody", "name the role: a caller, a client, an agent"),
    ("everybody", "name the role: all callers, all clients, all agents"),
    ("whichever", "use `the` or `any`"),
    ("of ours", "use `our`, or name the component"),
    ("of theirs", "name the owner"),
    ("of its own", "use `own`, `separate` or `its`"),
    ("what is asked", "name the request"),
    ("what is told", "name the notification or the message"),
    ("what is said", "name the message or the text"),
    ("is told", "use `is notified`, `receives`"),
    ("are told", "use `are notified`, `receive`"),
    ("tells", "use `reports`, `notifies`, `states`"),
    ("strikes out", "use `suppresses`, `removes`"),
    ("in the hands of", "use `owned by`, `held by`"),
    ("mend", "use `fix`"),
    ("mends", "use `fixes`"),
    ("mended", "use `fixed`"),
    ("comes again", "use `repeats`, `is delivered again`"),
    ("goes on", "use `continues`"),
    ("stands in", "use `is in`, `replaces`"),
    ("by itself", "use `automatically` or `alone`"),
    ("lies", "use `is`"),
    ("nothing but", "use `only`"),
];

/// Words that do not open a sentence, unless it is a question or a heading.
const OPENINGS: &[(&str, &str)] = &[
    ("who", "name the role: the caller, the client, the agent"),
    ("what", "begin with the noun or the verb"),
    ("where", "begin with `If`, `With`, `In`, or the noun"),
    ("nothing", "begin with the noun: `No ..`"),
    ("and", "join the sentences, or drop the word"),
    ("but", "join the sentences, or drop the word"),
];

/// Migrations up to this number landed before this rule: their checksums are fixed, so their comments stay.
const LAST_EXEMPT_MIGRATION: u32 = 12;

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut phrases: HashMap<&str, Vec<Phrase>> = HashMap::new();
    for (text, hint) in PHRASES {
        let words: Vec<&str> = text.split(' ').collect();
        phrases.entry(words[0]).or_default().push(Phrase { text, words, hint });
    }
    let mut findings = Vec::new();
    for (path, file) in tree.files.iter().filter(|(path, _)| !is_exempt(path)) {
        let mut blocks = prose::read(path, file);
        if let Some(source) = &file.source {
            for message in messages(&file.text, source) {
                blocks.extend(prose::read_text(message.text, message.line));
            }
            for text in error_texts(source) {
                blocks.extend(prose::read_text(&file.text[text.clone()], source.line(text.start)));
            }
            for (at, name) in test_functions(path, source) {
                blocks.extend(prose::read_text(&name.replace('_', " "), source.line(at)));
            }
        }
        for block in &blocks {
            findings.extend(forbidden_phrases(path, block, &phrases));
            findings.extend(forbidden_openings(path, block));
        }
    }
    findings
}

struct Phrase {
    text: &'static str,
    words: Vec<&'static str>,
    hint: &'static str,
}

/// Finds the literals in `#[error(..)]` attributes.
fn error_texts(source: &Source) -> impl Iterator<Item = &Range<usize>> {
    let attributes = source.find("#[error(").map(|at| source.bracketed(at));
    attributes.flat_map(|attribute| {
        source
            .literals
            .iter()
            .filter(move |literal| attribute.contains(&literal.start))
    })
}

fn is_exempt(path: &str) -> bool {
    let number = path
        .strip_prefix("migrations/")
        .and_then(|name| name.get(..4)?.parse::<u32>().ok());
    number.is_some_and(|number| number <= LAST_EXEMPT_MIGRATION)
}

fn forbidden_phrases(path: &str, block: &Block, phrases: &HashMap<&str, Vec<Phrase>>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, word) in block.words.iter().enumerate() {
        for Phrase { text, words, hint } in phrases.get(word.text.as_str()).into_iter().flatten() {
            let here = block.words[at..].iter().map(|word| word.text.as_str());
            if here.take(words.len()).eq(words.iter().copied()) {
                findings.push(Finding::new(path, word.line, format!("\"{text}\""), *hint));
            }
        }
    }
    findings
}

fn forbidden_openings(path: &str, block: &Block) -> Vec<Finding> {
    let mut findings = Vec::new();
    if block.is_heading {
        return findings;
    }
    for (at, word) in block.words.iter().enumerate().filter(|(_, word)| word.starts_sentence) {
        let opening = OPENINGS.iter().find(|(opening, _)| *opening == word.text);
        if let Some((opening, hint)) = opening.filter(|_| !block.is_question(at) && block.words.len() > 1) {
            let problem = format!("the sentence begins with \"{opening}\"");
            findings.push(Finding::new(path, word.line, problem, *hint));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{places, tree::tests::tree_of};

    fn check_file(path: &str, text: &str) -> Vec<String> {
        let findings = places(check(&tree_of(&[(path, text)])));
        findings
            .iter()
            .map(|place| place.replace(&format!("{path}:"), ""))
            .collect()
    }

    #[test]
    fn rejects_words_in_comments_and_docs() {
        assert_eq!(
            check_file("a.rs", "// a\n//! Whose key it\n/* is told */ let nobody = \"whose\";"),
            ["2", "3"]
        );
        assert_eq!(
            check_file("a.md", "# The Whose\n\nit goes\non and goes on\n"),
            ["1", "3", "4"]
        );
        assert_eq!(check_file("a.toml", "a = \"whose\" # whose\n"), ["1"]);
    }

    #[test]
    fn accepts_code_spans_and_longer_words() {
        assert!(check_file("a.rs", "// `whose` amend mending lies_in families\n").is_empty());
        assert!(check_file("a.md", "`nobody`\n\n```\nwhose\n```\n").is_empty());
    }

    #[test]
    fn rejects_words_in_log_messages() {
        assert_eq!(
            check_file(
                "a.rs",
                "fn f() {\n tracing::warn!(%error,\n \"nobody listens\");\n g(\"nobody\");\n}"
            ),
            ["3"]
        );
    }

    #[test]
    fn rejects_words_in_errors_and_names_of_tests() {
        assert_eq!(
            check_file(
                "a.rs",
                "#[error(\"nobody: {0}\")]\nstruct A(&str);\nlet b = \"nobody\";"
            ),
            ["1"]
        );
        assert_eq!(
            check_file("a/tests.rs", "fn nobody_is_told() {}\nfn two() {}"),
            ["1", "1"]
        );
        assert!(check_file("a.rs", "fn nobody() {}").is_empty());
    }

    #[test]
    fn rejects_openings_of_sentences() {
        assert_eq!(
            check_file(
                "a.rs",
                "// What is left goes. And that is it\n// and this. But\n// no.\n"
            ),
            ["1", "1", "2"]
        );
        assert!(check_file("a.md", "# What is left\n- What is left?\n- a and b, but what\n").is_empty());
    }

    #[test]
    fn skips_landed_migrations() {
        assert!(check_file("migrations/0012_a.sql", "-- whose\n").is_empty());
        assert_eq!(check_file("migrations/0013_a.sql", "-- whose\n"), ["1"]);
    }
}
