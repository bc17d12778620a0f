//! Delivery preferences.

use super::*;
use crate::{InboundFilter, InboundRules, Recipient, Subscription};

async fn recipient(store: &Store, agent: &Agent) -> Recipient {
    store.find_recipient(&agent.id).await.unwrap().unwrap()
}

fn filter(id: &str, created_at: Timestamp) -> InboundFilter {
    InboundFilter {
        id: id.into(),
        kind: "contains".into(),
        pattern: "50% \"off\"".into(),
        action: "tag".into(),
        tag: Some("spam".into()),
        created_at,
    }
}

both_engines! {
    async fn agent_without_preferences_has_none_stored(db: &Database) {
        let agent = new_agent(db).await;
        let found = recipient(db, &agent).await;
        assert_eq!((found.org(), found.display_name.as_str()), (agent.org_id.clone(), "Ada"));
        assert_eq!((found.callback_url.as_deref(), found.subscription()), (None, None));
        assert!(db.find_recipient(&AgentId::generate()).await.unwrap().is_none());
    }

    async fn sets_changes_and_removes_callback(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        for url in [Some("https://a.example/hook"), Some("https://b.example/hook"), None] {
            db.set_callback_url(&agent.id, url).await.unwrap();
            assert_eq!(recipient(db, &agent).await.callback_url.as_deref(), url);
            assert_eq!(recipient(db, &other).await.callback_url, None);
        }
    }

    async fn calls_can_have_another_callback(db: &Database) {
        let agent = new_agent(db).await;
        let (all, voice) = (Some("https://a.example/hook"), Some("https://v.example/hook"));
        db.set_voice_callback_url(&agent.id, voice).await.unwrap();
        let found = recipient(db, &agent).await;
        assert_eq!((found.callback_for(Some("voice")), found.callback_for(Some("sms"))), (voice, None));
        db.set_callback_url(&agent.id, all).await.unwrap();
        let found = recipient(db, &agent).await;
        assert_eq!((found.callback_for(Some("voice")), found.callback_for(None)), (voice, all));
        assert!(db.remove_callback_url(&agent.id, "https://v.example/hook").await.unwrap());
        let found = recipient(db, &agent).await;
        assert_eq!((found.callback_for(Some("voice")), found.callback_for(Some("sms"))), (all, all));
    }

    async fn removes_gone_callback_unless_replaced(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        for agent in [&agent, &other] {
            db.set_callback_url(&agent.id, Some("https://b.example/hook")).await.unwrap();
        }
        assert!(!db.remove_callback_url(&agent.id, "https://a.example/hook").await.unwrap(), "replaced meanwhile");
        assert!(recipient(db, &agent).await.callback_url.is_some());
        assert!(db.remove_callback_url(&agent.id, "https://b.example/hook").await.unwrap());
        assert_eq!(recipient(db, &agent).await.callback_url, None);
        assert!(!db.remove_callback_url(&agent.id, "https://b.example/hook").await.unwrap());
        assert!(recipient(db, &other).await.callback_url.is_some());
    }

    async fn lists_rules_of_many_agents_at_once(db: &Database) {
        let (plain, ruled) = (new_agent(db).await, new_agent(db).await);
        let subscription = Subscription { channels: vec!["sms".into()], contacts: vec![] };
        db.set_subscription(&ruled.id, &subscription, morning()).await.unwrap();
        let filters = [filter("f2", morning()), filter("f1", morning() + seconds(1))];
        for filter in filters.iter().rev() {
            db.add_filter(&ruled.id, filter).await.unwrap();
        }
        let mut rules = db.list_inbound_rules(&[plain.id.clone(), AgentId::generate(), ruled.id.clone()]).await.unwrap();
        rules.sort_by_key(|rules| rules.agent != plain.id);
        let without = InboundRules { agent: plain.id.clone(), subscription: None, filters: Vec::new() };
        let with = InboundRules { agent: ruled.id.clone(), subscription: Some(subscription), filters: filters.into() };
        assert_eq!(rules, [without, with]);
        assert_eq!(db.list_inbound_rules(&[]).await.unwrap(), []);
    }

    async fn sets_changes_and_deletes_subscription(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        let first = Subscription { channels: vec!["sms".into(), "email".into()], contacts: vec!["zoë@a.example".into()] };
        for subscription in [first, Subscription::default()] {
            db.set_subscription(&agent.id, &subscription, morning()).await.unwrap();
            assert_eq!(recipient(db, &agent).await.subscription(), Some(subscription));
        }
        assert_eq!(recipient(db, &other).await.subscription(), None);
        db.delete_subscription(&other.id).await.unwrap();
        assert!(recipient(db, &agent).await.subscription().is_some());
        db.delete_subscription(&agent.id).await.unwrap();
        assert_eq!(recipient(db, &agent).await.subscription(), None);
        assert!(db.set_subscription(&AgentId::generate(), &Subscription::default(), morning()).await.is_err());
    }

    async fn lists_filters_oldest_first(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        let late = filter("f1", morning() + seconds(9));
        let early = InboundFilter { tag: None, ..filter("f3", morning()) };
        let same_time = filter("f2", morning());
        for filter in [&late, &early, &same_time] {
            db.add_filter(&agent.id, filter).await.unwrap();
        }
        assert!(matches!(db.add_filter(&other.id, &late).await, Err(StoreError::Conflict)));
        assert_eq!(db.list_filters(&agent.id).await.unwrap(), [same_time, early, late]);
        assert_eq!(db.list_filters(&other.id).await.unwrap(), []);

        assert!(!db.delete_filter(&other.id, "f1").await.unwrap(), "of another agent");
        assert!(db.delete_filter(&agent.id, "f1").await.unwrap());
        assert!(!db.delete_filter(&agent.id, "f1").await.unwrap());
        assert_eq!(db.list_filters(&agent.id).await.unwrap().len(), 2);
    }

    async fn blocks_each_direction_of_a_channel(db: &Database) {
        let agent = new_agent(db).await;
        for (channel, address) in [(Channel::Sms, "+14155550100"), (Channel::Email, "ada@acme.example")] {
            db.change(setup()).assign_channel(&agent.org_id, &agent.id, channel, address, morning()).await.unwrap();
        }
        let set = async |inbound, outbound| {
            assert!(db.change(setup()).set_channel_block(&agent.id, Channel::Sms, inbound, outbound).await.unwrap());
            let sql = "SELECT CAST(SUM(CASE WHEN blocks_inbound THEN 1 ELSE 0 END
                + CASE WHEN blocks_outbound THEN 10 ELSE 0 END) AS BIGINT) FROM channels";
            db.count(sql).await
        };
        assert_eq!(set(Some(true), None).await, 1);
        assert_eq!(set(None, Some(true)).await, 11);
        assert_eq!(set(None, None).await, 11);
        assert_eq!(set(Some(false), None).await, 10);
        assert_eq!(set(Some(true), Some(false)).await, 1);
        assert!(!db.change(setup()).set_channel_block(&agent.id, Channel::Line, Some(true), None).await.unwrap());
        let route = db.find_route(Channel::Email, "ada@acme.example").await.unwrap().unwrap();
        assert!(!route.agent().unwrap().blocked, "only the channel that was named");
    }

    async fn callback_key_gets_next_generation(db: &Database) {
        let agent = new_agent(db).await;
        let key = async || {
            let recipient = db.find_recipient(&agent.id).await.unwrap().unwrap();
            assert_eq!((recipient.agent(), recipient.org()), (agent.id.clone(), agent.org_id.clone()));
            (recipient.callback_key_generation, recipient.callback_key_overlap_until)
        };
        assert_eq!(key().await, (0, None));
        db.rotate_callback_key(&agent.id, morning()).await.unwrap();
        assert_eq!(key().await, (1, Some(morning())));
    }
}
