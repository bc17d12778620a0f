//! Agents and contacts are looked up within their organization only.

use super::*;

const PERSON: &str = "+14155550123";

both_engines! {
    async fn finds_agents_by_part_of_name_or_id(db: &Database) {
        let agent = new_agent(db).await;
        let other = new_agent_in(db, &agent.org_id).await;
        let foreign = new_agent(db).await;
        db.rename_agent(&agent.org_id, &other.id, "Bob 100%").await.unwrap();
        // Of another organization: nothing changes.
        db.rename_agent(&agent.org_id, &foreign.id, "Bob").await.unwrap();
        let ids = async |query: &str| {
            let found = db.search_agents(&agent.org_id, query, 10).await.unwrap();
            found.into_iter().map(|found| found.agent.id).collect::<Vec<_>>()
        };
        assert_eq!(ids("").await.len(), 2);
        assert_eq!(ids("bob").await, std::slice::from_ref(&other.id));
        assert_eq!(ids("0%").await, std::slice::from_ref(&other.id));
        assert_eq!(ids(agent.id.as_str()).await, std::slice::from_ref(&agent.id));
        assert!(ids("_").await.len() <= 2);
        let named = async |name: &str| db.find_agents_by_name(&agent.org_id, name).await.unwrap().len();
        assert_eq!((named("bob 100%").await, named("Bob").await), (1, 0));
    }

    async fn finds_facts_of_contact_by_any_spelling(db: &Database) {
        let agent = new_agent(db).await;
        let (org, id) = (&agent.org_id, &agent.id);
        let unknown = db.find_contact_facts(org, id, PERSON).await.unwrap();
        assert_eq!(unknown.addresses, [PERSON]);
        assert!(unknown.last_inbound.is_empty() && unknown.suppressions.is_empty());
        db.change(setup()).assign_channel(org, id, Channel::Sms, "+14155550100", morning()).await.unwrap();
        let profile = db.find_profile(id).await.unwrap().unwrap();
        let channel = profile.channel(Channel::Sms).unwrap().id.clone();
        db.record_inbound(&channel, PERSON, morning()).await.unwrap();
        let entry = crate::Suppression { org, channel: None, address: PERSON, reason: "requested" };
        db.suppress(&entry, morning()).await.unwrap();
        let facts = db.find_contact_facts(org, id, "+1 (415) 555-0123").await.unwrap();
        assert_eq!(facts.last_inbound, [(Channel::Sms, morning())]);
        assert_eq!(facts.suppressions, [("*".to_owned(), "requested".to_owned())]);
        let foreign = new_agent(db).await;
        let facts = db.find_contact_facts(&foreign.org_id, &foreign.id, PERSON).await.unwrap();
        assert!(facts.last_inbound.is_empty() && facts.suppressions.is_empty());
    }
}
