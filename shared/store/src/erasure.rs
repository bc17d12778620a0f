//! The end of an organization: it is anonymized at once, and its rows are purged later, in small batches that a process that dies
//! leaves to the next one. The spend stays, as numbers of an organization without a name.

use std::time::Duration;

use butt_dial_domain::{AgentId, OrgId, clock::Timestamp};

use crate::{
    Change, OneTimeKind, Store, StoreError,
    engine::{Sql, in_tx, on_reader, on_writer, with_timeout},
    one_time_tokens,
};

/// Between two batches, so that others get the rows and the disk.
const PAUSE: Duration = Duration::from_millis(5);
/// The rows of an agent, table by table. A statement repeats until it deletes nothing.
const OF_AGENT: &[&str] = &[
    "DELETE FROM attempts WHERE message_id IN (SELECT m.id FROM messages m WHERE m.agent_id = $1
        AND EXISTS (SELECT 1 FROM attempts t WHERE t.message_id = m.id) ORDER BY m.idempotency_key LIMIT 500)",
    "DELETE FROM messages WHERE id IN (SELECT id FROM messages WHERE agent_id = $1 ORDER BY idempotency_key LIMIT 500)",
    "DELETE FROM events WHERE agent_id = $1
        AND seq IN (SELECT seq FROM events WHERE agent_id = $1 ORDER BY seq LIMIT 500)",
    "DELETE FROM scheduled_sends WHERE id IN
        (SELECT id FROM scheduled_sends WHERE agent_id = $1 ORDER BY idempotency_key LIMIT 500)",
    "DELETE FROM call_legs WHERE agent_id = $1",
    "DELETE FROM calls WHERE id IN (SELECT id FROM calls WHERE agent_id = $1 ORDER BY created_at, id LIMIT 500)",
    "DELETE FROM usage WHERE agent_id = $1",
    "DELETE FROM deliveries WHERE agent_id = $1",
    "DELETE FROM callback_attempts WHERE id IN (SELECT id FROM callback_attempts WHERE agent_id = $1 ORDER BY id LIMIT 500)",
    "DELETE FROM inbound_subscriptions WHERE agent_id = $1",
    "DELETE FROM inbound_filters WHERE agent_id = $1",
    "DELETE FROM conversation_contacts WHERE agent_id = $1",
    "DELETE FROM conversations WHERE id IN
        (SELECT id FROM conversations WHERE agent_id = $1 ORDER BY status, id LIMIT 500)",
    "DELETE FROM trust_sessions WHERE agent_id = $1",
    "DELETE FROM call_bridges WHERE agent_id = $1",
    "DELETE FROM sender_bindings WHERE agent_id = $1 OR channel_id IN (SELECT id FROM channels WHERE agent_id = $1)",
    "DELETE FROM sender_orders WHERE agent_id = $1",
    "DELETE FROM inbound_windows WHERE channel_id IN (SELECT id FROM channels WHERE agent_id = $1)
        AND address IN (SELECT w.address FROM inbound_windows w JOIN channels c ON c.id = w.channel_id
            WHERE c.agent_id = $1 ORDER BY w.address LIMIT 500)",
    "DELETE FROM channels WHERE agent_id = $1",
    "UPDATE provider_accounts SET agent_id = NULL WHERE agent_id = $1",
    "DELETE FROM challenges WHERE agent_id = $1",
    "DELETE FROM anomalies WHERE agent_id = $1",
    "DELETE FROM announced_campaigns WHERE org_id = (SELECT a.org_id FROM agents a WHERE a.id = $1) AND agent_id = $1",
    "DELETE FROM agent_restraints WHERE agent_id = $1",
    "DELETE FROM anomaly_baselines WHERE org_id = (SELECT a.org_id FROM agents a WHERE a.id = $1) AND agent_id = $1",
    "DELETE FROM limits WHERE scope = 'agt:' || $1",
    "DELETE FROM spend WHERE scope = 'agt:' || $1",
    "DELETE FROM spend WHERE scope IN (SELECT 'tok:' || coalesce(t.budget_id, t.id) FROM tokens t WHERE t.agent_id = $1)",
    "DELETE FROM tokens WHERE agent_id = $1",
    "DELETE FROM agents WHERE id = $1",
];
/// The other rows of an organization, with those of its pool.
const OF_ORG: &[&str] = &[
    "DELETE FROM consents WHERE org_id = $1
        AND address IN (SELECT address FROM consents WHERE org_id = $1 ORDER BY address LIMIT 500)",
    "DELETE FROM suppressions WHERE org_id = $1
        AND address IN (SELECT address FROM suppressions WHERE org_id = $1 ORDER BY address LIMIT 500)",
    "DELETE FROM contact_identities WHERE org_id = $1
        AND value IN (SELECT value FROM contact_identities WHERE org_id = $1 ORDER BY value LIMIT 500)",
    "DELETE FROM ai_disclosures WHERE org_id = $1
        AND contact IN (SELECT contact FROM ai_disclosures WHERE org_id = $1 ORDER BY channel, contact LIMIT 500)",
    "DELETE FROM contact_pauses WHERE org_id = $1
        AND contact IN (SELECT contact FROM contact_pauses WHERE org_id = $1 ORDER BY contact LIMIT 500)",
    "DELETE FROM consent_records WHERE id IN
        (SELECT id FROM consent_records WHERE org_id = $1 ORDER BY contact, id LIMIT 500)",
    "DELETE FROM consent_events WHERE org_id = $1
        AND seq IN (SELECT seq FROM consent_events WHERE org_id = $1 ORDER BY seq LIMIT 500)",
    "DELETE FROM subject_jobs WHERE org_id = $1",
    "DELETE FROM subject_receipts WHERE org_id = $1",
    "DELETE FROM subject_archives WHERE org_id = $1",
    "DELETE FROM legal_holds WHERE org_id = $1",
    "DELETE FROM refusals WHERE id IN (SELECT id FROM refusals WHERE org_id = $1 ORDER BY id LIMIT 500)",
    "DELETE FROM sender_bindings WHERE org_id = $1",
    "DELETE FROM sender_orders WHERE org_id = $1",
    "DELETE FROM inbound_windows WHERE channel_id IN (SELECT id FROM channels WHERE org_id = $1)",
    "DELETE FROM channels WHERE org_id = $1",
    "DELETE FROM number_registrations WHERE org_id = $1",
    "DELETE FROM provider_accounts WHERE org_id = $1",
    "DELETE FROM challenges WHERE org_id = $1",
    "DELETE FROM billing_configs WHERE org_id = $1",
    "DELETE FROM budget_alerts WHERE org_id = $1",
    "DELETE FROM memberships WHERE org_id = $1",
    "DELETE FROM console_sessions WHERE org_id = $1",
    "DELETE FROM console_invitations WHERE org_id = $1",
    "DELETE FROM console_marks WHERE org_id = $1",
    "DELETE FROM console_filters WHERE org_id = $1",
    "DELETE FROM one_time_tokens WHERE org_id = $1",
    "DELETE FROM account_notices WHERE org_id = $1",
    "DELETE FROM tokens WHERE org_id = $1",
    "DELETE FROM usage WHERE org_id = $1",
    "DELETE FROM limits WHERE scope = 'org:' || $1",
    "DELETE FROM limits WHERE scope IN (SELECT scope FROM spend WHERE task_org_id = $1)",
    "DELETE FROM spend WHERE task_org_id = $1 AND scope IN (SELECT scope FROM spend WHERE task_org_id = $1 ORDER BY scope LIMIT 500)",
    "DELETE FROM anomalies WHERE org_id = $1",
    "DELETE FROM anomaly_baselines WHERE org_id = $1",
    "DELETE FROM anomaly_countries WHERE org_id = $1",
    "DELETE FROM announced_campaigns WHERE org_id = $1",
    "DELETE FROM agent_restraints WHERE org_id = $1",
    "DELETE FROM alert_notifications WHERE alert_id IN (SELECT id FROM alerts WHERE org_id = $1)",
    "DELETE FROM alerts WHERE org_id = $1",
    "DELETE FROM alert_routes WHERE org_id = $1",
    "DELETE FROM audit_leaves WHERE log = $1
        AND seq IN (SELECT seq FROM audit_leaves WHERE log = $1 ORDER BY seq LIMIT 500)",
    "DELETE FROM audit_nodes WHERE log = $1",
    "DELETE FROM audit_checkpoints WHERE log = $1",
    "DELETE FROM audit_logs WHERE log = $1",
    "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE org_id = $1 ORDER BY at LIMIT 500)",
];

impl Store {
    /// Claims an organization with rows to purge until `until`, unless a legal hold is in force. If this process dies, another one claims it after that.
    pub async fn claim_erasure(&self, now: Timestamp, until: Timestamp) -> Result<Option<OrgId>, StoreError> {
        const SQL: Sql = Sql {
            postgres: "WITH due AS MATERIALIZED (SELECT id FROM organizations WHERE erase_at <= $1
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = organizations.id)
                    ORDER BY erase_at LIMIT 1 FOR UPDATE SKIP LOCKED)
                UPDATE organizations AS o SET erase_at = $2 FROM due WHERE o.id = due.id RETURNING o.id",
            sqlite: "UPDATE organizations SET erase_at = $2 WHERE id IN
                (SELECT id FROM organizations WHERE erase_at <= $1
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = organizations.id)
                    ORDER BY erase_at LIMIT 1) RETURNING id",
        };
        let sql = self.sql(SQL);
        let id: Option<String> = on_writer!(self, |db| sqlx::query_scalar(sql)
            .bind(now)
            .bind(until)
            .fetch_optional(db)
            .await)?;
        Ok(id.map(OrgId::from))
    }

    /// Purges every row of an agent. Returns how many.
    pub async fn purge_agent(&self, agent: &AgentId) -> Result<u64, StoreError> {
        self.purge_rows(OF_AGENT, agent.as_str()).await
    }

    /// Purges every row of an organization without agents, except its own row and its spend. Returns how many.
    pub async fn purge_organization(&self, org: &OrgId) -> Result<u64, StoreError> {
        const DONE: &str =
            "UPDATE organizations SET status = 'erased', erase_at = NULL WHERE id = $1 AND status = 'erasing'";
        let purged = self.purge_rows(OF_ORG, org.as_str()).await?;
        on_writer!(self, |db| sqlx::query(DONE)
            .bind(org.as_str())
            .execute(db)
            .await
            .map(drop))?;
        Ok(purged)
    }

    /// Lists addresses of an agent, each with its channel.
    pub async fn list_agent_addresses(&self, agent: &AgentId) -> Result<Vec<(String, String)>, StoreError> {
        const SQL: &str = "SELECT channel, address FROM channels WHERE agent_id = $1";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(agent.as_str())
            .fetch_all(db)
            .await)?)
    }

    async fn purge_rows(&self, statements: &[&'static str], id: &str) -> Result<u64, StoreError> {
        let mut total = 0;
        for sql in statements {
            loop {
                let deleted = on_writer!(self, |db| sqlx::query(*sql)
                    .bind(id)
                    .execute(db)
                    .await
                    .map(|done| done.rows_affected()))?;
                total += deleted;
                if deleted == 0 {
                    break;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(total)
    }
}

impl Change {
    /// Begins the erasure of the organization that a confirmation token belongs to: nothing of it acts any more, and no name or
    /// address of it remains. Returns `None`, and changes nothing, when the token is used or has expired. `purge_at` is when its
    /// rows are purged.
    pub async fn begin_erasure(
        &self,
        hash: &str,
        org: &OrgId,
        purge_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const ANONYMIZE: &str = "UPDATE organizations SET status = 'erasing', erase_at = $2, name = 'Erased organization',
                slug = replace(id, '_', '-'), owner_email = NULL, owner_key = NULL, admin_phone = NULL, return_url = NULL, webhook_url = NULL,
                webhook_salt = NULL, branding = NULL, settings = NULL, expires_at = NULL, postal_address = NULL, disclosure_text = NULL
            WHERE id = $1 AND status IN ('active', 'suspended')
                AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = organizations.id)";
        const TOKENS: &str = "UPDATE tokens SET revoked_at = $2 WHERE org_id = $1 AND revoked_at IS NULL";
        const AGENTS: &str =
            "UPDATE agents SET status = 'suspended', status_by = 'admin', display_name = 'Erased agent',
                callback_url = NULL, voice_callback_url = NULL, voice_settings = NULL WHERE org_id = $1";
        const SCHEDULED: &str = "DELETE FROM scheduled_sends WHERE org_id = $1 AND state = 'scheduled'";
        const MEMBERSHIPS: &str = "DELETE FROM memberships WHERE org_id = $1";
        const NOTICES: &str = "DELETE FROM account_notices WHERE org_id = $1";
        const INVITATIONS: &str = "DELETE FROM console_invitations WHERE org_id = $1";
        const MEMBERS: &str = "SELECT user_id FROM memberships WHERE org_id = $1";
        const FORGET: &str = "DELETE FROM users WHERE id = $1
            AND NOT EXISTS (SELECT 1 FROM memberships m WHERE m.user_id = users.id)";
        with_timeout(async {
            let mut tx = self.begin().await?;
            if !one_time_tokens::consume_in(&mut tx, hash, OneTimeKind::Erasure, now).await? {
                return Ok(false);
            }
            let done = in_tx!(&mut tx, |db| sqlx::query(ANONYMIZE)
                .bind(org.as_str())
                .bind(purge_at)
                .execute(db)
                .await?
                .rows_affected());
            if done == 0 {
                return Ok(false);
            }
            in_tx!(&mut tx, |db| {
                sqlx::query(TOKENS)
                    .bind(org.as_str())
                    .bind(now)
                    .execute(&mut *db)
                    .await?;
                for sql in [AGENTS, SCHEDULED, NOTICES, INVITATIONS] {
                    sqlx::query(sql).bind(org.as_str()).execute(&mut *db).await?;
                }
                let members: Vec<String> = sqlx::query_scalar(MEMBERS)
                    .bind(org.as_str())
                    .fetch_all(&mut *db)
                    .await?;
                sqlx::query(MEMBERSHIPS).bind(org.as_str()).execute(&mut *db).await?;
                for member in members {
                    sqlx::query(FORGET).bind(member).execute(&mut *db).await?;
                }
            });
            self.commit(tx).await?;
            Ok(true)
        })
        .await
    }
}
