//! Events that are delivered without their body, which follows once.

use super::inbound::{HOLD, PERSON, STRANGER, inbound_event, read};
use super::*;
use crate::{EventAwaitingBody, InboundRow};

/// Stores a mail event that was delivered without its body.
async fn released(db: &Database, agent: &Agent) {
    let mail = InboundRow {
        is_incomplete: true,
        is_quiet: true,
        ..inbound_event(agent, "mail", PERSON)
    };
    read(db, vec![mail, inbound_event(agent, "e2", STRANGER)]).await;
    assert_eq!(log(db, agent).await, [""; 0]);
    let data = serde_json::json!({ "bodyPending": true });
    let times = (morning(), morning() + seconds(10));
    assert!(db.release_without_body(&agent.id, 1, &data, times).await.unwrap());
    assert!(
        !db.release_without_body(&agent.id, 1, &data, times).await.unwrap(),
        "once"
    );
    assert!(
        !db.release_without_body(&agent.id, 2, &data, times).await.unwrap(),
        "that one was complete"
    );
}

async fn log(db: &Database, agent: &Agent) -> Vec<String> {
    let events = db.list_events(&agent.id, 0, 9).await.unwrap();
    events.into_iter().map(|event| event.id).collect()
}

async fn claim(db: &Database, at: Timestamp) -> Vec<EventAwaitingBody> {
    let is_due = is_due(db, DueKind::DeferredBodies, at).await;
    let claimed = db.claim_deferred_bodies(9, at, at + HOLD).await.unwrap();
    assert_eq!(is_due, !claimed.is_empty());
    claimed
}

both_engines! {
    async fn event_without_body_blocks_no_other(db: &Database) {
        let agent = new_agent(db).await;
        released(db, &agent).await;
        assert_eq!(log(db, &agent).await, ["mail", "e2"]);
        let event = db.find_event(&agent.id, "mail").await.unwrap().unwrap();
        assert_eq!(event.data, serde_json::json!({ "bodyPending": true }));
        assert_eq!(db.claim_incomplete_events(9, morning() + HOLD, morning()).await.unwrap().len(), 0);
    }

    async fn deferred_body_is_claimed_and_appended_once(db: &Database) {
        let agent = new_agent(db).await;
        released(db, &agent).await;
        assert_eq!(claim(db, morning()).await.len(), 0, "not at once");
        let due = morning() + seconds(10);
        let claimed = claim(db, due).await;
        let [event] = &claimed[..] else { panic!("{}", claimed.len()) };
        assert_eq!((event.agent(), event.org(), event.seq), (agent.id.clone(), agent.org_id.clone(), 1));
        assert_eq!((event.id.as_str(), event.is_quiet), ("mail", true));
        assert_eq!(claim(db, due).await.len(), 0);
        db.reschedule_body_fetch(event, due + seconds(1)).await.unwrap();
        assert_eq!(claim(db, due + seconds(1)).await.len(), 1);

        // The agent has acknowledged the first event.
        db.ack_events(&agent.id, 2, due).await.unwrap();
        let text = InboundRow { content: Some(b"text".into()), ..inbound_event(&agent, "mail_text", PERSON) };
        assert!(db.append_deferred_body(event, &text, due).await.unwrap());
        assert!(!db.append_deferred_body(event, &text, due).await.unwrap());
        assert_eq!(log(db, &agent).await, ["mail", "e2", "mail_text"]);
        let late = db.find_event(&agent.id, "mail_text").await.unwrap().unwrap();
        assert_eq!((late.seq, late.state, late.content.as_deref()), (3, EventState::Waiting, Some(&b"text"[..])));
        assert_eq!(claim(db, due + HOLD * 9).await.len(), 0);
        db.reschedule_body_fetch(event, due).await.unwrap();
        assert_eq!(claim(db, due + HOLD * 9).await.len(), 0, "fetching has ended");
        assert_eq!(db.claim_due_deliveries("other", 9, due + HOLD, due + HOLD * 2).await.unwrap().len(), 1);
    }
}
