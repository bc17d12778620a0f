//! Idempotency: one key sends one message, for concurrent and repeated requests, on any gateway.

use butt_dial_providers::simulator::InjectedFault;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{Agent, Cluster, RequestExt as _, Transport, email, sms, with};

const ANN: &str = "+14155550123";

profiles! {
    with [("DEFAULT_MAX_ACTIONS_PER_MINUTE", "none")];
    async fn concurrent_requests_with_one_key_send_once(cluster: &Cluster) {
        let message = sms(ANN, "Once");
        let rest = cluster.rest().await;
        let mcp = cluster.agent(Transport::StreamableHttp).await;
        let sse = cluster.agent(Transport::Sse).await;
        let agents: [&Agent; 3] = [&rest, &mcp, &sse];
        let sends = (0..32).map(|turn| agents[turn % 3].send(message.clone()));
        let receipts: Vec<Value> = join_all(sends).await.into_iter().map(Result::unwrap).collect();
        let id = &receipts[0]["messageId"];
        assert!(id.is_string(), "{receipts:?}");
        assert!(
            receipts.iter().all(|receipt| receipt["messageId"] == *id),
            "{receipts:?}"
        );
        assert!(
            receipts.iter().all(|receipt| receipt["status"] == "accepted"),
            "{receipts:?}"
        );
        assert_eq!(receipts.iter().filter(|receipt| receipt["replayed"] != true).count(), 1);
        assert_eq!(cluster.carriers.requests_total("twilio"), 1);
        let usage = rest.call("comms_get_usage_dashboard", json!({})).await.unwrap();
        assert_eq!(usage["totalActions"], 1);
    }
}

profiles! {
    async fn repeated_request_replays_first_receipt(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let message = email("ann@example.com", "Once");
        let first = agent.send(message.clone()).await.unwrap();
        let again = agent.send(message).await.unwrap();
        assert_eq!(again["replayed"], true);
        for field in ["messageId", "providerMessageId", "status", "cost", "from", "to"] {
            assert!(!first[field].is_null(), "{field}: {first}");
            assert_eq!(again[field], first[field], "{field}");
        }
        assert_eq!(cluster.carriers.requests_total("resend"), 1);
    }
}

profiles! {
    async fn rejects_key_reuse_for_different_message(cluster: &Cluster) {
        let agent = cluster.agent(Transport::Sse).await;
        let message = sms(ANN, "One");
        let first = agent.send(message.clone()).await.unwrap();
        for change in [
            json!({ "body": "Two" }),
            json!({ "to": "+14155550124" }),
            json!({ "media": ["https://a.example/b.png"] }),
        ] {
            let refused = agent.send(with(message.clone(), change)).await.unwrap_err();
            assert_eq!(refused["code"], "IDEMPOTENCY_CONFLICT");
            assert_eq!(refused["retryable"], false);
        }
        assert_eq!(agent.send(message).await.unwrap()["messageId"], first["messageId"]);
        assert_eq!(cluster.carriers.requests_total("twilio"), 1);
    }
}

profiles! {
    async fn uses_idempotency_header_without_key_in_body(cluster: &Cluster) {
        let body = json!({ "to": ANN, "channel": "sms", "body": "Once" });
        let mut ids = Vec::new();
        for _ in 0..3 {
            let request = cluster
                .gateways
                .post("/api/v1/send-message", &body)
                .bearer_auth(&cluster.account.token);
            ids.push(request.header("Idempotency-Key", "abc").reply().await.expect(200)["messageId"].clone());
        }
        assert!(ids[0].is_string() && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_eq!(cluster.carriers.requests_total("twilio"), 1);
    }
}

profiles! {
    async fn takes_idempotency_header_in_utf8_and_refuses_others(cluster: &Cluster) {
        let body = json!({ "to": ANN, "channel": "sms", "body": "Once" });
        let send = async |key: &[u8]| {
            let request = cluster.gateways.post("/api/v1/send-message", &body).bearer_auth(&cluster.account.token);
            request.header("Idempotency-Key", key).reply().await
        };
        let key = "bestellung-ä".as_bytes();
        let (first, again) = (send(key).await.expect(200), send(key).await.expect(200));
        assert_eq!((&first["messageId"], &again["replayed"]), (&again["messageId"], &json!(true)));
        send(b"bestellung-\xe4").await.expect(400);
        assert_eq!(cluster.carriers.requests_total("twilio"), 1);
    }
}

profiles! {
    async fn scopes_idempotency_key_to_agent(cluster: &Cluster) {
        let colleague = cluster
            .account
            .add_colleague(&cluster.store, &cluster.gateways, "agent", "+14155550101")
            .await;
        let (one, other) = (cluster.rest().await, cluster.agent_of(&colleague, Transport::Rest).await);
        let message = sms(ANN, "Same key");
        let (first, second) = (
            one.send(message.clone()).await.unwrap(),
            other.send(message).await.unwrap(),
        );
        assert_ne!(first["messageId"], second["messageId"]);
        assert_eq!(cluster.carriers.accepted_total("twilio"), 2);
    }
}

/// A repeat waits for the outcome while the first request is at the carrier.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeat_on_other_gateway_waits_for_first_request_servers() {
    let cluster = Cluster::servers(&[]).await;
    let agent = cluster.rest().await;
    let message = sms(ANN, "Slowly");
    cluster
        .carriers
        .inject_fault("twilio", InjectedFault::Slow { delay_ms: 1_000 }, 1);
    let (first, again) = tokio::join!(agent.send(message.clone()), async {
        cluster.wait_for_acceptance(ANN).await;
        agent.send(message.clone()).await
    });
    let (first, again) = (first.unwrap(), again.unwrap());
    assert_eq!(
        (&first["status"], &again["status"]),
        (&json!("accepted"), &json!("accepted"))
    );
    assert_eq!(first["messageId"], again["messageId"]);
    assert_eq!(cluster.carriers.requests_total("twilio"), 1);
    cluster.shut_down().await;
}
