//! Trust sessions: the last one counts, of this agent only.

use super::*;
use crate::{NewTrust, TrustSession};

const PERSON: &str = "+14155550123";

async fn grant(db: &Database, agent: &Agent, at: Timestamp) {
    let new = NewTrust {
        org: &agent.org_id,
        agent: &agent.id,
        contact: PERSON,
        method: "sms",
        granted_by: "tok_1",
        expires_at: at + TimeDelta::hours(1),
    };
    db.grant_trust(&new, at).await.unwrap();
}

both_engines! {
    async fn trust_ends_by_time_or_revocation(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        assert_eq!(db.find_trust(&agent.id, PERSON).await.unwrap(), None);
        grant(db, &agent, morning()).await;
        let session = db.find_trust(&agent.id, PERSON).await.unwrap().unwrap();
        let expected = TrustSession {
            method: "sms".into(),
            granted_at: morning(),
            expires_at: morning() + TimeDelta::hours(1),
            revoked_at: None,
        };
        assert_eq!(session, expected);
        assert!(session.is_open(morning()) && !session.is_open(session.expires_at));
        assert_eq!(db.find_trust(&other.id, PERSON).await.unwrap(), None);
        assert!(!db.revoke_trust(&other.id, PERSON, morning()).await.unwrap());
        assert!(db.revoke_trust(&agent.id, PERSON, morning()).await.unwrap());
        assert!(!db.revoke_trust(&agent.id, PERSON, morning()).await.unwrap());
        assert!(!db.find_trust(&agent.id, PERSON).await.unwrap().unwrap().is_open(morning()));
        grant(db, &agent, morning()).await;
        assert!(db.find_trust(&agent.id, PERSON).await.unwrap().unwrap().is_open(morning()));
    }
}
