//! Names of tests are short: a condition and a result. Checks every function in test code, because macros also turn
//! functions without `#[test]` into tests.

use super::{
    Finding,
    source::Source,
    tree::{Tree, is_test},
};

const MAX_LENGTH: usize = 60;

/// Holds the conformance suites: their functions become tests in other crates.
const SUITES: &str = "shared/testkit/";

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, source) in tree.rust() {
        for (at, name) in test_functions(path, source) {
            let length = name.chars().count();
            if length > MAX_LENGTH {
                let problem = format!("`{name}` has {length} characters, more than {MAX_LENGTH}");
                let hint = "name the condition and the result, like `rejects_expired_token`";
                findings.push(Finding::new(path, source.line(at), problem, hint));
            }
        }
    }
    findings
}

/// Lists the functions in test code: offset and name.
pub fn test_functions<'a>(path: &str, source: &'a Source) -> impl Iterator<Item = (usize, &'a str)> {
    let is_test_file = is_test(path) || path.starts_with(SUITES);
    let places = source.find("fn ").filter(move |&at| is_test_file || source.in_test(at));
    places.map(|at| (at, source.identifier(at + "fn ".len())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{places, tree::tests::tree_of};

    #[test]
    fn rejects_long_names_in_tests_only() {
        let long = format!("fn {}() {{}}", "x".repeat(61));
        let short = format!("fn {}() {{}}", "x".repeat(60));
        let in_module = format!("{long}\n#[cfg(test)]\nmod tests {{\n{long} {short}\n}}");
        let files = [
            ("a/src/lib.rs", in_module.as_str()),
            ("a/src/tests.rs", &long),
            ("a/src/b_tests.rs", &short),
            ("shared/testkit/src/suite.rs", &long),
        ];
        let expected = ["a/src/lib.rs:4", "a/src/tests.rs:1", "shared/testkit/src/suite.rs:1"];
        assert_eq!(places(check(&tree_of(&files))), expected);
    }
}
