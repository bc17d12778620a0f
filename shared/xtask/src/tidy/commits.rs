//! Subjects of commits are short and name one topic. Checks the commits after `BASE`, without merges; skips the check
//! in a clone that is too shallow to contain `BASE`, and outside of git.

use std::{path::Path, process::Command};

use super::{Finding, tree::Tree};

/// The last commit before this rule.
const BASE: &str = "64db681";

const MAX_LENGTH: usize = 72;

pub fn check(tree: &Tree) -> Vec<Finding> {
    let log = log_since_base(&tree.root).unwrap_or_default();
    let commits = log.lines().filter_map(|line| line.split_once(' '));
    commits
        .filter_map(|(hash, subject)| check_subject(hash, subject))
        .collect()
}

/// Lists `hash subject` of the commits after `BASE`. Returns `None` where `BASE` is not in the history.
fn log_since_base(root: &Path) -> Option<String> {
    let git = |arguments: &[&str]| Command::new("git").arg("-C").arg(root).args(arguments).output().ok();
    let has_base = git(&["merge-base", "--is-ancestor", BASE, "HEAD"])?.status.success();
    let range = format!("{BASE}..HEAD");
    let log = has_base.then(|| git(&["log", "--no-merges", "--format=%h %s", &range]))??;
    String::from_utf8(log.stdout).ok()
}

fn check_subject(hash: &str, subject: &str) -> Option<Finding> {
    let length = subject.chars().count();
    let (problem, hint) = if length > MAX_LENGTH {
        (
            format!("the subject has {length} characters, more than {MAX_LENGTH}"),
            "shorten it, details go into the body",
        )
    } else if subject.contains(';') {
        (
            "the subject has more than one topic".to_owned(),
            "name one topic, or split the commit",
        )
    } else {
        return None;
    };
    Some(Finding::new(format!("commit {hash}"), 0, problem, hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::tests::tree_of;

    #[test]
    fn accepts_a_short_subject_with_one_topic() {
        assert_eq!(check_subject("abc", &"x".repeat(72)), None);
    }

    #[test]
    fn rejects_long_subjects_and_two_topics() {
        assert!(check_subject("abc", &"x".repeat(73)).is_some());
        assert!(check_subject("abc", "Rename the queue; delete the bus").is_some());
    }

    #[test]
    fn skips_folders_without_history() {
        assert!(check(&tree_of(&[("a.rs", "")])).is_empty());
    }
}
