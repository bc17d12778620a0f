//! An unreadable entry becomes a dead letter before the position advances.

use std::sync::atomic::Ordering;

use butt_dial_domain::{Channel, subjects};
use butt_dial_vault::Vault;

use super::{PHONE, *};
use crate::inbound::{
    STREAM,
    apply::ApplyError,
    envelope::{Envelope, SealedEvent},
};

async fn envelope(bench: &Bench, vault: &Vault, id: &str) -> Vec<u8> {
    let route = bench.store.find_route(Channel::Sms, PHONE).await.unwrap().unwrap();
    Envelope::message(vault, "twilio", &route, &text_message(bench, id, "Hello")).payload()
}

#[tokio::test]
async fn keeps_unreadable_entries_and_applies_the_rest() {
    let bench = Bench::new().await;
    let foreign = envelope(&bench, &Vault::new(b"another master key"), "SM1").await;
    let ours = envelope(&bench, &bench.vault, "SM2").await;
    let batch = [
        log_entry(1, foreign.clone()),
        log_entry(2, b"no envelope".to_vec()),
        log_entry(3, ours),
    ];
    let applied = applier(&bench).apply(0, &batch).await.unwrap();
    assert_eq!(applied.rows.added, 1);
    assert_eq!(bench.store.find_log_position(STREAM.name).await.unwrap(), 3);
    let dead_letters = bench.bus.appended.lock().unwrap().clone();
    let expected = [("aside-1", foreign), ("aside-2", b"no envelope".to_vec())];
    assert_eq!(dead_letters.len(), expected.len());
    for ((subject, id, headers, payload), (expected_id, expected)) in dead_letters.into_iter().zip(expected) {
        assert_eq!(
            (subject.as_str(), id.as_str()),
            (subjects::INBOUND_DEAD_LETTERS, expected_id)
        );
        assert_eq!(headers, batch[0].message.headers);
        assert_eq!(payload, expected);
    }
}

#[tokio::test]
async fn does_not_advance_without_dead_letter() {
    let bench = Bench::new().await;
    let foreign = envelope(&bench, &Vault::new(b"another master key"), "SM1").await;
    let ours = envelope(&bench, &bench.vault, "SM2").await;
    let batch = [log_entry(1, ours), log_entry(2, foreign)];
    bench.bus.refuses_appends.store(true, Ordering::SeqCst);
    let applier = applier(&bench);
    for _ in 0..2 {
        let refused = applier.apply(0, &batch).await;
        assert!(matches!(refused, Err(ApplyError::DeadLetter(_))));
        assert_eq!(bench.store.find_log_position(STREAM.name).await.unwrap(), 0);
    }
    assert_eq!(bench.store.list_events(&bench.agent.id, 0, 9).await.unwrap(), []);

    bench.bus.refuses_appends.store(false, Ordering::SeqCst);
    assert_eq!(applier.apply(0, &batch).await.unwrap().rows.added, 1);
    assert_eq!(bench.store.find_log_position(STREAM.name).await.unwrap(), 2);
    assert_eq!(bench.bus.appended.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn dead_letter_can_be_replayed() {
    let bench = Bench::new().await;
    let foreign = envelope(&bench, &Vault::new(b"the right key after all"), "SM1").await;
    let applier = applier(&bench);
    applier.apply(0, &[log_entry(1, foreign)]).await.unwrap();
    let (.., kept) = bench.bus.appended.lock().unwrap()[0].clone();
    let (id, org) = {
        let envelope: serde_json::Value = serde_json::from_slice(&kept).unwrap();
        (envelope["id"].as_str().unwrap().to_owned(), bench.agent.org_id.clone())
    };
    let sealed: Envelope = serde_json::from_slice(&kept).unwrap();
    let SealedEvent::Message { sealed, .. } = sealed.event else {
        panic!("a message was put in")
    };
    let vault = Vault::new(b"the right key after all");
    let opened = Envelope::open(&vault, &org, &id, &sealed);
    assert_eq!(opened.and_then(|message| message.body).as_deref(), Some("Hello"));
}
