//! The state of a contact: suppressions, consent, the WhatsApp window, the prior request.

use butt_dial_domain::{ChannelId, OrgId};

use super::*;
use crate::{
    ConsentStatus, ContactState, NewAnomaly, NewEvent, NewPause, NewRestraint, Reaction, Restraints, Severity,
    Suppression,
};

const BOB: &str = "+14155550199";

/// Creates an agent with a WhatsApp channel.
async fn agent_with_sender(store: &Store, number: &str) -> (Agent, ChannelId) {
    let agent = new_agent(store).await;
    let (org, now) = (&agent.org_id, morning());
    store
        .change(setup())
        .assign_channel(org, &agent.id, Channel::Whatsapp, number, now)
        .await
        .unwrap();
    let profile = store.find_profile(&agent.id).await.unwrap().unwrap();
    (agent, profile.channels[0].id.clone())
}

/// Reads the state of Bob for a send with the key `k`.
async fn state(store: &Store, (agent, sender): &(Agent, ChannelId), channel: Channel) -> ContactState {
    let (org, id) = (&agent.org_id, &agent.id);
    store
        .find_contact_state(org, id, (sender, channel), BOB, "k")
        .await
        .unwrap()
}

async fn suppress(store: &Store, org: &OrgId, channel: Option<Channel>, reason: &str) {
    let entry = Suppression {
        org,
        channel,
        address: BOB,
        reason,
    };
    store.suppress(&entry, morning()).await.unwrap();
}

/// Pauses the contact with the event of its pause. Returns whether it did.
async fn pause(
    store: &Store,
    agent: &Agent,
    (id, contact): (&str, &str),
    (now, until): (Timestamp, Timestamp),
    subject: &str,
) -> bool {
    let data = serde_json::json!({ "pauseId": id });
    let event = NewEvent {
        agent: &agent.id,
        id: &format!("evt_{id}"),
        kind: "contact.paused",
        channel: None,
        reason: EventReason::AgentOffline,
        data: &data,
    };
    let new = NewPause {
        id,
        org: &agent.org_id,
        agent: &agent.id,
        contact,
        until,
        cause: ("bot_loop", subject),
        event: &event,
    };
    store.change(setup()).pause_contact(&new, now).await.unwrap()
}

/// Returns what the last word of this person is on each channel.
async fn consent_of(store: &Store, agent: &Agent, channel: Channel, address: &str) -> Option<ConsentStatus> {
    let sender = butt_dial_domain::ChannelId::from("none");
    let state = store
        .find_contact_state(&agent.org_id, &agent.id, (&sender, channel), address, "k")
        .await;
    state.unwrap().consent
}

both_engines! {
    async fn contact_is_paused_once_and_for_a_time(db: &Database) {
        let mine = agent_with_sender(db, "+14155550001").await;
        let other = agent_with_sender(db, "+14155550002").await;
        let of = (&mine.0.org_id, &mine.0.id);
        assert_eq!(state(db, &mine, Channel::Sms).await.paused_until, None);
        let (now, until) = (morning(), morning() + seconds(60));
        let subject = "agent:1 contact:a";
        assert!(pause(db, &mine.0, ("pau_1", BOB), (now, until), subject).await);
        assert!(!pause(db, &mine.0, ("pau_2", BOB), (now, until + seconds(60)), subject).await);
        for channel in [Channel::Sms, Channel::Whatsapp] {
            assert_eq!(state(db, &mine, channel).await.paused_until, Some(until));
            assert_eq!(state(db, &other, channel).await.paused_until, None);
        }
        // It can be paused again when it is over.
        let later = until + seconds(60);
        let id = "pau_3".to_owned();
        assert!(pause(db, &mine.0, (&id, BOB), (until, later), subject).await);
        assert_eq!(state(db, &mine, Channel::Sms).await.paused_until, Some(later));
        // Administrators of the organization see it and end it.
        let listed = db.list_contact_pauses(of.0, "", 9, until).await.unwrap();
        assert_eq!(listed.iter().map(|one| (&*one.id, &*one.contact)).collect::<Vec<_>>(), [(&*id, BOB)]);
        for (org, after, at) in [(&other.0.org_id, "", until), (of.0, &*id, until), (of.0, "", later)] {
            assert_eq!(db.list_contact_pauses(org, after, 9, at).await.unwrap(), []);
        }
        let end = async |org, id| db.change(setup()).end_contact_pause((org, id), "bot_loop", "tok_1", until).await.unwrap();
        assert_eq!(end(&other.0.org_id, &id).await, None);
        assert_eq!(end(of.0, &id).await.map(|ended| ended.id), Some(id.clone()));
        assert_eq!(end(of.0, &id).await, None);
        assert_eq!(state(db, &mine, Channel::Sms).await.paused_until, None);
    }

    async fn dismissed_anomaly_ends_its_pause_and_prevents_another(db: &Database) {
        let mine = agent_with_sender(db, "+14155550001").await;
        let (org, agent, now) = (&mine.0.org_id, &mine.0.id, morning());
        let numbers = serde_json::json!({});
        let note = async |subject: &str| {
            let new = NewAnomaly {
                org: Some(org), agent: Some(agent), detector: "bot_loop", subject, severity: Severity::Medium,
                reaction: Reaction::Alert, explanation: "a contact answered", numbers: &numbers,
            };
            db.note_anomaly(&new, now).await.unwrap();
            let open = db.list_open_anomalies(9).await.unwrap();
            open.into_iter().find(|one| one.subject == subject).unwrap()
        };
        let of_bob = note("agent:1 contact:bob").await;
        let exchange = note("agent:1 contact:ann").await;
        let paused = async || db.list_contact_pauses(org, "", 9, now).await.unwrap();
        let times = (now, now + seconds(60));
        assert!(pause(db, &mine.0, ("pau_bob", BOB), times, "agent:1 contact:bob").await);
        let of_ann = "pau_ann".to_owned();
        assert!(pause(db, &mine.0, (&of_ann, "+14155550111"), times, "agent:1 contact:ann").await);
        db.change(setup()).dismiss_anomaly(Some(org), &of_bob.id, "tok_1", now).await.unwrap().unwrap();
        assert_eq!(paused().await.into_iter().map(|one| one.id).collect::<Vec<_>>(), std::slice::from_ref(&of_ann));
        assert!(!pause(db, &mine.0, ("pau_again", BOB), times, "agent:1 contact:bob").await);
        // The end of a pause dismisses its anomaly, with the other restraints of the agent.
        let confirm = (NewRestraint::Confirm, now + seconds(60));
        assert!(db.change(setup()).restrain_agent(&exchange.id, (org, agent), confirm.0, confirm.1, now).await.unwrap());
        assert!(db.find_restraints(agent).await.unwrap().confirms_at(now));
        db.change(setup()).end_contact_pause((org, &of_ann), "bot_loop", "tok_1", now).await.unwrap().unwrap();
        assert!(db.list_open_anomalies(9).await.unwrap().iter().all(|one| one.dismissed_at.is_some()));
        assert_eq!(db.find_restraints(agent).await.unwrap(), Restraints::default());
        assert!(!pause(db, &mine.0, ("pau_again", "+14155550111"), times, "agent:1 contact:ann").await);
        assert_eq!(paused().await, []);
        assert!(db.find_event(agent, "evt_pau_again").await.unwrap().is_none());
    }

    async fn pause_and_its_event_are_written_together_or_not_at_all(db: &Database) {
        let mine = agent_with_sender(db, "+14155550001").await;
        let (agent, now) = (&mine.0, morning());
        let (times, subject) = ((now, now + seconds(60)), "agent:1 contact:a");
        let events = async || {
            let events = db.list_events(&agent.id, 0, 9).await.unwrap();
            events.into_iter().map(|event| (event.seq, event.id)).collect::<Vec<_>>()
        };
        assert!(pause(db, agent, ("pau_1", BOB), times, subject).await);
        let reported = [(1, "evt_pau_1".to_owned())];
        assert_eq!(events().await, reported);
        // A pause that is not written reports nothing, and one that can't be reported is not written.
        assert!(!pause(db, agent, ("pau_2", BOB), times, subject).await);
        db.change(setup()).end_contact_pause((&agent.org_id, "pau_1"), "bot_loop", "tok_1", now).await.unwrap().unwrap();
        assert!(!pause(db, agent, ("pau_1", BOB), times, subject).await);
        assert_eq!(events().await, reported);
        assert_eq!(state(db, &mine, Channel::Sms).await.paused_until, None);
    }
}

both_engines! {
    async fn consent_holds_for_all_channels_of_the_number(db: &Database) {
        let agent = new_agent(db).await;
        let org = &agent.org_id;
        for (n, granted) in [(0, false), (1, true), (2, false)] {
            let channel = [Channel::Sms, Channel::Whatsapp, Channel::Voice][n];
            let at = morning() + seconds(n as i64);
            db.record_consent(org, channel, BOB, granted, "keyword", at).await.unwrap();
            for channel in [Channel::Sms, Channel::Whatsapp, Channel::Voice] {
                let expected = Some(if granted { ConsentStatus::Granted } else { ConsentStatus::Revoked });
                assert_eq!(consent_of(db, &agent, channel, BOB).await, expected);
            }
        }
        assert_eq!(consent_of(db, &agent, Channel::Line, BOB).await, None);
    }

    async fn consent_holds_for_all_spellings(db: &Database) {
        let agent = new_agent(db).await;
        let org = &agent.org_id;
        for (channel, said_as, asked_as) in [
            (Channel::Email, "Bob@example.com", "bob@example.com"),
            (Channel::Email, "ann@xn--bcher-kva.example", "Ann@bücher.example"),
            (Channel::Whatsapp, "+5215512345678", "+525512345678"),
            (Channel::Whatsapp, "+541123456789", "+5491123456789"),
            (Channel::Whatsapp, "+5511987654321", "+551187654321"),
            (Channel::Whatsapp, "+22507070701", "+2250707070701"),
            (Channel::Email, "ann+news@example.com", "ann@example.com"),
            (Channel::Email, "bob@example.org", "bob+shop@example.org"),
        ] {
            db.record_consent(org, channel, said_as, false, "test", morning()).await.unwrap();
            for address in [said_as, asked_as] {
                assert_eq!(consent_of(db, &agent, channel, address).await, Some(ConsentStatus::Revoked), "{address}");
            }
            // Another spelling undoes it.
            db.record_consent(org, channel, asked_as, true, "test", morning() + seconds(1)).await.unwrap();
            assert_eq!(consent_of(db, &agent, channel, asked_as).await, Some(ConsentStatus::Granted));
            assert_eq!(consent_of(db, &agent, channel, said_as).await, Some(ConsentStatus::Granted));
        }
    }

    async fn consent_of_former_release_holds_for_the_number(db: &Database) {
        let agent = new_agent(db).await;
        db.execute(&format!("INSERT INTO consents (org_id, channel, address, status, source, updated_at)
            VALUES ('{}', 'sms', '{BOB}', 'revoked', 'keyword', '2026-11-01T00:00:00+00:00')", agent.org_id)).await;
        assert_eq!(consent_of(db, &agent, Channel::Whatsapp, BOB).await, Some(ConsentStatus::Revoked));
        db.record_consent(&agent.org_id, Channel::Whatsapp, BOB, true, "keyword", morning()).await.unwrap();
        assert_eq!(consent_of(db, &agent, Channel::Sms, BOB).await, Some(ConsentStatus::Granted));
    }

    async fn unknown_contact_has_empty_state(db: &Database) {
        let us = agent_with_sender(db, "+14155550100").await;
        let stranger = state(db, &us, Channel::Sms).await;
        assert_eq!(stranger, ContactState::default());
        assert_eq!(stranger.prior_request, None);
    }

    async fn suppression_applies_to_its_channel_and_organization(db: &Database) {
        let us = agent_with_sender(db, "+14155550100").await;
        let them = agent_with_sender(db, "+14155550101").await;
        suppress(db, &us.0.org_id, Some(Channel::Sms), "asked by phone").await;
        assert_eq!(state(db, &us, Channel::Sms).await.suppression.as_deref(), Some("asked by phone"));
        assert_eq!(state(db, &us, Channel::Whatsapp).await.suppression, None);
        assert_eq!(state(db, &them, Channel::Sms).await.suppression, None);

        suppress(db, &us.0.org_id, Some(Channel::Sms), "asked again").await;
        assert_eq!(state(db, &us, Channel::Sms).await.suppression.as_deref(), Some("asked again"));
    }

    async fn suppression_without_channel_applies_to_all(db: &Database) {
        let us = agent_with_sender(db, "+14155550100").await;
        suppress(db, &us.0.org_id, None, "court order").await;
        for channel in Channel::ALL {
            assert_eq!(state(db, &us, channel).await.suppression.as_deref(), Some("court order"));
        }
    }

    async fn words_that_are_read_late_find_a_newer_consent(db: &Database) {
        let agent = new_agent(db).await;
        let org = &agent.org_id;
        let is_newer = async |channel, address, at| db.has_newer_consent(org, channel, address, at).await.unwrap();
        assert!(!is_newer(Channel::Sms, BOB, morning()).await);
        db.record_consent(org, Channel::Sms, BOB, true, "keyword", morning()).await.unwrap();
        assert!(is_newer(Channel::Sms, BOB, morning() - seconds(1)).await);
        assert!(is_newer(Channel::Voice, BOB, morning() - seconds(1)).await, "it holds for calls, too");
        assert!(!is_newer(Channel::Sms, BOB, morning()).await);
        assert!(!is_newer(Channel::Email, "ann@example.com", morning() - seconds(1)).await);
    }

    async fn last_consent_on_number_counts(db: &Database) {
        let us = agent_with_sender(db, "+14155550100").await;
        let them = agent_with_sender(db, "+14155550101").await;
        let org = &us.0.org_id;
        db.record_consent(org, Channel::Sms, BOB, true, "form", morning()).await.unwrap();
        assert_eq!(state(db, &us, Channel::Sms).await.consent, Some(crate::ConsentStatus::Granted));
        db.record_consent(org, Channel::Sms, BOB, false, "STOP", morning()).await.unwrap();
        assert_eq!(state(db, &us, Channel::Sms).await.consent, Some(crate::ConsentStatus::Revoked));
        assert_eq!(state(db, &us, Channel::Whatsapp).await.consent, Some(crate::ConsentStatus::Revoked));
        assert_eq!(state(db, &them, Channel::Sms).await.consent, None);
    }

    async fn window_opens_for_the_receiving_channel(db: &Database) {
        let us = agent_with_sender(db, "+14155550100").await;
        let them = agent_with_sender(db, "+14155550101").await;
        let wrote = morning() + TimeDelta::microseconds(7);
        db.record_inbound(&us.1, BOB, wrote).await.unwrap();
        assert_eq!(state(db, &us, Channel::Whatsapp).await.last_inbound_at, Some(wrote));
        assert_eq!(state(db, &them, Channel::Whatsapp).await.last_inbound_at, None);

        db.record_inbound(&us.1, BOB, wrote + seconds(1)).await.unwrap();
        assert_eq!(state(db, &us, Channel::Whatsapp).await.last_inbound_at, Some(wrote + seconds(1)));
    }

    async fn late_webhook_does_not_shorten_window(db: &Database) {
        let us = agent_with_sender(db, "+14155550100").await;
        db.record_inbound(&us.1, BOB, morning()).await.unwrap();
        db.record_inbound(&us.1, BOB, morning() - TimeDelta::microseconds(1)).await.unwrap();
        assert_eq!(state(db, &us, Channel::Whatsapp).await.last_inbound_at, Some(morning()));
    }

    async fn finds_prior_request_by_idempotency_key(db: &Database) {
        let us = agent_with_sender(db, "+14155550100").await;
        let neighbour = (new_agent_in(db, &us.0.org_id).await, us.1.clone());
        let first = text(&us.0, "k");
        db.accept_send(first.clone()).await.unwrap();
        assert_eq!(state(db, &us, Channel::Sms).await.prior_request, Some(first.id.clone()));
        assert_eq!(state(db, &neighbour, Channel::Sms).await.prior_request, None);

        db.settle_send(settled(&first.id, failed(true))).await.unwrap();
        assert_eq!(state(db, &us, Channel::Sms).await.prior_request, None);
    }
}
