//! The migrations are one stream for both engines: `NNNN_what.sql`, or the pair `.postgres.sql` and
//! `.sqlite.sql` where an engine needs its own text. Numbers start at 0001 and leave none out.

use std::collections::BTreeMap;

use super::{Finding, tree::Tree};

const FOLDER: &str = "migrations";

struct Migration<'a> {
    file: &'a str,
    number: usize,
    what: &'a str,
    /// `None` where both engines read the same text.
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
                "not a migration's name",
                "call it NNNN_what[.postgres|.sqlite].sql",
            )),
        }
    }
    for ((number, migrations), expected) in by_number.iter().zip(1..) {
        let file = migrations[0].file;
        if *number != expected {
            findings.push(finding(
                file,
                format!("{number:04} stands where {expected:04} should"),
                "leave no number out",
            ));
            break;
        }
    }
    findings.extend(by_number.values().filter_map(|migrations| engines(migrations)));
    findings
}

fn finding(file: &str, what: impl Into<String>, mend: impl Into<String>) -> Finding {
    Finding::new(format!("{FOLDER}/{file}"), 1, what, mend)
}

/// One number is one text for both engines, or one text for each.
fn engines(migrations: &[Migration]) -> Option<Finding> {
    match migrations {
        [one] => {
            let missing = if one.engine? == "postgres" {
                "sqlite"
            } else {
                "postgres"
            };
            let mend = format!("add {:04}_{}.{missing}.sql", one.number, one.what);
            Some(finding(one.file, "only one engine has this migration", mend))
        }
        [a, b] if a.what == b.what && a.engine.is_some() && b.engine.is_some() => None,
        [.., last] => {
            let what = format!("more than one migration {:04}", last.number);
            Some(finding(last.file, what, "give each a number of its own"))
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
        let (digits, what) = name.split_once('_')?;
        let number = digits
            .parse()
            .ok()
            .filter(|_| digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit()))?;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let good = !what.is_empty() && what.chars().all(plain) && matches!(engine, None | Some("postgres" | "sqlite"));
        good.then_some(Self {
            file,
            number,
            what,
            engine,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{places, tree::tests::made_up};

    fn check_names(names: &[&str]) -> Vec<String> {
        let paths: Vec<String> = names.iter().map(|name| format!("migrations/{name}")).collect();
        let files: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "")).collect();
        let found = places(check(&made_up(&files)));
        found.iter().map(|place| place.replace("migrations/", "")).collect()
    }

    #[test]
    fn a_whole_stream_passes() {
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
    fn other_names_are_found() {
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
    fn a_gap_is_found() {
        assert_eq!(
            check_names(&["0001_a.sql", "0003_c.sql", "0004_d.sql"]),
            ["0003_c.sql:1"]
        );
        assert_eq!(check_names(&["0002_b.sql"]), ["0002_b.sql:1"]);
    }

    #[test]
    fn a_missing_sibling_is_found() {
        assert_eq!(check_names(&["0001_a.postgres.sql"]), ["0001_a.postgres.sql:1"]);
        assert_eq!(check_names(&["0001_a.sqlite.sql"]), ["0001_a.sqlite.sql:1"]);
    }

    #[test]
    fn a_number_taken_twice_is_found() {
        assert_eq!(check_names(&["0001_a.sql", "0001_b.sql"]), ["0001_b.sql:1"]);
        assert_eq!(
            check_names(&["0001_a.postgres.sql", "0001_b.sqlite.sql"]),
            ["0001_b.sqlite.sql:1"]
        );
    }
}
