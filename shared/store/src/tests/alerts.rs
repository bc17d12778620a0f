//! Alerts, their routes and notifications.

use butt_dial_domain::OrgId;
use serde_json::{Value, json};

use super::*;
use crate::{AlertRoute, AlertState, Due, NewAlert, Severity};

fn route(id: &str, org: Option<&OrgId>) -> AlertRoute {
    AlertRoute {
        id: id.into(),
        org_id: org.map(OrgId::to_string),
        kind: "webhook".into(),
        target: vec![1, 2],
        hint: "hook.example".into(),
        severity: Severity::Medium,
        is_escalation: false,
        quiet_from: Some(60),
        quiet_until: None,
        created_at: morning(),
        window_at: None,
        window_count: 0,
        free_at: morning(),
    }
}

fn cause<'a>(org: Option<&'a OrgId>, fingerprint: &'a str, evidence: &'a Value) -> NewAlert<'a> {
    NewAlert {
        org,
        kind: "order.stuck",
        fingerprint,
        severity: Severity::High,
        title: "An order is stuck",
        evidence,
    }
}

fn due(route: &str, at: Timestamp) -> Due {
    Due {
        route: route.into(),
        reason: "opened",
        at,
    }
}

both_engines! {
    async fn same_cause_is_one_open_alert(db: &Database) {
        let (ours, theirs) = (OrgId::generate(), OrgId::generate());
        let (one, two) = (json!({ "n": 1 }), json!({ "n": 2 }));
        let (id, is_new) = db.raise_alert(&cause(Some(&ours), "so_1", &one), &[], morning()).await.unwrap();
        assert!(is_new);
        let again = db.raise_alert(&cause(Some(&ours), "so_1", &two), &[], morning() + seconds(5)).await.unwrap();
        assert_eq!(again, (id.clone(), false));
        for other in [cause(Some(&ours), "so_2", &one), cause(Some(&theirs), "so_1", &one), cause(None, "so_1", &one)] {
            assert!(db.raise_alert(&other, &[], morning()).await.unwrap().1);
        }
        let listed = db.list_alerts(Some(&ours), true, None, 9).await.unwrap();
        assert_eq!(listed.len(), 2);
        let first = listed.iter().find(|alert| alert.id == id).unwrap();
        assert_eq!((first.occurrences, &first.evidence, first.severity), (2, &two, Severity::High));
        assert_eq!((first.first_at, first.last_at, first.state), (morning(), morning() + seconds(5), AlertState::Open));
        assert_eq!(db.list_alerts(None, true, None, 9).await.unwrap().len(), 1);
        assert_eq!(db.list_unresolved_alerts(&["order.stuck", "budget"], 9).await.unwrap().len(), 4);
        assert_eq!(db.list_unresolved_alerts(&["budget"], 9).await.unwrap().len(), 0);
        assert!(is_due(db, DueKind::AlertCauses, morning()).await);

        let set = async |org, state| db.set_alert_state(org, &id, state, "tok_1", &[], morning()).await.unwrap();
        assert!(!set(Some(&theirs), AlertState::Acknowledged).await, "of another organization");
        assert!(set(Some(&ours), AlertState::Acknowledged).await);
        assert!(!set(Some(&ours), AlertState::Acknowledged).await, "it is acknowledged");
        assert!(!db.raise_alert(&cause(Some(&ours), "so_1", &one), &[], morning()).await.unwrap().1, "still the same");
        assert!(set(Some(&ours), AlertState::Resolved).await);
        assert!(!set(Some(&ours), AlertState::Acknowledged).await, "it has ended");
        assert_eq!(db.list_alerts(Some(&ours), true, None, 9).await.unwrap().len(), 1);
        let all = db.list_alerts(Some(&ours), false, None, 1).await.unwrap();
        let before = db.list_alerts(Some(&ours), false, Some(&all[0].id), 9).await.unwrap();
        assert_eq!((all.len(), before.len()), (1, 1));
        assert!(db.raise_alert(&cause(Some(&ours), "so_1", &one), &[], morning()).await.unwrap().1, "it has come back");
    }

    async fn routes_belong_to_their_organization(db: &Database) {
        let (ours, theirs) = (OrgId::generate(), OrgId::generate());
        for made in [route("alt_1", Some(&ours)), route("alt_2", None)] {
            db.change(setup()).create_alert_route(&made).await.unwrap();
        }
        assert_eq!(db.list_alert_routes(Some(&ours)).await.unwrap(), [route("alt_1", Some(&ours))]);
        assert_eq!(db.list_alert_routes(None).await.unwrap(), [route("alt_2", None)]);
        let changed = AlertRoute { severity: Severity::Critical, quiet_from: None, ..route("alt_1", Some(&ours)) };
        assert!(db.change(setup()).update_alert_route(&changed).await.unwrap());
        assert_eq!(db.list_alert_routes(Some(&ours)).await.unwrap(), std::slice::from_ref(&changed));
        let foreign = AlertRoute { org_id: Some(theirs.to_string()), ..changed };
        assert!(!db.change(setup()).update_alert_route(&foreign).await.unwrap());
        assert!(!db.change(setup()).delete_alert_route(Some(&theirs), "alt_1").await.unwrap());
        assert!(db.change(setup()).delete_alert_route(Some(&ours), "alt_1").await.unwrap());
        assert_eq!(db.list_alert_routes(Some(&ours)).await.unwrap(), []);
    }

    async fn due_notifications_are_sent_by_one_process(db: &Database) {
        db.change(setup()).create_alert_route(&route("alt_1", None)).await.unwrap();
        let none = json!({});
        for n in 0..3 {
            let at = morning() + seconds(n);
            db.raise_alert(&cause(None, &format!("so_{n}"), &none), &[due("alt_1", at)], morning()).await.unwrap();
        }
        let at = morning() + seconds(1);
        assert_eq!(db.list_due_routes(morning() - seconds(1), 9).await.unwrap(), Vec::<String>::new());
        assert_eq!(db.list_due_routes(at, 9).await.unwrap(), ["alt_1"]);
        assert!(!is_due(db, DueKind::AlertNotifications, morning() - seconds(1)).await);
        assert!(is_due(db, DueKind::AlertNotifications, at).await);
        let claim = async |now| db.claim_alert_route("alt_1", now, now + seconds(30)).await.unwrap();
        assert!(claim(at).await.is_some());
        assert!(claim(at).await.is_none(), "another process sends");
        let (listed, count) = db.list_notifications("alt_1", at, 1).await.unwrap();
        assert_eq!((listed.len(), count, listed[0].reason.as_str(), listed[0].tries), (1, 2, "opened", 0));

        db.postpone_notifications("alt_1", at, morning() + seconds(9), true).await.unwrap();
        assert_eq!(db.list_notifications("alt_1", at, 9).await.unwrap().1, 0);
        let (listed, _) = db.list_notifications("alt_1", morning() + seconds(9), 9).await.unwrap();
        assert_eq!(listed.iter().map(|one| one.tries).sum::<i64>(), 2);
        db.release_alert_route("alt_1", morning() + seconds(9), Some((at, 4))).await.unwrap();
        assert!(claim(morning() + seconds(8)).await.is_none(), "it pauses");
        let claimed = claim(morning() + seconds(9)).await.unwrap();
        assert_eq!((claimed.window_at, claimed.window_count), (Some(at), 4));

        // An alert that has ended is not worth a message.
        let id = listed[0].alert.id.clone();
        db.set_alert_state(None, &id, AlertState::Resolved, "tok_1", &[], at).await.unwrap();
        assert_eq!(db.list_notifications("alt_1", morning() + seconds(9), 9).await.unwrap().1, 2);
        assert_eq!(db.delete_notifications("alt_1", morning() + seconds(9)).await.unwrap(), 2);
    }

    async fn lists_budget_alerts_of_the_last_day(db: &Database) {
        let alert = crate::BudgetAlert {
            scope: "org:o".into(),
            period: DAY.into(),
            threshold: 80,
            org_id: OrgId::from("o"),
            used: 8,
            cap: 10,
        };
        db.record_budget_alert(&alert, morning()).await.unwrap();
        let listed = db.list_sent_budget_alerts(morning(), 9).await.unwrap();
        assert_eq!(listed, [("o".into(), "org:o".into(), DAY.into(), 80)]);
        assert_eq!(db.list_sent_budget_alerts(morning() + seconds(1), 9).await.unwrap(), []);
        let last = morning() + crate::BUDGET_CAUSE;
        assert!(is_due(db, DueKind::AlertCauses, last).await);
        assert!(!is_due(db, DueKind::AlertCauses, last + seconds(1)).await);
    }
}
