//! The context of every test, in any deployment: an account, the simulated carriers, and the database.

use std::time::Duration;

use butt_dial_domain::{AgentId, Channel, Clock, MessageId};
use butt_dial_providers::simulator::{self, SimulatedMessage};
use butt_dial_store::{Found, Look, Store};
use serde_json::Value;

use super::{Account, Agent, Gateways, Transport, eventually};

/// The reconciler leases a message for five minutes during a check, and schedules the next check sooner afterwards.
const LEASE: chrono::TimeDelta = chrono::TimeDelta::minutes(4);
/// No claim of a dispatcher lasts longer.
const CLAIM_LIMIT: chrono::TimeDelta = chrono::TimeDelta::minutes(3);
const ARRIVAL: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub struct TestContext {
    pub gateways: Gateways,
    pub account: Account,
    pub carriers: simulator::SimulatorState,
    pub store: Store,
    /// Base URL of the webhooks.
    pub public_url: String,
}

impl TestContext {
    /// Connects the account's agent.
    pub async fn agent(&self, transport: Transport) -> Agent {
        self.agent_of(&self.account, transport).await
    }

    pub async fn agent_of(&self, account: &Account, transport: Transport) -> Agent {
        Agent::connect(&self.gateways, &account.token, transport).await
    }

    /// Returns a REST client of the account's agent.
    pub async fn rest(&self) -> Agent {
        self.agent(Transport::Rest).await
    }

    /// Waits until the person has received an accepted message.
    pub async fn expect_arrival(&self, receipt: &Value) -> SimulatedMessage {
        let id = receipt["providerMessageId"]
            .as_str()
            .expect("an id of the carrier")
            .to_owned();
        let arrived = self
            .carriers
            .wait_for(|message| message.carrier_id == id, ARRIVAL)
            .await;
        arrived.expect("the message arrives")
    }

    /// Waits until the carrier has accepted a message to this person, and returns the first one.
    pub async fn wait_for_acceptance(&self, to: &str) -> SimulatedMessage {
        let accepted = self.carriers.wait_for(|message| message.to == to, ARRIVAL).await;
        accepted.expect("the carrier accepts the message")
    }

    /// Opens the WhatsApp window, as if the person had written to the agent.
    pub async fn open_whatsapp_window(&self, number: &str) {
        self.carriers.open_window(number);
        let profile = self.store.find_profile(&self.account.agent).await.unwrap().unwrap();
        let channel = profile.channel(Channel::Whatsapp).expect("a WhatsApp sender");
        let recorded = self
            .store
            .record_inbound(&channel.id, number, Clock::System.now())
            .await;
        recorded.unwrap();
    }

    /// Waits until the agent sees another status than `pending`.
    pub async fn wait_for_outcome(&self, agent: &Agent, message: &str) -> Value {
        eventually("the outcome is known", async || {
            let status = agent.status_of(message).await.ok()?;
            (status["status"] != "pending").then_some(status)
        })
        .await
    }

    /// Makes the check of the message due now, as if its sender had exceeded its time.
    pub async fn make_check_due(&self, message: &str) {
        let now = Clock::System.now();
        let look = Look {
            at: now,
            took: Duration::ZERO,
            found: Found::NoAnswer,
        };
        self.store
            .schedule_check(&MessageId::from(message), now, false, look)
            .await
            .unwrap();
    }

    /// Waits until a check that was due is finished.
    pub async fn wait_for_check(&self, message: &str) {
        let id = MessageId::from(message);
        eventually("the message is checked", async || {
            let message = self.store.find_message(&id).await.ok()??;
            (message.check_at? > Clock::System.now() && message.check_at? < Clock::System.now() + LEASE).then_some(())
        })
        .await;
    }

    /// Ends the claims on deferred sends and on the agent's delivery, as if their time had run out. The claims of a killed
    /// dispatcher last up to two minutes otherwise.
    pub async fn expire_dispatcher_claims(&self) {
        let now = Clock::System.now();
        let later = now + CLAIM_LIMIT;
        self.store.claim_scheduled(100, later, now).await.unwrap();
        let agent = &self.account.agent;
        self.store.claim_free_delivery(agent, "test", later, now).await.unwrap();
    }

    /// Waits until the message with this idempotency key is stored, and returns its id.
    pub async fn find_message_by_key(&self, agent: &AgentId, key: &str) -> String {
        let profile = self.store.find_profile(agent).await.unwrap().unwrap();
        let sender = profile.channels.first().expect("a sender");
        let org = &profile.agent.org_id;
        eventually("the message is stored", async || {
            let known = self
                .store
                .find_contact_state(org, agent, (&sender.id, sender.channel), "", key)
                .await;
            known.ok()?.prior_request.map(|id| id.as_str().to_owned())
        })
        .await
    }
}
