//! Messages of an organization: pages without gaps, every filter, and nothing of another organization.

use super::*;
use crate::{DailyUsage, MessageCounts, MessageFilter};

async fn send(db: &Database, agent: &Agent, key: &str, change: impl FnOnce(&mut AcceptedSend)) -> MessageId {
    let mut new = text(agent, key);
    change(&mut new);
    let id = new.id.clone();
    db.accept_send(new).await.unwrap();
    id
}

async fn list(db: &Database, agent: &Agent, filter: MessageFilter<'_>) -> Vec<MessageId> {
    let found = db.list_messages(&agent.org_id, &filter, None, 50).await.unwrap();
    found.messages.into_iter().map(|message| message.id).collect()
}

both_engines! {
    async fn pages_continue_without_gaps(db: &Database) {
        let (agent, stranger) = (new_agent(db).await, new_agent(db).await);
        let mut sent = Vec::new();
        for n in 0..7 {
            // Some have the same time.
            let at = morning() + seconds(n / 2);
            sent.push(send(db, &agent, &format!("k{n}"), |new| new.at = at).await);
            send(db, &stranger, &format!("k{n}"), |_| {}).await;
        }
        let (mut read, mut before) = (Vec::new(), None);
        loop {
            let filter = MessageFilter::default();
            let found = db.list_messages(&agent.org_id, &filter, before.as_deref(), 3).await.unwrap();
            read.extend(found.messages.into_iter().map(|message| message.id));
            match found.next {
                Some(next) => before = Some(next.into_string()),
                None => break,
            }
        }
        sent.reverse();
        read.chunk_by(|one, other| one == other).for_each(|same| assert_eq!(same.len(), 1));
        read.sort();
        sent.sort();
        assert_eq!(read, sent);
        let nothing = db.list_messages(&agent.org_id, &MessageFilter::default(), Some("msg_x"), 3).await.unwrap();
        assert!(nothing.messages.is_empty() && nothing.next.is_none());
    }

    async fn each_filter_leaves_others_out(db: &Database) {
        let agent = new_agent(db).await;
        let colleague = new_agent_in(db, &agent.org_id).await;
        let id = send(db, &agent, "k", |new| {
            new.recipient = "+14155550177".into();
            new.rule = Some("quiet_hours".into());
            new.thread.thread_id = Some("t1".into());
        }).await;
        let failed_id = send(db, &colleague, "f", |new| new.channel = Channel::Email).await;
        db.settle_send(settled(&failed_id, failed(false))).await.unwrap();
        let none = MessageFilter::default();
        let both = list(db, &agent, none).await;
        assert_eq!(both.len(), 2);
        for filter in [
            MessageFilter { agent: Some(&agent.id), ..none },
            MessageFilter { channel: Some("sms"), ..none },
            MessageFilter { status: Some("pending"), ..none },
            MessageFilter { contact: Some("+14155550177"), ..none },
            MessageFilter { rule: Some("quiet_hours"), ..none },
            MessageFilter { thread: Some("t1"), ..none },
        ] {
            assert_eq!(list(db, &agent, filter).await, std::slice::from_ref(&id), "{filter:?}");
        }
        for filter in [
            MessageFilter { code: Some("carrier_refused"), ..none },
            MessageFilter { status: Some("failed"), ..none },
        ] {
            assert_eq!(list(db, &agent, filter).await, std::slice::from_ref(&failed_id), "{filter:?}");
        }
        let sent = SendResult::Accepted { carrier_id: "SM7".into(), carrier_status: "queued".into(), segments: None, cost: 1 };
        db.settle_send(settled(&id, sent)).await.unwrap();
        let by_carrier = MessageFilter { carrier_id: Some("SM7"), ..none };
        assert_eq!(list(db, &agent, by_carrier).await, std::slice::from_ref(&id));
    }

    async fn finds_and_counts_of_own_organization_only(db: &Database) {
        let (agent, stranger) = (new_agent(db).await, new_agent(db).await);
        let first = send(db, &agent, "k1", |_| {}).await;
        let second = send(db, &agent, "k2", |new| new.at = morning() + seconds(1)).await;
        assert_eq!(db.count_newer_messages(&agent.org_id, first.as_str()).await.unwrap(), 1);
        assert_eq!(db.count_newer_messages(&agent.org_id, second.as_str()).await.unwrap(), 0);
        assert_eq!(db.count_newer_messages(&stranger.org_id, first.as_str()).await.unwrap(), 0);
        let found = db.find_message_of_org(&agent.org_id, first.as_str()).await.unwrap();
        assert_eq!(found.unwrap().id, first);
        assert!(db.find_message_of_org(&stranger.org_id, first.as_str()).await.unwrap().is_none());
        let (reported, key) = db.find_message_times(&first).await.unwrap().unwrap();
        assert_eq!((reported, key.as_str()), (None, "k1"));
        let pending = MessageCounts { channel: "sms".into(), status: "pending".into(), messages: 2 };
        assert_eq!(db.count_messages(&agent.org_id, morning()).await.unwrap(), [pending]);
        assert!(db.count_messages(&agent.org_id, morning() + seconds(2)).await.unwrap().is_empty());
    }

    async fn lists_usage_by_day(db: &Database) {
        let agent = new_agent(db).await;
        let id = send(db, &agent, "k", |_| {}).await;
        db.settle_send(settled(&id, accepted(700))).await.unwrap();
        let usage = DailyUsage { day: DAY.into(), channel: "sms".into(), messages: 1, cost: 700 };
        assert_eq!(db.list_daily_usage(&agent.org_id, DAY, DAY).await.unwrap(), [usage]);
        assert!(db.list_daily_usage(&agent.org_id, "2026-11-23", "2026-11-30").await.unwrap().is_empty());
    }
}
