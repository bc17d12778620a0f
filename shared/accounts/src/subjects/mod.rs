//! The rights of a person: access to everything that an organization has about the person, and its erasure. Both are durable jobs
//! (`walk.rs`) that any dispatcher continues. A legal hold stops erasure.

mod archive;
mod erase;
mod holds;
mod mentions;
mod person;
mod scrub;
mod step;
#[cfg(test)]
mod tests;
mod vendors;
mod walk;

use butt_dial_domain::{Address, Channel, Clock, Code, Failure, OrgId, clock::Timestamp, ids};
use butt_dial_messaging::{Carriers, media::Blobs};
use butt_dial_store::{
    AuditEntry, LegalHold, NewSubjectJob, SUBJECT_JOB_PREFIX, Store, SubjectJob, SubjectJobKind, SubjectReceipt,
};
use butt_dial_vault::Vault;
use chrono::TimeDelta;
use serde_json::{Value, json};

pub use holds::Hold;
pub(crate) use person::Person;
use step::Step;

/// How long archives are kept.
const ARCHIVE_TIME: TimeDelta = TimeDelta::days(7);
/// Webhook events stay in the stream for this time. Their texts are encrypted; reports of calls name the number.
const STREAM_TIME: TimeDelta = TimeDelta::days(7);
/// Receipts of an answer.
const MAX_RECEIPTS: u32 = 1_000;
/// Bytes of an answer with a part of an archive, except its last lines.
const ARCHIVE_PART: usize = 2 * 1024 * 1024;
const PARTS: u32 = 50;

/// A request about a person.
pub struct SubjectRequest<'a> {
    pub org: &'a OrgId,
    /// The id of the token.
    pub actor: &'a str,
    pub channel: Channel,
    pub contact: &'a Address,
}

/// The preview of an erasure.
pub struct ErasurePreview {
    /// The addresses of the person, with those that carriers have named together with the given one.
    pub addresses: usize,
    /// The steps of the erasure.
    pub steps: Vec<&'static str>,
    /// Forbids it.
    pub hold: Option<Hold>,
}

/// A job, as its organization sees it.
pub struct SubjectJobView {
    pub job: SubjectJob,
    /// Rows by step.
    pub progress: Value,
    pub receipts: Vec<SubjectReceipt>,
    /// Until then, the stream of webhook events may name the number of a caller.
    pub residue_until: Option<Timestamp>,
}

/// A part of an archive.
pub struct ArchivePart {
    /// JSON lines.
    pub lines: String,
    /// `None`: it is the last part.
    pub next: Option<i64>,
}

/// The jobs and holds of an installation. Cheap to clone.
#[derive(Clone)]
pub struct Subjects {
    store: Store,
    vault: Vault,
    clock: Clock,
    carriers: Carriers,
    /// `None`: attachments are not stored.
    blobs: Option<Blobs>,
}

impl Subjects {
    pub fn new(store: Store, vault: Vault, clock: Clock, carriers: Carriers, blobs: Option<Blobs>) -> Self {
        Self {
            store,
            vault,
            clock,
            carriers,
            blobs,
        }
    }

    /// Starts the export of everything about a person. Returns the id of the job.
    pub async fn start_access(&self, request: &SubjectRequest<'_>) -> Result<String, Failure> {
        self.start(request, SubjectJobKind::Access, "subject.access").await
    }

    /// Returns what an erasure would do.
    pub async fn preview_erasure(&self, request: &SubjectRequest<'_>) -> Result<ErasurePreview, Failure> {
        let person = Person::find(&self.store, &self.vault, request.org, request.contact).await?;
        let hold = self.store.find_hold(request.org, &person.hashes).await?;
        Ok(ErasurePreview {
            addresses: person.keys.len(),
            steps: Step::all(SubjectJobKind::Erase).map(Step::name).collect(),
            hold: hold.map(Hold::from),
        })
    }

    /// Starts the erasure of a person. Returns the id of the job. Fails with `Conflict` while a legal hold forbids it.
    pub async fn start_erasure(&self, request: &SubjectRequest<'_>) -> Result<String, Failure> {
        let person = Person::find(&self.store, &self.vault, request.org, request.contact).await?;
        if let Some(hold) = self.store.find_hold(request.org, &person.hashes).await? {
            return Err(held(&hold));
        }
        self.start(request, SubjectJobKind::Erase, "subject.erase").await
    }

    async fn start(&self, request: &SubjectRequest<'_>, kind: SubjectJobKind, action: &str) -> Result<String, Failure> {
        let person = Person::find(&self.store, &self.vault, request.org, request.contact).await?;
        let (id, now) = (format!("{SUBJECT_JOB_PREFIX}{}", ids::unique()), self.clock.now());
        let sealed = person.seal(&self.vault, request.org, &id);
        let first = Step::first().name();
        let new = NewSubjectJob {
            id: &id,
            org: request.org,
            kind,
            contact_hash: &person.hashes[0],
            subject: &sealed,
            actor: request.actor,
            step: first,
        };
        // The entry outlives the person's data: it names the job only.
        let entry = AuditEntry::new(Some(request.org), request.actor, action, &id, now);
        let entry = entry.with_detail(json!({ "channel": request.channel, "addresses": person.keys.len() }));
        self.store.change(entry).create_subject_job(&new, now).await?;
        Ok(id)
    }

    /// Returns a job of the organization. Fails with `NotFound`.
    pub async fn find_job(&self, org: &OrgId, id: &str) -> Result<SubjectJobView, Failure> {
        let job = self.store.find_subject_job(org, id).await?.ok_or_else(unknown_job)?;
        let receipts = self.store.list_subject_receipts(org, id, false, MAX_RECEIPTS).await?;
        Ok(SubjectJobView {
            progress: serde_json::from_str(&job.progress).unwrap_or_default(),
            residue_until: (job.kind == SubjectJobKind::Erase).then(|| job.created_at + STREAM_TIME),
            receipts,
            job,
        })
    }

    /// Returns a part of the archive of an access job, from the part with a number on. Fails with `NotFound`, and with `Conflict`
    /// while the job runs.
    pub async fn read_archive(&self, org: &OrgId, actor: &str, id: &str, from: i64) -> Result<ArchivePart, Failure> {
        let job = self.store.find_subject_job(org, id).await?.ok_or_else(unknown_job)?;
        if job.state == butt_dial_store::SubjectJobState::Running {
            return Err(Failure::new(Code::Conflict, "the archive is not complete yet")
                .hint("read the job until its state is done"));
        }
        let parts = self.store.list_subject_archive(org, id, from, PARTS).await?;
        if parts.is_empty() && from == 0 {
            return Err(unknown_job());
        }
        let (mut lines, mut next, count) = (String::new(), None, parts.len());
        for (index, (part, sealed)) in parts.into_iter().enumerate() {
            let plain = self.vault.decrypt(org, &archive::context(id, part), &sealed);
            let plain = plain.map_err(|error| {
                tracing::error!(%error, job = id, part, "part of an archive not decrypted");
                Failure::internal()
            })?;
            lines.push_str(&String::from_utf8_lossy(&plain));
            let is_last = index + 1 == count;
            if lines.len() >= ARCHIVE_PART || (is_last && count == PARTS as usize) {
                next = Some(part + 1);
                break;
            }
        }
        let entry = AuditEntry::new(Some(org), actor, "subject.archive_read", id, self.clock.now());
        self.store
            .append_audit(&entry.with_detail(json!({ "from": from, "next": next })))
            .await?;
        Ok(ArchivePart { lines, next })
    }

    /// Deletes archives that are too old. Returns the number of parts.
    pub async fn delete_old_archives(&self) -> Result<usize, Failure> {
        let deleted = self.store.delete_old_archives(self.clock.now() - ARCHIVE_TIME).await?;
        Ok(usize::try_from(deleted).unwrap_or(usize::MAX))
    }
}

/// Returns the refusal of an erasure during a hold.
pub(crate) fn held(hold: &LegalHold) -> Failure {
    Failure::new(
        Code::Conflict,
        format!("a legal hold forbids the erasure: {}", hold.reason),
    )
    .hint("release the hold first, if the law allows that")
    .detail("holdId", hold.id.clone())
}

fn unknown_job() -> Failure {
    Failure::new(Code::NotFound, "there is no such job, or its archive is deleted")
        .hint("archives are kept for seven days; start a new job")
}
