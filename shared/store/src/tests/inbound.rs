//! Inbound batches: applied once, in order, completely or not at all.

use butt_dial_domain::{ChannelId, OrgId};
use serde_json::json;

use super::*;
use crate::{
    AgentEvent, Applied, ComplianceChoices, ContactEffects, EventLease, EventPositions, InboundBatch, InboundRow,
    NewScheduledSend, ReceiptEntry,
};

pub const PERSON: &str = "+14155550199";
pub const STRANGER: &str = "+14155550188";
pub const HOLD: TimeDelta = TimeDelta::seconds(30);

/// A text message event of a contact.
pub fn inbound_event(agent: &Agent, id: &str, contact: &str) -> InboundRow {
    InboundRow {
        agent: agent.id.clone(),
        org: agent.org_id.clone(),
        id: id.into(),
        kind: "message.inbound",
        channel: Channel::Sms,
        contact: contact.into(),
        data: json!({ "from": contact }),
        content: Some(format!("sealed {id} \u{0}\u{fe}").into_bytes()),
        is_incomplete: false,
        is_quiet: false,
        channel_id: None,
        consent: None,
        evidence: None,
        follow_up: None,
        effects: ContactEffects::default(),
    }
}

pub fn batch(after: u64, events: Vec<InboundRow>, receipts: Vec<ReceiptEntry>) -> InboundBatch {
    InboundBatch {
        stream: "INBOUND".into(),
        entry_id: String::new(),
        after,
        position: after + 1,
        events,
        receipts,
        calls: Vec::new(),
        dead_letters: Vec::new(),
        at: morning(),
        holder: "reader".into(),
        held_until: morning() + HOLD,
    }
}

/// Applies a batch after the stored position.
pub async fn read(store: &Store, events: Vec<InboundRow>) -> Applied {
    let after = store.find_log_position("INBOUND").await.unwrap();
    store
        .apply_inbound(&batch(after, events, vec![]), &|_| None)
        .await
        .unwrap()
}

async fn log(store: &Store, agent: &Agent) -> Vec<(i64, String)> {
    let events = store.list_events(&agent.id, 0, 1_000).await.unwrap();
    events.into_iter().map(|event| (event.seq, event.id)).collect()
}

fn numbered(ids: &[&str]) -> Vec<(i64, String)> {
    (1..).zip(ids.iter().map(|id| (*id).to_owned())).collect()
}

/// Reads the consent of a contact per channel.
/// The rows of one consent: for each channel of the number.
fn by_number(person: &str, word: &str) -> [String; 3] {
    ["sms", "voice", "whatsapp"].map(|channel| format!("{channel} {person} {word} keyword"))
}

async fn consents(db: &Database) -> Vec<String> {
    const SQL: &str = "SELECT channel || ' ' || address || ' ' || status || ' ' || source FROM consents ORDER BY 1";
    db.texts(SQL).await
}

async fn schedule(store: &Store, org: &OrgId, agent: &Agent, channel: Channel, recipient: &str, key: &str) {
    let id = MessageId::generate();
    let new = NewScheduledSend {
        id: &id,
        org,
        agent: &agent.id,
        channel,
        recipient,
        idempotency_key: key,
        request_hash: "aa11",
        request: b"sealed",
        due_at: morning() + seconds(60),
        tries: 0,
        is_counted: false,
        approval: None,
    };
    let cap = crate::ScheduledCap { count: 9, bytes: 999 };
    let caps = crate::ScheduledCaps { agent: cap, org: cap };
    assert!(store.schedule_send(&new, &caps, morning()).await.unwrap());
}

async fn sender(db: &Database, agent: &Agent, channel: Channel, address: &str) -> ChannelId {
    db.change(setup())
        .assign_channel(&agent.org_id, &agent.id, channel, address, morning())
        .await
        .unwrap();
    db.find_route(channel, address)
        .await
        .unwrap()
        .unwrap()
        .channel_id()
        .clone()
}

async fn last_inbound(db: &Database, agent: &Agent, channel: &ChannelId, address: &str) -> Option<Timestamp> {
    let state = db
        .find_contact_state(&agent.org_id, &agent.id, (channel, Channel::Whatsapp), address, "")
        .await;
    state.unwrap().last_inbound_at
}

both_engines! {
    async fn reads_inbound_event_as_applied(db: &Database) {
        let agent = new_agent(db).await;
        let event = InboundRow {
            data: json!({ "name": "Zoë \"Z\" 🙂", "list": [1, null, true, {}], "deep": { "a": [] } }),
            content: Some((0..=255).collect()),
            channel: Channel::Whatsapp,
            ..inbound_event(&agent, "e1", PERSON)
        };
        let silent = InboundRow { content: None, ..inbound_event(&agent, "e2", PERSON) };
        let at = morning() + TimeDelta::microseconds(123_456);
        let batch = InboundBatch { at, ..batch(0, vec![event.clone(), silent], vec![]) };
        assert_eq!(db.apply_inbound(&batch, &|_| None).await.unwrap().added, 2);
        let expected = AgentEvent {
            seq: 1,
            id: "e1".into(),
            kind: "message.inbound".into(),
            channel: Some("whatsapp".into()),
            state: EventState::Waiting,
            reason: EventReason::AgentOffline,
            data: event.data,
            content: event.content,
            tries: 0,
            created_at: at,
        };
        assert_eq!(db.find_event(&agent.id, "e1").await.unwrap(), Some(expected));
        assert_eq!(db.find_event(&agent.id, "e2").await.unwrap().unwrap().content, None);
        assert_eq!(db.texts("SELECT contact FROM events ORDER BY seq").await, [PERSON, PERSON]);
    }

    async fn batch_is_applied_once(db: &Database) {
        let agent = new_agent(db).await;
        let first = InboundBatch { position: 7, ..batch(0, vec![inbound_event(&agent, "e1", PERSON)], vec![]) };
        db.apply_inbound(&first, &|_| None).await.unwrap();
        assert_eq!(db.find_log_position("INBOUND").await.unwrap(), 7);

        // A reader with an older position, and one with a newer position.
        for after in [0, 6, 8] {
            let stop = InboundRow { consent: Some(false), ..inbound_event(&agent, "e2", PERSON) };
            let stale = batch(after, vec![stop], vec![]);
            assert!(matches!(db.apply_inbound(&stale, &|_| None).await, Err(StoreError::Conflict)));
        }
        assert_eq!(db.find_log_position("INBOUND").await.unwrap(), 7);
        assert_eq!(log(db, &agent).await, numbered(&["e1"]));
        assert_eq!(consents(db).await, [""; 0]);
        assert_eq!(db.find_event_positions(&agent.id).await.unwrap(), Some(EventPositions { event_seq: 1, event_cursor: 0 }));
        let next = batch(7, vec![inbound_event(&agent, "e2", PERSON)], vec![]);
        db.apply_inbound(&next, &|_| None).await.unwrap();
        assert_eq!(log(db, &agent).await, numbered(&["e1", "e2"]));
    }

    async fn concurrent_readers_apply_batch_once(db: &Database) {
        let agent = new_agent(db).await;
        let replicas = [db.replica().await, db.replica().await, db.replica().await];
        for after in 0..10 {
            let batch = batch(after, vec![inbound_event(&agent, &format!("e{after}"), PERSON)], vec![]);
            let tries = replicas.iter().map(|store| store.apply_inbound(&batch, &|_| None));
            let applied = futures::future::join_all(tries).await;
            assert_eq!(applied.iter().filter(|applied| applied.is_ok()).count(), 1);
            let refused = applied.iter().filter(|applied| matches!(applied, Err(StoreError::Conflict)));
            assert_eq!(refused.count(), 2);
        }
        assert_eq!(log(db, &agent).await.len(), 10);
    }

    async fn failed_batch_writes_nothing(db: &Database) {
        let agent = new_agent(db).await;
        let stop = InboundRow { consent: Some(false), ..inbound_event(&agent, "e1", PERSON) };
        db.execute("ALTER TABLE deliveries RENAME TO elsewhere").await;
        assert!(db.apply_inbound(&batch(0, vec![stop.clone()], vec![]), &|_| None).await.is_err());
        db.execute("ALTER TABLE elsewhere RENAME TO deliveries").await;
        assert_eq!(db.find_log_position("INBOUND").await.unwrap(), 0);
        assert_eq!(log(db, &agent).await, []);
        assert_eq!(consents(db).await, [""; 0]);
        assert_eq!(read(db, vec![stop]).await.added, 1);
    }

    async fn repeated_event_is_stored_once(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        let twice = vec![inbound_event(&agent, "e1", PERSON), inbound_event(&agent, "e1", PERSON), inbound_event(&agent, "e2", PERSON)];
        assert_eq!(read(db, twice).await.added, 2);
        // A later batch, with other events and alone.
        assert_eq!(read(db, vec![inbound_event(&agent, "e2", PERSON), inbound_event(&agent, "e3", PERSON)]).await.added, 1);
        let again = read(db, vec![inbound_event(&agent, "e1", PERSON), inbound_event(&other, "e1", PERSON)]).await;
        assert_eq!((again.added, again.agents.len()), (0, 0));
        assert_eq!(log(db, &agent).await, numbered(&["e1", "e2", "e3"]));
        assert_eq!(log(db, &other).await, []);
        assert_eq!(db.find_event_positions(&agent.id).await.unwrap(), Some(EventPositions { event_seq: 3, event_cursor: 0 }));

        // A delivered event is known too.
        db.ack_events(&agent.id, 3, morning()).await.unwrap();
        assert_eq!(read(db, vec![inbound_event(&agent, "e3", PERSON)]).await.added, 0);
    }

    async fn numbers_events_in_order_across_batches(db: &Database) {
        let (ada, bob) = (new_agent(db).await, new_agent(db).await);
        read(db, vec![inbound_event(&ada, "a1", PERSON), inbound_event(&bob, "b1", PERSON), inbound_event(&ada, "a2", STRANGER)]).await;
        read(db, vec![inbound_event(&bob, "b2", STRANGER), inbound_event(&bob, "b3", PERSON), inbound_event(&ada, "a3", PERSON)]).await;
        assert_eq!(log(db, &ada).await, numbered(&["a1", "a2", "a3"]));
        assert_eq!(log(db, &bob).await, numbered(&["b1", "b2", "b3"]));
        // `append_event` continues the numbers.
        let data = json!({});
        let event = crate::NewEvent {
            agent: &ada.id, id: "a4", kind: "k", channel: None, reason: EventReason::AgentOffline, data: &data,
        };
        assert!(db.append_event(&event, morning()).await.unwrap());
        read(db, vec![inbound_event(&ada, "a4", PERSON), inbound_event(&ada, "a5", PERSON)]).await;
        assert_eq!(log(db, &ada).await, numbered(&["a1", "a2", "a3", "a4", "a5"]));
    }

    async fn deleted_agent_does_not_block_the_batch(db: &Database) {
        let agent = new_agent(db).await;
        let gone = Agent { id: AgentId::generate(), ..agent.clone() };
        let foreign = InboundRow {
            org: OrgId::generate(),
            consent: Some(false),
            channel_id: Some(ChannelId::generate()),
            ..inbound_event(&gone, "g1", PERSON)
        };
        // Consent belongs to the organization, which still exists.
        let stop = InboundRow { consent: Some(false), ..inbound_event(&gone, "g2", PERSON) };
        let applied = read(db, vec![foreign, stop, inbound_event(&agent, "e1", PERSON)]).await;
        assert_eq!((applied.added, applied.agents), (1, vec![agent.id.clone()]));
        assert_eq!(log(db, &agent).await, numbered(&["e1"]));
        assert_eq!(consents(db).await, by_number(PERSON, "revoked"));

        let applied = read(db, vec![inbound_event(&gone, "g3", PERSON)]).await;
        assert_eq!((applied.added, applied.agents), (0, vec![]));
        assert_eq!(db.count("SELECT COUNT(*) FROM deliveries").await, 1);
    }

    async fn nul_characters_do_not_block_the_batch(db: &Database) {
        let agent = new_agent(db).await;
        let odd = InboundRow { data: json!({ "name": "a\u{0}b\\u0000", "k\u{0}": 1 }), ..inbound_event(&agent, "e1", "a\u{0}b") };
        assert_eq!(read(db, vec![odd]).await.added, 1);
        let event = db.find_event(&agent.id, "e1").await.unwrap().unwrap();
        assert_eq!(event.data, json!({ "name": "a\u{fffd}b\\u0000", "k\u{fffd}": 1 }));
    }

    async fn empty_batch_only_advances_position(db: &Database) {
        new_agent(db).await;
        let applied = read(db, vec![]).await;
        assert_eq!((applied.added, applied.agents.len(), applied.transitions.len()), (0, 0, 0));
        assert_eq!(db.find_log_position("INBOUND").await.unwrap(), 1);
        assert!(db.find_log_position("NOWHERE").await.is_err());
    }

    async fn keywords_revoke_and_grant_consent(db: &Database) {
        let (ours, theirs) = (new_agent(db).await, new_agent(db).await);
        let org = (&ours.org_id, &theirs.org_id);
        for (channel, recipient, key) in [
            (Channel::Sms, PERSON, "k1"),
            (Channel::Sms, PERSON, "k2"),
            (Channel::Whatsapp, PERSON, "other channel"),
            (Channel::Sms, STRANGER, "other person"),
        ] {
            schedule(db, org.0, &ours, channel, recipient, key).await;
        }
        schedule(db, org.1, &theirs, Channel::Sms, PERSON, "other org").await;
        let sent = db.find_scheduled(&ours.id, "k2").await.unwrap().unwrap();
        db.close_scheduled(&sent.id(), None).await.unwrap();

        read(db, vec![InboundRow { consent: Some(false), ..inbound_event(&ours, "e1", PERSON) }]).await;
        assert_eq!(consents(db).await, by_number(PERSON, "revoked"));
        const SQL: &str = "SELECT idempotency_key || ': ' || state || coalesce(' ' || failure, '') || ' '
            || CASE WHEN request IS NULL THEN 'empty' ELSE 'full' END FROM scheduled_sends ORDER BY 1";
        let expected = [
            "k1: cancelled CONTACT_OPTED_OUT empty",
            "k2: sent empty",
            "other channel: cancelled CONTACT_OPTED_OUT empty",
            "other org: scheduled full",
            "other person: scheduled full",
        ];
        assert_eq!(db.texts(SQL).await, expected);

        // Consent is granted again; a repeated old event changes nothing.
        let start = InboundRow { consent: Some(true), ..inbound_event(&ours, "e2", PERSON) };
        let repeated = InboundRow { consent: Some(false), ..inbound_event(&ours, "e1", PERSON) };
        read(db, vec![start, repeated]).await;
        assert_eq!(consents(db).await, by_number(PERSON, "granted"));
        assert_eq!(db.texts(SQL).await, expected, "what was cancelled stays so");
    }

    async fn last_keyword_of_batch_counts(db: &Database) {
        let agent = new_agent(db).await;
        let words = |first: bool, id: &str| {
            [first, !first, first].iter().enumerate().map(|(n, granted)| InboundRow {
                consent: Some(*granted),
                ..inbound_event(&agent, &format!("{id}{n}"), PERSON)
            }).collect::<Vec<_>>()
        };
        let email = InboundRow { consent: Some(true), channel: Channel::Email, ..inbound_event(&agent, "m", PERSON) };
        let stranger = InboundRow { consent: Some(true), ..inbound_event(&agent, "s", STRANGER) };
        let mut events = words(false, "a");
        events.extend([email, stranger]);
        read(db, events).await;
        let expected = |word| {
            let mut rows = vec![format!("email {PERSON} granted keyword")];
            rows.extend(by_number(STRANGER, "granted"));
            rows.extend(by_number(PERSON, word));
            rows.sort();
            rows
        };
        assert_eq!(consents(db).await, expected("revoked"));
        read(db, words(true, "b")).await;
        assert_eq!(consents(db).await, expected("granted"));
    }

    async fn window_opens_and_is_never_shortened(db: &Database) {
        let agent = new_agent(db).await;
        let channel = sender(db, &agent, Channel::Whatsapp, "+14155550100").await;
        let writes = |id: &str| InboundRow {
            channel: Channel::Whatsapp,
            channel_id: Some(channel.clone()),
            ..inbound_event(&agent, id, PERSON)
        };
        assert_eq!(last_inbound(db, &agent, &channel, PERSON).await, None);
        // Twice in one batch: one window.
        read(db, vec![writes("e1"), writes("e2")]).await;
        assert_eq!(last_inbound(db, &agent, &channel, PERSON).await, Some(morning()));
        assert_eq!(last_inbound(db, &agent, &channel, STRANGER).await, None);
        let at = async |after, id: &str, at| {
            let batch = InboundBatch { at, ..batch(after, vec![writes(id)], vec![]) };
            db.apply_inbound(&batch, &|_| None).await.unwrap();
            last_inbound(db, &agent, &channel, PERSON).await
        };
        assert_eq!(at(1, "e3", morning() + seconds(60)).await, Some(morning() + seconds(60)));
        assert_eq!(at(2, "e4", morning() + seconds(30)).await, Some(morning() + seconds(60)));
        assert_eq!(at(3, "e3", morning() + seconds(90)).await, Some(morning() + seconds(60)), "a repetition");
    }

    async fn window_begins_when_the_contact_wrote(db: &Database) {
        let agent = new_agent(db).await;
        let channel = sender(db, &agent, Channel::Whatsapp, "+14155550100").await;
        let writes = |id: &str, contact: &str, effects| InboundRow {
            channel: Channel::Whatsapp,
            channel_id: Some(channel.clone()),
            effects,
            ..inbound_event(&agent, id, contact)
        };
        let early = morning() - seconds(3_600);
        let wrote = |at| ContactEffects { wrote_at: Some(at), ..ContactEffects::default() };
        let notice = ContactEffects { opens_no_window: true, ..ContactEffects::default() };
        let group = ContactEffects { group: Some("120363025555550000".into()), ..wrote(early) };
        read(db, vec![
            writes("e1", PERSON, wrote(early)),
            writes("e2", PERSON, wrote(early - seconds(60))),
            writes("e3", STRANGER, notice),
            writes("e4", "US.1", wrote(morning() + seconds(60))),
            writes("e5", "US.2", group),
        ])
        .await;
        let expected = [(PERSON, Some(early)), (STRANGER, None), ("US.1", Some(morning())), ("120363025555550000", Some(early))];
        for (address, at) in expected {
            assert_eq!(last_inbound(db, &agent, &channel, address).await, at, "{address}");
        }
    }

    async fn addresses_of_one_person_share_consent_and_window(db: &Database) {
        let agent = new_agent(db).await;
        let channel = sender(db, &agent, Channel::Whatsapp, "+14155550100").await;
        let writes = |id: &str, contact: &str, consent, aliases: &[&str]| InboundRow {
            channel: Channel::Whatsapp,
            channel_id: Some(channel.clone()),
            consent,
            effects: ContactEffects {
                aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
                ..ContactEffects::default()
            },
            ..inbound_event(&agent, id, contact)
        };
        let state = async |address: &str| {
            let channel = (&channel, Channel::Whatsapp);
            db.find_contact_state(&agent.org_id, &agent.id, channel, address, "").await.unwrap()
        };
        let consent_of = async |address: &str| state(address).await.consent;
        let (granted, revoked) = (Some(crate::ConsentStatus::Granted), Some(crate::ConsentStatus::Revoked));
        read(db, vec![writes("e1", PERSON, Some(false), &[])]).await;
        assert_eq!(consent_of("US.1").await, None);
        // Named together: the earlier word of one holds for all.
        read(db, vec![writes("e2", PERSON, None, &["US.1", "US.ENT.1"])]).await;
        for address in [PERSON, "US.1", "US.ENT.1"] {
            assert_eq!(consent_of(address).await, revoked, "{address}");
            assert_eq!(state(address).await.last_inbound_at, Some(morning()), "{address}");
        }
        // Both words in one batch: the later one counts for the person.
        read(db, vec![writes("e3", "US.1", Some(true), &[]), writes("e4", PERSON, Some(false), &[])]).await;
        assert_eq!(consent_of("US.1").await, revoked);
        read(db, vec![writes("e5", "US.1", Some(true), &[])]).await;
        for address in [PERSON, "US.1", "US.ENT.1"] {
            assert_eq!(consent_of(address).await, granted, "{address}");
        }
        assert_eq!(consent_of(STRANGER).await, None);
    }

    async fn new_number_keeps_consent_and_old_one_is_free(db: &Database) {
        let agent = new_agent(db).await;
        let consent_of = async |address: &str| {
            let channel = (&ChannelId::from("none"), Channel::Sms);
            let state = db.find_contact_state(&agent.org_id, &agent.id, channel, address, "").await;
            state.unwrap().consent
        };
        let says = |id: &str, contact: &str, granted| InboundRow { consent: Some(granted), ..inbound_event(&agent, id, contact) };
        let moved = |id: &str, from: &str, to: &str| InboundRow {
            effects: ContactEffects {
                aliases: vec![to.into(), "US.1".into()],
                former_addresses: vec![from.into()],
                ..ContactEffects::default()
            },
            ..inbound_event(&agent, id, from)
        };
        let (granted, revoked) = (Some(crate::ConsentStatus::Granted), Some(crate::ConsentStatus::Revoked));
        // The opt-out counts, although it is in the same batch.
        read(db, vec![says("e1", PERSON, false), moved("e2", PERSON, STRANGER)]).await;
        for address in [PERSON, STRANGER, "US.1"] {
            assert_eq!(consent_of(address).await, revoked, "{address}");
        }
        // Another person has the old number now.
        read(db, vec![says("e3", PERSON, true)]).await;
        assert_eq!((consent_of(PERSON).await, consent_of(STRANGER).await), (granted, revoked));
        read(db, vec![says("e4", "US.1", true), says("e5", PERSON, false)]).await;
        assert_eq!((consent_of(PERSON).await, consent_of(STRANGER).await), (revoked, granted));
    }

    async fn consent_to_marketing_is_apart(db: &Database) {
        let agent = new_agent(db).await;
        let channel = sender(db, &agent, Channel::Whatsapp, "+14155550100").await;
        let state = async |on| {
            let found = db.find_contact_state(&agent.org_id, &agent.id, (&channel, on), PERSON, "").await;
            let found = found.unwrap();
            (found.consent, found.marketing)
        };
        let chooses = |id: &str, allowed| InboundRow {
            channel: Channel::Whatsapp,
            effects: ContactEffects { marketing: Some(allowed), ..ContactEffects::default() },
            ..inbound_event(&agent, id, PERSON)
        };
        let (granted, revoked) = (Some(crate::ConsentStatus::Granted), Some(crate::ConsentStatus::Revoked));
        read(db, vec![chooses("e1", false)]).await;
        assert_eq!(state(Channel::Whatsapp).await, (None, revoked));
        assert_eq!(state(Channel::Sms).await, (None, None));
        read(db, vec![chooses("e2", true)]).await;
        assert_eq!(state(Channel::Whatsapp).await, (None, granted));
        db.record_marketing_consent(&agent.org_id, PERSON, false, "carrier", morning()).await.unwrap();
        assert_eq!(state(Channel::Whatsapp).await, (None, revoked));
    }

    async fn organization_chooses_transcription(db: &Database) {
        let agent = new_agent(db).await;
        let (org, other) = (&agent.org_id, OrgId::from("org_0"));
        assert!(db.find_transcription(org).await.unwrap());
        assert!(!db.find_transcription(&other).await.unwrap(), "an unknown organization");
        for enabled in [false, true] {
            db.change(setup()).set_transcription(org, enabled).await.unwrap();
            assert_eq!(db.find_transcription(org).await.unwrap(), enabled);
        }
    }

    async fn disclosure_of_accepted_message_counts_for_its_channel(db: &Database) {
        let agent = new_agent(db).await;
        let channel = sender(db, &agent, Channel::Sms, "+14155550100").await;
        let is_disclosed = async |on: Channel, contact: &str| {
            let found = db.find_contact_state(&agent.org_id, &agent.id, (&channel, on), contact, "k").await;
            found.unwrap().is_disclosed
        };
        assert!(!is_disclosed(Channel::Sms, PERSON).await);
        let settle = async |key: &str, result| {
            let message = text(&agent, key);
            let id = message.id.clone();
            db.accept_send(message).await.unwrap();
            let told = SettledSend { disclosed_to: Some(PERSON.into()), ..settled(&id, result) };
            assert!(db.settle_send(told).await.unwrap());
        };
        settle("refused", failed(true)).await;
        assert!(!is_disclosed(Channel::Sms, PERSON).await, "the carrier has refused the message");
        settle("first", accepted(1)).await;
        settle("second", accepted(1)).await;
        assert!(is_disclosed(Channel::Sms, PERSON).await);
        assert!(!is_disclosed(Channel::Whatsapp, PERSON).await);
        assert!(!is_disclosed(Channel::Sms, STRANGER).await);
    }

    async fn organization_chooses_how_it_complies(db: &Database) {
        let agent = new_agent(db).await;
        let org = &agent.org_id;
        let choices = ComplianceChoices { refuses_waiting: true, postal_address: Some("1 Main St".into()), discloses: Some(true), disclosure_text: Some("KI".into()), confirms_tainted: true };
        assert_eq!(db.find_compliance_choices(org).await.unwrap(), Some(ComplianceChoices::default()));
        db.change(setup()).set_compliance_choices(org, &choices).await.unwrap();
        assert_eq!(db.find_compliance_choices(org).await.unwrap().as_ref(), Some(&choices));
        assert_eq!(db.find_profile(&agent.id).await.unwrap().unwrap().choices, choices);
        assert_eq!(db.find_compliance_choices(&OrgId::from("org_0")).await.unwrap(), None);
    }

    async fn only_whatsapp_has_windows(db: &Database) {
        let agent = new_agent(db).await;
        let channel = sender(db, &agent, Channel::Sms, "+14155550100").await;
        let writes = InboundRow { channel_id: Some(channel.clone()), ..inbound_event(&agent, "e1", PERSON) };
        assert_eq!(read(db, vec![writes]).await.added, 1);
        assert_eq!(last_inbound(db, &agent, &channel, PERSON).await, None);
    }

    async fn reader_claims_free_deliveries(db: &Database) {
        let (ada, bob) = (new_agent(db).await, new_agent(db).await);
        let reads = async |holder: &str, at: Timestamp, events: Vec<InboundRow>| {
            let after = db.find_log_position("INBOUND").await.unwrap();
            let batch = InboundBatch { holder: holder.into(), at, held_until: at + HOLD, ..batch(after, events, vec![]) };
            let applied = db.apply_inbound(&batch, &|_| None).await.unwrap();
            let claimed: Vec<_> = applied.claims.iter().map(crate::DeliveryClaim::agent).collect();
            let mut agents: Vec<_> = applied.agents.into_iter().map(|agent| (claimed.contains(&agent), agent)).collect();
            agents.sort_by(|a, b| a.1.cmp(&b.1));
            agents.into_iter().map(|(is_claimed, agent)| (agent, is_claimed)).collect::<Vec<_>>()
        };
        let now = morning();
        assert_eq!(reads("one", now, vec![inbound_event(&ada, "a1", PERSON)]).await, [(ada.id.clone(), true)]);
        // The delivery to Ada is claimed; the delivery to Bob is not.
        let both = vec![inbound_event(&bob, "b1", PERSON), inbound_event(&ada, "a2", PERSON)];
        assert_eq!(reads("two", now + seconds(1), both).await, [(ada.id.clone(), false), (bob.id.clone(), true)]);
        // The holder gets no second claim: its finish fails because of the new events.
        let more = vec![inbound_event(&ada, "a3", PERSON)];
        assert_eq!(reads("one", now + seconds(2), more).await, [(ada.id.clone(), false)]);
        // The claim has ended.
        let more = vec![inbound_event(&ada, "a4", PERSON)];
        assert_eq!(reads("two", now + HOLD + seconds(1), more).await, [(ada.id.clone(), true)]);
        let claimed = db.claim_free_delivery(&ada.id, "one", now + HOLD + seconds(1), now + HOLD * 2).await;
        assert_eq!(claimed.unwrap(), None);
    }

    async fn event_after_schedule_now_is_applied(db: &Database) {
        let agent = new_agent(db).await;
        let now = morning();
        let applied = read(db, vec![inbound_event(&agent, "e1", PERSON)]).await;
        assert!(db.finish_delivery(&applied.claims[0], "reader", None, 0, None).await.unwrap());
        db.schedule_delivery_now(&agent.id, now).await.unwrap();
        assert_eq!(read(db, vec![inbound_event(&agent, "e2", PERSON)]).await.added, 1);
        assert_eq!(log(db, &agent).await, numbered(&["e1", "e2"]));
        assert_eq!(db.claim_due_deliveries("other", 9, now, now + HOLD).await.unwrap().len(), 1);
    }

    async fn new_events_do_not_hasten_failing_callback(db: &Database) {
        let agent = new_agent(db).await;
        let claim = &read(db, vec![inbound_event(&agent, "e1", PERSON)]).await.claims[0];
        let (now, later) = (morning(), morning() + seconds(300));
        assert!(db.finish_delivery(claim, "reader", Some(later), 3, None).await.unwrap());
        let applied = read(db, vec![inbound_event(&agent, "e2", PERSON)]).await;
        assert_eq!((applied.agents, applied.claims.len()), (vec![agent.id.clone()], 0));
        assert_eq!(db.claim_free_delivery(&agent.id, "reader", now, later).await.unwrap(), None);
        let claim = db.claim_free_delivery(&agent.id, "reader", later, later + HOLD).await.unwrap().unwrap();
        assert_eq!((claim.generation, claim.failures), (2, 3));

        // The callback is not called any more; a new event makes it due once more.
        assert!(db.finish_delivery(&claim, "reader", None, 9, None).await.unwrap());
        read(db, vec![inbound_event(&agent, "e3", PERSON)]).await;
        assert!(db.claim_free_delivery(&agent.id, "reader", now, later).await.unwrap().is_some());
    }

    async fn position_advances_without_batch(db: &Database) {
        read(db, vec![inbound_event(&new_agent(db).await, "e1", PERSON)]).await;
        let applied = db.find_applied_entry("INBOUND").await.unwrap();
        assert_eq!((applied.position, applied.at.is_some()), (1, true));
        assert!(!db.skip_log_entry("INBOUND", 7, 8).await.unwrap(), "not the stored position");
        assert!(db.skip_log_entry("INBOUND", 1, 2).await.unwrap());
        assert_eq!(db.find_log_position("INBOUND").await.unwrap(), 2);
        assert!(db.skip_log_entry("INBOUND", 2, 0).await.unwrap(), "back to the beginning of a stream that was lost");
        assert_eq!(db.find_log_position("INBOUND").await.unwrap(), 0);
    }

    async fn quiet_event_is_not_pushed(db: &Database) {
        let agent = new_agent(db).await;
        let quiet = InboundRow { is_quiet: true, ..inbound_event(&agent, "e1", PERSON) };
        read(db, vec![quiet, inbound_event(&agent, "e2", PERSON)]).await;
        let held = async |to_push| {
            let hold = EventLease {
                channel: None,
                max_tries: None,
                to_push,
                limit: 9,
                now: morning(),
                until: morning(),
            };
            let events = db.lease_waiting_events(&agent.id, &hold).await.unwrap();
            events.into_iter().map(|event| event.id).collect::<Vec<_>>()
        };
        assert_eq!(held(true).await, ["e2"]);
        let after = morning() + seconds(1);
        let hold = EventLease { channel: None, max_tries: None, to_push: false, limit: 9, now: after, until: after };
        let all = db.lease_waiting_events(&agent.id, &hold).await.unwrap();
        assert_eq!(all.len(), 2, "it waits like any other");
    }

    async fn rescheduled_event_holds_back_later_ones(db: &Database) {
        let agent = new_agent(db).await;
        read(db, vec![inbound_event(&agent, "e1", PERSON), inbound_event(&agent, "e2", PERSON), inbound_event(&agent, "e3", STRANGER)]).await;
        let (now, later) = (morning(), morning() + seconds(60));
        let to_call = async |at: Timestamp| {
            let hold = EventLease { channel: None, max_tries: Some(8), to_push: true, limit: 9, now: at, until: at };
            let held = db.lease_waiting_events(&agent.id, &hold).await.unwrap();
            held.into_iter().map(|event| event.id).collect::<Vec<_>>()
        };
        db.reschedule_event(&agent.id, 1, EventReason::CallbackFailed, Some(later)).await.unwrap();
        assert_eq!(to_call(now + seconds(1)).await, ["e3"], "another person is not held up");
        assert_eq!(to_call(later).await, ["e1", "e2", "e3"]);
        // A polling agent gets them at any time.
        let hold = EventLease { channel: None, max_tries: None, to_push: false, limit: 9, now: later + seconds(1), until: later };
        db.reschedule_event(&agent.id, 1, EventReason::CallbackFailed, Some(later + seconds(600))).await.unwrap();
        assert_eq!(db.lease_waiting_events(&agent.id, &hold).await.unwrap().len(), 3);
    }

    async fn retained_content_is_purged_later(db: &Database) {
        let agent = new_agent(db).await;
        read(db, vec![inbound_event(&agent, "e1", PERSON), inbound_event(&agent, "e2", PERSON)]).await;
        let content = async |id: &str| db.find_event(&agent.id, id).await.unwrap().unwrap().content;
        db.confirm_events(&agent.id, &[1], true, morning()).await.unwrap();
        assert!(content("e1").await.is_some(), "a polling client may be about to read it");
        assert_eq!(db.purge_delivered(morning()).await.unwrap(), 0);
        assert_eq!(db.purge_delivered(morning() + seconds(10)).await.unwrap(), 1);
        assert!(content("e1").await.is_none());
        assert!(content("e2").await.is_some(), "this one waits");
    }

    async fn reset_tries_makes_events_callable(db: &Database) {
        let agent = new_agent(db).await;
        read(db, vec![inbound_event(&agent, "e1", PERSON)]).await;
        db.release_events(&agent.id, &[1], EventReason::CallbackFailed, true).await.unwrap();
        let tries = async || db.find_event(&agent.id, "e1").await.unwrap().unwrap().tries;
        assert_eq!(tries().await, 1);
        db.reset_tries(&new_agent(db).await.id).await.unwrap();
        assert_eq!(tries().await, 1, "of another agent");
        db.reset_tries(&agent.id).await.unwrap();
        assert_eq!(tries().await, 0);
    }
}
