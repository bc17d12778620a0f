//! The erasure of a person's rows. Contents are deleted, addresses are replaced by a keyed hash; rows that only serve the person are
//! deleted. Opt-outs stay, by the keyed hash, so that the person is not contacted again.

use butt_dial_domain::{OrgId, clock::Timestamp};
use serde::Serialize;
use serde_json::Value;

use crate::{
    JobAdvance, Store, StoreError, SubjectTable,
    engine::{Sql, Tx, in_tx, on_reader, on_writer, with_timeout},
    inbound::json,
};

/// A row to erase.
#[derive(Clone, Debug, Serialize)]
pub struct ErasedRow {
    pub id: String,
    /// The new data of an event, or the new contacts of a subscription.
    pub data: Option<Value>,
    /// The address of a window.
    pub address: Option<String>,
}

/// A resource of the person at a vendor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VendorResource {
    pub vendor: String,
    pub resource: String,
    /// `message`, `call` or `recording`.
    pub kind: String,
    pub channel: String,
    /// The organization's own address.
    pub own_address: String,
}

/// A resource at a vendor with the result of its deletion.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct SubjectReceipt {
    pub vendor: String,
    pub resource: String,
    pub kind: String,
    pub channel: String,
    pub own_address: String,
    /// `pending`, `deleted`, `missing`, `unsupported` or `failed`.
    pub state: String,
    pub tries: i64,
    pub updated_at: Timestamp,
}

/// A key of the person, with the text that replaces it.
#[derive(Clone, Debug, Serialize)]
pub struct ErasedKey {
    pub key: String,
    pub erased: String,
}

const fn with_rows(postgres: &'static str, sqlite: &'static str) -> Sql {
    Sql { postgres, sqlite }
}

// `$1`: the rows. `$2`: what replaces the address.
const SCHEDULED: Sql = with_rows(
    "UPDATE scheduled_sends AS s SET recipient = $2, contact = $2, request = NULL, idempotency_key = 'erased:' || s.id,
        request_hash = '', failure = coalesce(s.failure, 'CONTACT_OPTED_OUT'),
        state = CASE WHEN s.state IN ('scheduled', 'cancelled') THEN 'failed' ELSE s.state END
    FROM jsonb_array_elements($1::JSONB) AS item (value) WHERE s.id = value ->> 'id'",
    "UPDATE scheduled_sends SET recipient = $2, contact = $2, request = NULL, idempotency_key = 'erased:' || id,
        request_hash = '', failure = coalesce(failure, 'CONTACT_OPTED_OUT'),
        state = CASE WHEN state IN ('scheduled', 'cancelled') THEN 'failed' ELSE state END
    WHERE id IN (SELECT value ->> 'id' FROM json_each($1))",
);
const MESSAGES: Sql = with_rows(
    "UPDATE messages AS m SET recipient = $2, content = NULL, kept = NULL, fallback = NULL, failure_detail = NULL, thread_id = NULL,
        entity_id = NULL, idempotency_key = 'erased:' || m.id, request_hash = '', body_hash = ''
    FROM jsonb_array_elements($1::JSONB) AS item (value) WHERE m.id = value ->> 'id' AND m.check_at IS NULL",
    "UPDATE messages SET recipient = $2, content = NULL, kept = NULL, fallback = NULL, failure_detail = NULL, thread_id = NULL,
        entity_id = NULL, idempotency_key = 'erased:' || id, request_hash = '', body_hash = ''
    WHERE id IN (SELECT value ->> 'id' FROM json_each($1)) AND check_at IS NULL",
);
const EVENTS: Sql = with_rows(
    "UPDATE events AS e SET contact = $2, content = NULL, kept = NULL, ready_at = NULL, refetch_at = NULL, data = value -> 'data'
    FROM jsonb_array_elements($1::JSONB) AS item (value) WHERE e.id = value ->> 'id'",
    "UPDATE events SET contact = $2, content = NULL, kept = NULL, ready_at = NULL, refetch_at = NULL, data = item.value -> 'data'
    FROM json_each($1) AS item WHERE events.id = item.value ->> 'id'",
);
const CALLS: Sql = with_rows(
    "UPDATE calls AS c SET remote_number = $2, content = NULL, recording_url = NULL
    FROM jsonb_array_elements($1::JSONB) AS item (value) WHERE c.id = value ->> 'id'",
    "UPDATE calls SET remote_number = $2, content = NULL, recording_url = NULL
    WHERE id IN (SELECT value ->> 'id' FROM json_each($1))",
);
const SUBSCRIPTIONS: Sql = with_rows(
    "UPDATE inbound_subscriptions AS s SET contacts = value -> 'data'
    FROM jsonb_array_elements($1::JSONB) AS item (value) WHERE s.agent_id = value ->> 'id'",
    "UPDATE inbound_subscriptions SET contacts = item.value -> 'data'
    FROM json_each($1) AS item WHERE inbound_subscriptions.agent_id = item.value ->> 'id'",
);
const ATTEMPTS: Sql = with_rows(
    "UPDATE attempts AS a SET detail = NULL
    FROM jsonb_array_elements($1::JSONB) AS item (value) WHERE a.message_id = value ->> 'id'",
    "UPDATE attempts SET detail = NULL WHERE message_id IN (SELECT value ->> 'id' FROM json_each($1))",
);
const CONVERSATION_CONTACTS: Sql = with_rows(
    "DELETE FROM conversation_contacts AS o USING jsonb_array_elements($1::JSONB) AS item (value)
    WHERE o.conversation_id = value ->> 'id'",
    "DELETE FROM conversation_contacts WHERE conversation_id IN (SELECT value ->> 'id' FROM json_each($1))",
);
const CONVERSATIONS: Sql = with_rows(
    "DELETE FROM conversations AS c USING jsonb_array_elements($1::JSONB) AS item (value) WHERE c.id = value ->> 'id'",
    "DELETE FROM conversations WHERE id IN (SELECT value ->> 'id' FROM json_each($1))",
);
const BRIDGES: Sql = with_rows(
    "DELETE FROM call_bridges AS b USING jsonb_array_elements($1::JSONB) AS item (value) WHERE b.id = value ->> 'id'",
    "DELETE FROM call_bridges WHERE id IN (SELECT value ->> 'id' FROM json_each($1))",
);
const FILTERS: Sql = with_rows(
    "DELETE FROM inbound_filters AS f USING jsonb_array_elements($1::JSONB) AS item (value) WHERE f.id = value ->> 'id'",
    "DELETE FROM inbound_filters WHERE id IN (SELECT value ->> 'id' FROM json_each($1))",
);
const WINDOWS: Sql = with_rows(
    "DELETE FROM inbound_windows AS w USING jsonb_array_elements($1::JSONB) AS item (value)
    WHERE w.channel_id = value ->> 'id' AND w.address = value ->> 'address'",
    "DELETE FROM inbound_windows WHERE (channel_id, address) IN
        (SELECT value ->> 'id', value ->> 'address' FROM json_each($1))",
);
const REFUSALS: Sql = with_rows(
    "UPDATE refusals AS r SET recipient = '***'
    FROM jsonb_array_elements($1::JSONB) AS item (value) WHERE r.id = value ->> 'id'",
    "UPDATE refusals SET recipient = '***' WHERE id IN (SELECT value ->> 'id' FROM json_each($1))",
);
const RESOURCES: Sql = with_rows(
    "INSERT INTO subject_receipts (job_id, org_id, vendor, resource, kind, channel, own_address, state, tries, updated_at)
    SELECT $2, $3, value ->> 'vendor', value ->> 'resource', value ->> 'kind', value ->> 'channel', value ->> 'own_address',
        'pending', 0, $4
    FROM jsonb_array_elements($1::JSONB) AS item (value) ORDER BY 3, 4 ON CONFLICT DO NOTHING",
    "INSERT INTO subject_receipts (job_id, org_id, vendor, resource, kind, channel, own_address, state, tries, updated_at)
    SELECT $2, $3, value ->> 'vendor', value ->> 'resource', value ->> 'kind', value ->> 'channel', value ->> 'own_address',
        'pending', 0, $4
    FROM json_each($1) WHERE true ORDER BY 3, 4 ON CONFLICT DO NOTHING",
);

/// The statements of a table: those with the replacement, and those without.
fn statements(table: SubjectTable) -> (Option<Sql>, &'static [Sql]) {
    match table {
        SubjectTable::ScheduledSends => (Some(SCHEDULED), &[]),
        SubjectTable::Messages => (Some(MESSAGES), &[ATTEMPTS]),
        SubjectTable::Events => (Some(EVENTS), &[]),
        SubjectTable::Calls => (Some(CALLS), &[]),
        SubjectTable::Subscriptions => (None, &[SUBSCRIPTIONS]),
        SubjectTable::Conversations => (None, &[CONVERSATION_CONTACTS, CONVERSATIONS]),
        SubjectTable::Bridges => (None, &[BRIDGES]),
        SubjectTable::Filters => (None, &[FILTERS]),
        SubjectTable::Windows => (None, &[WINDOWS]),
        SubjectTable::Refusals => (None, &[REFUSALS]),
    }
}

// `$1`: the organization, `$2`: a key, `$3`: what replaces it.
const OF_KEY: &[&str] = &[
    // The state in force: a later grant ends a revocation that an earlier erasure has kept.
    "DELETE FROM consents WHERE org_id = $1 AND address = $3 AND EXISTS (SELECT 1 FROM consents c WHERE c.org_id = $1
        AND c.address = $2 AND c.channel = consents.channel AND c.updated_at >= consents.updated_at)",
    "INSERT INTO consents (org_id, channel, address, status, source, updated_at)
        SELECT org_id, channel, $3, status, source, updated_at FROM consents
        WHERE org_id = $1 AND address = $2 AND status = 'revoked' ORDER BY channel ON CONFLICT DO NOTHING",
    "UPDATE consent_events SET contact = $3, words = NULL, evidence = '{}' WHERE org_id = $1 AND contact = $2",
];
// `$1`: the organization, `$2`: a spelling, `$3`: what replaces its key.
const OF_SPELLING: &[&str] = &["INSERT INTO suppressions (org_id, channel, address, reason, created_at)
        SELECT org_id, channel, $3, CASE reason WHEN 'unreachable' THEN reason ELSE 'requested' END, created_at
        FROM suppressions WHERE org_id = $1 AND address = $2 ORDER BY channel ON CONFLICT DO NOTHING"];
// `$1`: the organization, `$2`: a key or a spelling.
const DELETED: &[&str] = &[
    "DELETE FROM suppressions WHERE org_id = $1 AND address = $2",
    "DELETE FROM consents WHERE org_id = $1 AND address = $2",
    "DELETE FROM consent_records WHERE org_id = $1 AND contact = $2",
    "DELETE FROM ai_disclosures WHERE org_id = $1 AND channel IN ('sms', 'whatsapp', 'email', 'line') AND contact = $2",
    "DELETE FROM contact_pauses WHERE org_id = $1 AND contact = $2",
    "DELETE FROM contact_identities WHERE org_id = $1 AND value = $2",
    "DELETE FROM trust_sessions WHERE contact = $2 AND agent_id IN (SELECT id FROM agents WHERE org_id = $1)",
    "DELETE FROM sender_bindings WHERE contact = $2 AND channel_id IN (SELECT id FROM channels WHERE org_id = $1)",
    "DELETE FROM conversation_contacts WHERE contact = $2 AND agent_id IN (SELECT id FROM agents WHERE org_id = $1)",
    "DELETE FROM challenges WHERE org_id = $1 AND (contact = $2 OR address = $2)",
];
// `$1`: the organization, `$2`: the keyed hash of a key.
const OF_HASH: &[&str] = &[
    "DELETE FROM subject_archives WHERE org_id = $1
        AND job_id IN (SELECT id FROM subject_jobs WHERE org_id = $1 AND contact_hash = $2)",
    "UPDATE subject_jobs SET state = 'failed', failure = 'the person is erased', subject = NULL
        WHERE org_id = $1 AND contact_hash = $2 AND kind = 'access' AND subject IS NOT NULL",
];

impl Store {
    /// Erases rows of a table, keeps the resources at vendors that are to be deleted, and writes the place of the job. `erased`
    /// replaces the address.
    pub async fn erase_subject_rows(
        &self,
        (org, table): (&OrgId, SubjectTable),
        rows: &[ErasedRow],
        resources: &[VendorResource],
        erased: &str,
        advance: &JobAdvance<'_>,
    ) -> Result<(), StoreError> {
        let (rows, resources) = (json::text(rows)?, json::text(resources)?);
        with_timeout(async {
            let mut tx = self.begin().await?;
            advance.write(&mut tx).await?;
            let (replacing, others) = statements(table);
            if let Some(sql) = replacing {
                let sql = tx.sql(sql);
                in_tx!(&mut tx, |db| sqlx::query(sql)
                    .bind(&rows)
                    .bind(erased)
                    .execute(db)
                    .await?
                    .rows_affected());
            }
            for sql in others {
                let sql = tx.sql(*sql);
                in_tx!(&mut tx, |db| sqlx::query(sql)
                    .bind(&rows)
                    .execute(db)
                    .await?
                    .rows_affected());
            }
            let sql = tx.sql(RESOURCES);
            in_tx!(&mut tx, |db| sqlx::query(sql)
                .bind(&resources)
                .bind(advance.job)
                .bind(org.as_str())
                .bind(advance.now)
                .execute(db)
                .await?
                .rows_affected());
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    /// Erases the person from the tables of contacts, and writes the place of the job. Revocations and suppressions stay, by the
    /// keyed hashes. `spellings` are other forms of the keys.
    pub async fn erase_subject_contact(
        &self,
        org: &OrgId,
        keys: &[ErasedKey],
        spellings: &[ErasedKey],
        hashes: &[String],
        advance: &JobAdvance<'_>,
    ) -> Result<(), StoreError> {
        with_timeout(async {
            let mut tx = self.begin().await?;
            advance.write(&mut tx).await?;
            for key in keys {
                run(&mut tx, OF_KEY, org, key).await?;
            }
            for spelling in keys.iter().chain(spellings) {
                run(&mut tx, OF_SPELLING, org, spelling).await?;
                for sql in DELETED {
                    in_tx!(&mut tx, |db| sqlx::query(*sql)
                        .bind(org.as_str())
                        .bind(&spelling.key)
                        .execute(db)
                        .await?
                        .rows_affected());
                }
            }
            for hash in hashes {
                for sql in OF_HASH {
                    in_tx!(&mut tx, |db| sqlx::query(*sql)
                        .bind(org.as_str())
                        .bind(hash)
                        .execute(db)
                        .await?
                        .rows_affected());
                }
            }
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    /// Deletes dead letters about the person, and writes the place of the job.
    pub async fn erase_subject_dead_letters(&self, ids: &[String], advance: &JobAdvance<'_>) -> Result<(), StoreError> {
        const SQL: &str = "DELETE FROM dead_letters WHERE id = $1";
        with_timeout(async {
            let mut tx = self.begin().await?;
            advance.write(&mut tx).await?;
            for id in ids {
                in_tx!(&mut tx, |db| sqlx::query(SQL)
                    .bind(id)
                    .execute(db)
                    .await?
                    .rows_affected());
            }
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    /// Lists the resources of a job at vendors, in the order of their ids; with `pending`, only those that are to be deleted.
    pub async fn list_subject_receipts(
        &self,
        org: &OrgId,
        job: &str,
        pending: bool,
        limit: u32,
    ) -> Result<Vec<SubjectReceipt>, StoreError> {
        const SQL: &str =
            "SELECT vendor, resource, kind, channel, own_address, state, tries, updated_at FROM subject_receipts
            WHERE job_id = $2 AND org_id = $1 AND ($3 = FALSE OR state = 'pending')
            ORDER BY tries, vendor, resource LIMIT $4";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .bind(job)
            .bind(pending)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }

    /// Notes the result of a deletion at a vendor.
    pub async fn note_subject_receipt(
        &self,
        job: &str,
        receipt: &SubjectReceipt,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE subject_receipts SET state = $4, tries = $5, updated_at = $6
            WHERE job_id = $1 AND vendor = $2 AND resource = $3";
        on_writer!(self, |db| sqlx::query(SQL)
            .bind(job)
            .bind(&receipt.vendor)
            .bind(&receipt.resource)
            .bind(&receipt.state)
            .bind(receipt.tries)
            .bind(now)
            .execute(db)
            .await
            .map(drop))?;
        Ok(())
    }

    /// Finds the account at a vendor that an own address belongs to. The outer `None`: the organization has no such address; the
    /// inner one: the installation's account.
    pub async fn find_account_of_sender(
        &self,
        org: &OrgId,
        address: &str,
    ) -> Result<Option<Option<String>>, StoreError> {
        const SQL: &str = "SELECT account_id FROM channels WHERE org_id = $1 AND address = $2 ORDER BY id LIMIT 1";
        Ok(on_reader!(self, |db| sqlx::query_scalar(SQL)
            .bind(org.as_str())
            .bind(address)
            .fetch_optional(db)
            .await)?)
    }
}

async fn run(tx: &mut Tx, statements: &[&'static str], org: &OrgId, key: &ErasedKey) -> Result<(), StoreError> {
    for sql in statements {
        in_tx!(tx, |db| sqlx::query(*sql)
            .bind(org.as_str())
            .bind(&key.key)
            .bind(&key.erased)
            .execute(db)
            .await?
            .rows_affected());
    }
    Ok(())
}
