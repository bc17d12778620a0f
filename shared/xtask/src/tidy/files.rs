//! Files tell one thing: they say at their head what for, and stay short enough to be read at once.

use super::{
    Finding,
    source::Source,
    tree::{Tree, is_test},
};

const MOST_LINES: usize = 400;

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, file) in &tree.files {
        if let Some(source) = &file.source {
            findings.extend(length(path, source));
            findings.extend(head(path, &file.text));
        }
    }
    findings
}

fn length(path: &str, source: &Source) -> Option<Finding> {
    let lines = source.lines_outside_tests();
    (lines > MOST_LINES && !is_test(path)).then(|| {
        let what = format!("{lines} lines without its tests, {MOST_LINES} at most");
        Finding::new(path, 1, what, "split it by what it tells")
    })
}

fn head(path: &str, text: &str) -> Option<Finding> {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let says = first.strip_prefix("//!").is_some_and(|rest| !rest.trim().is_empty());
    (!says).then(|| {
        Finding::new(
            path,
            1,
            "no `//!` at the head",
            "say what the file is for and what it must never do",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{places, tree::tests::made_up};

    fn long(lines: usize, then: &str) -> String {
        format!("//! Long.\n{}{then}", "use a;\n".repeat(lines - 1))
    }

    #[test]
    fn a_long_file_is_found() {
        let (enough, much) = (long(400, ""), long(401, ""));
        assert!(check(&made_up(&[("a/src/lib.rs", &enough)])).is_empty());
        assert_eq!(places(check(&made_up(&[("a/src/lib.rs", &much)]))), ["a/src/lib.rs:1"]);
    }

    #[test]
    fn tests_do_not_count() {
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
        assert!(check(&made_up(&files)).is_empty());
    }

    #[test]
    fn lines_after_a_test_item_count() {
        let early = format!("//! Early.\n#[cfg(test)]\nmod tests;\n{}", long(400, ""));
        assert_eq!(places(check(&made_up(&[("a/src/lib.rs", &early)]))), ["a/src/lib.rs:1"]);
    }

    #[test]
    fn a_file_without_a_head_is_found() {
        let files = [
            ("a.rs", "use b;\n//! late\n"),
            ("b.rs", ""),
            ("c.rs", "//!\nuse d;\n"),
            ("d.rs", "\n//! D.\n"),
        ];
        assert_eq!(places(check(&made_up(&files))), ["a.rs:1", "b.rs:1", "c.rs:1"]);
    }
}
