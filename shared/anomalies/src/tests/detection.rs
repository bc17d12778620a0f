//! Anomalies begin, raise one alert, and end; campaigns explain them; baselines learn.

use butt_dial_domain::{CallId, ChallengeId, Micros, call::Direction, keys};
use butt_dial_store::{CallEntry, ChallengeOwner, ContactEffects, InboundBatch, InboundRow, NewChallenge, NewRefusal};
use serde_json::json;

use super::*;
use crate::Announcement;

const OPEN: crate::AnomalyFilter<'_> = crate::AnomalyFilter {
    org: None,
    only_open: true,
    agent: None,
    detector: None,
    state: None,
    before: None,
};

async fn names(world: &World) -> Vec<String> {
    let mut names: Vec<String> = world.open().await.into_iter().map(|open| open.detector).collect();
    names.sort();
    names
}

/// Stores a message of a person, as the consumer does.
async fn receive(world: &World, agent: &Agent, contact: &str, n: u64) {
    let event = InboundRow {
        agent: agent.id.clone(),
        org: agent.org_id.clone(),
        id: format!("evt_{n}"),
        kind: "message.received",
        channel: Channel::Sms,
        contact: contact.into(),
        data: json!({}),
        content: None,
        is_incomplete: false,
        is_quiet: false,
        channel_id: None,
        consent: None,
        evidence: None,
        follow_up: None,
        effects: ContactEffects::default(),
    };
    let batch = InboundBatch {
        stream: "INBOUND".into(),
        entry_id: String::new(),
        after: n,
        position: n + 1,
        events: vec![event],
        receipts: Vec::new(),
        calls: Vec::new(),
        dead_letters: Vec::new(),
        at: world.clock.now(),
        holder: "reader".into(),
        held_until: world.clock.now() + TimeDelta::seconds(10),
    };
    world.store.apply_inbound(&batch, &|_| None).await.unwrap();
}

both_engines! {
    async fn spike_is_one_alert_of_two_sweeps_and_ends(world: &World) {
        world.make_usual(4.0).await;
        world.send_many(20).await;
        let (one, two) = (world.anomalies(), world.anomalies_on(&world.replica().await, BUILT_IN));
        assert_eq!(one.observe().await.unwrap(), 0, "few messages");
        world.send_many(130).await;
        let both = futures::future::join(one.observe(), two.observe()).await;
        both.0.unwrap();
        both.1.unwrap();
        let open = world.open().await;
        let [spike] = open.as_slice() else { panic!("{open:?}") };
        assert_eq!((spike.detector.as_str(), spike.agent()), ("volume_spike", Some(world.agent.id.clone())));
        assert_eq!(spike.numbers["sent"], 150);
        let alerts = world.open_alerts(Some(&world.agent.org_id)).await;
        let [alert] = alerts.as_slice() else { panic!("{alerts:?}") };
        assert_eq!((alert.kind.as_str(), alert.fingerprint.as_str()), ("anomaly.volume_spike", spike.subject.as_str()));
        assert_eq!(alert.evidence["numbers"]["sent"], 150);
        assert!(alert.evidence["explanation"].as_str().unwrap().contains("150 messages"), "{}", alert.evidence);
        assert_eq!(one.list(&world.admin(), OPEN, 9).await.unwrap(), open);

        // An administrator has seen it: it does not come back while it lasts.
        world.alerts.resolve(&world.admin(), &alert.id).await.unwrap();
        world.clock.advance(TimeDelta::minutes(1));
        assert_eq!(one.observe().await.unwrap(), 1);
        assert_eq!(world.open_alerts(Some(&world.agent.org_id)).await, []);
        world.clock.advance(TimeDelta::minutes(40));
        assert_eq!(one.observe().await.unwrap(), 0, "it is over");
        assert_eq!(world.open().await, []);
        assert_eq!(one.list(&world.admin(), crate::AnomalyFilter { only_open: false, ..OPEN }, 9).await.unwrap().len(), 1);
    }

    async fn alert_ends_with_its_anomaly(world: &World) {
        world.make_usual(4.0).await;
        world.send_many(150).await;
        world.anomalies().observe().await.unwrap();
        assert_eq!(world.open_alerts(Some(&world.agent.org_id)).await.len(), 1);
        world.clock.advance(TimeDelta::minutes(34));
        world.anomalies().observe().await.unwrap();
        assert_eq!(world.open_alerts(Some(&world.agent.org_id)).await, []);
    }

    async fn sweep_runs_once_per_interval(world: &World) {
        world.make_usual(4.0).await;
        world.send_many(150).await;
        let (one, two) = (world.anomalies(), world.anomalies_on(&world.replica().await, BUILT_IN));
        assert_eq!((one.sweep().await.unwrap(), two.sweep().await.unwrap()), (1, 0));
        world.clock.advance(TimeDelta::seconds(60));
        assert_eq!(two.sweep().await.unwrap(), 1);
    }

    async fn announced_campaign_is_no_anomaly_within_its_volume(world: &World) {
        world.make_usual(4.0).await;
        let new = Announcement {
            agent: None,
            from: None,
            until: world.clock.now() + TimeDelta::hours(2),
            volume: 200,
            note: None,
        };
        let anomalies = world.anomalies();
        let campaign = anomalies.announce(&world.admin(), &new).await.unwrap();
        let audit = world.audit("campaign.announce").await;
        assert_eq!((audit.len(), audit[0].target.as_str(), &audit[0].detail["volume"]), (1, campaign.id.as_str(), &json!(200)));
        world.send_many(200).await;
        assert_eq!(anomalies.observe().await.unwrap(), 0);
        // Their number is stored, and counted on from there.
        world.clock.advance(TimeDelta::minutes(6));
        assert_eq!(anomalies.observe().await.unwrap(), 0);
        world.clock.advance(TimeDelta::seconds(1));
        world.send_many(110).await;
        anomalies.observe().await.unwrap();
        assert!(names(world).await.contains(&"volume_spike".to_owned()), "more than announced");
        anomalies.end_campaign(&world.admin(), &campaign.id).await.unwrap();
        for _ in 0..20 {
            anomalies.announce(&world.admin(), &new).await.unwrap();
        }
        let refused = anomalies.announce(&world.admin(), &new).await.unwrap_err();
        assert_eq!(refused.code, Code::Conflict, "one organization can't fill the list of all");
        for open in anomalies.list_campaigns(&world.admin()).await.unwrap() {
            anomalies.end_campaign(&world.admin(), &open.id).await.unwrap();
        }
        assert_eq!(anomalies.list_campaigns(&world.admin()).await.unwrap(), []);
        for (wrong, field) in [
            (Announcement { until: world.clock.now(), ..new }, "until"),
            (Announcement { volume: 0, until: world.clock.now() + TimeDelta::hours(1), ..new }, "volume"),
        ] {
            let refused = anomalies.announce(&world.admin(), &wrong).await.unwrap_err();
            assert_eq!(refused.details["fields"], json!([field]));
        }
    }

    async fn complete_bucket_is_learned_once(world: &World) {
        let anomalies = world.anomalies();
        world.send_many(30).await;
        world.clock.advance(TimeDelta::minutes(4));
        anomalies.observe().await.unwrap();
        let other = world.anomalies_on(&world.replica().await, BUILT_IN);
        other.observe().await.unwrap();
        let orgs = std::slice::from_ref(&world.agent.org_id);
        let hour = crate::baseline::hour_of_week(bucket_of(world.clock.now()));
        let rows = world.store.list_baselines(orgs, hour).await.unwrap();
        let sent: Vec<_> = rows.iter().filter(|row| row.metric == "sent").collect();
        assert_eq!(sent.len(), 6, "agent and organization, each recent, at this hour, and the peak: {rows:?}");
        assert!(sent.iter().all(|row| (row.mean, row.samples) == (30.0, 1)), "{rows:?}");
        let countries = world.store.list_countries(orgs).await.unwrap();
        assert_eq!(countries.iter().map(|seen| seen.country.as_str()).collect::<Vec<_>>(), ["US"]);
    }

    async fn spike_does_not_become_usual_at_once(world: &World) {
        world.make_usual(10.0).await;
        let anomalies = world.anomalies();
        let mean = async || {
            let rows = world.store.list_baselines(std::slice::from_ref(&world.agent.org_id), 0).await.unwrap();
            rows.iter().find(|row| row.metric == "sent" && row.slot == RECENT && !row.agent_id.is_empty()).unwrap().mean
        };
        // An attack of an hour.
        for _ in 0..12 {
            world.send_many(150).await;
            anomalies.observe().await.unwrap();
            world.clock.advance(TimeDelta::minutes(5));
            anomalies.observe().await.unwrap();
        }
        assert!(mean().await <= 10.0, "{}", mean().await);
        assert!(names(world).await.contains(&"volume_spike".to_owned()));
    }

    async fn failed_tokens_are_an_anomaly_of_the_installation(world: &World) {
        let bucket = keys::five_minutes(world.clock.now());
        let ttl = Duration::from_secs(900);
        for _ in 0..199 {
            world.kv.increment(&keys::token_failures_in(bucket), ttl).await.unwrap();
        }
        let anomalies = world.anomalies();
        assert_eq!(anomalies.observe().await.unwrap(), 0);
        world.kv.increment(&keys::token_failures_in(bucket - 1), ttl).await.unwrap();
        for _ in 0..50 {
            world.kv.increment(&keys::sign_in_failures_in(bucket), ttl).await.unwrap();
        }
        anomalies.observe().await.unwrap();
        assert_eq!(names(world).await, ["sign_in_guessing", "token_guessing"]);
        assert_eq!(world.open_alerts(None).await.len(), 2);
        assert_eq!(anomalies.list(&world.admin(), OPEN, 9).await.unwrap(), [], "not of an organization");
        assert_eq!(anomalies.list(&caller(None), OPEN, 9).await.unwrap().len(), 2);
    }

    async fn pumping_and_loops_and_crowds_are_found(world: &World) {
        let org = &world.agent.org_id;
        // Texts to neighbouring numbers that do not answer.
        world.send(&world.agent, (0..40).map(|n| format!("+23480312340{n:02}"))).await;
        // Another agent talks with a program.
        let talker = new_agent(&world.store, org, world.clock.now()).await;
        for n in 0..25 {
            world.send(&talker, ["+14155550111".to_owned()]).await;
            world.clock.advance(TimeDelta::seconds(2));
            receive(world, &talker, "+14155550111", n).await;
            world.clock.advance(TimeDelta::seconds(1));
        }
        // Seven agents write to one person.
        for _ in 0..7 {
            let agent = new_agent(&world.store, org, world.clock.now()).await;
            world.send(&agent, ["+14155550122".to_owned()]).await;
        }
        world.anomalies().observe().await.unwrap();
        let found = names(world).await;
        assert_eq!(found, ["bot_loop", "shared_contact", "sms_pumping"]);
        // The exchange of the programs is stopped for a time, and no other.
        world.store.hash_contacts_with(|_, _| [0; 32]);
        let paused_until = async |agent: &Agent, address: &str| {
            let of = (&agent.org_id, &agent.id);
            let sender = butt_dial_domain::ChannelId::from("none");
            let state = world.store.find_contact_state(of.0, of.1, (&sender, Channel::Sms), address, "k");
            state.await.unwrap().paused_until
        };
        let until = paused_until(&talker, "+14155550111").await.expect("a pause");
        assert_eq!(until, world.clock.now() + TimeDelta::minutes(60));
        assert_eq!(paused_until(&talker, "+14155550122").await, None);
        assert_eq!(paused_until(&world.agent, "+14155550111").await, None);
        let events = world.store.list_events(&talker.id, 0, 100).await.unwrap();
        let mut reports = events.iter().filter(|event| event.kind == "contact.paused");
        let reported = &reports.next().expect("its agent knows").data;
        assert_eq!((&reported["to"], &reported["pausedUntil"]), (&json!("+14155550111"), &json!(until)));
        assert!(reports.next().is_none());
        let open = world.open().await;
        let of_loop = open.iter().find(|one| one.detector == "bot_loop").unwrap();
        assert!(of_loop.explanation.contains("dismiss this anomaly"), "{}", of_loop.explanation);
        // A person who dismisses the anomaly ends the pause, and the exchange may go on.
        world.anomalies().dismiss(&caller(Some(org)), &of_loop.id).await.unwrap();
        assert_eq!(paused_until(&talker, "+14155550111").await, None);
        world.anomalies().observe().await.unwrap();
        assert_eq!(paused_until(&talker, "+14155550111").await, None);
        let stored = format!("{open:?}{:?}{:?}", world.open().await, world.open_alerts(Some(org)).await);
        assert!(!stored.contains("4155550122") && !stored.contains("2348031234"), "no address: {stored}");
    }

    async fn calls_and_countries_and_spend_are_found(world: &World) {
        let org = &world.agent.org_id;
        world.make_usual(4.0).await;
        let month_ago = world.clock.now() - TimeDelta::days(30);
        let seen = butt_dial_store::SeenCountry { org_id: org.to_string(), country: "US".into(), first_at: month_ago };
        world.store.add_countries(std::slice::from_ref(&seen), month_ago).await.unwrap();
        world.send(&world.agent, (0..12).map(|n| format!("+2348{n:02}1234567"))).await;
        for n in 0..200 {
            let call = CallEntry {
                id: CallId::generate(),
                org: org.clone(),
                agent: world.agent.id.clone(),
                direction: Direction::Inbound,
                carrier: "simulator".into(),
                carrier_id: Some(format!("CA{n}")),
                local_number: "+14155550100".into(),
                remote_number: "+14155550199".into(),
                at: world.clock.now(),
            };
            world.store.open_call(&call).await.unwrap();
        }
        world.anomalies().observe().await.unwrap();
        assert_eq!(names(world).await, ["call_burst", "new_country"]);
        let open = world.open().await;
        let country = open.iter().find(|one| one.detector == "new_country").unwrap();
        assert_eq!((&country.numbers["country"], country.subject.as_str()), (&json!("NG"), "org country:NG"));
    }

    async fn signs_of_abuse_are_found(world: &World) {
        let (org, agent, now) = (&world.agent.org_id, &world.agent.id, world.clock.now());
        let owner = ChallengeOwner { org: org.clone(), agent: Some(agent.clone()) };
        let ruling = json!({ "facts": { "kind": "premium" } }).to_string();
        for n in 0..6 {
            let id = ChallengeId::generate();
            let new = NewChallenge {
                id: &id, owner: &owner, purpose: "x", channel: Channel::Sms, address: "+1", contact: "+1", code_hash: "h",
                expires_at: now + TimeDelta::minutes(10),
            };
            world.store.create_challenge(&new, now).await.unwrap();
            for _ in 0..5 {
                world.store.take_challenge_try(&owner, &id, "x", 5, now).await.unwrap().unwrap();
            }
            let refusal = NewRefusal {
                org, agent, channel: Channel::Voice, recipient: "+1***", contact_hash: "aa", purpose: SendPurpose::Undeclared,
                rule: "destination", code: Code::InvalidRecipient, ruling: &ruling,
            };
            world.store.add_refusal(&refusal, now).await.unwrap();
            let person = format!("+1415555020{n}");
            world.store.record_consent(org, Channel::Sms, &person, false, "keyword", now).await.unwrap();
        }
        for n in 0..10 {
            let entry = AuditEntry::new(Some(org), "tok_1", "token.rotate", &format!("tok_{n}"), now);
            world.store.append_audit(&entry).await.unwrap();
        }
        let anomalies = world.anomalies();
        anomalies.observe().await.unwrap();
        assert_eq!(names(world).await, ["code_guessing", "opt_outs", "premium_prefix", "token_rotation"]);
        let restraints = world.store.find_restraints(agent).await.unwrap();
        assert_eq!(restraints.throttle_at(now), Some(6), "guessed codes slow their agent");
    }

    async fn fast_spend_is_found_before_the_budget_is_used_up(world: &World) {
        world.make_usual(40.0).await;
        let cost = BaselineRow {
            org_id: world.agent.org_id.to_string(),
            agent_id: String::new(),
            metric: "cost".into(),
            slot: RECENT,
            mean: 40_000.0,
            samples: 5_000,
            bucket: bucket_of(world.clock.now()) - 1,
        };
        world.store.save_baselines(&[cost]).await.unwrap();
        let limits = Limits { max_spend_per_day: Some(Micros(2_000_000)), ..Limits::default() };
        let setup = AuditEntry::new(None, "system", "test.setup", "test", world.clock.now());
        let scope = format!("org:{}", world.agent.org_id);
        world.store.change(setup).set_limits(&scope, &limits, world.clock.now()).await.unwrap();
        world.send_many(150).await;
        world.anomalies().observe().await.unwrap();
        assert_eq!(names(world).await, ["spend_rate"]);
        let found = world.open().await.remove(0);
        assert_eq!((&found.numbers["usedMicros"], &found.numbers["capMicros"]), (&json!(1_200_000), &json!(2_000_000)));
        assert_eq!((found.agent(), &found.numbers["minutesToExhaustion"]), (None, &json!(3.0)));
    }
}
