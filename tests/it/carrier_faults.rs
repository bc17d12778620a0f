//! Misbehaving carriers: a message is sent once, and the agent learns the true outcome, at once when it is known and
//! later when it is not.

use butt_dial_providers::simulator::InjectedFault;
use serde_json::{Value, json};

use crate::support::{Cluster, TestContext, Transport, email, error_code, sms};

const ANN: &str = "+14155550123";
const MAIL: &str = "ann@example.com";

/// Sends each message into a fault that leaves its outcome ambiguous, and waits for the outcomes. Proves that the agent
/// gets one event per outcome and that a repeated request shows the same status.
async fn send_into_faults(
    context: &TestContext,
    vendor: &'static str,
    sends: Vec<(InjectedFault, Value)>,
) -> Vec<Value> {
    let agent = context.agent(Transport::StreamableHttp).await;
    let mut ids = Vec::new();
    for (fault, message) in &sends {
        context.carriers.inject_fault(vendor, fault.clone(), 1);
        let receipt = agent.send(message.clone()).await.unwrap();
        assert_eq!(receipt["status"], "pending", "{receipt}");
        ids.push(receipt["messageId"].as_str().unwrap().to_owned());
    }
    let mut outcomes = Vec::new();
    for (id, (_, message)) in ids.iter().zip(&sends) {
        let outcome = context.wait_for_outcome(&agent, id).await;
        let again = agent.send(message.clone()).await.unwrap();
        assert_eq!(
            (&again["messageId"], &again["status"]),
            (&json!(id), &outcome["status"])
        );
        outcomes.push(outcome);
    }
    let mut events = agent.poll_messages().await;
    events.extend(agent.poll_messages().await);
    for (id, outcome) in ids.iter().zip(&outcomes) {
        let own: Vec<_> = events.iter().filter(|event| event["messageId"] == json!(id)).collect();
        assert_eq!(own.len(), 1, "{events:?}");
        assert_eq!(
            (&own[0]["type"], &own[0]["status"]),
            (&json!("status"), &outcome["status"])
        );
    }
    assert_eq!(events.len(), ids.len(), "{events:?}");
    outcomes
}

profiles! {
    with [("CARRIER_TIMEOUT_SECONDS", "1")];
    async fn reconciles_lost_answer_as_accepted(cluster: &Cluster) {
        let faults = [
            (InjectedFault::TimeoutAfterAccept, "+14155550131"),
            (InjectedFault::ServerErrorAfterAccept, "+14155550132"),
            (InjectedFault::ResetAfterAccept, "+14155550133"),
        ];
        let sends = faults
            .iter()
            .map(|(fault, to)| (fault.clone(), sms(to, "Did it arrive?")));
        let outcomes = send_into_faults(cluster, "twilio", sends.collect()).await;
        for ((_, to), outcome) in faults.iter().zip(outcomes) {
            assert_eq!(outcome["status"], "accepted");
            assert_eq!(outcome["providerMessageId"], cluster.wait_for_acceptance(to).await.carrier_id);
        }
        assert_eq!(cluster.carriers.requests_total("twilio"), 3);
        assert_eq!(cluster.carriers.accepted_total("twilio"), 3);
    }
}

profiles! {
    with [("CARRIER_TIMEOUT_SECONDS", "1")];
    async fn unaccepted_send_ends_as_unconfirmed(cluster: &Cluster) {
        let faults = [
            InjectedFault::StallBeforeAccept,
            InjectedFault::ServerError,
            InjectedFault::Nonsense,
        ];
        let sends = faults.into_iter().map(|fault| (fault, sms(ANN, "Did it arrive?")));
        for outcome in send_into_faults(cluster, "twilio", sends.collect()).await {
            assert_eq!(outcome["status"], "unconfirmed");
            assert!(outcome["remediation"].as_str().unwrap().contains("new idempotencyKey"));
        }
        assert_eq!(cluster.carriers.requests_total("twilio"), 3);
        assert_eq!(cluster.carriers.accepted_total("twilio"), 0);
    }
}

profiles! {
    with [("CARRIER_TIMEOUT_SECONDS", "1")];
    async fn retries_ambiguous_email_with_same_key_once(cluster: &Cluster) {
        let faults = [
            (InjectedFault::TimeoutAfterAccept, "ann@example.com"),
            (InjectedFault::ServerErrorAfterAccept, "bob@example.com"),
            (InjectedFault::StallBeforeAccept, "cat@example.com"),
            (InjectedFault::ServerError, "dan@example.com"),
        ];
        let agent = cluster.rest().await;
        for (fault, to) in faults {
            cluster.carriers.inject_fault("resend", fault, 1);
            let message = email(to, "Did it arrive?");
            let receipt = agent.send(message.clone()).await.unwrap();
            assert_eq!(receipt["status"], "pending", "{receipt}");
            let outcome = cluster.wait_for_outcome(&agent, receipt["messageId"].as_str().unwrap()).await;
            assert_eq!(outcome["status"], "accepted");
            assert_eq!(agent.send(message).await.unwrap()["messageId"], receipt["messageId"]);
            assert_eq!(cluster.carriers.messages_to(to).len(), 1);
            assert_eq!(outcome["providerMessageId"], cluster.wait_for_acceptance(to).await.carrier_id);
        }
        assert_eq!(agent.poll_messages().await.len(), 4);
    }
}

/// Two messages with the same text to the same person are both ambiguous, and the carrier accepted one of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ambiguous_twins_claim_different_carrier_messages_servers() {
    let cluster = Cluster::servers(&[("CARRIER_TIMEOUT_SECONDS", "1")]).await;
    cluster
        .carriers
        .inject_fault("twilio", InjectedFault::TimeoutAfterAccept, 1);
    cluster
        .carriers
        .inject_fault("twilio", InjectedFault::StallBeforeAccept, 1);
    let agent = cluster.rest().await;
    let (one, two) = tokio::join!(agent.send(sms(ANN, "Same words")), agent.send(sms(ANN, "Same words")));
    let mut outcomes = Vec::new();
    for receipt in [one.unwrap(), two.unwrap()] {
        let outcome = cluster
            .wait_for_outcome(&agent, receipt["messageId"].as_str().unwrap())
            .await;
        outcomes.push(outcome["status"].as_str().unwrap().to_owned());
    }
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["accepted", "unconfirmed"]);
    cluster.shut_down().await;
}

profiles! {
    async fn rate_limited_send_is_retryable_with_same_key(cluster: &Cluster) {
        for (vendor, message) in [("twilio", sms(ANN, "Busy?")), ("resend", email(MAIL, "Busy?"))] {
            cluster
                .carriers
                .inject_fault(vendor, InjectedFault::RateLimit { retry_after: Some(7) }, 1);
            let agent = cluster.agent(Transport::Sse).await;
            let refused = agent.send(message.clone()).await.unwrap_err();
            assert_eq!(refused["code"], "PROVIDER_RATE_LIMITED");
            assert_eq!(
                (&refused["retryable"], &refused["retryAfterSeconds"]),
                (&json!(true), &json!(7))
            );
            let sent = agent.send(message).await.unwrap();
            assert_eq!(sent["status"], "accepted");
            assert_ne!(sent["messageId"], refused["failedMessageId"]);
            assert_eq!(cluster.carriers.accepted_total(vendor), 1);
            let failed = agent
                .status_of(refused["failedMessageId"].as_str().unwrap())
                .await
                .unwrap();
            assert_eq!(
                (&failed["status"], &failed["code"]),
                (&json!("failed"), &json!("PROVIDER_RATE_LIMITED"))
            );
        }
    }
}

profiles! {
    async fn rejected_message_is_final_and_free(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let refusals = [(400, "21211", "INVALID_RECIPIENT"), (400, "21617", "PROVIDER_REFUSED")];
        for (status, carrier_code, expected) in refusals {
            let fault = InjectedFault::Refuse {
                status,
                code: carrier_code.into(),
            };
            cluster.carriers.inject_fault("twilio", fault, 1);
            let message = sms(ANN, "No?");
            let requests_before = cluster.carriers.requests_total("twilio");
            for _ in 0..2 {
                let refused = agent.send(message.clone()).await.unwrap_err();
                assert_eq!(error_code(&refused), expected);
                assert_eq!(refused["retryable"], false);
            }
            assert_eq!(
                cluster.carriers.requests_total("twilio"),
                requests_before + 1,
                "the repeat replays the first error"
            );
        }
        let usage = agent.call("comms_get_usage_dashboard", json!({})).await.unwrap();
        assert_eq!(
            (&usage["totalActions"], &usage["currentUsage"]["spendToday"]),
            (&json!(0), &json!(0.0))
        );
    }
}

profiles! {
    async fn account_rejection_keeps_idempotency_key_free(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let fault = InjectedFault::Refuse {
            status: 401,
            code: "20003".into(),
        };
        cluster.carriers.inject_fault("twilio", fault, 1);
        let message = sms(ANN, "No?");
        let refused = agent.send(message.clone()).await.unwrap_err();
        assert_eq!(error_code(&refused), "PROVIDER_MISCONFIGURED");
        assert!(refused["remediation"].as_str().unwrap().contains("doctor"));
        assert_eq!(agent.send(message).await.unwrap()["status"], "accepted");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreachable_carrier_keeps_idempotency_key_free_servers() {
    let (cluster, carrier_proxy) = Cluster::with_carrier_proxy(&[]).await;
    let agent = cluster.rest().await;
    carrier_proxy.refuse().await;
    carrier_proxy.cut().await;
    for message in [sms(ANN, "Hello"), email(MAIL, "Hello")] {
        let refused = agent.send(message).await.unwrap_err();
        assert_eq!(
            (error_code(&refused), &refused["retryable"]),
            ("SERVICE_UNAVAILABLE", &json!(true))
        );
    }
    let message = sms(ANN, "Hello again");
    agent.send(message.clone()).await.unwrap_err();
    carrier_proxy.heal().await;
    assert_eq!(agent.send(message).await.unwrap()["status"], "accepted");
    assert_eq!(cluster.carriers.accepted_total("twilio"), 1);
    cluster.shut_down().await;
}

/// The reconciler polls until the carrier answers; an unreachable carrier must not make a message unconfirmed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reconciles_until_silent_carrier_answers_servers() {
    let (cluster, carrier_proxy) = Cluster::with_carrier_proxy(&[("CARRIER_TIMEOUT_SECONDS", "1")]).await;
    let agent = cluster.rest().await;
    cluster
        .carriers
        .inject_fault("twilio", InjectedFault::TimeoutAfterAccept, 1);
    let (receipt, ()) = tokio::join!(agent.send(sms(ANN, "Are you there?")), async {
        cluster.wait_for_acceptance(ANN).await;
        carrier_proxy.refuse().await;
        carrier_proxy.cut().await;
    });
    let receipt = receipt.unwrap();
    let id = receipt["messageId"].as_str().unwrap();
    // More checks than RECONCILE_AFTER_SECONDS allows for a carrier that answers.
    for _ in 0..5 {
        cluster.make_check_due(id).await;
        cluster.wait_for_check(id).await;
        assert_eq!(agent.status_of(id).await.unwrap()["status"], "pending");
    }
    carrier_proxy.heal().await;
    cluster.make_check_due(id).await;
    assert_eq!(cluster.wait_for_outcome(&agent, id).await["status"], "accepted");
    cluster.shut_down().await;
}
