//! What every story has, however the gateways run: an account, carriers to look at, and the database.

use std::time::Duration;

use butt_dial_domain::{AgentId, Channel, Clock, MessageId};
use butt_dial_providers::simulator::{self, SimulatedMessage};
use butt_dial_store::Store;
use serde_json::Value;

use super::{Account, Agent, Gateways, Transport, eventually};

/// While it looks, the reconciler puts the next look off by five minutes; afterwards the next one is nearer.
const LEASE: chrono::TimeDelta = chrono::TimeDelta::minutes(4);
const ARRIVAL: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub struct Stage {
    pub gateways: Gateways,
    pub account: Account,
    pub carriers: simulator::World,
    pub store: Store,
    /// Where carriers call.
    pub public_url: String,
}

impl Stage {
    /// The account's agent, connected.
    pub async fn agent(&self, transport: Transport) -> Agent {
        self.agent_of(&self.account, transport).await
    }

    pub async fn agent_of(&self, account: &Account, transport: Transport) -> Agent {
        Agent::connect(&self.gateways, &account.token, transport).await
    }

    /// The account's agent as a program that speaks REST: the shortest way to a send.
    pub async fn rest(&self) -> Agent {
        self.agent(Transport::Rest).await
    }

    /// What a person received of an accepted message.
    pub async fn arrival(&self, receipt: &Value) -> SimulatedMessage {
        let id = receipt["providerMessageId"]
            .as_str()
            .expect("the carrier's id")
            .to_owned();
        let arrived = self
            .carriers
            .wait_for(|message| message.carrier_id == id, ARRIVAL)
            .await;
        arrived.expect("the message arrives")
    }

    /// The first message to this person, as soon as the carrier has taken it.
    pub async fn taken(&self, to: &str) -> SimulatedMessage {
        let taken = self.carriers.wait_for(|message| message.to == to, ARRIVAL).await;
        taken.expect("the carrier takes the message")
    }

    /// A person writes to the agent on WhatsApp, which opens the window for answers.
    pub async fn person_writes(&self, number: &str) {
        self.carriers.open_window(number);
        let profile = self.store.find_profile(&self.account.agent).await.unwrap().unwrap();
        let channel = profile.channel(Channel::Whatsapp).expect("a WhatsApp sender");
        let written = self
            .store
            .record_inbound(&channel.id, number, Clock::System.now())
            .await;
        written.unwrap();
    }

    /// Waits until the agent is told something else than `pending`.
    pub async fn outcome(&self, agent: &Agent, message: &str) -> Value {
        eventually("the outcome is found out", async || {
            let status = agent.status_of(message).await.ok()?;
            (status["status"] != "pending").then_some(status)
        })
        .await
    }

    /// The time that a sender has for writing an outcome down is over: whoever sweeps looks at the message now.
    pub async fn sender_is_overdue(&self, message: &str) {
        let now = Clock::System.now();
        self.store
            .schedule_check(&MessageId::from(message), now, false)
            .await
            .unwrap();
    }

    /// Waits until somebody has looked at the message since it was overdue.
    pub async fn was_looked_at(&self, message: &str) {
        let id = MessageId::from(message);
        eventually("the message is looked at", async || {
            let message = self.store.find_message(&id).await.ok()??;
            (message.check_at? > Clock::System.now() && message.check_at? < Clock::System.now() + LEASE).then_some(())
        })
        .await;
    }

    /// What the agent's message is called that this key names, once it is written down.
    pub async fn message_of_key(&self, agent: &AgentId, key: &str) -> String {
        let profile = self.store.find_profile(agent).await.unwrap().unwrap();
        let sender = profile.channels.first().expect("a sender");
        let org = &profile.agent.org_id;
        eventually("the message is written down", async || {
            let known = self
                .store
                .find_contact_state(org, agent, (&sender.id, sender.channel), "", key)
                .await;
            known.ok()?.earlier
        })
        .await
    }
}
