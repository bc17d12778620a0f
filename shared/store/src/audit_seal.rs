//! The reads and writes of the sealer of the audit logs. It appends under a lease, and moves the end of a log by compare-and-set: a log
//! can't fork, whatever process dies when. Entries get their places in the order of their commits, and never change them.

use butt_dial_domain::clock::Timestamp;
use serde::Serialize;
use sqlx::FromRow;

use crate::{
    AuditRow, LeafKind, LeafRow, LogHead, Store, StoreError,
    engine::{Sql, Tx, as_number, in_tx, on_reader, on_writer, with_timeout},
    inbound::json,
    sends::time_text,
};

/// A settled send that is in no log yet.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct UnsealedSend {
    pub id: String,
    pub org_id: String,
    pub agent_id: String,
    pub channel: String,
    pub sender: String,
    pub recipient: String,
    pub body_hash: String,
    pub status: String,
    pub carrier: String,
    pub carrier_id: Option<String>,
    pub carrier_status: Option<String>,
    pub failure: Option<String>,
    pub updated_at: Timestamp,
}

/// A hash above the leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRow {
    pub level: i64,
    pub n: i64,
    pub hash: Vec<u8>,
}

/// New entries of a log.
#[derive(Clone, Debug)]
pub struct SealedBatch {
    /// The end of the log that the entries follow.
    pub before: LogHead,
    /// In order; the first one has `before.size`.
    pub leaves: Vec<LeafRow>,
    pub nodes: Vec<NodeRow>,
}

#[derive(Serialize)]
struct HeadItem<'a> {
    log: &'a str,
    old_size: i64,
    old_chain: String,
    size: i64,
    chain: String,
}

#[derive(Serialize)]
struct LeafItem<'a> {
    log: &'a str,
    seq: i64,
    kind: &'static str,
    r#ref: &'a str,
    leaf: String,
    chain: String,
    at: String,
    entry: Option<&'a str>,
}

/// The place of a row in its log.
#[derive(Serialize)]
struct Place<'a> {
    r#ref: &'a str,
    seq: i64,
}

#[derive(Serialize)]
struct NodeItem<'a> {
    log: &'a str,
    level: i64,
    n: i64,
    hash: String,
}

#[derive(Serialize)]
struct NewLog<'a> {
    log: &'a str,
    chain: String,
}

impl Store {
    /// Leases these logs to a sealer until `until`, except those that another one holds. Creates missing logs with
    /// chains that begin with the given values. Returns the ends of the leased ones.
    pub async fn lease_logs(
        &self,
        logs: &[(String, Vec<u8>)],
        sealer: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<LogHead>, StoreError> {
        const CREATE: Sql = Sql {
            postgres: "INSERT INTO audit_logs (log, size, chain)
                SELECT value ->> 'log', 0, decode(value ->> 'chain', 'hex') FROM jsonb_array_elements($1::JSONB)
                ORDER BY 1 ON CONFLICT (log) DO NOTHING",
            sqlite: "INSERT INTO audit_logs (log, size, chain)
                SELECT value ->> 'log', 0, unhex(value ->> 'chain') FROM jsonb_each($1) WHERE true
                ON CONFLICT (log) DO NOTHING",
        };
        const LEASE: Sql = Sql {
            postgres: "WITH free AS MATERIALIZED (SELECT log FROM audit_logs
                    WHERE log = ANY (ARRAY(SELECT value ->> 'log' FROM jsonb_array_elements($1::JSONB)))
                        AND coalesce(sealer = $2 OR lease_until <= $3, TRUE)
                    ORDER BY log FOR NO KEY UPDATE SKIP LOCKED)
                UPDATE audit_logs AS l SET sealer = $2, lease_until = $4 FROM free WHERE l.log = free.log
                RETURNING l.log, l.size, l.chain, l.signed_size, l.signed_root, l.signed_at",
            sqlite: "UPDATE audit_logs SET sealer = $2, lease_until = $4
                WHERE log IN (SELECT value ->> 'log' FROM jsonb_each($1))
                    AND coalesce(sealer = $2 OR lease_until <= $3, TRUE)
                RETURNING log, size, chain, signed_size, signed_root, signed_at",
        };
        let items: Vec<NewLog<'_>> = logs
            .iter()
            .map(|(log, chain)| NewLog {
                log,
                chain: hex::encode(chain),
            })
            .collect();
        let items = json::text(&items)?;
        let (create, lease) = (self.sql(CREATE), self.sql(LEASE));
        on_writer!(self, |db| sqlx::query(create).bind(&items).execute(db).await.map(drop))?;
        Ok(on_writer!(self, |db| sqlx::query_as(lease)
            .bind(&items)
            .bind(sealer)
            .bind(now)
            .bind(until)
            .fetch_all(db)
            .await)?)
    }

    /// Lists the changes without a place among the oldest `limit`, except those of logs that another sealer has leased.
    pub async fn list_unsealed_changes(
        &self,
        sealer: &str,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<AuditRow>, StoreError> {
        const SQL: &str =
            "SELECT id, org_id, actor, actor_kind, action, target, detail, state_before, state_after, source,
                request_id, at, seq
            FROM (SELECT id, org_id, actor, actor_kind, action, target, detail, state_before, state_after, source,
                    request_id, at, seq
                FROM audit WHERE seq IS NULL ORDER BY at, id LIMIT $3) AS oldest
            WHERE coalesce(org_id, 'installation') NOT IN (
                SELECT log FROM audit_logs WHERE sealer <> $1 AND lease_until > $2)
            ORDER BY at, id";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(sealer)
            .bind(now)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }

    /// Lists the settled sends without a place among the oldest `limit`, except those of logs that another sealer has leased.
    pub async fn list_unsealed_sends(
        &self,
        sealer: &str,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<UnsealedSend>, StoreError> {
        const SQL: &str =
            "SELECT id, org_id, agent_id, channel, sender, recipient, body_hash, status, carrier, carrier_id,
                carrier_status, failure, updated_at
            FROM (SELECT id, org_id, agent_id, channel, sender, recipient, body_hash, status, carrier, carrier_id,
                    carrier_status, failure, updated_at
                FROM messages WHERE receipt_seq IS NULL AND status IN ('accepted', 'failed', 'unconfirmed')
                ORDER BY id LIMIT $3) AS oldest
            WHERE org_id NOT IN (SELECT log FROM audit_logs WHERE sealer <> $1 AND lease_until > $2)
            ORDER BY id";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(sealer)
            .bind(now)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }

    /// Appends entries to logs, all or nothing. Returns false, and changes nothing, when a log does not end where its batch
    /// begins, or a row has a place already: another sealer has appended to it.
    pub async fn append_leaves(&self, batches: &[SealedBatch]) -> Result<bool, StoreError> {
        with_timeout(async {
            let mut tx = self.begin().await?;
            if !move_heads(&mut tx, batches).await? {
                return Ok(false);
            }
            // First: another sealer can have given them places since they were read.
            let marked = mark_rows(&mut tx, batches).await?;
            if marked != batches.iter().map(|batch| batch.leaves.len() as u64).sum::<u64>() {
                return Ok(false);
            }
            insert_leaves(&mut tx, batches).await?;
            insert_nodes(&mut tx, batches).await?;
            tx.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Returns the time of the oldest change without a place, over all logs.
    pub async fn find_oldest_unsealed(&self) -> Result<Option<Timestamp>, StoreError> {
        const SQL: &str = "SELECT at FROM audit WHERE seq IS NULL ORDER BY at, id LIMIT 1";
        Ok(on_reader!(self, |db| sqlx::query_scalar(SQL).fetch_optional(db).await)?)
    }

    /// Returns when the oldest settled send without a place was settled, over all logs. Its message is the oldest, not its outcome.
    pub async fn find_oldest_unsealed_send(&self) -> Result<Option<Timestamp>, StoreError> {
        const SQL: &str = "SELECT updated_at FROM messages
            WHERE receipt_seq IS NULL AND status IN ('accepted', 'failed', 'unconfirmed') ORDER BY id LIMIT 1";
        Ok(on_reader!(self, |db| sqlx::query_scalar(SQL).fetch_optional(db).await)?)
    }
}

async fn move_heads(tx: &mut Tx, batches: &[SealedBatch]) -> Result<bool, StoreError> {
    const SQL: Sql = Sql {
        postgres: "UPDATE audit_logs AS l SET size = i.size, chain = decode(i.chain, 'hex')
            FROM jsonb_to_recordset($1::JSONB) AS i (log TEXT, old_size BIGINT, old_chain TEXT, size BIGINT, chain TEXT)
            WHERE l.log = i.log AND l.size = i.old_size AND l.chain = decode(i.old_chain, 'hex')",
        sqlite: "UPDATE audit_logs SET size = i.value ->> 'size', chain = unhex(i.value ->> 'chain')
            FROM jsonb_each($1) AS i WHERE audit_logs.log = i.value ->> 'log'
                AND audit_logs.size = i.value ->> 'old_size' AND audit_logs.chain = unhex(i.value ->> 'old_chain')",
    };
    let items: Vec<HeadItem<'_>> = batches
        .iter()
        .map(|batch| HeadItem {
            log: &batch.before.log,
            old_size: batch.before.size,
            old_chain: hex::encode(&batch.before.chain),
            size: batch.before.size + as_number(batch.leaves.len() as u64),
            chain: hex::encode(batch.leaves.last().map_or(&batch.before.chain, |leaf| &leaf.chain)),
        })
        .collect();
    let (sql, items) = (tx.sql(SQL), json::text(&items)?);
    let moved = in_tx!(tx, |db| sqlx::query(sql).bind(items).execute(db).await?.rows_affected());
    Ok(moved == batches.len() as u64)
}

async fn insert_leaves(tx: &mut Tx, batches: &[SealedBatch]) -> Result<(), StoreError> {
    const SQL: Sql = Sql {
        postgres: "INSERT INTO audit_leaves (log, seq, kind, ref, leaf, chain, at, entry)
            SELECT log, seq, kind, ref, decode(leaf, 'hex'), decode(chain, 'hex'), at, entry
            FROM jsonb_to_recordset($1::JSONB) AS i (log TEXT, seq BIGINT, kind TEXT, ref TEXT, leaf TEXT, chain TEXT,
                at TIMESTAMPTZ, entry TEXT)",
        sqlite: "INSERT INTO audit_leaves (log, seq, kind, ref, leaf, chain, at, entry)
            SELECT value ->> 'log', value ->> 'seq', value ->> 'kind', value ->> 'ref', unhex(value ->> 'leaf'),
                unhex(value ->> 'chain'), value ->> 'at', value ->> 'entry' FROM jsonb_each($1)",
    };
    let leaves = batches
        .iter()
        .flat_map(|batch| batch.leaves.iter().map(move |leaf| (batch, leaf)));
    let items: Vec<LeafItem<'_>> = leaves
        .map(|(batch, leaf)| LeafItem {
            log: &batch.before.log,
            seq: leaf.seq,
            kind: leaf.kind.into(),
            r#ref: &leaf.reference,
            leaf: hex::encode(&leaf.leaf),
            chain: hex::encode(&leaf.chain),
            at: time_text(leaf.at),
            entry: leaf.entry.as_deref(),
        })
        .collect();
    let (sql, items) = (tx.sql(SQL), json::text(&items)?);
    in_tx!(tx, |db| sqlx::query(sql).bind(items).execute(db).await.map(drop)?);
    Ok(())
}

/// Gives the rows of the leaves their places. Returns how many were without one.
async fn mark_rows(tx: &mut Tx, batches: &[SealedBatch]) -> Result<u64, StoreError> {
    const MARK_CHANGES: Sql = Sql {
        postgres: "UPDATE audit SET seq = i.seq FROM jsonb_to_recordset($1::JSONB) AS i (ref TEXT, seq BIGINT)
            WHERE audit.id = i.ref AND audit.seq IS NULL",
        sqlite: "UPDATE audit SET seq = i.value ->> 'seq' FROM jsonb_each($1) AS i
            WHERE audit.id = i.value ->> 'ref' AND audit.seq IS NULL",
    };
    const MARK_SENDS: Sql = Sql {
        postgres: "UPDATE messages SET receipt_seq = i.seq
            FROM jsonb_to_recordset($1::JSONB) AS i (ref TEXT, seq BIGINT)
            WHERE messages.id = i.ref AND messages.receipt_seq IS NULL",
        sqlite: "UPDATE messages SET receipt_seq = i.value ->> 'seq' FROM jsonb_each($1) AS i
            WHERE messages.id = i.value ->> 'ref' AND messages.receipt_seq IS NULL",
    };
    let mut marked = 0;
    for (kind, sql) in [(LeafKind::Change, MARK_CHANGES), (LeafKind::Send, MARK_SENDS)] {
        let leaves = batches.iter().flat_map(|batch| &batch.leaves);
        let places: Vec<Place<'_>> = leaves
            .filter(|leaf| leaf.kind == kind)
            .map(|leaf| Place {
                r#ref: &leaf.reference,
                seq: leaf.seq,
            })
            .collect();
        if !places.is_empty() {
            let (sql, places) = (tx.sql(sql), json::text(&places)?);
            marked += in_tx!(tx, |db| sqlx::query(sql)
                .bind(places)
                .execute(db)
                .await?
                .rows_affected());
        }
    }
    Ok(marked)
}

async fn insert_nodes(tx: &mut Tx, batches: &[SealedBatch]) -> Result<(), StoreError> {
    const SQL: Sql = Sql {
        postgres: "INSERT INTO audit_nodes (log, level, n, hash) SELECT log, level, n, decode(hash, 'hex')
            FROM jsonb_to_recordset($1::JSONB) AS i (log TEXT, level BIGINT, n BIGINT, hash TEXT)",
        sqlite: "INSERT INTO audit_nodes (log, level, n, hash)
            SELECT value ->> 'log', value ->> 'level', value ->> 'n', unhex(value ->> 'hash') FROM jsonb_each($1)",
    };
    let nodes = batches
        .iter()
        .flat_map(|batch| batch.nodes.iter().map(move |node| (batch, node)));
    let items: Vec<NodeItem<'_>> = nodes
        .map(|(batch, node)| NodeItem {
            log: &batch.before.log,
            level: node.level,
            n: node.n,
            hash: hex::encode(&node.hash),
        })
        .collect();
    if items.is_empty() {
        return Ok(());
    }
    let (sql, items) = (tx.sql(SQL), json::text(&items)?);
    in_tx!(tx, |db| sqlx::query(sql).bind(items).execute(db).await.map(drop)?);
    Ok(())
}
