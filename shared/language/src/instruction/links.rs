//! Links and images that would carry data away when they are opened or shown: their address has a place for the data.

use super::Confidence;

/// In bytes: the rest of a longer address is not read.
const MAX_ADDRESS: usize = 300;

/// Words for data of the agent or of a person, in a place for data.
const DATA: &[&str] = &[
    "conversation",
    "history",
    "prompt",
    "secret",
    "key",
    "token",
    "password",
    "message",
    "customer",
    "phone",
    "chat",
    "data",
    "address",
    "content",
    "summary",
    "context",
    "card",
    "mail",
    "name",
    "everything",
    "all",
];

/// As `DATA`, as the value or the name of a parameter.
const NAMES: &[&str] = &[
    "data",
    "secret",
    "conversation",
    "history",
    "prompt",
    "context",
    "leak",
    "payload",
    "exfil",
    "password",
    "api_key",
    "apikey",
    "messages",
    "chat",
    "system_prompt",
    "chat_history",
];

/// Finds an image with data in its address, or a link with a place for data.
pub(super) fn find(plain: &str) -> Option<Confidence> {
    let mut found = None;
    for (at, _) in plain.match_indices("http") {
        let rest = &plain[at..plain.floor_char_boundary(at + MAX_ADDRESS)];
        if !rest.starts_with("http://") && !rest.starts_with("https://") {
            continue;
        }
        let address = &rest[..rest.find(['\n', '"', '\'', ')']).unwrap_or(rest.len())];
        let Some((_, query)) = address.split_once('?') else {
            continue;
        };
        let is_image = is_image(&plain[..at]);
        for parameter in query.split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let place = value.starts_with(['{', '[', '<', '$', '(']).then_some(value);
            let is_data = |text: &str, words: &[&str]| {
                let lower = text.to_ascii_lowercase();
                let mut parts = lower.split(|c: char| !c.is_alphanumeric());
                parts.any(|part| words.contains(&part) || words.contains(&part.trim_end_matches('s')))
            };
            if place.is_some_and(|place| is_image || is_data(place, DATA)) {
                return Some(Confidence::Certain);
            }
            let is_named = !name.contains(' ') && is_data(name, NAMES);
            // In capital letters, or in a text: "?q=SYSTEM_PROMPT".
            let is_placeholder = value.contains('_') && is_data(value, NAMES);
            if is_image && (is_named || is_placeholder) {
                found = Some(Confidence::Likely);
            }
        }
    }
    found
}

/// Whether an address after this text is that of an image.
fn is_image(before: &str) -> bool {
    let tail = &before[before.ceil_char_boundary(before.len().saturating_sub(MAX_ADDRESS))..];
    let in_markdown = tail
        .strip_suffix("](")
        .and_then(|tail| tail.rfind('[').map(|at| tail[..at].ends_with('!')));
    let lower = tail.to_ascii_lowercase();
    let in_html = lower.trim_end_matches(['"', '\'', ' ']).ends_with("src=");
    in_markdown == Some(true) || in_html
}
