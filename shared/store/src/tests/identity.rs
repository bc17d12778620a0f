//! Organizations, agents and profiles.

use butt_dial_domain::{OrgId, limits::Limits};
use futures::future::join_all;

use super::*;
use crate::{OwnedChannel, StatusSetBy};

both_engines! {
    async fn finds_organization_by_id_and_slug(db: &Database) {
        let acme = db.change(setup()).create_organization("Acme", "acme", morning()).await.unwrap();
        assert_eq!((acme.name.as_str(), acme.slug.as_str(), acme.created_at), ("Acme", "acme", morning()));
        assert_eq!(db.find_organization(&acme.id).await.unwrap(), Some(acme.clone()));
        assert_eq!(db.find_organization_by_slug("acme").await.unwrap(), Some(acme));
        assert_eq!(db.find_organization(&OrgId::generate()).await.unwrap(), None);
        assert_eq!(db.find_organization_by_slug("other").await.unwrap(), None);
    }

    async fn concurrent_creates_share_one_slug(db: &Database) {
        let (here, there) = (db.replica().await, db.replica().await);
        let creations = (0..16).map(|n| if n % 2 == 0 { &here } else { &there }).map(|store| async {
            store.change(setup()).create_organization("Acme", "acme", morning()).await
        });
        let found = join_all(creations).await;
        let first = found[0].as_ref().unwrap();
        assert!(found.iter().all(|org| org.as_ref().unwrap() == first));
        assert_eq!(db.count("SELECT COUNT(*) FROM organizations").await, 1);
    }

    async fn agent_belongs_to_one_organization(db: &Database) {
        let (ours, theirs) = (new_agent(db).await, new_agent(db).await);
        assert_eq!(db.find_agent(&ours.org_id, &ours.id).await.unwrap(), Some(ours.clone()));
        assert_eq!(db.find_agent(&theirs.org_id, &ours.id).await.unwrap(), None);

        let again = Agent { org_id: theirs.org_id.clone(), ..ours.clone() };
        assert!(matches!(db.change(setup()).create_agent(&again).await, Err(StoreError::Conflict)));
        assert_eq!(db.find_agent(&theirs.org_id, &ours.id).await.unwrap(), None);

        let homeless = Agent { id: AgentId::generate(), org_id: OrgId::generate(), ..ours };
        assert!(matches!(db.change(setup()).create_agent(&homeless).await, Err(StoreError::Other(_))));
    }

    async fn organizations_use_same_agent_id(db: &Database) {
        let [ours, theirs] = [new_agent(db).await, new_agent(db).await].map(|agent| agent.org_id);
        let named = |org: &OrgId| Agent {
            id: AgentId::from("ada"),
            org_id: org.clone(),
            display_name: "Ada".into(),
            status: AgentStatus::Active,
            created_at: morning(),
        };
        let first = db.change(setup()).register_agent(named(&ours)).await.unwrap();
        let second = db.change(setup()).register_agent(named(&theirs)).await.unwrap();
        assert_eq!((first.id.as_str(), second.id.host_id()), ("ada", "ada"));
        assert_ne!(first.id, second.id);
        for (org, agent) in [(&ours, &first), (&theirs, &second)] {
            assert!(matches!(db.change(setup()).register_agent(named(org)).await, Err(StoreError::Conflict)));
            assert_eq!(db.find_agent_id(org, "ada").await.unwrap().as_ref(), Some(&agent.id));
            assert_eq!(db.find_agent(org, &agent.id).await.unwrap().as_ref(), Some(agent));
            let listed = db.list_agents(org, None, 10).await.unwrap();
            let after = listed.iter().skip_while(|listed| listed.id != agent.id).skip(1);
            assert!(db.list_agents(org, Some("ada"), 10).await.unwrap().iter().eq(after));
        }
        assert_eq!(db.find_agent_id(&ours, "bob").await.unwrap(), None);
        assert_eq!(db.list_agents_of_any_org("ada").await.unwrap(), [first, second]);
        assert_eq!(db.list_agents_of_any_org("bob").await.unwrap(), []);
    }

    async fn concurrent_registrations_share_agent_id(db: &Database) {
        let (here, there) = (db.replica().await, db.replica().await);
        let mut orgs = Vec::new();
        for _ in 0..8 {
            orgs.push(new_agent(db).await.org_id);
        }
        let registrations = orgs.iter().enumerate().map(|(index, org)| {
            let store = if index % 2 == 0 { &here } else { &there };
            let agent = Agent {
                id: AgentId::from("ada"),
                org_id: org.clone(),
                display_name: "Ada".into(),
                status: AgentStatus::Active,
                created_at: morning(),
            };
            async { store.change(setup()).register_agent(agent).await }
        });
        let registered = join_all(registrations).await;
        assert!(registered.iter().all(|agent| agent.as_ref().unwrap().id.host_id() == "ada"));
        assert_eq!(db.list_agents_of_any_org("ada").await.unwrap().len(), orgs.len());
    }

    async fn reads_every_agent_status(db: &Database) {
        let first = new_agent(db).await;
        for status in [AgentStatus::Active, AgentStatus::Inactive, AgentStatus::Suspended] {
            let agent = Agent { id: AgentId::generate(), status, ..first.clone() };
            db.change(setup()).create_agent(&agent).await.unwrap();
            assert_eq!(db.find_agent(&agent.org_id, &agent.id).await.unwrap(), Some(agent));
        }
    }

    async fn lists_agents_of_organization_in_pages(db: &Database) {
        let first = new_agent(db).await;
        let mut agents = vec![first.clone()];
        for _ in 0..4 {
            agents.push(new_agent_in(db, &first.org_id).await);
            new_agent(db).await;
        }
        let org = &first.org_id;
        assert_eq!(db.list_agents(org, None, 100).await.unwrap(), agents);
        assert_eq!(db.list_agents(org, None, 2).await.unwrap(), agents[..2]);
        assert_eq!(db.list_agents(org, Some(agents[1].id.as_str()), 2).await.unwrap(), agents[2..4]);
        assert_eq!(db.list_agents(org, Some(agents[4].id.as_str()), 2).await.unwrap(), []);
    }

    async fn profile_contains_channels_and_limits(db: &Database) {
        let agent = new_agent(db).await;
        let bare = db.find_profile(&agent.id).await.unwrap().unwrap();
        assert_eq!(bare.agent, agent);
        assert_eq!((bare.channels, bare.agent_limits, bare.org_limits), (vec![], None, None));

        db.change(setup()).assign_channel(&agent.org_id, &agent.id, Channel::Sms, "+14155550100", morning()).await.unwrap();
        db.change(setup()).assign_channel(&agent.org_id, &agent.id, Channel::Email, "ada@\"é\".example", morning()).await.unwrap();
        db.change(setup()).pause_channel(&agent.id, Channel::Email, true).await.unwrap();
        let few = Limits { max_actions_per_minute: Some(3), ..per_day(i64::MAX) };
        db.change(setup()).set_limits(&format!("agt:{}", agent.id), &few, morning()).await.unwrap();
        db.change(setup()).set_limits(&format!("org:{}", agent.org_id), &Limits::default(), morning()).await.unwrap();

        let full = db.find_profile(&agent.id).await.unwrap().unwrap();
        let seen = |channel| {
            let owned: &OwnedChannel = full.channel(channel).unwrap();
            (owned.address.as_str(), owned.paused)
        };
        assert_eq!(seen(Channel::Sms), ("+14155550100", false));
        assert_eq!(seen(Channel::Email), ("ada@\"é\".example", true));
        assert_eq!(full.channel(Channel::Whatsapp), None);
        assert_eq!(full.agent_limits, Some(few));
        assert_eq!(full.org_limits, Some(Limits::default()));

        let other = new_agent_in(db, &agent.org_id).await;
        let profile = db.find_profile(&other.id).await.unwrap().unwrap();
        assert_eq!((profile.channels.len(), profile.agent_limits, profile.org_limits), (0, None, full.org_limits));
        assert!(db.find_profile(&AgentId::generate()).await.unwrap().is_none());
    }

    async fn reports_corrupt_status(db: &Database) {
        let agent = new_agent(db).await;
        db.drop_checks().await;
        db.execute("UPDATE agents SET status = 'asleep'").await;
        let place = ("agents", "status", agent.id.as_str());
        assert_corrupt(db.find_agent(&agent.org_id, &agent.id).await, place);
        assert_corrupt(db.list_agents(&agent.org_id, None, 10).await, place);
        assert_corrupt(db.find_profile(&agent.id).await, place);
    }

    async fn reports_corrupt_channel(db: &Database) {
        let agent = new_agent(db).await;
        db.change(setup()).assign_channel(&agent.org_id, &agent.id, Channel::Sms, "+14155550100", morning()).await.unwrap();
        let id = db.find_profile(&agent.id).await.unwrap().unwrap().channels[0].id.clone();
        db.execute("UPDATE channels SET channel = 'fax'").await;
        assert_corrupt(db.find_profile(&agent.id).await, ("channels", "channel", id.as_str()));
    }

    async fn suspension_cancels_scheduled_sends(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        for (agent, key) in [(&agent, "k1"), (&agent, "k2"), (&other, "k1")] {
            super::scheduled::schedule(db, agent, key, morning()).await.unwrap();
        }
        let listed = db.list_scheduled(&agent.id, None, 10).await.unwrap();
        assert_eq!(listed.iter().map(|send| send.idempotency_key.as_str()).collect::<Vec<_>>(), ["k1", "k2"]);
        let set = async |org: &butt_dial_domain::OrgId, status| db.change(setup()).set_agent_status(org, &agent.id, status, StatusSetBy::Admin, None).await.unwrap();
        assert_eq!(set(&other.org_id, AgentStatus::Suspended).await, None, "another organization's agent");
        assert_eq!(set(&agent.org_id, AgentStatus::Suspended).await, Some(2));
        assert_eq!(set(&agent.org_id, AgentStatus::Suspended).await, Some(0));
        let profile = db.find_profile(&agent.id).await.unwrap().unwrap();
        assert_eq!(profile.agent.status, AgentStatus::Suspended);
        assert_eq!(db.list_scheduled(&agent.id, None, 10).await.unwrap().len(), 0);
        assert_eq!(db.list_scheduled(&other.id, None, 10).await.unwrap().len(), 1);
        assert_eq!(set(&agent.org_id, AgentStatus::Active).await, Some(0));
        let found = db.find_agent(&agent.org_id, &agent.id).await.unwrap().unwrap();
        assert_eq!(found.status, AgentStatus::Active);
    }
}
