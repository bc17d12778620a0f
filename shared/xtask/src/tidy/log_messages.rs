//! Messages of the log are constant phrases, so that they can be searched for; values go into fields.

use super::{
    Finding,
    source::Source,
    tree::{Tree, is_test},
};

const MACROS: [&str; 5] = ["trace!", "debug!", "info!", "warn!", "error!"];

/// The message of one call of a log macro.
pub struct Message<'a> {
    /// The literal without its quotes.
    pub text: &'a str,
    pub line: usize,
}

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, file) in tree.files.iter().filter(|(path, _)| !is_test(path)) {
        let Some(source) = &file.source else { continue };
        for Message { text, line } in messages(&file.text, source) {
            if text.replace("{{", "").contains('{') {
                let hint = "write a constant phrase, and pass the value as a field: `%error, \"..\"`";
                findings.push(Finding::new(path, line, "the log message contains a value", hint));
            }
        }
    }
    findings
}

/// Finds the messages of log macros: the last literal at the top level of the arguments.
pub fn messages<'a>(text: &'a str, source: &Source) -> Vec<Message<'a>> {
    let mut messages = Vec::new();
    for name in MACROS {
        for at in source.find(name) {
            let arguments = source.bracketed(at + name.len());
            let mut literals = source
                .literals
                .iter()
                .rev()
                .filter(|literal| arguments.contains(&literal.start));
            let message = literals.find(|literal| {
                let before = source.code[arguments.start + 1..literal.start].trim_end();
                before.is_empty() || before.ends_with(',')
            });
            if let Some(literal) = message {
                messages.push(Message {
                    text: text[literal.clone()].trim_matches('"'),
                    line: source.line(literal.start),
                });
            }
        }
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{places, tree::tests::tree_of};

    fn check_text(text: &str) -> Vec<String> {
        places(check(&tree_of(&[("a/src/lib.rs", text)])))
    }

    #[test]
    fn accepts_constant_messages() {
        let text = "tracing::warn!(%error, call = %f(\"{x}\"), \"carrier request failed\"); info!(\"a {{b}}\");";
        assert!(check_text(text).is_empty());
    }

    #[test]
    fn rejects_values_in_messages() {
        let text = "tracing::info!(%a,\n \"b {c}\");\nerror!(\"{}\", d);";
        assert_eq!(
            check_text(text),
            ["a/src/lib.rs:3", "a/src/lib.rs:2"]
                .map(str::to_owned)
                .into_iter()
                .rev()
                .collect::<Vec<_>>()
        );
    }
}
