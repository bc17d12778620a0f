//! Anomalies, their reactions, announced campaigns and baselines.

use butt_dial_domain::OrgId;
use serde_json::{Value, json};

use super::*;
use crate::{
    Anomaly, AnomalyFilter, AnomalyState, BaselineRow, Campaign, NewAnomaly, NewRestraint, PEAK, RECENT, Reaction,
    Restraints, SeenCountry, Severity, TimedRows,
};

fn anomaly<'a>(agent: Option<&'a Agent>, subject: &'a str, reaction: Reaction, numbers: &'a Value) -> NewAnomaly<'a> {
    NewAnomaly {
        org: agent.map(|agent| &agent.org_id),
        agent: agent.map(|agent| &agent.id),
        detector: "volume_spike",
        subject,
        severity: Severity::High,
        reaction,
        explanation: "400 messages were sent",
        numbers,
    }
}

/// Stores an anomaly of an agent. Returns it.
async fn note(db: &Database, agent: &Agent, subject: &str, reaction: Reaction) -> Anomaly {
    let numbers = json!({ "sent": 400 });
    db.note_anomaly(&anomaly(Some(agent), subject, reaction, &numbers), morning())
        .await
        .unwrap();
    let open = db.list_open_anomalies(99).await.unwrap();
    open.into_iter().find(|one| one.subject == subject).unwrap()
}

async fn audited(db: &Database, org: &OrgId, action: &str) -> usize {
    let filter = crate::AuditFilter {
        action: Some(action),
        ..Default::default()
    };
    db.list_audit(Some(org), filter, 99).await.unwrap().len()
}

fn entry(agent: &Agent, action: &str) -> AuditEntry {
    AuditEntry::new(Some(&agent.org_id), "system", action, agent.id.as_str(), morning())
}

fn campaign(agent: Option<&Agent>, org: &OrgId, volume: i64) -> Campaign {
    Campaign {
        id: format!("cpn_{}", butt_dial_domain::ids::unique()),
        org_id: org.to_string(),
        agent_id: agent.map(|agent| agent.id.to_string()),
        starts_at: morning(),
        ends_at: morning() + seconds(600),
        volume,
        note: Some("autumn sale".into()),
        announced_by: "tok_1".into(),
        created_at: morning(),
    }
}

both_engines! {
    async fn same_cause_is_one_open_anomaly(db: &Database) {
        let (ours, theirs) = (new_agent(db).await, new_agent(db).await);
        let (one, two) = (json!({ "sent": 400 }), json!({ "sent": 500 }));
        let found = anomaly(Some(&ours), "a", Reaction::Alert, &one);
        db.note_anomaly(&found, morning()).await.unwrap();
        let again = NewAnomaly { numbers: &two, severity: Severity::Low, explanation: "500", ..found };
        db.note_anomaly(&again, morning() + seconds(60)).await.unwrap();
        db.note_anomaly(&anomaly(Some(&theirs), "a", Reaction::Alert, &one), morning()).await.unwrap();
        db.note_anomaly(&anomaly(None, "a", Reaction::Alert, &one), morning()).await.unwrap();
        let list = async |org, only_open| {
            db.list_anomalies(&AnomalyFilter { org, only_open, ..Default::default() }, 9).await.unwrap()
        };
        let of_ours = list(Some(&ours.org_id), true).await;
        let [first] = of_ours.as_slice() else { panic!("{of_ours:?}") };
        assert_eq!((&first.numbers, first.severity, first.explanation.as_str()), (&two, Severity::High, "500"));
        assert_eq!((first.first_at, first.last_at), (morning(), morning() + seconds(60)));
        assert_eq!((first.org(), first.agent()), (Some(ours.org_id.clone()), Some(ours.id.clone())));
        assert_eq!(list(None, true).await.len(), 3);
        let counted = db.count_open_anomalies().await.unwrap();
        assert_eq!(counted, [(first.detector.clone(), 3)]);
        assert_eq!(db.list_open_anomalies(2).await.unwrap().len(), 2);

        db.note_anomaly_alert(&first.id, morning() + seconds(1)).await.unwrap();
        db.note_anomaly_alert(&first.id, morning() + seconds(2)).await.unwrap();
        assert_eq!(list(Some(&ours.org_id), true).await[0].alerted_at, Some(morning() + seconds(1)));

        let late = morning() + seconds(3_600);
        assert!(!db.end_anomaly(&first.id, morning() + seconds(60), late).await.unwrap(), "it was seen since");
        assert!(db.end_anomaly(&first.id, morning() + seconds(61), late).await.unwrap());
        assert!(!db.end_anomaly(&first.id, late, late).await.unwrap(), "it has ended");
        assert_eq!(list(Some(&ours.org_id), true).await, []);
        assert_eq!(db.count_open_anomalies().await.unwrap()[0].1, 2);
        let ended = list(Some(&ours.org_id), false).await.remove(0);
        assert_eq!(ended.ended_at, Some(late));
        db.note_anomaly(&found, late).await.unwrap();
        let all = list(Some(&ours.org_id), false).await;
        assert_eq!((all.len(), all[1].id.as_str()), (2, ended.id.as_str()), "it has come back");
        let of_ours = AnomalyFilter { org: Some(&ours.org_id), ..Default::default() };
        let ids = async |filter: AnomalyFilter<'_>| -> Vec<String> {
            db.list_anomalies(&filter, 9).await.unwrap().into_iter().map(|found| found.id).collect()
        };
        for (state, expected) in [
            (AnomalyState::Open, vec![all[0].id.clone()]),
            (AnomalyState::Ended, vec![ended.id.clone()]),
            (AnomalyState::Dismissed, Vec::new()),
        ] {
            assert_eq!(ids(AnomalyFilter { state: Some(state), ..of_ours }).await, expected);
        }
        assert_eq!(ids(AnomalyFilter { agent: Some(&ours.id), detector: Some(&ended.detector), ..of_ours }).await.len(), 2);
        assert!(ids(AnomalyFilter { agent: Some(&"agt_other".into()), ..of_ours }).await.is_empty());
        assert!(ids(AnomalyFilter { detector: Some("other"), ..of_ours }).await.is_empty());
        let before = AnomalyFilter { org: Some(&ours.org_id), before: Some(&all[0].id), ..Default::default() };
        assert_eq!(db.list_anomalies(&before, 9).await.unwrap().len(), 1);
        let before = AnomalyFilter { org: None, ..before };
        assert!(db.list_anomalies(&before, 9).await.unwrap().len() > 1);

        // Ids have the time of this machine.
        let future = butt_dial_domain::Clock::System.now() + TimeDelta::days(1);
        assert_eq!(db.delete_timed(TimedRows::Anomalies, future).await.unwrap(), 1, "open ones stay");
    }

    async fn tainted_text_counts_if_the_organization_wants_it(db: &Database) {
        let agent = new_agent(db).await;
        let (of, until) = ((&agent.org_id, &agent.id), morning() + seconds(60));
        let tainted_until = async || db.find_profile(&agent.id).await.unwrap().unwrap().tainted_until;
        assert!(!db.note_tainted_text(of, until).await.unwrap());
        assert_eq!(tainted_until().await, None);
        let choices = crate::ComplianceChoices { confirms_tainted: true, ..Default::default() };
        db.change(setup()).set_compliance_choices(&agent.org_id, &choices).await.unwrap();
        assert!(db.note_tainted_text(of, until).await.unwrap());
        assert!(!db.note_tainted_text((&OrgId::generate(), &agent.id), until + seconds(9)).await.unwrap(), "of another organization");
        assert_eq!(tainted_until().await, Some(until));
        let profile = db.find_profile(&agent.id).await.unwrap().unwrap();
        assert!(profile.is_tainted_at(until - seconds(1)) && !profile.is_tainted_at(until));
    }

    async fn restraint_is_part_of_the_profile_until_its_end(db: &Database) {
        let agent = new_agent(db).await;
        let of = (&agent.org_id, &agent.id);
        let profile = async || db.find_profile(&agent.id).await.unwrap().unwrap().restraints;
        assert_eq!(profile().await, Restraints::default());
        let slow = note(db, &agent, "a", Reaction::Throttle).await;
        let until = morning() + seconds(3_600);
        let restrain = async |anomaly: &Anomaly, restraint| {
            let change = db.change(entry(&agent, "agent.restrain"));
            change.restrain_agent(&anomaly.id, of, restraint, until, morning()).await.unwrap()
        };
        assert!(restrain(&slow, NewRestraint::Throttle(6)).await);
        assert!(!restrain(&slow, NewRestraint::Throttle(1)).await, "once");
        let held = note(db, &agent, "b", Reaction::Confirm).await;
        assert!(restrain(&held, NewRestraint::Confirm).await);
        assert_eq!(audited(db, &agent.org_id, "agent.restrain").await, 2);
        let expected = Restraints { throttle: Some((6, until)), confirm_until: Some(until) };
        assert_eq!(profile().await, expected);
        assert_eq!(db.find_restraints(&agent.id).await.unwrap(), expected);
        assert_eq!((expected.throttle_at(morning()), expected.throttle_at(until)), (Some(6), None));
        assert_eq!((expected.confirms_at(morning()), expected.confirms_at(until)), (true, false));

        let later = until + seconds(60);
        db.extend_restraints(&slow.id, later).await.unwrap();
        db.extend_restraints(&slow.id, until).await.unwrap();
        assert_eq!(profile().await.throttle, Some((6, later)), "never shorter");
        assert!(db.end_anomaly(&slow.id, later, later).await.unwrap());
        assert_eq!(profile().await, Restraints { throttle: None, confirm_until: Some(until) });

        let dismiss = async |org: &OrgId| {
            let change = db.change(entry(&agent, "anomaly.dismiss"));
            change.dismiss_anomaly(Some(org), &held.id, "tok_1", morning()).await.unwrap()
        };
        assert_eq!(dismiss(&OrgId::from("org_other")).await, None);
        let dismissed = dismiss(&agent.org_id).await.unwrap();
        assert_eq!((dismissed.dismissed_by.as_deref(), dismissed.dismissed_at), (Some("tok_1"), Some(morning())));
        assert_eq!(dismiss(&agent.org_id).await, None, "once");
        assert_eq!(audited(db, &agent.org_id, "anomaly.dismiss").await, 1);
        assert_eq!(profile().await, Restraints::default());
    }

    async fn suspends_once_and_never_against_an_administrator(db: &Database) {
        let agent = new_agent(db).await;
        let found = note(db, &agent, "a", Reaction::Suspend).await;
        let suspend = async |anomaly: &Anomaly| {
            let change = db.change(entry(&agent, "agent.status"));
            let reason = "anomaly volume_spike: 400 messages";
            change.suspend_for_anomaly(&anomaly.id, (&agent.org_id, &agent.id), reason, morning()).await.unwrap()
        };
        let status = async || db.find_agent(&agent.org_id, &agent.id).await.unwrap().unwrap().status;
        let both = futures::future::join(suspend(&found), suspend(&found)).await;
        assert!(both.0 != both.1, "one of two processes suspends: {both:?}");
        assert_eq!(status().await, AgentStatus::Suspended);
        let reasons = "SELECT status_by || ': ' || status_reason FROM agents WHERE status = 'suspended'";
        assert_eq!(db.texts(reasons).await, ["admin: anomaly volume_spike: 400 messages"]);
        assert_eq!(audited(db, &agent.org_id, "agent.status").await, 1);

        let reactivated = db.change(entry(&agent, "agent.status"))
            .set_agent_status(&agent.org_id, &agent.id, AgentStatus::Active, crate::StatusSetBy::Admin, None).await;
        assert_eq!(reactivated.unwrap(), Some(0));
        assert!(!suspend(&found).await, "the same anomaly");
        assert_eq!(status().await, AgentStatus::Active);

        let dismissed = note(db, &agent, "b", Reaction::Suspend).await;
        db.change(entry(&agent, "x")).dismiss_anomaly(Some(&agent.org_id), &dismissed.id, "tok_1", morning()).await.unwrap();
        assert!(!suspend(&dismissed).await, "dismissed");
        let inactive = note(db, &agent, "c", Reaction::Suspend).await;
        db.change(entry(&agent, "x"))
            .set_agent_status(&agent.org_id, &agent.id, AgentStatus::Inactive, crate::StatusSetBy::Admin, None).await
            .unwrap();
        assert!(!suspend(&inactive).await);
        assert_eq!(status().await, AgentStatus::Inactive, "it stays as it is");
    }

    async fn campaigns_cover_their_agents_within_their_volume(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        let colleague = new_agent_in(db, &agent.org_id).await;
        let own = campaign(Some(&agent), &agent.org_id, 2);
        let whole = campaign(None, &other.org_id, 100);
        for campaign in [&own, &whole] {
            let entry = AuditEntry::new(Some(&OrgId::from(campaign.org_id.as_str())), "tok_1", "campaign.announce", "c", morning());
            db.change(entry).announce_campaign(campaign).await.unwrap();
        }
        assert_eq!(audited(db, &agent.org_id, "campaign.announce").await, 1);
        assert_eq!(db.list_campaigns(&agent.org_id, morning(), 9).await.unwrap(), std::slice::from_ref(&own));
        assert_eq!(db.list_current_campaigns(morning() - seconds(1), 9).await.unwrap(), [], "not yet");
        for n in 0..4 {
            let sender = if n == 3 { &colleague } else { &agent };
            db.accept_send(text(sender, &format!("k{n}"))).await.unwrap();
        }
        let at = morning() + seconds(1);
        let current = db.list_current_campaigns(at, 9).await.unwrap();
        let of_own = current.iter().find(|one| one.org_id == own.org_id).unwrap();
        let of_whole = current.iter().find(|one| one.org_id == whole.org_id).unwrap();
        assert_eq!((of_own.sent, of_own.is_within_volume(), of_whole.is_within_volume()), (3, false, true));
        assert!(of_own.covers(&agent.org_id, Some(&agent.id)) && of_own.covers(&agent.org_id, None));
        assert!(!of_own.covers(&agent.org_id, Some(&colleague.id)));
        assert!(of_whole.covers(&other.org_id, Some(&other.id)) && !of_whole.covers(&agent.org_id, Some(&agent.id)));

        // Counted messages are not counted again.
        for _ in 0..2 {
            db.advance_campaign(of_own, at).await.unwrap();
        }
        db.accept_send(AcceptedSend { at, ..text(&agent, "later") }).await.unwrap();
        db.execute("DELETE FROM messages WHERE idempotency_key = 'k0'").await;
        let current = db.list_current_campaigns(at + seconds(1), 9).await.unwrap();
        let of_own = current.iter().find(|one| one.org_id == own.org_id).unwrap();
        assert_eq!((of_own.sent, of_own.counted_until), (4, at));
        // The check at the end of every test needs the messages.
        db.execute("DELETE FROM messages").await;
        db.execute("DELETE FROM spend").await;

        let end = async |org: &OrgId| {
            let entry = AuditEntry::new(Some(org), "tok_1", "campaign.end", &own.id, morning());
            db.change(entry).end_campaign(org, &own.id, morning() + seconds(9)).await.unwrap()
        };
        assert!(!end(&other.org_id).await, "of another organization");
        assert!(end(&agent.org_id).await);
        assert!(!end(&agent.org_id).await, "it has ended");
        assert_eq!(db.list_campaigns(&agent.org_id, morning() + seconds(9), 9).await.unwrap(), []);
        let future = butt_dial_domain::Clock::System.now() + TimeDelta::days(1);
        assert_eq!(db.delete_timed(TimedRows::Campaigns, future).await.unwrap(), 2);
    }

    async fn baseline_counts_a_bucket_once(db: &Database) {
        let (ours, theirs) = (OrgId::from("org_1"), OrgId::from("org_2"));
        let row = |org: &OrgId, slot: i64, mean: f64, bucket: i64| BaselineRow {
            org_id: org.to_string(),
            agent_id: String::new(),
            metric: "sent".into(),
            slot,
            mean,
            samples: 3,
            bucket,
        };
        let first = [row(&ours, RECENT, 20.0, 7), row(&ours, PEAK, 90.5, 7), row(&ours, 5, 1.25, 7), row(&ours, 6, 2.0, 7)];
        db.save_baselines(&first).await.unwrap();
        db.save_baselines(&[row(&theirs, RECENT, 1.0, 7), row(&ours, RECENT, 99.0, 7)]).await.unwrap();
        let mut listed = db.list_baselines(std::slice::from_ref(&ours), 5).await.unwrap();
        listed.sort_by_key(|row| row.slot);
        assert_eq!(listed, [first[1].clone(), first[0].clone(), first[2].clone()]);
        db.save_baselines(&[row(&ours, RECENT, 21.0, 8)]).await.unwrap();
        let listed = db.list_baselines(&[ours.clone(), theirs.clone()], 999).await.unwrap();
        assert!(listed.contains(&row(&ours, RECENT, 21.0, 8)) && listed.contains(&row(&theirs, RECENT, 1.0, 7)));
        assert_eq!(db.delete_old_baselines(6, 99).await.unwrap(), 0);
        assert_eq!(db.delete_old_baselines(7, 99).await.unwrap(), 4);
    }

    async fn country_keeps_its_first_time(db: &Database) {
        let org = OrgId::from("org_1");
        let seen = |country: &str| SeenCountry { org_id: org.to_string(), country: country.into(), first_at: morning() };
        db.add_countries(&[seen("DE"), seen("FR")], morning()).await.unwrap();
        db.add_countries(&[seen("DE"), seen("NG")], morning() + seconds(9)).await.unwrap();
        let mut listed = db.list_countries(std::slice::from_ref(&org)).await.unwrap();
        listed.sort_by(|a, b| a.country.cmp(&b.country));
        let times: Vec<Timestamp> = listed.iter().map(|seen| seen.first_at).collect();
        assert_eq!(times, [morning(), morning(), morning() + seconds(9)]);
        assert_eq!(db.list_countries(&[OrgId::from("org_2")]).await.unwrap(), []);
    }

    async fn finds_the_open_alert_of_a_cause(db: &Database) {
        let none = json!({});
        let new = crate::NewAlert {
            org: None,
            kind: "anomaly.volume_spike",
            fingerprint: "org",
            severity: Severity::High,
            title: "Far more messages than usual",
            evidence: &none,
        };
        let (id, _) = db.raise_alert(&new, &[], morning()).await.unwrap();
        let find = async |org: Option<&OrgId>| db.find_open_alert(org, "anomaly.volume_spike", "org").await.unwrap();
        assert_eq!(find(None).await, Some(id.clone()));
        assert_eq!(find(Some(&OrgId::from("org_1"))).await, None);
        db.set_alert_state(None, &id, crate::AlertState::Resolved, "tok_1", &[], morning()).await.unwrap();
        assert_eq!(find(None).await, None);
    }
}
