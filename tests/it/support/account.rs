//! Tenants: organizations with their agents, made the way that the product makes them.

use butt_dial_comms::{
    identity::token,
    provisioning::bootstrap::{Addresses, Bootstrapped},
};
use butt_dial_domain::{AgentId, Channel, Clock, OrgId, Scope, ids};
use butt_dial_store::Store;
use serde_json::json;

use super::{Gateways, Replying};

/// An agent of an organization, and the tokens of both.
#[derive(Clone, Debug)]
pub struct Account {
    pub org: OrgId,
    pub team_token: String,
    pub agent: AgentId,
    pub token: String,
    pub phone: String,
    pub email: String,
}

pub const PHONE: &str = "+14155550100";
pub const EMAIL: &str = "agent@butt-dial.example";

/// What an operator with real carriers tells the bootstrap.
pub fn addresses() -> Addresses {
    Addresses {
        phone_number: Some(PHONE.into()),
        whatsapp_number: Some(PHONE.into()),
        email_address: Some(EMAIL.into()),
    }
}

impl From<Bootstrapped> for Account {
    fn from(made: Bootstrapped) -> Self {
        Self {
            org: made.org_id,
            team_token: made.team_token,
            agent: made.agent_id,
            token: made.agent_token,
            phone: made.phone_number.expect("a number"),
            email: made.email_address.expect("an address"),
        }
    }
}

impl Account {
    /// An organization of its own with one agent, who has addresses on every channel.
    pub async fn found(store: &Store, gateways: &Gateways, name: &str, phone: &str) -> Self {
        let now = Clock::System.now();
        let org = store.create_organization(name, &ids::unique(), now).await.unwrap().id;
        let team = token::mint(store, &org, None, Scope::OrgAdmin, None, now)
            .await
            .unwrap();
        let account = Self {
            org,
            team_token: team.secret,
            agent: AgentId::generate(),
            token: String::new(),
            phone: phone.into(),
            email: format!("{}@butt-dial.example", name.to_lowercase()),
        };
        account.hire(store, gateways, "agent").await
    }

    /// A colleague in the same organization, with a phone number where one is given.
    pub async fn colleague(&self, store: &Store, gateways: &Gateways, scope: &str, phone: &str) -> Self {
        let colleague = Self {
            agent: AgentId::generate(),
            phone: phone.into(),
            email: format!("{}@butt-dial.example", ids::unique()),
            ..self.clone()
        };
        colleague.hire(store, gateways, scope).await
    }

    async fn hire(mut self, store: &Store, gateways: &Gateways, scope: &str) -> Self {
        let wanted = json!({ "agent_id": self.agent, "display_name": "Another agent", "scope": scope });
        let request = gateways.post("/api/v1/agents", &wanted).bearer_auth(&self.team_token);
        let made = request.reply().await.expect(201);
        self.token = made["token"].as_str().unwrap().to_owned();
        for (channel, address) in [
            (Channel::Sms, &self.phone),
            (Channel::Whatsapp, &self.phone),
            (Channel::Email, &self.email),
        ] {
            let now = Clock::System.now();
            let assigned = store
                .assign_channel(&self.org, &self.agent, channel, address, now)
                .await;
            assigned.unwrap();
        }
        self
    }
}
