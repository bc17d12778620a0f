//! An agent may block a channel; that takes no right away from the people on it.

use butt_dial_domain::{
    Channel,
    inbound::{Keyword, Notice},
};
use butt_dial_store::{Event, Hold};
use chrono::TimeDelta;

use super::{bench::PHONE, *};
use crate::inbound::{permit, publish, read::ReadWebhook, record::Recorded, routes::Routes};

/// Takes the messages in, from the webhook to the log.
async fn take_in(bench: &Bench, messages: Vec<InboundMessage>) -> Recorded {
    let routes = Routes::load(bench.comms.clone()).await.unwrap();
    let read = ReadWebhook {
        carrier: "twilio",
        only: None,
        notices: messages
            .into_iter()
            .map(|message| Notice::Message(Box::new(message)))
            .collect(),
    };
    let permitted = permit::permit(&bench.comms, &routes, read).await;
    let Ok(permitted) = permitted else { panic!("refused") };
    let published = publish::publish(&bench.comms, permitted, &Headers::new()).await;
    assert_eq!(published, Ok(()));
    let appended = std::mem::take(&mut *bench.bus.appended.lock().unwrap());
    let after = bench.comms.store.find_log_position("INBOUND").await.unwrap();
    let batch: Vec<_> = (after + 1..)
        .zip(appended)
        .map(|(sequence, (.., payload))| logged(sequence, payload.to_vec()))
        .collect();
    recorder(bench).record(after, &batch).await.unwrap()
}

async fn log(bench: &Bench) -> Vec<Event> {
    bench.comms.store.list_events(&bench.agent.id, 0, 99).await.unwrap()
}

/// Whether messages to the person are allowed, if the person has ever said so.
async fn consent(bench: &Bench) -> Option<String> {
    let (store, agent) = (&bench.comms.store, &bench.agent);
    let channel = store.find_route(Channel::Sms, PHONE).await.unwrap().unwrap().channel_id;
    let state = store
        .find_contact_state(&agent.org_id, &agent.id, (&channel, Channel::Sms), PERSON, "")
        .await;
    state.unwrap().consent
}

#[tokio::test]
async fn wishes_count_on_a_blocked_channel_and_messages_are_dropped() {
    let bench = Bench::new().await;
    bench.block(true).await;
    let mut named = says(&bench, "SM2", " Stop. ");
    named.sender_name = Some("Ann".into());
    let recorded = take_in(
        &bench,
        vec![
            says(&bench, "SM1", "Hello"),
            named,
            says(&bench, "SM3", "Please stop it"),
        ],
    )
    .await;
    assert_eq!((recorded.applied.added, recorded.applied.follow_ups), (1, 0));
    assert_eq!(consent(&bench).await.as_deref(), Some("revoked"));
    let events = log(&bench).await;
    let event = &events[0];
    assert_eq!(
        (&event.data["keyword"], &event.data["from"]),
        (&"stop".into(), &PERSON.into())
    );
    assert_eq!(event.content, None);
    assert_eq!(event.data.get("senderName"), None);

    assert_eq!(
        take_in(&bench, vec![says(&bench, "SM4", "START")]).await.applied.added,
        1
    );
    assert_eq!(consent(&bench).await.as_deref(), Some("granted"));
    let help = take_in(&bench, vec![says(&bench, "SM5", "Help")]).await;
    assert_eq!(help.applied.follow_ups, 1);
    assert_eq!(log(&bench).await.len(), 3);
}

#[tokio::test]
async fn a_wish_on_a_blocked_channel_is_not_pushed_nor_answered_twice() {
    let bench = Bench::new().await;
    bench.block(true).await;
    let mut answered = says(&bench, "SM1", "AIUTO");
    answered.answered_keyword = Some(Keyword::Help);
    let recorded = take_in(&bench, vec![answered, says(&bench, "SM2", "STOP")]).await;
    assert_eq!((recorded.applied.added, recorded.applied.follow_ups), (2, 0));
    let now = bench.comms.clock.now();
    let hold = Hold {
        channel: None,
        max_tries: None,
        to_push: true,
        limit: 9,
        now,
        until: now + TimeDelta::seconds(1),
    };
    assert_eq!(
        bench
            .comms
            .store
            .hold_waiting_events(&bench.agent.id, &hold)
            .await
            .unwrap(),
        []
    );
}

#[tokio::test]
async fn on_a_channel_that_is_not_blocked_a_wish_is_a_message_too() {
    let bench = Bench::new().await;
    take_in(&bench, vec![says(&bench, "SM1", "STOP"), says(&bench, "SM2", "Hello")]).await;
    let events = log(&bench).await;
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|event| event.content.is_some()));
}
