//! Registrations of US numbers, and checks of the webhooks of numbers.

use butt_dial_domain::{NumberRegistrationId, ports::registrations::RegistrationKind};

use super::*;
use crate::{NewSender, NumberRegistration, ReviewStatus};

const NUMBER: &str = "+14155550101";

fn brand(agent: &Agent, subject: &str) -> NumberRegistration {
    NumberRegistration {
        id: NumberRegistrationId::generate(),
        org_id: agent.org_id.clone(),
        account_id: None,
        kind: RegistrationKind::Brand,
        subject: subject.to_owned(),
        state: ReviewStatus::Submitting,
        external_id: None,
        service_id: None,
        failure: None,
        data: vec![1, 2, 3],
        attempts: 0,
        check_at: Some(morning() + seconds(60)),
        created_at: morning(),
        updated_at: morning(),
    }
}

async fn number(db: &Database, agent: &Agent, address: &str, country: &str) -> ChannelId {
    let new = NewSender {
        org: &agent.org_id,
        agent: Some(&agent.id),
        channel: Channel::Sms,
        address,
        label: None,
        account: None,
        number_id: Some("PN1"),
        country: Some(country),
        monthly_price: None,
        registration: None,
    };
    db.change(setup())
        .create_senders(&[new], morning())
        .await
        .unwrap()
        .remove(0)
}

both_engines! {
    async fn registration_is_claimed_once_its_holder_has_left(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        let org = &agent.org_id;
        let new = brand(&agent, "own");
        db.create_number_registration(&new).await.unwrap();
        assert_eq!(db.find_number_registration(org, &new.id).await.unwrap().as_ref(), Some(&new));
        assert_eq!(db.find_number_registration(&other.org_id, &new.id).await.unwrap(), None);
        let twin = db.create_number_registration(&brand(&agent, "own")).await;
        assert!(matches!(twin, Err(StoreError::Conflict)));
        db.create_number_registration(&brand(&other, "own")).await.unwrap();

        let claim = async |at| db.claim_number_registrations(9, at, at + seconds(60)).await.unwrap();
        assert!(!is_due(db, DueKind::NumberRegistrations, morning()).await);
        assert!(claim(morning()).await.is_empty());
        assert!(is_due(db, DueKind::NumberRegistrations, morning() + seconds(60)).await);
        let claimed = claim(morning() + seconds(60)).await.into_iter().find(|claimed| claimed.id == new.id).unwrap();
        assert_eq!((claimed.attempts, claimed.state, claimed.data.as_slice()), (1, ReviewStatus::Submitting, &[1, 2, 3][..]));
        assert!(claim(morning() + seconds(60)).await.is_empty());
        assert!(!db.update_number_registration(&new, morning()).await.unwrap(), "its first holder is too late");
        assert!(!db.delete_number_registration(&new).await.unwrap());
        let approved = NumberRegistration {
            state: ReviewStatus::Approved,
            external_id: Some("BN1".into()),
            check_at: Some(morning() + seconds(9_000)),
            ..claimed
        };
        assert!(db.update_number_registration(&approved, morning() + seconds(61)).await.unwrap());
        let listed = db.list_number_registrations(org).await.unwrap();
        assert_eq!((listed.len(), listed[0].state, listed[0].external_id.as_deref()), (1, ReviewStatus::Approved, Some("BN1")));
        let due = async || claim(morning() + seconds(70)).await.into_iter().any(|claimed| claimed.id == new.id);
        assert!(!due().await);
        db.hasten_approved_registrations(org, morning() + seconds(70)).await.unwrap();
        assert!(due().await, "a new number joins");
        let tollfree = NumberRegistration { kind: RegistrationKind::Tollfree, ..brand(&agent, "PN1") };
        db.create_number_registration(&tollfree).await.unwrap();
        db.forget_returned_number(org, "PN2").await.unwrap();
        assert_eq!(db.list_number_registrations(org).await.unwrap().len(), 2);
        db.forget_returned_number(org, "PN1").await.unwrap();
        let read = db.find_number_registration(org, &new.id).await.unwrap().unwrap();
        assert!(db.delete_number_registration(&read).await.unwrap());
        assert!(db.list_number_registrations(org).await.unwrap().is_empty());
    }

    async fn bought_us_number_waits_for_its_registration(db: &Database) {
        let agent = new_agent(db).await;
        let (us, gb) = (number(db, &agent, NUMBER, "US").await, number(db, &agent, "+442079460001", "GB").await);
        let org = &agent.org_id;
        let waiting = async || {
            let senders = db.list_unregistered_senders(org, None).await.unwrap();
            senders.into_iter().map(|sender| sender.id).collect::<Vec<_>>()
        };
        assert_eq!(waiting().await, std::slice::from_ref(&us));
        assert_eq!(db.list_bought_senders(org).await.unwrap().len(), 2);
        let registered = async || {
            let profile = db.find_profile(&agent.id).await.unwrap().unwrap();
            let own = profile.senders(Channel::Sms).find(|owned| owned.id == us).cloned();
            own.unwrap().is_registered
        };
        assert!(!registered().await);
        assert!(db.set_us_registration(&us, true).await.unwrap());
        assert!(!db.set_us_registration(&us, true).await.unwrap(), "known");
        assert!(!db.set_us_registration(&gb, false).await.unwrap(), "it needs none");
        assert!(waiting().await.is_empty() && registered().await);
        let sender = db.find_sender(org, &us).await.unwrap().unwrap();
        assert_eq!(sender.is_us_registered, Some(true));
        let other = brand(&agent, "x").account().unwrap_or_else(|| "pva_1".into());
        assert!(db.list_unregistered_senders(org, Some(&other)).await.unwrap().is_empty());
    }

    async fn number_is_checked_once_a_day(db: &Database) {
        let agent = new_agent(db).await;
        let id = number(db, &agent, NUMBER, "US").await;
        let day = TimeDelta::days(1);
        let claim = async |now: Timestamp| db.claim_number_checks(9, now - day, now).await.unwrap();
        assert!(claim(morning()).await.is_empty());
        let due = claim(morning() + day).await;
        assert_eq!(due.iter().map(|sender| &sender.id).collect::<Vec<_>>(), [&id]);
        assert!(claim(morning() + day).await.is_empty());
        db.note_number_check(&id, morning() + day + day).await.unwrap();
        assert!(claim(morning() + day + day).await.is_empty());
        db.change(setup()).release_senders(&agent.org_id, &[id], morning()).await.unwrap();
        assert!(claim(morning() + TimeDelta::days(9)).await.is_empty(), "released");
    }
}
