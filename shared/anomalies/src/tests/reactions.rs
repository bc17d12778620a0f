//! Reactions: a restraint or a suspension happens once, with an audit entry, and an administrator decides what follows.

use butt_dial_store::StatusSetBy;

use super::*;

async fn status(world: &World) -> AgentStatus {
    let agent = &world.agent;
    let found = world.store.find_agent(&agent.org_id, &agent.id).await.unwrap();
    found.unwrap().status
}

both_engines! {
    async fn suspension_is_audited_reversible_and_happens_once(world: &World) {
        world.make_usual(4.0).await;
        world.send_many(150).await;
        let anomalies = world.reacting("suspend");
        anomalies.observe().await.unwrap();
        assert_eq!(status(world).await, AgentStatus::Suspended);
        let audit = world.audit("agent.status").await;
        let [entry] = audit.as_slice() else { panic!("{audit:?}") };
        assert_eq!((entry.actor.as_str(), entry.actor_kind.as_deref()), ("system", Some("system")));
        assert_eq!((entry.target.as_str(), &entry.detail["detector"]), (world.agent.id.as_str(), &"volume_spike".into()));
        assert!(entry.detail["explanation"].as_str().unwrap().contains("150 messages"), "{}", entry.detail);
        assert_eq!(entry.after, Some(serde_json::json!({ "status": "suspended" })));

        let reports = world.reports.0.lock().unwrap().clone();
        let [(org, agent, reason)] = reports.as_slice() else { panic!("{reports:?}") };
        assert_eq!((org, agent), (&world.agent.org_id, &world.agent.id));
        assert!(reason.starts_with("anomaly volume_spike: 150 messages"), "{reason}");

        // An administrator reactivates the agent while the anomaly lasts.
        let change = AuditEntry::new(Some(&world.agent.org_id), "tok_admin", "agent.status", "a", world.clock.now());
        world.store.change(change)
            .set_agent_status(&world.agent.org_id, &world.agent.id, AgentStatus::Active, StatusSetBy::Admin, None).await
            .unwrap();
        world.clock.advance(TimeDelta::minutes(1));
        world.send_many(150).await;
        assert_eq!(anomalies.observe().await.unwrap(), 1);
        assert_eq!(status(world).await, AgentStatus::Active);
        assert_eq!(world.audit("agent.status").await.len(), 2);

        // The anomaly ends, and a new one begins later: that is another cause.
        world.clock.advance(TimeDelta::minutes(40));
        anomalies.observe().await.unwrap();
        assert_eq!(status(world).await, AgentStatus::Active);
        world.send_many(150).await;
        anomalies.observe().await.unwrap();
        assert_eq!(status(world).await, AgentStatus::Suspended);
    }

    async fn throttle_lasts_as_long_as_its_anomaly(world: &World) {
        world.make_usual(4.0).await;
        world.send_many(150).await;
        let anomalies = world.reacting("throttle");
        anomalies.observe().await.unwrap();
        let limit = async || {
            let restraints = world.store.find_restraints(&world.agent.id).await.unwrap();
            restraints.throttle_at(world.clock.now())
        };
        assert_eq!(limit().await, Some(6));
        assert_eq!(world.audit("agent.throttle").await.len(), 1);
        for _ in 0..5 {
            world.clock.advance(TimeDelta::minutes(20));
            world.send_many(150).await;
            anomalies.observe().await.unwrap();
        }
        assert_eq!(limit().await, Some(6), "it is extended");
        world.clock.advance(TimeDelta::minutes(36));
        anomalies.observe().await.unwrap();
        assert_eq!(limit().await, None, "it ends with the anomaly");
        assert_eq!(world.audit("agent.throttle").await.len(), 1);
    }

    async fn dismissed_anomaly_restrains_no_agent_again(world: &World) {
        world.make_usual(4.0).await;
        world.send_many(150).await;
        let anomalies = world.reacting("confirm");
        anomalies.observe().await.unwrap();
        let restraints = async || world.store.find_restraints(&world.agent.id).await.unwrap();
        assert!(restraints().await.confirms_at(world.clock.now()));
        let id = world.open().await.remove(0).id;
        let stranger = caller(Some(&OrgId::from("org_other")));
        let refused = anomalies.dismiss(&stranger, &id).await.unwrap_err();
        assert_eq!(refused.code, Code::NotFound);
        anomalies.dismiss(&world.admin(), &id).await.unwrap();
        assert!(!restraints().await.confirms_at(world.clock.now()));
        assert_eq!(world.open_alerts(Some(&world.agent.org_id)).await, []);
        assert_eq!(world.audit("anomaly.dismiss").await.len(), 1);
        world.clock.advance(TimeDelta::minutes(1));
        world.send_many(150).await;
        assert_eq!(anomalies.observe().await.unwrap(), 1);
        assert!(!restraints().await.confirms_at(world.clock.now()));
        assert_eq!(world.open_alerts(Some(&world.agent.org_id)).await, []);
    }
}
