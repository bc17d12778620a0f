//! The groups of the API's operations, by the first part of their path: the order and the names in the description.

/// The name of each group, what it holds, and the parts of paths that belong to it.
pub const GROUPS: &[(&str, &str, &[&str])] = &[
    (
        "Messages",
        "Send messages, and learn what became of them.",
        &[
            "send-message",
            "preflight",
            "messages",
            "scheduled-messages",
            "channel-status",
        ],
    ),
    (
        "Events",
        "Receive messages and reports: by callback, or on request.",
        &[
            "waiting-messages",
            "callback-url",
            "voice-callback-url",
            "callback-attempts",
            "dead-letters",
        ],
    ),
    (
        "Calls",
        "Place calls, speak, listen, and leave voice messages.",
        &[
            "calls",
            "voice-messages",
            "tts",
            "voices",
            "voice-settings",
            "transcription",
        ],
    ),
    (
        "Contacts and consent",
        "Conversations with people, their consent, and their rights.",
        &[
            "inbox",
            "takeovers",
            "contact-pauses",
            "consents",
            "suppressions",
            "subjects",
            "holds",
            "text-retention",
        ],
    ),
    (
        "Agents and tokens",
        "Create agents, give them tokens and limits, and suspend them.",
        &[
            "agents",
            "client-status",
            "client-limits",
            "channel-blocks",
            "tokens",
            "teams",
            "tasks",
            "task-limits",
        ],
    ),
    (
        "Numbers and senders",
        "Search, buy, register, move and release the addresses that agents send from.",
        &[
            "numbers",
            "comm-channels",
            "provision",
            "onboard",
            "deprovision",
            "release-number",
            "registrations",
            "sender-orders",
            "sender-modes",
            "pool",
            "providers",
        ],
    ),
    (
        "Rules and approvals",
        "The rules of compliance, refusals, and messages that wait for a person.",
        &["rules", "compliance-choices", "refusals", "approvals"],
    ),
    ("Money", "Usage, prices, bills and budgets.", &["usage", "billing"]),
    (
        "Organization",
        "An organization as a whole: overview, messages and calls of all agents, registration, members, erasure.",
        &[
            "overview",
            "organization",
            "account-notices",
            "invites",
            "orgs",
            "users",
        ],
    ),
    (
        "Oversight",
        "The audit log, alerts and anomalies.",
        &["audit", "alerts", "alert-routes", "anomalies", ".well-known"],
    ),
];

/// Returns the group of a path. `None`: its part is in no group yet.
pub fn group_of(path: &str) -> Option<&'static str> {
    let path = path.trim_start_matches('/');
    let path = path
        .strip_prefix("api/v1/")
        .or_else(|| path.strip_prefix("api/"))
        .unwrap_or(path);
    let part = path.split('/').next().unwrap_or_default();
    let found = GROUPS.iter().find(|(_, _, parts)| parts.contains(&part));
    found.map(|(name, _, _)| *name)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_route_has_one_group_and_every_part_a_route() {
        let paths: Vec<&str> = butt_dial_operations::all()
            .iter()
            .filter_map(|definition| Some(definition.route?.path))
            .collect();
        for path in &paths {
            assert!(group_of(path).is_some(), "add the first part of {path} to a group");
        }
        let mut parts = HashSet::new();
        for part in GROUPS.iter().flat_map(|(_, _, parts)| parts.iter()) {
            assert!(parts.insert(part), "{part} is in two groups");
            let is_used = paths.iter().any(|path| path.split('/').any(|segment| segment == *part));
            assert!(is_used, "{part} is the part of no path");
        }
    }
}
