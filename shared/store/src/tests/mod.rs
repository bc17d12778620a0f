//! The tests of the store. Each runs on both engines, in a separate database on a real server. At its end the spend must match
//! the messages, and the tasks of the store must end.

mod alerts;
mod anomalies;
mod anomaly_facts;
mod audit;
mod audit_log;
mod backlogs;
mod billing_configs;
mod budget_alerts;
mod call_bridges;
mod callback_attempts;
mod calls;
mod challenges;
mod channels;
mod connect;
mod consent_ledger;
mod consent_records;
mod console;
mod contacts;
mod conversations;
mod costs;
mod database;
mod dead_letters;
mod deadlocks;
mod deferred_bodies;
mod deliveries;
mod due_work;
mod encryption;
mod erasure;
mod events;
mod follow_ups;
mod identity;
mod inbound;
mod incomplete_events;
mod indexes;
mod kept_texts;
mod limits;
mod messages;
mod messages_of_org;
mod migrations;
mod number_registrations;
mod partitions;
mod people;
mod person_holds;
mod provider_accounts;
mod receipts;
mod recipients;
mod reconciler;
mod refusals;
mod registrations;
mod rents;
mod replica;
mod retention;
mod routes;
mod scheduled;
mod sender_orders;
mod senders;
mod sends;
mod sqlite;
mod sqlite_schema;
mod subjects;
mod suppressions;
mod takeovers;
mod tokens;
mod trust_sessions;
mod unavailable;

use butt_dial_domain::{
    AgentId, Channel, ChannelId, MessageId, Micros, SendPurpose, clock::Timestamp, limits::Limits, message::ThreadRef,
};
use chrono::{TimeDelta, TimeZone as _, Utc};

use crate::{
    AcceptedSend, Agent, AgentStatus, AttemptOutcome, AuditEntry, DueKind, EventReason, EventState, ScheduledState,
    SendResult, SenderRoute, SettledSend, Store, StoreError,
};
use database::Database;

/// Makes two tests of each function, for SQLite and for Postgres, with an empty, migrated database.
macro_rules! both_engines {
    ($(async fn $name:ident($db:ident: &Database) $body:block)+) => {
        $(
            mod $name {
                use super::*;

                async fn body($db: &Database) $body

                #[tokio::test]
                async fn sqlite() {
                    let db = Database::sqlite().await;
                    body(&db).await;
                    db.finish().await;
                }

                #[tokio::test]
                async fn postgres() {
                    let db = Database::postgres().await;
                    body(&db).await;
                    db.finish().await;
                }
            }
        )+
    };
}

use both_engines;

const DAY: &str = "2026-11-22";
const MONTH: &str = "2026-11";

/// Returns whether work of this kind is listed as due.
async fn is_due(store: &Store, kind: DueKind, now: Timestamp) -> bool {
    store.list_due_work(now).await.unwrap().contains(&kind)
}

fn morning() -> Timestamp {
    Utc.with_ymd_and_hms(2026, 11, 22, 9, 0, 0).unwrap()
}

fn seconds(seconds: i64) -> TimeDelta {
    TimeDelta::seconds(seconds)
}

/// Returns the entry of a change that a test prepares.
fn setup() -> AuditEntry {
    AuditEntry::new(None, "system", "test.setup", "test", morning())
}

/// Creates an active agent of a new organization.
async fn new_agent(store: &Store) -> Agent {
    let slug = butt_dial_domain::ids::unique();
    let org = store
        .change(setup())
        .create_organization("Acme", &slug, morning())
        .await
        .unwrap();
    new_agent_in(store, &org.id).await
}

/// Creates an active agent of this organization.
async fn new_agent_in(store: &Store, org: &butt_dial_domain::OrgId) -> Agent {
    let agent = Agent {
        id: AgentId::generate(),
        org_id: org.clone(),
        display_name: "Ada".into(),
        status: AgentStatus::Active,
        created_at: morning(),
    };
    store.change(setup()).create_agent(&agent).await.unwrap();
    agent
}

/// The default estimate of a send.
const ESTIMATE: i64 = 1_000;

/// A text message that passed every check; no limits.
fn text(agent: &Agent, key: &str) -> AcceptedSend {
    AcceptedSend {
        id: MessageId::generate(),
        org: agent.org_id.clone(),
        agent: agent.id.clone(),
        channel: Channel::Sms,
        sender: "+14155550100".into(),
        recipient: "+14155550199".into(),
        contact: Some("+14155550199".into()),
        is_answer: false,
        idempotency_key: key.into(),
        request_hash: "aa11".into(),
        body_hash: "bb22".into(),
        content: vec![0, 1, 0xfe, 0xff],
        is_kept: false,
        fallback: None,
        verdict: "allow",
        rule: None,
        purpose: SendPurpose::Undeclared,
        ruling: None,
        carrier: "simulator",
        estimate: ESTIMATE,
        agent_limits: Limits::default(),
        org_limits: Limits::default(),
        budget: None,
        thread: ThreadRef::default(),
        replica: "replica1".into(),
        at: morning(),
        check_at: morning() + seconds(60),
    }
}

fn per_day(micros: i64) -> Limits {
    Limits {
        max_spend_per_day: Some(Micros(micros)),
        ..Limits::default()
    }
}

fn per_month(micros: i64) -> Limits {
    Limits {
        max_spend_per_month: Some(Micros(micros)),
        ..Limits::default()
    }
}

fn settled(message: &MessageId, result: SendResult) -> SettledSend {
    let outcome = match result {
        SendResult::Accepted { .. } => AttemptOutcome::Accepted,
        SendResult::Failed { .. } => AttemptOutcome::Refused,
        SendResult::Unknown { .. } => AttemptOutcome::Unknown,
        SendResult::Unconfirmed => AttemptOutcome::Unconfirmed,
    };
    SettledSend {
        id: message.clone(),
        result,
        outcome,
        detail: None,
        disclosed_to: None,
        trace: None,
        at: morning() + seconds(1),
    }
}

fn accepted(cost: i64) -> SendResult {
    SendResult::Accepted {
        carrier_id: format!("SM{}", butt_dial_domain::ids::random()),
        carrier_status: "queued".into(),
        segments: Some(1),
        cost,
    }
}

fn failed(frees_key: bool) -> SendResult {
    SendResult::Failed {
        failure: "carrier_refused",
        frees_key,
    }
}

fn unknown(check_at: Timestamp) -> SendResult {
    SendResult::Unknown { check_at }
}

/// Reads held and settled money of a scope on the day of the tests, and asserts that the month has the same.
async fn spend(store: &Store, scope: &str) -> (i64, i64) {
    let rows = store.list_spend(scope, DAY, MONTH).await.unwrap();
    let sums: Vec<(i64, i64)> = rows.iter().map(|row| (row.held, row.settled)).collect();
    match sums[..] {
        [] => (0, 0),
        [day, month] if day == month => day,
        _ => panic!("day and month differ: {rows:?}"),
    }
}

/// Asserts a `Corrupt` error for this table, column and row.
fn assert_corrupt<T: std::fmt::Debug>(answer: Result<T, StoreError>, expected: (&str, &str, &str)) {
    match answer {
        Err(StoreError::Corrupt { table, column, row, .. }) => assert_eq!((table, column, row.as_str()), expected),
        other => panic!("not reported as corrupt: {other:?}"),
    }
}
