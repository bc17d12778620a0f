//! Code that is not finished or runs on one machine only, and tests that sleep instead of waiting for an event.

use super::{
    Finding,
    source::Source,
    tree::{File, Tree, is_test},
};

struct Word {
    word: &'static str,
    hint: &'static str,
    /// Whether tests may use it.
    in_tests: bool,
}

const WORDS: &[Word] = &[
    Word {
        word: ".unwrap()",
        hint: "return the error",
        in_tests: true,
    },
    Word {
        word: "todo!",
        hint: "implement it, or return an error",
        in_tests: false,
    },
    Word {
        word: "#[ignore",
        hint: "fix the test or delete it",
        in_tests: false,
    },
    Word {
        word: "#[allow(",
        hint: "fix the cause, or #[expect(.., reason = \"..\")]",
        in_tests: true,
    },
    Word {
        word: "#![allow(",
        hint: "fix the cause, or #![expect(.., reason = \"..\")]",
        in_tests: true,
    },
];

const SLEEPS: [&str; 2] = ["sleep(", "sleep_until("];

/// Statements are written whole, so that they can be pasted into a database's shell. Only the list of migrations builds names of files.
const STATEMENTS: &str = "shared/store/src/";
const MIGRATIONS: &str = "shared/store/src/migrations.rs";

const EXCUSE: &str = "// not a synchronisation: ";

/// Prefixes of paths that exist on one machine only. Written in two halves, because this file is checked too.
const MACHINES: [&str; 3] = [concat!("/", "root/"), concat!("/", "work/"), concat!("/", "home/")];

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, file) in &tree.files {
        findings.extend(machine_paths(path, &file.text));
        if let Some(source) = &file.source {
            findings.extend(words(path, source));
            findings.extend(sleeps(path, file, source));
            findings.extend(glued_statements(path, source));
        }
    }
    findings
}

fn words(path: &str, source: &Source) -> Vec<Finding> {
    // The testkit is test code in a separate crate.
    let test_file = is_test(path) || path.starts_with("shared/testkit/");
    let mut findings = Vec::new();
    for Word { word, hint, in_tests } in WORDS {
        let places = source
            .find(word)
            .filter(|&at| !(*in_tests && (test_file || source.in_test(at))));
        findings.extend(places.map(|at| Finding::new(path, source.line(at), format!("`{word}`"), *hint)));
    }
    findings
}

fn glued_statements(path: &str, source: &Source) -> Vec<Finding> {
    if !path.starts_with(STATEMENTS) || path == MIGRATIONS || is_test(path) {
        return Vec::new();
    }
    let places = source.find("concat!").filter(|&at| !source.in_test(at));
    places
        .map(|at| {
            let hint = "write the whole statement as one constant";
            Finding::new(path, source.line(at), "`concat!` glues a statement", hint)
        })
        .collect()
}

fn sleeps(path: &str, file: &File, source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for sleep in SLEEPS {
        for at in source.find(sleep) {
            let declared = source.code[..at].ends_with("fn ");
            let in_test = is_test(path) || source.in_test(at);
            if in_test && !declared && !excused(&file.text, source.bracketed(at).end) {
                let hint = format!("wait for the event, or end the line with `{EXCUSE}..`");
                findings.push(Finding::new(path, source.line(at), "a test sleeps", hint));
            }
        }
    }
    findings
}

/// Whether the line on which the call ends gives a reason for the sleep.
fn excused(text: &str, end: usize) -> bool {
    let rest_of_line = text[end..].lines().next().unwrap_or_default();
    rest_of_line
        .split_once(EXCUSE)
        .is_some_and(|(_, reason)| !reason.trim().is_empty())
}

fn machine_paths(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for machine in MACHINES {
        for (at, _) in text.match_indices(machine) {
            if !text[..at].ends_with(inside_path) {
                let line = 1 + text[..at].matches('\n').count();
                let hint = "use a path relative to the repository, or a variable";
                findings.push(Finding::new(
                    path,
                    line,
                    format!("`{machine}` exists on one machine only"),
                    hint,
                ));
            }
        }
    }
    findings
}

/// Whether a slash after this character continues a path instead of starting one.
fn inside_path(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '~' | '}' | ')' | '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{places, tree::tests::tree_of};

    fn lines(path: &str, text: &str) -> Vec<String> {
        let found = places(check(&tree_of(&[(path, text)])));
        found
            .iter()
            .map(|place| place.replace(&format!("{path}:"), ""))
            .collect()
    }

    #[test]
    fn unfinished_work_is_found() {
        let text = "fn a() {\n b.unwrap();\n todo!()\n}\n#[allow(dead_code)]\n#[ignore = \"x\"]\n#[ignore]\n";
        assert_eq!(lines("a/src/lib.rs", text), ["2", "3", "6", "7", "5"]);
        assert_eq!(lines("a/src/lib.rs", "#![allow(dead_code)]"), ["1"]);
    }

    #[test]
    fn accepts_unwrap_but_not_ignore_in_tests() {
        let text = "#[cfg(test)]\nmod tests {\n fn a() { b.unwrap(); }\n #[ignore]\n fn c() {}\n}\n";
        assert_eq!(lines("a/src/lib.rs", text), ["4"]);
        assert_eq!(lines("tests/src/a.rs", "fn a() { b.unwrap(); todo!() }"), ["1"]);
    }

    #[test]
    fn accepts_similar_words() {
        assert!(
            lines(
                "a/src/lib.rs",
                "// todo!\nlet a = \".unwrap()\"; b.unwrap_or(c); my_todo!()\n"
            )
            .is_empty()
        );
    }

    #[test]
    fn rejects_glued_statements() {
        let text =
            "const SQL: &str = concat!(\"SELECT a \", REST);\n#[cfg(test)]\nmod tests { fn a() { concat!(b) } }\n";
        assert_eq!(lines("shared/store/src/agents.rs", text), ["1"]);
        for path in [
            MIGRATIONS,
            "shared/store/src/tests/agents.rs",
            "shared/domain/src/ids.rs",
        ] {
            assert!(lines(path, text).is_empty(), "{path}");
        }
    }

    #[test]
    fn rejects_a_sleeping_test() {
        assert_eq!(lines("tests/src/a.rs", "\ntokio::time::sleep(x).await;\n"), ["2"]);
        assert_eq!(
            lines("a/src/lib.rs", "#[cfg(test)]\nmod tests { fn a() { sleep_until(x) } }"),
            ["2"]
        );
        assert_eq!(lines("a/src/tests.rs", "sleep(x); // not a synchronisation: \n"), ["1"]);
    }

    #[test]
    fn accepts_a_sleep_with_reason_or_outside_tests() {
        assert!(
            lines(
                "tests/src/a.rs",
                "sleep(x).await; // not a synchronisation: the caller pauses\n"
            )
            .is_empty()
        );
        assert!(lines("a/src/tests.rs", "sleep(\n  x,\n); // not a synchronisation: a pause\n").is_empty());
        assert!(lines("a/src/lib.rs", "sleep(x); fn sleep(y) {}").is_empty());
    }

    #[test]
    fn rejects_paths_of_one_machine() {
        for machine in MACHINES {
            let text = format!("a\nsee {machine}b\nfile://{machine}c\n");
            assert_eq!(lines("docs/a.md", &text), ["2", "3"]);
            assert!(
                lines(
                    "docs/a.md",
                    &format!("https://example.com{machine}b docs{machine}c $A{machine}d")
                )
                .is_empty()
            );
        }
    }
}
