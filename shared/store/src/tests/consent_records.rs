//! Consent that agents record: sends obey it, and the word of the person is never overruled.

use super::*;
use crate::{ConsentRecord, ConsentStatus};

const PERSON: &str = "+14155550123";

fn record<'a>(agent: &'a Agent, address: &'a str, granted: bool) -> ConsentRecord<'a> {
    ConsentRecord {
        org: &agent.org_id,
        agent: &agent.id,
        actor: "tok_1",
        channel: Channel::Sms,
        address,
        granted,
        kind: granted.then_some("express"),
        source: Some("web form"),
        notes: None,
    }
}

async fn status(db: &Database, agent: &Agent, channel: Channel) -> Option<(ConsentStatus, String)> {
    let found = db.find_consent(&agent.org_id, channel, PERSON).await.unwrap();
    found.map(|consent| (consent.status, consent.source))
}

fn later(seconds: i64) -> Timestamp {
    morning() + TimeDelta::seconds(seconds)
}

both_engines! {
    async fn record_holds_for_all_channels_of_number(db: &Database) {
        let agent = new_agent(db).await;
        assert_eq!(status(db, &agent, Channel::Sms).await, None);
        let recorded = db.record_agent_consent(&record(&agent, PERSON, true), morning()).await;
        assert!(recorded.unwrap());
        let granted = Some((ConsentStatus::Granted, "agent".to_owned()));
        for channel in [Channel::Sms, Channel::Whatsapp, Channel::Voice] {
            assert_eq!(status(db, &agent, channel).await, granted);
        }
        assert_eq!(status(db, &agent, Channel::Email).await, None);
        let last = db.find_recorded_consent(&agent.org_id, PERSON).await.unwrap().unwrap();
        assert_eq!((last.action.as_str(), last.kind.as_deref()), ("granted", Some("express")));
        let foreign = new_agent(db).await;
        assert_eq!(status(db, &foreign, Channel::Sms).await, None);
        assert_eq!(db.find_recorded_consent(&foreign.org_id, PERSON).await.unwrap(), None);
    }

    async fn stop_of_person_is_not_overruled(db: &Database) {
        let agent = new_agent(db).await;
        let stop = db.record_consent(&agent.org_id, Channel::Whatsapp, PERSON, false, "keyword", morning());
        stop.await.unwrap();
        let granted = record(&agent, PERSON, true);
        assert!(!db.record_agent_consent(&granted, later(1)).await.unwrap());
        // Neither by the detour over a revocation of the agent's own.
        assert!(db.record_agent_consent(&record(&agent, PERSON, false), later(2)).await.unwrap());
        assert!(!db.record_agent_consent(&granted, later(3)).await.unwrap());
        let revoked = Some((ConsentStatus::Revoked, "keyword".to_owned()));
        assert_eq!(status(db, &agent, Channel::Sms).await, revoked);
        let start = db.record_consent(&agent.org_id, Channel::Sms, PERSON, true, "keyword", later(4));
        start.await.unwrap();
        assert!(db.record_agent_consent(&granted, later(5)).await.unwrap());
    }

    async fn agents_revocation_can_be_undone_by_agent(db: &Database) {
        let agent = new_agent(db).await;
        db.record_agent_consent(&record(&agent, PERSON, false), morning()).await.unwrap();
        let revoked = Some((ConsentStatus::Revoked, "agent".to_owned()));
        assert_eq!(status(db, &agent, Channel::Voice).await, revoked);
        assert!(db.record_agent_consent(&record(&agent, PERSON, true), later(1)).await.unwrap());
        let granted = Some((ConsentStatus::Granted, "agent".to_owned()));
        assert_eq!(status(db, &agent, Channel::Voice).await, granted);
    }

    async fn stop_during_record_wins(db: &Database) {
        let agent = new_agent(db).await;
        let replica = db.replica().await;
        for number in 0..10 {
            let person = format!("+141555501{number:02}");
            let granted = record(&agent, &person, true);
            let (recorded, stopped) = tokio::join!(
                replica.record_agent_consent(&granted, later(1)),
                db.record_consent(&agent.org_id, Channel::Sms, &person, false, "keyword", morning()),
            );
            recorded.unwrap();
            stopped.unwrap();
            let found = db.find_consent(&agent.org_id, Channel::Sms, &person).await.unwrap().unwrap();
            assert_eq!(found.status, ConsentStatus::Revoked, "{number}");
        }
    }

    async fn revocation_cancels_scheduled_sends(db: &Database) {
        let agent = new_agent(db).await;
        let sent = super::scheduled::schedule(db, &agent, "k1", morning()).await.unwrap();
        let found = db.list_scheduled(&agent.id, None, 10).await.unwrap();
        let recipient = found[0].recipient.clone();
        db.record_agent_consent(&record(&agent, &recipient, false), morning()).await.unwrap();
        assert!(db.list_scheduled(&agent.id, None, 10).await.unwrap().is_empty());
        drop(sent);
    }
}
