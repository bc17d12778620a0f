//! Files have one purpose, which their `//!` header states, and are short enough to read in one go.

use super::{
    Finding,
    source::Source,
    tree::{Tree, is_test},
};

const MAX_LINES: usize = 400;

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, file) in &tree.files {
        if let Some(source) = &file.source {
            findings.extend(length(path, source));
            findings.extend(header(path, &file.text));
        }
    }
    findings
}

fn length(path: &str, source: &Source) -> Option<Finding> {
    let lines = source.lines_outside_tests();
    (lines > MAX_LINES && !is_test(path)).then(|| {
        let problem = format!("{lines} lines without tests, more than {MAX_LINES}");
        Finding::new(path, 1, problem, "split it by topic")
    })
}

fn header(path: &str, text: &str) -> Option<Finding> {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let has_header = first.strip_prefix("//!").is_some_and(|rest| !rest.trim().is_empty());
    (!has_header).then(|| {
        Finding::new(
            path,
            1,
            "no `//!` header",
            "state what the file is for and what it must never do",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{places, tree::tests::tree_of};

    fn long(lines: usize, then: &str) -> String {
        format!("//! Long.\n{}{then}", "use a;\n".repeat(lines - 1))
    }

    #[test]
    fn rejects_a_long_file() {
        let (enough, much) = (long(400, ""), long(401, ""));
        assert!(check(&tree_of(&[("a/src/lib.rs", &enough)])).is_empty());
        assert_eq!(places(check(&tree_of(&[("a/src/lib.rs", &much)]))), ["a/src/lib.rs:1"]);
    }

    #[test]
    fn does_not_count_tests() {
        let tests = long(
            400,
            &format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "use b;\n".repeat(300)),
        );
        let much = long(900, "");
        let files = [
            ("a/src/lib.rs", tests.as_str()),
            ("a/src/tests.rs", &much),
            ("a/src/tests/b.rs", &much),
        ];
        assert!(check(&tree_of(&files)).is_empty());
    }

    #[test]
    fn counts_lines_after_a_test_item() {
        let early = format!("//! Early.\n#[cfg(test)]\nmod tests;\n{}", long(400, ""));
        assert_eq!(places(check(&tree_of(&[("a/src/lib.rs", &early)]))), ["a/src/lib.rs:1"]);
    }

    #[test]
    fn rejects_a_file_without_header() {
        let files = [
            ("a.rs", "use b;\n//! late\n"),
            ("b.rs", ""),
            ("c.rs", "//!\nuse d;\n"),
            ("d.rs", "\n//! D.\n"),
        ];
        assert_eq!(places(check(&tree_of(&files))), ["a.rs:1", "b.rs:1", "c.rs:1"]);
    }
}
