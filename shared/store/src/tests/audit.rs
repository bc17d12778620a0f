//! The audit log.

use butt_dial_domain::OrgId;
use serde_json::json;

use super::*;
use crate::AuditEntry;

fn entry(org: Option<&OrgId>, action: &str, at: Timestamp) -> AuditEntry {
    AuditEntry {
        org_id: org.map(|org| org.to_string()),
        actor: "system".into(),
        action: action.into(),
        target: "agt_1".into(),
        detail: json!({ "was": null, "is": "paused" }),
        at,
    }
}

both_engines! {
    async fn lists_newest_audit_entries_first(db: &Database) {
        let (ours, theirs) = (OrgId::generate(), OrgId::generate());
        let first = entry(Some(&ours), "token.create", morning());
        // At the same time: in the order of insertion.
        let second = entry(Some(&ours), "token.revoke", morning());
        let third = entry(Some(&ours), "agent.create", morning() + TimeDelta::microseconds(1));
        for entry in [&first, &second, &third] {
            db.append_audit(entry).await.unwrap();
        }
        db.append_audit(&entry(Some(&theirs), "token.create", morning())).await.unwrap();
        db.append_audit(&entry(None, "organization.create", morning())).await.unwrap();

        assert_eq!(db.list_audit(&ours, 10).await.unwrap(), [third.clone(), second, first]);
        assert_eq!(db.list_audit(&ours, 1).await.unwrap(), [third]);
        assert_eq!(db.list_audit(&theirs, 10).await.unwrap().len(), 1);
        assert_eq!(db.list_audit(&OrgId::generate(), 10).await.unwrap(), []);
        assert_eq!(db.count("SELECT COUNT(*) FROM audit").await, 5);
    }
}
