//! Senders, the pool, their release, and the modes of organizations.

use butt_dial_domain::{
    Micros,
    senders::{IdentityMode, IsolationMode},
};

use super::*;
use crate::{NewSender, Registration, Sender, SenderChange, SenderModes};

const NUMBER: &str = "+14155550101";

fn new<'a>(agent: &'a Agent, of_agent: bool, channel: Channel, address: &'a str) -> NewSender<'a> {
    NewSender {
        org: &agent.org_id,
        agent: of_agent.then_some(&agent.id),
        channel,
        address,
        label: Some("Desk"),
        account: None,
        number_id: Some("PN1"),
        country: Some("US"),
        monthly_price: Some(1_150_000),
        registration: None,
    }
}

/// A number of the agent, for texts and calls.
async fn phone(db: &Database, agent: &Agent, address: &str) -> Vec<ChannelId> {
    let both = [Channel::Sms, Channel::Voice].map(|channel| new(agent, true, channel, address));
    db.change(setup()).create_senders(&both, morning()).await.unwrap()
}

async fn find(db: &Database, agent: &Agent, id: &ChannelId) -> Option<Sender> {
    db.find_sender(&agent.org_id, id).await.unwrap()
}

both_engines! {
    async fn first_sender_of_channel_is_primary(db: &Database) {
        let (ada, bob) = (new_agent(db).await, new_agent(db).await);
        let first = phone(db, &ada, NUMBER).await;
        let second = phone(db, &ada, "+14155550102").await;
        let senders = db.list_senders(&ada.org_id, Some(&ada.id)).await.unwrap();
        let primary: Vec<&ChannelId> = senders.iter().filter(|s| s.is_primary).map(|s| &s.id).collect();
        assert_eq!(primary, first.iter().collect::<Vec<_>>());
        let sender = find(db, &ada, &first[0]).await.unwrap();
        assert_eq!((sender.country.as_deref(), sender.number_id.as_deref()), (Some("US"), Some("PN1")));
        assert_eq!(db.find_monthly_price(&first[0]).await.unwrap(), Some(Micros(1_150_000)));
        assert_eq!(find(db, &bob, &first[0]).await, None, "of another organization");
        assert_eq!(db.list_senders_of_org(&ada.org_id, 50).await.unwrap(), senders);
        assert_eq!(db.list_senders_of_org(&ada.org_id, 3).await.unwrap(), senders[..3]);
        assert_eq!(db.list_senders_of_org(&bob.org_id, 50).await.unwrap(), []);
        let taken = db.change(setup()).create_senders(&[new(&bob, true, Channel::Sms, NUMBER)], morning()).await;
        assert!(matches!(taken, Err(StoreError::Conflict)));

        let change = SenderChange { label: Some("New"), paused: Some(true), primary: Some(true) };
        let other = find(db, &ada, &second[0]).await.unwrap();
        assert!(db.change(setup()).change_sender(&ada.org_id, &other, change).await.unwrap());
        for id in &second {
            let changed = find(db, &ada, id).await.unwrap();
            assert!(changed.paused && changed.is_primary && changed.label.as_deref() == Some("New"));
        }
        assert!(!find(db, &ada, &first[0]).await.unwrap().is_primary);
        assert!(!db.change(setup()).change_sender(&bob.org_id, &other, change).await.unwrap());
        assert_eq!(db.find_profile(&ada.id).await.unwrap().unwrap().channel(Channel::Sms).unwrap().id, second[0]);
    }

    async fn mail_domain_has_the_registration_of_its_first_sender(db: &Database) {
        let agent = new_agent(db).await;
        let registration = Some(("dom-1", Registration::Pending));
        let mail = |address, registration| NewSender { registration, ..new(&agent, true, Channel::Email, address) };
        let senders = [mail("ada@shop.example", registration), mail("ada@agents.example", None)];
        let ids = db.change(setup()).create_senders(&senders, morning()).await.unwrap();
        let found = db.find_mail_domain("shop.example").await.unwrap().unwrap();
        assert_eq!((&found.id, found.registration_id.as_deref()), (&ids[0], Some("dom-1")));
        for other in ["agents.example", "hop.example", "example"] {
            assert_eq!(db.find_mail_domain(other).await.unwrap(), None, "{other}");
        }
    }

    async fn released_sender_has_no_route_until_taken_back(db: &Database) {
        let agent = new_agent(db).await;
        let ids = phone(db, &agent, NUMBER).await;
        let org = &agent.org_id;
        assert_eq!(db.change(setup()).release_senders(org, &ids, morning()).await.unwrap(), 2);
        assert_eq!(db.change(setup()).release_senders(org, &ids, morning()).await.unwrap(), 0);
        assert_eq!(db.find_route(Channel::Sms, NUMBER).await.unwrap(), None);
        assert_eq!(db.list_senders(org, Some(&agent.id)).await.unwrap(), []);
        assert_eq!(db.list_senders_by_address(org, NUMBER).await.unwrap().len(), 2, "it is held");
        let take_back = async |held_since| db.change(setup()).take_back_sender(org, &ids[0], Some(&agent.id), held_since).await.unwrap();
        assert!(!take_back(morning()).await, "the hold has ended");
        assert!(take_back(morning() - seconds(1)).await);
        assert!(!take_back(morning() - seconds(1)).await, "it is in use");
        assert!(db.find_route(Channel::Sms, NUMBER).await.unwrap().is_some());

        assert!(db.list_released_senders(morning() - seconds(1), 9).await.unwrap().is_empty());
        assert!(db.end_hold(org, &ids, morning() - seconds(60)).await.unwrap());
        let due = db.list_released_senders(morning() - seconds(1), 9).await.unwrap();
        assert_eq!(due.iter().map(|sender| &sender.id).collect::<Vec<_>>(), [&ids[1]]);
        assert!(!db.delete_released_sender(&ids[0]).await.unwrap(), "in use");
        assert!(db.delete_released_sender(&ids[1]).await.unwrap());
        assert_eq!(find(db, &agent, &ids[1]).await, None);

        let all = db.release_organization(org, morning(), 9).await.unwrap();
        assert!(all.len() == 1 && all[0].released_at.is_some());
    }

    async fn pooled_sender_serves_one_agent_per_contact(db: &Database) {
        let ada = new_agent(db).await;
        let bob = db.change(setup()).register_agent(Agent { id: AgentId::generate(), ..ada.clone() }).await.unwrap();
        let pooled = new(&ada, false, Channel::Sms, NUMBER);
        let id = db.change(setup()).create_senders(&[pooled], morning()).await.unwrap().remove(0);
        let (org, expired) = (&ada.org_id, morning() - seconds(600));
        let bind = async |agent: &AgentId, at| db.bind_sender(&id, "+1", (org, agent), at, expired).await.unwrap();
        assert!(bind(&ada.id, morning()).await);
        assert!(bind(&ada.id, morning()).await, "renewed");
        assert!(!bind(&bob.id, morning()).await);
        let pool = db.list_pool(org, Channel::Sms, "+1", expired).await.unwrap();
        assert_eq!(pool[0].bound_to.as_ref(), Some(&ada.id));
        assert_eq!(db.list_pool(org, Channel::Sms, "+2", expired).await.unwrap()[0].bound_to, None);

        let route = db.find_route(Channel::Sms, NUMBER).await.unwrap().unwrap();
        let SenderRoute::Pool(route) = route else { panic!("of the pool") };
        let owner = async |contact: &str, expired| db.find_pool_owner(&route, contact, expired).await.unwrap().unwrap().agent;
        assert_eq!(owner("+1", expired).await, ada.id);
        assert!(!bind(&bob.id, morning()).await);
        let later = morning() + seconds(3_600);
        assert!(db.bind_sender(&id, "+1", (org, &bob.id), later, morning()).await.unwrap(), "the former one has expired");
        assert_eq!(owner("+1", morning()).await, bob.id);
        assert!(db.bind_sender(&id, "+3", (org, &bob.id), morning(), expired).await.unwrap());
        assert_eq!(db.delete_expired_bindings(morning(), 9).await.unwrap(), 1);
        assert_eq!(db.delete_expired_bindings(morning(), 9).await.unwrap(), 0);
        assert_eq!(owner("+1", morning()).await, bob.id);
        let oldest = owner("+2", expired).await;
        assert!(oldest == ada.id || oldest == bob.id, "an agent of the organization");

        assert!(db.change(setup()).assign_pooled_sender(org, &id, &bob.id).await.unwrap());
        assert!(!db.change(setup()).assign_pooled_sender(org, &id, &ada.id).await.unwrap());
        assert!(db.list_pool(org, Channel::Sms, "+1", expired).await.unwrap().is_empty());
        assert_eq!(db.find_sender_account(Channel::Sms, NUMBER).await.unwrap(), None);
    }

    async fn pending_registration_pauses_sender(db: &Database) {
        let agent = new_agent(db).await;
        let pending = NewSender {
            registration: Some(("XE1", Registration::Pending)),
            ..new(&agent, true, Channel::Whatsapp, NUMBER)
        };
        let id = db.change(setup()).create_senders(&[pending], morning()).await.unwrap().remove(0);
        assert!(find(db, &agent, &id).await.unwrap().paused);
        assert_eq!(db.list_registering_senders(9).await.unwrap().len(), 1);
        assert!(db.conclude_registration(&id, true).await.unwrap());
        assert!(!db.conclude_registration(&id, false).await.unwrap());
        let sender = find(db, &agent, &id).await.unwrap();
        assert_eq!((sender.paused, sender.registration), (false, Some(Registration::Done)));
    }

    async fn mode_of_agent_comes_before_organization(db: &Database) {
        let agent = new_agent(db).await;
        let org = &agent.org_id;
        assert_eq!(db.find_sender_modes(org, Some(&agent.id)).await.unwrap(), SenderModes::default());
        let modes = SenderModes {
            identity: Some(IdentityMode::Hybrid),
            isolation: Some(IsolationMode::SubaccountPerAgent),
        };
        db.change(setup()).set_sender_modes(org, modes).await.unwrap();
        db.change(setup()).set_sender_modes(org, SenderModes::default()).await.unwrap();
        assert_eq!(db.find_sender_modes(org, Some(&agent.id)).await.unwrap(), modes);
        db.change(setup()).set_agent_identity(org, &agent.id, IdentityMode::Shared).await.unwrap();
        assert_eq!(db.find_sender_modes(org, Some(&agent.id)).await.unwrap().identity, Some(IdentityMode::Shared));
        assert_eq!(db.find_profile(&agent.id).await.unwrap().unwrap().identity, Some(IdentityMode::Shared));
        assert_eq!(db.find_agent_quota(org).await.unwrap(), (1, None));
        db.change(setup()).set_agent_quota(org, 7).await.unwrap();
        assert_eq!(db.find_agent_quota(org).await.unwrap(), (1, Some(7)));
    }
}
