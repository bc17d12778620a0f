//! Consent keywords on a channel that the agent has blocked.

use butt_dial_domain::{
    Channel,
    inbound::{Keyword, WebhookEvent},
};
use butt_dial_store::{AgentEvent, ConsentStatus, EventLease};
use chrono::TimeDelta;

use super::{PHONE, *};
use crate::inbound::{STREAM, apply::AppliedBatch, authorize, parse::ParsedWebhook, publish};

/// Processes messages from the webhook to the log.
pub(super) async fn receive(bench: &Bench, messages: Vec<InboundMessage>) -> AppliedBatch {
    let routes = bench.inbound.load_routes().await.unwrap();
    let parsed = ParsedWebhook {
        carrier: "twilio",
        account: None,
        only: None,
        events: messages
            .into_iter()
            .map(|message| WebhookEvent::Message(Box::new(message)))
            .collect(),
    };
    let authorized = authorize::authorize(&bench.inbound, &routes, parsed).await;
    let Ok(authorized) = authorized else { panic!("refused") };
    let published = publish::publish(&bench.inbound, authorized, &Headers::new()).await;
    assert_eq!(published, Ok(()));
    let appended = std::mem::take(&mut *bench.bus.appended.lock().unwrap());
    let after = bench.store.find_log_position("INBOUND").await.unwrap();
    let batch: Vec<_> = (after + 1..)
        .zip(appended)
        .map(|(sequence, (.., payload))| log_entry(sequence, payload.to_vec()))
        .collect();
    applier(bench).apply(STREAM.name, after, &batch).await.unwrap()
}

async fn log(bench: &Bench) -> Vec<AgentEvent> {
    bench.store.list_events(&bench.agent.id, 0, 99).await.unwrap()
}

/// The recorded consent of the contact.
async fn consent(bench: &Bench) -> Option<ConsentStatus> {
    let (store, agent) = (&bench.store, &bench.agent);
    let route = store.find_route(Channel::Sms, PHONE).await.unwrap().unwrap();
    let channel = route.channel_id().clone();
    let state = store
        .find_contact_state(&agent.org_id, &agent.id, (&channel, Channel::Sms), CONTACT, "")
        .await;
    state.unwrap().consent
}

#[tokio::test]
async fn applies_keywords_and_drops_messages_on_blocked_channel() {
    let bench = Bench::new().await;
    bench.block(true).await;
    let mut named = text_message(&bench, "SM2", " Stop. ");
    named.sender_name = Some("Ann".into());
    let applied = receive(
        &bench,
        vec![
            text_message(&bench, "SM1", "Hello"),
            named,
            text_message(&bench, "SM3", "Please stop it"),
        ],
    )
    .await;
    assert_eq!((applied.rows.added, applied.rows.follow_ups), (1, 0));
    assert_eq!(consent(&bench).await, Some(ConsentStatus::Revoked));
    let events = log(&bench).await;
    let event = &events[0];
    assert_eq!(
        (&event.data["keyword"], &event.data["from"]),
        (&"stop".into(), &CONTACT.into())
    );
    assert_eq!(event.content, None);
    assert_eq!(event.data.get("senderName"), None);

    assert_eq!(
        receive(&bench, vec![text_message(&bench, "SM4", "START")])
            .await
            .rows
            .added,
        1
    );
    assert_eq!(consent(&bench).await, Some(ConsentStatus::Granted));
    let help = receive(&bench, vec![text_message(&bench, "SM5", "Help")]).await;
    assert_eq!(help.rows.follow_ups, 1);
    assert_eq!(log(&bench).await.len(), 3);
}

#[tokio::test]
async fn other_account_speaks_for_its_own_numbers_only() {
    let bench = Bench::new().await;
    let of_other_account = |id: &str, body: &str| {
        let mut message = text_message(&bench, id, body);
        message.account = Some("AC1".into());
        message
    };
    // No message shows that the number is not the other account's.
    assert_eq!(
        receive(&bench, vec![of_other_account("SM1", "Hello")]).await.rows.added,
        1
    );
    assert_eq!(
        receive(&bench, vec![of_other_account("SM2", "Hello again")])
            .await
            .rows
            .added,
        1
    );
    // The installation's own account receives for it.
    assert_eq!(
        receive(&bench, vec![text_message(&bench, "SM3", "Hi")])
            .await
            .rows
            .added,
        1
    );
    assert_eq!(
        receive(&bench, vec![of_other_account("SM4", "STOP")]).await.rows.added,
        0
    );
    assert_eq!(consent(&bench).await, None);
}

#[tokio::test]
async fn does_not_push_or_answer_keywords_on_blocked_channel() {
    let bench = Bench::new().await;
    bench.block(true).await;
    let mut answered = text_message(&bench, "SM1", "AIUTO");
    answered.answered_keyword = Some(Keyword::Help);
    let applied = receive(&bench, vec![answered, text_message(&bench, "SM2", "STOP")]).await;
    assert_eq!((applied.rows.added, applied.rows.follow_ups), (2, 0));
    let now = bench.clock.now();
    let lease = EventLease {
        channel: None,
        max_tries: None,
        to_push: true,
        limit: 9,
        now,
        until: now + TimeDelta::seconds(1),
    };
    assert_eq!(
        bench.store.lease_waiting_events(&bench.agent.id, &lease).await.unwrap(),
        []
    );
}

#[tokio::test]
async fn keeps_keyword_as_message_on_open_channel() {
    let bench = Bench::new().await;
    receive(
        &bench,
        vec![
            text_message(&bench, "SM1", "STOP"),
            text_message(&bench, "SM2", "Hello"),
        ],
    )
    .await;
    let events = log(&bench).await;
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|event| event.content.is_some()));
}
