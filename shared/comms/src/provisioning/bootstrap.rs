//! The first organization and the first agent, made once: every further call finds what the first one made.
//! With real carriers it takes the addresses it is given and never buys anything.

use butt_dial_domain::{Address, AgentId, Channel, Code, Failure, OrgId, Scope};
use butt_dial_store::{Agent, AgentStatus, AuditEntry, StoreError};
use serde::Serialize;
use serde_json::json;

use crate::{Comms, identity::token, store_failure};

const SLUG: &str = "default";
const AGENT: &str = "agt_first";

/// Addresses of the simulators' world: a number of the range kept for fiction, a domain kept for examples (RFC 2606).
const SIMULATED: [(Channel, &str); 4] = [
    (Channel::Sms, "+14155550100"),
    (Channel::Voice, "+14155550100"),
    (Channel::Whatsapp, "+14155550100"),
    (Channel::Email, "agent@butt-dial.example"),
];

/// Senders that the operator owns at the carriers.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    pub phone_number: Option<String>,
    pub whatsapp_number: Option<String>,
    pub email_address: Option<String>,
}

/// What a person needs to go on.
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

/// True once the first organization exists.
pub async fn is_done(comms: &Comms) -> Result<bool, Failure> {
    let found = comms
        .store
        .find_organization_by_slug(SLUG)
        .await
        .map_err(store_failure)?;
    let Some(org) = found else { return Ok(false) };
    Ok(comms
        .store
        .find_agent(&org.id, &first_agent(&org.id))
        .await
        .map_err(store_failure)?
        .is_some())
}

/// Makes what is missing; a repeated call returns the same, tokens included.
pub async fn run(comms: &Comms, addresses: &Addresses) -> Result<Bootstrapped, Failure> {
    let now = comms.clock.now();
    let org = comms
        .store
        .create_organization("Default", SLUG, now)
        .await
        .map_err(store_failure)?;
    let agent = Agent {
        id: first_agent(&org.id),
        org_id: org.id.clone(),
        display_name: "First agent".into(),
        status: AgentStatus::Active,
        created_at: now,
    };
    match comms.store.create_agent(&agent).await {
        Ok(()) | Err(StoreError::Conflict) => {}
        Err(error) => return Err(store_failure(error)),
    }
    for (channel, address) in wanted(comms, addresses)? {
        comms
            .store
            .assign_channel(&org.id, &agent.id, channel, address.as_str(), now)
            .await
            .map_err(|error| match error {
                StoreError::Conflict => Failure::new(
                    Code::AlreadyExists,
                    format!("the {channel} address belongs to another agent"),
                )
                .on(channel),
                other => store_failure(other),
            })?;
    }
    let team = token::derive(comms, &org.id, None, Scope::OrgAdmin, now).await?;
    let own = token::derive(comms, &org.id, Some(&agent.id), Scope::Agent, now).await?;
    let entry = AuditEntry {
        org_id: Some(org.id.to_string()),
        actor: "system".into(),
        action: "bootstrap".into(),
        target: agent.id.to_string(),
        detail: json!({}),
        at: now,
    };
    comms.store.append_audit(&entry).await.map_err(store_failure)?;
    let profile = comms
        .store
        .find_profile(&agent.id)
        .await
        .map_err(store_failure)?
        .ok_or_else(Failure::internal)?;
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

/// One first agent an organization, always the same one.
fn first_agent(org: &OrgId) -> AgentId {
    AgentId::from(format!("{AGENT}_{}", org.as_str().trim_start_matches(OrgId::PREFIX)))
}

fn wanted(comms: &Comms, given: &Addresses) -> Result<Vec<(Channel, Address)>, Failure> {
    let given = [
        (Channel::Sms, &given.phone_number),
        // A number that texts are sent from can be called.
        (Channel::Voice, &given.phone_number),
        (Channel::Whatsapp, &given.whatsapp_number),
        (Channel::Email, &given.email_address),
    ];
    let mut wanted = Vec::new();
    for (channel, text) in given {
        let invented = SIMULATED
            .iter()
            .find(|(c, _)| *c == channel)
            .map(|(_, address)| *address);
        let text = match text {
            Some(text) => Some(text.as_str()),
            None => invented.filter(|_| comms.settings.simulated_world),
        };
        if let Some(text) = text {
            let address = Address::parse(channel, text)
                .map_err(|error| Failure::new(Code::InvalidArgument, format!("the {channel} address: {error}")))?;
            wanted.push((channel, address));
        }
    }
    Ok(wanted)
}
