//! Call reports of carriers in any order and any number: the record is the same, and the agent gets one event.

use butt_dial_calls::reconcile;
use butt_dial_domain::Clock;
use butt_dial_providers::simulator::{WebhookBehavior, calls::CalleeBehavior};
use serde_json::{Value, json};

use crate::support::{Agent, Cluster, WAIT_TIMEOUT, eventually, hears, says};

const ANN: &str = "+14155550123";
const BOB: &str = "+14155550124";
const GREETING: &str = "It is about the flowers.";

/// Makes one call, from its first ring to its last report.
async fn complete_call(cluster: &Cluster, agent: &Agent, person: &str) -> String {
    let id = agent.make_call(person, json!({ "greeting": GREETING })).await;
    let call = cluster.expect_greeted_call(person, GREETING).await;
    let (turn, ()) = tokio::join!(agent.attend(&id), says(&call, "Do you have roses?"));
    agent.reply_to_turn(&turn, "Yes, a dozen.").await.unwrap();
    hears(&call, "Yes, a dozen.").await;
    call.hang_up().await;
    assert!(call.wait_for_end(WAIT_TIMEOUT).await);
    id
}

profiles! {
    async fn duplicate_and_reordered_reports_give_same_record(cluster: &Cluster) {
        cluster.carriers.set_pace(0.1);
        let agent = cluster.rest().await;
        let manners = [
            WebhookBehavior { copies: 1, reversed: false },
            WebhookBehavior { copies: 3, reversed: false },
            WebhookBehavior { copies: 2, reversed: true },
        ];
        let mut calls = Vec::new();
        for (n, manner) in manners.into_iter().enumerate() {
            cluster.carriers.set_webhook_behavior("twilio", manner);
            calls.push(complete_call(cluster, &agent, &format!("+1415555017{n}")).await);
        }
        cluster.carriers.set_webhook_behavior("twilio", WebhookBehavior { copies: 1, reversed: false });
        cluster.texts(BOB, "Last").await;
        // All earlier reports have been processed by then.
        let events = agent.poll_until("Last").await;
        let mut records = Vec::new();
        for id in &calls {
            records.push(agent.get_call(id).await);
        }
        for record in &records {
            for field in ["status", "direction", "from", "handledBy", "turns", "endReason", "transcript", "cost"] {
                assert!(!record[field].is_null(), "{field}: {record}");
                assert_eq!(record[field], records[0][field], "{field}: {record}");
            }
            // The end of the socket carries no duration, so it does not determine the price.
            assert!(record["cost"].as_f64().unwrap() > 0.0, "a started minute: {record}");
            let [started, answered, ended] = ["startedAt", "answeredAt", "endedAt"].map(|name| record[name].as_str().unwrap());
            assert!(started <= answered && answered <= ended, "{record}");
            assert!(record["durationSeconds"].as_i64().unwrap() > 0, "{record}");
            let ended = events.iter().filter(|event| event["callId"] == record["callId"]);
            let ended: Vec<&Value> = ended.filter(|event| event["type"] == "call.ended").collect();
            assert_eq!(ended.len(), 1, "{events:#?}");
            assert_eq!(ended[0]["callStatus"], "completed");
        }
    }
}

profiles! {
    async fn reconciles_stale_call_with_carrier(cluster: &Cluster) {
        cluster.carriers.set_pace(0.1);
        let agent = cluster.rest().await;
        cluster.carriers.delay_call_reports(86_400_000);
        cluster.carriers.set_callee_behavior(BOB, CalleeBehavior::Busy);
        let id = agent.make_call(BOB, json!({})).await;
        let call = cluster.carriers.wait_for_call(BOB, WAIT_TIMEOUT).await.unwrap();
        assert!(call.wait_for_end(WAIT_TIMEOUT).await);
        assert_eq!(agent.get_call(&id).await["status"], "queued", "no report was sent");
        for _ in 0..2 {
            reconcile::reconcile_stale(cluster.calls(), Clock::System.now(), None).await.unwrap();
        }
        let record = agent.wait_for_call_end(&id).await;
        assert_eq!(record["status"], "busy", "{record}");
        eventually("the charge is reversed", async || (agent.get_call(&id).await["cost"] == json!(0.0)).then_some(())).await;
        cluster.texts(ANN, "Last").await;
        let events = agent.poll_until("Last").await;
        let ends: Vec<&Value> = events.iter().filter(|event| event["type"] == "call.ended").collect();
        assert_eq!(ends.len(), 1, "{events:#?}");
        assert_eq!((&ends[0]["callId"], &ends[0]["callStatus"]), (&json!(id), &json!("busy")));
    }
}
