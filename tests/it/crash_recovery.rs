//! Crashes between any two steps of a send. A retry with the same key learns the true outcome from another replica or
//! after a restart, and the carrier has the message once or not at all.

use butt_dial_providers::simulator::InjectedFault;
use futures::{StreamExt as _, future::join_all};
use serde_json::{Value, json};

use crate::support::{Agent, ProcessCluster, RequestExt as _, TestContext, WriteBarrier, email, eventually, sms};

const ANN: &str = "+14155550123";
/// Long enough to act while the carrier has the message and has not answered.
const SLOW_ANSWER: InjectedFault = InjectedFault::Slow { delay_ms: 500 };

/// Sends through the first program, and kills it at this moment.
async fn kill_in_mid_send(cluster: &mut ProcessCluster, message: &Value, moment: impl Future<Output = ()>) {
    let agent = Agent::connect_rest(&cluster.gateways.only(0), &cluster.account.token);
    tokio::select! {
        answer = agent.try_send(message.clone()) => panic!("answered before the kill: {answer:?}"),
        () = moment => {}
    }
    cluster.kill_entry(0).await;
}

/// Waits until the first program has finished this pipeline stage of its first send.
async fn finishes_stage(name: &str, context: &TestContext) {
    let first = context.gateways.only(0);
    let series = format!("bd_send_stage_seconds_count{{stage=\"{name}\"}} 1");
    eventually("the stage is finished", async || {
        let metrics = first.get("/metrics").reply().await.text;
        metrics.lines().any(|line| line == series).then_some(())
    })
    .await;
}

/// Proves that nothing was stored: the same request is a new one.
async fn retry_sends_it(cluster: &ProcessCluster, message: &Value) {
    let before = cluster.carriers.requests_total("twilio");
    assert_eq!(before, cluster.carriers.accepted_total("twilio"));
    let retried = cluster.rest().await.send(message.clone()).await.unwrap();
    assert_eq!(
        (&retried["status"], &retried["replayed"]),
        (&json!("accepted"), &Value::Null)
    );
    assert_eq!(cluster.carriers.requests_total("twilio"), before + 1);
    assert_eq!(cluster.carriers.messages_to(ANN).len(), 1);
}

/// Proves that the carrier's acceptance was stored.
async fn retry_replays_receipt(cluster: &ProcessCluster, message: &Value) {
    let retried = cluster.rest().await.send(message.clone()).await.unwrap();
    assert_eq!(
        (&retried["status"], &retried["replayed"]),
        (&json!("accepted"), &json!(true))
    );
    assert_eq!(
        retried["providerMessageId"],
        cluster.wait_for_acceptance(ANN).await.carrier_id
    );
    assert_eq!(cluster.carriers.requests_total("twilio"), 1);
}

/// Proves that the message was stored with an open outcome: no second message, and the true outcome in the end.
async fn retry_finds_outcome(cluster: &ProcessCluster, message: &Value, expected: &str) -> Value {
    let agent = cluster.rest().await;
    let key = message["idempotencyKey"].as_str().unwrap();
    let id = cluster.find_message_by_key(&cluster.account.agent, key).await;
    let retried = agent.send(message.clone()).await.unwrap();
    assert_eq!(
        (&retried["messageId"], &retried["status"]),
        (&json!(id), &json!("pending"))
    );
    cluster.make_check_due(&id).await;
    let outcome = cluster.wait_for_outcome(&agent, &id).await;
    assert_eq!(outcome["status"], expected);
    let retried = agent.send(message.clone()).await.unwrap();
    assert_eq!(
        (&retried["messageId"], &retried["status"]),
        (&json!(id), &json!(expected))
    );
    let waiting = agent.poll_messages().await;
    let events: Vec<_> = waiting.iter().filter(|event| event["messageId"] == id).collect();
    assert_eq!(events.len(), 1, "{waiting:?}");
    assert_eq!(events[0]["status"], expected);
    outcome
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_before_reservation_nothing_was_sent_servers() {
    let mut cluster = ProcessCluster::with_gateways(2, &[]).await;
    let message = sms(ANN, "Only once");
    // Redis blocks writes; reads, such as the lockout check, pass.
    cluster.backends().redis.run_command("CLIENT PAUSE 60000 WRITE").await;
    let context = cluster.context();
    kill_in_mid_send(&mut cluster, &message, finishes_stage("comply", &context)).await;
    cluster.backends().redis.run_command("CLIENT UNPAUSE").await;
    retry_sends_it(&cluster, &message).await;
}

/// Kills the first program while the insert of this message is blocked.
async fn kill_before_insert(cluster: &mut ProcessCluster, message: &Value) -> WriteBarrier {
    let mut barrier = WriteBarrier::install(&cluster.database_url, "messages").await;
    let context = cluster.context();
    let moment = async {
        finishes_stage("comply", &context).await;
        barrier.wait_until_reached().await;
    };
    kill_in_mid_send(cluster, message, moment).await;
    barrier
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_before_insert_nothing_was_sent_servers() {
    let mut cluster = ProcessCluster::with_gateways(2, &[]).await;
    let message = sms(ANN, "Only once");
    kill_before_insert(&mut cluster, &message).await.abort_blocked().await;
    retry_sends_it(&cluster, &message).await;
}

/// The database finishes the insert of the dead gateway: the message is stored, and no program sends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_insert_message_is_unconfirmed_servers() {
    let mut cluster = ProcessCluster::with_gateways(2, &[]).await;
    let message = sms(ANN, "Perhaps");
    kill_before_insert(&mut cluster, &message).await.release().await;
    let outcome = retry_finds_outcome(&cluster, &message, "unconfirmed").await;
    assert!(outcome["remediation"].as_str().unwrap().contains("new idempotencyKey"));
    assert_eq!(cluster.carriers.requests_total("twilio"), 0);
}

/// Kills the first program while the carrier delays its answer.
async fn kill_at_the_carrier(
    cluster: &mut ProcessCluster,
    vendor: &'static str,
    fault: InjectedFault,
    message: &Value,
) {
    let before = cluster.carriers.requests_total(vendor);
    cluster.carriers.inject_fault(vendor, fault, 1);
    let carriers = cluster.carriers.clone();
    let requested = eventually("the carrier gets the request", async || {
        (carriers.requests_total(vendor) > before).then_some(())
    });
    kill_in_mid_send(cluster, message, requested).await;
}

const SLOW: InjectedFault = InjectedFault::Slow { delay_ms: 5_000 };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_before_carrier_accepted_is_unconfirmed_servers() {
    let mut cluster = ProcessCluster::with_gateways(2, &[]).await;
    let message = sms(ANN, "Perhaps");
    kill_at_the_carrier(&mut cluster, "twilio", InjectedFault::StallBeforeAccept, &message).await;
    let outcome = retry_finds_outcome(&cluster, &message, "unconfirmed").await;
    assert!(outcome["remediation"].as_str().unwrap().contains("new idempotencyKey"));
    assert_eq!(cluster.carriers.requests_total("twilio"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_carrier_accepted_is_accepted_once_servers() {
    let mut cluster = ProcessCluster::with_gateways(2, &[]).await;
    let message = sms(ANN, "Only once");
    kill_at_the_carrier(&mut cluster, "twilio", SLOW, &message).await;
    let accepted = cluster.wait_for_acceptance(ANN).await;
    let outcome = retry_finds_outcome(&cluster, &message, "accepted").await;
    assert_eq!(outcome["providerMessageId"], accepted.carrier_id);
    assert_eq!(cluster.carriers.accepted_total("twilio"), 1);
    assert_eq!(cluster.carriers.requests_total("twilio"), 1);
}

/// Resend sends once per key, so an email that was not accepted is sent after all, and an accepted one is not sent
/// again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_during_request_email_is_sent_once_servers() {
    for fault in [SLOW, InjectedFault::StallBeforeAccept] {
        let mut cluster = ProcessCluster::with_gateways(2, &[]).await;
        let message = email("ann@example.com", "Only once");
        kill_at_the_carrier(&mut cluster, "resend", fault, &message).await;
        let outcome = retry_finds_outcome(&cluster, &message, "accepted").await;
        assert_eq!(
            outcome["providerMessageId"],
            cluster.wait_for_acceptance("ann@example.com").await.carrier_id
        );
        assert_eq!(cluster.carriers.accepted_total("resend"), 1);
    }
}

/// Kills the first program while the update with the carrier's outcome is blocked.
async fn kill_before_outcome_is_stored(cluster: &mut ProcessCluster, message: &Value) -> WriteBarrier {
    cluster.carriers.inject_fault("twilio", SLOW_ANSWER, 1);
    let (context, database) = (cluster.context(), cluster.database_url.clone());
    let mut barrier = None;
    let moment = async {
        context.wait_for_acceptance(ANN).await;
        let barrier = barrier.insert(WriteBarrier::install(&database, "messages").await);
        finishes_stage("dispatch", &context).await;
        barrier.wait_until_reached().await;
    };
    kill_in_mid_send(cluster, message, moment).await;
    barrier.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_before_outcome_is_stored_reconciles_servers() {
    let mut cluster = ProcessCluster::with_gateways(2, &[]).await;
    let message = sms(ANN, "Only once");
    let barrier = kill_before_outcome_is_stored(&mut cluster, &message).await;
    barrier.abort_blocked().await;
    let outcome = retry_finds_outcome(&cluster, &message, "accepted").await;
    assert_eq!(
        outcome["providerMessageId"],
        cluster.wait_for_acceptance(ANN).await.carrier_id
    );
    assert_eq!(cluster.carriers.requests_total("twilio"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_before_response_retry_replays_receipt_servers() {
    let mut cluster = ProcessCluster::with_gateways(2, &[]).await;
    let message = sms(ANN, "Only once");
    let barrier = kill_before_outcome_is_stored(&mut cluster, &message).await;
    barrier.release().await;
    retry_replays_receipt(&cluster, &message).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_killed_before_insert_nothing_was_sent() {
    let mut cluster = ProcessCluster::embedded(&[]).await;
    let message = sms(ANN, "Only once");
    kill_before_insert(&mut cluster, &message).await.release().await;
    cluster.start_entry().await;
    retry_sends_it(&cluster, &message).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_killed_during_request_loses_nothing() {
    let mut cluster = ProcessCluster::embedded(&[]).await;
    let before = sms("+14155550125", "Before");
    let sent = cluster.rest().await.send(before.clone()).await.unwrap();
    let message = sms(ANN, "Only once");
    kill_at_the_carrier(&mut cluster, "twilio", SLOW, &message).await;
    cluster.start_entry().await;
    let again = cluster.rest().await.send(before).await.unwrap();
    assert_eq!(
        (&again["messageId"], &again["replayed"]),
        (&sent["messageId"], &json!(true))
    );
    retry_finds_outcome(&cluster, &message, "accepted").await;
    assert_eq!(cluster.carriers.accepted_total("twilio"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_killed_before_outcome_is_stored_reconciles() {
    let mut cluster = ProcessCluster::embedded(&[]).await;
    let message = sms(ANN, "Only once");
    let barrier = kill_before_outcome_is_stored(&mut cluster, &message).await;
    barrier.release().await;
    cluster.start_entry().await;
    retry_finds_outcome(&cluster, &message, "accepted").await;
    assert_eq!(cluster.carriers.requests_total("twilio"), 1);
}

/// Kills a gateway during many sends at every stage: a retry learns the true outcome of each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_during_many_sends_each_ends_once_servers() {
    let mut cluster = ProcessCluster::with_gateways(2, &[("DEFAULT_MAX_ACTIONS_PER_MINUTE", "none")]).await;
    let messages: Vec<Value> = (0..60).map(|n| sms(&format!("+141555502{n:02}"), "Once")).collect();
    cluster
        .carriers
        .inject_fault("twilio", InjectedFault::Slow { delay_ms: 60 }, 60);
    let agent = Agent::connect_rest(&cluster.gateways.only(0), &cluster.account.token);
    let mut programs = std::mem::take(&mut cluster.programs);
    let sends = futures::stream::iter(&messages)
        .map(|message| agent.try_send(message.clone()))
        .buffered(8);
    let (answers, ()) = tokio::join!(sends.collect::<Vec<_>>(), async {
        eventually("half of the sends are in flight", async || {
            (cluster.carriers.requests_total("twilio") >= 30).then_some(())
        })
        .await;
        programs.remove(0).kill().await;
    });
    let answered = answers.iter().flatten().count();
    assert!(
        (1..60).contains(&answered),
        "the kill hit the middle of the sends: {answered}"
    );

    cluster.gateways.replace(vec![programs[0].base_url.clone()]);
    let agent = cluster.rest().await;
    let receipts = join_all(messages.iter().map(|message| agent.send(message.clone()))).await;
    let receipts: Vec<Value> = receipts.into_iter().map(Result::unwrap).collect();
    let id = |receipt: &Value| receipt["messageId"].as_str().unwrap().to_owned();
    let pending = || receipts.iter().filter(|receipt| receipt["status"] == "pending");
    join_all(pending().map(async |receipt| cluster.make_check_due(&id(receipt)).await)).await;
    for ((message, answer), receipt) in messages.iter().zip(&answers).zip(&receipts) {
        let receipt = cluster.wait_for_outcome(&agent, &id(receipt)).await;
        if let Some(answer) = answer {
            assert_eq!(
                answer["messageId"], receipt["messageId"],
                "a repeated request has the same id"
            );
        }
        let accepted = cluster.carriers.messages_to(message["to"].as_str().unwrap());
        match receipt["status"].as_str().unwrap() {
            "accepted" => {
                assert_eq!(accepted.len(), 1, "{receipt}");
                assert_eq!(receipt["providerMessageId"], accepted[0].carrier_id);
            }
            // The message was stored, and the gateway died before the request left.
            "unconfirmed" => assert!(answer.is_none() && accepted.is_empty(), "{receipt}"),
            other => panic!("{other}: {receipt}"),
        }
    }
}
