//! The audit log: rows and their changes.

use butt_dial_domain::OrgId;
use serde_json::json;

use super::*;
use crate::{AuditEntry, AuditFilter, AuditRow, Origin};

fn entry(org: Option<&OrgId>, action: &str, at: Timestamp) -> AuditEntry {
    let mut entry =
        AuditEntry::new(org, "tok_1", action, "agt_1", at).with_detail(json!({ "was": null, "is": "paused" }));
    entry.before = Some(json!({ "status": "active" }));
    entry.source = Some("ab12".into());
    entry
}

fn entries(rows: Vec<AuditRow>) -> Vec<AuditEntry> {
    rows.into_iter().map(|row| row.entry).collect()
}

async fn list(db: &Store, org: &OrgId, filter: AuditFilter<'_>, limit: u32) -> Vec<AuditEntry> {
    entries(db.list_audit(Some(org), filter, limit).await.unwrap())
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
        let of_installation = entry(None, "organization.create", morning());
        db.append_audit(&of_installation).await.unwrap();

        let all = AuditFilter::default();
        assert_eq!(list(db, &ours, all, 10).await, [third.clone(), second.clone(), first.clone()]);
        assert_eq!(list(db, &ours, all, 1).await.first(), Some(&third));
        assert_eq!(list(db, &theirs, all, 10).await.len(), 1);
        assert_eq!(list(db, &OrgId::generate(), all, 10).await, []);
        assert_eq!(entries(db.list_audit(None, all, 10).await.unwrap()), [of_installation]);
        assert_eq!(db.count("SELECT COUNT(*) FROM audit").await, 5);

        let later = morning() + TimeDelta::microseconds(1);
        for (filter, expected) in [
            (AuditFilter { action: Some("token.revoke"), ..all }, vec![second.clone()]),
            (AuditFilter { actor: Some("tok_2"), ..all }, vec![]),
            (AuditFilter { target: Some("agt_1"), actor: Some("tok_1"), since: Some(later), ..all }, vec![third]),
            (AuditFilter { until: Some(later), ..all }, vec![second, first]),
        ] {
            assert_eq!(list(db, &ours, filter, 10).await, expected, "{filter:?}");
        }
    }

    async fn audit_pages_follow_each_other(db: &Database) {
        let org = OrgId::generate();
        for n in 0..5 {
            db.append_audit(&entry(Some(&org), &format!("a.{n}"), morning() + seconds(n / 2))).await.unwrap();
        }
        let mut seen = Vec::new();
        let mut last: Option<AuditRow> = None;
        loop {
            let before = last.as_ref().map(|row| (row.entry.at, row.id.as_str()));
            let filter = AuditFilter { before, ..AuditFilter::default() };
            let page = db.list_audit(Some(&org), filter, 2).await.unwrap();
            let Some(end) = page.last().cloned() else { break };
            seen.extend(page.into_iter().map(|row| row.entry.action));
            last = Some(end);
        }
        assert_eq!(seen, ["a.4", "a.3", "a.2", "a.1", "a.0"]);
    }

    async fn change_and_entry_are_written_together(db: &Database) {
        let agent = new_agent(db).await;
        let (org, id) = (&agent.org_id, &agent.id);
        let change = |target: &str| db.change(AuditEntry::new(Some(org), "tok_1", "agent.status", target, morning()));
        let by = crate::StatusSetBy::Admin;
        let set = change(id.as_str()).set_agent_status(org, id, AgentStatus::Suspended, by, None).await;
        assert_eq!(set.unwrap(), Some(0));
        let rows = db.list_audit(Some(org), AuditFilter { action: Some("agent.status"), ..AuditFilter::default() }, 9).await.unwrap();
        assert_eq!(rows[0].entry.before, Some(json!({ "status": "active" })));
        assert_eq!(rows[0].entry.after, Some(json!({ "status": "suspended" })));
        assert_eq!(rows[0].entry.detail, json!({ "cancelledSends": 0 }));
        assert_eq!(rows[0].entry.actor_kind.as_deref(), Some("token"));

        // A change without effect writes no entry.
        let unknown = AgentId::generate();
        let set = change("x").set_agent_status(org, &unknown, AgentStatus::Active, by, None).await;
        assert_eq!(set.unwrap(), None);
        assert!(!change("x").revoke_agent_token(id, &butt_dial_domain::TokenId::generate(), morning()).await.unwrap());
        assert_eq!(db.count("SELECT COUNT(*) FROM audit WHERE action = 'agent.status'").await, 1);

        // An entry that can't be written undoes its change.
        db.execute("ALTER TABLE audit RENAME TO audit_away").await;
        assert!(change("x").set_agent_status(org, id, AgentStatus::Active, by, None).await.is_err());
        db.execute("ALTER TABLE audit_away RENAME TO audit").await;
        assert_eq!(db.find_agent(org, id).await.unwrap().unwrap().status, AgentStatus::Suspended);
    }

    async fn entries_of_a_request_name_its_origin(db: &Database) {
        let org = OrgId::generate();
        let mut plain = entry(Some(&org), "a.b", morning());
        plain.source = None;
        let origin = Origin { via: Some("console"), source: Some("cd34".into()), request_id: Some("req_1".into()) };
        origin.scope(db.append_audit(&plain)).await.unwrap();
        db.append_audit(&plain).await.unwrap();
        let rows = db.list_audit(Some(&org), AuditFilter::default(), 9).await.unwrap();
        assert_eq!((rows[1].entry.source.as_deref(), rows[1].entry.request_id.as_deref()), (Some("cd34"), Some("req_1")));
        assert_eq!(rows[1].entry.detail["via"], "console");
        assert_eq!(rows[0].entry, plain, "the program itself has no origin");
    }

    async fn created_organization_is_target_of_its_entry(db: &Database) {
        let begin = || db.change(AuditEntry::new(None, "system", "organization.create", "acme", morning()));
        let org = begin().create_organization("Acme", "acme", morning()).await.unwrap();
        begin().create_organization("Acme", "acme", morning()).await.unwrap();
        let rows = db.list_audit(Some(&org.id), AuditFilter::default(), 9).await.unwrap();
        assert_eq!(rows.len(), 1, "the second call has created nothing");
        assert_eq!(rows[0].entry.target, org.id.as_str());
        assert_eq!(rows[0].entry.actor_kind.as_deref(), Some("system"));
    }
}
