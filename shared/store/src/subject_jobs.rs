//! Jobs about one person: claimed under a lease, with the place that they have reached. Each page of work and its place are written in
//! one transaction, which fails when the claim is lost or a legal hold is put meanwhile.

use butt_dial_domain::{OrgId, clock::Timestamp};
use sqlx::FromRow;

use crate::{
    Change, Store, StoreError,
    change::on_change,
    column::text_column,
    engine::{Sql, Tx, in_tx, on_reader, on_writer, with_timeout},
};

/// The ids of jobs begin with it.
pub const SUBJECT_JOB_PREFIX: &str = "sbj_";

#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum SubjectJobKind {
    /// Exports everything about the person.
    Access,
    Erase,
}

text_column!(SubjectJobKind, "subject_jobs", "kind");

#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum SubjectJobState {
    Running,
    Done,
    Failed,
}

text_column!(SubjectJobState, "subject_jobs", "state");

/// A stored job.
#[derive(Clone, FromRow)]
pub struct SubjectJob {
    pub id: String,
    org_id: String,
    pub kind: SubjectJobKind,
    pub state: SubjectJobState,
    pub contact_hash: String,
    /// Encrypted; `None` once the job has ended.
    pub subject: Option<Vec<u8>>,
    pub actor: String,
    pub step: String,
    /// JSON.
    pub place: String,
    /// JSON: rows by step.
    pub progress: String,
    pub failure: Option<String>,
    pub fence: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub finished_at: Option<Timestamp>,
}

impl SubjectJob {
    pub fn org(&self) -> OrgId {
        OrgId::from(self.org_id.as_str())
    }
}

/// A job to store.
pub struct NewSubjectJob<'a> {
    pub id: &'a str,
    pub org: &'a OrgId,
    pub kind: SubjectJobKind,
    pub contact_hash: &'a str,
    /// Encrypted.
    pub subject: &'a [u8],
    pub actor: &'a str,
    pub step: &'a str,
}

/// How far a job is after a page.
#[derive(Clone, Debug)]
pub struct JobAdvance<'a> {
    pub job: &'a str,
    /// Of the claim.
    pub fence: i64,
    pub step: &'a str,
    pub place: &'a str,
    pub progress: &'a str,
    pub lease_until: Timestamp,
    pub now: Timestamp,
}

impl JobAdvance<'_> {
    /// Writes the place. Fails with `Conflict` when the claim is lost, or when a hold forbids the erasure.
    pub(crate) async fn write(&self, tx: &mut Tx) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE subject_jobs SET step = $3, place = $4, progress = $5, lease_until = $6, updated_at = $7
            WHERE id = $1 AND fence = $2 AND state = 'running' AND (kind = 'access' OR NOT EXISTS (SELECT 1 FROM legal_holds h
                WHERE h.org_id = subject_jobs.org_id AND h.contact_hash IN ('*', subject_jobs.contact_hash)))";
        let done = in_tx!(tx, |db| sqlx::query(SQL)
            .bind(self.job)
            .bind(self.fence)
            .bind(self.step)
            .bind(self.place)
            .bind(self.progress)
            .bind(self.lease_until)
            .bind(self.now)
            .execute(db)
            .await?
            .rows_affected());
        match done {
            0 => Err(StoreError::Conflict),
            _ => Ok(()),
        }
    }
}

impl Store {
    /// Claims the running job that is due the longest until `until`. If this process dies, another one claims it after that.
    pub async fn claim_subject_job(&self, now: Timestamp, until: Timestamp) -> Result<Option<SubjectJob>, StoreError> {
        const SQL: Sql = Sql {
            postgres: "WITH due AS MATERIALIZED (SELECT id FROM subject_jobs WHERE state = 'running' AND lease_until <= $1
                    ORDER BY lease_until LIMIT 1 FOR UPDATE SKIP LOCKED)
                UPDATE subject_jobs AS j SET lease_until = $2, fence = fence + 1 FROM due WHERE j.id = due.id
                RETURNING j.id, j.org_id, j.kind, j.state, j.contact_hash, j.subject, j.actor, j.step, j.place, j.progress,
                    j.failure, j.fence, j.created_at, j.updated_at, j.finished_at",
            sqlite: "UPDATE subject_jobs SET lease_until = $2, fence = fence + 1 WHERE id IN
                (SELECT id FROM subject_jobs WHERE state = 'running' AND lease_until <= $1 ORDER BY lease_until LIMIT 1)
                RETURNING id, org_id, kind, state, contact_hash, subject, actor, step, place, progress, failure, fence,
                    created_at, updated_at, finished_at",
        };
        let sql = self.sql(SQL);
        Ok(on_writer!(self, |db| sqlx::query_as(sql)
            .bind(now)
            .bind(until)
            .fetch_optional(db)
            .await)?)
    }

    /// Finds a job of the organization.
    pub async fn find_subject_job(&self, org: &OrgId, id: &str) -> Result<Option<SubjectJob>, StoreError> {
        const SQL: &str =
            "SELECT id, org_id, kind, state, contact_hash, subject, actor, step, place, progress, failure, fence,
                created_at, updated_at, finished_at
            FROM subject_jobs WHERE id = $2 AND org_id = $1";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .bind(id)
            .fetch_optional(db)
            .await)?)
    }

    /// Writes the place of a job without other work.
    pub async fn advance_subject_job(&self, advance: &JobAdvance<'_>) -> Result<(), StoreError> {
        with_timeout(async {
            let mut tx = self.begin().await?;
            advance.write(&mut tx).await?;
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    /// Appends a part to the archive of a job, and writes the place. A part that exists already stays.
    pub async fn append_subject_archive(
        &self,
        (org, part): (&OrgId, i64),
        lines: &[u8],
        advance: &JobAdvance<'_>,
    ) -> Result<(), StoreError> {
        const SQL: &str =
            "INSERT INTO subject_archives (job_id, part, org_id, lines, created_at) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT DO NOTHING";
        with_timeout(async {
            let mut tx = self.begin().await?;
            advance.write(&mut tx).await?;
            in_tx!(&mut tx, |db| sqlx::query(SQL)
                .bind(advance.job)
                .bind(part)
                .bind(org.as_str())
                .bind(lines)
                .bind(advance.now)
                .execute(db)
                .await?
                .rows_affected());
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    /// Lists parts of the archive of a job from `part` on, encrypted.
    pub async fn list_subject_archive(
        &self,
        org: &OrgId,
        job: &str,
        part: i64,
        limit: u32,
    ) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
        const SQL: &str = "SELECT part, lines FROM subject_archives
            WHERE job_id = $2 AND org_id = $1 AND part >= $3 ORDER BY part LIMIT $4";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .bind(job)
            .bind(part)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }

    /// Deletes archives from before a time. Returns the number of parts.
    pub async fn delete_old_archives(&self, before: Timestamp) -> Result<u64, StoreError> {
        const SQL: &str = "DELETE FROM subject_archives WHERE created_at < $1";
        Ok(on_writer!(self, |db| sqlx::query(SQL)
            .bind(before)
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?)
    }
}

impl Change {
    /// Stores a job, due at once.
    pub async fn create_subject_job(&self, new: &NewSubjectJob<'_>, now: Timestamp) -> Result<(), StoreError> {
        const SQL: &str =
            "INSERT INTO subject_jobs (id, org_id, kind, state, contact_hash, subject, actor, step, place, progress,
                fence, lease_until, created_at, updated_at)
            VALUES ($1, $2, $3, 'running', $4, $5, $6, $7, '{}', '{}', 0, $8, $8, $8)";
        on_change!(self, |db| {
            sqlx::query(SQL)
                .bind(new.id)
                .bind(new.org.as_str())
                .bind(<&str>::from(new.kind))
                .bind(new.contact_hash)
                .bind(new.subject)
                .bind(new.actor)
                .bind(new.step)
                .bind(now)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(())
    }

    /// Ends a job, as failed when there is a `failure`. Returns false when the claim is lost.
    pub async fn end_subject_job(
        &self,
        (job, fence): (&str, i64),
        failure: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str =
            "UPDATE subject_jobs SET state = CASE WHEN $3 IS NULL THEN 'done' ELSE 'failed' END, failure = $3,
                subject = NULL, updated_at = $4, finished_at = $4
            WHERE id = $1 AND fence = $2 AND state = 'running'";
        let done = on_change!(self, |db| {
            sqlx::query(SQL)
                .bind(job)
                .bind(fence)
                .bind(failure)
                .bind(now)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(done > 0)
    }
}
