//! `cargo xtask tidy`: what holds this workspace together and no compiler checks. Each rule is one file and
//! one line in `RULES`; it reads the tree and tells its findings, each with how to mend it.

mod arrows;
mod files;
mod migrations;
mod providers;
mod source;
mod store;
mod tree;
mod words;

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, anyhow};

use tree::Tree;

const RULES: &[fn(&Tree) -> Vec<Finding>] = &[
    arrows::check,
    files::check,
    store::check,
    providers::check,
    migrations::check,
    words::check,
];

/// One thing that is not in order.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    file: String,
    /// From 1.
    line: usize,
    what: String,
    /// What to do about it.
    mend: String,
}

impl Finding {
    fn new(file: impl Into<String>, line: usize, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line,
            what: what.into(),
            mend: mend.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, what, mend } = self;
        write!(f, "{file}:{line}: {what}; {mend}")
    }
}

pub fn main() -> anyhow::Result<ExitCode> {
    let tree = Tree::read(&workspace_root()?)?;
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(&tree)).collect();
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        println!("tidy: {} files in order", tree.files.len());
        return Ok(ExitCode::SUCCESS);
    }
    println!("tidy: {} to mend", findings.len());
    Ok(ExitCode::FAILURE)
}

/// The nearest folder upwards whose `Cargo.toml` is the workspace's.
fn workspace_root() -> anyhow::Result<PathBuf> {
    let here = env::current_dir().context("there is no current folder")?;
    let is_root = |folder: &&Path| {
        fs::read_to_string(folder.join("Cargo.toml")).is_ok_and(|text| text.lines().any(|line| line == "[workspace]"))
    };
    let root = here.ancestors().find(is_root);
    root.map(Path::to_owned)
        .ok_or_else(|| anyhow!("{} lies in no workspace", here.display()))
}

/// For the rules' tests: `file:line` of each finding, in order.
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

    #[test]
    fn a_finding_is_one_clear_line() {
        let finding = Finding::new("a/b.rs", 3, "`todo!` is not done", "do it");
        assert_eq!(finding.to_string(), "a/b.rs:3: `todo!` is not done; do it");
    }

    #[test]
    fn this_workspace_is_found_from_here() {
        assert!(workspace_root().unwrap().join("shared/xtask/src/tidy/mod.rs").exists());
    }
}
