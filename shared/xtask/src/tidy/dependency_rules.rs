//! The allowed dependencies between crates. A new dependency is a decision: it needs an entry in `ROWS`.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::{Spanned, Table, Value};

use super::{Finding, tree::Tree};

/// The allowed dependencies of a crate. `folder/*` matches every crate of that folder.
struct Row {
    from: &'static str,
    to: &'static [&'static str],
    /// Allowed in `[dev-dependencies]` in addition.
    dev: &'static [&'static str],
}

/// The first row that matches a crate applies.
const ROWS: &[Row] = &[
    row(DOMAIN, &[], &[TESTKIT]),
    row(LANGUAGE, &[DOMAIN], &[]),
    row(STORE, &[DOMAIN], &[TESTKIT]),
    row(BUS, &[DOMAIN], &[TESTKIT]),
    row(KV, &[DOMAIN], &[TESTKIT]),
    row(PROVIDERS, &[DOMAIN], &[TESTKIT]),
    row(SESSIONS, &[DOMAIN], BACKENDS),
    row(VAULT, &[DOMAIN], BACKENDS),
    row(IDENTITY, &[DOMAIN, STORE, KV, VAULT], BACKENDS),
    row(COMPLIANCE, &[DOMAIN, LANGUAGE, STORE, VAULT], BACKENDS),
    row(BILLING, &[DOMAIN, STORE, KV], BACKENDS),
    row(AUDIT, &[DOMAIN, STORE, VAULT], BACKENDS),
    row(
        MESSAGING,
        &[DOMAIN, LANGUAGE, STORE, KV, VAULT, IDENTITY, COMPLIANCE, BILLING],
        BACKENDS,
    ),
    row(ALERTS, &[DOMAIN, STORE, VAULT, IDENTITY, MESSAGING], BACKENDS),
    row(
        ANOMALIES,
        &[DOMAIN, STORE, VAULT, IDENTITY, ALERTS],
        &[TESTKIT, BUS, KV, PROVIDERS, STORE, MESSAGING],
    ),
    row(
        CALLS,
        &[
            DOMAIN, LANGUAGE, STORE, KV, VAULT, IDENTITY, COMPLIANCE, BILLING, MESSAGING,
        ],
        BACKENDS,
    ),
    row(
        ACCOUNTS,
        &[
            DOMAIN, LANGUAGE, STORE, KV, PROVIDERS, VAULT, IDENTITY, COMPLIANCE, BILLING, MESSAGING,
        ],
        BACKENDS,
    ),
    row(
        RUNTIME,
        &[
            DOMAIN, LANGUAGE, STORE, BUS, KV, PROVIDERS, VAULT, SESSIONS, IDENTITY, COMPLIANCE, BILLING, MESSAGING,
            CALLS, ACCOUNTS, AUDIT, ALERTS, ANOMALIES,
        ],
        &[TESTKIT],
    ),
    row(
        OPERATIONS,
        &[
            DOMAIN, LANGUAGE, RUNTIME, SESSIONS, IDENTITY, COMPLIANCE, BILLING, MESSAGING, CALLS, ACCOUNTS, AUDIT,
            ALERTS, ANOMALIES,
        ],
        BACKENDS,
    ),
    row(TESTKIT, &[DOMAIN], &[]),
    row(XTASK, &[TESTKIT, PROVIDERS, "services/gateway"], &[]),
    row("services/butt-dial", &["shared/*", "services/*"], &[TESTKIT]),
    row(
        "services/*",
        &[
            DOMAIN, LANGUAGE, RUNTIME, OPERATIONS, VAULT, SESSIONS, IDENTITY, COMPLIANCE, BILLING, MESSAGING, CALLS,
            ACCOUNTS,
        ],
        BACKENDS,
    ),
    row("tests", &["shared/*", "services/*", TESTKIT], &[]),
    row(SIMULATION, &[], &["shared/*"]),
    row("tests/fuzz", &[DOMAIN, LANGUAGE, PROVIDERS], &[]),
];

const DOMAIN: &str = "shared/domain";
const LANGUAGE: &str = "shared/language";
const STORE: &str = "shared/store";
const BUS: &str = "shared/bus";
const KV: &str = "shared/kv";
const PROVIDERS: &str = "shared/providers";
const SESSIONS: &str = "shared/sessions";
const VAULT: &str = "shared/vault";
const IDENTITY: &str = "shared/identity";
const COMPLIANCE: &str = "shared/compliance";
const BILLING: &str = "shared/billing";
const MESSAGING: &str = "shared/messaging";
const CALLS: &str = "shared/calls";
const ALERTS: &str = "shared/alerts";
const ANOMALIES: &str = "shared/anomalies";
const AUDIT: &str = "shared/audit";
const ACCOUNTS: &str = "shared/accounts";
const RUNTIME: &str = "shared/runtime";
const OPERATIONS: &str = "shared/operations";
const TESTKIT: &str = "shared/testkit";
const XTASK: &str = "shared/xtask";
const SIMULATION: &str = "shared/simulation";

/// The crates that tests of product crates and services may use.
const BACKENDS: &[&str] = &[TESTKIT, BUS, KV, PROVIDERS, STORE];

/// Crates that do not ship: patterns do not match them.
const NOT_SHIPPED: [&str; 3] = [TESTKIT, XTASK, SIMULATION];

const fn row(from: &'static str, to: &'static [&'static str], dev: &'static [&'static str]) -> Row {
    Row { from, to, dev }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Manifest {
    package: Option<Package>,
    #[serde(default)]
    target: BTreeMap<String, Dependencies>,
    // Not a flattened `Dependencies`: serde's buffer loses the spans of the names.
    #[serde(default)]
    dependencies: Section,
    #[serde(default)]
    build_dependencies: Section,
    #[serde(default)]
    dev_dependencies: Section,
}

#[derive(Deserialize)]
struct Package {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Dependencies {
    #[serde(default)]
    dependencies: Section,
    #[serde(default)]
    build_dependencies: Section,
    #[serde(default)]
    dev_dependencies: Section,
}

type Section = BTreeMap<Spanned<String>, Value>;

/// A dependency's name and its settings.
type Entry<'a> = (&'a Spanned<String>, &'a Value);

impl Manifest {
    /// Lists the dependencies of all targets, and whether each is for development only.
    fn entries(&self) -> Vec<(Entry<'_>, bool)> {
        let mut normal = vec![&self.dependencies, &self.build_dependencies];
        let mut dev = vec![&self.dev_dependencies];
        for target in self.target.values() {
            normal.extend([&target.dependencies, &target.build_dependencies]);
            dev.push(&target.dev_dependencies);
        }
        let normal = normal.into_iter().flatten().map(|entry| (entry, false));
        normal
            .chain(dev.into_iter().flatten().map(|entry| (entry, true)))
            .collect()
    }
}

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut manifests = Vec::new();
    for (path, file) in tree
        .files
        .iter()
        .filter(|(path, _)| path.as_str() == ROOT || path.ends_with("/Cargo.toml"))
    {
        match toml::from_str::<Manifest>(&file.text) {
            Ok(manifest) => manifests.push((path, file.text.as_str(), manifest)),
            Err(error) => findings.push(Finding::new(path, 1, error.message(), "write valid TOML")),
        }
    }
    let aliases = aliases(tree);
    let folders: BTreeMap<&str, &str> = manifests
        .iter()
        .filter_map(|(path, _, manifest)| Some((manifest.package.as_ref()?.name.as_str(), folder(path))))
        .collect();
    for (path, text, manifest) in &manifests {
        if manifest.package.is_some() {
            let crates = Crates {
                aliases: &aliases,
                folders: &folders,
            };
            findings.extend(crates.check(path, text, manifest));
        }
    }
    findings
}

const ROOT: &str = "Cargo.toml";

fn folder(manifest: &str) -> &str {
    manifest.strip_suffix("/Cargo.toml").unwrap_or_default()
}

/// Returns the packages of those workspace dependencies that have another name than their package.
fn aliases(tree: &Tree) -> BTreeMap<String, String> {
    let root = tree.files.get(ROOT).and_then(|file| file.text.parse::<Table>().ok());
    let dependencies = root
        .as_ref()
        .and_then(|root| root.get("workspace")?.get("dependencies")?.as_table());
    let renamed = dependencies.into_iter().flatten().filter_map(|(name, value)| {
        let package = value.get("package")?.as_str()?;
        Some((name.clone(), package.to_owned()))
    });
    renamed.collect()
}

struct Crates<'a> {
    aliases: &'a BTreeMap<String, String>,
    /// By package name.
    folders: &'a BTreeMap<&'a str, &'a str>,
}

impl Crates<'_> {
    fn check(&self, path: &str, text: &str, manifest: &Manifest) -> Vec<Finding> {
        let from = folder(path);
        let Some(row) = ROWS.iter().find(|row| fits(row.from, from)) else {
            let hint = "add a row to the table in dependency_rules.rs";
            return vec![Finding::new(
                path,
                1,
                format!("{from} has no row of allowed dependencies"),
                hint,
            )];
        };
        let mut findings = Vec::new();
        for ((name, value), dev) in manifest.entries() {
            let Some(to) = self.folder_of(name.get_ref(), value) else {
                continue;
            };
            let may = allowed(row.to, to) || (dev && allowed(row.dev, to));
            if !may {
                let line = 1 + text[..name.span().start].matches('\n').count();
                findings.push(wrong(path, line, row, from, to));
            }
        }
        findings
    }

    /// Returns the folder of a dependency; `None` if it is not in this workspace.
    fn folder_of(&self, name: &str, value: &Value) -> Option<&str> {
        let own = value.get("package").and_then(Value::as_str);
        let package = own
            .or_else(|| self.aliases.get(name).map(String::as_str))
            .unwrap_or(name);
        self.folders.get(package).copied()
    }
}

fn wrong(path: &str, line: usize, row: &Row, from: &str, to: &str) -> Finding {
    let hint = if row.dev.contains(&to) {
        "move it to [dev-dependencies]".to_owned()
    } else if row.to.is_empty() {
        "it may use no crate of this workspace".to_owned()
    } else {
        format!("it may use {} only", row.to.join(", "))
    };
    Finding::new(path, line, format!("{from} must not depend on {to}"), hint)
}

fn allowed(list: &[&str], to: &str) -> bool {
    list.contains(&to) || (!NOT_SHIPPED.contains(&to) && list.iter().any(|pattern| fits(pattern, to)))
}

fn fits(pattern: &str, folder: &str) -> bool {
    match pattern.strip_suffix("/*") {
        Some(parent) => folder.rsplit_once('/').is_some_and(|(above, _)| above == parent),
        None => pattern == folder,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{places, tree::tests::tree_of};

    const WORKSPACE: &str = "[workspace.dependencies]\nbase = { path = \"shared/domain\", package = \"domain\" }\n";

    fn package(name: &str, rest: &str) -> (String, String) {
        (
            format!("{name}/Cargo.toml"),
            format!("[package]\nname = \"{}\"\n{rest}\n", name.replace("shared/", "")),
        )
    }

    /// Checks a workspace with the crates of `rest` and the plain ones.
    fn check_with(rest: &[(&str, &str)]) -> Vec<String> {
        let plain = [
            "shared/domain",
            "shared/store",
            "shared/bus",
            TESTKIT,
            XTASK,
            "services/gateway",
        ];
        let mut files = vec![("Cargo.toml".to_owned(), WORKSPACE.to_owned())];
        files.extend(
            plain
                .iter()
                .filter(|name| rest.iter().all(|(other, _)| other != *name))
                .map(|n| package(n, "")),
        );
        files.extend(rest.iter().map(|(name, rest)| package(name, rest)));
        let files: Vec<(&str, &str)> = files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
            .collect();
        places(check(&tree_of(&files)))
    }

    #[test]
    fn accepts_dependencies_of_the_table() {
        let dev = "[dependencies]\nserde.workspace = true\ndomain.workspace = true\n[dev-dependencies]\ntestkit.workspace = true";
        let all = "[dependencies]\nstore = {}\n\"services/gateway\" = {}\n[dev-dependencies]\ntestkit = {}";
        assert!(check_with(&[("shared/store", dev)]).is_empty());
        assert!(check_with(&[("services/butt-dial", all)]).is_empty());
        assert!(check_with(&[("tests", "[dependencies]\ntestkit = {}\nstore = {}")]).is_empty());
        assert!(check_with(&[("shared/xtask", "[dependencies]\ntestkit = {}")]).is_empty());
        assert!(
            check_with(&[(
                "shared/messaging",
                "[dependencies]\nstore = {}\n[dev-dependencies]\nbus = {}"
            )])
            .is_empty()
        );
        assert!(check_with(&[("tests/fuzz", "[dependencies]\ndomain = {}")]).is_empty());
        let store = "[dependencies]\nstore = {}";
        assert_eq!(check_with(&[("tests/fuzz", store)]), ["tests/fuzz/Cargo.toml:4"]);
    }

    #[test]
    fn rejects_dependencies_outside_the_table() {
        let bad = "[dependencies]\nserde = {}\nstore.workspace = true";
        assert_eq!(check_with(&[("shared/domain", bad)]), ["shared/domain/Cargo.toml:5"]);
        assert_eq!(
            check_with(&[("shared/kv", "[dev-dependencies]\nbus = {}")]),
            ["shared/kv/Cargo.toml:4"]
        );
        assert_eq!(
            check_with(&[("services/gateway", "[dependencies]\nstore = {}")]),
            ["services/gateway/Cargo.toml:4"]
        );
        assert_eq!(
            check_with(&[("shared/messaging", "[dependencies]\nbus = {}")]),
            ["shared/messaging/Cargo.toml:4"]
        );
        let upward = [("shared/calls", ""), ("shared/messaging", "[dependencies]\ncalls = {}")];
        assert_eq!(check_with(&upward), ["shared/messaging/Cargo.toml:4"]);
        let sibling = [("services/other", "[dependencies]\n\"services/gateway\" = {}")];
        assert_eq!(check_with(&sibling), ["services/other/Cargo.toml:4"]);
    }

    #[test]
    fn reads_renamed_target_and_build_dependencies() {
        let renamed = "[dependencies]\nx = { path = \"..\", package = \"store\" }";
        assert_eq!(check_with(&[("shared/kv", renamed)]), ["shared/kv/Cargo.toml:4"]);
        let target = "[target.'cfg(unix)'.dependencies]\n\n[build-dependencies]\nbase.workspace = true\n[target.'cfg(unix)'.build-dependencies]\nstore = {}";
        assert_eq!(
            check_with(&[("shared/domain", target)]),
            ["shared/domain/Cargo.toml:6", "shared/domain/Cargo.toml:8"]
        );
    }

    #[test]
    fn rejects_the_testkit_in_shipped_crates() {
        let normal = "[dependencies]\ntestkit = {}";
        for name in ["shared/store", "services/butt-dial", "services/gateway"] {
            assert_eq!(check_with(&[(name, normal)]), [format!("{name}/Cargo.toml:4")]);
        }
    }

    #[test]
    fn rejects_a_crate_without_a_row() {
        assert_eq!(check_with(&[("shared/utils", "")]), ["shared/utils/Cargo.toml:1"]);
    }

    #[test]
    fn rejects_an_invalid_manifest() {
        assert_eq!(
            places(check(&tree_of(&[("shared/kv/Cargo.toml", "[[")]))),
            ["shared/kv/Cargo.toml:1"]
        );
    }
}
