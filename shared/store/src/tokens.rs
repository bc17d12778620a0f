//! API tokens, stored by the hash of their secret. The secret itself must never reach this module.

use butt_dial_domain::{AgentId, OrgId, Principal, Scope, TokenId, clock::Timestamp};
use serde_json::json;

use crate::{
    Store, StoreError,
    engine::{Sql, on_reader, on_writer},
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
}

#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
struct TokenRow {
    id: String,
    last_four: String,
    scope: String,
    org_id: Option<String>,
    agent_id: Option<String>,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
}

/// A stored token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub principal: Principal,
    pub last_four: String,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
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
        Ok(Self {
            principal: Principal {
                token: row.id.into(),
                scope,
                org: row.org_id.map(OrgId::from),
                agent: row.agent_id.map(AgentId::from),
            },
            last_four: row.last_four,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            last_used_at: row.last_used_at,
        })
    }
}

impl Store {
    /// Stores a token.
    pub async fn create_token(&self, token: &NewToken<'_>, now: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO tokens (id, hash, last_four, scope, org_id, agent_id, created_at, expires_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(token.id.as_str())
                .bind(token.hash)
                .bind(token.last_four)
                .bind(token.scope.as_str())
                .bind(token.org.map(OrgId::as_str))
                .bind(token.agent.map(AgentId::as_str))
                .bind(now)
                .bind(token.expires_at)
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }

    /// Finds the token with this hash, also a revoked or expired one: the guard distinguishes them.
    pub async fn find_token(&self, hash: &str) -> Result<Option<Token>, StoreError> {
        const SQL: &str =
            "SELECT id, last_four, scope, org_id, agent_id, created_at, expires_at, revoked_at, last_used_at
            FROM tokens WHERE hash = $1";
        let row: Option<TokenRow> = on_reader!(self, |db| sqlx::query_as(SQL).bind(hash).fetch_optional(db).await)?;
        row.map(Token::try_from).transpose()
    }

    /// Lists the agent's tokens that are not revoked, newest first.
    pub async fn list_agent_tokens(&self, org: &OrgId, agent: &AgentId) -> Result<Vec<Token>, StoreError> {
        const SQL: &str =
            "SELECT id, last_four, scope, org_id, agent_id, created_at, expires_at, revoked_at, last_used_at
            FROM tokens WHERE org_id = $1 AND agent_id = $2 AND revoked_at IS NULL ORDER BY id DESC LIMIT 100";
        let rows: Vec<TokenRow> = on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(org.as_str())
                .bind(agent.as_str())
                .fetch_all(db)
                .await
        })?;
        rows.into_iter().map(Token::try_from).collect()
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
        Ok(on_writer!(self, |db| {
            let result = sqlx::query(SQL)
                .bind(org.as_str())
                .bind(agent.map(AgentId::as_str))
                .bind(now)
                .bind(but.map(TokenId::as_str))
                .execute(db)
                .await;
            result.map(|done| done.rows_affected())
        })?)
    }

    /// Records when tokens were last used, in one statement.
    pub async fn touch_tokens(&self, used: &[(TokenId, Timestamp)]) -> Result<(), StoreError> {
        const SQL: Sql = Sql {
            postgres: "UPDATE tokens SET last_used_at = u.at
                FROM jsonb_to_recordset($1) AS u (id TEXT, at TIMESTAMPTZ) WHERE tokens.id = u.id",
            sqlite: "UPDATE tokens SET last_used_at = u.value ->> 'at'
                FROM json_each($1) AS u WHERE tokens.id = u.value ->> 'id'",
        };
        let rows: Vec<_> = used
            .iter()
            .map(|(id, at)| json!({ "id": id, "at": crate::sends::time_text(*at) }))
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
