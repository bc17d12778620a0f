//! The longest texts of arguments that declare no bound themselves, by their names: the same name means the same in all operations.
//! `check_bounds` refuses longer ones before an operation reads them. An argument that is not in a list here is a reference.

use butt_dial_domain::bounds;
use serde_json::{Map, Value, json};

/// Texts that people write, and what vendors hand out.
const TEXTS: [(&str, usize); 28] = [
    ("agentName", bounds::NAME),
    ("display_name", bounds::NAME),
    ("name", bounds::NAME),
    ("orgName", bounds::NAME),
    ("label", bounds::LABEL),
    ("reason", bounds::REASON),
    ("note", bounds::REASON),
    ("aiDisclosureText", bounds::DISCLOSURE),
    ("postalAddress", bounds::POSTAL_ADDRESS),
    ("slug", bounds::SLUG),
    ("text", bounds::SPOKEN_TEXT),
    ("greeting", bounds::GREETING),
    ("systemPrompt", bounds::PROMPT),
    ("language", bounds::LANGUAGE),
    ("voice", bounds::VOICE),
    ("voiceId", bounds::VOICE),
    ("digits", bounds::KEYS),
    ("subject", bounds::SUBJECT),
    ("html", bounds::MAIL_TEXT),
    ("idempotencyKey", bounds::IDEMPOTENCY_KEY),
    ("key", bounds::ROUTING_KEY),
    ("callbackUrl", bounds::URL),
    ("logoUrl", bounds::URL),
    ("returnUrl", bounds::URL),
    ("url", bounds::URL),
    ("webhookUrl", bounds::URL),
    ("media", bounds::MEDIA_URL),
    ("credentials", bounds::CREDENTIAL),
];

/// Arguments without a bound, and why. The size of a request bounds them all.
const UNBOUNDED: [(&str, &str); 28] = [
    ("address", ADDRESS),
    ("bcc", ADDRESS),
    ("cc", ADDRESS),
    ("contact", ADDRESS),
    ("phone", ADDRESS),
    ("phoneNumber", ADDRESS),
    ("replyTo", ADDRESS),
    ("requesterPhone", ADDRESS),
    ("target", ADDRESS),
    ("to", ADDRESS),
    ("toAgent", ADDRESS),
    ("confirmationToken", SECRET),
    ("inviteCode", SECRET),
    ("otp", SECRET),
    ("poll_token", SECRET),
    ("token", SECRET),
    ("csv", TABLE),
    ("entries", TABLE),
    (
        "context",
        "bounded in characters of its JSON, because it is stored as it is",
    ),
    ("targetName", "a name that is too long to be spoken is cut"),
    ("data", "each field has a bound of its kind, which the refusal names"),
    (
        "headers",
        "a mail has a line length of its own, and the refusal names the header",
    ),
    ("rules", "a file, which is only compared"),
    ("settings", "bounded in bytes, because it is stored as it is"),
    ("templateVariables", "the carrier knows what its template takes"),
    ("ownerEmail", ADDRESS),
    ("email", ADDRESS),
    (
        "verificationEmail",
        "bounded in bytes, with a code that the Python client knows",
    ),
];
const ADDRESS: &str = "the form of an address bounds it, with a code that says so";
const SECRET: &str = "it is only compared, with a code that says so";
const TABLE: &str = "a bad row is reported and costs no other";

/// Declares the bound of each text that has none.
pub fn declare_lengths(schema: &mut Map<String, Value>) {
    let Some(Value::Object(properties)) = schema.get_mut("properties") else {
        return;
    };
    for (name, property) in properties {
        if !is_unbounded(name) {
            declare(property, name);
        }
    }
}

/// Returns whether an argument has no bound, for a reason.
pub fn is_unbounded(name: &str) -> bool {
    UNBOUNDED.iter().any(|(unbounded, _)| *unbounded == name)
}

fn declare(schema: &mut Value, name: &str) {
    let Some(schema) = schema.as_object_mut() else { return };
    let is_text = |kind: &Value| match kind {
        Value::Array(kinds) => kinds.iter().any(|kind| kind == "string"),
        kind => kind == "string",
    };
    let is_free = !["enum", "const", "format", "maxLength"]
        .iter()
        .any(|key| schema.contains_key(*key));
    if is_free && schema.get("type").is_some_and(is_text) {
        let bound = TEXTS.iter().find(|(text, _)| *text == name).map(|(_, bound)| *bound);
        schema.insert("maxLength".into(), json!(bound.unwrap_or(bounds::REFERENCE)));
    }
    for key in ["items", "additionalProperties"] {
        if let Some(nested) = schema.get_mut(key) {
            declare(nested, name);
        }
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(Value::Array(alternatives)) = schema.get_mut(key) {
            alternatives
                .iter_mut()
                .for_each(|alternative| declare(alternative, name));
        }
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for (field, property) in properties {
            // The values of named values are of the argument's kind.
            let name = if field == "value" { name } else { field };
            declare(property, name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_get_the_bound_of_their_name() {
        let mut schema = json!({ "properties": {
            "label": { "type": ["string", "null"] },
            "agentId": { "type": "string" },
            "kind": { "type": "string", "enum": ["a"] },
            "reason": { "type": "string", "maxLength": 7 },
            "at": { "type": "string", "format": "date-time" },
            "limit": { "type": "integer" },
            "media": { "type": "array", "items": { "type": "string" } },
            "to": { "type": "string" },
            "credentials": { "anyOf": [
                { "type": "array", "items": { "type": "object", "properties": {
                    "name": { "type": "string" }, "value": { "type": "string" },
                } } },
                { "type": "object", "additionalProperties": { "type": "string" } },
            ] },
        } });
        declare_lengths(schema.as_object_mut().unwrap());
        let fields = &schema["properties"];
        let bound = |path: &str| fields.pointer(path).and_then(|field| field["maxLength"].as_u64());
        for (path, expected) in [
            ("/label", Some(100)),
            ("/agentId", Some(512)),
            ("/kind", None),
            ("/reason", Some(7)),
            ("/at", None),
            ("/limit", None),
            ("/media/items", Some(2_000)),
            ("/to", None),
            ("/credentials/anyOf/0/items/properties/value", Some(4_096)),
            ("/credentials/anyOf/0/items/properties/name", Some(128)),
            ("/credentials/anyOf/1/additionalProperties", Some(4_096)),
        ] {
            assert_eq!(bound(path), expected, "{path}");
        }
    }

    #[test]
    fn lists_name_arguments_that_exist() {
        let names: std::collections::BTreeSet<String> = crate::all().iter().flat_map(names_of).collect();
        let listed = TEXTS
            .iter()
            .map(|(name, _)| *name)
            .chain(UNBOUNDED.iter().map(|(name, _)| *name));
        let unknown: Vec<&str> = listed.filter(|name| !names.contains(*name)).collect();
        assert_eq!(unknown, [""; 0]);
    }

    fn names_of(operation: &crate::Definition) -> Vec<String> {
        let mut names = Vec::new();
        collect(&Value::Object(operation.input_schema.clone()), &mut names);
        names
    }

    fn collect(schema: &Value, names: &mut Vec<String>) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            names.push(name.clone());
            collect(property, names);
        }
        if let Some(items) = schema.get("items") {
            collect(items, names);
        }
        for key in ["anyOf", "oneOf"] {
            schema[key]
                .as_array()
                .into_iter()
                .flatten()
                .for_each(|one| collect(one, names));
        }
    }
}
