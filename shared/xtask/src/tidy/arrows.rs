//! Which crate may depend on which. A new arrow is a decision: it is made here, in `ROWS`, or not at all.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::{Spanned, Table, Value};

use super::{Finding, tree::Tree};

/// What the crates of one folder may depend on. `folder/*` stands for every crate of that folder.
struct Row {
    from: &'static str,
    to: &'static [&'static str],
    /// Allowed under `[dev-dependencies]` as well.
    dev: &'static [&'static str],
}

/// The first row that fits a crate counts.
const ROWS: &[Row] = &[
    row(DOMAIN, &[], &[TESTKIT]),
    row(STORE, &[DOMAIN], &[TESTKIT]),
    row(BUS, &[DOMAIN], &[TESTKIT]),
    row(KV, &[DOMAIN], &[TESTKIT]),
    row(PROVIDERS, &[DOMAIN], &[TESTKIT]),
    row(COMMS, &[DOMAIN, STORE], &[TESTKIT, BUS, KV, PROVIDERS]),
    row(RUNTIME, &[DOMAIN, STORE, BUS, KV, PROVIDERS, COMMS], &[TESTKIT]),
    row(TESTKIT, &[DOMAIN], &[]),
    row(XTASK, &[TESTKIT, PROVIDERS, "services/gateway"], &[]),
    row("services/butt-dial", &["shared/*", "services/*"], &[TESTKIT]),
    row("services/*", &[DOMAIN, COMMS, RUNTIME], &[TESTKIT]),
    row("tests", &["shared/*", "services/*", TESTKIT], &[]),
    row("tests/fuzz", &[DOMAIN, PROVIDERS], &[]),
];

const DOMAIN: &str = "shared/domain";
const STORE: &str = "shared/store";
const BUS: &str = "shared/bus";
const KV: &str = "shared/kv";
const PROVIDERS: &str = "shared/providers";
const COMMS: &str = "shared/comms";
const RUNTIME: &str = "shared/runtime";
const TESTKIT: &str = "shared/testkit";
const XTASK: &str = "shared/xtask";

/// What does not ship: only a row that names it reaches it.
const NOT_SHIPPED: [&str; 2] = [TESTKIT, XTASK];

const fn row(from: &'static str, to: &'static [&'static str], dev: &'static [&'static str]) -> Row {
    Row { from, to, dev }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Manifest {
    package: Option<Package>,
    #[serde(default)]
    target: BTreeMap<String, Dependencies>,
    // Not a flattened `Dependencies`: serde's buffer loses where the names stand.
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

/// A dependency's name and what is said about it.
type Entry<'a> = (&'a Spanned<String>, &'a Value);

impl Manifest {
    /// Every dependency, for whichever target, and whether it is for development only.
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

/// The workspace's dependencies that have another name than their package.
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
            let mend = "give it a row in the table of arrows";
            return vec![Finding::new(
                path,
                1,
                format!("{from} is a crate without allowed arrows"),
                mend,
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

    /// The folder of a dependency that is one of ours.
    fn folder_of(&self, name: &str, value: &Value) -> Option<&str> {
        let own = value.get("package").and_then(Value::as_str);
        let package = own
            .or_else(|| self.aliases.get(name).map(String::as_str))
            .unwrap_or(name);
        self.folders.get(package).copied()
    }
}

fn wrong(path: &str, line: usize, row: &Row, from: &str, to: &str) -> Finding {
    let mend = if row.dev.contains(&to) {
        "move it to [dev-dependencies]".to_owned()
    } else if row.to.is_empty() {
        "it depends on none of our crates".to_owned()
    } else {
        format!("it may use {} only", row.to.join(", "))
    };
    Finding::new(path, line, format!("{from} must not depend on {to}"), mend)
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
    use crate::tidy::{places, tree::tests::made_up};

    const WORKSPACE: &str = "[workspace.dependencies]\nbase = { path = \"shared/domain\", package = \"domain\" }\n";

    fn package(name: &str, rest: &str) -> (String, String) {
        (
            format!("{name}/Cargo.toml"),
            format!("[package]\nname = \"{}\"\n{rest}\n", name.replace("shared/", "")),
        )
    }

    /// The findings of a workspace that has every crate named in `rest`, and the plain ones.
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
        places(check(&made_up(&files)))
    }

    #[test]
    fn the_arrows_of_the_table_pass() {
        let dev = "[dependencies]\nserde.workspace = true\ndomain.workspace = true\n[dev-dependencies]\ntestkit.workspace = true";
        let all = "[dependencies]\nstore = {}\n\"services/gateway\" = {}\n[dev-dependencies]\ntestkit = {}";
        assert!(check_with(&[("shared/store", dev)]).is_empty());
        assert!(check_with(&[("services/butt-dial", all)]).is_empty());
        assert!(check_with(&[("tests", "[dependencies]\ntestkit = {}\nstore = {}")]).is_empty());
        assert!(check_with(&[("shared/xtask", "[dependencies]\ntestkit = {}")]).is_empty());
        assert!(check_with(&[("shared/comms", "[dev-dependencies]\nbus = {}")]).is_empty());
        assert!(check_with(&[("tests/fuzz", "[dependencies]\ndomain = {}")]).is_empty());
        let store = "[dependencies]\nstore = {}";
        assert_eq!(check_with(&[("tests/fuzz", store)]), ["tests/fuzz/Cargo.toml:4"]);
    }

    #[test]
    fn an_arrow_that_no_row_has_is_found() {
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
        let sibling = [("services/other", "[dependencies]\n\"services/gateway\" = {}")];
        assert_eq!(check_with(&sibling), ["services/other/Cargo.toml:4"]);
    }

    #[test]
    fn renamed_target_and_build_dependencies_are_seen() {
        let renamed = "[dependencies]\nx = { path = \"..\", package = \"store\" }";
        assert_eq!(check_with(&[("shared/kv", renamed)]), ["shared/kv/Cargo.toml:4"]);
        let target = "[target.'cfg(unix)'.dependencies]\n\n[build-dependencies]\nbase.workspace = true\n[target.'cfg(unix)'.build-dependencies]\nstore = {}";
        assert_eq!(
            check_with(&[("shared/domain", target)]),
            ["shared/domain/Cargo.toml:6", "shared/domain/Cargo.toml:8"]
        );
    }

    #[test]
    fn the_testkit_ships_nowhere() {
        let normal = "[dependencies]\ntestkit = {}";
        for name in ["shared/store", "services/butt-dial", "services/gateway"] {
            assert_eq!(check_with(&[(name, normal)]), [format!("{name}/Cargo.toml:4")]);
        }
    }

    #[test]
    fn a_crate_without_a_row_is_found() {
        assert_eq!(check_with(&[("shared/utils", "")]), ["shared/utils/Cargo.toml:1"]);
    }

    #[test]
    fn a_broken_manifest_is_found() {
        assert_eq!(
            places(check(&made_up(&[("shared/kv/Cargo.toml", "[[")]))),
            ["shared/kv/Cargo.toml:1"]
        );
    }
}
