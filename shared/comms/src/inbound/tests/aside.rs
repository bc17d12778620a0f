//! A notice that can't be read is kept aside before the position moves on.

use std::sync::atomic::Ordering;

use butt_dial_domain::{Channel, subjects};

use super::{bench::PHONE, *};
use crate::{
    inbound::{STREAM, envelope::Envelope, record::Unrecorded},
    vault::Vault,
};

async fn envelope(bench: &Bench, vault: &Vault, id: &str) -> Vec<u8> {
    let route = bench
        .comms
        .store
        .find_route(Channel::Sms, PHONE)
        .await
        .unwrap()
        .unwrap();
    Envelope::message(vault, "twilio", &route, &says(bench, id, "Hello")).payload()
}

#[tokio::test]
async fn what_cannot_be_read_is_kept_as_it_came_and_the_rest_is_written_down() {
    let bench = Bench::new().await;
    let foreign = envelope(&bench, &Vault::new(b"another master key"), "SM1").await;
    let ours = envelope(&bench, &bench.comms.vault, "SM2").await;
    let batch = [
        logged(1, foreign.clone()),
        logged(2, b"no envelope".to_vec()),
        logged(3, ours),
    ];
    let recorded = recorder(&bench).record(0, &batch).await.unwrap();
    assert_eq!(recorded.applied.added, 1);
    assert_eq!(bench.comms.store.find_log_position(STREAM.name).await.unwrap(), 3);
    let aside = bench.bus.appended.lock().unwrap().clone();
    let expected = [("aside-1", foreign), ("aside-2", b"no envelope".to_vec())];
    assert_eq!(aside.len(), expected.len());
    for ((subject, id, headers, payload), (expected_id, expected)) in aside.into_iter().zip(expected) {
        assert_eq!((subject.as_str(), id.as_str()), (subjects::INBOUND_ASIDE, expected_id));
        assert_eq!(headers, batch[0].message.headers);
        assert_eq!(payload, expected);
    }
}

#[tokio::test]
async fn nothing_is_passed_over_while_it_cannot_be_kept_aside() {
    let bench = Bench::new().await;
    let foreign = envelope(&bench, &Vault::new(b"another master key"), "SM1").await;
    let ours = envelope(&bench, &bench.comms.vault, "SM2").await;
    let batch = [logged(1, ours), logged(2, foreign)];
    bench.bus.refuses_appends.store(true, Ordering::SeqCst);
    let recorder = recorder(&bench);
    for _ in 0..2 {
        let refused = recorder.record(0, &batch).await;
        assert!(matches!(refused, Err(Unrecorded::Aside(_))));
        assert_eq!(bench.comms.store.find_log_position(STREAM.name).await.unwrap(), 0);
    }
    assert_eq!(bench.comms.store.list_events(&bench.agent.id, 0, 9).await.unwrap(), []);

    bench.bus.refuses_appends.store(false, Ordering::SeqCst);
    assert_eq!(recorder.record(0, &batch).await.unwrap().applied.added, 1);
    assert_eq!(bench.comms.store.find_log_position(STREAM.name).await.unwrap(), 2);
    assert_eq!(bench.bus.appended.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn what_was_kept_aside_can_be_put_back() {
    let bench = Bench::new().await;
    let foreign = envelope(&bench, &Vault::new(b"the right key after all"), "SM1").await;
    let recorder = recorder(&bench);
    recorder.record(0, &[logged(1, foreign)]).await.unwrap();
    let (.., kept) = bench.bus.appended.lock().unwrap()[0].clone();
    let (id, org) = {
        let envelope: serde_json::Value = serde_json::from_slice(&kept).unwrap();
        (envelope["id"].as_str().unwrap().to_owned(), bench.agent.org_id.clone())
    };
    let sealed: Envelope = serde_json::from_slice(&kept).unwrap();
    let crate::inbound::envelope::Sealed::Message { sealed, .. } = sealed.notice else {
        panic!("a message was put in")
    };
    let vault = Vault::new(b"the right key after all");
    let opened = Envelope::open(&vault, &org, &id, &sealed);
    assert_eq!(opened.and_then(|message| message.body).as_deref(), Some("Hello"));
}
