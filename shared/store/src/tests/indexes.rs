//! Frequent statements find their rows by an index and never read a whole table.

use butt_dial_domain::{
    CallId, ChannelId,
    call::CallStatus,
    inbound::{DeliveryStatus, Receipt},
};
use futures::future::join_all;

use super::*;
use super::{
    calls::inbound_call,
    follow_ups::follow_up,
    inbound::{HOLD, PERSON, STRANGER, batch, inbound_event},
};
use crate::{Acceptance, BilledBy, CallChange, EventLease, ReceiptEntry};

/// Statements that fill the tables with rows of these numbers, as after some time of use.
const FILL: [&str; 21] = [
    "INSERT INTO agents (id, org_id, display_name, status, event_seq, created_at)
        SELECT 'a' || n, (SELECT MIN(id) FROM organizations), 'Bot', 'active', 0, now() FROM generate_series({rows}) n",
    "INSERT INTO channels (id, org_id, agent_id, channel, address, status, created_at, monthly_price, number_id,
            us_registration, rent_paid_until, webhooks_checked_at)
        SELECT 'c' || n, (SELECT MIN(id) FROM organizations), 'a' || n, 'sms', '+1' || n, 'active', now(), 1, 'PN' || n,
            'needed', due, due
        FROM generate_series({rows}) n CROSS JOIN LATERAL (SELECT CASE WHEN n % 1000 = 0
            THEN TIMESTAMPTZ '2026-11-19 08:00Z' ELSE TIMESTAMPTZ '2027-11-22 08:00Z' END AS due) d",
    "INSERT INTO number_registrations (id, org_id, kind, subject, state, data, attempts, check_at, created_at, updated_at)
        SELECT 'n' || n, (SELECT MIN(id) FROM organizations), 'tollfree', 'PN' || n, 'approved', decode('00', 'hex'), 0,
            CASE WHEN n % 1000 = 0 THEN TIMESTAMPTZ '2026-11-19 08:00Z' ELSE TIMESTAMPTZ '2027-11-22 08:00Z' END,
            now(), now() FROM generate_series({rows}) n",
    "INSERT INTO messages (id, org_id, agent_id, channel, sender, recipient, idempotency_key, request_hash, body_hash,
            status, verdict, carrier, carrier_id, estimate, cost, day, attempts, created_at, updated_at, receipt_seq)
        SELECT 'm' || n, 'o', 'a' || n % 5000, 'sms', 's', 'r', 'k' || n, 'h', 'b', 'accepted', 'allow', 'simulator',
            'SM' || n, 0, 0, '2026-11-22', 1, now(), now(), n FROM generate_series({rows}) n",
    "INSERT INTO audit (id, org_id, actor, action, target, detail, at, seq)
        SELECT 'aud_' || n, 'o', 'x', 'x', 'x', '{}', now(), n FROM generate_series({rows}) n",
    "INSERT INTO audit_leaves (log, seq, kind, ref, leaf, chain, at)
        SELECT 'o', n, 'change', 'aud_' || n, decode('00', 'hex'), decode('00', 'hex'), now() FROM generate_series({rows}) n",
    "INSERT INTO events (agent_id, seq, id, type, channel, state, reason, data, created_at, contact, content)
        SELECT 'a' || CASE WHEN n % 4 = 0 THEN 7 ELSE n % 49 END, n, 'e' || n, 't', 'sms', CASE WHEN n % 4 = 0 THEN 'waiting' ELSE 'delivered' END,
            'agent_offline', '{}',
            now(), '+1' || n % 99, CASE WHEN n % 4 = 0 THEN decode('00', 'hex') END
        FROM generate_series({rows}) n WHERE n % 49 > 0",
    "INSERT INTO deliveries (agent_id, due_at, generation)
        SELECT 'a' || n, CASE WHEN n % 100 = 0 THEN TIMESTAMPTZ '2026-11-22 08:00Z' END, 1
        FROM generate_series({rows}) n",
    "INSERT INTO inbound_windows (channel_id, address, last_inbound_at)
        SELECT 'c' || n, '+1', now() FROM generate_series({rows}) n",
    "INSERT INTO contact_pauses (agent_id, contact, org_id, until_at, id, taken_by, taken_at)
        SELECT 'a' || n, '+9' || n, 'o', now(), 'tko_' || n, CASE WHEN n % 2 = 0 THEN 'usr_1' END, now()
        FROM generate_series({rows}) n",
    "INSERT INTO contact_identities (org_id, kind, value, contact, updated_at)
        SELECT (SELECT MIN(id) FROM organizations), 'phone', '+9' || n, '+9' || n, now() FROM generate_series({rows}) n",
    "INSERT INTO consents (org_id, channel, address, status, source, updated_at)
        SELECT (SELECT MIN(id) FROM organizations), 'sms', '+9' || n, 'granted', 'api', now()
        FROM generate_series({rows}) n",
    "INSERT INTO suppressions (org_id, channel, address, reason, created_at)
        SELECT (SELECT MIN(id) FROM organizations), 'sms', '+9' || n, 'asked', now() FROM generate_series({rows}) n",
    "INSERT INTO scheduled_sends (id, org_id, agent_id, channel, recipient, idempotency_key, request_hash, state, due_at,
            created_at)
        SELECT 's' || n, 'o', 'a' || 1 + n % 500, 'sms', '+1' || n, 'k' || n, 'h',
            CASE WHEN n % 5 = 0 THEN 'scheduled' ELSE 'sent' END, now(), now() FROM generate_series({rows}) n",
    "INSERT INTO subject_jobs (id, org_id, kind, state, contact_hash, actor, step, place, progress, fence, lease_until, created_at,
            updated_at)
        SELECT 'sbj' || n, (SELECT MIN(id) FROM organizations), 'erase', CASE WHEN n % 1000 = 0 THEN 'running' ELSE 'done' END,
            'h' || n, 'x', 'messages', '{}', '{}', 0, TIMESTAMPTZ '2026-11-19 08:00Z', now(), now() FROM generate_series({rows}) n",
    "INSERT INTO consent_events (id, org_id, contact, channel, purpose, action, method, actor, evidence, at, recorded_at)
        SELECT 'cev' || n, (SELECT MIN(id) FROM organizations), '+9' || n, 'sms', 'all', 'granted', 'import', 'x', '{}', now(),
            now() FROM generate_series({rows}) n",
    "INSERT INTO callback_attempts (id, org_id, agent_id, event_id, event_type, outcome, milliseconds, at)
        SELECT 'cba_' || n, 'o', 'a' || n % 49, 'e' || n, 't', 'failed', 1, now() FROM generate_series({rows}) n",
    "INSERT INTO limits (scope, max_spend, updated_at) SELECT 'task:o/t' || n, 1, now() FROM generate_series({rows}) n",
    "INSERT INTO spend (scope, period, held, settled, task_org_id)
        SELECT 'task:o/t' || n, 'total', 0, 0, 'o' FROM generate_series({rows}) n",
    "INSERT INTO inbound_filters (id, agent_id, kind, pattern, action, created_at)
        SELECT 'f' || n, 'a' || n, 'k', 'p', 'a', now() FROM generate_series({rows}) n",
    "INSERT INTO calls (id, org_id, agent_id, direction, carrier, carrier_id, local_number, remote_number, status, rank,
            created_at, ended_at, content, updated_at)
        SELECT 'c' || n, 'o', 'a' || n % 49, 'inbound', 'simulator', 'CA' || n, 'l', 'r',
            CASE WHEN n % 100 = 0 THEN 'ringing' ELSE 'busy' END, CASE WHEN n % 100 = 0 THEN 2 ELSE 4 END, now(),
            CASE WHEN n % 100 > 0 THEN now() END, CASE WHEN n % 4 = 0 THEN decode('00', 'hex') END, now()
        FROM generate_series({rows}) n",
];

fn receipt(n: u64, by_id: bool) -> ReceiptEntry {
    ReceiptEntry {
        carrier: "simulator".into(),
        receipt: Receipt {
            carrier_id: format!("SM{n}"),
            message: by_id.then(|| MessageId::from(format!("m{n}"))),
            channel: Channel::Sms,
            sender: None,
            stage: DeliveryStatus::Sent,
            error_code: None,
            failure: None,
            price: Some(Micros(1)),
            tariff: None,
            org: None,
            is_marketing_only: false,
        },
    }
}

/// Runs one round of all frequent operations.
async fn run_round(store: &Store, agent: &Agent, round: u64) {
    let now = morning() + HOLD * round as i32 * 3;
    let until = now + HOLD;
    let busy = AgentId::from("a7");
    let of_busy = Agent {
        id: busy.clone(),
        ..agent.clone()
    };
    let route = store.find_route(Channel::Sms, "+1100").await.unwrap().unwrap();
    let mut events = Vec::new();
    for n in 0..128 {
        let contact = if n % 16 == 0 { STRANGER } else { PERSON };
        let mut event = inbound_event(&of_busy, &format!("r{round}-{n}"), contact);
        event.agent = AgentId::from(format!("a{}", 1 + n % 50));
        event.channel_id = Some(route.channel_id().clone());
        // Only WhatsApp has windows.
        if n % 3 == 0 {
            event.channel = Channel::Whatsapp;
        }
        event.consent = (n % 16 == 0).then_some(false);
        if n % 64 == 3 {
            event.effects.aliases = vec![format!("US.{round}"), format!("+9{round}")];
        }
        event.is_incomplete = n == 5;
        event.follow_up = (n % 32 == 0).then(|| follow_up(&event.id));
        events.push(event);
    }
    let receipts = (0..64).map(|n| receipt(1 + round * 64 + n, n % 2 == 0)).collect();
    let mut batch = batch(round, events, receipts);
    batch.at = now;
    batch.calls = (0..32).map(|n| call_report(&of_busy, round * 32 + n)).collect();
    assert_eq!(store.apply_inbound(&batch, &|_| None).await.unwrap().added, 128);

    for channel in [None, Some(Channel::Sms)] {
        let held = store
            .lease_waiting_events(
                &busy,
                &EventLease {
                    channel,
                    max_tries: Some(5),
                    to_push: false,
                    limit: 20,
                    now,
                    until,
                },
            )
            .await
            .unwrap();
        assert_eq!(held.len(), 20);
        let seqs: Vec<i64> = held.iter().map(|event| event.seq).collect();
        store.confirm_events(&busy, &seqs[..10], false, now).await.unwrap();
        store
            .release_events(&busy, &seqs[10..], EventReason::CallbackFailed, true)
            .await
            .unwrap();
    }
    store.ack_events(&busy, 100 * round as i64, now).await.unwrap();
    store.list_events(&busy, 0, 20).await.unwrap();
    store.find_event(&busy, "e7").await.unwrap();
    store.find_first_waiting_event(&busy, &[]).await.unwrap();
    store.schedule_delivery_now(&busy, now).await.unwrap();
    store.claim_free_delivery(&busy, "one", now, until).await.unwrap();
    for claim in store.claim_due_deliveries("one", 3, now, until).await.unwrap() {
        store.finish_delivery(&claim, "one", None, 0, Some(now)).await.unwrap();
    }
    for event in store.claim_incomplete_events(3, now, until).await.unwrap() {
        store
            .complete_event(&event.agent(), event.seq, None, now)
            .await
            .unwrap();
    }
    store.claim_deferred_bodies(3, now, until).await.unwrap();
    store.list_due_work(now).await.unwrap();
    store.claim_subject_job(now, until).await.unwrap();
    store
        .list_consent_events_of(&agent.org_id, ("+97", "none"), 0, 9)
        .await
        .unwrap();
    store.list_consent_events(&agent.org_id, 5, 9).await.unwrap();
    store.purge_contents(morning() - TimeDelta::days(9_999)).await.unwrap();
    store.purge_fallbacks(morning() - TimeDelta::days(9_999)).await.unwrap();
    store
        .delete_timed(crate::TimedRows::Messages, morning() - TimeDelta::days(9_999))
        .await
        .unwrap();
    store.find_recipient(&busy).await.unwrap();
    store.list_filters(&busy).await.unwrap();
    let due = store.list_due_rents(morning(), 9).await.unwrap();
    for rent in due.iter().take(3) {
        let next = morning() + TimeDelta::days(31);
        assert!(store.charge_rent(rent, &busy, Micros::ZERO, next, now).await.unwrap());
    }
    let checked = store
        .claim_number_checks(3, morning() - TimeDelta::days(1), now)
        .await
        .unwrap();
    for sender in &checked {
        store.note_number_check(&sender.id, now).await.unwrap();
        store.set_us_registration(&sender.id, true).await.unwrap();
    }
    for registration in store.claim_number_registrations(3, now, until).await.unwrap() {
        assert!(store.update_number_registration(&registration, now).await.unwrap());
    }
    let many: Vec<AgentId> = (1..50).map(|n| AgentId::from(format!("a{n}"))).collect();
    assert_eq!(store.list_inbound_rules(&many).await.unwrap().len(), many.len());
    store.list_routes(Some(route.channel_id()), 50).await.unwrap();
    send(store, &of_busy, route.channel_id(), round).await;
    store.claim_scheduled(5, now, until).await.unwrap();
    store.list_scheduled(&busy, None, 5).await.unwrap();
    store
        .ack_events_of(&busy, 3, &["message.status".to_owned()], now)
        .await
        .unwrap();
    store
        .free_keys(&busy, &["k1".to_owned(), "k2".to_owned()], &["a failure"])
        .await
        .unwrap();
    store.is_own_sender(&busy, Channel::Sms).await.unwrap();
    store.find_scheduled(&busy, "k6").await.unwrap();
    call(store, &busy, round).await;
    show_inbox(store, agent, &of_busy, now).await;
    look_for_anomalies(store, agent, now).await;
}

/// Runs the reads of the anomaly detectors, over a second in which nothing has happened.
/// Reads what the inbox shows, and notes requests to callbacks.
async fn show_inbox(store: &Store, agent: &Agent, busy: &Agent, now: Timestamp) {
    let org = &agent.org_id;
    for contact in [None, Some(PERSON)] {
        store.list_received(org, Some(&busy.id), contact, 20).await.unwrap();
    }
    store.purge_kept_texts(now).await.unwrap();
    store
        .list_calls_with(org, Some(&busy.id), &[PERSON.to_owned()], 20)
        .await
        .unwrap();
    store.find_takeover_of(&busy.id, PERSON, now).await.unwrap();
    store.list_takeovers(org, "", 9, now).await.unwrap();
    let contacts = [(&busy.id, PERSON.to_owned())];
    assert!(store.find_open_contacts(&contacts).await.unwrap().is_empty());
    super::callback_attempts::note(store, busy, "e7", "failed", true).await;
    let of_event = crate::CallbackAttemptFilter {
        event: Some("e7"),
        ..Default::default()
    };
    for filter in [Default::default(), of_event] {
        store.list_callback_attempts(org, &filter, 20).await.unwrap();
    }
}

async fn look_for_anomalies(store: &Store, agent: &Agent, now: Timestamp) {
    let span = (now - seconds(1), now);
    assert_eq!(store.sum_traffic(span).await.unwrap(), []);
    store.count_sent_to_prefixes(span).await.unwrap();
    store.list_sent_to_blocks(span, 2, 9).await.unwrap();
    store.list_shared_recipients(span, 2, 9).await.unwrap();
    store.list_sent_to_one(span, 2, 9).await.unwrap();
    store.count_calls(span).await.unwrap();
    let future = now + TimeDelta::days(999);
    store.sum_codes(future, 5).await.unwrap();
    store.count_opt_outs(future, DAY).await.unwrap();
    store.count_complaints(future, DAY).await.unwrap();
    store.count_token_changes(future).await.unwrap();
    store.count_refused_premium(future).await.unwrap();
    store.list_open_anomalies(9).await.unwrap();
    store.count_open_anomalies().await.unwrap();
    store.find_oldest_unsealed_send().await.unwrap();
    store.list_current_campaigns(now, 9).await.unwrap();
    let orgs = std::slice::from_ref(&agent.org_id);
    store.list_baselines(orgs, 7).await.unwrap();
    store.list_countries(orgs).await.unwrap();
}

/// Runs the reads and writes of concurrent sends.
async fn send(store: &Store, agent: &Agent, channel: &ChannelId, round: u64) {
    store.find_profile(&agent.id).await.unwrap().unwrap();
    store.find_token("unknown").await.unwrap();
    let send = |n: u64| AcceptedSend {
        thread: ThreadRef {
            task_id: n.is_multiple_of(2).then(|| format!("t{n}")),
            ..ThreadRef::default()
        },
        ..text(agent, &format!("new{round}-{n}"))
    };
    let sends: Vec<AcceptedSend> = (0..32).map(send).collect();
    let channel = (channel, Channel::Sms);
    let known = sends
        .iter()
        .map(|send| store.find_contact_state(&send.org, &agent.id, channel, &send.recipient, &send.idempotency_key));
    for contact in join_all(known).await {
        assert_eq!(contact.unwrap().prior_request, None);
    }
    let outcomes: Vec<SettledSend> = sends.iter().map(|send| settled(&send.id, accepted(ESTIMATE))).collect();
    for answer in join_all(sends.into_iter().map(|send| store.accept_send(send))).await {
        assert_eq!(answer.unwrap(), Acceptance::Accepted);
    }
    let id = outcomes[0].id.clone();
    for answer in join_all(outcomes.into_iter().map(|outcome| store.settle_send(outcome))).await {
        assert!(answer.unwrap());
    }
    store.find_task(&agent.org_id, "t0").await.unwrap().unwrap();
    store.list_tasks(&agent.org_id, Some("t0"), 9).await.unwrap();
    let days = (DAY, DAY);
    store
        .list_billed_lines(&agent.org_id, days, BilledBy::Task, 9)
        .await
        .unwrap();
    let message = store.find_message(&id).await.unwrap().unwrap();
    let carrier_id = message.carrier_id.unwrap();
    store
        .find_carrier_message("simulator", &carrier_id, None)
        .await
        .unwrap()
        .unwrap();
    store.has_carrier_id(&carrier_id).await.unwrap();
    store
        .has_duplicate_in_flight(&store.find_message(&id).await.unwrap().unwrap())
        .await
        .unwrap();
    for id in [id.as_str(), &carrier_id, "unknown"] {
        store.find_agent_message(&agent.id, id).await.unwrap();
    }
    store
        .find_message_by_key(&agent.id, &format!("new{round}-7"))
        .await
        .unwrap()
        .unwrap();
    store.list_attempts(&id).await.unwrap();
    store
        .claim_unsettled(9, morning() - TimeDelta::days(1), morning())
        .await
        .unwrap();
}

/// A report by carrier id, by call id, or of a new call.
fn call_report(agent: &Agent, n: u64) -> CallChange {
    let known = CallChange {
        status: Some(CallStatus::InProgress),
        ..CallChange::of_carrier("simulator", &format!("CA{n}"), morning())
    };
    match n % 3 {
        0 => known,
        1 => CallChange {
            id: Some(CallId::from(format!("c{n}"))),
            ..known
        },
        _ => CallChange {
            open: Some(inbound_call(agent, &format!("new{n}"))),
            ..known
        },
    }
}

async fn call(store: &Store, busy: &AgentId, round: u64) {
    let carrier_id = format!("CA{}", 7 + round * 49);
    store
        .find_carrier_call("simulator", &carrier_id)
        .await
        .unwrap()
        .unwrap();
    let of_busy = Agent {
        id: busy.clone(),
        org_id: "o".into(),
        display_name: "Bot".into(),
        status: AgentStatus::Active,
        created_at: morning(),
    };
    store.open_call(&inbound_call(&of_busy, &carrier_id)).await.unwrap();
    let call = store.find_call(busy, &carrier_id).await.unwrap().unwrap();
    for only_live in [false, true] {
        let calls = store.list_calls(busy, only_live, 9, Some(call.id.as_str())).await;
        calls.unwrap();
    }
    store.list_stale_calls(morning(), None, 9).await.unwrap();
    let message = MessageId::from(format!("m1{round}"));
    let free = Limits::default();
    store
        .extend_cost(&message, Micros(1), Micros::ZERO, free, free, morning())
        .await
        .unwrap();
    let call = CallId::from(message.as_str());
    store.settle_call(&call, &|_| Some(Micros(1)), morning()).await.unwrap();
}

/// More than Postgres runs before it switches to a generic plan.
const ROUNDS: u64 = 8;
/// Rows of each table before and after the growth.
const YOUNG: u64 = 4_000;
const GROWN: u64 = 40_000;
/// Rows of a table, or entries of an index, that a round may read: a few per affected row, never all rows of an agent.
const MAX_READS: i64 = 600;

/// Turns autovacuum off. It would update the statistics, and while it holds a snapshot, Postgres reads dead row versions again
/// and again, which would be counted.
async fn stop_autovacuum(db: &Database) {
    db.execute(
        "DO $$ DECLARE name TEXT; BEGIN FOR name IN SELECT relname FROM pg_stat_user_tables LOOP
            EXECUTE format('ALTER TABLE %I SET (autovacuum_enabled = off)', name); END LOOP; END $$",
    )
    .await;
}

async fn fill(db: &Database, first: u64, last: u64) {
    for sql in FILL {
        db.execute(&sql.replace("{rows}", &format!("{first}, {last}"))).await;
    }
    db.execute("UPDATE agents SET event_seq = 50000 WHERE event_seq < 50000")
        .await;
}

/// Runs these rounds. Returns the tables and indexes with too many reads.
async fn excessive_reads(
    db: &Database,
    store: &Store,
    agent: &Agent,
    rounds: std::ops::Range<u64>,
) -> Vec<(String, i64)> {
    let before = db.reads(store).await;
    for round in rounds {
        run_round(store, agent, round).await;
    }
    let after = db.reads(store).await.into_iter();
    let read = after.map(|(name, n)| (n - before.get(&name).unwrap_or(&0), name));
    let excessive = read.filter(|(n, _)| *n > MAX_READS * ROUNDS as i64);
    excessive.map(|(n, name)| (name, n)).collect()
}

/// Deletes messages and spend: the filled messages have no reservations, so the sums would not match.
async fn delete_messages(db: &Database) {
    db.execute("DELETE FROM messages").await;
    db.execute("DELETE FROM spend").await;
}

both_engines! {
    async fn reads_no_table_completely(db: &Database) {
        // Only Postgres counts reads, and only its planner depends on statistics.
        if !db.is_postgres() {
            return;
        }
        let db = Database::postgres_alone().await;
        let agent = new_agent(&db).await;
        stop_autovacuum(&db).await;
        fill(&db, 1, GROWN).await;
        db.execute("ANALYZE").await;
        let store = db.single_connection_replica().await;
        let excessive = excessive_reads(&db, &store, &agent, 0..ROUNDS).await;
        assert!(excessive.is_empty(), "{excessive:?}");
        drop(store);
        delete_messages(&db).await;
        db.finish().await;
    }

    // Cached plans from the time of small tables without statistics are used while the tables grow.
    async fn reads_no_table_completely_after_it_has_grown(db: &Database) {
        if !db.is_postgres() {
            return;
        }
        let db = Database::postgres_alone().await;
        let agent = new_agent(&db).await;
        stop_autovacuum(&db).await;
        fill(&db, 1, YOUNG).await;
        let store = db.single_connection_replica().await;
        excessive_reads(&db, &store, &agent, 0..ROUNDS).await;
        fill(&db, YOUNG + 1, GROWN).await;
        let excessive = excessive_reads(&db, &store, &agent, ROUNDS..2 * ROUNDS).await;
        assert!(excessive.is_empty(), "{excessive:?}");
        drop(store);
        delete_messages(&db).await;
        db.finish().await;
    }

    // Behind a pooler of transactions no statement keeps its plan: each is planned with the statistics of the moment.
    async fn reads_no_table_completely_behind_pooler(db: &Database) {
        if !db.is_postgres() {
            return;
        }
        let db = Database::postgres_alone().await;
        let agent = new_agent(&db).await;
        stop_autovacuum(&db).await;
        fill(&db, 1, YOUNG).await;
        let store = db.pooled_replica().await;
        excessive_reads(&db, &store, &agent, 0..ROUNDS).await;
        fill(&db, YOUNG + 1, GROWN).await;
        let unknown = excessive_reads(&db, &store, &agent, ROUNDS..2 * ROUNDS).await;
        db.execute("ANALYZE").await;
        let known = excessive_reads(&db, &store, &agent, 2 * ROUNDS..3 * ROUNDS).await;
        assert!(unknown.is_empty() && known.is_empty(), "without statistics {unknown:?}, with them {known:?}");
        drop(store);
        delete_messages(&db).await;
        db.finish().await;
    }
}
