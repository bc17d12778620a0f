//! Agents, and the profile of an agent: everything that a send needs to know about its sender, read in one round trip.

use butt_dial_domain::{AgentId, Channel, OrgId, clock::Timestamp, limits::Limits, senders::IdentityMode};
use serde::Deserialize;

use crate::{
    AccountRef, Change, ComplianceChoices, OrgMode, OrgStatus, OwnedChannel, Store, StoreError,
    change::on_change,
    engine::{Sql, in_tx, on_reader, with_timeout},
    limits::LimitsRow,
    restraints::{RestraintRow, Restraints},
};

/// Whether an agent may act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum AgentStatus {
    Active,
    Inactive,
    Suspended,
}

impl AgentStatus {
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The party that sets the status of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum StatusSetBy {
    /// The agent. It can't undo the decision of an administrator.
    Agent,
    Admin,
}

/// A stored agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    pub id: AgentId,
    pub org_id: OrgId,
    pub display_name: String,
    pub status: AgentStatus,
    pub created_at: Timestamp,
}

#[derive(sqlx::FromRow)]
pub(crate) struct AgentRow {
    id: String,
    org_id: String,
    display_name: String,
    status: String,
    created_at: Timestamp,
}

impl TryFrom<AgentRow> for Agent {
    type Error = StoreError;

    fn try_from(row: AgentRow) -> Result<Self, StoreError> {
        let status = row.status.parse().map_err(|_| StoreError::Corrupt {
            table: "agents",
            column: "status",
            row: row.id.clone(),
            value: row.status,
        })?;
        Ok(Self {
            id: row.id.into(),
            org_id: row.org_id.into(),
            display_name: row.display_name,
            status,
            created_at: row.created_at,
        })
    }
}

/// An agent with its channels, its own limits and the limits of its organization (`None`: never set).
#[derive(Clone, Debug)]
pub struct Profile {
    pub agent: Agent,
    pub channels: Vec<OwnedChannel>,
    pub agent_limits: Option<Limits>,
    pub org_limits: Option<Limits>,
    /// When it got the first of its senders.
    pub provisioned_at: Option<Timestamp>,
    /// The senders that it uses. `None`: as the installation's mode says.
    pub identity: Option<IdentityMode>,
    pub org_status: OrgStatus,
    pub org_mode: OrgMode,
    /// Those of the organization.
    pub choices: ComplianceChoices,
    pub restraints: Restraints,
    /// The agent has read a text that resembles instructions: its messages need an approval until then.
    pub tainted_until: Option<Timestamp>,
    /// The organization keeps texts for its inbox.
    pub keeps_texts: bool,
}

impl Profile {
    /// Returns whether messages of the agent need an approval now, because of a text that it has read.
    pub fn is_tainted_at(&self, now: Timestamp) -> bool {
        self.tainted_until.is_some_and(|until| now < until)
    }

    /// Returns the agent's primary sender on a channel, or its first one.
    pub fn channel(&self, channel: Channel) -> Option<&OwnedChannel> {
        self.senders(channel)
            .find(|owned| owned.is_primary)
            .or_else(|| self.senders(channel).next())
    }

    /// Returns the agent's senders on a channel.
    pub fn senders(&self, channel: Channel) -> impl Iterator<Item = &OwnedChannel> {
        self.channels.iter().filter(move |owned| owned.channel == channel)
    }
}

#[derive(sqlx::FromRow)]
struct ProfileRow {
    #[sqlx(flatten)]
    agent: AgentRow,
    channels: String,
    agent_limits: Option<String>,
    org_limits: Option<String>,
    identity: Option<String>,
    provisioned_at: Option<Timestamp>,
    org_status: OrgStatus,
    org_mode: OrgMode,
    #[sqlx(flatten)]
    choices: ComplianceChoices,
    restraints: Option<String>,
    tainted_until: Option<Timestamp>,
    keeps_texts: bool,
}

#[derive(Deserialize)]
struct ChannelJson {
    id: String,
    channel: String,
    address: String,
    account: Option<String>,
    account_version: Option<i64>,
    is_primary: bool,
    country: Option<String>,
    is_registered: bool,
    paused: bool,
    blocks_inbound: bool,
    blocks_outbound: bool,
}

impl Store {
    /// Finds an agent of the organization.
    pub async fn find_agent(&self, org: &OrgId, id: &AgentId) -> Result<Option<Agent>, StoreError> {
        const SQL: &str =
            "SELECT id, org_id, display_name, status, created_at FROM agents WHERE org_id = $1 AND id = $2";
        let row: Option<AgentRow> = on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(org.as_str())
                .bind(id.as_str())
                .fetch_optional(db)
                .await
        })?;
        row.map(Agent::try_from).transpose()
    }

    /// Finds the organization's agent with this id of its host.
    pub async fn find_agent_id(&self, org: &OrgId, host_id: &str) -> Result<Option<AgentId>, StoreError> {
        const SQL: &str = "SELECT id FROM agents WHERE org_id = $1 AND id IN ($2, $3)";
        let id: Option<String> = on_reader!(self, |db| {
            sqlx::query_scalar(SQL)
                .bind(org.as_str())
                .bind(host_id)
                .bind(AgentId::in_org(host_id, org).as_str())
                .fetch_optional(db)
                .await
        })?;
        Ok(id.map(AgentId::from))
    }

    /// Lists the agents of all organizations with this id of their hosts, for the operator of the installation.
    pub async fn list_agents_of_any_org(&self, host_id: &str) -> Result<Vec<Agent>, StoreError> {
        const SQL: &str = "SELECT a.id, a.org_id, a.display_name, a.status, a.created_at
            FROM organizations o JOIN agents a ON a.org_id = o.id AND a.id IN ($1, $2 || o.id) ORDER BY a.id";
        let rows: Vec<AgentRow> = on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(host_id)
            .bind(AgentId::in_org(host_id, &OrgId::from("")).as_str())
            .fetch_all(db)
            .await)?;
        rows.into_iter().map(Agent::try_from).collect()
    }

    /// Lists the organization's agents in the order of their ids, after the one with the host's id `after`.
    pub async fn list_agents(&self, org: &OrgId, after: Option<&str>, limit: u32) -> Result<Vec<Agent>, StoreError> {
        const SQL: &str = "SELECT id, org_id, display_name, status, created_at FROM agents
            WHERE org_id = $1 AND ($2 IS NULL
                OR id > coalesce((SELECT a.id FROM agents a WHERE a.org_id = $1 AND a.id IN ($2, $4)), $2))
            ORDER BY id LIMIT $3";
        let in_org = after.map(|after| AgentId::in_org(after, org).into_string());
        let rows: Vec<AgentRow> = on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(org.as_str())
                .bind(after)
                .bind(i64::from(limit))
                .bind(in_org.as_deref())
                .fetch_all(db)
                .await
        })?;
        rows.into_iter().map(Agent::try_from).collect()
    }

    /// Finds an agent with its channels and limits.
    pub async fn find_profile(&self, id: &AgentId) -> Result<Option<Profile>, StoreError> {
        const SQL: Sql = Sql {
            postgres: "SELECT id, org_id, display_name, status, created_at, keeps_texts, tainted_until,
            (SELECT coalesce(json_agg(json_build_object('id', c.id, 'channel', c.channel, 'address', c.address,
                'account', c.account_id,
                'account_version', (SELECT p.version FROM provider_accounts p WHERE p.id = c.account_id),
                'is_primary', c.is_primary, 'country', c.country,
                'is_registered', coalesce(c.us_registration, 'done') = 'done',
                'paused', c.status = 'paused' OR c.blocks_outbound,
                'blocks_inbound', c.blocks_inbound, 'blocks_outbound', c.blocks_outbound)), '[]')::text
                FROM channels c WHERE c.agent_id = agents.id AND c.released_at IS NULL) AS channels,
            (SELECT row_to_json(l)::text FROM limits l WHERE l.scope = 'agt:' || agents.id) AS agent_limits,
            (SELECT row_to_json(l)::text FROM limits l WHERE l.scope = 'org:' || agents.org_id) AS org_limits,
            coalesce(identity_mode, (SELECT o.identity_mode FROM organizations o WHERE o.id = agents.org_id)) AS identity,
            (SELECT MIN(c.created_at) FROM channels c WHERE c.agent_id = agents.id AND c.released_at IS NULL)
                AS provisioned_at,
            (SELECT o.status FROM organizations o WHERE o.id = agents.org_id) AS org_status,
            (SELECT o.mode FROM organizations o WHERE o.id = agents.org_id) AS org_mode,
            (SELECT o.refuses_waiting FROM organizations o WHERE o.id = agents.org_id) AS refuses_waiting,
            (SELECT o.postal_address FROM organizations o WHERE o.id = agents.org_id) AS postal_address,
            (SELECT o.discloses FROM organizations o WHERE o.id = agents.org_id) AS discloses,
            (SELECT o.disclosure_text FROM organizations o WHERE o.id = agents.org_id) AS disclosure_text,
            (SELECT o.confirms_tainted FROM organizations o WHERE o.id = agents.org_id) AS confirms_tainted,
            (SELECT json_agg(row_to_json(r))::text FROM agent_restraints r WHERE r.agent_id = agents.id) AS restraints
            FROM agents WHERE id = $1",
            sqlite: "SELECT id, org_id, display_name, status, created_at, keeps_texts, tainted_until,
            (SELECT json_group_array(json_object('id', c.id, 'channel', c.channel, 'address', c.address,
                'account', c.account_id,
                'account_version', (SELECT p.version FROM provider_accounts p WHERE p.id = c.account_id),
                'is_primary', json(iif(c.is_primary, 'true', 'false')), 'country', c.country,
                'is_registered', json(iif(coalesce(c.us_registration, 'done') = 'done', 'true', 'false')),
                'paused', json(iif(c.status = 'paused' OR c.blocks_outbound, 'true', 'false')),
                'blocks_inbound', json(iif(c.blocks_inbound, 'true', 'false')),
                'blocks_outbound', json(iif(c.blocks_outbound, 'true', 'false')))) FROM channels c
                WHERE c.agent_id = agents.id AND c.released_at IS NULL) AS channels,
            (SELECT json_object('max_actions_per_minute', max_actions_per_minute,
                'max_actions_per_hour', max_actions_per_hour, 'max_actions_per_day', max_actions_per_day,
                'max_spend_per_day', max_spend_per_day, 'max_spend_per_month', max_spend_per_month)
                FROM limits l WHERE l.scope = 'agt:' || agents.id) AS agent_limits,
            (SELECT json_object('max_actions_per_minute', max_actions_per_minute,
                'max_actions_per_hour', max_actions_per_hour, 'max_actions_per_day', max_actions_per_day,
                'max_spend_per_day', max_spend_per_day, 'max_spend_per_month', max_spend_per_month)
                FROM limits l WHERE l.scope = 'org:' || agents.org_id) AS org_limits,
            coalesce(identity_mode, (SELECT o.identity_mode FROM organizations o WHERE o.id = agents.org_id)) AS identity,
            (SELECT MIN(c.created_at) FROM channels c WHERE c.agent_id = agents.id AND c.released_at IS NULL)
                AS provisioned_at,
            (SELECT o.status FROM organizations o WHERE o.id = agents.org_id) AS org_status,
            (SELECT o.mode FROM organizations o WHERE o.id = agents.org_id) AS org_mode,
            (SELECT o.refuses_waiting FROM organizations o WHERE o.id = agents.org_id) AS refuses_waiting,
            (SELECT o.postal_address FROM organizations o WHERE o.id = agents.org_id) AS postal_address,
            (SELECT o.discloses FROM organizations o WHERE o.id = agents.org_id) AS discloses,
            (SELECT o.disclosure_text FROM organizations o WHERE o.id = agents.org_id) AS disclosure_text,
            (SELECT o.confirms_tainted FROM organizations o WHERE o.id = agents.org_id) AS confirms_tainted,
            (SELECT json_group_array(json_object('kind', r.kind, 'max_per_minute', r.max_per_minute, 'until_at', r.until_at))
                FROM agent_restraints r WHERE r.agent_id = agents.id) AS restraints
            FROM agents WHERE id = $1",
        };
        let sql = self.sql(SQL);
        let row: Option<ProfileRow> = on_reader!(self, |db| sqlx::query_as(sql)
            .bind(id.as_str())
            .fetch_optional(db)
            .await)?;
        row.map(Profile::try_from).transpose()
    }
}

impl Change {
    /// Stores the agent. Fails with `Conflict` when the id exists.
    pub async fn create_agent(&self, agent: &Agent) -> Result<(), StoreError> {
        const SQL: &str =
            "INSERT INTO agents (id, org_id, display_name, status, created_at, keeps_texts) VALUES ($1, $2, $3, $4, $5,
                coalesce((SELECT o.keep_texts_days > 0 FROM organizations o WHERE o.id = $2), FALSE))";
        on_change!(self, |db| {
            sqlx::query(SQL)
                .bind(agent.id.as_str())
                .bind(agent.org_id.as_str())
                .bind(&agent.display_name)
                .bind(agent.status.as_str())
                .bind(agent.created_at)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(())
    }

    /// Stores an agent with an id that its host chose. Organizations do not learn which ids others use: an id that another
    /// organization uses is as good as a free one. Fails with `Conflict` when the agent's own organization uses the id.
    pub async fn register_agent(&self, agent: Agent) -> Result<Agent, StoreError> {
        let inserted = match self.insert_host_agent(&agent).await {
            // Two organizations have chosen the same id at the same time; now the other one's is visible.
            Err(StoreError::Conflict) => self.insert_host_agent(&agent).await,
            done => done,
        };
        let id = inserted?.ok_or(StoreError::Conflict)?;
        Ok(Agent { id, ..agent })
    }

    async fn insert_host_agent(&self, agent: &Agent) -> Result<Option<AgentId>, StoreError> {
        const SQL: &str = "INSERT INTO agents (id, org_id, display_name, status, created_at, keeps_texts)
            SELECT CASE WHEN EXISTS (SELECT 1 FROM agents WHERE id = $1) THEN $6 ELSE $1 END, $2, $3, $4, $5,
                coalesce((SELECT o.keep_texts_days > 0 FROM organizations o WHERE o.id = $2), FALSE)
            WHERE NOT EXISTS (SELECT 1 FROM agents WHERE org_id = $2 AND id IN ($1, $6))
            RETURNING id";
        with_timeout(async {
            let mut tx = self.begin().await?;
            let id: Option<String> = in_tx!(&mut tx, |db| sqlx::query_scalar(SQL)
                .bind(agent.id.as_str())
                .bind(agent.org_id.as_str())
                .bind(&agent.display_name)
                .bind(agent.status.as_str())
                .bind(agent.created_at)
                .bind(AgentId::in_org(agent.id.as_str(), &agent.org_id).as_str())
                .fetch_optional(db)
                .await?);
            if let Some(id) = &id {
                self.commit_with(tx, |entry| entry.target.clone_from(id)).await?;
            }
            Ok(id.map(AgentId::from))
        })
        .await
    }
}

impl TryFrom<ProfileRow> for Profile {
    type Error = StoreError;

    fn try_from(row: ProfileRow) -> Result<Self, StoreError> {
        // The JSON itself is not part of the error: it holds addresses.
        let corrupt = |table, column, row: &str, value: &str| StoreError::Corrupt {
            table,
            column,
            row: row.into(),
            value: value.into(),
        };
        let agent = Agent::try_from(row.agent)?;
        let channels: Vec<ChannelJson> =
            serde_json::from_str(&row.channels).map_err(|_| corrupt("channels", "id", agent.id.as_str(), "JSON"))?;
        let channel = |json: ChannelJson| {
            let channel =
                Channel::parse(&json.channel).ok_or_else(|| corrupt("channels", "channel", &json.id, &json.channel))?;
            Ok(OwnedChannel {
                id: json.id.into(),
                channel,
                address: json.address,
                account: json.account.map(|id| AccountRef {
                    id: id.into(),
                    version: json.account_version.unwrap_or_default(),
                }),
                is_primary: json.is_primary,
                country: json.country,
                is_registered: json.is_registered,
                paused: json.paused,
                blocks_inbound: json.blocks_inbound,
                blocks_outbound: json.blocks_outbound,
            })
        };
        let limits = |json: Option<String>, scope: String| -> Result<Option<Limits>, StoreError> {
            let Some(json) = json else { return Ok(None) };
            let row: LimitsRow = serde_json::from_str(&json).map_err(|_| corrupt("limits", "scope", &scope, "JSON"))?;
            Ok(Some(row.into()))
        };
        let restraints: Vec<RestraintRow> = match &row.restraints {
            None => Vec::new(),
            Some(json) => serde_json::from_str(json)
                .map_err(|_| corrupt("agent_restraints", "agent_id", agent.id.as_str(), "JSON"))?,
        };
        Ok(Self {
            restraints: restraints.into_iter().collect(),
            channels: channels.into_iter().map(channel).collect::<Result<_, StoreError>>()?,
            agent_limits: limits(row.agent_limits, format!("agt:{}", agent.id))?,
            org_limits: limits(row.org_limits, format!("org:{}", agent.org_id))?,
            provisioned_at: row.provisioned_at,
            tainted_until: row.tainted_until,
            keeps_texts: row.keeps_texts,
            identity: row.identity.and_then(|mode| mode.parse().ok()),
            org_status: row.org_status,
            org_mode: row.org_mode,
            choices: row.choices,
            agent,
        })
    }
}
