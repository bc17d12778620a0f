//! Administrative tables change in transactions that write an audit entry: only methods of the store's `Change` write them. Others are
//! in `EXCEPTIONS`, each with its reason.

use std::ops::Range;

use super::{
    Finding,
    source::Source,
    tree::{Tree, is_test},
};

const SOURCES: &str = "shared/store/src/";
const CHANGE: &str = "impl Change";
const WRITES: [&str; 3] = ["INSERT INTO ", "UPDATE ", "DELETE FROM "];
const TABLES: [&str; 10] = [
    "agent_restraints",
    "agents",
    "announced_campaigns",
    "billing_configs",
    "channels",
    "limits",
    "memberships",
    "organizations",
    "provider_accounts",
    "tokens",
];

/// Functions and constants that write an administrative table without an entry, and why they may.
const EXCEPTIONS: &[(&str, &str)] = &[
    // The erasure of an organization: its confirmation has an entry, and its end has one in the log of the installation.
    ("OF_AGENT", "the purge of an erased organization"),
    ("OF_ORG", "the purge of an erased organization"),
    ("claim_erasure", "a claim of a sweep"),
    (
        "purge_organization",
        "the end of a purge, which `organization.purge` records",
    ),
    // Parts of transactions of `Change`.
    ("INSERT", "part of changes of tokens and activations"),
    ("insert_in", "part of `add_member` and of activations"),
    ("lock_in", "a lock: it changes nothing"),
    // The end of a restraint follows from the anomaly that has caused it, which has an entry.
    ("advance_campaign", "the count of its messages"),
    ("end_anomaly", "the end of an anomaly"),
    ("extend_restraints", "an anomaly that lasts"),
    ("set_status_in", "part of changes of an agent's status"),
    ("delete", "the retention of campaigns that are over"),
    // Numbers and times that the program keeps for itself.
    (
        "note_tainted_text",
        "the time of a text; each held message names its rule",
    ),
    ("ADVANCE_CURSOR", "the position of a reader"),
    ("APPEND_IN_POSTGRES", "the number of an event"),
    ("NUMBER_IN_SQLITE", "the number of an event"),
    ("append_in", "the number of an event"),
    ("touch_tokens", "the last use of a token"),
    ("claim_number_checks", "a claim of a sweep"),
    ("note_number_check", "the time of a check"),
    ("charge_rent", "the month that is paid, which the bill shows"),
    ("replace", "the same content, encrypted with another key"),
    // Reports of vendors.
    ("note_working_account", "the vendor accepts the account again"),
    ("set_us_registration", "the vendor has registered a number"),
    ("conclude_registration", "the vendor has registered a sender"),
    // Steps of releases, which have an entry each.
    ("release_organization", "part of the erasure of an organization"),
    ("end_hold", "follows `sender.release`"),
    ("delete_released_sender", "the end of a hold after `sender.release`"),
    // Registrations of strangers: the entry `organization.register` follows the mail.
    (
        "register_organization",
        "a pending organization, which nothing uses yet",
    ),
    // Settings that an agent chooses for itself. Not converted yet.
    ("rename_agent", "an agent names itself"),
    ("set_callback_url", "the delivery of an agent's events"),
    ("set_voice_callback_url", "the delivery of an agent's calls"),
    ("rotate_callback_key", "the key of an agent's callback"),
    ("remove_callback_url", "the host has answered 410"),
    ("set_voice_settings", "how an agent speaks"),
];

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut known = Vec::new();
    for (path, file) in tree.below("shared/store/src") {
        let Some(source) = file.source.as_ref().filter(|_| !is_test(path)) else {
            continue;
        };
        for (at, name, table) in unaudited(source, &file.text) {
            if EXCEPTIONS.iter().any(|(exception, _)| *exception == name) {
                known.push(name);
                continue;
            }
            let problem = format!("`{name}` writes the table {table} without an audit entry");
            let hint = "make it a method of `Change`, or add it to EXCEPTIONS in audited.rs with the reason";
            findings.push(Finding::new(format!("{SOURCES}{path}"), source.line(at), problem, hint));
        }
    }
    for (exception, _) in EXCEPTIONS {
        if !tree.files.is_empty() && !known.iter().any(|name| name == exception) && tree.source(OWN).is_some() {
            let problem = format!("the exception `{exception}` writes no administrative table");
            findings.push(Finding::new(OWN, 0, problem, "remove it from EXCEPTIONS"));
        }
    }
    findings
}

/// This file.
const OWN: &str = "shared/xtask/src/tidy/audited.rs";

/// Lists the literals outside of `Change` that write an administrative table: offset, name of the function or constant, table.
fn unaudited<'a>(source: &'a Source, text: &str) -> Vec<(usize, &'a str, &'static str)> {
    let audited: Vec<Range<usize>> = source
        .find(CHANGE)
        .map(|at| source.bracketed(at + CHANGE.len()))
        .collect();
    let literals = source.literals.iter().filter(|literal| {
        let at = literal.start;
        !source.in_test(at) && !audited.iter().any(|range| range.contains(&at))
    });
    let written = literals.filter_map(|literal| Some((literal.start, written_table(&text[literal.clone()])?)));
    written.map(|(at, table)| (at, owner(source, at), table)).collect()
}

/// Returns the administrative table that a statement writes.
fn written_table(sql: &str) -> Option<&'static str> {
    let writes = |table: &str| {
        WRITES.iter().any(|write| {
            sql.match_indices(write).any(|(at, _)| {
                let rest = sql[at + write.len()..].strip_prefix(table);
                rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
            })
        })
    };
    TABLES.into_iter().find(|table| writes(table))
}

/// Returns the name of the function around the offset, or of the constant before it.
fn owner(source: &Source, at: usize) -> &str {
    let functions = source.find("fn ").filter(|&function| function < at);
    let around = functions
        .filter(|&function| {
            let body = source.code[function..]
                .find('{')
                .map(|open| source.bracketed(function + open));
            body.is_some_and(|body| body.contains(&at))
        })
        .last();
    let constant = || source.find("const ").filter(|&constant| constant < at).last();
    match (around, constant()) {
        (Some(function), _) => source.identifier(function + "fn ".len()),
        (None, Some(constant)) => source.identifier(constant + "const ".len()),
        (None, None) => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{places, tree::tests::tree_of};

    fn check_store(text: &str) -> Vec<String> {
        places(check(&tree_of(&[("shared/store/src/agents.rs", text)])))
    }

    #[test]
    fn accepts_writes_of_changes() {
        let text = "impl Change {\n fn a() { const SQL: &str = \"UPDATE agents SET a = 1\"; }\n}\n";
        assert!(check_store(text).is_empty());
    }

    #[test]
    fn rejects_writes_without_an_entry() {
        for write in [
            "INSERT INTO agents (id)",
            "UPDATE agents\n SET a = 1",
            "DELETE FROM agents",
        ] {
            let text = format!("impl Store {{\n fn a() {{\n  const SQL: &str = \"{write}\"; }}\n}}\n");
            assert_eq!(check_store(&text), ["shared/store/src/agents.rs:3"], "{write}");
        }
        assert_eq!(
            check_store("const SQL: &str = \"UPDATE tokens SET a = 1\";"),
            ["shared/store/src/agents.rs:1"]
        );
    }

    #[test]
    fn accepts_other_tables_and_reads() {
        let text = "fn a() { \"SELECT 1 FROM agents FOR UPDATE\"; \"UPDATE agents_of_x SET\"; \"UPDATE events SET\" }";
        assert!(check_store(text).is_empty());
    }

    #[test]
    fn names_function_or_constant() {
        let text = "const A: &str = \"DELETE FROM agents\";\nfn f(a: [u8; 2]) { let a = \"DELETE FROM agents\"; }\n\
                    const B: &str = \"DELETE FROM agents\";\n";
        let source = Source::new(text);
        let names: Vec<&str> = unaudited(&source, text).into_iter().map(|(_, name, _)| name).collect();
        assert_eq!(names, ["A", "f", "B"]);
    }
}
