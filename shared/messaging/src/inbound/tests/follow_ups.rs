//! Follow-ups are written together with their cause, so that they are sent even after a crash.

use butt_dial_domain::{
    MessageId,
    inbound::{DeliveryStatus, Receipt},
    ports::carrier::RefusalClass,
};
use butt_dial_store::{ScheduledSend, StatusTransition};

use super::*;
use crate::{
    SendRequest,
    inbound::{STREAM, envelope::Envelope, receipts::status_event},
    outbound::DeferredSend,
};

async fn receive(bench: &Bench, message: InboundMessage) -> u64 {
    let route = bench.store.find_route(Channel::Sms, PHONE).await.unwrap().unwrap();
    let envelope = Envelope::message(&bench.vault, "twilio", route.agent().unwrap(), message);
    let after = bench.store.find_log_position(STREAM.name).await.unwrap();
    let batch = [log_entry(after + 1, envelope.payload())];
    applier(bench)
        .apply(STREAM.name, after, &batch)
        .await
        .unwrap()
        .rows
        .follow_ups
}

async fn due(bench: &Bench) -> Vec<ScheduledSend> {
    let now = bench.clock.now();
    let due = bench
        .store
        .claim_scheduled(9, now, now + chrono::TimeDelta::seconds(60));
    due.await.unwrap()
}

#[tokio::test]
async fn schedules_one_help_reply_per_contact_and_day() {
    let bench = Bench::new().await;
    assert_eq!(receive(&bench, text_message(&bench, "SM1", "HELP")).await, 1);
    assert_eq!(
        receive(&bench, text_message(&bench, "SM1", "HELP")).await,
        0,
        "the same question"
    );
    assert_eq!(
        receive(&bench, text_message(&bench, "SM2", "HELP")).await,
        0,
        "of the same day"
    );
    let due = due(&bench).await;
    assert_eq!(due.len(), 1, "the reply is due");
    assert_eq!((due[0].recipient.as_str(), due[0].is_quiet), (CONTACT, true));
    assert!(due[0].idempotency_key.starts_with("help-"));
}

async fn caller(bench: &Bench) -> std::sync::Arc<butt_dial_identity::Caller> {
    let caller = butt_dial_identity::on_behalf_of(&bench.store, &bench.agent.id).await;
    caller.unwrap().expect("an agent")
}

fn failed(bench: &Bench, fallback: &DeferredSend, failure: Option<RefusalClass>) -> StatusTransition {
    let message = MessageId::generate();
    let org = bench.agent.org_id.clone();
    StatusTransition {
        fallback: Some(fallback.seal(&bench.vault, &org, &message)),
        agent: bench.agent.id.clone(),
        channel: Channel::Whatsapp,
        recipient: CONTACT.into(),
        stage: DeliveryStatus::Undelivered,
        receipt: Receipt {
            carrier_id: "SM1".into(),
            message: Some(message.clone()),
            channel: Channel::Whatsapp,
            sender: None,
            stage: DeliveryStatus::Undelivered,
            error_code: Some("30003".into()),
            failure,
            price: None,
            tariff: None,
            org: None,
            is_marketing_only: false,
        },
        message,
        org,
    }
}

#[tokio::test]
async fn falls_back_after_failure_but_not_after_opt_out() {
    let bench = Bench::new().await;
    let request = SendRequest {
        body: Some("Are you there?".into()),
        idempotency_key: Some("key:sms".into()),
        ..SendRequest::new(caller(&bench).await, Channel::Sms, CONTACT)
    };
    let fallback = DeferredSend::from_request(&request).unwrap();
    for (failure, falls_back) in [
        (Some(RefusalClass::Throttled), true),
        (Some(RefusalClass::Recipient), true),
        (None, true),
        (Some(RefusalClass::OptedOut), false),
    ] {
        let transition = failed(&bench, &fallback, failure);
        let event = status_event(&bench.inbound, &transition).unwrap();
        assert_eq!(event.follow_up.is_some(), falls_back, "{failure:?}");
        assert_eq!(event.data["status"], "failed");
        let text = event.data.to_string();
        assert!(
            !text.contains("same idempotencyKey") && !text.contains("Are you there"),
            "{text}"
        );
        if let Some(follow_up) = &event.follow_up {
            assert_eq!(
                (follow_up.channel, follow_up.idempotency_key.as_str()),
                (Channel::Sms, "key:sms")
            );
            assert!(!follow_up.is_quiet, "the agent gets an event");
            assert_eq!(event.data["fallingBackTo"], "sms");
            assert_eq!(event.data["fallbackMessageId"], follow_up.id.as_str());
        }
        // Without a fallback the agent has to act.
        let alone = StatusTransition {
            fallback: None,
            ..transition
        };
        let event = status_event(&bench.inbound, &alone).unwrap();
        assert!(event.follow_up.is_none() && event.data.get("fallingBackTo").is_none());
        let hint = event.data["remediation"].as_str().unwrap_or_default().to_owned();
        assert!(!hint.contains("same idempotencyKey"), "{hint}");
        assert_eq!(
            hint.contains("new idempotencyKey"),
            failure == Some(RefusalClass::Throttled),
            "{hint}"
        );
    }
}

#[tokio::test]
async fn stores_no_fallback_without_valid_content() {
    let bench = Bench::new().await;
    let request = SendRequest::new(caller(&bench).await, Channel::Sms, CONTACT);
    let with = |body: Option<&str>, html: Option<&str>, to: &str| {
        let request = SendRequest {
            body: body.map(str::to_owned),
            html: html.map(str::to_owned),
            idempotency_key: Some("k".into()),
            to: to.to_owned(),
            ..request.clone()
        };
        DeferredSend::from_request(&request).is_some()
    };
    assert!(with(Some("Hello"), None, CONTACT));
    assert!(!with(None, Some("<p>Hello</p>"), CONTACT), "HTML is for e-mail only");
    assert!(!with(Some(""), None, CONTACT), "a template has no text of its own");
    assert!(!with(Some("Hello"), None, "ann@example.com"));
}
