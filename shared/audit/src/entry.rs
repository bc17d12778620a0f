//! The entries of a log in their canonical form: changes, and outcomes of sends. Entries contain no content, no secret and no
//! whole address. The form of a sealed entry never changes; another form needs another `v`.

use butt_dial_domain::clock::Timestamp;
use butt_dial_store::{AuditRow, UnsealedSend};
use butt_dial_vault::{Vault, mac};
use serde_json::{Map, Value, json};

use crate::{
    canonical,
    hash::{Hash, digest},
};

const VERSION: u32 = 1;

/// Writes a time with microseconds, as both databases keep it.
pub fn time(at: Timestamp) -> String {
    at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
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
        let record = canonical::text(&self.to_json());
        digest(&[b"butt-dial receipt 1\n", nonce, record.as_bytes()])
    }
}

/// Returns the secret that makes the record of a message unguessable. The holder of a receipt gets it.
pub fn nonce(vault: &Vault, message: &str) -> [u8; 32] {
    mac(&vault.key("audit receipts"), &[message.as_bytes()])
}

/// Writes the canonical form of the outcome of a send.
pub fn send(vault: &Vault, row: &UnsealedSend) -> String {
    let record = SendRecord {
        sender: &row.sender,
        recipient: &row.recipient,
        body_hash: &row.body_hash,
    };
    let commitment = record.commitment(&nonce(vault, &row.id));
    let mut members = Map::new();
    let mut add = |name: &str, value: Value| {
        if !value.is_null() {
            members.insert(name.into(), value);
        }
    };
    add("v", json!(VERSION));
    add("kind", json!("send"));
    add("id", json!(row.id));
    add("agent", json!(row.agent_id));
    add("channel", json!(row.channel));
    add("outcome", json!(row.status));
    add("carrier", json!(row.carrier));
    add("carrierId", json!(row.carrier_id));
    add("carrierStatus", json!(row.carrier_status));
    add("failure", json!(row.failure));
    add("commitment", json!(hex::encode(commitment)));
    add("at", json!(time(row.updated_at)));
    canonical::text(&Value::Object(members))
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
    fn send_shows_no_address() {
        let vault = Vault::new(b"secret");
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
            created_at: at,
            updated_at: at,
        };
        let entry = send(&vault, &row);
        assert!(!entry.contains("4155550"), "{entry}");
        assert!(entry.contains(r#""outcome":"accepted""#));
        let other = UnsealedSend {
            recipient: "+14155550198".into(),
            ..row.clone()
        };
        assert_ne!(entry, send(&vault, &other));
        assert_ne!(entry, send(&Vault::new(b"other"), &row));
    }
}
