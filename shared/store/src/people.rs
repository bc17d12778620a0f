//! Agents and contacts of an organization, as agents look each other or a person up.

use std::collections::BTreeMap;

use butt_dial_domain::{AgentId, Channel, OrgId, address::contact_key, clock::Timestamp};

use crate::{
    Agent, Store, StoreError,
    agents::AgentRow,
    engine::{Sql, on_reader, on_writer},
};

/// An agent of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundAgent {
    pub agent: Agent,
    /// Without an address, the agent is a draft.
    pub has_channels: bool,
}

#[derive(sqlx::FromRow)]
struct FoundRow {
    #[sqlx(flatten)]
    agent: AgentRow,
    has_channels: bool,
}

/// The facts about a contact besides consent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContactFacts {
    /// The keys of all addresses of the person that carriers have named together, with the given one.
    pub addresses: Vec<String>,
    /// The name that the person last wrote with.
    pub name: Option<String>,
    /// When the person last wrote to the agent, by channel.
    pub last_inbound: Vec<(Channel, Timestamp)>,
    /// The channels that are suppressed, and why. `*` stands for all.
    pub suppressions: Vec<(String, String)>,
}

/// Returns the latest time of each channel.
fn latest(times: Vec<(Option<String>, Timestamp)>) -> Vec<(Channel, Timestamp)> {
    let mut latest = BTreeMap::new();
    for (channel, at) in times {
        if let Some(channel) = channel.as_deref().and_then(Channel::parse) {
            let known = latest.entry(channel).or_insert(at);
            *known = at.max(*known);
        }
    }
    latest.into_iter().collect()
}

const SEARCH: Sql = Sql {
    postgres: "SELECT id, org_id, display_name, status, created_at,
            EXISTS (SELECT 1 FROM channels c WHERE c.agent_id = agents.id) AS has_channels FROM agents
        WHERE org_id = $1 AND ($2 = '' OR strpos(lower(display_name), $2) > 0 OR strpos(lower(id), $2) > 0)
        ORDER BY id LIMIT $3",
    sqlite: "SELECT id, org_id, display_name, status, created_at,
            EXISTS (SELECT 1 FROM channels c WHERE c.agent_id = agents.id) AS has_channels FROM agents
        WHERE org_id = $1 AND ($2 = '' OR instr(lower(display_name), $2) > 0 OR instr(lower(id), $2) > 0)
        ORDER BY id LIMIT $3",
};

const ADDRESSES: &str = "SELECT linked.value FROM contact_identities found
    JOIN contact_identities linked ON linked.org_id = found.org_id AND linked.contact = found.contact
    WHERE found.org_id = $1 AND found.value = $2 ORDER BY linked.value LIMIT 50";

// Windows know WhatsApp only; the limit bounds the events that are read.
const LAST_INBOUND: &str = "SELECT c.channel, w.last_inbound_at FROM channels c
    JOIN inbound_windows w ON w.channel_id = c.id AND w.address = $2
    WHERE c.agent_id = $1
    UNION ALL SELECT channel, created_at FROM (
        SELECT channel, created_at, contact, type FROM events WHERE agent_id = $1 ORDER BY seq DESC LIMIT 500) AS recent
    WHERE type = 'message.received' AND contact IN ($2, $3)";

const NAME: &str = "SELECT data ->> 'senderName' FROM (
        SELECT seq, data, contact, type FROM events WHERE agent_id = $1 ORDER BY seq DESC LIMIT 500) AS recent
    WHERE type = 'message.received' AND contact IN ($2, $3) AND data ->> 'senderName' IS NOT NULL
    ORDER BY seq DESC LIMIT 1";

const SUPPRESSIONS: &str = "SELECT channel, reason FROM suppressions
    WHERE org_id = $1 AND address = $2 ORDER BY channel";

impl Store {
    /// Lists agents of the organization with a name or id that contains `query`, in lower case.
    pub async fn search_agents(&self, org: &OrgId, query: &str, limit: u32) -> Result<Vec<FoundAgent>, StoreError> {
        let sql = self.sql(SEARCH);
        let rows: Vec<FoundRow> = on_reader!(self, |db| {
            sqlx::query_as(sql)
                .bind(org.as_str())
                .bind(query)
                .bind(i64::from(limit))
                .fetch_all(db)
                .await
        })?;
        let found = |row: FoundRow| {
            Ok(FoundAgent {
                agent: row.agent.try_into()?,
                has_channels: row.has_channels,
            })
        };
        rows.into_iter().map(found).collect()
    }

    /// Lists agents of the organization with exactly this name, in any case. At most two: more than one is ambiguous.
    pub async fn find_agents_by_name(&self, org: &OrgId, name: &str) -> Result<Vec<Agent>, StoreError> {
        const SQL: &str = "SELECT id, org_id, display_name, status, created_at FROM agents
            WHERE org_id = $1 AND (display_name = $2 OR lower(display_name) = $3) ORDER BY id LIMIT 2";
        let rows: Vec<AgentRow> = on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(org.as_str())
                .bind(name)
                .bind(name.to_lowercase())
                .fetch_all(db)
                .await
        })?;
        rows.into_iter().map(Agent::try_from).collect()
    }

    /// Sets the name of an agent.
    pub async fn rename_agent(&self, org: &OrgId, id: &AgentId, name: &str) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE agents SET display_name = $3 WHERE org_id = $1 AND id = $2";
        on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(org.as_str())
                .bind(id.as_str())
                .bind(name)
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }

    /// Finds what is known of a contact.
    pub async fn find_contact_facts(
        &self,
        org: &OrgId,
        agent: &AgentId,
        address: &str,
    ) -> Result<ContactFacts, StoreError> {
        let key = contact_key(address);
        let mut addresses: Vec<String> = on_reader!(self, |db| {
            sqlx::query_scalar(ADDRESSES)
                .bind(org.as_str())
                .bind(&key)
                .fetch_all(db)
                .await
        })?;
        if !addresses.contains(&key) {
            addresses.insert(0, key.clone());
        }
        let inbound: Vec<(Option<String>, Timestamp)> = on_reader!(self, |db| {
            sqlx::query_as(LAST_INBOUND)
                .bind(agent.as_str())
                .bind(&key)
                .bind(address)
                .fetch_all(db)
                .await
        })?;
        let name: Option<String> = on_reader!(self, |db| {
            sqlx::query_scalar(NAME)
                .bind(agent.as_str())
                .bind(&key)
                .bind(address)
                .fetch_optional(db)
                .await
        })?;
        let suppressions = on_reader!(self, |db| {
            sqlx::query_as(SUPPRESSIONS)
                .bind(org.as_str())
                .bind(&key)
                .fetch_all(db)
                .await
        })?;
        Ok(ContactFacts {
            name,
            addresses,
            last_inbound: latest(inbound),
            suppressions,
        })
    }
}
