//! Bootstrap: creates the first organization and agent of an installation. Repeated calls return the same ones.
//! With real carriers it assigns the addresses that it is given and never buys one.

use butt_dial_domain::{Address, AgentId, Channel, Clock, Code, Failure, OrgId, Scope, clock::Timestamp};
use butt_dial_identity::token;
use butt_dial_store::{Agent, AgentStatus, AuditEntry, Store, StoreError};
use butt_dial_vault::Vault;
use serde::Serialize;
use serde_json::json;

use crate::audit::{AuditLog, SYSTEM};

const SLUG: &str = "default";
const AGENT: &str = "agt_first";

/// Addresses of the simulated installation: a number reserved for fiction, a domain reserved for examples (RFC 2606).
const SIMULATED: [(Channel, &str); 4] = [
    (Channel::Sms, "+14155550100"),
    (Channel::Voice, "+14155550100"),
    (Channel::Whatsapp, "+14155550100"),
    (Channel::Email, "agent@butt-dial.example"),
];

/// The senders that the operator owns at the carriers.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    pub phone_number: Option<String>,
    pub whatsapp_number: Option<String>,
    pub email_address: Option<String>,
}

/// The credentials and addresses that a bootstrap prints.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bootstrapped {
    pub org_id: OrgId,
    pub team_token: String,
    pub agent_id: AgentId,
    pub agent_token: String,
    pub phone_number: Option<String>,
    pub whatsapp_number: Option<String>,
    pub email_address: Option<String>,
}

/// Creates the first organization and agent. Cheap to clone.
#[derive(Clone)]
pub struct Bootstrap {
    store: Store,
    vault: Vault,
    clock: Clock,
    /// True if the carriers are simulated: addresses that are not given get simulated ones.
    simulated_world: bool,
}

impl Bootstrap {
    pub fn new(store: Store, vault: Vault, clock: Clock, simulated_world: bool) -> Self {
        Self {
            store,
            vault,
            clock,
            simulated_world,
        }
    }

    /// Returns true if the first organization and agent exist.
    pub async fn is_done(&self) -> Result<bool, Failure> {
        let Some(org) = self.store.find_organization_by_slug(SLUG).await? else {
            return Ok(false);
        };
        let agent = self.store.find_agent(&org.id, &first_agent(&org.id)).await?;
        Ok(agent.is_some())
    }

    /// Creates what is missing. A repeated call returns the same ids and tokens. Fails with `AlreadyExists` if an address
    /// belongs to another agent.
    pub async fn run(&self, addresses: &Addresses) -> Result<Bootstrapped, Failure> {
        let now = self.clock.now();
        let entry = AuditEntry::new(None, SYSTEM, "organization.create", SLUG, now);
        let org = self
            .store
            .change(entry)
            .create_organization("Default", SLUG, now)
            .await?;
        let agent = Agent {
            id: first_agent(&org.id),
            org_id: org.id.clone(),
            display_name: "First agent".into(),
            status: AgentStatus::Active,
            created_at: now,
        };
        let audit = AuditLog::new(self.store.clone(), self.clock.clone());
        let change = audit.change(&org.id, SYSTEM, "agent.register", agent.id.as_str(), json!({}));
        match change.create_agent(&agent).await {
            Ok(()) | Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
        self.assign_addresses(&agent, addresses, now).await?;
        let (store, vault) = (&self.store, &self.vault);
        let team = token::derive(store, vault, &org.id, None, Scope::OrgAdmin, now).await?;
        let own = token::derive(store, vault, &org.id, Some(&agent.id), Scope::Agent, now).await?;
        audit
            .append(&org.id, SYSTEM, "bootstrap", agent.id.as_str(), json!({}))
            .await?;
        let profile = self.store.find_profile(&agent.id).await?;
        let profile = profile.ok_or_else(Failure::internal)?;
        let address = |channel| profile.channel(channel).map(|owned| owned.address.clone());
        Ok(Bootstrapped {
            org_id: org.id,
            team_token: team.secret,
            agent_token: own.secret,
            phone_number: address(Channel::Sms),
            whatsapp_number: address(Channel::Whatsapp),
            email_address: address(Channel::Email),
            agent_id: agent.id,
        })
    }

    async fn assign_addresses(&self, agent: &Agent, given: &Addresses, now: Timestamp) -> Result<(), Failure> {
        for (channel, address) in self.resolve_addresses(given)? {
            let detail = json!({ "channel": channel });
            AuditLog::new(self.store.clone(), self.clock.clone())
                .change(&agent.org_id, SYSTEM, "sender.assign", agent.id.as_str(), detail)
                .assign_channel(&agent.org_id, &agent.id, channel, address.as_str(), now)
                .await
                .map_err(|error| match error {
                    StoreError::Conflict => {
                        let message = format!("the {channel} address belongs to another agent");
                        Failure::new(Code::AlreadyExists, message).on(channel)
                    }
                    other => other.into(),
                })?;
        }
        Ok(())
    }

    /// Parses the given addresses; with simulated carriers, missing ones get the simulated address of their channel.
    fn resolve_addresses(&self, given: &Addresses) -> Result<Vec<(Channel, Address)>, Failure> {
        let given = [
            (Channel::Sms, &given.phone_number),
            // The phone number serves texts and calls.
            (Channel::Voice, &given.phone_number),
            (Channel::Whatsapp, &given.whatsapp_number),
            (Channel::Email, &given.email_address),
        ];
        let mut addresses = Vec::new();
        for (channel, text) in given {
            let simulated = SIMULATED.iter().find(|(other, _)| *other == channel);
            let simulated = simulated.filter(|_| self.simulated_world).map(|(_, address)| *address);
            if let Some(text) = text.as_deref().or(simulated) {
                // A short code and a name take texts only.
                if channel == Channel::Voice
                    && Address::parse_sender(Channel::Sms, text).is_ok_and(|from| from.is_opaque())
                {
                    continue;
                }
                let address = Address::parse_sender(channel, text)
                    .map_err(|error| Failure::new(Code::InvalidArgument, format!("the {channel} address: {error}")))?;
                addresses.push((channel, address));
            }
        }
        Ok(addresses)
    }
}

/// Derives the id of the first agent from its organization, so that it is always the same one.
fn first_agent(org: &OrgId) -> AgentId {
    AgentId::from(format!("{AGENT}_{}", org.as_str().trim_start_matches(OrgId::PREFIX)))
}
