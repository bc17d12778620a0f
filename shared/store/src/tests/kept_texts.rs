//! Texts that an organization keeps, and the inbox that shows them.

use super::{
    inbound::{PERSON, STRANGER, inbound_event, read},
    *,
};
use crate::{InboundRow, SealedColumn};

fn days(days: i64) -> TimeDelta {
    TimeDelta::days(days)
}

async fn keep(db: &Database, agent: &Agent, for_days: u32) {
    db.change(setup())
        .set_text_retention(&agent.org_id, for_days)
        .await
        .unwrap();
}

async fn receive(db: &Database, agent: &Agent, id: &str, contact: &str) {
    let event = InboundRow {
        kind: "message.received",
        ..inbound_event(agent, id, contact)
    };
    read(db, vec![event]).await;
    db.ack_events(&agent.id, i64::MAX, morning()).await.unwrap();
}

async fn send(db: &Database, agent: &Agent, key: &str, is_kept: bool) -> MessageId {
    let send = AcceptedSend {
        is_kept,
        ..text(agent, key)
    };
    let id = send.id.clone();
    db.accept_send(send).await.unwrap();
    db.settle_send(settled(&id, accepted(1))).await.unwrap();
    id
}

async fn received(db: &Database, agent: &Agent) -> Vec<(String, bool)> {
    let found = db.list_received(&agent.org_id, None, None, 9).await.unwrap();
    found
        .into_iter()
        .map(|event| (event.id, event.text.is_some()))
        .collect()
}

async fn sent(db: &Database, agent: &Agent) -> Vec<bool> {
    let found = db.list_sent(&agent.org_id, None, None, 9).await.unwrap();
    found.into_iter().map(|message| message.text.is_some()).collect()
}

both_engines! {
    async fn texts_stay_only_where_the_organization_keeps_them(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        assert_eq!(db.find_text_retention(&agent.org_id).await.unwrap(), 0);
        receive(db, &agent, "e0", PERSON).await;
        keep(db, &agent, 30).await;
        assert_eq!(db.find_text_retention(&agent.org_id).await.unwrap(), 30);
        let colleague = new_agent_in(db, &agent.org_id).await;
        for (who, expected) in [(&agent, true), (&colleague, true), (&other, false)] {
            let profile = db.find_profile(&who.id).await.unwrap().unwrap();
            assert_eq!(profile.keeps_texts, expected, "the agents of the organization, new ones too");
        }
        receive(db, &agent, "e1", PERSON).await;
        receive(db, &colleague, "e2", STRANGER).await;
        receive(db, &other, "e3", PERSON).await;
        read(db, vec![inbound_event(&agent, "e4", PERSON)]).await;
        let mut found = received(db, &agent).await;
        found.sort();
        assert_eq!(found, [("e0".into(), false), ("e1".into(), true), ("e2".into(), true)], "messages of people only");
        assert_eq!(received(db, &other).await, [("e3".into(), false)]);
        let of_person = db.list_received(&agent.org_id, Some(&agent.id), Some(PERSON), 9).await.unwrap();
        assert!(of_person.iter().all(|event| event.is_delivered && event.agent() == agent.id) && of_person.len() == 2);

        send(db, &agent, "k1", true).await;
        send(db, &agent, "k2", false).await;
        let texts = db.list_sent(&agent.org_id, None, None, 9).await.unwrap();
        let kept: Vec<&[u8]> = texts.iter().filter_map(|message| message.text.as_deref()).collect();
        assert_eq!(kept, [[0, 1, 0xfe, 0xff]], "the same content");
        let person = [texts[0].recipient.clone()];
        assert_eq!(db.list_sent(&agent.org_id, Some(&agent.id), Some(&person), 9).await.unwrap().len(), 2);
        assert!(db.list_sent(&agent.org_id, None, Some(&["+1".to_owned()]), 9).await.unwrap().is_empty());
        assert!(db.list_sent(&other.org_id, None, None, 9).await.unwrap().is_empty());
        assert_eq!((texts[0].agent(), texts[0].status.as_str()), (agent.id.clone(), "accepted"));
    }

    async fn text_without_outcome_is_shown_only_if_it_is_kept(db: &Database) {
        let agent = new_agent(db).await;
        keep(db, &agent, 30).await;
        db.accept_send(text(&agent, "code")).await.unwrap();
        assert_eq!(sent(db, &agent).await, [false], "it may be a one-time code");
    }

    async fn kept_texts_end_with_their_days_or_the_setting(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        for who in [&agent, &other] {
            keep(db, who, 30).await;
            receive(db, who, &format!("e {}", who.id), PERSON).await;
            send(db, who, "k", true).await;
        }
        assert_eq!(db.purge_kept_texts(morning() + days(29)).await.unwrap(), 0);
        keep(db, &agent, 7).await;
        assert_eq!(db.purge_kept_texts(morning() + days(8)).await.unwrap(), 2, "those of one organization");
        assert_eq!((received(db, &agent).await[0].1, sent(db, &agent).await), (false, vec![false]));
        assert_eq!((received(db, &other).await[0].1, sent(db, &other).await), (true, vec![true]));
        db.execute(&format!(
            "INSERT INTO legal_holds (org_id, contact_hash, id, reason, actor, created_at)
                VALUES ('{}', '*', 'hld', 'x', 'x', CURRENT_TIMESTAMP)", other.org_id)).await;
        keep(db, &other, 0).await;
        assert_eq!(db.purge_kept_texts(morning() + days(60)).await.unwrap(), 0, "a hold stops the expiry");
        db.execute("DELETE FROM legal_holds").await;
        assert_eq!(db.purge_kept_texts(morning()).await.unwrap(), 2, "the organization keeps none any more");
        receive(db, &other, "later", PERSON).await;
        assert!(received(db, &other).await.iter().all(|(_, is_kept)| !is_kept));
    }

    async fn text_of_an_incomplete_event_is_kept_when_it_arrives(db: &Database) {
        let agent = new_agent(db).await;
        keep(db, &agent, 1).await;
        let event = InboundRow { kind: "message.received", is_incomplete: true, content: None, ..inbound_event(&agent, "mail", PERSON) };
        read(db, vec![event]).await;
        assert!(db.reschedule_incomplete_event(&agent.id, 1, Some(b"head"), morning()).await.unwrap());
        assert!(db.complete_event(&agent.id, 1, Some(b"whole"), morning()).await.unwrap());
        db.ack_events(&agent.id, 1, morning()).await.unwrap();
        let found = db.list_received(&agent.org_id, None, None, 9).await.unwrap();
        assert_eq!(found[0].text.as_deref(), Some(&b"whole"[..]));
    }

    async fn kept_texts_are_encrypted_again_with_a_new_key(db: &Database) {
        let agent = new_agent(db).await;
        keep(db, &agent, 1).await;
        receive(db, &agent, "e1", PERSON).await;
        send(db, &agent, "k", true).await;
        for column in [SealedColumn::KeptEvents, SealedColumn::KeptMessages] {
            let listed = db.list_sealed(column, None, 9).await.unwrap();
            assert_eq!((listed.len(), listed[0].org()), (1, agent.org_id.clone()), "{column}");
            assert!(db.replace_sealed(column, &listed[0], &[7]).await.unwrap());
            assert!(db.list_sealed(column, Some(&listed[0].cursor()), 9).await.unwrap().is_empty());
            assert_eq!(db.list_sealed(column, None, 9).await.unwrap()[0].sealed, [7]);
        }
    }
}
