//! An unreadable entry becomes a dead letter in the transaction that advances the position.

use butt_dial_domain::Channel;
use butt_dial_store::DeadLetterReason;
use butt_dial_vault::Vault;

use super::{PHONE, *};
use crate::inbound::{STREAM, envelope::Envelope};

async fn envelope(bench: &Bench, vault: &Vault, id: &str) -> Vec<u8> {
    let route = bench.store.find_route(Channel::Sms, PHONE).await.unwrap().unwrap();
    let route = route.agent().unwrap();
    Envelope::message(vault, "twilio", route, text_message(bench, id, "Hello")).payload()
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
    let applied = applier(&bench).apply(STREAM.name, 0, &batch).await.unwrap();
    assert_eq!(applied.rows.added, 1);
    assert_eq!(bench.store.find_log_position(STREAM.name).await.unwrap(), 3);
    let letters = bench.store.list_dead_letters(None, 10).await.unwrap();
    let kept: Vec<_> = letters.iter().map(|letter| letter.payload.clone()).collect();
    assert_eq!(kept, [foreign, b"no envelope".to_vec()]);
    assert!(letters[0].id.starts_with("INBOUND-1-") && letters[1].id.starts_with("INBOUND-2-"));

    let views = bench.inbound.list_dead_letters(None, 10).await.unwrap();
    let first = views[0].event.as_ref().unwrap();
    assert_eq!((first.kind, first.carrier.as_str()), ("message", "twilio"));
    assert_eq!(first.agent.as_deref(), Some(bench.agent.id.as_str()));
    assert_eq!(views[0].reason, DeadLetterReason::Unreadable);
    assert!(views[1].event.is_none());
}

#[tokio::test]
async fn replayed_dead_letter_is_appended_and_removed() {
    let bench = Bench::new().await;
    let foreign = envelope(&bench, &Vault::new(b"another master key"), "SM1").await;
    applier(&bench)
        .apply(STREAM.name, 0, &[log_entry(1, foreign.clone())])
        .await
        .unwrap();
    assert_eq!(bench.inbound.replay_dead_letters().await.unwrap(), 0, "not requested");
    let id = bench.inbound.list_dead_letters(None, 10).await.unwrap()[0].id.clone();
    assert_eq!(bench.inbound.request_replay(Some(&id)).await.unwrap(), 1);
    assert_eq!(bench.inbound.replay_dead_letters().await.unwrap(), 1);
    let appended = bench.bus.appended.lock().unwrap().clone();
    assert_eq!(appended.len(), 1);
    assert_eq!(
        (appended[0].0.as_str(), appended[0].3.to_vec()),
        (subjects::INBOUND, foreign)
    );
    assert!(bench.inbound.list_dead_letters(None, 10).await.unwrap().is_empty());
    let unknown = bench.inbound.request_replay(Some(&id)).await.unwrap_err();
    assert_eq!(unknown.code.as_str(), "NOT_FOUND");
}

#[tokio::test]
async fn dead_letter_stays_while_it_cannot_be_appended() {
    let bench = Bench::new().await;
    applier(&bench)
        .apply(STREAM.name, 0, &[log_entry(1, b"no envelope".to_vec())])
        .await
        .unwrap();
    bench.inbound.request_replay(None).await.unwrap();
    bench
        .bus
        .refuses_appends
        .store(true, std::sync::atomic::Ordering::SeqCst);
    bench.inbound.replay_dead_letters().await.unwrap();
    assert_eq!(bench.inbound.list_dead_letters(None, 10).await.unwrap().len(), 1);
    bench
        .bus
        .refuses_appends
        .store(false, std::sync::atomic::Ordering::SeqCst);
    bench.inbound.replay_dead_letters().await.unwrap();
    assert!(bench.inbound.list_dead_letters(None, 10).await.unwrap().is_empty());
    bench.inbound.drop_dead_letter("INBOUND-1-0").await.unwrap_err();
}
