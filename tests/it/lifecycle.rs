//! Graceful shutdown: open requests are served, and no work is left unfinished.

use butt_dial_providers::simulator::InjectedFault;
use serde_json::json;

use crate::support::{Agent, LegacySession, ProcessCluster, Program, RequestExt as _, eventually, sms};

const ANN: &str = "+14155550123";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_fails_readiness_and_finishes_send_servers() {
    let mut cluster = ProcessCluster::with_gateways(2, &[("SHUTDOWN_DELAY_SECONDS", "2")]).await;
    cluster
        .carriers
        .inject_fault("twilio", InjectedFault::Slow { delay_ms: 3_000 }, 1);
    let first = cluster.gateways.only(0);
    let stream = LegacySession::open(&first, &cluster.account.token).await;
    let agent = Agent::connect_rest(&first, &cluster.account.token);
    let mut leaving = cluster.programs.remove(0);
    let (receipt, ()) = tokio::join!(agent.send(sms(ANN, "Just in time")), async {
        cluster.wait_for_acceptance(ANN).await;
        leaving.terminate().await;
        eventually("readiness fails", async || {
            let reply = first.get("/health/ready").reply().await;
            (reply.status == 503).then(|| assert_eq!(reply.body["status"], "stopping"))
        })
        .await;
        // It serves until load balancers have removed it.
        first.get("/health").reply().await.expect(200);
        first
            .get("/api/v1/agents/me")
            .bearer_auth(&cluster.account.token)
            .reply()
            .await
            .expect(200);
    });
    assert_eq!(receipt.unwrap()["status"], "accepted");
    stream.events.read_to_end().await;
    let status = leaving.wait_for_exit().await;
    assert!(status.success(), "{status}: {}", leaving.log());
    assert!(first.get("/health").try_reply().await.is_none(), "the port is closed");
    assert_eq!(cluster.carriers.accepted_total("twilio"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_program_stops_at_once() {
    let mut cluster = ProcessCluster::embedded(&[]).await;
    cluster.rest().await.send(sms(ANN, "Hello")).await.unwrap();
    let stream = LegacySession::open(&cluster.gateways, &cluster.account.token).await;
    let mut program = cluster.programs.remove(0);
    program.terminate().await;
    let started = std::time::Instant::now();
    let status = program.wait_for_exit().await;
    assert!(status.success(), "{status}: {}", program.log());
    assert!(started.elapsed().as_secs() < 3, "{:?}", started.elapsed());
    stream.events.read_to_end().await;
}

/// Work beyond the deadline is aborted, and the other replicas reconcile it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reconciles_send_cut_off_by_shutdown_servers() {
    let mut cluster = ProcessCluster::with_gateways(2, &[("SHUTDOWN_TIMEOUT_SECONDS", "1")]).await;
    cluster
        .carriers
        .inject_fault("twilio", InjectedFault::Slow { delay_ms: 8_000 }, 1);
    let message = sms(ANN, "Too late");
    let agent = Agent::connect_rest(&cluster.gateways.only(0), &cluster.account.token);
    let mut leaving = cluster.programs.remove(0);
    cluster.gateways.replace(
        cluster
            .programs
            .iter()
            .map(|program| program.base_url.clone())
            .collect(),
    );
    let (answer, status) = tokio::join!(agent.try_send(message.clone()), async {
        cluster.wait_for_acceptance(ANN).await;
        leaving.terminate().await;
        leaving.wait_for_exit().await
    });
    assert!(answer.is_none(), "{answer:?}");
    assert!(!status.success(), "a send was aborted");
    let id = cluster
        .find_message_by_key(&cluster.account.agent, message["idempotencyKey"].as_str().unwrap())
        .await;
    cluster.make_check_due(&id).await;
    let agent = cluster.rest().await;
    assert_eq!(cluster.wait_for_outcome(&agent, &id).await["status"], "accepted");
    assert_eq!(agent.send(message).await.unwrap()["messageId"], json!(id));
    assert_eq!(cluster.carriers.requests_total("twilio"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_messages_over_restart() {
    let mut cluster = ProcessCluster::embedded(&[]).await;
    let sent = cluster.rest().await.send(sms(ANN, "Hello")).await.unwrap();
    let mut program: Program = cluster.programs.remove(0);
    program.terminate().await;
    assert!(program.wait_for_exit().await.success());
    cluster.start_entry().await;
    let status = cluster
        .rest()
        .await
        .status_of(sent["messageId"].as_str().unwrap())
        .await
        .unwrap();
    assert_eq!(status["providerMessageId"], sent["providerMessageId"]);
}
