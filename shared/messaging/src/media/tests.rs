//! Incomplete events and their time limits.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use butt_dial_domain::{
    Channel,
    inbound::{InboundMessage, WebhookEvent},
    ports::{
        carrier::LookupError,
        webhook::{MediaRequest, UnreadableRequest, VerificationError, WebhookRequest},
    },
};
use butt_dial_store::{AgentEvent, EventState, InboundBatch, InboundRow};

use butt_dial_domain::{inbound::Attachment, ports::webhook::Webhooks};
use chrono::TimeDelta;
use serde_json::json;

use super::{
    attachments::MAX_ATTACHMENTS,
    deferred_body,
    incomplete_events::{ATTACHMENT_TIMEOUT, BODY_TIMEOUT, MAX_RETRY_DELAY},
};
use crate::{Carriers, EventContent, delivery::view, testing::Bench};

const CARRIER: &str = "scripted";

/// A carrier that answers with bodies once a test enables it, and never with attachments.
#[derive(Default)]
struct Scripted {
    answers: AtomicBool,
    /// It answers that the bodies are gone.
    has_lost_bodies: AtomicBool,
}

#[async_trait]
impl Webhooks for Scripted {
    fn signature_header(&self) -> &'static str {
        "x-scripted"
    }

    fn verify(&self, _: &WebhookRequest) -> Result<(), VerificationError> {
        Err(VerificationError::Unsigned)
    }

    fn parse(&self, _: &WebhookRequest) -> Result<Vec<WebhookEvent>, UnreadableRequest> {
        Ok(Vec::new())
    }

    async fn fetch_content(&self, mut message: InboundMessage) -> Result<InboundMessage, LookupError> {
        if self.has_lost_bodies.load(Ordering::SeqCst) {
            return Err(LookupError::NotFound);
        }
        if !self.answers.load(Ordering::SeqCst) {
            return Err(LookupError::NoResponse);
        }
        message.body = Some("The text".into());
        Ok(message)
    }

    async fn media(&self, _: &Attachment) -> Result<MediaRequest, LookupError> {
        Err(LookupError::NoResponse)
    }
}

async fn bench() -> (Bench, Arc<Scripted>) {
    let carrier = Arc::new(Scripted::default());
    let mut carriers = Carriers::default();
    carriers.add_webhooks(CARRIER, carrier.clone());
    (Bench::with(carriers).await, carrier)
}

/// Appends a mail of this age. Its body is still to be fetched.
async fn mail(bench: &Bench, id: &str, age: TimeDelta, attachments: usize) {
    let mut message = InboundMessage::new(id, Channel::Email, &bench.phone(), &bench.phone());
    message.incomplete = true;
    message.attachments = (0..attachments)
        .map(|n| Attachment {
            source: n.to_string(),
            content_type: None,
            filename: Some(format!("{n}.pdf")),
            size: None,
            is_voice: false,
        })
        .collect();
    let content = EventContent {
        message,
        links: Vec::new(),
        session: None,
        taint: None,
    };
    let (agent, store) = (&bench.agent, &bench.store);
    let after = store.find_log_position("INBOUND").await.unwrap();
    let at = bench.clock.now() - age;
    let row = InboundRow {
        agent: agent.id.clone(),
        org: agent.org_id.clone(),
        id: id.into(),
        kind: "message.received",
        channel: Channel::Email,
        contact: "ann@example.com".into(),
        data: json!({
            "provider": CARRIER, "providerMessageId": id, "channel": "email", "from": "ann@example.com",
            "to": "ada@example.com",
        }),
        content: Some(content.seal(&bench.vault, &agent.org_id, id)),
        is_incomplete: true,
        is_quiet: false,
        channel_id: None,
        consent: None,
        evidence: None,
        follow_up: None,
        effects: Default::default(),
    };
    let batch = InboundBatch {
        stream: "INBOUND".into(),
        entry_id: String::new(),
        after,
        position: after + 1,
        events: vec![row],
        receipts: Vec::new(),
        calls: Vec::new(),
        dead_letters: Vec::new(),
        at,
        holder: "test".into(),
        held_until: at,
    };
    store.apply_inbound(&batch, &|_| None).await.unwrap();
}

async fn log(bench: &Bench) -> Vec<AgentEvent> {
    bench.store.list_events(&bench.agent.id, 0, 9).await.unwrap()
}

#[tokio::test]
async fn holds_event_back_for_its_body() {
    let (bench, carrier) = bench().await;
    mail(&bench, "young", TimeDelta::seconds(15), 0).await;
    assert_eq!(bench.media.fetch_due().await.unwrap(), 1);
    assert_eq!(log(&bench).await, []);
    assert_eq!(bench.media.fetch_due().await.unwrap(), 0, "looked at again later");
    let later = bench.clock.now() + MAX_RETRY_DELAY;
    let claimed = bench.store.claim_incomplete_events(9, later, bench.clock.now()).await;
    assert_eq!(claimed.unwrap().len(), 1, "sooner than the claim would have run out");
    carrier.answers.store(true, Ordering::SeqCst);
    assert_eq!(bench.media.fetch_due().await.unwrap(), 1);
    let event = view(&bench.vault, &bench.agent.org_id, &log(&bench).await[0]);
    assert_eq!((&event["body"], event.get("incomplete")), (&json!("The text"), None));
}

#[tokio::test]
async fn releases_event_without_lost_body() {
    let (bench, carrier) = bench().await;
    carrier.has_lost_bodies.store(true, Ordering::SeqCst);
    mail(&bench, "young", TimeDelta::zero(), 0).await;
    assert_eq!(bench.media.fetch_due().await.unwrap(), 1);
    let event = view(&bench.vault, &bench.agent.org_id, &log(&bench).await[0]);
    assert_eq!((event.get("body"), &event["incomplete"]), (None, &json!(true)));
    assert_eq!(event.get("bodyPending"), None);
}

/// Fetches deferred bodies as if the longest retry delay had passed.
async fn fetch_later(bench: &Bench) -> usize {
    let later = bench.clock.now() + deferred_body::MAX_RETRY_DELAY;
    deferred_body::fetch_as_of(&bench.media, later).await.unwrap()
}

#[tokio::test]
async fn releases_event_before_late_body_which_follows() {
    let (bench, carrier) = bench().await;
    mail(&bench, "mail", BODY_TIMEOUT, 2).await;
    mail(&bench, "other", BODY_TIMEOUT, 0).await;
    bench.log("message.received", 1, 5).await;
    assert_eq!(log(&bench).await.len(), 0, "the bodies may still arrive");
    assert_eq!(bench.media.fetch_due().await.unwrap(), 2);
    let events = log(&bench).await;
    assert_eq!(events.len(), 3, "later events are released as well");
    let event = view(&bench.vault, &bench.agent.org_id, &events[0]);
    assert_eq!((event.get("body"), &event["bodyPending"]), (None, &json!(true)));
    assert_eq!(bench.media.fetch_deferred_bodies().await.unwrap(), 0, "not at once");
    assert_eq!(fetch_later(&bench).await, 2);
    assert_eq!(log(&bench).await.len(), 3, "the carrier does not answer");
    // The permanent data is enough, even after the agent acknowledged the event.
    bench
        .store
        .ack_events(&bench.agent.id, 3, bench.clock.now())
        .await
        .unwrap();
    carrier.answers.store(true, Ordering::SeqCst);
    assert_eq!(fetch_later(&bench).await, 2);
    assert_eq!(fetch_later(&bench).await, 0, "bodies are fetched once");
    let events = log(&bench).await;
    assert_eq!(events.len(), 5);
    for event in &events[3..] {
        let late = view(&bench.vault, &bench.agent.org_id, event);
        assert_eq!((&late["body"], late.get("bodyPending")), (&json!("The text"), None));
        let first = late["completes"].as_str().unwrap();
        assert_eq!(late["id"], format!("{first}_text"));
        assert_eq!(
            (event.state, &late["from"]),
            (EventState::Waiting, &json!("ann@example.com"))
        );
    }
}

#[tokio::test]
async fn completes_event_without_body_that_never_arrives() {
    let (bench, carrier) = bench().await;
    mail(&bench, "mail", BODY_TIMEOUT, 0).await;
    bench.media.fetch_due().await.unwrap();
    carrier.has_lost_bodies.store(true, Ordering::SeqCst);
    assert_eq!(fetch_later(&bench).await, 1);
    let event = view(&bench.vault, &bench.agent.org_id, &log(&bench).await[1]);
    assert_eq!(
        (&event["completes"], &event["incomplete"]),
        (&json!("mail"), &json!(true))
    );
    assert_eq!(fetch_later(&bench).await, 0);
}

#[tokio::test]
async fn lists_attachments_beyond_the_maximum() {
    let (bench, carrier) = bench().await;
    carrier.answers.store(true, Ordering::SeqCst);
    mail(&bench, "full", ATTACHMENT_TIMEOUT, MAX_ATTACHMENTS + 2).await;
    assert_eq!(bench.media.fetch_due().await.unwrap(), 1);
    let event = view(&bench.vault, &bench.agent.org_id, &log(&bench).await[0]);
    let attachments = event["attachments"].as_array().unwrap();
    let names: Vec<_> = attachments
        .iter()
        .map(|attachment| attachment["filename"].clone())
        .collect();
    let expected: Vec<_> = (0..MAX_ATTACHMENTS + 2).map(|n| json!(format!("{n}.pdf"))).collect();
    assert_eq!(names, expected, "in their order");
    let beyond = "too many attachments in one message";
    assert_eq!(
        attachments
            .iter()
            .filter(|attachment| attachment["error"] == beyond)
            .count(),
        2
    );
    assert!(attachments.iter().all(|attachment| attachment["error"].is_string()));
}
