//! What is known about a recipient: do-not-contact entries, consent, the WhatsApp window, an earlier answer.

use butt_dial_domain::{ChannelId, OrgId};

use super::*;
use crate::{ContactState, Suppression};

const BOB: &str = "+14155550199";

/// An agent with a WhatsApp sender.
async fn agent_with_sender(store: &Store, number: &str) -> (Agent, ChannelId) {
    let agent = new_agent(store).await;
    let (org, now) = (&agent.org_id, morning());
    store
        .assign_channel(org, &agent.id, Channel::Whatsapp, number, now)
        .await
        .unwrap();
    let profile = store.find_profile(&agent.id).await.unwrap().unwrap();
    (agent, profile.channels[0].id.clone())
}

/// What the agent's organization knows of Bob before it writes to him with the key `k`.
async fn state(store: &Store, (agent, sender): &(Agent, ChannelId), channel: Channel) -> ContactState {
    let (org, id) = (&agent.org_id, &agent.id);
    store
        .find_contact_state(org, id, (sender, channel), BOB, "k")
        .await
        .unwrap()
}

async fn suppress(store: &Store, org: &OrgId, channel: Option<Channel>, reason: &str) {
    let entry = Suppression {
        org,
        channel,
        address: BOB,
        reason,
    };
    store.suppress(&entry, morning()).await.unwrap();
}

both_engines! {
    async fn nothing_is_known_of_a_stranger(db: &Database) {
        let us = agent_with_sender(db, "+14155550100").await;
        let stranger = state(db, &us, Channel::Sms).await;
        assert_eq!(stranger, ContactState::default());
        assert_eq!(stranger.prior_request(), None);
    }

    async fn a_do_not_contact_entry_holds_for_its_channel_and_its_organization(db: &Database) {
        let us = agent_with_sender(db, "+14155550100").await;
        let them = agent_with_sender(db, "+14155550101").await;
        suppress(db, &us.0.org_id, Some(Channel::Sms), "asked by phone").await;
        assert_eq!(state(db, &us, Channel::Sms).await.suppression.as_deref(), Some("asked by phone"));
        assert_eq!(state(db, &us, Channel::Whatsapp).await.suppression, None);
        assert_eq!(state(db, &them, Channel::Sms).await.suppression, None);

        suppress(db, &us.0.org_id, Some(Channel::Sms), "asked again").await;
        assert_eq!(state(db, &us, Channel::Sms).await.suppression.as_deref(), Some("asked again"));
    }

    async fn an_entry_without_a_channel_holds_for_all(db: &Database) {
        let us = agent_with_sender(db, "+14155550100").await;
        suppress(db, &us.0.org_id, None, "court order").await;
        for channel in Channel::ALL {
            assert_eq!(state(db, &us, channel).await.suppression.as_deref(), Some("court order"));
        }
    }

    async fn consent_is_what_was_said_last_on_that_channel(db: &Database) {
        let us = agent_with_sender(db, "+14155550100").await;
        let them = agent_with_sender(db, "+14155550101").await;
        let org = &us.0.org_id;
        db.record_consent(org, Channel::Sms, BOB, true, "form", morning()).await.unwrap();
        assert_eq!(state(db, &us, Channel::Sms).await.consent.as_deref(), Some("granted"));
        db.record_consent(org, Channel::Sms, BOB, false, "STOP", morning()).await.unwrap();
        assert_eq!(state(db, &us, Channel::Sms).await.consent.as_deref(), Some("revoked"));
        assert_eq!(state(db, &us, Channel::Whatsapp).await.consent, None);
        assert_eq!(state(db, &them, Channel::Sms).await.consent, None);
    }

    async fn the_window_opens_for_the_sender_that_was_written_to(db: &Database) {
        let us = agent_with_sender(db, "+14155550100").await;
        let them = agent_with_sender(db, "+14155550101").await;
        let wrote = morning() + TimeDelta::microseconds(7);
        db.record_inbound(&us.1, BOB, wrote).await.unwrap();
        assert_eq!(state(db, &us, Channel::Whatsapp).await.last_inbound_at, Some(wrote));
        assert_eq!(state(db, &them, Channel::Whatsapp).await.last_inbound_at, None);

        db.record_inbound(&us.1, BOB, wrote + seconds(1)).await.unwrap();
        assert_eq!(state(db, &us, Channel::Whatsapp).await.last_inbound_at, Some(wrote + seconds(1)));
    }

    async fn a_webhook_that_comes_late_does_not_shorten_the_window(db: &Database) {
        let us = agent_with_sender(db, "+14155550100").await;
        db.record_inbound(&us.1, BOB, morning()).await.unwrap();
        db.record_inbound(&us.1, BOB, morning() - TimeDelta::microseconds(1)).await.unwrap();
        assert_eq!(state(db, &us, Channel::Whatsapp).await.last_inbound_at, Some(morning()));
    }

    async fn a_key_names_the_message_it_was_used_for(db: &Database) {
        let us = agent_with_sender(db, "+14155550100").await;
        let neighbour = (recipient_agent(db, &us.0.org_id).await, us.1.clone());
        let first = text(&us.0, "k");
        db.accept_send(first.clone()).await.unwrap();
        assert_eq!(state(db, &us, Channel::Sms).await.prior_request(), Some(first.id.clone()));
        assert_eq!(state(db, &neighbour, Channel::Sms).await.prior_request(), None);

        db.settle_send(settled(&first.id, failed(true))).await.unwrap();
        assert_eq!(state(db, &us, Channel::Sms).await.prior_request(), None);
    }
}
