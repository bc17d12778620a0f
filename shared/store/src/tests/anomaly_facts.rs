//! The sums that anomalies are found in.

use butt_dial_domain::{CallId, ChallengeId, OrgId, call::Direction, limits::Period};
use serde_json::json;

use super::*;
use crate::{CallEntry, ChallengeOwner, NewChallenge, NewEvent, NewRefusal, SentToOne, Span, Traffic};

fn span() -> Span {
    (morning(), morning() + seconds(300))
}

/// Accepts a message to a number, after some seconds.
async fn send(db: &Database, agent: &Agent, to: &str, after: i64) -> MessageId {
    let send = AcceptedSend {
        recipient: to.into(),
        at: morning() + seconds(after),
        ..text(agent, &format!("{to}-{after}"))
    };
    let id = send.id.clone();
    db.accept_send(send).await.unwrap();
    id
}

async fn receive(db: &Database, agent: &Agent, contact: &str, after: i64) {
    let data = json!({});
    let event = NewEvent {
        agent: &agent.id,
        id: &format!("evt_{contact}_{after}"),
        kind: "message.received",
        channel: Some(Channel::Sms),
        reason: EventReason::AgentOffline,
        data: &data,
    };
    db.append_event(&event, morning() + seconds(after)).await.unwrap();
    db.execute(&format!(
        "UPDATE events SET contact = '{contact}' WHERE contact IS NULL"
    ))
    .await;
}

async fn refuse(db: &Database, agent: &Agent, kind: &str, at: Timestamp) {
    let ruling = json!({ "facts": { "kind": kind } }).to_string();
    let refusal = NewRefusal {
        org: &agent.org_id,
        agent: &agent.id,
        channel: Channel::Voice,
        recipient: "+1***",
        contact_hash: "aa",
        purpose: SendPurpose::Undeclared,
        rule: "destination",
        code: butt_dial_domain::Code::InvalidRecipient,
        ruling: &ruling,
    };
    db.add_refusal(&refusal, at).await.unwrap();
}

both_engines! {
    async fn sums_traffic_of_a_span(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        let failed = send(db, &agent, "+14155550101", 0).await;
        db.settle_send(settled(&failed, SendResult::Failed { failure: "CARRIER_REJECTED", frees_key: false })).await.unwrap();
        send(db, &agent, "+14155550102", 299).await;
        send(db, &agent, "+14155550103", 300).await;
        send(db, &agent, "+14155550104", -1).await;
        send(db, &other, "+4917612345678", 5).await;
        let mut found = db.sum_traffic(span()).await.unwrap();
        found.sort_by_key(|row| -row.sent);
        let row = |agent: &Agent, sent, failed, cost| Traffic {
            org_id: agent.org_id.to_string(),
            agent_id: agent.id.to_string(),
            channel: "sms".into(),
            sent,
            failed,
            cost,
        };
        assert_eq!(found, [row(&agent, 2, 1, ESTIMATE), row(&other, 1, 0, ESTIMATE)]);
        let mut prefixes = db.count_sent_to_prefixes(span()).await.unwrap();
        prefixes.sort_by_key(|row| -row.sent);
        let numbers: Vec<_> = prefixes.iter().map(|row| (row.number.as_str(), row.sent)).collect();
        assert_eq!(numbers, [("+14155550101", 2), ("+4917612345678", 1)]);
    }

    async fn lists_blocks_of_neighbouring_numbers(db: &Database) {
        let agent = new_agent(db).await;
        for n in 0..4 {
            send(db, &agent, &format!("+2348031234{n:03}"), n).await;
        }
        send(db, &agent, "+2348031234000", 9).await;
        send(db, &agent, "+2348039999000", 9).await;
        let found = db.list_sent_to_blocks(span(), 4, 9).await.unwrap();
        let [block] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((block.block.as_str(), block.numbers, block.sent), ("+2348031234", 4, 5));
        assert_eq!(db.list_sent_to_blocks(span(), 5, 9).await.unwrap(), []);
    }

    async fn lists_people_that_many_agents_write_to(db: &Database) {
        let agent = new_agent(db).await;
        for n in 0..3 {
            let colleague = new_agent_in(db, &agent.org_id).await;
            send(db, &colleague, "+14155550199", n).await;
            send(db, &agent, &format!("+1415555010{n}"), n).await;
        }
        // Messages to colleagues need no carrier.
        for n in 0..3 {
            let colleague = new_agent_in(db, &agent.org_id).await;
            let inside = AcceptedSend { recipient: "+14155550100".into(), carrier: "inside", ..text(&colleague, &format!("i{n}")) };
            db.accept_send(inside).await.unwrap();
        }
        let found = db.list_shared_recipients(span(), 3, 9).await.unwrap();
        let [shared] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((shared.recipient.as_str(), shared.agents, shared.sent), ("+14155550199", 3, 3));
        assert_eq!(db.list_shared_recipients(span(), 4, 9).await.unwrap(), []);
    }

    async fn lists_times_of_an_exchange(db: &Database) {
        let agent = new_agent(db).await;
        for n in 0..3 {
            send(db, &agent, "+14155550199", 10 * n).await;
            receive(db, &agent, "+14155550199", 10 * n + 3).await;
        }
        send(db, &agent, "+14155550198", 1).await;
        receive(db, &agent, "+14155550198", 2).await;
        let found = db.list_sent_to_one(span(), 3, 9).await.unwrap();
        let [one] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((one.recipient.as_str(), one.sent), ("+14155550199", 3));
        let after = |times: Vec<Timestamp>| -> Vec<i64> { times.iter().map(|at| (*at - morning()).num_seconds()).collect() };
        assert_eq!(after(db.list_sent_times(one, span(), 9).await.unwrap()), [20, 10, 0]);
        let received = async |contact, limit| after(db.list_received_times(&agent.id, contact, morning(), limit).await.unwrap());
        assert_eq!(received(Some("+14155550199"), 2).await, [23, 13]);
        assert_eq!(received(None, 9).await, [23, 13, 3, 2]);
        let foreign = SentToOne { agent_id: "agt_x".into(), ..one.clone() };
        assert_eq!(after(db.list_sent_times(&foreign, span(), 9).await.unwrap()), [] as [i64; 0]);
    }

    async fn counts_calls_by_direction(db: &Database) {
        let agent = new_agent(db).await;
        for (n, direction) in [Direction::Inbound, Direction::Inbound, Direction::Outbound].into_iter().enumerate() {
            let call = CallEntry {
                id: CallId::generate(),
                org: agent.org_id.clone(),
                agent: agent.id.clone(),
                direction,
                carrier: "simulator".into(),
                carrier_id: Some(format!("CA{n}")),
                local_number: "+14155550100".into(),
                remote_number: "+14155550199".into(),
                at: morning(),
            };
            db.open_call(&call).await.unwrap();
        }
        let mut found = db.count_calls(span()).await.unwrap();
        found.sort_by_key(|row| -row.calls);
        let counts: Vec<_> = found.iter().map(|row| (row.direction.as_str(), row.calls)).collect();
        assert_eq!(counts, [("inbound", 2), ("outbound", 1)]);
        assert_eq!(db.count_calls((morning() + seconds(1), span().1)).await.unwrap(), []);
    }

    async fn counts_refused_premium_numbers(db: &Database) {
        let agent = new_agent(db).await;
        for (kind, after) in [("premium", 0), ("satellite", 1), ("opaque", 2), ("premium", -1)] {
            refuse(db, &agent, kind, morning() + seconds(after)).await;
        }
        let found = db.count_refused_premium(morning()).await.unwrap();
        let [of_agent] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((of_agent.agent_id.as_deref(), of_agent.count), (Some(agent.id.as_str()), 2));
    }

    async fn sums_one_time_codes(db: &Database) {
        let agent = new_agent(db).await;
        let owner = ChallengeOwner { org: agent.org_id.clone(), agent: Some(agent.id.clone()) };
        let of_org = ChallengeOwner { agent: None, ..owner.clone() };
        let mut ids = Vec::new();
        for (n, owner) in [&owner, &owner, &owner, &of_org].into_iter().enumerate() {
            let id = ChallengeId::generate();
            let new = NewChallenge {
                id: &id, owner, purpose: "test", channel: Channel::Sms, address: "+1", contact: "+1", code_hash: "h",
                expires_at: morning() + seconds(600),
            };
            db.create_challenge(&new, morning() + seconds(n as i64)).await.unwrap();
            ids.push(id);
        }
        let try_code = async |id: &ChallengeId| db.take_challenge_try(&owner, id, "test", 5, morning()).await.unwrap();
        for _ in 0..5 {
            try_code(&ids[0]).await.unwrap();
        }
        for _ in 0..2 {
            try_code(&ids[1]).await.unwrap();
        }
        db.confirm_challenge(&ids[1]).await.unwrap();
        let found = db.sum_codes(morning(), 5).await.unwrap();
        assert_eq!(found.len(), 2);
        let of_agent = found.iter().find(|row| row.agent_id.is_some()).unwrap();
        assert_eq!((of_agent.sent, of_agent.confirmed, of_agent.exhausted, of_agent.wrong), (3, 1, 1, 6));
        assert_eq!(db.sum_codes(morning() + seconds(3), 5).await.unwrap().len(), 1);
    }

    async fn counts_replaced_tokens(db: &Database) {
        let org = new_agent(db).await.org_id;
        for (action, after) in [("token.rotate", 0), ("token.regenerate", 1), ("token.create", 2), ("token.rotate", -1)] {
            let entry = AuditEntry::new(Some(&org), "tok_1", action, "tok_1", morning() + seconds(after));
            db.append_audit(&entry).await.unwrap();
        }
        let found = db.count_token_changes(morning()).await.unwrap();
        assert_eq!(found.iter().map(|row| (row.org_id.as_str(), row.count)).collect::<Vec<_>>(), [(org.as_str(), 2)]);
    }

    async fn counts_opt_outs_and_complaints_per_message(db: &Database) {
        let agent = new_agent(db).await;
        for n in 0..3 {
            let id = send(db, &agent, &format!("+1415555010{n}"), n).await;
            db.settle_send(settled(&id, accepted(ESTIMATE))).await.unwrap();
            let mail = AcceptedSend { channel: Channel::Email, recipient: format!("a{n}@example.com"), ..text(&agent, &format!("m{n}")) };
            let id = mail.id.clone();
            db.accept_send(mail).await.unwrap();
            db.settle_send(settled(&id, accepted(ESTIMATE))).await.unwrap();
        }
        for (n, at) in [(0, morning()), (1, morning()), (2, morning() - seconds(1))] {
            db.record_consent(&agent.org_id, Channel::Sms, &format!("+1415555010{n}"), false, "keyword", at).await.unwrap();
        }
        db.execute("UPDATE messages SET complained_at = created_at WHERE recipient = 'a1@example.com'").await;
        let share = |found: Vec<crate::Share>| found.into_iter().map(|row| (row.org_id, row.count, row.total)).collect::<Vec<_>>();
        let org = agent.org_id.to_string();
        assert_eq!(share(db.count_opt_outs(morning(), DAY).await.unwrap()), [(org.clone(), 2, 6)]);
        assert_eq!(share(db.count_complaints(morning(), DAY).await.unwrap()), [(org.clone(), 1, 3)]);
        assert_eq!(share(db.count_opt_outs(morning(), "2026-11-23").await.unwrap()), [(org, 2, 0)], "no messages since");
        assert_eq!(db.count_complaints(morning() + seconds(9), DAY).await.unwrap(), []);
    }

    async fn lists_budgets_that_are_in_use(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        let org = OrgId::from(agent.org_id.as_str());
        db.change(setup()).set_limits(&format!("org:{org}"), &per_month(9_000), morning()).await.unwrap();
        for agent in [&agent, &other] {
            send(db, agent, "+14155550199", 0).await;
        }
        let (day, month) = (Period::Day.key(morning()), Period::Month.key(morning()));
        let found = db.list_budget_use(&day, &month, &per_day(5_000)).await.unwrap();
        let mut budgets: Vec<_> = found
            .iter()
            .map(|row| (row.org_id == org.as_str(), row.agent_id.is_some(), row.period.as_str(), row.used, row.cap))
            .collect();
        budgets.sort_unstable();
        assert_eq!(budgets, [
            (false, true, DAY, ESTIMATE, 5_000),
            (true, false, MONTH, ESTIMATE, 9_000),
            (true, true, DAY, ESTIMATE, 5_000),
        ]);
    }
}
