//! The entries of a log in their canonical form: changes, and outcomes of sends. Entries contain no content, no secret and no
//! whole address. The form of a sealed entry never changes; another form needs another `v`.

use butt_dial_domain::clock::Timestamp;
use butt_dial_store::{AuditRow, UnsealedSend};
use butt_dial_vault::{Vault, mac};
use chrono::SecondsFormat;
use serde_json::{Map, Value, json};

use crate::{
    canonical::{self, Member},
    hash::{Hash, digest},
};

const VERSION: u32 = 1;

/// Writes a time with microseconds, as both databases keep it.
pub fn time(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// Writes the canonical form of a change. Absent values are left out.
pub fn change(row: &AuditRow) -> String {
    let entry = &row.entry;
    let mut members = Map::new();
    let mut add = |name: &str, value: Value| {
        if !value.is_null() {
            members.insert(name.into(), value);
        }
    };
    add("v", json!(VERSION));
    add("kind", json!("change"));
    add("id", json!(row.id));
    add("org", json!(entry.org_id));
    add("actor", json!(entry.actor));
    add("actorKind", json!(entry.actor_kind));
    add("action", json!(entry.action));
    add("target", json!(entry.target));
    add("detail", entry.detail.clone());
    add("before", entry.before.clone().unwrap_or_default());
    add("after", entry.after.clone().unwrap_or_default());
    add("source", json!(entry.source));
    add("requestId", json!(entry.request_id));
    add("at", json!(time(entry.at)));
    canonical::text(&Value::Object(members))
}

/// The facts that the entry of a send commits to without showing them: sender, recipient, and a keyed hash of the text.
pub struct SendRecord<'a> {
    pub sender: &'a str,
    pub recipient: &'a str,
    pub body_hash: &'a str,
}

impl SendRecord<'_> {
    /// Returns the record for the holder of a receipt.
    pub fn to_json(&self) -> Value {
        json!({ "sender": self.sender, "recipient": self.recipient, "bodyHash": self.body_hash })
    }

    fn commitment(&self, nonce: &[u8; 32]) -> Hash {
        let record = canonical::object([
            ("bodyHash", self.body_hash.into()),
            ("recipient", self.recipient.into()),
            ("sender", self.sender.into()),
        ]);
        digest(&[b"butt-dial receipt 1\n", nonce, record.as_bytes()])
    }
}

/// The key of the secrets that make the records of messages unguessable.
pub struct NonceKey([u8; 32]);

impl NonceKey {
    pub fn new(vault: &Vault) -> Self {
        Self(vault.key("audit receipts"))
    }

    /// Returns the secret of a message. The holder of its receipt gets it.
    pub fn nonce(&self, message: &str) -> [u8; 32] {
        mac(&self.0, &[message.as_bytes()])
    }
}

/// Writes the canonical form of the outcome of a send.
pub fn send(key: &NonceKey, row: &UnsealedSend) -> String {
    let record = SendRecord {
        sender: &row.sender,
        recipient: &row.recipient,
        body_hash: &row.body_hash,
    };
    let commitment = hex::encode(record.commitment(&key.nonce(&row.id)));
    let at = time(row.updated_at);
    canonical::object([
        ("agent", row.agent_id.as_str().into()),
        ("at", at.as_str().into()),
        ("carrier", row.carrier.as_str().into()),
        ("carrierId", (&row.carrier_id).into()),
        ("carrierStatus", (&row.carrier_status).into()),
        ("channel", row.channel.as_str().into()),
        ("commitment", commitment.as_str().into()),
        ("failure", (&row.failure).into()),
        ("id", row.id.as_str().into()),
        ("kind", "send".into()),
        ("outcome", row.status.as_str().into()),
        ("v", Member::Number(VERSION)),
    ])
}

#[cfg(test)]
mod tests {
    use butt_dial_domain::OrgId;
    use butt_dial_store::AuditEntry;

    use super::*;

    #[test]
    fn change_has_a_fixed_form() {
        let at = Timestamp::from_timestamp_micros(1_700_000_000_000_001).unwrap();
        let org = OrgId::from("org_1");
        let mut entry = AuditEntry::new(Some(&org), "tok_1", "agent.status", "agt_1", at);
        entry.after = Some(json!({ "status": "active" }));
        let row = AuditRow {
            id: "aud_1".into(),
            entry,
            seq: Some(4),
        };
        assert_eq!(
            change(&row),
            r#"{"action":"agent.status","actor":"tok_1","actorKind":"token","after":{"status":"active"},"at":"2023-11-14T22:13:20.000001Z","detail":{},"id":"aud_1","kind":"change","org":"org_1","target":"agt_1","v":1}"#
        );
    }

    #[test]
    fn send_has_a_canonical_form_without_addresses() {
        let key = NonceKey::new(&Vault::new(b"secret"));
        let at = Timestamp::from_timestamp_micros(1_700_000_000_000_000).unwrap();
        let row = UnsealedSend {
            id: "msg_1".into(),
            org_id: "org_1".into(),
            agent_id: "agt_1".into(),
            channel: "sms".into(),
            sender: "+14155550100".into(),
            recipient: "+14155550199".into(),
            body_hash: "00ff".into(),
            status: "accepted".into(),
            carrier: "twilio".into(),
            carrier_id: Some("SM1".into()),
            carrier_status: Some("queued".into()),
            failure: None,
            updated_at: at,
        };
        let entry = send(&key, &row);
        assert!(!entry.contains("4155550"), "{entry}");
        let record =
            canonical::text(&json!({ "sender": row.sender, "recipient": row.recipient, "bodyHash": row.body_hash }));
        let commitment = digest(&[b"butt-dial receipt 1\n", &key.nonce("msg_1"), record.as_bytes()]);
        let expected = json!({
            "v": 1, "kind": "send", "id": "msg_1", "agent": "agt_1", "channel": "sms", "outcome": "accepted", "carrier": "twilio",
            "carrierId": "SM1", "carrierStatus": "queued", "commitment": hex::encode(commitment),
            "at": "2023-11-14T22:13:20.000000Z",
        });
        assert_eq!(entry, canonical::text(&expected));
        let other = UnsealedSend {
            recipient: "+14155550198".into(),
            ..row.clone()
        };
        assert_ne!(entry, send(&key, &other));
        assert_ne!(entry, send(&NonceKey::new(&Vault::new(b"other")), &row));
    }
}
