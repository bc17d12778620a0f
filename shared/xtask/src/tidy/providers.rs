//! A vendor is a folder of `shared/providers`: it is in the registry, and each channel of its manifest passes the
//! conformance suite. Webhooks, calls, models and speech synthesis have a suite each, for the vendors that offer them.

use std::collections::BTreeMap;

use super::{
    Finding,
    source::Source,
    tree::{Tree, is_test},
};

const FOLDER: &str = "shared/providers/src";
const REGISTRY: &str = "shared/providers/src/lib.rs";
const CHANNEL: &str = "Channel::";
const CONNECTED: &str = "Connected";
const WEBHOOKS: &str = "webhooks";
/// Fields of `Connected` without a channel, and their conformance suites.
const SUITES: [(&str, &str); 3] = [
    ("model", "model_conformance!"),
    ("speech", "speech_conformance!"),
    ("transcription", "transcription_conformance!"),
];
const VOICE: &str = "voice";
/// Has no messages: the suite for calls covers its webhooks.
const CALLS: &str = "Voice";

/// The files of a vendor, by their path below its folder.
type Files<'a> = BTreeMap<&'a str, &'a Source>;

/// A channel in a manifest.
struct Claim<'a> {
    channel: &'a str,
    line: usize,
}

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut folders: BTreeMap<&str, Files> = BTreeMap::new();
    for (path, file) in tree.below(FOLDER) {
        if let (Some((folder, inner)), Some(source)) = (path.split_once('/'), &file.source) {
            folders.entry(folder).or_default().insert(inner, source);
        }
    }
    let mut findings = Vec::new();
    for (vendor, files) in &folders {
        if let Some((inner, manifest)) = files.iter().find(|(inner, source)| is_manifest(inner, source)) {
            let path = format!("{FOLDER}/{vendor}/{inner}");
            findings.extend(unregistered(tree, vendor, &path));
            findings.extend(untested(vendor, files, &path, manifest));
            findings.extend(without_suite(vendor, files, &path));
        }
    }
    findings
}

fn is_manifest(inner: &str, source: &Source) -> bool {
    let declares = |word| source.find(word).any(|at| !source.in_test(at));
    !is_test(inner)
        && (inner == "manifest.rs"
            || ["const VENDOR", "static VENDOR", "fn manifest"]
                .into_iter()
                .any(declares))
}

fn unregistered(tree: &Tree, vendor: &str, path: &str) -> Option<Finding> {
    let registered = tree.source(REGISTRY).is_some_and(|lib| {
        let mut places = lib.find(vendor).filter(|&at| !lib.in_test(at));
        places.any(|at| {
            let start = lib.code[..at].rfind([';', '}']).map_or(0, |end| end + 1);
            let words = lib.code[start..at].split_whitespace();
            !words.into_iter().any(|word| word == "mod" || word == "use")
        })
    });
    let hint = format!("add it to the registry in {REGISTRY}");
    (!registered).then(|| Finding::new(path, 1, format!("the vendor `{vendor}` is not registered"), hint))
}

fn untested(vendor: &str, files: &Files, path: &str, manifest: &Source) -> Vec<Finding> {
    let Some(claims) = claims(manifest) else {
        return vec![Finding::new(
            path,
            1,
            "the manifest lists no channels",
            "write `channels: &[Channel::..]`",
        )];
    };
    let tested = |proof: &str, channel: &str| {
        let line = format!("{proof}({CHANNEL}{channel}");
        files
            .iter()
            .any(|(inner, source)| is_test(inner) && source.find(&line).next().is_some())
    };
    let connects = |port| {
        let mut sources = files.iter().filter(|(inner, _)| !is_test(inner));
        sources.any(|(_, source)| connects(source, port))
    };
    let calls_us = connects(WEBHOOKS);
    let mut findings = Vec::new();
    let has_suite = |proof: &str| {
        let mut tests = files.iter().filter(|(inner, _)| is_test(inner));
        tests.any(|(_, source)| source.find(proof).next().is_some())
    };
    if connects(VOICE) && !has_suite("voice_conformance!(") {
        let hint = format!("add `voice_conformance!(..);` to {FOLDER}/{vendor}/tests.rs");
        findings.push(Finding::new(
            path,
            1,
            "calls are connected but have no conformance test",
            hint,
        ));
    }
    for Claim { channel, line } in claims {
        if !tested("conforms!", channel) {
            let hint = format!("add `conforms!({CHANNEL}{channel});` to {FOLDER}/{vendor}/tests.rs");
            let problem = format!("{CHANNEL}{channel} has no conformance test");
            findings.push(Finding::new(path, line, problem, hint));
        }
        if calls_us && channel != CALLS && !tested("webhook_conformance!", channel) {
            let hint = format!("add `webhook_conformance!({CHANNEL}{channel}, ..);` to {FOLDER}/{vendor}/tests.rs");
            let problem = format!("the webhooks of {CHANNEL}{channel} have no conformance test");
            findings.push(Finding::new(path, line, problem, hint));
        }
    }
    findings
}

/// Finds fields without a channel that are connected but have no suite.
fn without_suite(vendor: &str, files: &Files, path: &str) -> Vec<Finding> {
    let without_suite = |(field, suite): &&(&str, &str)| {
        let connects = |(inner, source): (&&str, &&Source)| !is_test(inner) && connects(source, field);
        let has_suite = |(inner, source): (&&str, &&Source)| is_test(inner) && source.find(suite).next().is_some();
        files.iter().any(connects) && !files.iter().any(has_suite)
    };
    let finding = |(field, suite): &(&str, &str)| {
        let hint = format!("add `{suite}(..);` to {FOLDER}/{vendor}/tests.rs");
        Finding::new(
            path,
            1,
            format!("`{field}` is connected but has no conformance test"),
            hint,
        )
    };
    SUITES.iter().filter(without_suite).map(finding).collect()
}

/// Whether the file creates a `Connected { .. }` with the field set to another value than `None`.
fn connects(source: &Source, field: &str) -> bool {
    let made = source.find(CONNECTED).filter(|&at| {
        let rest = source.code[at + CONNECTED.len()..].trim_start();
        rest.starts_with('{') && !source.in_test(at)
    });
    let bodies: Vec<_> = made.map(|at| source.bracketed(at)).collect();
    let mut places = source
        .find(field)
        .filter(|at| bodies.iter().any(|body| body.contains(at)));
    places.any(|at| {
        let value = source.code[at + field.len()..].trim_start();
        let value = value.strip_prefix(':').unwrap_or(value).trim_start();
        !value.starts_with("None")
    })
}

/// Returns the channels of the list after `channels:`; `None` without such a list.
fn claims(manifest: &Source) -> Option<Vec<Claim<'_>>> {
    let code = &manifest.code;
    let lists: Vec<_> = manifest
        .find("channels:")
        .filter(|&at| !manifest.in_test(at))
        .map(|at| at + "channels:".len())
        .filter(|&value| {
            ["&[", "[", "vec!["]
                .into_iter()
                .any(|start| code[value..].trim_start().starts_with(start))
        })
        .map(|value| manifest.bracketed(value))
        .collect();
    let places = manifest
        .find(CHANNEL)
        .filter(|at| lists.iter().any(|list| list.contains(at)));
    let claim = |at: usize| Claim {
        channel: manifest.identifier(at + CHANNEL.len()),
        line: manifest.line(at),
    };
    (!lists.is_empty()).then(|| places.map(claim).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{places, tree::tests::tree_of};

    const LIB: &str = "mod acme;\npub const ALL: &[&Vendor] = &[&acme::VENDOR];\n";
    const ACME: &str = "pub const VENDOR: Vendor = Vendor {\n    channels: &[Channel::Sms, Channel::Email],\n};\n";
    const TESTS: &str = "conforms!(Channel::Sms);\nconforms!(Channel::Email);\n";

    fn check_acme(lib: &str, manifest: &str, tests: &str) -> Vec<String> {
        let files = [
            (REGISTRY, lib),
            ("shared/providers/src/wire/mod.rs", "fn shared() {}"),
            ("shared/providers/src/acme/mod.rs", manifest),
            ("shared/providers/src/acme/tests.rs", tests),
        ];
        places(check(&tree_of(&files)))
            .iter()
            .map(|place| place.replace("shared/providers/src/", ""))
            .collect()
    }

    #[test]
    fn accepts_a_registered_and_tested_vendor() {
        assert!(check_acme(LIB, ACME, TESTS).is_empty());
        assert!(check_acme("mod acme;\nvendors! { acme, other }", ACME, TESTS).is_empty());
    }

    #[test]
    fn rejects_a_channel_without_conformance() {
        assert_eq!(check_acme(LIB, ACME, "conforms!(Channel::Sms);"), ["acme/mod.rs:2"]);
        assert_eq!(
            check_acme(LIB, ACME, "conforms!(Channel::Sms);\n// conforms!(Channel::Email);"),
            ["acme/mod.rs:2"]
        );
        assert_eq!(
            check_acme(LIB, ACME, "conforms!(Channel::SmsOrSo);"),
            ["acme/mod.rs:2", "acme/mod.rs:2"]
        );
    }

    #[test]
    fn rejects_webhooks_without_conformance() {
        let with = |connected: &str| {
            format!(
                "{ACME}use vendor::{{Connected, Vendor}};\nfn connect() -> Result<Connected, String> {{\n    Ok({connected})\n}}\n"
            )
        };
        let without_webhooks = with("Connected { messaging, webhooks: None }");
        assert!(check_acme(LIB, &without_webhooks, TESTS).is_empty());
        let complete =
            "webhook_conformance!(Channel::Sms, super::open);\nwebhook_conformance!(Channel::Email, open);\n";
        let incomplete = "webhook_conformance!(Channel::Email, open);\n// webhook_conformance!(Channel::Sms, open);\n";
        for connected in [
            "Connected { messaging, webhooks: Some(Arc::new(inbound)) }",
            "Connected { messaging, webhooks }",
            "Connected {\n webhooks: inbound.map(Arc::new),\n messaging }",
        ] {
            let calls = with(connected);
            assert!(
                check_acme(LIB, &calls, &format!("{TESTS}{complete}")).is_empty(),
                "{connected}"
            );
            assert_eq!(
                check_acme(LIB, &calls, &format!("{TESTS}{incomplete}")),
                ["acme/mod.rs:2"],
                "{connected}"
            );
            assert_eq!(check_acme(LIB, &calls, TESTS).len(), 2, "{connected}");
            // One suite does not replace the other.
            assert_eq!(check_acme(LIB, &calls, complete).len(), 2, "{connected}");
        }
        let only_in_tests = format!("{ACME}#[cfg(test)]\nmod tests {{ fn f() {{ Connected {{ webhooks }} }} }}");
        assert!(check_acme(LIB, &only_in_tests, TESTS).is_empty());
    }

    #[test]
    fn rejects_an_ai_vendor_without_conformance() {
        let vendor = "pub static VENDOR: Vendor = Vendor { channels: &[] };\n";
        let with = |connected: &str| format!("{vendor}fn connect() {{ Ok(Connected {{ {connected} }}) }}");
        for (connected, suite) in [
            ("model: Some(Arc::new(client))", "model_conformance!(super::open);"),
            ("speech, ..Connected::default()", "speech_conformance!(super::open);"),
        ] {
            assert!(check_acme(LIB, &with(connected), suite).is_empty(), "{connected}");
            assert_eq!(check_acme(LIB, &with(connected), "").len(), 1, "{connected}");
        }
        let other = with("model: Some(client), speech: None");
        assert_eq!(
            check_acme(LIB, &other, "speech_conformance!(super::open);"),
            ["acme/mod.rs:1"]
        );
        assert!(check_acme(LIB, &with("model: None"), "").is_empty());
    }

    #[test]
    fn rejects_calls_without_conformance() {
        let with = |connected: &str| {
            format!(
                "pub const VENDOR: Vendor = Vendor {{ channels: &[Channel::Voice] }};\nfn connect() -> Connected {{ {connected} }}\n"
            )
        };
        let calls = with("Connected { messaging, webhooks, voice: Some(Arc::new(calls)) }");
        let complete = "conforms!(Channel::Voice);\nvoice_conformance!(super::open);\n";
        assert!(check_acme(LIB, &calls, complete).is_empty());
        for half in [
            "conforms!(Channel::Voice);\n",
            "conforms!(Channel::Voice);\n// voice_conformance!(super::open);",
            "voice_conformance!(super::open);",
        ] {
            assert_eq!(check_acme(LIB, &calls, half).len(), 1, "{half}");
        }
        let without_calls = with("Connected { messaging, voice: None }");
        assert!(check_acme(LIB, &without_calls, "conforms!(Channel::Voice);").is_empty());
    }

    #[test]
    fn rejects_a_manifest_without_channels() {
        let hidden = "pub const VENDOR: Vendor = Vendor { channels: CHANNELS };";
        assert_eq!(check_acme(LIB, hidden, TESTS), ["acme/mod.rs:1"]);
        assert!(check_acme(LIB, "pub const VENDOR: Vendor = Vendor { channels: &[] };", "").is_empty());
    }

    #[test]
    fn rejects_a_vendor_outside_the_registry() {
        for lib in [
            "mod acme;",
            "mod acme;\npub use acme::Client;\n",
            "// acme::VENDOR",
            "fn a() { acmes::VENDOR }",
        ] {
            assert_eq!(check_acme(lib, ACME, TESTS), ["acme/mod.rs:1"], "{lib}");
        }
    }
}
