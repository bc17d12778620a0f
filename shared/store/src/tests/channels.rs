//! Channels: one address per agent and channel, one agent per address.

use super::*;

async fn sender(store: &Store, agent: &Agent, channel: Channel) -> Option<(String, bool)> {
    let profile = store.find_profile(&agent.id).await.unwrap().unwrap();
    let owned = profile.channel(channel)?;
    Some((owned.address.clone(), owned.paused))
}

async fn assign(store: &Store, agent: &Agent, channel: Channel, address: &str) -> Result<(), StoreError> {
    store
        .change(setup())
        .assign_channel(&agent.org_id, &agent.id, channel, address, morning())
        .await
}

both_engines! {
    async fn new_address_replaces_old_one(db: &Database) {
        let agent = new_agent(db).await;
        assign(db, &agent, Channel::Sms, "+14155550100").await.unwrap();
        assign(db, &agent, Channel::Whatsapp, "+14155550100").await.unwrap();
        assign(db, &agent, Channel::Sms, "+14155550101").await.unwrap();
        assert_eq!(sender(db, &agent, Channel::Sms).await, Some(("+14155550101".into(), false)));
        assert_eq!(sender(db, &agent, Channel::Whatsapp).await, Some(("+14155550100".into(), false)));
        assert_eq!(db.count("SELECT COUNT(*) FROM channels").await, 2);

        // Its former address is free.
        let other = new_agent(db).await;
        assign(db, &other, Channel::Sms, "+14155550100").await.unwrap();
    }

    async fn address_belongs_to_one_agent(db: &Database) {
        let (ours, theirs) = (new_agent(db).await, new_agent(db).await);
        assign(db, &ours, Channel::Sms, "+14155550100").await.unwrap();
        assign(db, &theirs, Channel::Sms, "+14155550101").await.unwrap();
        assert!(matches!(assign(db, &theirs, Channel::Sms, "+14155550100").await, Err(StoreError::Conflict)));
        assert_eq!(sender(db, &theirs, Channel::Sms).await, Some(("+14155550101".into(), false)));
        // Repeating the assignment is no conflict.
        assign(db, &ours, Channel::Sms, "+14155550100").await.unwrap();
    }

    async fn pauses_and_resumes_channel(db: &Database) {
        let (ours, theirs) = (new_agent(db).await, new_agent(db).await);
        for channel in [Channel::Sms, Channel::Whatsapp] {
            assign(db, &ours, channel, "+14155550100").await.unwrap();
            assign(db, &theirs, channel, "+14155550101").await.unwrap();
        }
        db.change(setup()).pause_channel(&ours.id, Channel::Sms, true).await.unwrap();
        assert_eq!(sender(db, &ours, Channel::Sms).await, Some(("+14155550100".into(), true)));
        assert_eq!(sender(db, &ours, Channel::Whatsapp).await, Some(("+14155550100".into(), false)));
        assert_eq!(sender(db, &theirs, Channel::Sms).await, Some(("+14155550101".into(), false)));
        // A paused channel stays paused with its new address: an administrator decided that.
        assign(db, &ours, Channel::Sms, "+14155550102").await.unwrap();
        assert_eq!(sender(db, &ours, Channel::Sms).await, Some(("+14155550102".into(), true)));
        db.change(setup()).pause_channel(&ours.id, Channel::Sms, false).await.unwrap();
        assert_eq!(sender(db, &ours, Channel::Sms).await, Some(("+14155550102".into(), false)));
    }

    async fn one_number_serves_sms_and_voice(db: &Database) {
        // The assignments from before calls existed.
        for sql in [
            "DROP TABLE calls",
            "ALTER TABLE messages DROP COLUMN extended",
            "DELETE FROM _sqlx_migrations WHERE version = 9",
        ] {
            db.change_schema(sql).await;
        }
        let (one, two) = (new_agent(db).await, new_agent(db).await);
        for (agent, channel, address) in [
            (&one, Channel::Sms, "+14155550100"),
            (&one, Channel::Whatsapp, "+14155550100"),
            (&two, Channel::Sms, "+14155550101"),
        ] {
            db.change(setup()).assign_channel(&agent.org_id, &agent.id, channel, address, morning()).await.unwrap();
        }
        db.change(setup()).pause_channel(&two.id, Channel::Sms, true).await.unwrap();
        db.migrate().await.unwrap();
        for (agent, address, paused) in [(&one, "+14155550100", false), (&two, "+14155550101", true)] {
            let profile = db.find_profile(&agent.id).await.unwrap().unwrap();
            let voice = profile.channel(Channel::Voice).unwrap();
            assert_eq!((voice.address.as_str(), voice.paused), (address, paused));
            let sms = profile.channel(Channel::Sms).unwrap();
            assert_eq!(voice.id.as_str(), format!("{}_v", sms.id));
        }
    }
}
