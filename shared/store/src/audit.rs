//! The audit log: administrative changes with their actor. Append-only. A row is written in the transaction of its change
//! (`change.rs`), and gets its place in the log later (`audit_log.rs`).

use std::time::Instant;

use butt_dial_domain::{OrgId, clock::Timestamp};
use chrono::SubsecRound as _;
use serde_json::{Map, Value};
use sqlx::types::Json;

use crate::{
    Origin, Store, StoreError,
    engine::{Sql, Tx, in_tx, on_list},
};

/// Digits of a second that both engines keep.
const MICROSECONDS: u16 = 6;

/// The kind of an actor, from its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum ActorKind {
    /// A person that has signed in.
    User,
    Token,
    /// The program itself.
    System,
    /// The operator of the installation, at its command line.
    Support,
}

impl ActorKind {
    fn of(actor: &str) -> Self {
        match actor.split('_').next() {
            Some("system") => Self::System,
            Some("operator") => Self::Support,
            Some("usr" | "ses") => Self::User,
            _ => Self::Token,
        }
    }
}

/// An administrative change.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct AuditEntry {
    /// `None`: it is about the installation.
    pub org_id: Option<String>,
    /// A token's id, `system` or `operator`.
    pub actor: String,
    /// `None`: an earlier release has written it.
    pub actor_kind: Option<String>,
    /// Noun and verb, such as `token.revoke`.
    pub action: String,
    pub target: String,
    #[sqlx(json)]
    pub detail: Value,
    #[sqlx(rename = "state_before", json(nullable))]
    pub before: Option<Value>,
    #[sqlx(rename = "state_after", json(nullable))]
    pub after: Option<Value>,
    /// A keyed hash of the network that the request came from.
    pub source: Option<String>,
    pub request_id: Option<String>,
    pub at: Timestamp,
}

impl AuditEntry {
    /// Builds an entry about an organization, or about the installation without one.
    pub fn new(org: Option<&OrgId>, actor: &str, action: &str, target: &str, at: Timestamp) -> Self {
        Self {
            org_id: org.map(OrgId::to_string),
            actor: actor.into(),
            actor_kind: Some(<&str>::from(ActorKind::of(actor)).into()),
            action: action.into(),
            target: target.into(),
            detail: Value::Object(Map::new()),
            before: None,
            after: None,
            source: None,
            request_id: None,
            at: at.trunc_subsecs(MICROSECONDS),
        }
    }

    #[must_use]
    pub fn with_detail(self, detail: Value) -> Self {
        Self { detail, ..self }
    }

    /// Adds a fact that is known only after the change.
    pub(crate) fn note(&mut self, name: &str, value: impl Into<Value>) {
        if let Some(detail) = self.detail.as_object_mut() {
            detail.insert(name.into(), value.into());
        }
    }
}

/// A row of the audit log.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct AuditRow {
    pub id: String,
    #[sqlx(flatten)]
    pub entry: AuditEntry,
    /// The place in the log. `None`: it has none yet.
    pub seq: Option<i64>,
}

/// Which rows of the audit log are listed. `None` matches every value.
#[derive(Clone, Copy, Debug, Default)]
pub struct AuditFilter<'a> {
    pub actor: Option<&'a str>,
    pub action: Option<&'a str>,
    pub target: Option<&'a str>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// The last row of the page before.
    pub before: Option<(Timestamp, &'a str)>,
}

/// Appends an entry as part of a transaction.
pub(crate) async fn append_in(tx: &mut Tx, entry: &AuditEntry) -> Result<(), sqlx::Error> {
    const SQL: &str =
        "INSERT INTO audit (id, org_id, actor, actor_kind, action, target, detail, state_before, state_after,
            source, request_id, at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    let id = format!("aud_{}", butt_dial_domain::ids::unique());
    let origin = Origin::current();
    let mut detail = entry.detail.clone();
    if let (Some(via), Some(fields)) = (origin.via, detail.as_object_mut()) {
        fields.insert("via".into(), via.into());
    }
    in_tx!(tx, |db| sqlx::query(SQL)
        .bind(&id)
        .bind(&entry.org_id)
        .bind(&entry.actor)
        .bind(&entry.actor_kind)
        .bind(&entry.action)
        .bind(&entry.target)
        .bind(Json(&detail))
        .bind(entry.before.as_ref().map(Json))
        .bind(entry.after.as_ref().map(Json))
        .bind(entry.source.as_ref().or(origin.source.as_ref()))
        .bind(entry.request_id.as_ref().or(origin.request_id.as_ref()))
        .bind(entry.at)
        .execute(db)
        .await
        .map(drop))
}

impl Store {
    /// Appends an entry about something that changes no row: an order at a vendor, or a decision.
    pub async fn append_audit(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        crate::engine::with_timeout(async {
            let mut tx = self.begin().await?;
            append_in(&mut tx, entry).await?;
            tx.commit().await?;
            Ok::<(), StoreError>(())
        })
        .await?;
        // The change itself was written before.
        if let Some(org) = &entry.org_id {
            self.changes.note(org);
        }
        Ok(())
    }

    /// Returns whether this process has changed the organization since `read_at`: what was cached then may be outdated.
    pub fn has_changed_since(&self, org: &OrgId, read_at: Instant) -> bool {
        self.changes.has_changed_since(org, read_at)
    }

    /// Lists the newest rows about the organization, or about the installation without one, newest first.
    pub async fn list_audit(
        &self,
        org: Option<&OrgId>,
        filter: AuditFilter<'_>,
        limit: u32,
    ) -> Result<Vec<AuditRow>, StoreError> {
        const OF_ORG: Sql = Sql {
            postgres: "SELECT id, org_id, actor, actor_kind, action, target, detail, state_before, state_after,
                source, request_id, at, seq
                FROM audit WHERE org_id = $1 AND ($2::TEXT IS NULL OR actor = $2)
                AND ($3::TEXT IS NULL OR action = $3) AND ($4::TEXT IS NULL OR target = $4)
                AND at >= coalesce($5, '-infinity'::TIMESTAMPTZ) AND at < coalesce($6, 'infinity'::TIMESTAMPTZ)
                AND ($7::TIMESTAMPTZ IS NULL OR (at, id) < ($7, $8)) ORDER BY at DESC, id DESC LIMIT $9",
            sqlite: "SELECT id, org_id, actor, actor_kind, action, target, detail, state_before, state_after, source,
                request_id, at, seq
                FROM audit WHERE org_id = $1 AND ($2 IS NULL OR actor = $2) AND ($3 IS NULL OR action = $3)
                AND ($4 IS NULL OR target = $4) AND at >= coalesce($5, '') AND at < coalesce($6, '~')
                AND ($7 IS NULL OR (at, id) < ($7, $8)) ORDER BY at DESC, id DESC LIMIT $9",
        };
        const OF_INSTALLATION: Sql = Sql {
            postgres: "SELECT id, org_id, actor, actor_kind, action, target, detail, state_before, state_after,
                source, request_id, at, seq
                FROM audit WHERE org_id IS NULL AND $1::TEXT IS NULL AND ($2::TEXT IS NULL OR actor = $2)
                AND ($3::TEXT IS NULL OR action = $3) AND ($4::TEXT IS NULL OR target = $4)
                AND at >= coalesce($5, '-infinity'::TIMESTAMPTZ) AND at < coalesce($6, 'infinity'::TIMESTAMPTZ)
                AND ($7::TIMESTAMPTZ IS NULL OR (at, id) < ($7, $8)) ORDER BY at DESC, id DESC LIMIT $9",
            sqlite: "SELECT id, org_id, actor, actor_kind, action, target, detail, state_before, state_after, source,
                request_id, at, seq
                FROM audit WHERE org_id IS NULL AND $1 IS NULL AND ($2 IS NULL OR actor = $2)
                AND ($3 IS NULL OR action = $3) AND ($4 IS NULL OR target = $4) AND at >= coalesce($5, '')
                AND at < coalesce($6, '~') AND ($7 IS NULL OR (at, id) < ($7, $8)) ORDER BY at DESC, id DESC LIMIT $9",
        };
        let sql = self.sql(if org.is_some() { OF_ORG } else { OF_INSTALLATION });
        Ok(on_list!(self, |db| {
            sqlx::query_as(sql)
                .bind(org.map(OrgId::as_str))
                .bind(filter.actor)
                .bind(filter.action)
                .bind(filter.target)
                .bind(filter.since)
                .bind(filter.until)
                .bind(filter.before.map(|(at, _)| at))
                .bind(filter.before.map(|(_, id)| id))
                .bind(i64::from(limit))
                .fetch_all(db)
                .await
        })?)
    }
}
