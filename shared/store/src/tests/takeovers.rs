//! Conversations that a person answers in place of the agent.

use butt_dial_domain::OrgId;

use super::*;
use crate::{Acceptance, EventReason, NewEvent, NewPause, NewTakeover, TakeoverResult};

const BOB: &str = "+14155550199";

async fn take(db: &Database, agent: &Agent, (id, by): (&str, &str), hours: i64, now: Timestamp) -> TakeoverResult {
    let data = serde_json::json!({ "takeoverId": id });
    let event = NewEvent {
        agent: &agent.id,
        id: &format!("evt_{id}"),
        kind: "conversation.taken_over",
        channel: None,
        reason: EventReason::AgentOffline,
        data: &data,
    };
    let new = NewTakeover {
        id,
        org: &agent.org_id,
        agent: &agent.id,
        contact: BOB,
        taken_by: by,
        until: now + seconds(hours * 3_600),
        event: &event,
    };
    db.change(setup()).take_over(&new, now).await.unwrap()
}

async fn give_back(db: &Database, agent: &Agent, org: &OrgId, id: &str, now: Timestamp) -> bool {
    let data = serde_json::json!({});
    let event = NewEvent {
        agent: &agent.id,
        id: &format!("evt_{id}_returned"),
        kind: "conversation.returned",
        channel: None,
        reason: EventReason::AgentOffline,
        data: &data,
    };
    let change = db.change(setup());
    change.return_conversation((org, id), &event, now).await.unwrap()
}

async fn events(db: &Database, agent: &Agent) -> Vec<String> {
    let events = db.list_events(&agent.id, 0, 9).await.unwrap();
    events.into_iter().map(|event| event.id).collect()
}

async fn accept(db: &Database, agent: &Agent, key: &str, is_answer: bool, at: Timestamp) -> Acceptance {
    let mut message = text(agent, key);
    message.recipient = BOB.into();
    message.contact = Some(BOB.into());
    message.is_answer = is_answer;
    message.at = at;
    db.accept_send(message).await.unwrap()
}

both_engines! {
    async fn one_of_two_takes_a_conversation_over(db: &Database) {
        let (agent, now) = (new_agent(db).await, morning());
        let (first, second) = tokio::join!(
            take(db, &agent, ("tko_1", "usr_1"), 24, now),
            take(db, &agent, ("tko_2", "usr_2"), 24, now),
        );
        let (id, by) = match (&first, &second) {
            (TakeoverResult::Taken, TakeoverResult::TakenBy(holder))
            | (TakeoverResult::TakenBy(holder), TakeoverResult::Taken) => (holder.id.clone(), holder.taken_by.clone()),
            other => panic!("{other:?}"),
        };
        let org = &agent.org_id;
        let listed = db.list_takeovers(org, "", 9, now).await.unwrap();
        assert_eq!(listed.iter().map(|one| (&one.id, &one.taken_by)).collect::<Vec<_>>(), [(&id, &by)]);
        assert_eq!((listed[0].taken_at, listed[0].until_at), (now, now + seconds(86_400)));
        assert_eq!(events(db, &agent).await, [format!("evt_{id}")], "one that is not taken reports nothing");
        // The same person extends it.
        let later = now + seconds(60);
        assert_eq!(take(db, &agent, ("tko_3", &by), 24, later).await, TakeoverResult::Taken);
        let found = db.find_takeover_of(&agent.id, BOB, later).await.unwrap().unwrap();
        assert_eq!((&*found.id, found.until_at), ("tko_3", later + seconds(86_400)));
        // It ends with its time, and another person may take the conversation over then.
        let over = found.until_at;
        assert!(db.find_takeover_of(&agent.id, BOB, over).await.unwrap().is_none());
        assert_eq!(db.list_takeovers(org, "", 9, over).await.unwrap(), []);
        assert!(!give_back(db, &agent, org, "tko_3", over).await);
        assert_eq!(take(db, &agent, ("tko_4", "usr_9"), 24, over).await, TakeoverResult::Taken);
    }

    async fn conversation_is_given_back_within_the_organization_only(db: &Database) {
        let (agent, foreign, now) = (new_agent(db).await, new_agent(db).await, morning());
        let org = &agent.org_id;
        assert_eq!(take(db, &agent, ("tko_1", "usr_1"), 1, now).await, TakeoverResult::Taken);
        assert!(db.find_takeover(&foreign.org_id, "tko_1").await.unwrap().is_none());
        assert_eq!(db.list_takeovers(&foreign.org_id, "", 9, now).await.unwrap(), []);
        assert_eq!(db.list_takeovers(org, "tko_1", 9, now).await.unwrap(), []);
        assert!(!give_back(db, &agent, &foreign.org_id, "tko_1", now).await);
        assert!(db.find_takeover(org, "tko_1").await.unwrap().is_some());
        assert!(give_back(db, &agent, org, "tko_1", now).await);
        assert!(!give_back(db, &agent, org, "tko_1", now).await);
        assert_eq!(events(db, &agent).await, ["evt_tko_1", "evt_tko_1_returned"]);
        assert!(db.find_takeover(org, "tko_1").await.unwrap().is_none());
    }

    async fn send_during_a_takeover_is_left_out_of_its_batch(db: &Database) {
        let (agent, other, now) = (new_agent(db).await, new_agent(db).await, morning());
        take(db, &agent, ("tko_1", "usr_1"), 1, now).await;
        // In one batch with others.
        let (refused, answer, foreign) = tokio::join!(
            accept(db, &agent, "k1", false, now),
            accept(db, &agent, "k2", true, now),
            accept(db, &other, "k3", false, now),
        );
        assert_eq!(
            (refused, answer, foreign),
            (Acceptance::TakenOver, Acceptance::Accepted, Acceptance::Accepted)
        );
        assert!(db.find_message_by_key(&agent.id, "k1").await.unwrap().is_none());
        assert_eq!(accept(db, &agent, "k1", false, now + seconds(3_600)).await, Acceptance::Accepted);
    }

    async fn takeover_replaces_a_pause_and_is_no_pause(db: &Database) {
        let (agent, now) = (new_agent(db).await, morning());
        let org = &agent.org_id;
        let data = serde_json::json!({});
        let pause = async |id: &str| {
            let event = NewEvent {
                agent: &agent.id,
                id: &format!("evt_{id}"),
                kind: "contact.paused",
                channel: None,
                reason: EventReason::AgentOffline,
                data: &data,
            };
            let new = NewPause {
                id,
                org,
                agent: &agent.id,
                contact: BOB,
                until: now + seconds(60),
                cause: ("bot_loop", "agent:1 contact:a"),
                event: &event,
            };
            db.change(setup()).pause_contact(&new, now).await.unwrap()
        };
        assert!(pause("pau_1").await);
        assert_eq!(db.list_takeovers(org, "", 9, now).await.unwrap(), []);
        assert_eq!(take(db, &agent, ("tko_1", "usr_1"), 1, now).await, TakeoverResult::Taken);
        assert_eq!(db.list_contact_pauses(org, "", 9, now).await.unwrap(), []);
        assert!(!pause("pau_2").await);
        let ended = db.change(setup()).end_contact_pause((org, "tko_1"), "bot_loop", "tok_1", now).await.unwrap();
        assert!(ended.is_none(), "only the operations of takeovers end one");
        let open = db.find_open_contacts(&[(&agent.id, BOB.to_owned())]).await.unwrap();
        let open = &open[&(agent.id.clone(), BOB.to_owned())];
        assert_eq!(open.takeover, Some(("tko_1".to_owned(), now + seconds(3_600))));
        assert_eq!(open.conversation, None);
    }
}
