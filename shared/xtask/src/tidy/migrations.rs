//! Migrations are one sequence for both engines: `NNNN_topic.sql`, or the pair `.postgres.sql` and `.sqlite.sql` where
//! the engines need different statements. Numbers start at 0001 and have no gaps.

use std::collections::BTreeMap;

use super::{Finding, tree::Tree};

const FOLDER: &str = "migrations";

struct Migration<'a> {
    file: &'a str,
    number: usize,
    topic: &'a str,
    /// `None` if both engines use the same file.
    engine: Option<&'a str>,
}

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut by_number: BTreeMap<usize, Vec<Migration>> = BTreeMap::new();
    for (file, _) in tree.below(FOLDER).filter(|(file, _)| !file.ends_with(".md")) {
        match Migration::parse(file) {
            Some(migration) => by_number.entry(migration.number).or_default().push(migration),
            None => findings.push(finding(
                file,
                "not the name of a migration",
                "name it NNNN_topic[.postgres|.sqlite].sql",
            )),
        }
    }
    for ((number, migrations), expected) in by_number.iter().zip(1..) {
        let file = migrations[0].file;
        if *number != expected {
            findings.push(finding(
                file,
                format!("the number is {number:04}, expected {expected:04}"),
                "use consecutive numbers",
            ));
            break;
        }
    }
    findings.extend(by_number.values().filter_map(|migrations| engines(migrations)));
    findings
}

fn finding(file: &str, problem: impl Into<String>, hint: impl Into<String>) -> Finding {
    Finding::new(format!("{FOLDER}/{file}"), 1, problem, hint)
}

/// Checks that a number has one file for both engines, or one file for each.
fn engines(migrations: &[Migration]) -> Option<Finding> {
    match migrations {
        [one] => {
            let missing = if one.engine? == "postgres" {
                "sqlite"
            } else {
                "postgres"
            };
            let hint = format!("add {:04}_{}.{missing}.sql", one.number, one.topic);
            Some(finding(one.file, "only one engine has this migration", hint))
        }
        [a, b] if a.topic == b.topic && a.engine.is_some() && b.engine.is_some() => None,
        [.., last] => {
            let problem = format!("more than one migration {:04}", last.number);
            Some(finding(last.file, problem, "use a new number"))
        }
        [] => None,
    }
}

impl<'a> Migration<'a> {
    fn parse(file: &'a str) -> Option<Self> {
        let stem = file.strip_suffix(".sql")?;
        let (name, engine) = match stem.split_once('.') {
            Some((name, engine)) => (name, Some(engine)),
            None => (stem, None),
        };
        let (digits, topic) = name.split_once('_')?;
        let number = digits
            .parse()
            .ok()
            .filter(|_| digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit()))?;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let good =
            !topic.is_empty() && topic.chars().all(plain) && matches!(engine, None | Some("postgres" | "sqlite"));
        good.then_some(Self {
            file,
            number,
            topic,
            engine,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{places, tree::tests::tree_of};

    fn check_names(names: &[&str]) -> Vec<String> {
        let paths: Vec<String> = names.iter().map(|name| format!("migrations/{name}")).collect();
        let files: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "")).collect();
        let found = places(check(&tree_of(&files)));
        found.iter().map(|place| place.replace("migrations/", "")).collect()
    }

    #[test]
    fn accepts_a_complete_sequence() {
        let names = [
            "0001_organizations.sql",
            "0002_locks.postgres.sql",
            "0002_locks.sqlite.sql",
            "0003_x2_y.sql",
        ];
        assert!(check_names(&names).is_empty());
        assert!(check_names(&["README.md"]).is_empty());
    }

    #[test]
    fn rejects_other_names() {
        for name in [
            "1_a.sql",
            "0001-a.sql",
            "0001_A.sql",
            "0001_a.mysql.sql",
            "0001_.sql",
            "0001_a.txt",
            "+001_a.sql",
        ] {
            assert_eq!(check_names(&[name]), [format!("{name}:1")]);
        }
    }

    #[test]
    fn rejects_a_gap() {
        assert_eq!(
            check_names(&["0001_a.sql", "0003_c.sql", "0004_d.sql"]),
            ["0003_c.sql:1"]
        );
        assert_eq!(check_names(&["0002_b.sql"]), ["0002_b.sql:1"]);
    }

    #[test]
    fn rejects_a_missing_engine() {
        assert_eq!(check_names(&["0001_a.postgres.sql"]), ["0001_a.postgres.sql:1"]);
        assert_eq!(check_names(&["0001_a.sqlite.sql"]), ["0001_a.sqlite.sql:1"]);
    }

    #[test]
    fn rejects_a_duplicate_number() {
        assert_eq!(check_names(&["0001_a.sql", "0001_b.sql"]), ["0001_b.sql:1"]);
        assert_eq!(
            check_names(&["0001_a.postgres.sql", "0001_b.sqlite.sql"]),
            ["0001_b.sqlite.sql:1"]
        );
    }
}
