//! Calls: stored once, and independent of the order of their reports.

use std::collections::HashMap;

use butt_dial_domain::{
    CallId,
    call::{AnsweredBy, CallStatus, Direction, Recording},
};
use futures::future::join_all;
use serde_json::json;

use super::inbound::{PERSON, batch};
use super::*;
use crate::{Applied, Call, CallChange, CallCursor, CallEntry, Conclusion, InboundBatch};

fn entry(agent: &Agent, direction: Direction, carrier_id: Option<&str>) -> CallEntry {
    CallEntry {
        id: CallId::generate(),
        org: agent.org_id.clone(),
        agent: agent.id.clone(),
        direction,
        carrier: "simulator".into(),
        carrier_id: carrier_id.map(str::to_owned),
        local_number: "+14155550100".into(),
        remote_number: PERSON.into(),
        at: morning(),
    }
}

pub fn inbound_call(agent: &Agent, carrier_id: &str) -> CallEntry {
    entry(agent, Direction::Inbound, Some(carrier_id))
}

fn report(carrier_id: &str, after: i64) -> CallChange {
    CallChange::of_carrier("simulator", carrier_id, morning() + seconds(after))
}

fn status_report(carrier_id: &str, status: CallStatus, after: i64) -> CallChange {
    CallChange {
        status: Some(status),
        ..report(carrier_id, after)
    }
}

pub fn conclusion(carrier_id: &str, turns: i64, after: i64) -> CallChange {
    CallChange {
        conclusion: Some(Conclusion {
            handled_by: "agent".into(),
            end_reason: "caller_hung_up".into(),
            turns,
            latency: json!({ "p50": 412, "p95": 900.5 }),
            content: Some(format!("sealed {turns} \u{0}\u{fe}").into_bytes()),
        }),
        ..report(carrier_id, after)
    }
}

fn recording(carrier_id: &str, id: &str, seconds: Option<u32>) -> CallChange {
    CallChange {
        recording: Some(Recording {
            id: id.into(),
            url: Some(format!("https://carrier.example/{id}")),
            is_completed: seconds.is_some(),
            duration_seconds: seconds,
        }),
        ..report(carrier_id, 50)
    }
}

fn batch_of(after: u64, calls: Vec<CallChange>) -> InboundBatch {
    InboundBatch {
        calls,
        ..batch(after, vec![], vec![])
    }
}

pub async fn receive(store: &Store, calls: Vec<CallChange>) -> Applied {
    let after = store.find_log_position("INBOUND").await.unwrap();
    store.apply_inbound(&batch_of(after, calls), &|_| None).await.unwrap()
}

async fn known(store: &Store, carrier_id: &str) -> Call {
    store.find_carrier_call("simulator", carrier_id).await.unwrap().unwrap()
}

fn ids(calls: &[Call]) -> Vec<&CallId> {
    calls.iter().map(|call| &call.id).collect()
}

/// Returns all permutations of `0..count`.
fn permutations(count: usize) -> Vec<Vec<usize>> {
    let Some(last) = count.checked_sub(1) else {
        return vec![vec![]];
    };
    let mut all = Vec::new();
    for shorter in permutations(last) {
        for place in 0..count {
            let mut order = shorter.clone();
            order.insert(place, last);
            all.push(order);
        }
    }
    all
}

both_engines! {
    async fn reads_call_as_stored(db: &Database) {
        let agent = new_agent(db).await;
        let at = morning() + TimeDelta::microseconds(123_456);
        let entry = CallEntry { at, remote_number: "anonymous".into(), ..inbound_call(&agent, "CA1") };
        let call = db.open_call(&entry).await.unwrap();
        let expected = Call {
            id: entry.id.clone(),
            org: agent.org_id.clone(),
            agent: agent.id.clone(),
            direction: Direction::Inbound,
            carrier: "simulator".into(),
            carrier_id: Some("CA1".into()),
            local_number: "+14155550100".into(),
            remote_number: "anonymous".into(),
            status: CallStatus::Ringing,
            answered_by: None,
            handled_by: None,
            created_at: at,
            answered_at: None,
            ended_at: None,
            duration_seconds: None,
            turns: 0,
            latency: None,
            cost: None,
            error_code: None,
            end_reason: None,
            recording_id: None,
            recording_url: None,
            recording_seconds: None,
            content: None,
            updated_at: at,
        };
        assert_eq!(call, expected);
        for id in [entry.id.as_str(), "CA1"] {
            assert_eq!(db.find_call(&agent.id, id).await.unwrap().as_ref(), Some(&expected));
            assert_eq!(db.find_call(&new_agent(db).await.id, id).await.unwrap(), None, "of another agent");
        }
        assert_eq!(db.find_carrier_call("simulator", "CA1").await.unwrap(), Some(expected));
        assert_eq!(db.find_carrier_call("elsewhere", "CA1").await.unwrap(), None);
        assert_eq!(db.find_call(&agent.id, "CA2").await.unwrap(), None);
        let placed = db.open_call(&self::entry(&agent, Direction::Outbound, None)).await.unwrap();
        assert_eq!((placed.status, placed.carrier_id), (CallStatus::Queued, None));
        let text = format!("{call:?}");
        assert!(!text.contains("anonymous") && !text.contains("+1415"), "{text}");
    }

    async fn opens_call_once(db: &Database) {
        let agent = new_agent(db).await;
        let first = inbound_call(&agent, "CA1");
        let call = db.open_call(&first).await.unwrap();
        // By its id, ..
        let again = CallEntry { remote_number: "anonymous".into(), carrier_id: None, ..first.clone() };
        assert_eq!(db.open_call(&again).await.unwrap(), call);
        // .. by its carrier id, ..
        assert_eq!(db.open_call(&inbound_call(&agent, "CA1")).await.unwrap(), call);
        // Found by its id first.
        let second = db.open_call(&inbound_call(&agent, "CA2")).await.unwrap();
        let both = CallEntry { carrier_id: Some("CA2".into()), ..first };
        assert_eq!(db.open_call(&both).await.unwrap(), call);
        // Another carrier may use the same ids.
        let elsewhere = CallEntry { carrier: "elsewhere".into(), ..inbound_call(&agent, "CA1") };
        assert_eq!(db.open_call(&elsewhere).await.unwrap().id, elsewhere.id);
        assert_ne!(second.id, call.id);
        assert_eq!(db.count("SELECT COUNT(*) FROM calls").await, 3);
    }

    async fn concurrent_opens_find_the_same_call(db: &Database) {
        let agent = new_agent(db).await;
        let replicas = [db.replica().await, db.replica().await];
        let opens = (0..40).map(|n| {
            let (store, entry) = (&replicas[n % 2], inbound_call(&agent, &format!("CA{}", n % 4)));
            async move { (n % 4, store.open_call(&entry).await.unwrap().id) }
        });
        let opened = join_all(opens).await;
        for (n, id) in &opened {
            assert_eq!(known(db, &format!("CA{n}")).await.id, *id);
        }
        assert_eq!(db.count("SELECT COUNT(*) FROM calls").await, 4);
    }

    async fn lists_calls_newest_first(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        let mut entries = Vec::new();
        for n in 0..5 {
            // Two of them at the same time.
            let at = morning() + seconds(n / 2);
            let entry = CallEntry { at, ..inbound_call(&agent, &format!("CA{n}")) };
            db.open_call(&entry).await.unwrap();
            entries.insert(0, entry.id);
        }
        db.open_call(&inbound_call(&other, "CX")).await.unwrap();
        entries[1..3].sort_by(|a, b| b.cmp(a));
        entries[3..5].sort_by(|a, b| b.cmp(a));
        let all: Vec<&CallId> = entries.iter().collect();
        let list = async |live, limit, before: Option<&CallId>| {
            db.list_calls(&agent.id, live, limit, before.map(CallId::as_str)).await.unwrap()
        };
        assert_eq!(ids(&list(false, 9, None).await), all);
        assert_eq!(ids(&list(false, 2, None).await), all[..2]);
        assert_eq!(ids(&list(false, 2, Some(all[1])).await), all[2..4]);
        assert_eq!(ids(&list(false, 2, Some(all[3])).await), all[4..]);
        assert!(list(false, 2, Some(all[4])).await.is_empty());
        let theirs = known(db, "CX").await.id;
        assert!(list(false, 9, Some(&theirs)).await.is_empty(), "of another agent");
        receive(db, vec![status_report("CA1", CallStatus::Completed, 9), status_report("CA4", CallStatus::Busy, 9)]).await;
        let over = known(db, "CA1").await.id;
        let live: Vec<&CallId> = all.iter().copied().skip(1).filter(|id| **id != over).collect();
        assert_eq!(ids(&list(true, 9, None).await), live);
        assert_eq!(ids(&list(true, 1, Some(live[0])).await), live[1..2]);
    }

    async fn report_order_does_not_change_the_call(db: &Database) {
        let agent = new_agent(db).await;
        let story = |carrier_id: &str, open: &CallEntry| {
            let answered = CallChange {
                answered_by: Some(AnsweredBy::MachineEnd),
                ..status_report(carrier_id, CallStatus::InProgress, 3)
            };
            let ended = CallChange {
                duration_seconds: Some(42),
                price: Some(Micros(8_500)),
                ..status_report(carrier_id, CallStatus::Completed, 45)
            };
            let reports = [
                status_report(carrier_id, CallStatus::Initiated, 1),
                status_report(carrier_id, CallStatus::Ringing, 2),
                answered.clone(),
                ended.clone(),
                recording(carrier_id, "RE1", Some(40)),
                conclusion(carrier_id, 7, 46),
                // Repeated a little later.
                CallChange { at: ended.at + seconds(1), ..ended },
            ];
            reports.map(|report| CallChange { open: Some(open.clone()), ..report })
        };
        // One call per permutation.
        let orders = permutations(7);
        assert_eq!(orders.len(), 5_040);
        let stories: Vec<Vec<CallChange>> = (0..).zip(&orders).map(|(n, order)| {
            let carrier_id = format!("CA{n}");
            let story = story(&carrier_id, &entry(&agent, Direction::Outbound, Some(&carrier_id)));
            order.iter().map(|n| story[*n].clone()).collect()
        }).collect();
        // All calls in one batch per step, some of them in separate batches.
        for (n, stories) in stories.chunks(120).enumerate() {
            let batches: Vec<Vec<CallChange>> = if n % 7 == 0 {
                (0..7).map(|step| stories.iter().map(|story| story[step].clone()).collect()).collect()
            } else {
                vec![stories.concat()]
            };
            let mut settled = HashMap::new();
            for calls in batches {
                settled.extend(receive(db, calls).await.to_settle.into_iter().map(|call| (call.id.clone(), call)));
            }
            assert_eq!(settled.len(), 120);
            // The last settlement has seen all reports.
            assert!(settled.values().all(|call| (call.duration_seconds, call.cost) == (Some(42), Some(8_500))));
        }
        let calls = db.list_calls(&agent.id, false, 9_999, None).await.unwrap();
        assert_eq!(calls.len(), orders.len());
        let first = known(db, "CA0").await;
        assert_eq!((first.status, first.answered_by), (CallStatus::Completed, Some(AnsweredBy::MachineEnd)));
        assert_eq!((first.created_at, first.answered_at), (morning(), Some(morning() + seconds(3))));
        assert_eq!((first.ended_at, first.duration_seconds), (Some(morning() + seconds(45)), Some(42)));
        assert_eq!((first.handled_by.as_deref(), first.end_reason.as_deref()), (Some("agent"), Some("caller_hung_up")));
        assert_eq!((first.turns, first.cost, first.recording_seconds), (7, Some(8_500), Some(40)));
        assert_eq!(first.latency, Some(json!({ "p50": 412, "p95": 900.5 })));
        assert_eq!(first.content.as_deref(), Some("sealed 7 \u{0}\u{fe}".as_bytes()));
        assert_eq!(first.recording_url.as_deref(), Some("https://carrier.example/RE1"));
        assert_eq!(first.updated_at, morning() + seconds(50));
        for call in calls {
            let expected = Call { id: call.id.clone(), carrier_id: call.carrier_id.clone(), ..first.clone() };
            assert_eq!(call, expected);
        }
    }

    async fn contradicting_reports_resolve_the_same_in_any_order(db: &Database) {
        let agent = new_agent(db).await;
        let reports = |carrier_id: &str| [
            status_report(carrier_id, CallStatus::Completed, 9),
            CallChange { error_code: Some("31000".into()), ..status_report(carrier_id, CallStatus::Failed, 8) },
            CallChange { error_code: Some("31005".into()), ..status_report(carrier_id, CallStatus::Canceled, 8) },
            CallChange { conclusion: None, ..recording(carrier_id, "RE1", None) },
            recording(carrier_id, "RE2", Some(5)),
            conclusion(carrier_id, 3, 1),
        ];
        for (n, order) in permutations(6).into_iter().enumerate() {
            let carrier_id = format!("CA{n}");
            let reports = reports(&carrier_id);
            let mut calls: Vec<CallChange> = order.iter().map(|n| reports[*n].clone()).collect();
            calls[0].open = Some(inbound_call(&agent, &carrier_id));
            calls.push(conclusion(&carrier_id, 1, 2));
            assert_eq!(receive(db, calls).await.to_settle.len(), 1);
            let call = known(db, &carrier_id).await;
            assert_eq!((call.status, call.ended_at), (CallStatus::Canceled, Some(morning() + seconds(8))));
            assert_eq!(call.error_code.as_deref(), Some("31000"));
            assert_eq!((call.recording_id.as_deref(), call.turns), (Some("RE2"), 3));
            assert_eq!(call.duration_seconds, None);
        }
    }

    async fn call_ends_once(db: &Database) {
        let agent = new_agent(db).await;
        let id = db.open_call(&inbound_call(&agent, "CA1")).await.unwrap().id;
        assert!(receive(db, vec![status_report("CA1", CallStatus::InProgress, 1)]).await.to_settle.is_empty());
        // A duration without an end is ignored.
        let early = CallChange { duration_seconds: Some(9), ..status_report("CA1", CallStatus::InProgress, 4) };
        assert!(receive(db, vec![early]).await.to_settle.is_empty());
        assert_eq!(known(db, "CA1").await.duration_seconds, None);
        let both = vec![status_report("CA1", CallStatus::Completed, 9), status_report("CA1", CallStatus::Completed, 9)];
        let ended = receive(db, both.clone()).await.to_settle;
        assert_eq!(ids(&ended), [&id]);
        assert_eq!(ended[0], known(db, "CA1").await);
        assert!(receive(db, both).await.to_settle.is_empty());
        assert!(receive(db, vec![status_report("CA1", CallStatus::Ringing, 10), conclusion("CA1", 1, 11)]).await.to_settle.is_empty());
        assert_eq!(known(db, "CA1").await.status, CallStatus::Completed);
        // The cost is known only now.
        let lasted = CallChange { duration_seconds: Some(61), ..status_report("CA1", CallStatus::Completed, 9) };
        let priced = CallChange { price: Some(Micros(7)), ..report("CA1", 12) };
        for change in [lasted, priced] {
            assert_eq!(ids(&receive(db, vec![change.clone()]).await.to_settle), [&id]);
            assert!(receive(db, vec![change]).await.to_settle.is_empty());
        }
    }

    async fn lists_stale_calls_in_pages(db: &Database) {
        let (ada, bob) = (new_agent(db).await, new_agent(db).await);
        let mut expected = Vec::new();
        for (n, agent) in [&ada, &ada, &bob].into_iter().enumerate() {
            expected.push(db.open_call(&inbound_call(agent, &format!("CA{n}"))).await.unwrap());
        }
        // Recently updated, ended, and without a carrier id.
        for carrier_id in ["CA3", "CA4"] {
            db.open_call(&inbound_call(&ada, carrier_id)).await.unwrap();
        }
        receive(db, vec![status_report("CA3", CallStatus::InProgress, 60), status_report("CA4", CallStatus::Completed, 1)]).await;
        db.open_call(&entry(&ada, Direction::Outbound, None)).await.unwrap();
        expected.sort_by(|one, other| (&one.agent, &one.id).cmp(&(&other.agent, &other.id)));
        let since = morning() + seconds(60);
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = db.list_stale_calls(since, after.as_ref(), 2).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(CallCursor::from(last));
            found.extend(page);
        }
        assert_eq!(found, expected);
        assert!(db.list_stale_calls(morning(), None, 9).await.unwrap().is_empty());
    }

    async fn finds_call_by_id_before_carrier_id_is_known(db: &Database) {
        let agent = new_agent(db).await;
        let placed = db.open_call(&entry(&agent, Direction::Outbound, None)).await.unwrap();
        let by_id = |carrier_id: &str, status| CallChange {
            id: Some(placed.id.clone()),
            ..status_report(carrier_id, status, 1)
        };
        // The second report finds the call by the carrier id of the first one.
        receive(db, vec![by_id("CA1", CallStatus::Initiated), status_report("CA1", CallStatus::Ringing, 2)]).await;
        assert_eq!(known(db, "CA1").await.status, CallStatus::Ringing);
        // A report by the call id alone.
        let alone = CallChange { carrier_id: None, ..by_id("", CallStatus::InProgress) };
        receive(db, vec![alone]).await;
        assert_eq!(known(db, "CA1").await.status, CallStatus::InProgress);
        // A leg of it, an unknown call, and a call of another carrier.
        let leg = by_id("CA9", CallStatus::Completed);
        let stranger = CallChange { id: Some(CallId::generate()), ..by_id("CA1", CallStatus::Completed) };
        let elsewhere = CallChange { carrier: "elsewhere".into(), ..by_id("CA1", CallStatus::Completed) };
        let applied = receive(db, vec![leg, stranger, elsewhere, status_report("CA7", CallStatus::Completed, 3)]).await;
        assert!(applied.to_settle.is_empty());
        assert_eq!(known(db, "CA1").await.status, CallStatus::InProgress);
        assert_eq!(db.count("SELECT COUNT(*) FROM calls").await, 1);
    }

    async fn carrier_id_belongs_to_one_call(db: &Database) {
        let agent = new_agent(db).await;
        let taken = db.open_call(&inbound_call(&agent, "CA1")).await.unwrap();
        let [one, two] = [(); 2].map(|()| entry(&agent, Direction::Outbound, None));
        let claims = |open: &CallEntry, carrier_id: &str| CallChange {
            id: Some(open.id.clone()),
            open: Some(open.clone()),
            ..status_report(carrier_id, CallStatus::Busy, 1)
        };
        // A stored call, a call of the same batch, and a call that could not be stored.
        let late = CallEntry { carrier_id: Some("CA1".into()), ..entry(&agent, Direction::Inbound, None) };
        let ended = receive(db, vec![claims(&one, "CA1"), claims(&one, "CA2"), claims(&two, "CA2"), claims(&late, "CA1")]);
        assert_eq!(ended.await.to_settle.len(), 3);
        let two = db.find_call(&agent.id, two.id.as_str()).await.unwrap().unwrap();
        assert_eq!((known(db, "CA2").await.id, two.carrier_id, two.status), (one.id, None, CallStatus::Busy));
        assert_eq!((known(db, "CA1").await.id, known(db, "CA1").await.status), (taken.id, CallStatus::Busy));
        assert_eq!(db.count("SELECT COUNT(*) FROM calls").await, 3);
    }

    async fn stores_nul_characters_from_carriers(db: &Database) {
        let agent = new_agent(db).await;
        let open = CallEntry { remote_number: "no\0body".into(), ..inbound_call(&agent, "CA1") };
        let change = CallChange {
            open: Some(open),
            error_code: Some("3\0".into()),
            recording: Some(Recording { id: "R\0".into(), url: Some("\0".into()), is_completed: true, duration_seconds: None }),
            ..status_report("CA1", CallStatus::Failed, 1)
        };
        let odd = CallChange { open: Some(inbound_call(&agent, "C\0")), ..status_report("C\0", CallStatus::Failed, 1) };
        receive(db, vec![odd, change]).await;
        let call = known(db, "CA1").await;
        assert_eq!((call.remote_number.as_str(), call.error_code.as_deref()), ("no\u{fffd}body", Some("3\u{fffd}")));
        assert_eq!(call.recording_id.as_deref(), Some("R\u{fffd}"));
    }

    async fn corrupt_call_does_not_block_the_stream(db: &Database) {
        let agent = new_agent(db).await;
        let broken = db.open_call(&inbound_call(&agent, "CA1")).await.unwrap().id;
        db.open_call(&inbound_call(&agent, "CA2")).await.unwrap();
        db.execute("UPDATE calls SET status = 'dreaming' WHERE carrier_id = 'CA1'").await;
        let open = CallChange { open: Some(inbound_call(&agent, "CA1")), ..status_report("CA1", CallStatus::Busy, 1) };
        assert_eq!(receive(db, vec![open, status_report("CA2", CallStatus::Busy, 1)]).await.to_settle.len(), 1);
        let place = ("calls", "status", broken.as_str());
        assert_corrupt(db.find_call(&agent.id, "CA1").await, place);
        assert_corrupt(db.find_carrier_call("simulator", "CA1").await, place);
        assert_corrupt(db.list_calls(&agent.id, false, 9, None).await, place);
        assert_corrupt(db.open_call(&inbound_call(&agent, "CA1")).await, place);
    }

    async fn purges_content_of_old_calls(db: &Database) {
        let agent = new_agent(db).await;
        for (carrier_id, after) in [("CA1", 0), ("CA2", 10)] {
            let open = CallEntry { at: morning() + seconds(after), ..inbound_call(&agent, carrier_id) };
            let open = Some(open);
            receive(db, vec![CallChange { open, ..conclusion(carrier_id, 2, after) }]).await;
        }
        assert_eq!(db.purge_contents(morning()).await.unwrap(), 0, "not older than that");
        assert_eq!(db.purge_contents(morning() + seconds(10)).await.unwrap(), 1);
        assert_eq!((known(db, "CA1").await.content, known(db, "CA1").await.turns), (None, 2));
        assert!(known(db, "CA2").await.content.is_some());
        // A repeated report does not restore it.
        receive(db, vec![conclusion("CA1", 2, 0), status_report("CA1", CallStatus::Completed, 1)]).await;
        assert_eq!(known(db, "CA1").await.content, None);
    }

    async fn lists_calls_of_own_organization_only(db: &Database) {
        let (agent, stranger) = (new_agent(db).await, new_agent(db).await);
        let colleague = new_agent_in(db, &agent.org_id).await;
        let mut calls = Vec::new();
        for (n, of) in [&agent, &colleague, &agent].into_iter().enumerate() {
            let mut call = inbound_call(of, &format!("CA{n}"));
            call.at = morning() + seconds(n as i64);
            calls.push(db.open_call(&call).await.unwrap());
        }
        db.open_call(&inbound_call(&stranger, "CA9")).await.unwrap();
        let org = &agent.org_id;
        let all = db.list_calls_of_org(org, None, false, 10, None).await.unwrap();
        assert_eq!(ids(&all), [&calls[2].id, &calls[1].id, &calls[0].id]);
        let next = db.list_calls_of_org(org, None, true, 10, Some(calls[2].id.as_str())).await.unwrap();
        assert_eq!(ids(&next), [&calls[1].id, &calls[0].id]);
        let own = db.list_calls_of_org(org, Some(&colleague.id), false, 10, None).await.unwrap();
        assert_eq!(ids(&own), [&calls[1].id]);
        receive(db, vec![status_report("CA0", CallStatus::Busy, 5)]).await;
        assert_eq!(db.list_calls_of_org(org, None, true, 10, None).await.unwrap().len(), 2);
        assert!(db.list_calls_of_org(org, None, false, 10, Some("call_x")).await.unwrap().is_empty());
        let remote = calls[1].remote_number.clone();
        let numbers = ["+19995550000".to_owned(), remote];
        assert_eq!(db.list_calls_with(org, Some(&colleague.id), &numbers, 10).await.unwrap()[0].id, calls[1].id);
        assert_eq!(db.list_calls_with(org, None, &numbers, 2).await.unwrap().len(), 2);
        assert!(db.list_calls_with(org, None, &numbers[..1], 10).await.unwrap().is_empty());
        assert_eq!(db.list_calls_with(&stranger.org_id, None, &numbers, 10).await.unwrap().len(), 1);
        assert_eq!(db.find_call_of_org(org, "CA1").await.unwrap().unwrap().id, calls[1].id);
        assert!(db.find_call_of_org(&stranger.org_id, "CA1").await.unwrap().is_none());
    }
}
