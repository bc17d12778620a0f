//! Legal holds and retention: a hold on a person keeps the rows of the person only, one on the organization keeps all rows.

use butt_dial_domain::{OrgId, ids};
use serde_json::json;

use super::inbound::{PERSON, STRANGER, inbound_event, read};
use super::*;
use crate::{AgentRows, AuditEntry, CallChange, InboundRow, LegalHold, NewRefusal, TimedRows, WHOLE_ORGANIZATION};

/// PERSON as a list of numbers may spell it.
const SPELLED: &str = "+1 (415) 555-0199";
/// The id by which WhatsApp names PERSON.
const LINKED: &str = "US.1";
const TIMED: [TimedRows; 9] = [
    TimedRows::Attempts,
    TimedRows::Messages,
    TimedRows::ScheduledSends,
    TimedRows::AuditEntries,
    TimedRows::Challenges,
    TimedRows::Refusals,
    TimedRows::Anomalies,
    TimedRows::Campaigns,
    TimedRows::CallbackAttempts,
];

fn far() -> Timestamp {
    Utc.with_ymd_and_hms(2046, 11, 22, 9, 0, 0).unwrap()
}

fn hash(org: &OrgId, key: &str) -> String {
    hex::encode(super::database::digest(org, key))
}

async fn hold(db: &Database, org: &OrgId, hash: &str) {
    let hold = LegalHold {
        id: format!("hld {hash}"),
        contact_hash: hash.into(),
        reason: "case 12".into(),
        actor: "tok_1".into(),
        created_at: morning(),
    };
    assert!(
        db.change(setup())
            .put_hold(org, &[hash.to_owned()], &hold)
            .await
            .unwrap()
    );
}

/// Stores a row about a person in every table that expires; the ids contain `name`.
async fn fill(db: &Database, agent: &Agent, name: &str, contact: &str) {
    let org = &agent.org_id;
    let send = AcceptedSend {
        recipient: contact.into(),
        contact: Some(contact.into()),
        is_kept: true,
        fallback: Some(vec![1]),
        ..text(agent, name)
    };
    db.accept_send(send.clone()).await.unwrap();
    db.settle_send(settled(&send.id, accepted(1))).await.unwrap();
    let message = send.id.as_str();
    db.execute(&format!(
        "INSERT INTO attempts (message_id, number, replica, started_at) VALUES ('{message}', 1, 'r', CURRENT_TIMESTAMP)"
    ))
    .await;
    super::scheduled::schedule(db, agent, name, morning()).await.unwrap();
    db.execute(&format!(
        "UPDATE scheduled_sends SET state = 'sent', recipient = '{contact}' WHERE idempotency_key = '{name}'"
    ))
    .await;
    let received = InboundRow {
        kind: "message.received",
        ..inbound_event(agent, &format!("received {name}"), contact)
    };
    // The data of this one alone names the person.
    let named = InboundRow {
        data: json!({ "to": [contact] }),
        ..inbound_event(agent, &format!("named {name}"), "someone")
    };
    read(db, vec![received, named]).await;
    super::callback_attempts::note(db, agent, &format!("received {name}"), "failed", true).await;
    let mut call = super::calls::inbound_call(agent, name);
    call.remote_number = contact.into();
    let change = CallChange {
        open: Some(call),
        ..super::calls::conclusion(name, 1, 0)
    };
    super::calls::receive(db, vec![change]).await;
    let refusal = NewRefusal {
        org,
        agent: &agent.id,
        channel: Channel::Sms,
        recipient: "+1***",
        contact_hash: &hash(org, &butt_dial_domain::address::contact_key(contact)),
        purpose: SendPurpose::Marketing,
        rule: "a",
        code: butt_dial_domain::Code::ConsentRequired,
        ruling: "{}",
    };
    db.add_refusal(&refusal, morning()).await.unwrap();
    let challenge = butt_dial_domain::ChallengeId::generate();
    db.execute(&format!(
        "INSERT INTO challenges (id, org_id, purpose, channel, address, contact, code_hash, state, created_at, expires_at)
            VALUES ('{challenge}', '{org}', 'x', 'sms', '{contact}', '{contact}', 'x', 'pending', CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)"
    ))
    .await;
    db.append_audit(&AuditEntry::new(
        Some(org),
        "tok_1",
        "message.approve",
        message,
        morning(),
    ))
    .await
    .unwrap();
    db.append_audit(&AuditEntry::new(Some(org), "tok_1", "other.thing", name, morning()))
        .await
        .unwrap();
}

/// Forgets the spend, which outlives the messages.
async fn forget_spend(db: &Database) {
    db.execute("DELETE FROM spend").await;
}

/// Expires everything that is old by now. Returns how many rows and contents.
async fn expire(db: &Database) -> u64 {
    let mut count = 0;
    for _ in 0..2 {
        count += db.purge_delivered(far()).await.unwrap();
        count += db.purge_contents(far()).await.unwrap();
        count += db.purge_fallbacks(far()).await.unwrap();
        count += db.purge_kept_texts(far()).await.unwrap();
    }
    for rows in TIMED {
        count += db.delete_timed(rows, far()).await.unwrap();
    }
    for rows in [AgentRows::Events, AgentRows::Calls] {
        count += db.delete_of_agents(rows, far()).await.unwrap();
    }
    count
}

/// Counts rows and contents of an organization by table.
async fn left(db: &Database, agent: &Agent) -> Vec<i64> {
    let (org, id) = (&agent.org_id, &agent.id);
    let mut counts = Vec::new();
    for from in [
        format!("messages WHERE org_id = '{org}' AND fallback IS NOT NULL AND kept IS NOT NULL"),
        format!("scheduled_sends WHERE org_id = '{org}'"),
        format!("attempts WHERE message_id IN (SELECT id FROM messages WHERE org_id = '{org}')"),
        format!("events WHERE agent_id = '{id}' AND content IS NOT NULL"),
        format!("events WHERE agent_id = '{id}' AND kept IS NOT NULL"),
        format!("callback_attempts WHERE org_id = '{org}'"),
        format!("calls WHERE org_id = '{org}' AND content IS NOT NULL"),
        format!("refusals WHERE org_id = '{org}'"),
        format!("challenges WHERE org_id = '{org}'"),
        format!("audit WHERE org_id = '{org}' AND action = 'message.approve'"),
        format!("audit WHERE org_id = '{org}' AND action = 'other.thing'"),
    ] {
        counts.push(db.count(&format!("SELECT COUNT(*) FROM {from}")).await);
    }
    counts
}

/// Creates an agent of an organization that keeps texts for a day, with rows of PERSON and STRANGER.
async fn filled_agent(db: &Database, name: &str, contact: &str) -> Agent {
    let agent = new_agent(db).await;
    db.change(setup()).set_text_retention(&agent.org_id, 1).await.unwrap();
    fill(db, &agent, &format!("{name} person"), contact).await;
    fill(db, &agent, &format!("{name} stranger"), STRANGER).await;
    agent
}

/// The counts of `left` for each person.
const OF_ONE: [i64; 11] = [1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1];
/// The counts of `left` for a held person: an entry that names no row of the person expires.
const OF_HELD: [i64; 11] = [1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 0];

both_engines! {
    async fn hold_on_a_person_keeps_rows_of_the_person_only(db: &Database) {
        let held = filled_agent(db, "a", PERSON).await;
        let spelled = filled_agent(db, "b", SPELLED).await;
        let free = filled_agent(db, "c", PERSON).await;
        for agent in [&held, &spelled, &free] {
            assert_eq!(left(db, agent).await, OF_ONE.map(|count| 2 * count), "before");
        }
        hold(db, &held.org_id, &hash(&held.org_id, PERSON)).await;
        hold(db, &spelled.org_id, &hash(&spelled.org_id, PERSON)).await;
        expire(db).await;
        assert_eq!(left(db, &held).await, OF_HELD);
        assert_eq!(left(db, &spelled).await, OF_HELD, "in another spelling");
        assert_eq!(left(db, &free).await, [0; 11], "of another organization");
        assert_eq!(expire(db).await, 0, "everything else is gone");
        db.execute("DELETE FROM legal_holds").await;
        assert!(expire(db).await > 0);
        assert_eq!((left(db, &held).await, left(db, &spelled).await), (vec![0; 11], vec![0; 11]));
        forget_spend(db).await;
    }

    async fn hold_on_an_organization_keeps_all_its_rows(db: &Database) {
        let (held, free) = (filled_agent(db, "a", PERSON).await, filled_agent(db, "b", PERSON).await);
        for agent in [&held, &free] {
            let org = &agent.org_id;
            db.execute(&format!("INSERT INTO anomalies (id, org_id, detector, subject, severity, reaction, explanation, numbers, first_at, last_at, ended_at)
                VALUES ('{}{}', '{org}', 'x', 'x', 'low', 'alert', 'x', '{{}}', CURRENT_TIMESTAMP, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)", crate::ANOMALY_PREFIX, ids::unique())).await;
            db.execute(&format!("INSERT INTO announced_campaigns (id, org_id, starts_at, ends_at, volume, announced_by, sent, counted_until, created_at)
                VALUES ('{}{}', '{org}', CURRENT_TIMESTAMP, CURRENT_TIMESTAMP, 1, 'x', 1, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)", crate::CAMPAIGN_PREFIX, ids::unique())).await;
            hold(db, org, &hash(org, PERSON)).await;
        }
        hold(db, &held.org_id, WHOLE_ORGANIZATION).await;
        expire(db).await;
        assert_eq!(left(db, &held).await, OF_ONE.map(|count| 2 * count), "the hold on the person does not narrow it");
        assert_eq!(left(db, &free).await, OF_HELD);
        for table in ["anomalies", "announced_campaigns"] {
            let owners = format!("SELECT COUNT(*) FROM {table} WHERE org_id = '{}'", held.org_id);
            assert_eq!((db.count(&owners).await, db.count(&format!("SELECT COUNT(*) FROM {table}")).await), (1, 1), "{table}");
        }
        db.execute("DELETE FROM legal_holds").await;
        assert!(expire(db).await > 0);
        forget_spend(db).await;
    }

    async fn rows_of_a_held_person_do_not_stop_later_ones(db: &Database) {
        let agent = new_agent(db).await;
        let org = &agent.org_id;
        // More than a page, before the rows of others.
        for n in 0..3 {
            let events = (0..400).map(|i| inbound_event(&agent, &format!("held {n} {i}"), PERSON));
            read(db, events.collect()).await;
        }
        read(db, (0..700).map(|i| inbound_event(&agent, &format!("free {i}"), STRANGER)).collect()).await;
        hold(db, org, &hash(org, PERSON)).await;
        assert_eq!(db.purge_contents(far()).await.unwrap(), 700);
        assert_eq!(db.delete_of_agents(AgentRows::Events, far()).await.unwrap(), 700);
        assert_eq!(db.count("SELECT COUNT(*) FROM events WHERE content IS NOT NULL").await, 1_200);
    }

    async fn hold_reaches_addresses_that_carriers_name_later(db: &Database) {
        let agent = new_agent(db).await;
        let org = &agent.org_id;
        hold(db, org, &hash(org, PERSON)).await;
        let mut named = inbound_event(&agent, "by id", LINKED);
        named.effects.aliases = vec![PERSON.into(), LINKED.into()];
        named.channel = Channel::Whatsapp;
        read(db, vec![named, inbound_event(&agent, "other", "US.2")]).await;
        assert_eq!(db.list_linked_addresses(org, PERSON).await.unwrap(), [LINKED]);
        let holds = db.list_person_holds().await.unwrap();
        let ids = ["by id", "other", "gone"].map(str::to_owned);
        assert_eq!(db.find_free_events(&holds, org, &ids).await.unwrap(), ["other", "gone"]);
        assert_eq!(db.delete_of_agents(AgentRows::Events, far()).await.unwrap(), 1);
        assert_eq!(db.texts("SELECT id FROM events").await, ["by id"]);
    }

    async fn hold_put_during_a_pass_keeps_rows(db: &Database) {
        let agent = new_agent(db).await;
        let org = &agent.org_id;
        read(db, vec![inbound_event(&agent, "e1", STRANGER)]).await;
        hold(db, org, &hash(org, PERSON)).await;
        let holds = db.list_person_holds().await.unwrap();
        assert_eq!(holds.organizations().collect::<Vec<_>>(), [org]);
        hold(db, org, &hash(org, STRANGER)).await;
        assert_eq!(db.delete_free_events(far(), &holds).await.unwrap(), 0);
        hold(db, org, WHOLE_ORGANIZATION).await;
        assert_eq!(db.list_person_holds().await.unwrap().organizations().count(), 0);
    }
}
