//! API tokens, stored by the hash of their secret. The secret itself must never reach this module.

use std::sync::Arc;

use butt_dial_domain::{AgentId, Grants, OrgId, Principal, Restriction, Scope, TokenId, clock::Timestamp};
use serde_json::json;

use crate::{
    Change, OrgStatus, Store, StoreError,
    change::on_change,
    engine::{Sql, Tx, in_tx, on_reader, on_writer, with_timeout},
};

/// A token to store.
#[derive(Clone, Debug)]
pub struct NewToken<'a> {
    pub id: &'a TokenId,
    /// Lower-case hex of the SHA-256 of the secret.
    pub hash: &'a str,
    pub last_four: &'a str,
    pub scope: Scope,
    pub org: Option<&'a OrgId>,
    pub agent: Option<&'a AgentId>,
    pub expires_at: Option<Timestamp>,
    /// The purpose of the token, in the words of its owner.
    pub label: Option<&'a str>,
    /// The token of the administrator that created it.
    pub created_by: Option<&'a TokenId>,
    /// `None`: it may do all that its scope allows.
    pub restriction: Option<&'a Restriction>,
}

#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct TokenRow {
    id: String,
    last_four: String,
    scope: String,
    org_id: Option<String>,
    agent_id: Option<String>,
    label: Option<String>,
    created_by: Option<String>,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
    last_used_from: Option<String>,
    grants: Option<String>,
    budget_id: Option<String>,
    #[sqlx(default)]
    org_status: Option<OrgStatus>,
}

/// A stored token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub principal: Principal,
    pub last_four: String,
    pub label: Option<String>,
    pub created_by: Option<TokenId>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
    /// A keyed hash of the network that used it last.
    pub last_used_from: Option<String>,
    /// The status of its organization. Only `find_token` reads it.
    pub org_status: Option<OrgStatus>,
}

impl TryFrom<TokenRow> for Token {
    type Error = StoreError;

    fn try_from(row: TokenRow) -> Result<Self, StoreError> {
        let scope = Scope::parse(&row.scope).ok_or_else(|| StoreError::Corrupt {
            table: "tokens",
            column: "scope",
            row: row.id.clone(),
            value: row.scope.clone(),
        })?;
        let restriction = restriction(&row).map(Arc::new);
        // A restricted token is never more than an agent, whatever its row says.
        let scope = match restriction {
            Some(_) => scope.min(Scope::Agent),
            None => scope,
        };
        Ok(Self {
            principal: Principal {
                restriction,
                token: row.id.into(),
                scope,
                org: row.org_id.map(OrgId::from),
                agent: row.agent_id.map(AgentId::from),
            },
            last_four: row.last_four,
            label: row.label,
            created_by: row.created_by.map(TokenId::from),
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            last_used_at: row.last_used_at,
            last_used_from: row.last_used_from,
            org_status: row.org_status,
        })
    }
}

/// Returns the restriction of a token. Grants that can't be read, for example because a later release has written them, grant
/// nothing.
fn restriction(row: &TokenRow) -> Option<Restriction> {
    let text = row.grants.as_ref()?;
    let grants = serde_json::from_str(text).unwrap_or_else(|_| {
        tracing::error!(token = row.id, "grants of a token not readable: it may do nothing");
        Grants::nothing()
    });
    Some(Restriction {
        budget: row.budget_id.clone().unwrap_or_else(|| row.id.clone()),
        grants,
    })
}

const INSERT: &str = "INSERT INTO tokens (id, hash, last_four, scope, org_id, agent_id, created_at, expires_at, label,
        created_by, grants, budget_id)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";

/// Stores a token as part of a transaction.
pub(crate) async fn insert_in(tx: &mut Tx, token: &NewToken<'_>, now: Timestamp) -> Result<(), StoreError> {
    let grants = token
        .restriction
        .map(|restriction| serde_json::to_string(&restriction.grants));
    let grants = grants
        .transpose()
        .map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    in_tx!(tx, |db| sqlx::query(INSERT)
        .bind(token.id.as_str())
        .bind(token.hash)
        .bind(token.last_four)
        .bind(token.scope.as_str())
        .bind(token.org.map(OrgId::as_str))
        .bind(token.agent.map(AgentId::as_str))
        .bind(now)
        .bind(token.expires_at)
        .bind(token.label)
        .bind(token.created_by.map(TokenId::as_str))
        .bind(grants)
        .bind(token.restriction.map(|restriction| restriction.budget.as_str()))
        .execute(db)
        .await
        .map(drop)?);
    Ok(())
}

/// The tokens that a new one replaces.
#[derive(Clone, Copy, Debug)]
pub enum ReplacedTokens<'a> {
    /// This one.
    One(&'a TokenId),
    /// The organization's team tokens without a label.
    UnlabelledTeam,
    /// All tokens of this agent.
    OfAgent(&'a AgentId),
}

impl Store {
    /// Finds the token with this hash, also a revoked or expired one: the guard distinguishes them.
    pub async fn find_token(&self, hash: &str) -> Result<Option<Token>, StoreError> {
        const SQL: &str =
            "SELECT id, last_four, scope, org_id, agent_id, label, created_by, created_at, expires_at, revoked_at, last_used_at,
                last_used_from, grants, budget_id, (SELECT o.status FROM organizations o WHERE o.id = tokens.org_id) AS org_status
            FROM tokens WHERE hash = $1";
        let row: Option<TokenRow> = on_reader!(self, |db| sqlx::query_as(SQL).bind(hash).fetch_optional(db).await)?;
        row.map(Token::try_from).transpose()
    }

    /// Lists the organization's team tokens that are not revoked, newest first. At most 100.
    pub async fn list_team_tokens(&self, org: &OrgId) -> Result<Vec<Token>, StoreError> {
        const SQL: &str =
            "SELECT id, last_four, scope, org_id, agent_id, label, created_by, created_at, expires_at, revoked_at, last_used_at,
                last_used_from, grants, budget_id
            FROM tokens WHERE org_id = $1 AND agent_id IS NULL AND revoked_at IS NULL ORDER BY id DESC LIMIT 100";
        let rows: Vec<TokenRow> = on_reader!(self, |db| sqlx::query_as(SQL).bind(org.as_str()).fetch_all(db).await)?;
        rows.into_iter().map(Token::try_from).collect()
    }

    /// Finds a team token of the organization by its id, also a revoked or expired one.
    pub async fn find_team_token(&self, org: &OrgId, id: &TokenId) -> Result<Option<Token>, StoreError> {
        const SQL: &str =
            "SELECT id, last_four, scope, org_id, agent_id, label, created_by, created_at, expires_at, revoked_at, last_used_at,
                last_used_from, grants, budget_id
            FROM tokens WHERE id = $2 AND org_id = $1 AND agent_id IS NULL";
        let row: Option<TokenRow> = on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(org.as_str())
                .bind(id.as_str())
                .fetch_optional(db)
                .await
        })?;
        row.map(Token::try_from).transpose()
    }

    /// Lists the agents with tokens that were revoked or that expired between the two times, and when.
    pub async fn list_ended_tokens(
        &self,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<(AgentId, Timestamp)>, StoreError> {
        const SQL: &str = "SELECT agent_id, revoked_at AS ended_at FROM tokens
            WHERE revoked_at BETWEEN $1 AND $2 AND agent_id IS NOT NULL
            UNION ALL SELECT agent_id, expires_at AS ended_at FROM tokens
            WHERE expires_at BETWEEN $1 AND $2 AND agent_id IS NOT NULL";
        let rows: Vec<(String, Timestamp)> = on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(since)
            .bind(until)
            .fetch_all(db)
            .await)?;
        Ok(rows.into_iter().map(|(agent, at)| (AgentId::from(agent), at)).collect())
    }

    /// Records when tokens were last used, and a hash of the address that used them, in one statement.
    pub async fn touch_tokens(&self, used: &[(TokenId, Timestamp, Option<String>)]) -> Result<(), StoreError> {
        const SQL: Sql = Sql {
            postgres: "UPDATE tokens SET last_used_at = u.at, last_used_from = coalesce(u.origin, last_used_from)
                FROM jsonb_to_recordset($1) AS u (id TEXT, at TIMESTAMPTZ, origin TEXT) WHERE tokens.id = u.id",
            sqlite: "UPDATE tokens SET last_used_at = u.value ->> 'at',
                    last_used_from = coalesce(u.value ->> 'origin', last_used_from)
                FROM json_each($1) AS u WHERE tokens.id = u.value ->> 'id'",
        };
        let rows: Vec<_> = used
            .iter()
            .map(|(id, at, origin)| json!({ "id": id, "at": crate::sends::time_text(*at), "origin": origin }))
            .collect();
        let sql = self.sql(SQL);
        on_writer!(self, |db| sqlx::query(sql)
            .bind(sqlx::types::Json(&rows))
            .execute(db)
            .await
            .map(drop))?;
        Ok(())
    }
}

impl Change {
    /// Stores a token.
    pub async fn create_token(&self, token: &NewToken<'_>, now: Timestamp) -> Result<(), StoreError> {
        with_timeout(async {
            let mut tx = self.begin().await?;
            insert_in(&mut tx, token, now).await?;
            self.commit(tx).await?;
            Ok(())
        })
        .await
    }

    /// Stores a token, and ends the ones that it replaces at `ends_at`, both or neither. Returns how many it has replaced. A
    /// single token must be valid until `ends_at`: otherwise another caller has replaced it, and nothing is stored.
    pub async fn replace_tokens(
        &self,
        new: &NewToken<'_>,
        replaced: ReplacedTokens<'_>,
        ends_at: Timestamp,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        const REVOKE_ONE: &str =
            "UPDATE tokens SET revoked_at = $3 WHERE id = $2 AND org_id = $1 AND revoked_at IS NULL
            AND (expires_at IS NULL OR expires_at > $3)";
        const EXPIRE_ONE: &str =
            "UPDATE tokens SET expires_at = $3 WHERE id = $2 AND org_id = $1 AND revoked_at IS NULL
            AND (expires_at IS NULL OR expires_at > $3)";
        const REVOKE_AGENT: &str =
            "UPDATE tokens SET revoked_at = $3 WHERE org_id = $1 AND agent_id = $2 AND revoked_at IS NULL";
        const REVOKE_TEAM: &str = "UPDATE tokens SET revoked_at = $2
            WHERE org_id = $1 AND agent_id IS NULL AND label IS NULL AND revoked_at IS NULL";
        let org = new.org.map(OrgId::as_str);
        with_timeout(async {
            let mut tx = self.begin().await?;
            let may_be_none = !matches!(replaced, ReplacedTokens::One(_));
            let count = match replaced {
                ReplacedTokens::One(id) => {
                    let sql = if ends_at <= now { REVOKE_ONE } else { EXPIRE_ONE };
                    in_tx!(&mut tx, |db| sqlx::query(sql)
                        .bind(org)
                        .bind(id.as_str())
                        .bind(ends_at)
                        .execute(db)
                        .await?
                        .rows_affected())
                }
                ReplacedTokens::UnlabelledTeam => in_tx!(&mut tx, |db| sqlx::query(REVOKE_TEAM)
                    .bind(org)
                    .bind(ends_at)
                    .execute(db)
                    .await?
                    .rows_affected()),
                ReplacedTokens::OfAgent(agent) => in_tx!(&mut tx, |db| sqlx::query(REVOKE_AGENT)
                    .bind(org)
                    .bind(agent.as_str())
                    .bind(ends_at)
                    .execute(db)
                    .await?
                    .rows_affected()),
            };
            if count > 0 || may_be_none {
                insert_in(&mut tx, new, now).await?;
                self.commit_with(tx, |entry| entry.note("replaced", count)).await?;
            }
            Ok(count)
        })
        .await
    }

    /// Revokes a team token of the organization. Returns false when there is no such token or it is revoked already.
    pub async fn revoke_team_token(&self, org: &OrgId, id: &TokenId, now: Timestamp) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE tokens SET revoked_at = $3
            WHERE id = $2 AND org_id = $1 AND agent_id IS NULL AND revoked_at IS NULL";
        Ok(on_change!(self, |db| {
            let result = sqlx::query(SQL)
                .bind(org.as_str())
                .bind(id.as_str())
                .bind(now)
                .execute(db)
                .await;
            result.map(|done| done.rows_affected())
        })? > 0)
    }

    /// Lets a team token expire at `at`, unless it expires earlier.
    pub async fn expire_team_token(&self, org: &OrgId, id: &TokenId, at: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE tokens SET expires_at = $3
            WHERE id = $2 AND org_id = $1 AND agent_id IS NULL AND (expires_at IS NULL OR expires_at > $3)";
        on_change!(self, |db| {
            sqlx::query(SQL)
                .bind(org.as_str())
                .bind(id.as_str())
                .bind(at)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(())
    }

    /// Revokes all tokens of the agent, or all tokens of the organization without an agent when `agent` is `None`, except the
    /// token `but`. Returns how many.
    pub async fn revoke_tokens(
        &self,
        org: &OrgId,
        agent: Option<&AgentId>,
        but: Option<&TokenId>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        const SQL: &str = "UPDATE tokens SET revoked_at = $3 WHERE org_id = $1 AND revoked_at IS NULL
            AND ((CAST($2 AS TEXT) IS NULL AND agent_id IS NULL) OR agent_id = $2)
            AND (CAST($4 AS TEXT) IS NULL OR id <> $4)";
        with_timeout(async {
            let mut tx = self.begin().await?;
            let revoked = in_tx!(&mut tx, |db| sqlx::query(SQL)
                .bind(org.as_str())
                .bind(agent.map(AgentId::as_str))
                .bind(now)
                .bind(but.map(TokenId::as_str))
                .execute(db)
                .await?
                .rows_affected());
            if revoked > 0 {
                self.commit_with(tx, |entry| entry.note("revoked", revoked)).await?;
            }
            Ok(revoked)
        })
        .await
    }
}
