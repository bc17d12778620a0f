//! Concurrent readers of several streams, senders and delivery workers on the same agents and messages, without a deadlock.

use butt_dial_domain::inbound::{DeliveryStatus, Receipt};
use futures::future::{BoxFuture, join_all};

use super::inbound::{HOLD, batch, inbound_event};
use super::*;
use crate::{EventLease, InboundBatch, InboundRow, ReceiptEntry};

const STREAMS: [&str; 4] = ["S0", "S1", "S2", "S3"];
const ROUNDS: u64 = 12;

fn receipt(message: &MessageId, n: usize, stage: DeliveryStatus, by_id: bool) -> ReceiptEntry {
    ReceiptEntry {
        carrier: "simulator".into(),
        receipt: Receipt {
            carrier_id: format!("SM{n}"),
            message: by_id.then(|| message.clone()),
            channel: Channel::Sms,
            sender: None,
            stage,
            error_code: None,
            failure: None,
            price: Some(Micros(n as i64 + stage.rank())),
            tariff: None,
            org: None,
            is_marketing_only: false,
        },
    }
}

/// Applies batches. Each stream has another order of agents and messages.
async fn apply_batches(store: &Store, stream: usize, agents: &[Agent], messages: &[MessageId]) {
    for round in 0..ROUNDS {
        let turn = stream * 7 + round as usize * 3;
        let mut events: Vec<InboundRow> = Vec::new();
        for (n, _) in agents.iter().enumerate() {
            let n = if stream.is_multiple_of(2) {
                (n + turn) % agents.len()
            } else {
                (2 * agents.len() - n + turn) % agents.len()
            };
            // Every event is in two of the streams.
            let id = format!("e{}-{round}-{n}", stream / 2);
            let contact = format!("+1415555{n:04}");
            events.push(InboundRow {
                consent: Some(n % 2 == 0),
                ..inbound_event(&agents[n], &id, &contact)
            });
        }
        let stage = [DeliveryStatus::Queued, DeliveryStatus::Sent, DeliveryStatus::Delivered][round as usize % 3];
        let mut receipts: Vec<ReceiptEntry> = messages
            .iter()
            .enumerate()
            .map(|(n, id)| receipt(id, n, stage, (n + stream).is_multiple_of(2)))
            .collect();
        receipts.rotate_left(turn % messages.len());
        // Streams with receipts wait at the messages; these must meet at the agents.
        if stream >= 2 {
            receipts.clear();
        }
        let batch = InboundBatch {
            stream: STREAMS[stream].into(),
            holder: format!("reader {stream}"),
            ..batch(round, events, receipts)
        };
        // Another stream may append the same events at the same time; the next try finds them.
        while let Err(error) = store.apply_inbound(&batch, &|_| None).await {
            assert!(matches!(error, StoreError::Conflict), "{error}");
        }
    }
}

async fn send(store: &Store, messages: &[(usize, AcceptedSend)]) {
    let settles = messages.iter().rev().map(async |(n, send)| {
        let result = SendResult::Accepted {
            carrier_id: format!("SM{n}"),
            carrier_status: "queued".into(),
            segments: Some(1),
            cost: 77,
        };
        store.settle_send(settled(&send.id, result)).await.unwrap();
    });
    join_all(settles).await;
}

async fn deliver(store: &Store, agents: &[Agent], holder: &str) {
    for round in 0..ROUNDS {
        let now = morning() + HOLD * round as i32 * 2;
        for claim in store.claim_due_deliveries(holder, 5, now, now + HOLD).await.unwrap() {
            let agent = claim.agent();
            let held = store
                .lease_waiting_events(
                    &agent,
                    &EventLease {
                        channel: None,
                        max_tries: None,
                        to_push: false,
                        limit: 20,
                        now,
                        until: now + HOLD,
                    },
                )
                .await
                .unwrap();
            let seqs: Vec<i64> = held.iter().rev().map(|event| event.seq).collect();
            let (arrived, failed) = seqs.split_at(seqs.len() / 2);
            store.confirm_events(&agent, arrived, false, now).await.unwrap();
            store
                .release_events(&agent, failed, EventReason::CallbackFailed, true)
                .await
                .unwrap();
            store.finish_delivery(&claim, holder, Some(now), 0, None).await.unwrap();
        }
        for agent in agents {
            store.ack_events(&agent.id, 3 * round as i64, now).await.unwrap();
            let data = serde_json::json!({});
            let id = format!("{holder}-{round}-{}", agent.id);
            let event = crate::NewEvent {
                agent: &agent.id,
                id: &id,
                kind: "k",
                channel: None,
                reason: EventReason::AgentOffline,
                data: &data,
            };
            store.append_event(&event, now).await.unwrap();
        }
        store.purge_contents(morning() + seconds(1)).await.unwrap();
    }
}

both_engines! {
    async fn concurrent_writers_do_not_deadlock(db: &Database) {
        db.execute("INSERT INTO log_positions (stream, position) VALUES ('S0', 0), ('S1', 0), ('S2', 0), ('S3', 0)").await;
        let first = new_agent(db).await;
        let mut agents = vec![first.clone()];
        for _ in 0..9 {
            agents.push(new_agent_in(db, &first.org_id).await);
        }
        let mut sends = Vec::new();
        for n in 0..40 {
            let send = text(&agents[n % agents.len()], &format!("k{n}"));
            db.accept_send(send.clone()).await.unwrap();
            sends.push((n, send));
        }
        let ids: Vec<MessageId> = sends.iter().map(|(_, send)| send.id.clone()).collect();
        let replicas = [db.replica().await, db.replica().await];
        let mut work: Vec<BoxFuture<'_, ()>> = Vec::new();
        for stream in 0..STREAMS.len() {
            work.push(Box::pin(apply_batches(&replicas[stream % 2], stream, &agents, &ids)));
        }
        for (n, half) in sends.chunks(20).enumerate() {
            work.push(Box::pin(send(&replicas[n], half)));
        }
        work.push(Box::pin(deliver(&replicas[0], &agents, "one")));
        work.push(Box::pin(deliver(&replicas[1], &agents, "two")));
        join_all(work).await;

        for agent in &agents {
            let seqs: Vec<i64> =
                db.list_events(&agent.id, 0, 1_000).await.unwrap().iter().map(|event| event.seq).collect();
            // Two pairs of streams, and two workers that append.
            assert_eq!(seqs, (1..=4 * ROUNDS as i64).collect::<Vec<_>>());
        }
        // The last status counts, independent of its stream and of the settlement.
        let stages = db.texts("SELECT DISTINCT stage FROM messages").await;
        assert_eq!(stages, ["delivered"]);
    }
}
