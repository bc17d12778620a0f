//! A program dies between any two steps of a send. Whoever asks again under the same key learns the truth, from another
//! replica or from the next one, and the carrier has the message once or not at all.

use butt_dial_providers::simulator::Misbehaviour;
use futures::{StreamExt as _, future::join_all};
use serde_json::{Value, json};

use crate::support::{Agent, Fleet, Gate, Replying as _, Stage, email, eventually, sms};

const ANN: &str = "+14155550123";
/// Long enough to do something while the carrier has the message and has not said so.
const PAUSE: Misbehaviour = Misbehaviour::Slow { delay_ms: 500 };

/// Sends through the first program, which is killed as soon as the moment has come.
async fn kill_in_mid_send(fleet: &mut Fleet, message: &Value, moment: impl Future<Output = ()>) {
    let doomed = Agent::connect_rest(&fleet.gateways.only(0), &fleet.account.token);
    tokio::select! {
        answer = doomed.try_send(message.clone()) => panic!("answered too early: {answer:?}"),
        () = moment => {}
    }
    fleet.kill(0).await;
}

/// The first program has this stage of its first send behind it.
async fn passes(name: &str, stage: &Stage) {
    let first = stage.gateways.only(0);
    let counted = format!("bd_send_stage_seconds_count{{stage=\"{name}\"}} 1");
    eventually("the stage is over", async || {
        let metrics = first.get("/metrics").reply().await.text;
        metrics.lines().any(|line| line == counted).then_some(())
    })
    .await;
}

/// Nothing was written: the same request is a new one.
async fn retry_sends_it(fleet: &Fleet, message: &Value) {
    let before = fleet.carriers.requests_total("twilio");
    assert_eq!(before, fleet.carriers.accepted_total("twilio"));
    let retried = fleet.rest().await.send(message.clone()).await.unwrap();
    assert_eq!(
        (&retried["status"], &retried["replayed"]),
        (&json!("accepted"), &Value::Null)
    );
    assert_eq!(fleet.carriers.requests_total("twilio"), before + 1);
    assert_eq!(fleet.carriers.messages_to(ANN).len(), 1);
}

/// It stands in the database that the carrier took it.
async fn retry_shows_what_was_written(fleet: &Fleet, message: &Value) {
    let retried = fleet.rest().await.send(message.clone()).await.unwrap();
    assert_eq!(
        (&retried["status"], &retried["replayed"]),
        (&json!("accepted"), &json!(true))
    );
    assert_eq!(retried["providerMessageId"], fleet.taken(ANN).await.carrier_id);
    assert_eq!(fleet.carriers.requests_total("twilio"), 1);
}

/// Written down, and how it ended is open: never a second message, and the truth in the end.
async fn retry_tells_the_truth(fleet: &Fleet, message: &Value, truth: &str) -> Value {
    let agent = fleet.rest().await;
    let key = message["idempotencyKey"].as_str().unwrap();
    let id = fleet.message_of_key(&fleet.account.agent, key).await;
    let retried = agent.send(message.clone()).await.unwrap();
    assert_eq!(
        (&retried["messageId"], &retried["status"]),
        (&json!(id), &json!("pending"))
    );
    fleet.sender_is_overdue(&id).await;
    let outcome = fleet.outcome(&agent, &id).await;
    assert_eq!(outcome["status"], truth);
    let retried = agent.send(message.clone()).await.unwrap();
    assert_eq!((&retried["messageId"], &retried["status"]), (&json!(id), &json!(truth)));
    let waiting = agent.waiting().await;
    let told: Vec<_> = waiting.iter().filter(|event| event["messageId"] == id).collect();
    assert_eq!(told.len(), 1, "{waiting:?}");
    assert_eq!(told[0]["status"], truth);
    outcome
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_before_the_limits_have_said_yes_it_was_never_there_servers() {
    let mut fleet = Fleet::gateways(2, &[]).await;
    let message = sms(ANN, "Only once");
    // What may write has to wait; what only reads, such as the look at the lock-out, goes through.
    fleet.backends().redis.say("CLIENT PAUSE 60000 WRITE").await;
    let stage = fleet.stage();
    kill_in_mid_send(&mut fleet, &message, passes("clear", &stage)).await;
    fleet.backends().redis.say("CLIENT UNPAUSE").await;
    retry_sends_it(&fleet, &message).await;
}

/// Kills the first program while the acceptance of this message waits to be written.
async fn kill_before_acceptance(fleet: &mut Fleet, message: &Value) -> Gate {
    let mut gate = Gate::close(&fleet.database_url, "messages").await;
    let stage = fleet.stage();
    let moment = async {
        passes("clear", &stage).await;
        gate.is_reached().await;
    };
    kill_in_mid_send(fleet, message, moment).await;
    gate
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_before_it_was_accepted_it_was_never_there_servers() {
    let mut fleet = Fleet::gateways(2, &[]).await;
    let message = sms(ANN, "Only once");
    kill_before_acceptance(&mut fleet, &message).await.turn_away().await;
    retry_sends_it(&fleet, &message).await;
}

/// The database finishes what the dead gateway has asked of it: accepted, and nobody is left to send it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_before_it_knew_of_the_acceptance_the_message_is_unconfirmed_servers() {
    let mut fleet = Fleet::gateways(2, &[]).await;
    let message = sms(ANN, "Perhaps");
    kill_before_acceptance(&mut fleet, &message).await.open().await;
    let outcome = retry_tells_the_truth(&fleet, &message, "unconfirmed").await;
    assert!(outcome["remediation"].as_str().unwrap().contains("new idempotencyKey"));
    assert_eq!(fleet.carriers.requests_total("twilio"), 0);
}

/// Lets the first program hand a message to the carrier, which keeps it waiting, and kills it.
async fn kill_at_the_carrier(fleet: &mut Fleet, vendor: &'static str, misbehaviour: Misbehaviour, message: &Value) {
    let before = fleet.carriers.requests_total(vendor);
    fleet.carriers.misbehave(vendor, misbehaviour, 1);
    let carriers = fleet.carriers.clone();
    let asked = eventually("the carrier is asked", async || {
        (carriers.requests_total(vendor) > before).then_some(())
    });
    kill_in_mid_send(fleet, message, asked).await;
}

const SLOW: Misbehaviour = Misbehaviour::Slow { delay_ms: 5_000 };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_before_the_carrier_took_it_the_message_is_unconfirmed_servers() {
    let mut fleet = Fleet::gateways(2, &[]).await;
    let message = sms(ANN, "Perhaps");
    kill_at_the_carrier(&mut fleet, "twilio", Misbehaviour::StallBeforeAccept, &message).await;
    let outcome = retry_tells_the_truth(&fleet, &message, "unconfirmed").await;
    assert!(outcome["remediation"].as_str().unwrap().contains("new idempotencyKey"));
    assert_eq!(fleet.carriers.requests_total("twilio"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_the_carrier_took_it_the_message_is_accepted_once_servers() {
    let mut fleet = Fleet::gateways(2, &[]).await;
    let message = sms(ANN, "Only once");
    kill_at_the_carrier(&mut fleet, "twilio", SLOW, &message).await;
    let taken = fleet.taken(ANN).await;
    let outcome = retry_tells_the_truth(&fleet, &message, "accepted").await;
    assert_eq!(outcome["providerMessageId"], taken.carrier_id);
    assert_eq!(fleet.carriers.accepted_total("twilio"), 1);
    assert_eq!(fleet.carriers.requests_total("twilio"), 1);
}

/// Resend sends once for one key, so a mail that was not taken is sent after all, and one that was is not sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_mid_send_an_email_goes_out_once_in_the_end_servers() {
    for misbehaviour in [SLOW, Misbehaviour::StallBeforeAccept] {
        let mut fleet = Fleet::gateways(2, &[]).await;
        let message = email("ann@example.com", "Only once");
        kill_at_the_carrier(&mut fleet, "resend", misbehaviour, &message).await;
        let outcome = retry_tells_the_truth(&fleet, &message, "accepted").await;
        assert_eq!(
            outcome["providerMessageId"],
            fleet.taken("ann@example.com").await.carrier_id
        );
        assert_eq!(fleet.carriers.accepted_total("resend"), 1);
    }
}

/// Kills the first program while the outcome, which the carrier has told it, waits to be written.
async fn kill_before_the_outcome_is_written(fleet: &mut Fleet, message: &Value) -> Gate {
    fleet.carriers.misbehave("twilio", PAUSE, 1);
    let (stage, database) = (fleet.stage(), fleet.database_url.clone());
    let mut gate = None;
    let moment = async {
        stage.taken(ANN).await;
        let gate = gate.insert(Gate::close(&database, "messages").await);
        passes("dispatch", &stage).await;
        gate.is_reached().await;
    };
    kill_in_mid_send(fleet, message, moment).await;
    gate.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_before_the_outcome_was_written_it_is_found_out_servers() {
    let mut fleet = Fleet::gateways(2, &[]).await;
    let message = sms(ANN, "Only once");
    let gate = kill_before_the_outcome_is_written(&mut fleet, &message).await;
    gate.turn_away().await;
    let outcome = retry_tells_the_truth(&fleet, &message, "accepted").await;
    assert_eq!(outcome["providerMessageId"], fleet.taken(ANN).await.carrier_id);
    assert_eq!(fleet.carriers.requests_total("twilio"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_before_the_answer_whoever_asks_again_gets_it_servers() {
    let mut fleet = Fleet::gateways(2, &[]).await;
    let message = sms(ANN, "Only once");
    let gate = kill_before_the_outcome_is_written(&mut fleet, &message).await;
    gate.open().await;
    retry_shows_what_was_written(&fleet, &message).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_on_a_laptop_before_it_was_accepted_it_was_never_there() {
    let mut fleet = Fleet::laptop(&[]).await;
    let message = sms(ANN, "Only once");
    kill_before_acceptance(&mut fleet, &message).await.open().await;
    fleet.start_one().await;
    retry_sends_it(&fleet, &message).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_on_a_laptop_at_the_carrier_nothing_that_was_accepted_is_lost() {
    let mut fleet = Fleet::laptop(&[]).await;
    let before = sms("+14155550125", "Before");
    let sent = fleet.rest().await.send(before.clone()).await.unwrap();
    let message = sms(ANN, "Only once");
    kill_at_the_carrier(&mut fleet, "twilio", SLOW, &message).await;
    fleet.start_one().await;
    let again = fleet.rest().await.send(before).await.unwrap();
    assert_eq!(
        (&again["messageId"], &again["replayed"]),
        (&sent["messageId"], &json!(true))
    );
    retry_tells_the_truth(&fleet, &message, "accepted").await;
    assert_eq!(fleet.carriers.accepted_total("twilio"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_on_a_laptop_before_the_outcome_was_written_it_is_found_out() {
    let mut fleet = Fleet::laptop(&[]).await;
    let message = sms(ANN, "Only once");
    let gate = kill_before_the_outcome_is_written(&mut fleet, &message).await;
    gate.open().await;
    fleet.start_one().await;
    retry_tells_the_truth(&fleet, &message, "accepted").await;
    assert_eq!(fleet.carriers.requests_total("twilio"), 1);
}

/// Many sends at every stage of their way when the gateway dies: whoever asks again learns the truth about each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_amid_many_sends_every_message_ends_once_and_truthfully_servers() {
    let mut fleet = Fleet::gateways(2, &[("DEFAULT_MAX_ACTIONS_PER_MINUTE", "none")]).await;
    let messages: Vec<Value> = (0..60).map(|n| sms(&format!("+141555502{n:02}"), "Once")).collect();
    fleet
        .carriers
        .misbehave("twilio", Misbehaviour::Slow { delay_ms: 60 }, 60);
    let doomed = Agent::connect_rest(&fleet.gateways.only(0), &fleet.account.token);
    let mut programs = std::mem::take(&mut fleet.programs);
    let sends = futures::stream::iter(&messages)
        .map(|message| doomed.try_send(message.clone()))
        .buffered(8);
    let (answers, ()) = tokio::join!(sends.collect::<Vec<_>>(), async {
        eventually("half of them are under way", async || {
            (fleet.carriers.requests_total("twilio") >= 30).then_some(())
        })
        .await;
        programs.remove(0).kill().await;
    });
    let answered = answers.iter().flatten().count();
    assert!((1..60).contains(&answered), "it died in the middle: {answered}");

    fleet.gateways.replace(vec![programs[0].base_url.clone()]);
    let agent = fleet.rest().await;
    let receipts = join_all(messages.iter().map(|message| agent.send(message.clone()))).await;
    let receipts: Vec<Value> = receipts.into_iter().map(Result::unwrap).collect();
    let id = |receipt: &Value| receipt["messageId"].as_str().unwrap().to_owned();
    let pending = || receipts.iter().filter(|receipt| receipt["status"] == "pending");
    join_all(pending().map(async |receipt| fleet.sender_is_overdue(&id(receipt)).await)).await;
    for ((message, answer), receipt) in messages.iter().zip(&answers).zip(&receipts) {
        let receipt = fleet.outcome(&agent, &id(receipt)).await;
        if let Some(answer) = answer {
            assert_eq!(answer["messageId"], receipt["messageId"], "an answer once given stands");
        }
        let taken = fleet.carriers.messages_to(message["to"].as_str().unwrap());
        match receipt["status"].as_str().unwrap() {
            "accepted" => {
                assert_eq!(taken.len(), 1, "{receipt}");
                assert_eq!(receipt["providerMessageId"], taken[0].carrier_id);
            }
            // Written down, and the gateway died before the request left.
            "unconfirmed" => assert!(answer.is_none() && taken.is_empty(), "{receipt}"),
            other => panic!("{other}: {receipt}"),
        }
    }
}
