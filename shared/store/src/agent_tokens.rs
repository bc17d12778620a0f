//! The tokens of one agent: listed, counted, found and revoked by their id.

use butt_dial_domain::{AgentId, OrgId, TokenId, clock::Timestamp};

use crate::{Change, Store, StoreError, Token, change::on_change, engine::on_reader, tokens::TokenRow};

impl Store {
    /// Lists the agent's tokens that are not revoked, newest first.
    pub async fn list_agent_tokens(&self, org: &OrgId, agent: &AgentId) -> Result<Vec<Token>, StoreError> {
        const SQL: &str =
            "SELECT id, last_four, scope, org_id, agent_id, label, created_by, created_at, expires_at, revoked_at, last_used_at,
                last_used_from, grants, budget_id
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

    /// Counts the tokens of an agent that are neither revoked nor expired.
    pub async fn count_agent_tokens(&self, agent: &AgentId, now: Timestamp) -> Result<i64, StoreError> {
        const SQL: &str = "SELECT COUNT(*) FROM tokens
            WHERE agent_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)";
        Ok(on_reader!(self, |db| sqlx::query_scalar(SQL)
            .bind(agent.as_str())
            .bind(now)
            .fetch_one(db)
            .await)?)
    }

    /// Finds a token of an agent by its id, also a revoked or expired one.
    pub async fn find_agent_token(&self, agent: &AgentId, id: &TokenId) -> Result<Option<Token>, StoreError> {
        const SQL: &str =
            "SELECT id, last_four, scope, org_id, agent_id, label, created_by, created_at, expires_at, revoked_at, last_used_at,
                last_used_from, grants, budget_id
            FROM tokens WHERE id = $2 AND agent_id = $1";
        let row: Option<TokenRow> = on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(agent.as_str())
                .bind(id.as_str())
                .fetch_optional(db)
                .await
        })?;
        row.map(Token::try_from).transpose()
    }
}

impl Change {
    /// Revokes one token of an agent. Returns false when the agent has no such token or it is revoked already.
    pub async fn revoke_agent_token(&self, agent: &AgentId, id: &TokenId, now: Timestamp) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE tokens SET revoked_at = $3 WHERE id = $2 AND agent_id = $1 AND revoked_at IS NULL";
        Ok(on_change!(self, |db| {
            let result = sqlx::query(SQL)
                .bind(agent.as_str())
                .bind(id.as_str())
                .bind(now)
                .execute(db)
                .await;
            result.map(|done| done.rows_affected())
        })? > 0)
    }
}
