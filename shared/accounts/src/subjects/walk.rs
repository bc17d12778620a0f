//! The work on jobs: claimed under a lease, page by page. Each page and the place after it are written together, so that a job continues
//! where a process died.

use butt_dial_domain::Failure;
use butt_dial_store::{AuditEntry, JobAdvance, StoreError, SubjectJob, SubjectJobKind, SubjectRow, SubjectTable};
use chrono::TimeDelta;
use serde_json::{Map, Value, json};

use super::{
    Person, Subjects,
    step::{Place, Step},
};
use crate::audit::SYSTEM;

/// Longer than one page takes.
const LEASE: TimeDelta = TimeDelta::seconds(120);
/// Pages of one run. The next run of the sweep continues, so that a process can stop between two runs.
const PAGES: usize = 200;
/// Before rows that another process worked on are looked at again.
pub(super) const RETRY: TimeDelta = TimeDelta::seconds(30);
/// Rows of a page.
pub(super) const PAGE: u32 = 500;

/// A job in progress.
pub(super) struct Work {
    pub job: SubjectJob,
    pub person: Person,
    pub step: Step,
    pub place: Place,
    /// Rows by step.
    pub progress: Map<String, Value>,
    /// The job continues after this time.
    pub pause: Option<TimeDelta>,
    pub is_done: bool,
}

/// The rows of a page that are about the person.
pub(super) struct Page {
    pub table: SubjectTable,
    pub rows: Vec<SubjectRow>,
}

impl Work {
    /// Counts rows of the step in progress.
    pub fn count(&mut self, rows: usize) {
        self.progress_of(self.step.name(), rows);
    }

    /// Counts rows of a step, which may have ended.
    pub fn progress_of(&mut self, step: &'static str, rows: usize) {
        let counted = self.progress.entry(step).or_insert_with(|| json!(0));
        let sum = counted.as_u64().unwrap_or(0).saturating_add(rows as u64);
        *counted = json!(sum);
    }

    /// Moves to the next step; the last one ends the job.
    pub fn finish_step(&mut self) {
        let part = self.place.part;
        match self.step.next(self.job.kind) {
            Some(next) => {
                (self.step, self.place) = (
                    next,
                    Place {
                        part,
                        ..Place::default()
                    },
                )
            }
            None => self.is_done = true,
        }
    }

    /// Ends the step if the page was its last one: `read_page` clears the scope then. Rows that were left out are read again later.
    pub fn close_page(&mut self) {
        match self.place.scope.is_empty() {
            true if self.place.has_open => self.repeat_step(),
            true => self.finish_step(),
            false => {}
        }
    }

    /// Reads the step again later.
    fn repeat_step(&mut self) {
        self.place = Place {
            part: self.place.part,
            ..Place::default()
        };
        self.pause = Some(RETRY);
    }
}

/// The texts of an advance, which borrows them.
pub(super) struct Written {
    place: String,
    progress: String,
}

impl Subjects {
    /// Continues the jobs that are due. Returns how many.
    pub async fn run_due(&self) -> Result<usize, Failure> {
        let mut count = 0;
        while let Some(job) = self.claim().await? {
            count += 1;
            if let Some(mut work) = self.run_pages(job, PAGES).await? {
                work.pause = Some(TimeDelta::zero());
                match self.advance(&work).await {
                    Ok(()) => return Ok(count),
                    Err(StoreError::Conflict) => self.conclude_conflict(&work).await?,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(count)
    }

    /// Claims the job that is due the longest.
    pub(super) async fn claim(&self) -> Result<Option<SubjectJob>, Failure> {
        let now = self.clock.now();
        Ok(self.store.claim_subject_job(now, now + LEASE).await?)
    }

    /// Continues a claimed job for at most this number of pages. Returns it if it can continue at once.
    pub(super) async fn run_pages(&self, job: SubjectJob, pages: usize) -> Result<Option<Work>, Failure> {
        let opened = Person::open(&self.vault, &job).zip(Step::parse(job.kind, &job.step));
        let Some((person, step)) = opened else {
            self.end(&job, &Map::new(), Some("the job can't be read")).await?;
            return Ok(None);
        };
        let mut work = Work {
            place: serde_json::from_str(&job.place).unwrap_or_default(),
            progress: serde_json::from_str(&job.progress).unwrap_or_default(),
            person,
            step,
            job,
            pause: None,
            is_done: false,
        };
        for _ in 0..pages {
            match self.run_page(&mut work).await {
                Ok(()) if work.is_done => {
                    self.end(&work.job, &work.progress, None).await?;
                    return Ok(None);
                }
                Ok(()) if work.pause.is_some() => return Ok(None),
                Ok(()) => {}
                Err(StoreError::Conflict) => {
                    self.conclude_conflict(&work).await?;
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(work))
    }

    /// Ends a job that a hold forbids. Otherwise another process has claimed it.
    async fn conclude_conflict(&self, work: &Work) -> Result<(), Failure> {
        let hold = self.store.find_hold(&work.job.org(), &work.person.hashes).await?;
        if let Some(hold) = hold.filter(|_| work.job.kind == SubjectJobKind::Erase) {
            let failure = format!("a legal hold forbids the erasure: {}", hold.id);
            self.end(&work.job, &work.progress, Some(&failure)).await?;
        }
        Ok(())
    }

    async fn end(&self, job: &SubjectJob, progress: &Map<String, Value>, failure: Option<&str>) -> Result<(), Failure> {
        let now = self.clock.now();
        let action = match job.kind {
            SubjectJobKind::Access => "subject.access_end",
            SubjectJobKind::Erase => "subject.erase_end",
        };
        let entry = AuditEntry::new(Some(&job.org()), SYSTEM, action, &job.id, now);
        let change = self
            .store
            .change(entry.with_detail(json!({ "failure": failure, "rows": progress })));
        change.end_subject_job((&job.id, job.fence), failure, now).await?;
        Ok(())
    }

    async fn run_page(&self, work: &mut Work) -> Result<(), StoreError> {
        match (work.job.kind, work.step) {
            (_, Step::Table(table)) => {
                let Some(page) = self.read_page(work, table).await? else {
                    return self.advance(work).await;
                };
                match work.job.kind {
                    SubjectJobKind::Access => self.archive_rows(work, page).await,
                    SubjectJobKind::Erase => self.erase_rows(work, page).await,
                }
            }
            (SubjectJobKind::Access, _) => self.archive_contact(work).await,
            (_, Step::DeadLetters) => self.erase_dead_letters(work).await,
            (_, Step::Grants) => self.erase_grants(work).await,
            (_, Step::Alerts) => self.erase_alerts(work).await,
            (_, Step::Tasks) => self.erase_tasks(work).await,
            (_, Step::Contact) => self.erase_contact(work).await,
            (_, Step::Vendors) => self.delete_at_vendors(work).await,
        }
    }

    /// Reads the next page of a table, and moves the place behind it. `None`: the table has no more pages.
    async fn read_page(&self, work: &mut Work, table: SubjectTable) -> Result<Option<Page>, StoreError> {
        let org = work.job.org();
        if work.place.scope.is_empty() {
            match self.store.find_next_scope(&org, table.scope(), "").await? {
                Some(scope) => (work.place.scope, work.place.after) = (scope, table.start().to_owned()),
                None => {
                    work.finish_step();
                    return Ok(None);
                }
            }
        }
        let place = &work.place;
        let mut rows = self
            .store
            .list_subject_rows(table, &place.scope, &place.after, PAGE)
            .await?;
        match rows.last().filter(|_| rows.len() == PAGE as usize) {
            Some(last) => work.place.after.clone_from(&last.place),
            None => match self.store.find_next_scope(&org, table.scope(), &place.scope).await? {
                Some(scope) => (work.place.scope, work.place.after) = (scope, table.start().to_owned()),
                None => work.place.scope.clear(),
            },
        }
        rows.retain(|row| work.person.is_in(&self.vault, &org, table, row));
        Ok(Some(Page { table, rows }))
    }

    pub(super) fn written(work: &Work) -> Written {
        Written {
            // Consist of strings and numbers, so serialization cannot fail.
            place: serde_json::to_string(&work.place).unwrap_or_default(),
            progress: Value::Object(work.progress.clone()).to_string(),
        }
    }

    pub(super) fn advance_of<'a>(&self, work: &'a Work, written: &'a Written) -> JobAdvance<'a> {
        let now = self.clock.now();
        JobAdvance {
            job: &work.job.id,
            fence: work.job.fence,
            step: work.step.name(),
            place: &written.place,
            progress: &written.progress,
            lease_until: now + work.pause.unwrap_or(LEASE),
            now,
        }
    }

    /// Writes the place without other work.
    pub(super) async fn advance(&self, work: &Work) -> Result<(), StoreError> {
        let written = Self::written(work);
        self.store.advance_subject_job(&self.advance_of(work, &written)).await
    }
}
