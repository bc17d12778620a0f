//! Jobs about one person: pages under a claim, the erasure of rows and contacts, holds.

use butt_dial_domain::OrgId;
use serde_json::json;

use super::inbound::{PERSON, STRANGER, inbound_event, read};
use super::*;
use crate::{
    ConsentRecord, ConsentStatus, DueKind, ErasedKey, ErasedRow, JobAdvance, LegalHold, NewSubjectJob, SubjectJob,
    SubjectJobKind, SubjectJobState, SubjectRow, SubjectScope, SubjectTable, VendorResource, WHOLE_ORGANIZATION,
};

const HASH: &str = "hash";

fn later(seconds: i64) -> Timestamp {
    morning() + TimeDelta::seconds(seconds)
}

/// Returns what the key of an erased person of the test is.
fn erased(org: &OrgId, key: &str) -> String {
    format!("erased:{}", hex::encode(super::database::digest(org, key)))
}

async fn start(db: &Database, org: &OrgId, id: &str, kind: SubjectJobKind) {
    let new = NewSubjectJob {
        id,
        org,
        kind,
        contact_hash: HASH,
        subject: b"sealed",
        actor: "tok_1",
        step: "messages",
    };
    db.change(setup()).create_subject_job(&new, morning()).await.unwrap();
}

async fn claim(db: &Database, at: Timestamp) -> SubjectJob {
    assert!(is_due(db, DueKind::SubjectJobs, at).await);
    db.claim_subject_job(at, at + seconds(60)).await.unwrap().unwrap()
}

fn advance(job: &SubjectJob) -> JobAdvance<'_> {
    JobAdvance {
        job: &job.id,
        fence: job.fence,
        step: "events",
        place: r#"{"after":"x"}"#,
        progress: r#"{"messages":1}"#,
        lease_until: later(90),
        now: later(1),
    }
}

fn hold(id: &str) -> LegalHold {
    LegalHold {
        id: id.into(),
        contact_hash: HASH.into(),
        reason: "case 12".into(),
        actor: "tok_1".into(),
        created_at: morning(),
    }
}

async fn rows(db: &Database, table: SubjectTable, scope: &str) -> Vec<SubjectRow> {
    db.list_subject_rows(table, scope, table.start(), 100).await.unwrap()
}

fn row(id: &str) -> ErasedRow {
    ErasedRow {
        id: id.into(),
        data: None,
        address: None,
    }
}

async fn put_hold(db: &Database, org: &OrgId, hash: &str, id: &str) -> bool {
    let hashes = [hash.to_owned()];
    db.change(setup()).put_hold(org, &hashes, &hold(id)).await.unwrap()
}

both_engines! {
    async fn job_continues_under_the_newest_claim(db: &Database) {
        let org = new_agent(db).await.org_id;
        start(db, &org, "sbj_1", SubjectJobKind::Access).await;
        let first = claim(db, morning()).await;
        assert_eq!((first.org(), first.subject.as_deref(), first.step.as_str()), (org.clone(), Some(&b"sealed"[..]), "messages"));
        assert!(db.claim_subject_job(later(59), later(99)).await.unwrap().is_none(), "claimed");
        db.advance_subject_job(&advance(&first)).await.unwrap();
        db.append_subject_archive((&org, 0), b"lines", &advance(&first)).await.unwrap();
        for (column, id) in [(crate::SealedColumn::SubjectJobs, "sbj_1"), (crate::SealedColumn::SubjectArchives, "sbj_1 archive 0")] {
            let sealed = db.list_sealed(column, None, 9).await.unwrap();
            assert_eq!((sealed.len(), sealed[0].id.as_str()), (1, id));
            let same = sealed[0].sealed.clone();
            assert!(db.replace_sealed(column, &sealed[0], &same).await.unwrap(), "{column}");
        }
        let second = claim(db, later(90)).await;
        assert_eq!((second.step.as_str(), second.place.as_str(), second.progress.as_str()), ("events", r#"{"after":"x"}"#, r#"{"messages":1}"#));
        let late = db.append_subject_archive((&org, 1), b"late", &advance(&first)).await;
        assert!(matches!(late, Err(StoreError::Conflict)), "the claim is lost");
        db.append_subject_archive((&org, 0), b"again", &advance(&second)).await.unwrap();
        assert_eq!(db.list_subject_archive(&org, "sbj_1", 0, 9).await.unwrap(), [(0, b"lines".to_vec())]);
        assert!(!db.change(setup()).end_subject_job(("sbj_1", first.fence), None, later(2)).await.unwrap());
        assert!(db.change(setup()).end_subject_job(("sbj_1", second.fence), None, later(2)).await.unwrap());
        let done = db.find_subject_job(&org, "sbj_1").await.unwrap().unwrap();
        assert_eq!((done.state, done.subject, done.finished_at), (SubjectJobState::Done, None, Some(later(2))));
        let other = new_agent(db).await.org_id;
        assert!(db.find_subject_job(&other, "sbj_1").await.unwrap().is_none());
        assert!(db.list_subject_archive(&other, "sbj_1", 0, 9).await.unwrap().is_empty());
        assert_eq!(db.delete_old_archives(later(1)).await.unwrap(), 0);
        assert_eq!(db.delete_old_archives(later(2)).await.unwrap(), 1);
    }

    async fn hold_stops_erasure(db: &Database) {
        let (agent, free) = (new_agent(db).await, new_agent(db).await);
        let org = &agent.org_id;
        start(db, org, "sbj_1", SubjectJobKind::Erase).await;
        let job = claim(db, morning()).await;
        db.advance_subject_job(&advance(&job)).await.unwrap();
        assert!(put_hold(db, org, HASH, "hld_1").await);
        assert!(!put_hold(db, org, HASH, "hld_2").await, "one is in force");
        let held = db.advance_subject_job(&advance(&job)).await;
        assert!(matches!(held, Err(StoreError::Conflict)));
        assert_eq!(db.find_hold(org, &[HASH.to_owned()]).await.unwrap().unwrap().id, "hld_1");
        assert_eq!(db.find_hold(org, &["other".to_owned()]).await.unwrap(), None);
        assert_eq!(db.find_hold(&free.org_id, &[HASH.to_owned()]).await.unwrap(), None);
        assert_eq!(db.list_holds(org).await.unwrap(), [hold("hld_1")]);
        assert_eq!(db.list_held_organizations().await.unwrap(), std::slice::from_ref(org));

        assert!(!db.change(setup()).release_hold(&free.org_id, "hld_1").await.unwrap(), "of another organization");
        assert!(db.change(setup()).release_hold(org, "hld_1").await.unwrap());
        db.advance_subject_job(&advance(&job)).await.unwrap();
        assert!(put_hold(db, org, WHOLE_ORGANIZATION, "hld_3").await);
        assert!(db.find_hold(org, &[]).await.unwrap().is_some());
        assert!(matches!(db.advance_subject_job(&advance(&job)).await, Err(StoreError::Conflict)));
    }

    async fn rows_of_a_person_are_listed_and_erased(db: &Database) {
        let agent = new_agent(db).await;
        let org = &agent.org_id;
        start(db, org, "sbj_1", SubjectJobKind::Erase).await;
        let message = AcceptedSend { is_kept: true, ..text(&agent, "k1") };
        db.change(setup()).set_text_retention(org, 30).await.unwrap();
        db.accept_send(message.clone()).await.unwrap();
        db.accept_send(text(&agent, "open")).await.unwrap();
        db.settle_send(settled(&message.id, accepted(5))).await.unwrap();
        super::scheduled::schedule(db, &agent, "k9", later(60)).await.unwrap();
        let written = crate::InboundRow { kind: "message.received", ..inbound_event(&agent, "e1", PERSON) };
        read(db, vec![written, inbound_event(&agent, "e2", STRANGER)]).await;
        assert_eq!(db.find_next_scope(org, SubjectScope::Agent, "").await.unwrap().as_deref(), Some(agent.id.as_str()));
        assert_eq!(db.find_next_scope(org, SubjectScope::Agent, agent.id.as_str()).await.unwrap(), None);
        assert_eq!(db.find_next_scope(org, SubjectScope::Organization, "").await.unwrap().as_deref(), Some(org.as_str()));
        for table in SubjectTable::ALL {
            rows(db, *table, agent.id.as_str()).await;
        }
        let messages = rows(db, SubjectTable::Messages, agent.id.as_str()).await;
        assert_eq!(messages.iter().map(|row| row.is_open).collect::<Vec<_>>(), [false, true]);
        let sent = &messages[0];
        assert!(sent.content.is_some(), "the kept text is part of an archive");
        assert_eq!((sent.address.as_deref(), sent.own_address.as_deref(), sent.vendor.as_deref()), (Some(PERSON), Some("+14155550100"), Some("simulator")));
        assert_eq!(db.list_subject_rows(SubjectTable::Messages, agent.id.as_str(), &sent.place, 9).await.unwrap().len(), 1);

        let job = claim(db, morning()).await;
        let resource = VendorResource {
            vendor: "simulator".into(),
            resource: sent.vendor_id.clone().unwrap(),
            kind: "message".into(),
            channel: "sms".into(),
            own_address: "+14155550100".into(),
        };
        let erase = async |table: SubjectTable, rows: &[ErasedRow], resources: &[VendorResource]| {
            db.erase_subject_rows((org, table), rows, resources, "erased:x", &advance(&job)).await.unwrap();
        };
        let both: Vec<ErasedRow> = messages.iter().map(|message| row(&message.id)).collect();
        for _ in 0..2 {
            erase(SubjectTable::Messages, &both, std::slice::from_ref(&resource)).await;
        }
        let recipients = db.texts("SELECT recipient || ' ' || status FROM messages ORDER BY status").await;
        assert_eq!(recipients, ["erased:x accepted".to_owned(), format!("{PERSON} sending")], "an open one is left out");
        let event = ErasedRow { data: Some(json!({ "erased": true })), ..row("e1") };
        erase(SubjectTable::Events, &[event], &[]).await;
        let events = rows(db, SubjectTable::Events, agent.id.as_str()).await;
        assert_eq!((events[0].address.as_deref(), events[0].content.as_deref()), (Some("erased:x"), None));
        assert_eq!(events[0].data.as_deref().map(|data| serde_json::from_str::<serde_json::Value>(data).unwrap()), Some(json!({ "erased": true })));
        assert_eq!(events[1].address.as_deref(), Some(STRANGER));
        let kept = "SELECT id FROM messages WHERE kept IS NOT NULL UNION ALL SELECT id FROM events WHERE kept IS NOT NULL";
        assert_eq!(db.texts(kept).await, [] as [String; 0], "kept texts end with the person");
        let scheduled = rows(db, SubjectTable::ScheduledSends, agent.id.as_str()).await;
        erase(SubjectTable::ScheduledSends, &[row(&scheduled[0].id)], &[]).await;
        assert!(db.list_scheduled(&agent.id, None, 9).await.unwrap().is_empty());
        for table in SubjectTable::ALL {
            erase(*table, &[], &[]).await;
        }

        let receipts = db.list_subject_receipts(org, "sbj_1", true, 9).await.unwrap();
        assert_eq!((receipts.len(), receipts[0].state.as_str(), &receipts[0].resource), (1, "pending", &resource.resource));
        let done = crate::SubjectReceipt { state: "deleted".into(), tries: 1, ..receipts[0].clone() };
        db.note_subject_receipt("sbj_1", &done, later(5)).await.unwrap();
        assert!(db.list_subject_receipts(org, "sbj_1", true, 9).await.unwrap().is_empty());
        assert_eq!(db.list_subject_receipts(org, "sbj_1", false, 9).await.unwrap()[0].state, "deleted");
        let letter = crate::NewDeadLetter { id: "dl".into(), reason: crate::DeadLetterReason::Data, payload: vec![1] };
        assert!(db.skip_as_dead_letter("INBOUND", db.find_log_position("INBOUND").await.unwrap(), 99, &letter, morning()).await.unwrap());
        db.erase_subject_dead_letters(&["dl".to_owned()], &advance(&job)).await.unwrap();
        assert!(db.list_dead_letters(None, 9).await.unwrap().is_empty());
        assert_eq!(db.find_account_of_sender(org, "+14155550100").await.unwrap(), None);
        db.change(setup()).assign_channel(org, &agent.id, Channel::Sms, "+14155550100", morning()).await.unwrap();
        assert_eq!(db.find_account_of_sender(org, "+14155550100").await.unwrap(), Some(None));
    }

    async fn erased_person_stays_opted_out(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        let org = &agent.org_id;
        let spelled = "ann+x@example.com";
        let key = "ann@example.com";
        start(db, org, "sbj_1", SubjectJobKind::Erase).await;
        start(db, org, "sbj_2", SubjectJobKind::Access).await;
        for owner in [&agent, &other] {
            db.record_consent(&owner.org_id, Channel::Email, spelled, false, "keyword", morning()).await.unwrap();
            let entry = crate::Suppression { org: &owner.org_id, channel: None, address: key, reason: "asked Ann" };
            db.suppress(&entry, morning()).await.unwrap();
        }
        let (mut found, mut after) = (Vec::new(), String::new());
        while let Some(address) = db.list_contact_spellings(org, &after, 1).await.unwrap().pop() {
            found.push(address.clone());
            after = address;
        }
        found.sort();
        assert_eq!(found, [spelled, key]);
        assert!(db.list_linked_addresses(org, key).await.unwrap().is_empty());
        assert_eq!(db.list_suppressions_of(org, key).await.unwrap(), [("*".to_owned(), "asked Ann".to_owned())]);
        let job = claim(db, morning()).await;
        let replaced = |address: &str| ErasedKey { key: address.into(), erased: erased(org, key) };
        for _ in 0..2 {
            let (keys, spellings) = ([replaced(key)], [replaced(spelled)]);
            db.erase_subject_contact(org, &keys, &spellings, &[HASH.to_owned()], &advance(&job)).await.unwrap();
        }
        for table in ["consents", "suppressions"] {
            let left = db.count(&format!("SELECT COUNT(*) FROM {table} WHERE org_id = '{org}' AND address LIKE '%example%'")).await;
            assert_eq!(left, 0, "{table}");
        }
        let sender = butt_dial_domain::ChannelId::from("none");
        for address in [key, spelled, "Ann@Example.com"] {
            let state = db.find_contact_state(org, &agent.id, (&sender, Channel::Email), address, "").await.unwrap();
            assert_eq!((state.consent, state.suppression.as_deref()), (Some(ConsentStatus::Revoked), Some("requested")), "{address}");
        }
        let ledger = db.list_consent_events_of(org, (key, &erased(org, key)), 0, 9).await.unwrap();
        assert_eq!((ledger.len(), ledger[0].contact.as_str()), (1, erased(org, key).as_str()));
        // No agent overrules it; the person does.
        let record = ConsentRecord {
            org, agent: &agent.id, actor: "tok_1", channel: Channel::Email, address: key, granted: true, kind: None, source: None,
            notes: None,
        };
        assert!(!db.record_agent_consent(&record, later(5)).await.unwrap());
        assert_eq!(db.find_consent(org, Channel::Email, key).await.unwrap().unwrap().status, ConsentStatus::Revoked);
        db.record_consent(org, Channel::Email, key, true, "keyword", later(6)).await.unwrap();
        assert_eq!(db.find_consent(org, Channel::Email, key).await.unwrap().unwrap().status, ConsentStatus::Granted);
        assert!(db.change(setup()).remove_suppression(org, key, "*").await.unwrap());
        // Erased again, the later word is the one that counts.
        db.erase_subject_contact(org, &[replaced(key)], &[], &[], &advance(&job)).await.unwrap();
        assert_eq!(db.find_consent(org, Channel::Email, key).await.unwrap(), None);
        let theirs = db.find_consent(&other.org_id, Channel::Email, spelled).await.unwrap();
        assert_eq!(theirs.unwrap().status, ConsentStatus::Revoked, "the data of another organization");
        let access = db.find_subject_job(org, "sbj_2").await.unwrap().unwrap();
        assert_eq!((access.state, access.subject), (SubjectJobState::Failed, None));
    }

    async fn texts_about_other_things_lose_a_person(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        let org = &agent.org_id;
        start(db, org, "sbj_1", SubjectJobKind::Erase).await;
        let job = claim(db, morning()).await;
        for (owner, task) in [(&agent, "ann"), (&agent, "bob"), (&other, "ann")] {
            let mut send = text(owner, task);
            send.thread.task_id = Some(task.into());
            db.accept_send(send.clone()).await.unwrap();
            db.settle_send(settled(&send.id, accepted(5))).await.unwrap();
            db.change(setup()).set_task_limit(&owner.org_id, task, Some(Micros(7_000)), morning()).await.unwrap();
        }
        db.change(setup()).rename_task(org, ("ann", "erased-1"), &advance(&job)).await.unwrap();
        let found = db.list_tasks(org, None, 9).await.unwrap();
        let tasks: Vec<_> = found.iter().map(|task| (task.task.as_str(), task.settled, task.limit)).collect();
        assert_eq!(tasks, [("bob", 5, Some(Micros(7_000))), ("erased-1", 5, Some(Micros(7_000)))]);
        assert_eq!(db.list_tasks(&other.org_id, None, 9).await.unwrap()[0].task, "ann", "of another organization");
        assert_eq!(db.texts("SELECT task_id FROM messages ORDER BY 1").await, ["ann", "bob", "erased-1"]);

        for (owner, label) in [(&agent, Some("for Ann")), (&agent, None), (&other, Some("for Ann"))] {
            let id = butt_dial_domain::TokenId::generate();
            let grants = butt_dial_domain::Grants::nothing();
            let restriction = butt_dial_domain::Restriction { budget: id.to_string(), grants };
            let token = crate::NewToken {
                id: &id, hash: id.as_str(), last_four: "abcd", scope: butt_dial_domain::Scope::OrgAdmin, org: Some(&owner.org_id), agent: None,
                expires_at: None, label, created_by: None, restriction: label.map(|_| &restriction),
            };
            db.change(setup()).create_token(&token, morning()).await.unwrap();
        }
        let mut listed = db.list_token_texts(org, "", 9).await.unwrap();
        assert_eq!((listed.len(), listed[0].label.as_deref()), (1, Some("for Ann")));
        listed[0].label = None;
        listed[0].grants = Some(r#"{"recipients":[]}"#.into());
        db.change(setup()).replace_token_texts(&other.org_id, &listed, &advance(&job)).await.unwrap();
        assert_ne!(db.list_token_texts(org, "", 9).await.unwrap()[0].grants, listed[0].grants, "not of this organization");
        db.change(setup()).replace_token_texts(org, &listed, &advance(&job)).await.unwrap();
        let left = db.list_token_texts(org, "", 9).await.unwrap();
        assert_eq!((left[0].label.as_deref(), &left[0].grants), (Some("for Ann"), &listed[0].grants));
        assert!(db.list_token_texts(org, &left[0].id, 9).await.unwrap().is_empty());

        for owner in [&agent, &other] {
            let evidence = json!({ "label": "Ann" });
            let alert = crate::NewAlert {
                org: Some(&owner.org_id), kind: "x", fingerprint: "x", severity: crate::Severity::Low, title: "Ann", evidence: &evidence,
            };
            db.raise_alert(&alert, &[], morning()).await.unwrap();
        }
        let mut alerts = db.list_alert_texts(org, "", 9).await.unwrap();
        assert_eq!((alerts.len(), alerts[0].evidence.clone()), (1, json!({ "label": "Ann" })));
        (alerts[0].title, alerts[0].evidence) = ("***".into(), json!({ "label": "***" }));
        db.replace_alert_texts(&alerts, &advance(&job)).await.unwrap();
        let left = db.list_alert_texts(org, "", 9).await.unwrap();
        assert_eq!((left[0].title.as_str(), &left[0].evidence), ("***", &alerts[0].evidence));
        assert!(db.list_alert_texts(org, &left[0].id, 9).await.unwrap().is_empty());
        assert_eq!(db.list_alert_texts(&other.org_id, "", 9).await.unwrap()[0].title, "Ann");
    }

    async fn hold_stops_erasure_of_organization(db: &Database) {
        let org = new_agent(db).await.org_id;
        let token = crate::NewOneTimeToken {
            hash: "confirmation",
            kind: crate::OneTimeKind::Erasure,
            org: Some(&org),
            detail: None,
            expires_at: later(60),
        };
        db.create_one_time_token(&token, morning()).await.unwrap();
        assert!(put_hold(db, &org, HASH, "hld_1").await);
        let erase = async || db.change(setup()).begin_erasure("confirmation", &org, morning(), morning()).await.unwrap();
        assert!(!erase().await);
        assert!(db.change(setup()).release_hold(&org, "hld_1").await.unwrap());
        assert!(erase().await, "the token is still valid");
        assert!(put_hold(db, &org, HASH, "hld_2").await);
        assert_eq!(db.claim_erasure(later(1), later(2)).await.unwrap(), None);
        assert!(db.change(setup()).release_hold(&org, "hld_2").await.unwrap());
        assert_eq!(db.claim_erasure(later(1), later(2)).await.unwrap(), Some(org.clone()));
    }
}
