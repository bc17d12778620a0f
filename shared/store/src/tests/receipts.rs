//! Delivery receipts: they advance the status, never back, and correct the cost.

use butt_dial_domain::{
    OrgId,
    inbound::{DeliveryStatus, Receipt},
    ports::carrier::RefusalClass,
};
use serde_json::json;

use super::inbound::{PERSON, batch, inbound_event};
use super::*;
use crate::{Applied, InboundBatch, InboundRow, ReceiptEntry, StatusTransition};

/// A receipt with the carrier id only.
fn receipt(carrier_id: &str, stage: DeliveryStatus) -> ReceiptEntry {
    ReceiptEntry {
        carrier: "simulator".into(),
        receipt: Receipt {
            carrier_id: carrier_id.into(),
            message: None,
            channel: Channel::Sms,
            sender: None,
            stage,
            error_code: None,
            failure: None,
            price: None,
            tariff: None,
            org: None,
            is_marketing_only: false,
        },
    }
}

/// A receipt with both ids.
fn receipt_with_id(message: &MessageId, carrier_id: &str, stage: DeliveryStatus) -> ReceiptEntry {
    let mut entry = receipt(carrier_id, stage);
    entry.receipt.message = Some(message.clone());
    entry
}

fn priced(mut entry: ReceiptEntry, price: i64) -> ReceiptEntry {
    entry.receipt.price = Some(Micros(price));
    entry
}

async fn receive(store: &Store, receipts: Vec<ReceiptEntry>) -> Applied {
    let after = store.find_log_position("INBOUND").await.unwrap();
    let batch = batch(after, vec![], receipts);
    store.apply_inbound(&batch, &|_| None).await.unwrap()
}

fn stages(applied: &Applied) -> Vec<DeliveryStatus> {
    applied.transitions.iter().map(|moved| moved.stage).collect()
}

/// Stores a message that the carrier accepted with this id.
async fn sent(db: &Database, agent: &Agent, carrier_id: &str, cost: i64) -> MessageId {
    let send = text(agent, &format!("key of {carrier_id}"));
    db.accept_send(send.clone()).await.unwrap();
    let result = SendResult::Accepted {
        carrier_id: carrier_id.into(),
        carrier_status: "queued".into(),
        segments: Some(1),
        cost,
    };
    assert!(db.settle_send(settled(&send.id, result)).await.unwrap());
    send.id
}

/// Stores a message that is being sent.
async fn sending(db: &Database, agent: &Agent, key: &str) -> MessageId {
    let send = text(agent, key);
    db.accept_send(send.clone()).await.unwrap();
    send.id
}

async fn all_stages(db: &Database) -> Vec<String> {
    db.texts("SELECT coalesce(carrier_id, '-') || ' ' || coalesce(stage, '-') FROM messages ORDER BY 1")
        .await
}

async fn money(db: &Database, agent: &Agent) -> ((i64, i64), i64) {
    let used = db
        .count("SELECT CAST(coalesce(SUM(cost), 0) AS BIGINT) FROM usage")
        .await;
    let own = spend(db, &format!("agt:{}", agent.id)).await;
    assert_eq!(own, spend(db, &format!("org:{}", agent.org_id)).await);
    (own, used)
}

fn permutations(stages: &[DeliveryStatus]) -> Vec<Vec<DeliveryStatus>> {
    if stages.is_empty() {
        return vec![vec![]];
    }
    let mut all = Vec::new();
    for (n, first) in stages.iter().enumerate() {
        let rest: Vec<DeliveryStatus> = [&stages[..n], &stages[n + 1..]].concat();
        for mut tail in permutations(&rest) {
            tail.insert(0, *first);
            all.push(tail);
        }
    }
    all
}

both_engines! {
    async fn complaint_after_the_delivery_is_noted_once(db: &Database) {
        let agent = new_agent(db).await;
        sent(db, &agent, "SM1", 0).await;
        sent(db, &agent, "SM2", 0).await;
        receive(db, vec![receipt("SM1", DeliveryStatus::Read)]).await;
        let complaint = |carrier_id: &str, org: Option<OrgId>| {
            let mut entry = receipt(carrier_id, DeliveryStatus::Delivered);
            entry.receipt.channel = Channel::Email;
            entry.receipt.failure = Some(RefusalClass::OptedOut);
            entry.receipt.org = org;
            entry
        };
        // An account of another organization speaks for its own messages only.
        let foreign = complaint("SM2", Some(OrgId::from("org_other")));
        let applied = receive(db, vec![complaint("SM1", None), foreign]).await;
        assert_eq!(stages(&applied), []);
        let found = db.count_complaints(morning(), DAY).await.unwrap();
        assert_eq!((found.len(), found[0].count), (1, 1));
        let after = db.find_log_position("INBOUND").await.unwrap();
        let mut again = batch(after, vec![], vec![complaint("SM1", None)]);
        again.at = morning() + seconds(60);
        db.apply_inbound(&again, &|_| None).await.unwrap();
        assert_eq!(db.count_complaints(morning() + seconds(1), DAY).await.unwrap(), []);
        let message = db.find_carrier_message("simulator", "SM1", None).await.unwrap().unwrap();
        assert_eq!(message.stage.as_deref(), Some("read"), "its status stays");
    }

    async fn receipt_cannot_give_an_id_to_a_second_message(db: &Database) {
        let agent = new_agent(db).await;
        let first = sent(db, &agent, "SM1", 5).await;
        let second = text(&agent, "second");
        db.accept_send(second.clone()).await.unwrap();
        let applied = receive(db, vec![receipt_with_id(&second.id, "SM1", DeliveryStatus::Delivered)]).await;
        assert!(applied.transitions.is_empty());
        // Nor do two receipts of one batch.
        let third = text(&agent, "third");
        db.accept_send(third.clone()).await.unwrap();
        let applied = receive(db, vec![receipt_with_id(&second.id, "SM9", DeliveryStatus::Delivered), receipt_with_id(&third.id, "SM9", DeliveryStatus::Delivered)]).await;
        assert_eq!(applied.transitions.len(), 1);
        assert_eq!(db.find_message(&first).await.unwrap().unwrap().stage, None);
    }

    async fn receipt_order_does_not_change_the_status(db: &Database) {
        let agent = new_agent(db).await;
        let orders = permutations(&[DeliveryStatus::Queued, DeliveryStatus::Sent, DeliveryStatus::Delivered, DeliveryStatus::Read]);
        assert_eq!(orders.len(), 24);
        for (n, order) in orders.iter().enumerate() {
            let (one, all) = (format!("one{n:02}"), format!("all{n:02}"));
            sent(db, &agent, &one, 10).await;
            sent(db, &agent, &all, 10).await;
            let mut expected: Vec<DeliveryStatus> = Vec::new();
            for stage in order {
                if expected.last().is_none_or(|last| stage.rank() > last.rank()) {
                    expected.push(*stage);
                }
            }
            // In one batch per receipt, and all in one batch.
            let mut moved = Vec::new();
            for stage in order {
                moved.extend(stages(&receive(db, vec![receipt(&one, *stage)]).await));
            }
            assert_eq!(moved, expected, "{order:?}");
            let applied = receive(db, order.iter().map(|stage| receipt(&all, *stage)).collect()).await;
            assert_eq!(stages(&applied), expected, "{order:?}");
        }
        assert!(all_stages(db).await.iter().all(|line| line.ends_with(" read")));
    }

    async fn first_final_status_stays(db: &Database) {
        let agent = new_agent(db).await;
        sent(db, &agent, "SM1", 10).await;
        sent(db, &agent, "SM2", 10).await;
        assert_eq!(stages(&receive(db, vec![receipt("SM1", DeliveryStatus::Delivered)]).await), [DeliveryStatus::Delivered]);
        assert_eq!(stages(&receive(db, vec![receipt("SM1", DeliveryStatus::Undelivered)]).await), []);
        assert_eq!(stages(&receive(db, vec![receipt("SM1", DeliveryStatus::Failed)]).await), []);
        let at_once = vec![receipt("SM2", DeliveryStatus::Undelivered), receipt("SM2", DeliveryStatus::Delivered)];
        assert_eq!(stages(&receive(db, at_once).await), [DeliveryStatus::Undelivered]);
        assert_eq!(all_stages(db).await, ["SM1 delivered", "SM2 undelivered"]);
        assert_eq!(money(db, &agent).await, ((0, 20), 20), "undelivered is charged");
    }

    async fn transition_names_agent_and_organization(db: &Database) {
        let agent = new_agent(db).await;
        let id = sent(db, &agent, "SM1", 10).await;
        let mut entry = receipt("SM1", DeliveryStatus::Undelivered);
        entry.receipt.error_code = Some("30003".into());
        let at = morning() + TimeDelta::microseconds(654_321);
        let batch = InboundBatch { at, ..batch(0, vec![], vec![entry.clone()]) };
        let applied = db.apply_inbound(&batch, &|_| None).await.unwrap();
        let [moved] = &applied.transitions[..] else { panic!("{applied:?}") };
        assert_eq!((&moved.message, &moved.agent, &moved.org), (&id, &agent.id, &agent.org_id));
        assert_eq!((moved.channel, moved.recipient.as_str(), moved.stage), (Channel::Sms, PERSON, DeliveryStatus::Undelivered));
        assert_eq!(moved.receipt, entry.receipt);
        assert_eq!(db.texts("SELECT stage_error FROM messages").await, ["30003"]);
        assert_eq!((applied.added, applied.agents.len()), (0, 0));
        // `delivered` has no error code, and the former one is removed.
        receive(db, vec![receipt("SM1", DeliveryStatus::Read)]).await;
        assert_eq!(db.count("SELECT COUNT(*) FROM messages WHERE stage_error IS NULL AND stage = 'read'").await, 1);
    }

    async fn transitions_create_events(db: &Database) {
        let agent = new_agent(db).await;
        let id = sent(db, &agent, "SM1", 10).await;
        let event_of = |moved: &StatusTransition| (moved.stage != DeliveryStatus::Queued).then(|| InboundRow {
            kind: "message.status",
            data: json!({ "message": moved.message, "stage": moved.stage }),
            content: None,
            ..inbound_event(&agent, &format!("{}-{}", moved.message, moved.stage.as_str()), &moved.recipient)
        });
        let receipts = [DeliveryStatus::Queued, DeliveryStatus::Sent, DeliveryStatus::Sent, DeliveryStatus::Delivered].map(|stage| receipt("SM1", stage));
        let batch = batch(0, vec![inbound_event(&agent, "e1", PERSON)], receipts.into());
        let applied = db.apply_inbound(&batch, &event_of).await.unwrap();
        assert_eq!((applied.added, applied.agents), (3, vec![agent.id.clone()]));
        let log: Vec<String> =
            db.list_events(&agent.id, 0, 9).await.unwrap().into_iter().map(|event| event.id).collect();
        assert_eq!(log, ["e1".into(), format!("{id}-sent"), format!("{id}-delivered")]);
    }

    async fn receipt_by_message_id_sets_carrier_id(db: &Database) {
        let agent = new_agent(db).await;
        let id = sending(db, &agent, "k").await;
        // The second receipt finds the message by the carrier id of the first one.
        let both = vec![receipt_with_id(&id, "SM1", DeliveryStatus::Queued), receipt("SM1", DeliveryStatus::Sent)];
        assert_eq!(stages(&receive(db, both).await), [DeliveryStatus::Queued, DeliveryStatus::Sent]);
        assert_eq!(all_stages(db).await, ["SM1 sent"]);
        assert_eq!(stages(&receive(db, vec![receipt("SM1", DeliveryStatus::Delivered)]).await), [DeliveryStatus::Delivered]);
        // The outcome of the sender adds nothing.
        db.settle_send(settled(&id, unknown(morning() + seconds(600)))).await.unwrap();
        assert_eq!(all_stages(db).await, ["SM1 delivered"]);
        db.settle_send(settled(&id, SendResult::Unconfirmed)).await.unwrap();
        assert_eq!(all_stages(db).await, ["SM1 delivered"]);
    }

    async fn mismatching_receipt_changes_nothing(db: &Database) {
        let (agent, other) = (new_agent(db).await, new_agent(db).await);
        let ours = sent(db, &agent, "SM1", 10).await;
        sent(db, &other, "SM2", 10).await;
        let of_another_carrier = |mut entry: ReceiptEntry| {
            entry.carrier = "elsewhere".into();
            entry
        };
        let applied = receive(db, vec![
            of_another_carrier(receipt_with_id(&ours, "SM1", DeliveryStatus::Read)),
            of_another_carrier(receipt("SM1", DeliveryStatus::Read)),
            receipt_with_id(&ours, "SM9", DeliveryStatus::Read),
            // It names one message by id and another one by carrier id.
            receipt_with_id(&ours, "SM2", DeliveryStatus::Read),
            receipt_with_id(&MessageId::generate(), "SM2", DeliveryStatus::Read),
            receipt("SM3", DeliveryStatus::Read),
        ]).await;
        assert_eq!(stages(&applied), []);
        assert_eq!(all_stages(db).await, ["SM1 -", "SM2 -"]);
    }

    async fn one_batch_advances_many_messages(db: &Database) {
        let agent = new_agent(db).await;
        let mut receipts = Vec::new();
        for n in 0..20 {
            let carrier_id = format!("SM{n:02}");
            let id = sent(db, &agent, &carrier_id, 10).await;
            for stage in [DeliveryStatus::Sent, DeliveryStatus::Delivered] {
                receipts.push(if n % 2 == 0 { receipt(&carrier_id, stage) } else { receipt_with_id(&id, &carrier_id, stage) });
            }
        }
        let applied = receive(db, receipts.clone()).await;
        let reported: Vec<(String, DeliveryStatus)> =
            receipts.iter().map(|entry| (entry.receipt.carrier_id.clone(), entry.receipt.stage)).collect();
        let moved: Vec<(String, DeliveryStatus)> =
            applied.transitions.iter().map(|moved| (moved.receipt.carrier_id.clone(), moved.stage)).collect();
        assert_eq!(moved, reported, "in the order of the receipts");
        assert_eq!(stages(&receive(db, receipts).await), [], "a second time");
    }

    async fn unsent_message_costs_nothing(db: &Database) {
        let agent = new_agent(db).await;
        sent(db, &agent, "SM1", 700).await;
        sent(db, &agent, "SM2", 50).await;
        assert_eq!(money(db, &agent).await, ((0, 750), 750));
        receive(db, vec![receipt("SM1", DeliveryStatus::Failed)]).await;
        assert_eq!(money(db, &agent).await, ((0, 50), 50));
        assert_eq!(db.count("SELECT cost FROM messages WHERE carrier_id = 'SM1'").await, 0);
        assert_eq!(db.count("SELECT messages FROM usage").await, 2, "usage was counted");
        receive(db, vec![receipt("SM1", DeliveryStatus::Failed)]).await;
        assert_eq!(money(db, &agent).await, ((0, 50), 50));
    }

    async fn reported_price_corrects_cost(db: &Database) {
        let agent = new_agent(db).await;
        sent(db, &agent, "SM1", 700).await;
        sent(db, &agent, "SM2", 700).await;
        // Several in one batch: the price of the last valid one counts.
        let receipts = vec![
            priced(receipt("SM1", DeliveryStatus::Queued), 900),
            priced(receipt("SM1", DeliveryStatus::Delivered), 650),
            priced(receipt("SM1", DeliveryStatus::Sent), 1),
            priced(receipt("SM2", DeliveryStatus::Sent), 701),
        ];
        receive(db, receipts).await;
        assert_eq!(money(db, &agent).await, ((0, 1_351), 1_351));
        // A receipt without a price, or a late one, does not change the price.
        receive(db, vec![receipt("SM1", DeliveryStatus::Read), priced(receipt("SM2", DeliveryStatus::Queued), 5)]).await;
        assert_eq!(money(db, &agent).await, ((0, 1_351), 1_351));
        // Failed and charged all the same.
        receive(db, vec![priced(receipt("SM2", DeliveryStatus::Failed), 33)]).await;
        assert_eq!(money(db, &agent).await, ((0, 683), 683));
    }

    async fn reported_price_may_exceed_budget(db: &Database) {
        let agent = new_agent(db).await;
        let send = AcceptedSend { agent_limits: per_day(ESTIMATE), ..text(&agent, "k") };
        db.accept_send(send.clone()).await.unwrap();
        let result = accepted(ESTIMATE);
        let SendResult::Accepted { carrier_id, .. } = &result else { unreachable!() };
        let carrier_id = carrier_id.clone();
        db.settle_send(settled(&send.id, result)).await.unwrap();
        receive(db, vec![priced(receipt(&carrier_id, DeliveryStatus::Sent), 9 * ESTIMATE)]).await;
        assert_eq!(money(db, &agent).await, ((0, 9 * ESTIMATE), 9 * ESTIMATE));
        let more = AcceptedSend { agent_limits: per_day(9 * ESTIMATE), ..text(&agent, "k2") };
        assert!(matches!(db.accept_send(more).await, Err(StoreError::OverBudget)));
    }

    async fn price_before_settlement_is_kept(db: &Database) {
        let agent = new_agent(db).await;
        let cases = [("k1", DeliveryStatus::Sent, Some(250)), ("k2", DeliveryStatus::Failed, None), ("k3", DeliveryStatus::Sent, None)];
        for (key, stage, price) in cases {
            let id = sending(db, &agent, key).await;
            let carrier_id = format!("SM {key}");
            let entry = receipt_with_id(&id, &carrier_id, stage);
            let entry = match price {
                Some(price) => priced(entry, price),
                None => entry,
            };
            assert_eq!(stages(&receive(db, vec![entry]).await), [stage]);
            assert_eq!(money(db, &agent).await.0.0, ESTIMATE, "held until it is settled");
            let result = SendResult::Accepted {
                carrier_id, carrier_status: "queued".into(), segments: Some(1), cost: 700,
            };
            assert!(db.settle_send(settled(&id, result)).await.unwrap());
            let message = db.find_message(&id).await.unwrap().unwrap();
            let expected = match stage {
                DeliveryStatus::Failed => 0,
                _ => price.unwrap_or(700),
            };
            assert_eq!(message.cost, Some(expected), "{key}");
        }
        assert_eq!(money(db, &agent).await, ((0, 950), 950));
    }

    async fn receipt_makes_unknown_message_due_for_check(db: &Database) {
        let agent = new_agent(db).await;
        let far = morning() + TimeDelta::days(1);
        let due = async |now: Timestamp| db.claim_unsettled(9, now, far).await.unwrap().len();
        // Unknown before the receipt, ..
        let id = sending(db, &agent, "k1").await;
        db.settle_send(settled(&id, unknown(far))).await.unwrap();
        assert_eq!(due(morning() + seconds(1)).await, 0);
        receive(db, vec![receipt_with_id(&id, "SM1", DeliveryStatus::Sent)]).await;
        assert_eq!(due(morning()).await, 1);
        // .. the same with the carrier id only, ..
        assert_eq!(due(morning()).await, 0);
        receive(db, vec![receipt("SM1", DeliveryStatus::Delivered)]).await;
        assert_eq!(due(morning()).await, 1);
        // The second receipt arrives after it.
        let id = sending(db, &agent, "k2").await;
        receive(db, vec![receipt_with_id(&id, "SM2", DeliveryStatus::Sent)]).await;
        assert_eq!(due(morning()).await, 0, "it is being sent");
        db.settle_send(settled(&id, unknown(far))).await.unwrap();
        assert_eq!(due(morning() + seconds(1)).await, 1);
        // A settled message is not checked.
        sent(db, &agent, "SM3", 1).await;
        receive(db, vec![receipt("SM3", DeliveryStatus::Sent)]).await;
        assert_eq!(due(morning() + seconds(9)).await, 0);
    }

    async fn corrupt_message_does_not_block_the_stream(db: &Database) {
        let agent = new_agent(db).await;
        sent(db, &agent, "SM1", 1).await;
        sent(db, &agent, "SM2", 1).await;
        db.execute("UPDATE messages SET channel = 'fax' WHERE carrier_id = 'SM1'").await;
        let both = vec![receipt("SM1", DeliveryStatus::Sent), receipt("SM2", DeliveryStatus::Sent)];
        assert_eq!(stages(&receive(db, both).await), [DeliveryStatus::Sent]);
        assert_eq!(all_stages(db).await, ["SM1 -", "SM2 sent"]);
    }
}
