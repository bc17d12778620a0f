//! Jobs that another process continues after each page, and holds that end them.

use butt_dial_messaging::testing::Bench;
use butt_dial_store::{ConsentStatus, SubjectJobState};

use super::*;

const ANN: &str = "+14155550007";
/// Longer than a claim.
const EXPIRY: TimeDelta = TimeDelta::seconds(121);

struct World {
    bench: Bench,
}

impl World {
    /// A bench with more events than a page has, one of them of Ann, who has opted out.
    async fn new() -> Self {
        let clock = Clock::manual(Timestamp::from_timestamp(1_764_410_400, 0).unwrap());
        let bench = Bench::at(Carriers::default(), clock).await;
        bench.log("message.received", walk::PAGE as usize + 20, 10).await;
        let (org, now) = (&bench.agent.org_id, bench.clock.now());
        let stop = bench
            .store
            .record_consent(org, Channel::Sms, ANN, false, "keyword", now);
        stop.await.unwrap();
        Self { bench }
    }

    /// A handle as another process has it.
    fn subjects(&self) -> Subjects {
        let bench = &self.bench;
        Subjects::new(
            bench.store.clone(),
            bench.vault.clone(),
            bench.clock.clone(),
            Carriers::default(),
            None,
        )
    }

    async fn start(&self, kind: SubjectJobKind) -> String {
        let contact = Address::known(Channel::Sms, ANN);
        let request = SubjectRequest {
            org: &self.bench.agent.org_id,
            actor: "tok_1",
            channel: Channel::Sms,
            contact: &contact,
        };
        let subjects = self.subjects();
        let started = match kind {
            SubjectJobKind::Access => subjects.start_access(&request).await,
            SubjectJobKind::Erase => subjects.start_erasure(&request).await,
        };
        started.unwrap()
    }

    async fn state(&self, id: &str) -> SubjectJobView {
        self.subjects().find_job(&self.bench.agent.org_id, id).await.unwrap()
    }

    /// Runs one page, and keeps the claim.
    async fn run_page(&self) {
        let subjects = self.subjects();
        let job = subjects.claim().await.unwrap().expect("a job that is due");
        drop(subjects.run_pages(job, 1).await.unwrap());
    }

    /// Runs the job one page at a time, each in a process that dies after it. Returns the number of pages.
    async fn run_in_dying_processes(&self, id: &str) -> usize {
        let mut pages = 0;
        while self.state(id).await.job.state == SubjectJobState::Running {
            self.run_page().await;
            self.bench.clock.advance(EXPIRY);
            pages += 1;
            assert!(pages < 100, "the job makes no progress");
        }
        pages
    }

    /// Counts the events that have a text.
    async fn texts(&self) -> usize {
        let events = self
            .bench
            .store
            .list_events(&self.bench.agent.id, 0, 1_000)
            .await
            .unwrap();
        events.iter().filter(|event| event.content.is_some()).count()
    }
}

#[tokio::test]
async fn erasure_continues_after_each_killed_process() {
    let world = World::new().await;
    let before = world.texts().await;
    let id = world.start(SubjectJobKind::Erase).await;
    let pages = world.run_in_dying_processes(&id).await;
    assert!(pages > Step::all(SubjectJobKind::Erase).count(), "{pages} pages");
    let view = world.state(&id).await;
    assert_eq!((view.job.state, view.job.subject), (SubjectJobState::Done, None));
    assert_eq!(view.progress["events"], 1, "{}", view.progress);
    assert_eq!(world.texts().await, before - 1, "one event has no text any more");
    let consent = world
        .bench
        .store
        .find_consent(&world.bench.agent.org_id, Channel::Sms, ANN)
        .await;
    assert_eq!(consent.unwrap().map(|found| found.status), Some(ConsentStatus::Revoked));
}

#[tokio::test]
async fn archive_has_each_row_once_after_killed_processes() {
    let world = World::new().await;
    let id = world.start(SubjectJobKind::Access).await;
    let org = &world.bench.agent.org_id;
    let early = world.subjects().read_archive(org, "tok_1", &id, 0).await;
    assert_eq!(early.err().map(|failure| failure.code), Some(Code::Conflict));
    world.run_in_dying_processes(&id).await;
    let archive = world.subjects().read_archive(org, "tok_1", &id, 0).await.unwrap();
    let types: Vec<Value> = archive
        .lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].clone())
        .collect();
    assert_eq!(types, ["events", "contact", "consent"], "{}", archive.lines);
    assert_eq!(archive.next, None);
    world.bench.clock.advance(TimeDelta::days(8));
    assert!(world.subjects().delete_old_archives().await.unwrap() > 0);
    assert!(world.subjects().read_archive(org, "tok_1", &id, 0).await.is_err());
}

#[tokio::test]
async fn hold_ends_running_erasure() {
    let world = World::new().await;
    let id = world.start(SubjectJobKind::Erase).await;
    world.run_page().await;
    world.bench.clock.advance(EXPIRY);
    let (org, contact) = (&world.bench.agent.org_id, Address::known(Channel::Sms, ANN));
    let hold = world
        .subjects()
        .put_hold(org, "tok_1", Some(&contact), "case 12")
        .await
        .unwrap();
    world.run_in_dying_processes(&id).await;
    let job = world.state(&id).await.job;
    assert_eq!(job.state, SubjectJobState::Failed);
    assert!(job.failure.unwrap().contains(&hold.id));
    let again = world.subjects().put_hold(org, "tok_1", Some(&contact), "case 13").await;
    assert_eq!(again.err().map(|failure| failure.code), Some(Code::Conflict));
}
