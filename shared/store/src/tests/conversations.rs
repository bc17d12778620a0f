//! Conversations: found by their contacts while they are open, by their own agent only.

use super::*;
use crate::{ConversationStatus, NewConversation};

const PERSON: &str = "+14155550123";

async fn create(db: &Database, agent: &Agent, id: &str, max: u32) -> bool {
    let contacts = [PERSON.to_owned(), "ann@example.com".to_owned(), PERSON.to_owned()];
    let new = NewConversation {
        id,
        org: &agent.org_id,
        agent: &agent.id,
        channel: Some(Channel::Sms),
        details: b"sealed",
        contacts: &contacts,
    };
    db.create_conversation(&new, max, morning()).await.unwrap()
}

async fn open(db: &Database, agent: &Agent) -> Option<String> {
    let contacts = [(&agent.id, PERSON.to_owned())];
    let found = db.find_open_contacts(&contacts).await.unwrap();
    found.into_values().next()?.conversation
}

both_engines! {
    async fn newest_open_conversation_has_the_contact(db: &Database) {
        let (agent, foreign) = (new_agent(db).await, new_agent(db).await);
        assert_eq!(open(db, &agent).await, None);
        assert!(create(db, &agent, "ses_1", 2).await);
        assert!(create(db, &agent, "ses_2", 2).await);
        assert!(!create(db, &agent, "ses_3", 2).await, "at most two");
        assert_eq!(open(db, &agent).await.as_deref(), Some("ses_2"));
        assert_eq!(open(db, &foreign).await, None);
        let state = async |key: &str| {
            let channel = (&"chn_1".into(), Channel::Whatsapp);
            let found = db.find_contact_state(&agent.org_id, &agent.id, channel, PERSON, key).await;
            found.unwrap().conversation
        };
        assert_eq!(state("k1").await.as_deref(), Some("ses_2"));
        assert!(!db.close_conversation(&foreign.id, "ses_2", None, morning()).await.unwrap());
        assert!(db.close_conversation(&agent.id, "ses_2", Some(b"other"), morning()).await.unwrap());
        assert!(!db.close_conversation(&agent.id, "ses_2", None, morning()).await.unwrap());
        assert_eq!(state("k2").await.as_deref(), Some("ses_1"));
        let closed = db.find_conversation(&agent.id, "ses_2").await.unwrap().unwrap();
        assert_eq!((closed.status, closed.details.as_slice()), (ConversationStatus::Closed, &b"other"[..]));
        assert!(db.find_conversation(&foreign.id, "ses_2").await.unwrap().is_none());
        let listed = db.list_conversations(&agent.id, ConversationStatus::Active, 10).await.unwrap();
        assert_eq!(listed.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["ses_1"]);
    }

    async fn lists_messages_of_thread_of_own_agent(db: &Database) {
        let (agent, foreign) = (new_agent(db).await, new_agent(db).await);
        for (key, thread) in [("k1", "ses_1"), ("k2", "ses_2")] {
            let mut message = text(&agent, key);
            message.thread.thread_id = Some(thread.into());
            db.accept_send(message).await.unwrap();
        }
        let sent = db.list_sent_in(&agent.id, "ses_1", 10).await.unwrap();
        assert_eq!((sent.len(), sent[0].status.as_str()), (1, "sending"));
        assert!(db.list_sent_in(&foreign.id, "ses_1", 10).await.unwrap().is_empty());
        for (id, session) in [("evt_1", "ses_1"), ("evt_2", "ses_2")] {
            let data = serde_json::json!({ "sessionId": session, "from": PERSON });
            let event = crate::NewEvent {
                agent: &agent.id,
                id,
                kind: "message.received",
                channel: Some(Channel::Sms),
                reason: EventReason::AgentOffline,
                data: &data,
            };
            db.append_event(&event, morning()).await.unwrap();
        }
        let received = db.list_received_in(&agent.id, "ses_1", 10).await.unwrap();
        assert_eq!(received.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), ["evt_1"]);
        let last = db.find_last_message_event(&agent.id, Channel::Sms, PERSON).await.unwrap();
        assert!(last.is_none(), "these events have no contact");
    }
}
