//! Inbound routes.

use super::*;
use butt_dial_domain::call::VoiceSettings;

use crate::{InboundRoute, SenderRoute};

async fn find(db: &Database, channel: Channel, address: &str) -> std::sync::Arc<InboundRoute> {
    let route = db.find_route(channel, address).await.unwrap().unwrap();
    route.agent().unwrap().clone()
}

async fn assign(db: &Database, agent: &Agent, channel: Channel, address: &str) {
    db.change(setup())
        .assign_channel(&agent.org_id, &agent.id, channel, address, morning())
        .await
        .unwrap();
}

both_engines! {
    async fn finds_route_of_address(db: &Database) {
        let (ada, bob) = (new_agent(db).await, new_agent(db).await);
        assign(db, &ada, Channel::Sms, "+14155550100").await;
        assign(db, &bob, Channel::Whatsapp, "+14155550100").await;
        let route = find(db, Channel::Sms, "+14155550100").await;
        let expected = InboundRoute {
            channel: Channel::Sms,
            address: "+14155550100".into(),
            channel_id: route.channel_id.clone(),
            agent: ada.id.clone(),
            org: ada.org_id.clone(),
            account: None,
            agent_name: ada.display_name.clone(),
            blocked: false,
            has_bridges: false,
            voice: VoiceSettings::default(),
        };
        assert_eq!(*route, expected);
        assert_eq!(find(db, Channel::Whatsapp, "+14155550100").await.agent, bob.id);
        assert_eq!(db.find_route(Channel::Sms, "+14155550101").await.unwrap(), None);

        // An inbound block applies to inbound messages; a pause by the administrator does not.
        db.change(setup()).pause_channel(&ada.id, Channel::Sms, true).await.unwrap();
        assert!(!find(db, Channel::Sms, "+14155550100").await.blocked);
        db.change(setup()).set_channel_block(&ada.id, Channel::Sms, Some(true), None).await.unwrap();
        assert!(find(db, Channel::Sms, "+14155550100").await.blocked);
        assert!(db.list_routes(None, 9).await.unwrap().iter().any(|route| route.agent().unwrap().blocked));
    }

    async fn route_has_voice_settings_of_agent(db: &Database) {
        let ada = new_agent(db).await;
        assign(db, &ada, Channel::Voice, "+14155550100").await;
        let settings = VoiceSettings {
            language: Some("de-DE".into()),
            greeting: Some("Guten Tag!".into()),
            ..VoiceSettings::default()
        };
        assert_eq!(db.find_voice_settings(&ada.id).await.unwrap(), VoiceSettings::default());
        db.set_voice_settings(&ada.id, &settings).await.unwrap();
        assert_eq!(db.find_voice_settings(&ada.id).await.unwrap(), settings);
        assert_eq!(find(db, Channel::Voice, "+14155550100").await.voice, settings);
        assert_eq!(db.list_routes(None, 9).await.unwrap()[0].agent().unwrap().voice, settings);
        db.set_voice_settings(&ada.id, &VoiceSettings::default()).await.unwrap();
        assert_eq!(find(db, Channel::Voice, "+14155550100").await.voice, VoiceSettings::default());
    }

    async fn lists_routes_in_pages(db: &Database) {
        assert_eq!(db.list_routes(None, 9).await.unwrap(), []);
        for n in 0..7 {
            let agent = new_agent(db).await;
            assign(db, &agent, Channel::Sms, &format!("+1415555010{n}")).await;
        }
        let mut seen: Vec<SenderRoute> = Vec::new();
        loop {
            let after = seen.last().map(|route| route.channel_id().clone());
            let page = db.list_routes(after.as_ref(), 3).await.unwrap();
            assert!(page.len() <= 3);
            if page.is_empty() {
                break;
            }
            seen.extend(page);
        }
        assert_eq!(seen, db.list_routes(None, 9).await.unwrap());
        assert_eq!(seen.len(), 7);
        assert!(seen.is_sorted_by_key(|route| route.channel_id().clone()));
    }

    async fn reports_corrupt_channel(db: &Database) {
        let agent = new_agent(db).await;
        assign(db, &agent, Channel::Sms, "+14155550100").await;
        let id = find(db, Channel::Sms, "+14155550100").await.channel_id.clone();
        db.execute("UPDATE channels SET channel = 'fax'").await;
        assert_corrupt(db.list_routes(None, 9).await, ("channels", "channel", id.as_str()));
    }
}
