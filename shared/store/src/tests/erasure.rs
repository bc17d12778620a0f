//! Erasure: no table keeps a row of an erased organization or of its agents. The tables are read from the schema, so that a new
//! one can't be forgotten.

use butt_dial_domain::{OrgId, Scope, TokenId};

use super::*;
use crate::{ComplianceChoices, NewOneTimeToken, NewToken, OneTimeKind, OrgStatus, Role};

const TABLES_SQLITE: &str = "SELECT m.name || ' ' || p.name FROM sqlite_master m JOIN pragma_table_info(m.name) p
    WHERE m.type = 'table' AND p.name IN ('org_id', 'agent_id', 'log') ORDER BY 1";
const TABLES_POSTGRES: &str = "SELECT table_name || ' ' || column_name FROM information_schema.columns
    WHERE table_schema = current_schema() AND column_name IN ('org_id', 'agent_id', 'log') ORDER BY 1";
/// Rows of `$1`, the organization, and `$2`, its agent, with `$3` for bytes, in the tables that no function of this test fills.
const ROWS: &[&str] = &[
    "INSERT INTO suppressions (org_id, channel, address, reason, created_at) VALUES ($1, 'sms', '+1', 'x', CURRENT_TIMESTAMP)",
    "INSERT INTO consents (org_id, channel, address, status, source, updated_at)
        VALUES ($1, 'sms', '+1', 'granted', 'x', CURRENT_TIMESTAMP)",
    "INSERT INTO contact_identities (org_id, kind, value, contact, updated_at) VALUES ($1, 'x', 'x', 'x', CURRENT_TIMESTAMP)",
    "INSERT INTO usage (agent_id, day, channel, org_id, messages, cost) VALUES ($2, 'd', 'sms', $1, 1, 1)",
    "INSERT INTO audit (id, org_id, actor, action, target, detail, at) VALUES ('aud_1', $1, 'x', 'x', 'x', '{}', CURRENT_TIMESTAMP)",
    "INSERT INTO alerts (id, org_id, kind, fingerprint, severity, title, evidence, state, occurrences, first_at, last_at)
        VALUES ('alr', $1, 'x', 'x', 'low', 'x', '{}', 'open', 1, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)",
    "INSERT INTO anomalies (id, org_id, agent_id, detector, subject, severity, reaction, explanation, numbers, first_at, last_at)
        VALUES ('ano', $1, $2, 'x', 'x', 'low', 'alert', 'x', '{}', CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)",
    "INSERT INTO anomaly_baselines (org_id, agent_id, metric, slot, mean, samples, bucket) VALUES ($1, $2, 'x', 1, 1, 1, 1)",
    "INSERT INTO anomaly_countries (org_id, country, first_at) VALUES ($1, 'DE', CURRENT_TIMESTAMP)",
    "INSERT INTO announced_campaigns (id, org_id, agent_id, starts_at, ends_at, volume, announced_by, created_at, sent, counted_until)
        VALUES ('cpn', $1, $2, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP, 1, 'x', CURRENT_TIMESTAMP, 0, CURRENT_TIMESTAMP)",
    "INSERT INTO agent_restraints (agent_id, kind, org_id, anomaly_id, until_at, created_at)
        VALUES ($2, 'confirm', $1, 'ano', CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)",
    "INSERT INTO alert_routes (id, org_id, kind, target, hint, severity, is_escalation, created_at, free_at)
        VALUES ('alt', $1, 'email', $3, 'x', 'low', FALSE, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)",
    "INSERT INTO audit_logs (log, size, chain) VALUES ($1, 1, $3)",
    "INSERT INTO audit_leaves (log, seq, kind, ref, leaf, chain, at) VALUES ($1, 0, 'change', 'aud_1', $3, $3, CURRENT_TIMESTAMP)",
    "INSERT INTO audit_nodes (log, level, n, hash) VALUES ($1, 1, 0, $3)",
    "INSERT INTO audit_checkpoints (log, size, note, signed_at) VALUES ($1, 1, 'n', CURRENT_TIMESTAMP)",
    "INSERT INTO inbound_subscriptions (agent_id, channels, contacts, created_at) VALUES ($2, '[]', '[]', CURRENT_TIMESTAMP)",
    "INSERT INTO inbound_filters (id, agent_id, kind, pattern, action, created_at)
        VALUES ('f', $2, 'x', 'x', 'x', CURRENT_TIMESTAMP)",
    "INSERT INTO scheduled_sends (id, org_id, agent_id, channel, recipient, idempotency_key, request_hash, state, due_at, created_at)
        VALUES ('s', $1, $2, 'sms', '+1', 'k', 'h', 'scheduled', CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)",
    "INSERT INTO calls (id, org_id, agent_id, direction, carrier, local_number, remote_number, status, rank, created_at, updated_at)
        VALUES ('c', $1, $2, 'inbound', 'x', '+1', '+2', 'x', 1, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)",
    "INSERT INTO call_legs (call_id, agent_id, carrier, carrier_id, leg_price, call_price, paid_until)
        VALUES ('c', $2, 'x', 'x', 1, 1, CURRENT_TIMESTAMP)",
    "INSERT INTO account_notices (id, org_id, kind, url, body, state, created_at)
        VALUES ('n', $1, 'x', 'x', '{}', 'dead', CURRENT_TIMESTAMP)",
    "INSERT INTO billing_configs (org_id, agent_id, updated_at) VALUES ($1, $2, CURRENT_TIMESTAMP)",
    "INSERT INTO provider_accounts (id, org_id, agent_id, vendor, external_id, label, credentials, version, status, is_subaccount,
            created_at, updated_at)
        VALUES ('p', $1, $2, 'x', 'x', 'x', $3, 1, 'active', FALSE, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)",
    "INSERT INTO channels (id, org_id, agent_id, channel, address, status, account_id, created_at)
        VALUES ('pooled', $1, NULL, 'sms', '+14155550101', 'active', 'p', CURRENT_TIMESTAMP)",
    "INSERT INTO sender_bindings (channel_id, contact, org_id, agent_id, used_at)
        VALUES ('pooled', '+1', $1, $2, CURRENT_TIMESTAMP)",
    "INSERT INTO sender_orders (id, org_id, agent_id, account_id, request, step, state, lease_until, attempts, created_at, updated_at)
        VALUES ('so', $1, $2, 'p', '{}', 'x', 'done', CURRENT_TIMESTAMP, 1, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)",
    "INSERT INTO call_bridges (id, org_id, agent_id, local_number, destination, created_at)
        VALUES ('cb', $1, $2, '+1', '+2', CURRENT_TIMESTAMP)",
    "INSERT INTO trust_sessions (agent_id, contact, org_id, method, granted_by, granted_at, expires_at)
        VALUES ($2, '+1', $1, 'manual', 'x', CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)",
    "INSERT INTO consent_records (id, org_id, agent_id, actor, channel, contact, action, at)
        VALUES ('cr', $1, $2, 'x', 'sms', '+1', 'granted', CURRENT_TIMESTAMP)",
    "INSERT INTO consent_events (id, org_id, contact, channel, purpose, action, method, actor, evidence, at, recorded_at)
        VALUES ('ce', $1, '+1', 'sms', 'all', 'granted', 'keyword', 'contact', '{}', CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)",
    "INSERT INTO subject_jobs (id, org_id, kind, state, contact_hash, actor, step, place, progress, fence, lease_until, created_at,
            updated_at)
        VALUES ('sj', $1, 'erase', 'running', 'h', 'x', 'messages', '{}', '{}', 0, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)",
    "INSERT INTO legal_holds (org_id, contact_hash, id, reason, actor, created_at) VALUES ($1, 'h', 'hld', 'x', 'x', CURRENT_TIMESTAMP)",
    "INSERT INTO subject_archives (job_id, part, org_id, lines, created_at) VALUES ('sj', 0, $1, $3, CURRENT_TIMESTAMP)",
    "INSERT INTO subject_receipts (job_id, vendor, resource, org_id, kind, channel, own_address, state, tries, updated_at)
        VALUES ('sj', 'x', 'x', $1, 'message', 'sms', '+1', 'pending', 0, CURRENT_TIMESTAMP)",
    "INSERT INTO conversations (id, org_id, agent_id, status, details, created_at, updated_at)
        VALUES ('cv', $1, $2, 'active', $3, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)",
    "INSERT INTO console_filters (org_id, user_id, name, query, saved_at)
        SELECT $1, user_id, 'n', 'q', CURRENT_TIMESTAMP FROM console_users",
    "INSERT INTO contact_pauses (agent_id, contact, org_id, until_at) VALUES ($2, '+1', $1, CURRENT_TIMESTAMP)",
    "INSERT INTO ai_disclosures (org_id, channel, contact, at) VALUES ($1, 'sms', '+1', CURRENT_TIMESTAMP)",
    "INSERT INTO attempts (message_id, number, replica, started_at)
        SELECT id, 1, 'r', created_at FROM messages WHERE agent_id = $2",
    "INSERT INTO conversation_contacts (agent_id, contact, conversation_id) VALUES ($2, '+1', 'cv')",
    "INSERT INTO number_registrations (id, org_id, kind, subject, state, data, attempts, created_at, updated_at)
        VALUES ('nr', $1, 'brand', 'x', 'pending', $3, 0, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)",
    "INSERT INTO spend (scope, period, held, settled, task_org_id) VALUES ('task:' || $1 || '/t', 'total', 0, 1, $1)",
    "INSERT INTO limits (scope, max_spend, updated_at) VALUES ('task:' || $1 || '/t', 1, CURRENT_TIMESTAMP)",
    "INSERT INTO budget_alerts (scope, period, threshold, org_id, created_at) VALUES ('x', 'd', 50, $1, CURRENT_TIMESTAMP)",
    "INSERT INTO challenges (id, org_id, agent_id, purpose, channel, address, contact, code_hash, state, created_at, expires_at)
        VALUES ('o', $1, $2, 'x', 'sms', '+1', '+1', 'h', 'pending', CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)",
];

/// Fills every table of an organization. Returns its agent.
async fn fill(db: &Database) -> Agent {
    let agent = new_agent(db).await;
    let (org, id) = (&agent.org_id, &agent.id);
    db.change(setup())
        .assign_channel(org, id, Channel::Sms, "+14155550100", morning())
        .await
        .unwrap();
    db.accept_send(text(&agent, "k1")).await.unwrap();
    super::refusals::refuse(db, org, id, "a").await;
    super::callback_attempts::note(db, &agent, "e", "failed", false).await;
    let data = serde_json::json!({});
    let event = crate::NewEvent {
        agent: id,
        id: "evt_1",
        kind: "message.received",
        channel: None,
        reason: EventReason::AgentOffline,
        data: &data,
    };
    db.append_event(&event, morning()).await.unwrap();
    let token = TokenId::generate();
    let new = NewToken {
        id: &token,
        hash: "agent",
        last_four: "wxyz",
        scope: Scope::Agent,
        org: Some(org),
        agent: Some(id),
        expires_at: None,
        label: None,
        created_by: None,
        restriction: None,
    };
    db.change(setup()).create_token(&new, morning()).await.unwrap();
    // The budget of a restricted token goes with it.
    db.execute(&format!(
        "INSERT INTO spend (scope, period, held, settled) VALUES ('tok:{token}', 'total', 0, 1)"
    ))
    .await;
    let member = ("Ann@example.com", "ann@example.com");
    db.change(setup())
        .add_member(org, member, Role::Owner, "system", None, morning())
        .await
        .unwrap();
    db.create_one_time_token(&confirmation(org), morning()).await.unwrap();
    sign_in(db, org, member).await;
    for sql in ROWS {
        let sql = sql.replace("$1", &format!("'{org}'")).replace("$2", &format!("'{id}'"));
        // An empty content of bytes.
        let sql = sql.replace("$3", if db.is_postgres() { "'\\x'::bytea" } else { "x''" });
        db.execute(&sql).await;
    }
    agent
}

/// Makes rows of the console: an accepted invitation, a session and a mark.
async fn sign_in(db: &Database, org: &OrgId, member: (&str, &str)) {
    let (role, until) = (Role::Owner, morning() + seconds(3_600));
    let invitation = crate::NewInvitation {
        hash: "invitation",
        org,
        email: member,
        role,
        invited_by: "operator",
        expires_at: until,
    };
    db.create_invitation(&invitation, morning()).await.unwrap();
    let invitation = db.find_invitation("invitation", morning()).await.unwrap().unwrap();
    let accepted = db
        .accept_invitation(&invitation, Some(crate::Access::Password("hash")), morning())
        .await;
    let session = crate::NewConsoleSession {
        hash: "session",
        user: &accepted.unwrap().unwrap(),
        org,
        expires_at: until,
        address: "this machine",
        browser: "Chrome",
    };
    db.create_console_session(&session, morning()).await.unwrap();
    db.add_mark(org, "carriers", morning()).await.unwrap();
}

fn confirmation(org: &OrgId) -> NewOneTimeToken<'_> {
    NewOneTimeToken {
        hash: "confirmation",
        kind: OneTimeKind::Erasure,
        org: Some(org),
        detail: None,
        expires_at: morning() + seconds(3_600),
    }
}

/// Lists the tables of organizations and agents, each with its column.
async fn tables(db: &Database) -> Vec<String> {
    db.texts(if db.is_postgres() {
        TABLES_POSTGRES
    } else {
        TABLES_SQLITE
    })
    .await
}

/// Lists the tables with rows of the organization or agent.
async fn tables_with_rows(db: &Database, agent: &Agent) -> Vec<String> {
    let mut found = Vec::new();
    let tables = tables(db).await;
    assert!(tables.len() > 20, "{tables:?}");
    for table in tables {
        let (name, column) = table.split_once(' ').unwrap();
        let id = match column {
            "agent_id" => agent.id.as_str(),
            // The log of an organization has its id.
            _ => agent.org_id.as_str(),
        };
        if db
            .count(&format!("SELECT COUNT(*) FROM {name} WHERE {column} = '{id}'"))
            .await
            > 0
        {
            found.push(table);
        }
    }
    found
}

both_engines! {
    async fn erasure_leaves_no_row_of_any_table(db: &Database) {
        let (agent, other) = (fill(db).await, new_agent(db).await);
        let (org, at) = (&agent.org_id, morning());
        let all = tables(db).await;
        assert_eq!(tables_with_rows(db, &agent).await, all, "fill() makes a row in every table");
        let choices = ComplianceChoices {
            postal_address: Some("1 Main St".into()),
            disclosure_text: Some("Ada's assistant".into()),
            ..Default::default()
        };
        db.change(setup()).set_compliance_choices(org, &choices).await.unwrap();
        let begin = async || db.change(setup()).begin_erasure("confirmation", org, at + seconds(60), at).await.unwrap();
        assert!(!begin().await, "a legal hold forbids it");
        assert!(db.change(setup()).release_hold(org, "hld").await.unwrap());
        assert!(begin().await);
        assert!(!db.change(setup()).begin_erasure("confirmation", org, at, at).await.unwrap(), "used");
        let erasing = db.find_organization(org).await.unwrap().unwrap();
        assert_eq!((erasing.status, erasing.name.as_str()), (OrgStatus::Erasing, "Erased organization"));
        assert_eq!(erasing.owner_email, None);
        let choices = db.find_compliance_choices(org).await.unwrap().unwrap();
        assert_eq!((choices.postal_address, choices.disclosure_text), (None, None));
        assert!(db.find_token("agent").await.unwrap().unwrap().revoked_at.is_some());
        assert_eq!(db.count("SELECT COUNT(*) FROM users").await, 0);

        let claim = async |at| db.claim_erasure(at, at + seconds(300)).await.unwrap();
        assert_eq!(claim(at).await, None);
        assert_eq!(claim(at + seconds(60)).await.as_ref(), Some(org));
        assert_eq!(claim(at + seconds(61)).await, None, "another process purges it");
        let addresses = db.list_agent_addresses(&agent.id).await.unwrap();
        assert_eq!(addresses, [("sms".to_owned(), "+14155550100".to_owned())]);
        db.purge_agent(&agent.id).await.unwrap();
        db.purge_organization(org).await.unwrap();
        assert_eq!(tables_with_rows(db, &agent).await, Vec::<String>::new());
        assert_eq!(db.find_organization(org).await.unwrap().unwrap().status, OrgStatus::Erased);
        assert_eq!(db.count("SELECT COUNT(*) FROM attempts").await, 0);
        assert!(db.find_agent(&other.org_id, &other.id).await.unwrap().is_some(), "others stay");
        assert_eq!(db.count("SELECT COUNT(*) FROM limits").await, 0);
        let spend = db.count("SELECT COUNT(*) FROM spend").await;
        assert_eq!(spend, 2, "the organization's day and month stay, as numbers");
        // The check at the end of every test needs the messages.
        db.execute("DELETE FROM spend").await;
    }
}
