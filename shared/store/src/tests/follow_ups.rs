//! Effects of inbound events: fallback, automatic reply, suppression. Once, in the transaction of the event.

use butt_dial_domain::{
    inbound::{DeliveryStatus, Receipt},
    ports::carrier::RefusalClass,
};

use super::inbound::{PERSON, batch, inbound_event, read};
use super::*;
use crate::{Applied, FollowUp, InboundRow, ReceiptEntry, ScheduledSend, StatusTransition};

pub fn follow_up(event: &str) -> FollowUp {
    FollowUp {
        id: MessageId::generate(),
        channel: Channel::Sms,
        recipient: PERSON.into(),
        idempotency_key: format!("because-{event}"),
        request_hash: "aa11".into(),
        request: vec![0, 7, 0xff],
        is_quiet: true,
    }
}

fn keyword_event(agent: &Agent, id: &str) -> InboundRow {
    InboundRow {
        follow_up: Some(follow_up(id)),
        ..inbound_event(agent, id, PERSON)
    }
}

async fn due(db: &Database) -> Vec<ScheduledSend> {
    let now = morning();
    db.claim_scheduled(9, now, now + seconds(60)).await.unwrap()
}

/// Stores an accepted message with a fallback.
async fn sent(db: &Database, agent: &Agent, key: &str) -> MessageId {
    let send = AcceptedSend {
        fallback: Some(vec![0, 8, 0xfe]),
        ..text(agent, key)
    };
    db.accept_send(send.clone()).await.unwrap();
    let result = SendResult::Accepted {
        carrier_id: format!("SM{key}"),
        carrier_status: "queued".into(),
        segments: None,
        cost: 1,
    };
    assert!(db.settle_send(settled(&send.id, result)).await.unwrap());
    send.id
}

async fn receive_receipt(db: &Database, key: &str, stage: DeliveryStatus, failure: Option<RefusalClass>) -> Applied {
    let entry = ReceiptEntry {
        carrier: "simulator".into(),
        receipt: Receipt {
            carrier_id: format!("SM{key}"),
            message: None,
            channel: Channel::Sms,
            sender: None,
            stage,
            error_code: None,
            failure,
            price: None,
            tariff: None,
            org: None,
            is_marketing_only: false,
        },
    };
    let after = db.find_log_position("INBOUND").await.unwrap();
    let event_of = |moved: &StatusTransition| {
        let agent = Agent {
            id: moved.agent.clone(),
            org_id: moved.org.clone(),
            display_name: String::new(),
            status: crate::AgentStatus::Active,
            created_at: morning(),
        };
        let id = format!("{}-{}", moved.message, moved.stage.as_str());
        Some(InboundRow {
            follow_up: moved.fallback.as_ref().map(|sealed| FollowUp {
                request: sealed.clone(),
                ..follow_up(&id)
            }),
            ..inbound_event(&agent, &id, &moved.recipient)
        })
    };
    db.apply_inbound(&batch(after, vec![], vec![entry]), &event_of)
        .await
        .unwrap()
}

async fn count_fallbacks(db: &Database) -> i64 {
    db.count("SELECT COUNT(*) FROM messages WHERE fallback IS NOT NULL")
        .await
}

async fn suppressed(db: &Database) -> Vec<String> {
    db.texts("SELECT channel || ' ' || address || ' ' || reason FROM suppressions ORDER BY 1")
        .await
}

both_engines! {
    async fn follow_up_is_scheduled_once(db: &Database) {
        let agent = new_agent(db).await;
        let gone = Agent { id: AgentId::generate(), ..agent.clone() };
        let applied = read(db, vec![keyword_event(&agent, "e1"), inbound_event(&agent, "e2", PERSON), keyword_event(&agent, "e1"), keyword_event(&gone, "g")]).await;
        assert_eq!((applied.added, applied.follow_ups), (2, 1));
        assert_eq!(read(db, vec![keyword_event(&agent, "e1")]).await.follow_ups, 0, "a repetition");
        let due = due(db).await;
        let [one] = &due[..] else { panic!("{} are due", due.len()) };
        assert_eq!((one.agent(), one.org(), one.is_quiet), (agent.id.clone(), agent.org_id.clone(), true));
        assert_eq!((one.channel.as_str(), one.recipient.as_str()), ("sms", PERSON));
        assert_eq!((one.idempotency_key.as_str(), one.request.as_deref()), ("because-e1", Some(&[0, 7, 0xff][..])));
        assert_eq!((one.state, one.tries), (ScheduledState::Scheduled, 1));
    }

    async fn no_follow_up_after_revoked_consent(db: &Database) {
        let agent = new_agent(db).await;
        let stop = InboundRow { consent: Some(false), ..inbound_event(&agent, "e2", PERSON) };
        read(db, vec![keyword_event(&agent, "e1"), stop]).await;
        let states = db.texts("SELECT state FROM scheduled_sends").await;
        assert_eq!(states, ["cancelled"]);
    }

    async fn first_failure_receipt_returns_the_fallback(db: &Database) {
        let agent = new_agent(db).await;
        for (key, failing) in [("1", DeliveryStatus::Undelivered), ("2", DeliveryStatus::Failed)] {
            sent(db, &agent, key).await;
            assert_eq!(count_fallbacks(db).await, 1, "while it is being delivered");
            assert_eq!(receive_receipt(db, key, DeliveryStatus::Sent, None).await.follow_ups, 0);
            assert_eq!(count_fallbacks(db).await, 1);
            let applied = receive_receipt(db, key, failing, None).await;
            assert_eq!(applied.transitions[0].fallback.as_deref(), Some(&[0, 8, 0xfe][..]));
            assert_eq!((applied.follow_ups, count_fallbacks(db).await), (1, 0));
            for stage in [failing, DeliveryStatus::Failed, DeliveryStatus::Read] {
                assert_eq!(receive_receipt(db, key, stage, None).await.follow_ups, 0, "{stage:?} again");
            }
        }
        assert_eq!(due(db).await.len(), 2);
    }

    async fn fallback_is_deleted_after_success(db: &Database) {
        let agent = new_agent(db).await;
        sent(db, &agent, "1").await;
        assert!(receive_receipt(db, "1", DeliveryStatus::Delivered, None).await.transitions[0].fallback.is_none());
        assert_eq!(count_fallbacks(db).await, 0);
        for (key, result) in [
            ("2", SendResult::Failed { failure: "PROVIDER_REFUSED", frees_key: false }),
            ("3", SendResult::Unconfirmed),
        ] {
            let send = AcceptedSend { fallback: Some(vec![1]), ..text(&agent, key) };
            db.accept_send(send.clone()).await.unwrap();
            let unknown = SendResult::Unknown { check_at: morning() };
            assert!(db.settle_send(settled(&send.id, unknown)).await.unwrap());
            assert_eq!(count_fallbacks(db).await, 1, "the result is unknown");
            assert!(db.settle_send(settled(&send.id, result)).await.unwrap());
            assert_eq!(count_fallbacks(db).await, 0);
        }
        sent(db, &agent, "4").await;
        assert_eq!(db.purge_fallbacks(morning()).await.unwrap(), 0);
        assert_eq!(db.purge_fallbacks(morning() + seconds(1)).await.unwrap(), 1);
        assert_eq!((count_fallbacks(db).await, receive_receipt(db, "4", DeliveryStatus::Failed, None).await.follow_ups), (0, 0));
    }

    async fn suppresses_unreachable_address_until_start(db: &Database) {
        let agent = new_agent(db).await;
        for (key, stage, failure) in [
            ("1", DeliveryStatus::Undelivered, Some(RefusalClass::Throttled)),
            ("2", DeliveryStatus::Failed, Some(RefusalClass::Content)),
            ("3", DeliveryStatus::Undelivered, None),
            ("4", DeliveryStatus::Delivered, Some(RefusalClass::Recipient)),
        ] {
            sent(db, &agent, key).await;
            receive_receipt(db, key, stage, failure).await;
            assert_eq!(suppressed(db).await, [""; 0], "{key}");
        }
        for key in ["5", "6"] {
            sent(db, &agent, key).await;
            receive_receipt(db, key, DeliveryStatus::Undelivered, Some(RefusalClass::Recipient)).await;
            assert_eq!(suppressed(db).await, [format!("sms {PERSON} unreachable")]);
        }
        read(db, vec![InboundRow { consent: Some(false), ..inbound_event(&agent, "stop", PERSON) }]).await;
        assert_eq!(suppressed(db).await.len(), 1);
        let start = |id: &str| InboundRow { consent: Some(true), ..inbound_event(&agent, id, PERSON) };
        read(db, vec![start("start")]).await;
        assert_eq!(suppressed(db).await, [""; 0]);
        // A suppression by the organization stays.
        let entry = crate::Suppression { org: &agent.org_id, channel: Some(Channel::Sms), address: PERSON, reason: "asked" };
        db.suppress(&entry, morning()).await.unwrap();
        sent(db, &agent, "7").await;
        receive_receipt(db, "7", DeliveryStatus::Failed, Some(RefusalClass::Recipient)).await;
        read(db, vec![start("again")]).await;
        assert_eq!(suppressed(db).await, [format!("sms {PERSON} asked")]);
    }
}
