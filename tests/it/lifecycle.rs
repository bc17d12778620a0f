//! Stopping in good order: nobody is cut off who could be served, and nothing is left undone.

use butt_dial_providers::simulator::Misbehaviour;
use serde_json::json;

use crate::support::{Agent, Fleet, LegacySession, Program, Replying as _, eventually, sms};

const ANN: &str = "+14155550123";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_sigterm_readiness_fails_first_and_a_send_under_way_is_answered_servers() {
    let mut fleet = Fleet::gateways(2, &[("SHUTDOWN_DELAY_SECONDS", "2")]).await;
    fleet
        .carriers
        .misbehave("twilio", Misbehaviour::Slow { delay_ms: 3_000 }, 1);
    let first = fleet.gateways.only(0);
    let stream = LegacySession::open(&first, &fleet.account.token).await;
    let agent = Agent::connect_rest(&first, &fleet.account.token);
    let mut leaving = fleet.programs.remove(0);
    let (receipt, ()) = tokio::join!(agent.send(sms(ANN, "Just in time")), async {
        fleet.taken(ANN).await;
        leaving.terminate().await;
        eventually("readiness fails", async || {
            let reply = first.get("/health/ready").reply().await;
            (reply.status == 503).then(|| assert_eq!(reply.body["status"], "stopping"))
        })
        .await;
        // Until load balancers have noticed, it serves.
        first.get("/health").reply().await.expect(200);
        first
            .get("/api/v1/agents/me")
            .bearer_auth(&fleet.account.token)
            .reply()
            .await
            .expect(200);
    });
    assert_eq!(receipt.unwrap()["status"], "accepted");
    stream.events.end().await;
    let status = leaving.ended().await;
    assert!(status.success(), "{status}: {}", leaving.log());
    assert!(
        first.get("/health").try_reply().await.is_none(),
        "nobody listens any more"
    );
    assert_eq!(fleet.carriers.accepted_total("twilio"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_program_stops_at_once_and_successfully() {
    let mut fleet = Fleet::laptop(&[]).await;
    fleet.rest().await.send(sms(ANN, "Hello")).await.unwrap();
    let stream = LegacySession::open(&fleet.gateways, &fleet.account.token).await;
    let mut program = fleet.programs.remove(0);
    program.terminate().await;
    let begun = std::time::Instant::now();
    let status = program.ended().await;
    assert!(status.success(), "{status}: {}", program.log());
    assert!(begun.elapsed().as_secs() < 3, "{:?}", begun.elapsed());
    stream.events.end().await;
}

/// What can't end in time is cut off, and found out by those who stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_that_outlasts_the_deadline_is_found_out_by_the_others_servers() {
    let mut fleet = Fleet::gateways(2, &[("SHUTDOWN_TIMEOUT_SECONDS", "1")]).await;
    fleet
        .carriers
        .misbehave("twilio", Misbehaviour::Slow { delay_ms: 8_000 }, 1);
    let message = sms(ANN, "Too late");
    let agent = Agent::connect_rest(&fleet.gateways.only(0), &fleet.account.token);
    let mut leaving = fleet.programs.remove(0);
    fleet
        .gateways
        .replace(fleet.programs.iter().map(|program| program.base_url.clone()).collect());
    let (answer, status) = tokio::join!(agent.try_send(message.clone()), async {
        fleet.taken(ANN).await;
        leaving.terminate().await;
        leaving.ended().await
    });
    assert!(answer.is_none(), "{answer:?}");
    assert!(!status.success(), "something was cut off");
    let id = fleet
        .message_of_key(&fleet.account.agent, message["idempotencyKey"].as_str().unwrap())
        .await;
    fleet.sender_is_overdue(&id).await;
    let agent = fleet.rest().await;
    assert_eq!(fleet.outcome(&agent, &id).await["status"], "accepted");
    assert_eq!(agent.send(message).await.unwrap()["messageId"], json!(id));
    assert_eq!(fleet.carriers.requests_total("twilio"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_comes_back_with_what_it_had() {
    let mut fleet = Fleet::laptop(&[]).await;
    let sent = fleet.rest().await.send(sms(ANN, "Hello")).await.unwrap();
    let mut program: Program = fleet.programs.remove(0);
    program.terminate().await;
    assert!(program.ended().await.success());
    fleet.start_one().await;
    let status = fleet
        .rest()
        .await
        .status_of(sent["messageId"].as_str().unwrap())
        .await
        .unwrap();
    assert_eq!(status["providerMessageId"], sent["providerMessageId"]);
}
