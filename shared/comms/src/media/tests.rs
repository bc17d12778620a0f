//! What an event waits for, and for how long.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use butt_dial_domain::{
    Channel,
    inbound::{InboundMessage, Notice},
    ports::{
        carrier::LookupFailed,
        webhook::{Distrust, MediaRequest, Unreadable, WebhookRequest},
    },
};
use butt_dial_store::{Event, InboundBatch, InboundRow};

use super::*;
use crate::{Carriers, delivery::view::view, inbound::tests::bench::Bench};

const CARRIER: &str = "scripted";

/// Has the text of its messages once it is told to answer, and attachments never.
#[derive(Default)]
struct Scripted {
    answers: AtomicBool,
    /// It has them no more, and says so.
    has_lost_them: AtomicBool,
}

#[async_trait]
impl Webhooks for Scripted {
    fn signature_header(&self) -> &'static str {
        "x-scripted"
    }

    fn verify(&self, _: &WebhookRequest) -> Result<(), Distrust> {
        Err(Distrust::Unsigned)
    }

    fn read(&self, _: &WebhookRequest) -> Result<Vec<Notice>, Unreadable> {
        Ok(Vec::new())
    }

    async fn complete(&self, mut message: InboundMessage) -> Result<InboundMessage, LookupFailed> {
        if self.has_lost_them.load(Ordering::SeqCst) {
            return Err(LookupFailed::NotThere);
        }
        if !self.answers.load(Ordering::SeqCst) {
            return Err(LookupFailed::NoAnswer);
        }
        message.body = Some("The text".into());
        Ok(message)
    }

    async fn media(&self, _: &Attachment) -> Result<MediaRequest, LookupFailed> {
        Err(LookupFailed::NoAnswer)
    }
}

async fn bench() -> (Bench, Arc<Scripted>) {
    let carrier = Arc::new(Scripted::default());
    let mut carriers = Carriers::default();
    carriers.add_webhooks(CARRIER, carrier.clone());
    (Bench::with(carriers).await, carrier)
}

/// A mail that came so long ago, whose text is still to be fetched.
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
    let content = Content {
        message,
        links: Vec::new(),
    };
    let (agent, store) = (&bench.agent, &bench.comms.store);
    let after = store.find_log_position("INBOUND").await.unwrap();
    let at = bench.comms.clock.now() - age;
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
        content: Some(content.seal(&bench.comms, &agent.org_id, id)),
        is_incomplete: true,
        is_quiet: false,
        channel_id: None,
        consent: None,
        follow_up: None,
    };
    let batch = InboundBatch {
        stream: "INBOUND",
        after,
        position: after + 1,
        events: vec![row],
        receipts: Vec::new(),
        calls: Vec::new(),
        at,
        holder: "test".into(),
        held_until: at,
    };
    store.apply_inbound(&batch, &|_| None).await.unwrap();
}

async fn log(bench: &Bench) -> Vec<Event> {
    bench.comms.store.list_events(&bench.agent.id, 0, 9).await.unwrap()
}

#[tokio::test]
async fn a_text_is_waited_for_but_not_for_long() {
    let (bench, carrier) = bench().await;
    mail(&bench, "young", TimeDelta::seconds(15), 0).await;
    assert_eq!(sweep(&bench.comms).await.unwrap(), 1);
    assert_eq!(log(&bench).await, []);
    assert_eq!(sweep(&bench.comms).await.unwrap(), 0, "looked at again later");
    let again = bench.comms.clock.now() + LATEST;
    let claimed = bench
        .comms
        .store
        .claim_unready_events(9, again, bench.comms.clock.now())
        .await;
    assert_eq!(claimed.unwrap().len(), 1, "sooner than the claim would have run out");
    carrier.answers.store(true, Ordering::SeqCst);
    assert_eq!(sweep(&bench.comms).await.unwrap(), 1);
    let event = view(&bench.comms, &bench.agent.org_id, &log(&bench).await[0]);
    assert_eq!((&event["body"], event.get("incomplete")), (&json!("The text"), None));
}

#[tokio::test]
async fn a_text_that_is_gone_is_not_waited_for() {
    let (bench, carrier) = bench().await;
    carrier.has_lost_them.store(true, Ordering::SeqCst);
    mail(&bench, "young", TimeDelta::zero(), 0).await;
    assert_eq!(sweep(&bench.comms).await.unwrap(), 1);
    let event = view(&bench.comms, &bench.agent.org_id, &log(&bench).await[0]);
    assert_eq!((event.get("body"), &event["incomplete"]), (None, &json!(true)));
    assert_eq!(event.get("bodyPending"), None);
}

/// Looks for late texts as if so much time had passed.
async fn look_later(bench: &Bench) -> usize {
    let later = bench.comms.clock.now() + late::LATEST;
    late::sweep_as_of(&bench.comms, later).await.unwrap()
}

#[tokio::test]
async fn a_late_text_holds_back_nobody_and_follows() {
    let (bench, carrier) = bench().await;
    mail(&bench, "mail", PATIENCE_FOR_TEXT, 2).await;
    mail(&bench, "other", PATIENCE_FOR_TEXT, 0).await;
    bench.log("message.received", 1, 5).await;
    assert_eq!(log(&bench).await.len(), 0, "it may still come");
    assert_eq!(sweep(&bench.comms).await.unwrap(), 2);
    let events = log(&bench).await;
    assert_eq!(events.len(), 3, "what came later is there as well");
    let event = view(&bench.comms, &bench.agent.org_id, &events[0]);
    assert_eq!((event.get("body"), &event["bodyPending"]), (None, &json!(true)));
    assert_eq!(late::sweep(&bench.comms).await.unwrap(), 0, "not at once");
    assert_eq!(look_later(&bench).await, 2);
    assert_eq!(log(&bench).await.len(), 3, "nobody answers");
    // The agent has it by now: what was announced is known all the same.
    bench
        .comms
        .store
        .ack_events(&bench.agent.id, 3, bench.comms.clock.now())
        .await
        .unwrap();
    carrier.answers.store(true, Ordering::SeqCst);
    assert_eq!(look_later(&bench).await, 2);
    assert_eq!(look_later(&bench).await, 0, "nobody asks again");
    let events = log(&bench).await;
    assert_eq!(events.len(), 5);
    for event in &events[3..] {
        let late = view(&bench.comms, &bench.agent.org_id, event);
        assert_eq!((&late["body"], late.get("bodyPending")), (&json!("The text"), None));
        let first = late["completes"].as_str().unwrap();
        assert_eq!(late["id"], format!("{first}_text"));
        assert_eq!(
            (event.state.as_str(), &late["from"]),
            ("waiting", &json!("ann@example.com"))
        );
    }
}

#[tokio::test]
async fn an_agent_is_told_that_a_text_will_never_come() {
    let (bench, carrier) = bench().await;
    mail(&bench, "mail", PATIENCE_FOR_TEXT, 0).await;
    sweep(&bench.comms).await.unwrap();
    carrier.has_lost_them.store(true, Ordering::SeqCst);
    assert_eq!(look_later(&bench).await, 1);
    let event = view(&bench.comms, &bench.agent.org_id, &log(&bench).await[1]);
    assert_eq!(
        (&event["completes"], &event["incomplete"]),
        (&json!("mail"), &json!(true))
    );
    assert_eq!(look_later(&bench).await, 0);
}

#[tokio::test]
async fn of_many_attachments_some_are_only_named() {
    let (bench, carrier) = bench().await;
    carrier.answers.store(true, Ordering::SeqCst);
    mail(&bench, "full", PATIENCE_FOR_ATTACHMENTS, MAX_ATTACHMENTS + 2).await;
    assert_eq!(sweep(&bench.comms).await.unwrap(), 1);
    let event = view(&bench.comms, &bench.agent.org_id, &log(&bench).await[0]);
    let attachments = event["attachments"].as_array().unwrap();
    let names: Vec<_> = attachments.iter().map(|one| one["filename"].clone()).collect();
    let expected: Vec<_> = (0..MAX_ATTACHMENTS + 2).map(|n| json!(format!("{n}.pdf"))).collect();
    assert_eq!(names, expected, "in their order");
    let beyond = "too many attachments in one message";
    assert_eq!(attachments.iter().filter(|one| one["error"] == beyond).count(), 2);
    assert!(attachments.iter().all(|one| one["error"].is_string()));
}
