//! Tenants: organizations with their agents, created through the product's own interfaces.

use butt_dial_accounts::{Addresses, Bootstrapped};
use butt_dial_domain::{AgentId, Channel, Clock, OrgId, Scope, ids};
use butt_dial_identity::token::{self, TokenRequest};
use butt_dial_store::{AuditEntry, Store};
use serde_json::json;

use super::{Gateways, RequestExt};

/// Returns the entry of a change that a test prepares.
pub fn setup() -> AuditEntry {
    AuditEntry::new(None, "system", "test.setup", "test", Clock::System.now())
}

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

/// Returns the addresses that an operator with real carriers passes to the bootstrap.
pub fn addresses() -> Addresses {
    Addresses {
        phone_number: Some(PHONE.into()),
        whatsapp_number: Some(PHONE.into()),
        email_address: Some(EMAIL.into()),
    }
}

impl From<Bootstrapped> for Account {
    fn from(account: Bootstrapped) -> Self {
        Self {
            org: account.org_id,
            team_token: account.team_token,
            agent: account.agent_id,
            token: account.agent_token,
            phone: account.phone_number.expect("a number"),
            email: account.email_address.expect("an address"),
        }
    }
}

impl Account {
    /// Creates an organization with one agent that has an address on every channel.
    pub async fn create(store: &Store, gateways: &Gateways, name: &str, phone: &str) -> Self {
        let now = Clock::System.now();
        let org = store
            .change(setup())
            .create_organization(name, &ids::unique(), now)
            .await
            .unwrap()
            .id;
        let team = token::mint(
            &store.change(setup()),
            &TokenRequest::new(&org, None, Scope::OrgAdmin),
            now,
        )
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
        account.register(store, gateways, "agent").await
    }

    /// Creates another agent in the same organization, with this phone number.
    pub async fn add_colleague(&self, store: &Store, gateways: &Gateways, scope: &str, phone: &str) -> Self {
        let colleague = Self {
            agent: AgentId::generate(),
            phone: phone.into(),
            email: format!("{}@butt-dial.example", ids::unique()),
            ..self.clone()
        };
        colleague.register(store, gateways, scope).await
    }

    /// Creates another agent in the same organization, with this id of its host and this phone number.
    pub async fn add_named(&self, store: &Store, gateways: &Gateways, host_id: &str, phone: &str) -> Self {
        let named = Self {
            agent: AgentId::from(host_id),
            phone: phone.into(),
            email: format!("{}@butt-dial.example", ids::unique()),
            ..self.clone()
        };
        named.register(store, gateways, "agent").await
    }

    async fn register(mut self, store: &Store, gateways: &Gateways, scope: &str) -> Self {
        let body = json!({ "agent_id": self.agent, "display_name": "Another agent", "scope": scope });
        let request = gateways.post("/api/v1/agents", &body).bearer_auth(&self.team_token);
        let created = request.reply().await.expect(201);
        self.token = created["token"].as_str().unwrap().to_owned();
        let registered = store.find_agent_id(&self.org, self.agent.as_str()).await.unwrap();
        self.agent = registered.expect("the agent is registered");
        for (channel, address) in [
            (Channel::Sms, &self.phone),
            (Channel::Whatsapp, &self.phone),
            (Channel::Email, &self.email),
        ] {
            let now = Clock::System.now();
            let assigned = store
                .change(setup())
                .assign_channel(&self.org, &self.agent, channel, address, now)
                .await;
            assigned.unwrap();
        }
        self
    }
}
