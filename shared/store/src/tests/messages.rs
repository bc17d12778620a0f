//! Stored messages: complete, visible to their agent only, and an error for corrupt rows.

use butt_dial_domain::message::{Status, ThreadRef};

use super::*;
use crate::Attempt;

both_engines! {
    async fn reads_message_as_accepted(db: &Database) {
        let agent = new_agent(db).await;
        let send = AcceptedSend {
            channel: Channel::Email,
            sender: "ada@example.com".into(),
            recipient: "o'neil+\"x\"@exämple.org".into(),
            rule: Some("quiet_hours".into()),
            verdict: "flag",
            thread: ThreadRef {
                thread_id: Some("thread".into()),
                entity_id: Some("entity".into()),
                reply_msg_id: Some("reply".into()),
                task_id: Some("task".into()),
            },
            at: morning() + TimeDelta::microseconds(1),
            check_at: morning() + TimeDelta::microseconds(123_456),
            ..text(&agent, "k")
        };
        db.accept_send(send.clone()).await.unwrap();

        let message = db.find_message(&send.id).await.unwrap().unwrap();
        assert_eq!((&message.id, &message.org, &message.agent), (&send.id, &send.org, &send.agent));
        assert_eq!((message.channel, message.status), (Channel::Email, Status::Sending));
        assert_eq!((&message.sender, &message.recipient), (&send.sender, &send.recipient));
        assert_eq!((&message.request_hash, &message.body_hash), (&send.request_hash, &send.body_hash));
        assert_eq!((message.verdict.as_str(), &message.rule), ("flag", &send.rule));
        assert_eq!((&message.thread, message.carrier.as_str()), (&send.thread, "simulator"));
        assert_eq!((message.estimate, message.cost, message.segments), (ESTIMATE, None, None));
        assert_eq!((message.carrier_id, message.carrier_status), (None, None));
        assert_eq!((message.failure, message.failure_detail), (None, None));
        assert_eq!((message.attempts, message.checks), (1, 0));
        assert_eq!((message.created_at, message.updated_at), (send.at, send.at));
        assert_eq!(message.check_at, Some(send.check_at));
        assert!(db.find_message(&MessageId::generate()).await.unwrap().is_none());
    }

    async fn finds_own_message_by_id_or_carrier_id(db: &Database) {
        let (agent, neighbour) = {
            let agent = new_agent(db).await;
            let neighbour = new_agent_in(db, &agent.org_id).await;
            (agent, neighbour)
        };
        let send = text(&agent, "k");
        db.accept_send(send.clone()).await.unwrap();
        assert!(!db.has_carrier_id("SM1").await.unwrap());
        let result = SendResult::Accepted {
            carrier_id: "SM1".into(),
            carrier_status: "queued".into(),
            segments: Some(2),
            cost: 5,
        };
        db.settle_send(settled(&send.id, result)).await.unwrap();

        assert!(db.has_carrier_id("SM1").await.unwrap());
        assert!(!db.has_carrier_id("SM2").await.unwrap());
        for id in [send.id.as_str(), "SM1"] {
            let found = db.find_agent_message(&agent.id, id).await.unwrap().unwrap();
            assert_eq!((&found.id, found.segments, found.cost), (&send.id, Some(2), Some(5)));
            assert!(db.find_agent_message(&neighbour.id, id).await.unwrap().is_none());
        }
        assert!(db.find_agent_message(&agent.id, "SM2").await.unwrap().is_none());
    }

    async fn finds_duplicate_until_it_is_settled(db: &Database) {
        let agent = new_agent(db).await;
        let (first, second) = (text(&agent, "a"), text(&agent, "b"));
        db.accept_send(first.clone()).await.unwrap();
        let message = db.find_message(&first.id).await.unwrap().unwrap();
        assert!(!db.has_duplicate_in_flight(&message).await.unwrap(), "a message is no duplicate of itself");

        db.accept_send(second.clone()).await.unwrap();
        assert!(db.has_duplicate_in_flight(&message).await.unwrap());
        let result = SendResult::Failed { failure: "X", frees_key: false };
        db.settle_send(settled(&second.id, result)).await.unwrap();
        assert!(!db.has_duplicate_in_flight(&message).await.unwrap());

        let other_text = AcceptedSend { body_hash: "another".into(), ..text(&agent, "c") };
        db.accept_send(other_text).await.unwrap();
        assert!(!db.has_duplicate_in_flight(&message).await.unwrap());
    }

    async fn attempt_starts_on_accept_and_finishes_on_settle(db: &Database) {
        let agent = new_agent(db).await;
        let send = text(&agent, "k");
        db.accept_send(send.clone()).await.unwrap();
        let open = Attempt {
            number: 1,
            replica: "replica1".into(),
            started_at: send.at,
            finished_at: None,
            outcome: None,
            detail: None,
        };
        assert_eq!(db.list_attempts(&send.id).await.unwrap(), std::slice::from_ref(&open));

        let mut settlement = settled(&send.id, failed(false));
        settlement.detail = Some("21211".into());
        db.settle_send(settlement.clone()).await.unwrap();
        let finished = Attempt {
            finished_at: Some(settlement.at),
            outcome: Some("refused".into()),
            detail: Some("21211".into()),
            ..open
        };
        assert_eq!(db.list_attempts(&send.id).await.unwrap(), std::slice::from_ref(&finished));
        assert_eq!(db.list_attempts(&MessageId::generate()).await.unwrap(), []);
        // An earlier release accepted the message, and this one settles it.
        db.execute("UPDATE messages SET replica = NULL").await;
        db.execute("INSERT INTO attempts (message_id, number, replica, started_at) SELECT id, 1, 'replica1', created_at FROM messages")
            .await;
        assert_eq!(db.list_attempts(&send.id).await.unwrap(), [finished]);
        let message = db.find_message(&send.id).await.unwrap().unwrap();
        assert_eq!(message.failure.as_deref(), Some("carrier_refused"));
        assert_eq!(message.failure_detail.as_deref(), Some("21211"));
        assert_eq!(message.updated_at, settlement.at);
    }

    async fn reports_corrupt_message(db: &Database) {
        let agent = new_agent(db).await;
        let send = text(&agent, "k");
        db.accept_send(send.clone()).await.unwrap();
        db.execute("UPDATE messages SET channel = 'fax'").await;
        assert_corrupt(db.find_message(&send.id).await, ("messages", "channel", send.id.as_str()));
        db.execute("UPDATE messages SET channel = 'sms', status = 'lost'").await;
        let found = db.find_agent_message(&agent.id, send.id.as_str()).await;
        assert_corrupt(found, ("messages", "status", send.id.as_str()));
        db.execute("UPDATE messages SET status = 'sending'").await;
    }
}

both_engines! {
    async fn finds_message_by_key_and_by_carrier_id(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        let send = text(&agent, "key");
        db.accept_send(send.clone()).await.unwrap();
        let by_key = async |agent: &Agent, key: &str| db.find_message_by_key(&agent.id, key).await.unwrap().map(|m| m.id);
        assert_eq!(by_key(&agent, "key").await, Some(send.id.clone()));
        assert_eq!(by_key(&other, "key").await, None);
        assert_eq!(by_key(&agent, "other").await, None);

        let of_carrier = async |carrier: &str, carrier_id: &str, id: Option<&MessageId>| {
            db.find_carrier_message(carrier, carrier_id, id).await.unwrap().map(|m| m.id)
        };
        assert_eq!(of_carrier("simulator", "SM1", None).await, None, "the id is unknown");
        assert_eq!(of_carrier("simulator", "SM1", Some(&send.id)).await, Some(send.id.clone()));
        assert_eq!(of_carrier("other", "SM1", Some(&send.id)).await, None, "another carrier");
        let result = SendResult::Accepted {
            carrier_id: "SM1".into(),
            carrier_status: "queued".into(),
            segments: None,
            cost: ESTIMATE,
        };
        db.settle_send(settled(&send.id, result)).await.unwrap();
        assert_eq!(of_carrier("simulator", "SM1", None).await, Some(send.id.clone()));
        assert_eq!(of_carrier("simulator", "SM2", Some(&send.id)).await, None, "the ids contradict each other");
        assert_eq!(of_carrier("other", "SM1", None).await, None);
    }
}
