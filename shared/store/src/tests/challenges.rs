//! Challenges: a try is counted and decided by one statement, and only for their owner.

use butt_dial_domain::ChallengeId;

use super::*;
use crate::{ChallengeOwner, ChallengeState, NewChallenge};

const PERSON: &str = "+14155550123";

async fn owner(db: &Database) -> ChallengeOwner {
    let agent = new_agent(db).await;
    ChallengeOwner {
        org: agent.org_id,
        agent: Some(agent.id),
    }
}

async fn create(store: &Store, owner: &ChallengeOwner, contact: &str) -> ChallengeId {
    let id = ChallengeId::generate();
    let new = NewChallenge {
        id: &id,
        owner,
        purpose: "test",
        channel: Channel::Sms,
        address: contact,
        contact,
        code_hash: "h",
        expires_at: morning() + TimeDelta::minutes(10),
    };
    store.create_challenge(&new, morning()).await.unwrap();
    id
}

async fn tries_left(store: &Store, owner: &ChallengeOwner, id: &ChallengeId) -> bool {
    let tried = store.take_challenge_try(owner, id, "test", 5, morning()).await;
    tried.unwrap().is_some()
}

both_engines! {
    async fn concurrent_tries_of_replicas_never_exceed_five(db: &Database) {
        let owner = owner(db).await;
        let id = create(db, &owner, PERSON).await;
        let replica = db.replica().await;
        let tries = (0..20).map(|n| {
            let store = if n % 2 == 0 { &**db } else { &replica };
            tries_left(store, &owner, &id)
        });
        let granted = futures::future::join_all(tries).await;
        assert_eq!(granted.into_iter().filter(|granted| *granted).count(), 5);
    }

    async fn foreign_owner_or_purpose_takes_no_try(db: &Database) {
        let own = owner(db).await;
        let id = create(db, &own, PERSON).await;
        let org_itself = ChallengeOwner { org: own.org.clone(), agent: None };
        let foreign = ChallengeOwner { org: "org_other".into(), agent: own.agent.clone() };
        for other in [&org_itself, &foreign] {
            assert!(!tries_left(db, other, &id).await);
            assert_eq!(db.find_challenge(other, &id, "test").await.unwrap(), None);
        }
        let purpose = db.take_challenge_try(&own, &id, "other", 5, morning()).await;
        assert_eq!(purpose.unwrap(), None);
        assert_eq!(db.find_challenge(&own, &id, "test").await.unwrap().unwrap().tries, 0);
        let of_org = create(db, &org_itself, PERSON).await;
        assert!(tries_left(db, &org_itself, &of_org).await);
        assert!(!tries_left(db, &own, &of_org).await);
    }

    async fn expired_challenge_takes_no_try(db: &Database) {
        let owner = owner(db).await;
        let id = create(db, &owner, PERSON).await;
        let late = morning() + TimeDelta::minutes(10);
        let tried = db.take_challenge_try(&owner, &id, "test", 5, late).await;
        assert_eq!(tried.unwrap(), None);
    }

    async fn code_is_confirmed_once(db: &Database) {
        let owner = owner(db).await;
        let id = create(db, &owner, PERSON).await;
        assert!(db.confirm_challenge(&id).await.unwrap());
        assert!(!db.confirm_challenge(&id).await.unwrap());
        assert!(!tries_left(db, &owner, &id).await);
        let found = db.find_challenge(&owner, &id, "test").await.unwrap().unwrap();
        assert_eq!(found.state, ChallengeState::Confirmed);
    }

    async fn later_code_replaces_earlier_one_to_same_person(db: &Database) {
        let owner = owner(db).await;
        let first = create(db, &owner, PERSON).await;
        let other = create(db, &owner, "+14155550124").await;
        let second = create(db, &owner, PERSON).await;
        let replaced = db.replace_older_challenges(&owner, &second, "test", PERSON);
        replaced.await.unwrap();
        assert!(!tries_left(db, &owner, &first).await);
        assert!(tries_left(db, &owner, &second).await);
        assert!(tries_left(db, &owner, &other).await);
        let latest = async |contact| {
            let found = db.find_latest_challenge(&owner, contact, None).await;
            found.unwrap().map(|found| found.id)
        };
        assert_eq!(latest(None).await, Some(second.clone()));
        assert_eq!(latest(Some("+14155550124")).await, Some(other));
        assert_eq!(latest(Some("+14155550125")).await, None);
        db.set_challenge_channel(&second, Channel::Whatsapp).await.unwrap();
        let on_sms = db.find_latest_challenge(&owner, Some(PERSON), Some(Channel::Sms)).await;
        assert_eq!(on_sms.unwrap(), None);
        db.delete_challenge(&second).await.unwrap();
        assert_eq!(latest(Some(PERSON)).await, None);
    }
}
