//! Every public function of the store is tested on both engines: the store's tests call it, and every test there runs
//! through `both_engines!`.

use std::ops::Range;

use super::{
    Finding,
    source::Source,
    tree::{Tree, is_test},
};

const SOURCES: &str = "shared/store/src/";
const TESTS: &str = "shared/store/src/tests/";
const FUNCTION: &str = "pub async fn ";
const BOTH: &str = "both_engines!";
const TEST_ATTRIBUTES: [&str; 3] = ["#[test]", "#[tokio::test", "#[sqlx::test"];

pub fn check(tree: &Tree) -> Vec<Finding> {
    let tests: Vec<(&str, &Source)> = tree.rust().filter(|(path, _)| path.starts_with(TESTS)).collect();
    let mut findings = Vec::new();
    for (path, source) in tree
        .rust()
        .filter(|(path, _)| path.starts_with(SOURCES) && !is_test(path))
    {
        for at in source.find(FUNCTION).filter(|&at| !source.in_test(at)) {
            let name = source.identifier(at + FUNCTION.len());
            if !tests.iter().any(|(_, test)| calls(test, name)) {
                let hint = format!("call it in {TESTS} inside `{BOTH}`, or make it pub(crate)");
                findings.push(Finding::new(
                    path,
                    source.line(at),
                    format!("`{name}` has no test"),
                    hint,
                ));
            }
        }
    }
    findings.extend(tests.iter().flat_map(|(path, source)| on_one_engine(path, source)));
    findings
}

fn calls(source: &Source, name: &str) -> bool {
    source.find(name).any(|at| {
        let after = &source.code[at + name.len()..];
        let declared = source.code[..at].ends_with("fn ");
        !declared && (after.starts_with('(') || after.starts_with("::<"))
    })
}

/// Finds tests outside of the macro: they run on one engine only.
fn on_one_engine(path: &str, source: &Source) -> Vec<Finding> {
    // The definition of the macro contains the attributes too.
    let macros: Vec<Range<usize>> = [BOTH, "macro_rules! both_engines"]
        .iter()
        .flat_map(|word| spans(source, word))
        .collect();
    let mut findings = Vec::new();
    for attribute in TEST_ATTRIBUTES {
        for at in source
            .find(attribute)
            .filter(|at| !macros.iter().any(|span| span.contains(at)))
        {
            let hint = format!("put it inside `{BOTH}`");
            findings.push(Finding::new(
                path,
                source.line(at),
                "a test of the store runs on one engine only",
                hint,
            ));
        }
    }
    findings
}

fn spans<'a>(source: &'a Source, word: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
    source.find(word).map(|at| source.bracketed(at + word.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{places, tree::tests::tree_of};

    const STORE: &str = "//! S.\nimpl Store {\n    pub async fn create_agent(&self) {}\n    pub(crate) async fn inner() {}\n\
                         \n    async fn own() {}\n}\n#[cfg(test)]\nmod tests { pub async fn helper() {} }\n";

    fn check_test(text: &str) -> Vec<String> {
        let files = [
            ("shared/store/src/agents.rs", STORE),
            ("shared/store/src/tests/agents.rs", text),
        ];
        places(check(&tree_of(&files)))
            .iter()
            .map(|place| place.replace("shared/store/src/", ""))
            .collect()
    }

    #[test]
    fn accepts_a_called_function() {
        assert!(check_test("both_engines! { async fn a(store: Store) { store.create_agent().await; } }").is_empty());
        assert!(check_test("both_engines!(a);\nasync fn a(s: S) { s.create_agent::<T>().await; }").is_empty());
    }

    #[test]
    fn rejects_a_function_that_no_test_calls() {
        for text in [
            "",
            "// create_agent()",
            "fn create_agent() {}",
            "create_agents(); let create_agent = 1;",
        ] {
            assert_eq!(check_test(text), ["agents.rs:3"], "{text}");
        }
    }

    #[test]
    fn does_not_count_calls_from_other_files() {
        let files = [
            ("shared/store/src/agents.rs", STORE),
            ("shared/store/src/a_tests.rs", "create_agent()"),
        ];
        assert_eq!(places(check(&tree_of(&files))), ["shared/store/src/agents.rs:3"]);
    }

    #[test]
    fn rejects_a_test_on_one_engine() {
        let text = "both_engines! { a }\n#[tokio::test]\nasync fn b() { s.create_agent() }\n#[test]\nfn c() {}\n";
        assert_eq!(check_test(text), ["tests/agents.rs:4", "tests/agents.rs:2"]);
    }

    #[test]
    fn accepts_tests_in_the_definition_of_the_macro() {
        let text = "macro_rules! both_engines { () => { #[tokio::test] async fn a() {} } }\n\
                    both_engines! { #[test] fn b() { s.create_agent() } }";
        assert!(check_test(text).is_empty());
    }
}
