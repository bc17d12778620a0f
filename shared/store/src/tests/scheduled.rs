//! Scheduled sends: claimed when due, by one replica, and closed once.

use std::collections::BTreeSet;

use super::*;
use crate::{
    ApprovalState, Cancellation, DueKind, NewApproval, NewScheduledSend, ScheduledCap, ScheduledCaps, ScheduledSend,
};

const CAPS: ScheduledCaps = ScheduledCaps {
    agent: LARGE,
    org: LARGE,
};
const LARGE: ScheduledCap = ScheduledCap {
    count: 100,
    bytes: 1_000,
};
const CAP_OF_TWO: [ScheduledCap; 2] = [
    ScheduledCap { count: 2, bytes: 999 },
    ScheduledCap { count: 99, bytes: 10 },
];
const LEASE: TimeDelta = TimeDelta::minutes(1);

pub async fn schedule(store: &Store, agent: &Agent, key: &str, due_at: Timestamp) -> Option<MessageId> {
    schedule_within(store, agent, key, due_at, &CAPS).await
}

async fn schedule_within(
    store: &Store,
    agent: &Agent,
    key: &str,
    due_at: Timestamp,
    caps: &ScheduledCaps,
) -> Option<MessageId> {
    let id = MessageId::generate();
    let new = NewScheduledSend {
        id: &id,
        org: &agent.org_id,
        agent: &agent.id,
        channel: Channel::Sms,
        recipient: "+14155550199",
        idempotency_key: key,
        request_hash: "aa11",
        request: &[0, 1, 0xfe, 0xff],
        due_at,
        tries: 2,
        is_counted: false,
        approval: None,
    };
    let added = store.schedule_send(&new, caps, morning()).await.unwrap();
    added.then_some(id)
}

async fn claim(store: &Store, limit: u32, now: Timestamp) -> Vec<ScheduledSend> {
    let is_due = is_due(store, DueKind::ScheduledSends, now).await;
    let claimed = store.claim_scheduled(limit, now, now + LEASE).await.unwrap();
    assert!(is_due || claimed.is_empty());
    claimed
}

fn ids(claimed: &[ScheduledSend]) -> BTreeSet<MessageId> {
    claimed.iter().map(ScheduledSend::id).collect()
}

async fn find(store: &Store, agent: &Agent, id_or_key: &str) -> Option<ScheduledSend> {
    store.find_scheduled(&agent.id, id_or_key).await.unwrap()
}

both_engines! {
    async fn reads_scheduled_send_as_stored(db: &Database) {
        let agent = new_agent(db).await;
        let due = morning() + TimeDelta::microseconds(123_456);
        let id = schedule(db, &agent, "k", due).await.unwrap();
        for name in ["k", id.as_str()] {
            let found = find(db, &agent, name).await.unwrap();
            assert_eq!((found.id(), found.org(), found.agent()), (id.clone(), agent.org_id.clone(), agent.id.clone()));
            assert_eq!((found.channel.as_str(), found.recipient.as_str()), ("sms", "+14155550199"));
            assert_eq!((found.idempotency_key.as_str(), found.request_hash.as_str()), ("k", "aa11"));
            assert_eq!(found.request.as_deref(), Some(&[0, 1, 0xfe, 0xff][..]));
            assert_eq!((found.state, found.failure.as_deref()), (ScheduledState::Scheduled, None));
            assert_eq!((found.due_at, found.tries, found.created_at), (due, 2, morning()));
        }
        let other = new_agent_in(db, &agent.org_id).await;
        for name in ["k", id.as_str()] {
            assert!(find(db, &other, name).await.is_none(), "of another agent");
        }
        assert!(find(db, &agent, "nothing").await.is_none());
    }

    async fn finds_by_id_before_equal_key(db: &Database) {
        let agent = new_agent(db).await;
        let id = schedule(db, &agent, "k", morning()).await.unwrap();
        schedule(db, &agent, id.as_str(), morning()).await.unwrap();
        assert_eq!(find(db, &agent, id.as_str()).await.unwrap().idempotency_key, "k");
    }

    async fn key_belongs_to_one_scheduled_send(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        let id = schedule(db, &agent, "k", morning()).await.unwrap();
        assert_eq!(schedule(db, &agent, "k", morning() + seconds(9)).await, None);
        assert_eq!(find(db, &agent, "k").await.unwrap().due_at, morning());
        assert!(schedule(db, &other, "k", morning()).await.is_some());
        db.close_scheduled(&id, None).await.unwrap();
        assert_eq!(schedule(db, &agent, "k", morning()).await, None, "also after it was sent");
        assert_eq!(db.count("SELECT COUNT(*) FROM scheduled_sends").await, 2);
    }

    async fn claims_longest_due_sends_first_and_once(db: &Database) {
        let agent = new_agent(db).await;
        let mut due = Vec::new();
        for n in [3, 1, 2, 4] {
            due.push((n, schedule(db, &agent, &format!("k{n}"), morning() + seconds(n)).await.unwrap()));
        }
        due.sort();
        let of = |range: std::ops::Range<usize>| due[range].iter().map(|(_, id)| id.clone()).collect::<BTreeSet<_>>();
        let now = morning() + seconds(3);
        assert_eq!(ids(&claim(db, 9, morning()).await), of(0..0));
        let first = claim(db, 2, now).await;
        assert_eq!(ids(&first), of(0..2));
        assert!(first.iter().all(|claimed| claimed.tries == 3 && claimed.due_at == now + LEASE));
        assert_eq!(first[0].request.as_deref(), Some(&[0, 1, 0xfe, 0xff][..]));
        assert_eq!(ids(&claim(db, 9, now).await), of(2..3));
        assert_eq!(ids(&claim(db, 9, now).await), of(0..0));
        // The claims have ended.
        assert_eq!(ids(&claim(db, 9, now + LEASE).await), of(0..4));
    }

    async fn concurrent_claims_never_share_a_send(db: &Database) {
        let agent = new_agent(db).await;
        let mut all = BTreeSet::new();
        for n in 0..60 {
            all.insert(schedule(db, &agent, &format!("k{n}"), morning()).await.unwrap());
        }
        let replicas = [db.replica().await, db.replica().await];
        let mut seen = BTreeSet::new();
        while seen.len() < all.len() {
            let takers = (0..6).map(|n| claim(&replicas[n % 2], 7, morning()));
            for claimed in futures::future::join_all(takers).await.into_iter().flatten() {
                assert!(seen.insert(claimed.id()), "claimed twice");
            }
        }
        assert_eq!(seen, all);
    }

    async fn closed_send_is_not_claimed_again(db: &Database) {
        let agent = new_agent(db).await;
        let sent = schedule(db, &agent, "sent", morning()).await.unwrap();
        let failed = schedule(db, &agent, "failed", morning()).await.unwrap();
        db.close_scheduled(&sent, None).await.unwrap();
        db.close_scheduled(&failed, Some("OVER_BUDGET")).await.unwrap();
        // Too late: the first result stays.
        db.close_scheduled(&sent, Some("OVER_BUDGET")).await.unwrap();
        db.close_scheduled(&failed, None).await.unwrap();
        db.reschedule_send(&sent, morning() + seconds(9)).await.unwrap();
        for (key, state, failure) in [
            ("sent", ScheduledState::Sent, None),
            ("failed", ScheduledState::Failed, Some("OVER_BUDGET")),
        ] {
            let found = find(db, &agent, key).await.unwrap();
            assert_eq!((found.state, found.failure.as_deref()), (state, failure));
            assert_eq!((found.request, found.due_at), (None, morning()));
        }
        assert!(claim(db, 9, morning() + TimeDelta::days(1)).await.is_empty());
    }

    async fn agents_take_turns_in_a_claim(db: &Database) {
        let (busy, quiet) = (new_agent(db).await, new_agent(db).await);
        for n in 0..20 {
            schedule(db, &busy, &format!("k{n}"), morning()).await.unwrap();
        }
        let alone = schedule(db, &quiet, "k", morning() + seconds(1)).await.unwrap();
        let claimed = claim(db, 4, morning() + seconds(1)).await;
        assert!(claimed.len() == 4 && ids(&claimed).contains(&alone));
    }

    async fn send_to_opted_out_person_is_claimed_as_cancelled(db: &Database) {
        let agent = new_agent(db).await;
        let recipient = "+14155550199";
        // As if it had been written while the person opted out.
        db.record_consent(&agent.org_id, Channel::Voice, recipient, false, "keyword", morning()).await.unwrap();
        schedule(db, &agent, "k", morning()).await.unwrap();
        assert_eq!(claim(db, 9, morning()).await[0].state, ScheduledState::Cancelled);
    }

    async fn opt_out_on_one_channel_cancels_all_of_the_number(db: &Database) {
        let agent = new_agent(db).await;
        schedule(db, &agent, "k", morning()).await.unwrap();
        db.record_consent(&agent.org_id, Channel::Whatsapp, "+14155550199", false, "keyword", morning()).await.unwrap();
        assert_eq!(find(db, &agent, "k").await.unwrap().state, ScheduledState::Cancelled);
    }

    async fn scheduled_sends_are_capped_by_count_and_bytes(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        for cap in CAP_OF_TWO {
            let caps = ScheduledCaps { agent: cap, ..CAPS };
            let add = async |agent: &Agent| schedule_within(db, agent, &butt_dial_domain::ids::unique(), morning(), &caps).await;
            let first = add(&agent).await.unwrap();
            assert!(add(&agent).await.is_some() && add(&agent).await.is_none());
            assert!(add(&other).await.is_some(), "each agent has its own");
            db.close_scheduled(&first, None).await.unwrap();
            assert!(add(&agent).await.is_some(), "one has left");
            db.execute("DELETE FROM scheduled_sends").await;
        }
    }

    async fn scheduled_sends_of_organization_are_capped(db: &Database) {
        let (agent, stranger) = (new_agent(db).await, new_agent(db).await);
        let colleague = new_agent_in(db, &agent.org_id).await;
        for cap in CAP_OF_TWO {
            let caps = ScheduledCaps { org: cap, ..CAPS };
            let add = async |agent: &Agent| schedule_within(db, agent, &butt_dial_domain::ids::unique(), morning(), &caps).await;
            let first = add(&agent).await.unwrap();
            assert!(add(&colleague).await.is_some());
            assert!(add(&agent).await.is_none() && add(&colleague).await.is_none());
            assert!(add(&stranger).await.is_some(), "each organization has its own");
            db.close_scheduled(&first, None).await.unwrap();
            assert!(add(&colleague).await.is_some(), "one has left");
            db.execute("DELETE FROM scheduled_sends").await;
        }
    }

    async fn cancelled_send_is_never_claimed(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        let first = schedule(db, &agent, "first", morning()).await.unwrap();
        let second = schedule(db, &agent, "second", morning() + seconds(1)).await.unwrap();
        let list = async |after| {
            let listed = db.list_scheduled(&agent.id, after, 9).await.unwrap();
            listed.iter().map(ScheduledSend::id).collect::<Vec<_>>()
        };
        assert_eq!(list(None).await, [first.clone(), second.clone()]);
        assert_eq!(list(Some(&first)).await, std::slice::from_ref(&second));
        let cancel = async |agent: &Agent, id: &MessageId| {
            db.cancel_scheduled(&agent.id, id, "CANCELLED", morning()).await.unwrap()
        };
        assert_eq!(cancel(&other, &first).await, Cancellation::Unknown);
        assert_eq!(cancel(&agent, &first).await, Cancellation::Cancelled);
        assert_eq!(cancel(&agent, &first).await, Cancellation::TooLate);
        assert_eq!(list(None).await, std::slice::from_ref(&second));
        assert_eq!(ids(&claim(db, 9, morning() + seconds(1)).await), BTreeSet::from([second.clone()]));
        assert_eq!(cancel(&agent, &second).await, Cancellation::TooLate, "it is being sent");
        db.reschedule_send(&second, morning() + TimeDelta::hours(1)).await.unwrap();
        assert_eq!(cancel(&agent, &second).await, Cancellation::Cancelled);
    }

    async fn rescheduled_send_is_claimed_when_due(db: &Database) {
        let agent = new_agent(db).await;
        let id = schedule(db, &agent, "k", morning()).await.unwrap();
        let later = morning() + TimeDelta::hours(1);
        claim(db, 9, morning()).await;
        db.reschedule_send(&id, later).await.unwrap();
        assert!(claim(db, 9, later - TimeDelta::microseconds(1)).await.is_empty());
        assert_eq!(claim(db, 9, later).await[0].tries, 4);
    }
}

both_engines! {
    async fn held_send_is_decided_once_before_it_expires(db: &Database) {
        let agent = new_agent(db).await;
        let org = &agent.org_id;
        let mut ids = Vec::new();
        for (key, send_at) in [("a", None), ("b", Some(morning() + seconds(600))), ("c", None), ("d", None)] {
            let id = MessageId::generate();
            let new = NewScheduledSend {
                id: &id,
                org,
                agent: &agent.id,
                channel: Channel::Sms,
                recipient: "+14155550199",
                idempotency_key: key,
                request_hash: "aa11",
                request: &[1],
                due_at: morning() + seconds(3_600),
                tries: 0,
                is_counted: true,
                approval: Some(NewApproval { rule: "r", send_at }),
            };
            assert!(db.schedule_send(&new, &CAPS, morning()).await.unwrap());
            ids.push(id);
        }
        let held = async || -> Vec<MessageId> {
            let found = db.list_held(org, "", 10).await.unwrap();
            found.iter().map(ScheduledSend::id).collect()
        };
        assert_eq!(held().await, ids);
        assert_eq!(db.list_held(org, ids[2].as_str(), 10).await.unwrap().len(), 1);
        let other = new_agent(db).await.org_id;
        let found = async |org: &butt_dial_domain::OrgId, at| db.find_held(org, &ids[0], at).await.unwrap().map(|held| held.id());
        assert_eq!(found(org, morning()).await.as_ref(), Some(&ids[0]));
        assert_eq!(found(&other, morning()).await, None, "another organization's");
        assert_eq!(found(org, morning() + seconds(3_600)).await, None, "expired");
        let waiting = async |per_org, limit| -> Vec<MessageId> {
            let waiting = db.list_waiting_approvals(per_org, limit).await.unwrap();
            let of_org = waiting.into_iter().filter(|held| held.org_id == *org);
            of_org.inspect(|held| assert_eq!((held.approval_rule.as_str(), held.channel.as_str()), ("r", "sms"))).map(|held| held.id).collect()
        };
        assert_eq!(waiting(2, 10).await, ids[..2], "the oldest ones");
        assert_eq!(waiting(10, 3).await, ids[..3]);
        assert!(is_due(db, DueKind::AlertCauses, morning()).await);
        let decide = async |org, id, rejection, at| db.change(setup()).decide_approval(org, id, rejection, at).await.unwrap();
        let at = morning() + seconds(60);
        assert!(!decide(&other, &ids[0], None, at).await);
        assert!(decide(org, &ids[0], None, at).await);
        assert!(!decide(org, &ids[0], Some("X"), at).await, "decided once");
        assert!(decide(org, &ids[1], None, at).await);
        assert!(decide(org, &ids[2], Some("APPROVAL_REJECTED"), at).await);
        assert_eq!(held().await, [ids[3].clone()]);
        let now = claim(db, 10, at).await;
        let state = |id: &MessageId| now.iter().find(|one| one.id() == *id).map(|one| (one.state, one.is_held()));
        assert_eq!(state(&ids[0]), Some((ScheduledState::Scheduled, false)));
        assert_eq!(state(&ids[1]), None, "it waits for its own time");
        assert_eq!(state(&ids[2]), Some((ScheduledState::Cancelled, false)));
        let decision = |id: &MessageId| now.iter().find(|one| one.id() == *id).and_then(|one| one.approval);
        assert_eq!(decision(&ids[0]), Some(ApprovalState::Approved));
        assert_eq!(decision(&ids[2]), Some(ApprovalState::Rejected));
        let expired = morning() + seconds(3_600);
        assert!(!decide(org, &ids[3], None, expired).await);
        assert!(claim(db, 10, expired).await.iter().any(|one| one.id() == ids[3] && one.is_held()));
    }
}
