//! What is sent because of what came in stands with it: whoever dies before it is sent, somebody sends it.

use butt_dial_domain::{
    MessageId,
    inbound::{Receipt, Stage},
    ports::carrier::RefusalClass,
};
use butt_dial_store::{Moved, Scheduled};

use super::*;
use crate::{
    inbound::{STREAM, envelope::Envelope, statuses::status_event},
    outbound::{SendRequest, follow_up::Later},
};

async fn take_in(bench: &Bench, message: InboundMessage) -> u64 {
    let route = bench.comms.store.find_route(Channel::Sms, bench::PHONE).await.unwrap();
    let envelope = Envelope::message(&bench.comms.vault, "twilio", &route.unwrap(), &message);
    let after = bench.comms.store.find_log_position(STREAM.name).await.unwrap();
    let batch = [logged(after + 1, envelope.payload())];
    recorder(bench).record(after, &batch).await.unwrap().applied.follow_ups
}

async fn due(bench: &Bench) -> Vec<Scheduled> {
    let now = bench.comms.clock.now();
    let due = bench
        .comms
        .store
        .claim_scheduled(9, now, now + chrono::TimeDelta::seconds(60));
    due.await.unwrap()
}

#[tokio::test]
async fn an_answer_to_help_is_due_once_the_question_stands() {
    let bench = Bench::new().await;
    assert_eq!(take_in(&bench, says(&bench, "SM1", "HELP")).await, 1);
    assert_eq!(
        take_in(&bench, says(&bench, "SM1", "HELP")).await,
        0,
        "the same question"
    );
    let due = due(&bench).await;
    assert_eq!(due.len(), 1, "nobody has sent it yet, and somebody will");
    assert_eq!((due[0].recipient.as_str(), due[0].is_quiet), (PERSON, true));
    assert!(due[0].idempotency_key.starts_with("help-evt_"));
}

async fn caller(bench: &Bench) -> std::sync::Arc<crate::identity::Caller> {
    let caller = crate::identity::on_behalf_of(&bench.comms, &bench.agent.id).await;
    caller.unwrap().expect("an agent")
}

fn failed(bench: &Bench, later: &Later, failure: Option<RefusalClass>) -> Moved {
    let message = MessageId::generate();
    let org = bench.agent.org_id.clone();
    Moved {
        fallback: Some(later.seal(&bench.comms.vault, &org, &message)),
        agent: bench.agent.id.clone(),
        channel: Channel::Whatsapp,
        recipient: PERSON.into(),
        stage: Stage::Undelivered,
        receipt: Receipt {
            carrier_id: "SM1".into(),
            message: Some(message.clone()),
            channel: Channel::Whatsapp,
            stage: Stage::Undelivered,
            error_code: Some("30003".into()),
            failure,
            price: None,
        },
        message,
        org,
    }
}

#[tokio::test]
async fn a_failure_says_what_is_done_about_it_and_never_goes_around_a_wish() {
    let bench = Bench::new().await;
    let request = SendRequest {
        body: Some("Are you there?".into()),
        idempotency_key: Some("key:sms".into()),
        ..SendRequest::new(caller(&bench).await, Channel::Sms, PERSON)
    };
    let later = Later::of(&request).unwrap();
    for (failure, falls_back) in [
        (Some(RefusalClass::Throttled), true),
        (Some(RefusalClass::Recipient), true),
        (None, true),
        (Some(RefusalClass::OptedOut), false),
    ] {
        let moved = failed(&bench, &later, failure);
        let event = status_event(&bench.comms, &moved).unwrap();
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
            assert!(!follow_up.is_quiet, "the agent wants to know");
            assert_eq!(event.data["fallingBackTo"], "sms");
            assert_eq!(event.data["fallbackMessageId"], follow_up.id.as_str());
        }
        // With nothing to fall back on, the agent has to do it.
        let alone = Moved {
            fallback: None,
            ..moved
        };
        let event = status_event(&bench.comms, &alone).unwrap();
        assert!(event.follow_up.is_none() && event.data.get("fallingBackTo").is_none());
        let remedy = event.data["remediation"].as_str().unwrap_or_default().to_owned();
        assert!(!remedy.contains("same idempotencyKey"), "{remedy}");
        assert_eq!(
            remedy.contains("new idempotencyKey"),
            failure == Some(RefusalClass::Throttled),
            "{remedy}"
        );
    }
}

#[tokio::test]
async fn what_the_next_channel_cannot_take_is_not_kept_for_it() {
    let bench = Bench::new().await;
    let request = SendRequest::new(caller(&bench).await, Channel::Sms, PERSON);
    let with = |body: Option<&str>, html: Option<&str>, to: &str| {
        let request = SendRequest {
            body: body.map(str::to_owned),
            html: html.map(str::to_owned),
            idempotency_key: Some("k".into()),
            to: to.to_owned(),
            ..request.clone()
        };
        Later::of(&request).is_some()
    };
    assert!(with(Some("Hello"), None, PERSON));
    assert!(!with(None, Some("<p>Hello</p>"), PERSON), "mark-up is for mails");
    assert!(!with(Some(""), None, PERSON), "a template's words are the carrier's");
    assert!(!with(Some("Hello"), None, "ann@example.com"));
}
