//! The logs of the audit: leaves with their chain, the hashes above them, and checkpoints. A log is an organization, or the
//! installation. The sealer appends to it (`audit_seal.rs`).

use butt_dial_domain::clock::Timestamp;
use sqlx::FromRow;

use crate::{
    AuditRow, Store, StoreError,
    column::text_column,
    engine::{in_tx, on_reader, on_writer, with_timeout},
};

/// The log of rows without an organization.
pub const INSTALLATION_LOG: &str = "installation";

/// The end of a log.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct LogHead {
    pub log: String,
    pub size: i64,
    pub chain: Vec<u8>,
    pub signed_size: i64,
    pub signed_root: Option<Vec<u8>>,
    pub signed_at: Option<Timestamp>,
}

/// The kind of an entry of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum LeafKind {
    Change,
    Send,
}

text_column!(LeafKind, "audit_leaves", "kind");

/// An entry of a log.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct LeafRow {
    pub seq: i64,
    pub kind: LeafKind,
    /// The id of the audit row or of the message.
    #[sqlx(rename = "ref")]
    pub reference: String,
    pub leaf: Vec<u8>,
    pub chain: Vec<u8>,
    pub at: Timestamp,
    /// The canonical text of a send.
    pub entry: Option<String>,
}

/// A stored checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct CheckpointRow {
    pub size: i64,
    pub note: String,
    pub signed_at: Timestamp,
}

impl Store {
    /// Lists stored hashes of a log: leaves on level 0, roots of full tiles above.
    pub async fn list_log_hashes(
        &self,
        log: &str,
        level: i64,
        first: i64,
        count: i64,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        const LEAVES: &str =
            "SELECT leaf FROM audit_leaves WHERE log = $1 AND seq >= $2 AND seq < $3 AND $4 = 0 ORDER BY seq";
        const NODES: &str =
            "SELECT hash FROM audit_nodes WHERE log = $1 AND level = $4 AND n >= $2 AND n < $3 ORDER BY n";
        let sql = if level == 0 { LEAVES } else { NODES };
        Ok(on_reader!(self, |db| sqlx::query_scalar(sql)
            .bind(log)
            .bind(first)
            .bind(first.saturating_add(count))
            .bind(level)
            .fetch_all(db)
            .await)?)
    }

    /// Lists entries of a log from the place `first`.
    pub async fn list_leaves(&self, log: &str, first: i64, limit: u32) -> Result<Vec<LeafRow>, StoreError> {
        const SQL: &str = "SELECT seq, kind, ref, leaf, chain, at, entry FROM audit_leaves
            WHERE log = $1 AND seq >= $2 ORDER BY seq LIMIT $3";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(log)
            .bind(first)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }

    /// Lists the changes with places from `first` up to and without `end`.
    pub async fn list_sealed_changes(&self, log: &str, first: i64, end: i64) -> Result<Vec<AuditRow>, StoreError> {
        const SQL: &str =
            "SELECT id, org_id, actor, actor_kind, action, target, detail, state_before, state_after, source,
                request_id, at, seq
                FROM audit WHERE coalesce(org_id, 'installation') = $1 AND seq >= $2 AND seq < $3 ORDER BY seq";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(log)
            .bind(first)
            .bind(end)
            .fetch_all(db)
            .await)?)
    }

    /// Finds the first change with a place from `first` on.
    pub async fn find_sealed_change(&self, log: &str, first: i64) -> Result<Option<AuditRow>, StoreError> {
        const SQL: &str =
            "SELECT id, org_id, actor, actor_kind, action, target, detail, state_before, state_after, source,
                request_id, at, seq
                FROM audit WHERE coalesce(org_id, 'installation') = $1 AND seq >= $2 ORDER BY seq LIMIT 1";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(log)
            .bind(first)
            .fetch_optional(db)
            .await)?)
    }

    /// Finds the entry of a log about this row.
    pub async fn find_leaf(&self, log: &str, reference: &str) -> Result<Option<LeafRow>, StoreError> {
        const SQL: &str = "SELECT seq, kind, ref, leaf, chain, at, entry FROM audit_leaves WHERE ref = $2 AND log = $1";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(log)
            .bind(reference)
            .fetch_optional(db)
            .await)?)
    }

    pub async fn find_log_head(&self, log: &str) -> Result<Option<LogHead>, StoreError> {
        const SQL: &str = "SELECT log, size, chain, signed_size, signed_root, signed_at
            FROM audit_logs WHERE log = $1";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(log)
            .fetch_optional(db)
            .await)?)
    }

    /// Lists the logs in the order of their names, after `after`.
    pub async fn list_logs(&self, after: &str, limit: u32) -> Result<Vec<LogHead>, StoreError> {
        const SQL: &str = "SELECT log, size, chain, signed_size, signed_root, signed_at
            FROM audit_logs WHERE log > $1 ORDER BY log LIMIT $2";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }

    /// Stores a checkpoint, and that the log is signed up to its size. Returns false, and stores nothing, when another process has
    /// signed the log meanwhile.
    pub async fn record_checkpoint(
        &self,
        read: &LogHead,
        size: i64,
        root: &[u8],
        note: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const MOVE: &str = "UPDATE audit_logs SET signed_size = $2, signed_root = $3, signed_at = $4
            WHERE log = $1 AND signed_size = $5 AND size >= $2 AND $2 >= signed_size";
        const INSERT: &str = "INSERT INTO audit_checkpoints (log, size, note, signed_at) VALUES ($1, $2, $3, $4)
            ON CONFLICT (log, size) DO UPDATE SET note = excluded.note, signed_at = excluded.signed_at";
        with_timeout(async {
            let mut tx = self.begin().await?;
            let moved = in_tx!(&mut tx, |db| sqlx::query(MOVE)
                .bind(&read.log)
                .bind(size)
                .bind(root)
                .bind(now)
                .bind(read.signed_size)
                .execute(db)
                .await?
                .rows_affected());
            if moved == 0 {
                return Ok(false);
            }
            in_tx!(&mut tx, |db| sqlx::query(INSERT)
                .bind(&read.log)
                .bind(size)
                .bind(note)
                .bind(now)
                .execute(db)
                .await
                .map(drop)?);
            tx.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Lists the checkpoints of a log from the size `first`, smallest first.
    pub async fn list_checkpoints(&self, log: &str, first: i64, limit: u32) -> Result<Vec<CheckpointRow>, StoreError> {
        const SQL: &str =
            "SELECT size, note, signed_at FROM audit_checkpoints WHERE log = $1 AND size >= $2 ORDER BY size LIMIT $3";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(log)
            .bind(first)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }

    /// Lists logs with entries that no checkpoint includes, signed before `before` or never, after the log `after`.
    pub async fn list_unsigned_logs(
        &self,
        before: Timestamp,
        after: &str,
        limit: u32,
    ) -> Result<Vec<LogHead>, StoreError> {
        const SQL: &str = "SELECT log, size, chain, signed_size, signed_root, signed_at
            FROM audit_logs WHERE log > $1 AND size > signed_size AND (signed_at IS NULL OR signed_at < $2)
            ORDER BY log LIMIT $3";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(after)
            .bind(before)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }

    /// Stores the name and the public key of the installation's logs, unless it has some. Returns the stored ones.
    pub async fn register_audit_key(
        &self,
        name: &str,
        public_key: &[u8],
        now: Timestamp,
    ) -> Result<(String, Vec<u8>), StoreError> {
        const INSERT: &str = "INSERT INTO audit_keys (id, name, public_key, created_at) VALUES (1, $1, $2, $3)
            ON CONFLICT (id) DO NOTHING";
        const FIND: &str = "SELECT name, public_key FROM audit_keys WHERE id = 1";
        on_writer!(self, |db| sqlx::query(INSERT)
            .bind(name)
            .bind(public_key)
            .bind(now)
            .execute(db)
            .await
            .map(drop))?;
        Ok(on_writer!(self, |db| sqlx::query_as(FIND).fetch_one(db).await)?)
    }
}
