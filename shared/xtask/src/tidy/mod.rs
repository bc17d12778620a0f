//! `cargo xtask tidy`: checks that the compiler and clippy do not make. Each rule is one file and one entry in
//! `RULES`. A rule reads the tree and returns findings, each with a hint; it never changes a file.

mod audited;
mod commits;
mod dependency_rules;
mod file_circles;
mod files;
mod forbidden_code;
mod forbidden_words;
mod log_messages;
mod migrations;
mod modules;
mod prose;
mod providers;
mod settings;
mod source;
mod store_tests;
mod test_names;
mod tree;

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, anyhow};
use clap::builder::{PossibleValue, PossibleValuesParser};

use tree::Tree;

struct Rule {
    name: &'static str,
    about: &'static str,
    check: fn(&Tree) -> Vec<Finding>,
}

const RULES: &[Rule] = &[
    Rule {
        name: "dependencies",
        about: "a crate depends only on the crates that the table in `dependency_rules.rs` allows",
        check: dependency_rules::check,
    },
    Rule {
        name: "circles",
        about: "the files of a crate do not depend on each other in a circle",
        check: file_circles::check,
    },
    Rule {
        name: "files",
        about: "a file has a `//!` header and at most 400 lines without tests",
        check: files::check,
    },
    Rule {
        name: "words",
        about: "comments, docs and log messages avoid the words in `forbidden_words.rs`",
        check: forbidden_words::check,
    },
    Rule {
        name: "logs",
        about: "log messages are constant: values go into fields",
        check: log_messages::check,
    },
    Rule {
        name: "code",
        about: "no `unwrap`, `todo!`, ignored test, sleep in a test or path of one machine",
        check: forbidden_code::check,
    },
    Rule {
        name: "test-names",
        about: "names of tests have at most 60 characters",
        check: test_names::check,
    },
    Rule {
        name: "commits",
        about: "commit subjects have at most 72 characters and one topic",
        check: commits::check,
    },
    Rule {
        name: "audited",
        about: "administrative tables change with an audit entry in the same transaction",
        check: audited::check,
    },
    Rule {
        name: "store-tests",
        about: "every public function of the store is tested on both engines",
        check: store_tests::check,
    },
    Rule {
        name: "providers",
        about: "every vendor is registered and passes the conformance suites of what it offers",
        check: providers::check,
    },
    Rule {
        name: "migrations",
        about: "migrations are numbered without gaps and exist for both engines",
        check: migrations::check,
    },
    Rule {
        name: "settings",
        about: "docs/SETTINGS.md is what `cargo xtask settings` writes",
        check: settings::check,
    },
];

#[derive(clap::Args)]
pub struct Options {
    /// Run only this rule. Can be repeated.
    #[arg(long = "rule", value_name = "NAME", value_parser = rule_names())]
    rules: Vec<String>,
    /// Print only the findings below these paths, relative to the root of the workspace.
    paths: Vec<String>,
}

fn rule_names() -> PossibleValuesParser {
    PossibleValuesParser::new(RULES.iter().map(|rule| PossibleValue::new(rule.name).help(rule.about)))
}

impl Options {
    fn selects_rule(&self, rule: &Rule) -> bool {
        self.rules.is_empty() || self.rules.iter().any(|name| name == rule.name)
    }

    /// Whether the finding is below one of the paths, or names a file there.
    fn selects_finding(&self, finding: &Finding) -> bool {
        let mut paths = self
            .paths
            .iter()
            .map(|path| path.trim_start_matches("./").trim_end_matches('/'));
        self.paths.is_empty()
            || paths.any(|path| Path::new(&finding.file).starts_with(path) || finding.problem.contains(path))
    }
}

/// One violation of a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    file: String,
    /// Starts at 1; 0 if the finding has no line.
    line: usize,
    problem: String,
    /// How to fix it.
    hint: String,
}

impl Finding {
    fn new(file: impl Into<String>, line: usize, problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line,
            problem: problem.into(),
            hint: hint.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            problem,
            hint,
        } = self;
        match line {
            0 => write!(f, "{file}: {problem}; {hint}"),
            _ => write!(f, "{file}:{line}: {problem}; {hint}"),
        }
    }
}

/// Runs the selected rules and prints their findings. Fails if there are any.
pub fn main(options: &Options) -> anyhow::Result<ExitCode> {
    let tree = Tree::read(&workspace_root()?)?;
    let rules = RULES.iter().filter(|rule| options.selects_rule(rule));
    let mut findings: Vec<Finding> = rules.flat_map(|rule| (rule.check)(&tree)).collect();
    findings.retain(|finding| options.selects_finding(finding));
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        println!("tidy: no findings in {} files", tree.files.len());
        return Ok(ExitCode::SUCCESS);
    }
    println!("tidy: {} findings", findings.len());
    Ok(ExitCode::FAILURE)
}

/// Returns the nearest parent folder with a `Cargo.toml` that defines the workspace.
fn workspace_root() -> anyhow::Result<PathBuf> {
    let here = env::current_dir().context("there is no current folder")?;
    let is_root = |folder: &&Path| {
        fs::read_to_string(folder.join("Cargo.toml")).is_ok_and(|text| text.lines().any(|line| line == "[workspace]"))
    };
    let root = here.ancestors().find(is_root);
    root.map(Path::to_owned)
        .ok_or_else(|| anyhow!("{} is not in a workspace", here.display()))
}

/// Returns `file:line` of each finding, in order.
#[cfg(test)]
fn places(findings: Vec<Finding>) -> Vec<String> {
    findings
        .into_iter()
        .map(|Finding { file, line, .. }| format!("{file}:{line}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(paths: &[&str]) -> Options {
        Options {
            rules: Vec::new(),
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        }
    }

    #[test]
    fn prints_a_finding_as_one_line() {
        let finding = Finding::new("a/b.rs", 3, "`todo!` is not done", "do it");
        assert_eq!(finding.to_string(), "a/b.rs:3: `todo!` is not done; do it");
        let finding = Finding::new("commit abc", 0, "too long", "shorten it");
        assert_eq!(finding.to_string(), "commit abc: too long; shorten it");
    }

    #[test]
    fn finds_the_root_of_this_workspace() {
        assert!(workspace_root().unwrap().join("shared/xtask/src/tidy/mod.rs").exists());
    }

    #[test]
    fn selects_findings_by_path() {
        let finding = Finding::new("shared/bus/src/lib.rs", 1, "circle with shared/bus/src/a.rs:1", "");
        for paths in [
            &[] as &[&str],
            &["shared/bus"],
            &["./shared/bus/"],
            &["shared/bus/src/a.rs"],
        ] {
            assert!(options(paths).selects_finding(&finding), "{paths:?}");
        }
        assert!(!options(&["services"]).selects_finding(&finding));
    }

    #[test]
    fn rule_names_are_unique() {
        let mut names: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), RULES.len());
    }
}
