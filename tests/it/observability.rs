//! Logs and metrics: enough to follow a message, and no private data.

use std::process::Stdio;

use butt_dial_providers::simulator::InjectedFault;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::support::{Cluster, ProcessCluster, RequestExt as _, Transport, email, eventually, sms, whatsapp, with};

const ANN: &str = "+14155550123";
const SECRET: &str = "planted-in-a-body";

/// Runs many kinds of sends and errors with marked texts and addresses. Returns the texts that must not be logged.
async fn send_private_data(cluster: &ProcessCluster) -> Vec<String> {
    let stranger = "+4917655512345";
    let mail = with(
        email("planted.person@example.com", SECRET),
        json!({ "subject": "planted-in-a-subject", "html": "<p>planted-in-markup</p>", "senderName": "planted-name" }),
    );
    for transport in Transport::ALL {
        let agent = cluster.agent(transport).await;
        let receipt = agent.send(sms(ANN, SECRET)).await.unwrap();
        agent
            .send(with(
                mail.clone(),
                json!({ "idempotencyKey": format!("{transport:?}") }),
            ))
            .await
            .unwrap();
        agent.status_of(receipt["messageId"].as_str().unwrap()).await.unwrap();
        for refused in [
            whatsapp(stranger, SECRET),
            sms("+1415555planted", SECRET),
            sms(ANN, "planted-threat: I will kill you"),
            email("planted.person@", SECRET),
            with(
                sms(ANN, SECRET),
                json!({ "media": ["http://planted-host.internal/a.png"] }),
            ),
        ] {
            agent.send(refused).await.unwrap_err();
        }
    }
    let agent = cluster.rest().await;
    cluster.carriers.opt_out("+14155550124");
    agent.send(sms("+14155550124", SECRET)).await.unwrap_err();
    let refusal = InjectedFault::Refuse {
        status: 400,
        code: "21211".into(),
    };
    for fault in [refusal, InjectedFault::RateLimit { retry_after: None }] {
        cluster.carriers.inject_fault("twilio", fault, 1);
        agent.send(sms(ANN, SECRET)).await.unwrap_err();
    }
    for (vendor, message) in [
        ("twilio", sms(ANN, SECRET)),
        ("resend", email("planted.person@example.com", SECRET)),
    ] {
        cluster
            .carriers
            .inject_fault(vendor, InjectedFault::ServerErrorAfterAccept, 1);
        let pending = agent.send(message).await.unwrap();
        cluster
            .wait_for_outcome(&agent, pending["messageId"].as_str().unwrap())
            .await;
    }
    for wrong in ["bda_planted-token", "planted"] {
        cluster
            .gateways
            .get("/api/v1/usage")
            .bearer_auth(wrong)
            .reply()
            .await
            .expect(401);
    }
    let query = format!("/api/v1/usage?token={}&to=%2B14155550123", cluster.account.token);
    cluster
        .gateways
        .get(&query)
        .bearer_auth(&cluster.account.token)
        .reply()
        .await;
    let broken = cluster
        .gateways
        .request(reqwest::Method::POST, "/api/v1/send-message")
        .bearer_auth(&cluster.account.token);
    broken
        .body(format!("{{ \"body\": \"{SECRET}\""))
        .reply()
        .await
        .expect(400);
    let path = format!("/api/v1/agents/{}/regenerate-token", cluster.account.agent);
    let renewed = cluster
        .gateways
        .post(&path, &json!({}))
        .bearer_auth(&cluster.account.team_token)
        .reply()
        .await
        .expect(200);
    let own = [
        &cluster.account.token,
        &cluster.account.team_token,
        &cluster.account.phone,
        &cluster.account.email,
    ];
    let planted = [
        ANN,
        stranger,
        SECRET,
        "planted",
        "14155550124",
        "4155550123",
        "simulated-twilio-auth-token",
    ];
    let mut private: Vec<String> = own.into_iter().cloned().chain(planted.map(str::to_owned)).collect();
    private.push(renewed["token"].as_str().unwrap().to_owned());
    private.push("k".repeat(32));
    private
}

async fn expect_no_private_data_in_logs(mut cluster: ProcessCluster) {
    let private = send_private_data(&cluster).await;
    for program in &mut cluster.programs {
        program.terminate().await;
        program.wait_for_exit().await;
        let log = program.log();
        assert!(log.contains("carrier request finished"), "the log has events: {log}");
        for text in &private {
            let found = log.lines().find(|line| line.contains(text.as_str()));
            assert!(found.is_none(), "the log contains {text:?}: {found:?}");
        }
        for line in log.lines() {
            let event: Value = serde_json::from_str(line).expect(line);
            assert!(event["level"].is_string() && event["timestamp"].is_string(), "{line}");
            assert_eq!(
                line.matches("\"message\":").count(),
                1,
                "a field hides the message: {line}"
            );
        }
    }
}

const CHATTY: &[(&str, &str)] = &[
    ("LOG_LEVEL", "trace"),
    ("CARRIER_TIMEOUT_SECONDS", "2"),
    ("DEFAULT_MAX_ACTIONS_PER_MINUTE", "none"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_log_contains_no_private_data() {
    expect_no_private_data_in_logs(ProcessCluster::embedded(CHATTY).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateway_logs_contain_no_private_data_servers() {
    expect_no_private_data_in_logs(ProcessCluster::with_gateways(2, CHATTY).await).await;
}

/// The log follows a message by its id.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_contains_message_id() {
    let mut cluster = ProcessCluster::embedded(&[]).await;
    let sent = cluster.rest().await.send(sms(ANN, "Hello")).await.unwrap();
    let logged = eventually("the send is logged", async || {
        cluster.programs[0].log_event("carrier request finished")
    })
    .await;
    assert_eq!(
        (&logged["message_id"], &logged["outcome"]),
        (&sent["messageId"], &json!("accepted")),
        "{logged}"
    );
    cluster.kill_entry(0).await;
}

async fn expect_lint_passes(metrics: &str) {
    let checker = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut checker) = checker else {
        println!("promtool is not installed: lint skipped");
        return;
    };
    let mut input = checker.stdin.take().unwrap();
    input.write_all(metrics.as_bytes()).await.unwrap();
    drop(input);
    let output = checker.wait_with_output().await.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{errors}");
}

/// Sums all series of this name with these labels.
fn series(metrics: &str, name: &str, labels: &[&str]) -> f64 {
    let lines = metrics
        .lines()
        .filter(|line| line.split(['{', ' ']).next() == Some(name));
    let lines = lines.filter(|line| labels.iter().all(|label| line.contains(label)));
    lines
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

profiles! {
    with [("CARRIER_TIMEOUT_SECONDS", "1"), ("DEFAULT_MAX_ACTIONS_PER_MINUTE", "4")];
    async fn metrics_count_events_and_pass_lint(cluster: &Cluster) {
        let agent = cluster.agent(Transport::StreamableHttp).await;
        agent.send(sms(ANN, "1")).await.unwrap();
        agent.send(email("ann@example.com", "2")).await.unwrap();
        cluster
            .carriers
            .inject_fault("twilio", InjectedFault::ServerErrorAfterAccept, 1);
        let pending = agent.send(sms(ANN, "3")).await.unwrap();
        cluster.wait_for_outcome(&agent, pending["messageId"].as_str().unwrap()).await;
        agent.send(sms(ANN, "I will kill you")).await.unwrap_err();
        agent.send(sms(ANN, "4")).await.unwrap();
        agent.send(sms(ANN, "5")).await.unwrap_err();
        cluster
            .gateways
            .get("/api/v1/usage")
            .bearer_auth("bda_wrong")
            .reply()
            .await
            .expect(401);
        cluster.gateways.get("/no/such/msg_123").reply().await.expect(404);
        let mut all = String::new();
        for metrics in cluster.metrics().await {
            assert!(metrics.header("content-type").unwrap().starts_with("text/plain"));
            expect_lint_passes(&metrics.text).await;
            all.push_str(&metrics.text);
        }
        let count = |name: &str, labels: &[&str]| series(&all, name, labels);
        assert_eq!(
            count("bd_sends_total", &[r#"channel="sms""#, r#"result="accepted""#]),
            2.0
        );
        assert_eq!(
            count("bd_sends_total", &[r#"channel="email""#, r#"result="accepted""#]),
            1.0
        );
        assert_eq!(count("bd_sends_total", &[r#"result="pending""#]), 1.0);
        assert_eq!(count("bd_sends_total", &[r#"result="CONTENT_BLOCKED""#]), 1.0);
        assert_eq!(
            count("bd_limit_refusals_total", &[r#"scope="agent""#, r#"limit="minute""#]),
            1.0
        );
        assert_eq!(
            count(
                "bd_compliance_verdicts_total",
                &[r#"verdict="block""#, r#"rule="content""#]
            ),
            1.0
        );
        assert_eq!(
            count(
                "bd_carrier_request_seconds_count",
                &[r#"carrier="twilio""#, r#"outcome="unknown""#]
            ),
            1.0
        );
        assert_eq!(
            count(
                "bd_sends_reconciled_total",
                &[r#"carrier="twilio""#, r#"result="accepted""#]
            ),
            1.0
        );
        assert_eq!(count("bd_auth_failures_total", &[r#"code="AUTH_INVALID_TOKEN""#]), 1.0);
        for stage in [
            "authorize",
            "validate",
            "deduplicate",
            "comply",
            "reserve",
            "dispatch",
            "record",
        ] {
            let label = format!("stage=\"{stage}\"");
            assert!(
                count("bd_send_stage_seconds_count", &[label.as_str()]) >= 4.0,
                "{stage}"
            );
        }
        assert!(count("bd_http_request_seconds_count", &[r#"route="/mcp""#, r#"status="200""#]) >= 6.0);
        assert!(
            count(
                "bd_http_request_seconds_count",
                &[r#"route="unmatched""#, r#"status="404""#]
            ) >= 1.0
        );
        let operations = |interface: &str, result: &str| {
            let (interface, result) = (format!("interface=\"{interface}\""), format!("result=\"{result}\""));
            let labels = [r#"operation="comms_send_message""#, interface.as_str(), result.as_str()];
            count("bd_operation_seconds_count", &labels)
        };
        assert_eq!((operations("mcp", "ok"), operations("rest", "ok")), (4.0, 0.0));
        assert_eq!(operations("mcp", "RATE_LIMITED"), 1.0);
        let money = |kind: &str| count("bd_money_micros_total", &[format!("kind=\"{kind}\"").as_str()]);
        assert!(money("settled") > 0.0);
        assert_eq!(money("reserved"), money("settled") + money("released"));
        assert!(count("bd_build_info", &[]) >= 1.0);
        assert_eq!(count("bd_http_request_seconds_count", &[r#"route="/metrics""#]), 0.0);
        assert!(count("bd_database_connections", &[]) >= 1.0);
        for private in ["msg_", "agt_", "org_", "1415555", "@", "bda_"] {
            assert!(!all.contains(private), "a label contains {private}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closes_metrics_to_proxies_on_this_machine() {
    let cluster = Cluster::embedded(&[]).await;
    let metrics = || cluster.gateways.get("/metrics");
    metrics().reply().await.expect(200);
    for (name, value) in [
        ("forwarded", "for=9.9.9.9"),
        ("x-real-ip", "9.9.9.9"),
        ("cf-connecting-ip", "9.9.9.9"),
        ("via", "1.1 proxy"),
        ("x-forwarded-host", "public.example"),
        ("host", "public.example"),
    ] {
        let reply = metrics().header(name, value).reply().await;
        assert_eq!(reply.status, 401, "{name}: {}", reply.text);
    }
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restricts_metrics_to_localhost_and_orchestrator() {
    let orchestrator = "o".repeat(40);
    let cluster = Cluster::embedded(&[("ORCHESTRATOR_SECURITY_TOKEN", &orchestrator)]).await;
    let remote = |token: &str| {
        cluster
            .gateways
            .get("/metrics")
            .header("x-forwarded-for", "198.51.100.1")
            .bearer_auth(token)
    };
    remote(&orchestrator).reply().await.expect(200);
    assert_eq!(
        remote(&cluster.account.token).reply().await.expect(403)["code"],
        "AUTH_FORBIDDEN"
    );
    let bare = cluster
        .gateways
        .get("/metrics")
        .header("x-forwarded-for", "198.51.100.1");
    assert_eq!(bare.reply().await.expect(401)["code"], "AUTH_MISSING_HEADER");
    cluster.shut_down().await;
}
