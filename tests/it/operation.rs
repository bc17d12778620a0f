//! Starting and running on backends that are missing, limited, newer, or change: the program waits, reports its readiness
//! truthfully, and repairs what it can.

use std::time::Duration;

use butt_dial_store::Store;
use butt_dial_testkit::servers::Nats;
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;
use tokio_util::task::TaskTracker;

use crate::support::{
    Backends, Cluster, Gateways, Program, Reply, RequestExt as _, Webhook, bodies, eventually, run_program, sms,
};

const ANN: &str = "+14155550123";

fn settings(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn with(settings: &[(String, String)], name: &str, value: &str) -> Vec<(String, String)> {
    let others = settings.iter().filter(|(known, _)| known != name).cloned();
    others.chain([(name.to_owned(), value.to_owned())]).collect()
}

async fn execute(url: &str, sql: &'static str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    connection.execute(sql).await.unwrap();
    connection.close().await.unwrap();
}

async fn expect_ready(client: &Gateways) -> Value {
    let ready = eventually("the program is ready", async || {
        let reply = client.get("/health/ready").try_reply().await?;
        (reply.status == 200).then_some(reply.body)
    });
    ready.await
}

async fn expect_not_ready(client: &Gateways, status: &str) -> Value {
    let not_ready = eventually("the program is not ready", async || {
        let reply = client.get("/health/ready").try_reply().await?;
        (reply.status == 503 && reply.body["status"] == status).then_some(reply.body)
    });
    not_ready.await
}

async fn migrate(settings: &[(String, String)], arguments: &[&str]) -> bool {
    let arguments = [&["migrate"], arguments].concat();
    run_program(&arguments, settings).await.status.success()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waits_for_missing_backends_and_becomes_ready_servers() {
    let mut backends = Backends::start_own().await;
    backends.postgres().stop().await;
    backends.nats.stop().await;
    backends.redis.stop().await;
    let mut gateway = Program::start_on_free_port(&["gateway"], &backends.settings());
    let client = gateway.client();
    let body = expect_not_ready(&client, "starting").await;
    assert!(body["version"].is_string(), "{body}");
    assert_eq!(client.get("/health").reply().await.expect(200)["status"], "starting");
    let early = client.get("/api/v1/agents/me").reply().await;
    assert_eq!((early.status, early.header("retry-after")), (503, Some("2")));
    let port = [("PORT".to_owned(), gateway.address.port().to_string())];
    let health = async |arguments: &[&str]| run_program(arguments, &port).await.status.success();
    assert!(!health(&["health"]).await);
    assert!(health(&["health", "--live"]).await);

    backends.postgres().start_again().await;
    backends.redis.start_again().await;
    expect_not_ready(&client, "starting").await;
    backends.nats.start_again().await;
    expect_ready(&client).await;
    assert!(health(&["health"]).await);
    client.get("/api/v1/agents/me").reply().await.expect(401);
    gateway.expect_running();

    // One that still waits ends at once.
    backends.nats.stop().await;
    let mut waiting = Program::start_on_free_port(&["dispatcher"], &backends.settings());
    expect_not_ready(&waiting.client(), "starting").await;
    waiting.terminate().await;
    assert!(waiting.wait_for_exit().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starts_without_right_to_change_schema_servers() {
    let backends = Backends::start_own().await;
    let owner = backends.settings();
    assert!(!migrate(&owner, &["--verify"]).await, "the database is empty");
    let verifying = with(&owner, "MIGRATE", "verify");
    let gateway = Program::start_on_free_port(&["gateway"], &verifying);
    expect_not_ready(&gateway.client(), "starting").await;
    assert!(!migrate(&owner, &["--verify"]).await, "nothing was changed");
    assert!(migrate(&owner, &[]).await);
    assert!(migrate(&owner, &["--verify"]).await);
    expect_ready(&gateway.client()).await;

    execute(
        &backends.database_url,
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC; CREATE ROLE limited LOGIN;
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO limited",
    )
    .await;
    let url = backends.database_url.replace("postgres@", "limited@");
    let limited = with(&owner, "DATABASE_URL", &url);
    let gateway = Program::start_on_free_port(&["gateway"], &limited);
    expect_ready(&gateway.client()).await;
    assert!(run_program(&["bootstrap"], &limited).await.status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starts_on_schema_of_newer_release_servers() {
    let backends = Backends::start().await;
    assert!(migrate(&backends.settings(), &[]).await);
    execute(
        &backends.database_url,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'newer', true, '\\x00', 0)",
    )
    .await;
    let dispatcher = Program::start_on_free_port(&["dispatcher"], &backends.settings());
    expect_ready(&dispatcher.client()).await;
    assert!(migrate(&backends.settings(), &[]).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn command_writes_no_files_beside_postgres_servers() {
    let backends = Backends::start().await;
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let settings = with(&backends.settings(), "DATA_DIR", data.to_str().unwrap());
    for command in ["bootstrap", "doctor"] {
        let output = run_program(&[command], &settings).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        assert!(!data.exists(), "{command}");
    }
}

fn text(cluster: &Cluster, body: &str) -> Webhook {
    Webhook::text(cluster, "/webhooks/twilio/sms", ANN, &cluster.account.phone, body)
}

async fn post(cluster: &Cluster, body: &str) -> Reply {
    text(cluster, body).post(cluster).await
}

/// The ingest needs the bus only, and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ingest_is_ready_while_it_accepts_webhooks_servers() {
    let mut cluster = Cluster::breakable(&[]).await;
    let ingest = cluster.ingest();
    assert_eq!(post(&cluster, "Hi").await.status, 200);
    cluster.rest().await.poll_until("Hi").await;
    cluster.backends().postgres().stop().await;
    cluster.backends().redis.stop().await;
    assert_eq!(post(&cluster, "Still there?").await.status, 200);
    let body = expect_ready(&ingest).await;
    assert_eq!(body["checks"]["database"], "failed", "{body}");
    assert_eq!(body["checks"]["kv"], "failed", "{body}");
    cluster.backends().nats.kill();
    expect_not_ready(&ingest, "not ready").await;
    assert_eq!(post(&cluster, "Now?").await.status, 503);
    // The disks of NATS are lost too.
    cluster.backends().nats.erase();
    cluster.backends().nats.start_again().await;
    expect_ready(&ingest).await;
    assert_eq!(post(&cluster, "Back").await.status, 200);
    cluster.backends().postgres().start_again().await;
    cluster.backends().redis.start_again().await;
    expect_ready(&cluster.gateways.only(0)).await;
    expect_ready(&cluster.gateways.only(1)).await;
    // Its number in the new stream is the one of the first message.
    cluster.rest().await.poll_until("Back").await;
    cluster.shut_down().await;
}

/// NATS acknowledges before it syncs: after a power failure its last messages are gone, and others get their numbers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_webhooks_with_reused_numbers_servers() {
    let mut cluster = Cluster::servers(&[]).await;
    let ingest = cluster.ingest();
    let agent = cluster.rest().await;
    for body in ["1", "2"] {
        assert_eq!(post(&cluster, body).await.status, 200);
    }
    agent.poll_until("2").await;
    cluster.backends().nats.stop().await;
    cluster.backends().nats.save();
    cluster.backends().nats.start_again().await;
    expect_ready(&ingest).await;
    for body in ["lost 1", "lost 2"] {
        assert_eq!(post(&cluster, body).await.status, 200);
    }
    agent.poll_until("lost 2").await;
    cluster.backends().nats.kill();
    cluster.backends().nats.restore();
    cluster.backends().nats.start_again().await;
    expect_ready(&ingest).await;
    for body in ["a", "b", "c"] {
        assert_eq!(post(&cluster, body).await.status, 200);
    }
    let before = agent.poll_until("c").await;
    assert_eq!(bodies(&before), ["a", "b"], "each once");
    assert!(cluster.metric_total("bd_inbound_step_backs_total").await >= 1.0);
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateway_is_not_ready_on_read_only_database_servers() {
    let mut cluster = Cluster::breakable(&[]).await;
    let server = cluster.backends().postgres().url();
    let gateway = cluster.gateways.only(0);
    expect_ready(&gateway).await;
    for (setting, is_ready) in [("on", false), ("off", true)] {
        let mut connection = PgConnection::connect(&server).await.unwrap();
        let sql = match setting {
            "on" => "ALTER SYSTEM SET default_transaction_read_only = on",
            _ => "ALTER SYSTEM SET default_transaction_read_only = off",
        };
        connection.execute("SET transaction_read_only = off").await.unwrap();
        connection
            .execute("SET default_transaction_read_only = off")
            .await
            .unwrap();
        connection.execute(sql).await.unwrap();
        connection.execute("SELECT pg_reload_conf()").await.unwrap();
        if is_ready {
            expect_ready(&gateway).await;
        } else {
            let body = expect_not_ready(&gateway, "not ready").await;
            assert_eq!(body["checks"], json!({ "database": "failed", "bus": "ok", "kv": "ok" }));
        }
    }
    cluster.rest().await.send(sms(ANN, "Hello")).await.unwrap();
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateway_is_not_ready_on_read_only_redis_servers() {
    let mut cluster = Cluster::servers(&[]).await;
    let gateway = cluster.gateways.only(0);
    expect_ready(&gateway).await;
    cluster.backends().redis.run_command("REPLICAOF 127.0.0.1 1").await;
    let body = expect_not_ready(&gateway, "not ready").await;
    assert_eq!(body["checks"]["kv"], "failed", "{body}");
    cluster.backends().redis.run_command("REPLICAOF NO ONE").await;
    expect_ready(&gateway).await;
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authenticates_at_nats_with_url_servers() {
    let mut backends = Backends::start().await;
    backends.nats = Nats::start_with(&["--user", "bd", "--pass", "s3cret"]).await;
    let url = format!("nats://bd:s3cret@{}", backends.nats.address());
    let settings = with(&backends.settings(), "NATS_URL", &url);
    let ingest = Program::start_on_free_port(&["webhook-ingest"], &settings);
    expect_ready(&ingest.client()).await;
    assert!(!ingest.log().contains("s3cret"));
}

/// A lost secret must not turn real messages into simulated ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_role_without_carrier_refuses_sends_servers() {
    let backends = Backends::start().await;
    let created = run_program(&["bootstrap", "--json"], &backends.settings()).await;
    let created: Value = serde_json::from_slice(&created.stdout).unwrap();
    let gateway = Program::serve(&["gateway"], &with(&backends.settings(), "PORT", "0")).await;
    let text = "no carrier configured; every channel is unavailable";
    let warning = eventually("a warning", async || gateway.log_event(text)).await;
    assert_eq!(warning["level"], "WARN");
    let message = sms(ANN, "Into nowhere");
    let client = gateway.client();
    let send = client.post("/api/v1/send-message", &message);
    let refused = send.bearer_auth(created["agentToken"].as_str().unwrap()).reply().await;
    assert!(refused.status >= 400, "{}", refused.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuses_to_simulate_carriers_for_other_machines() {
    let directory = tempfile::tempdir().unwrap();
    let everywhere = settings(&[
        ("HOST", "0.0.0.0"),
        ("PORT", "0"),
        ("SIMULATOR_PORT", "0"),
        ("DATA_DIR", directory.path().to_str().unwrap()),
    ]);
    let refused = run_program(&["serve"], &everywhere).await;
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && text.contains("DEMO_MODE=true"), "{text}");
    let program = Program::serve(&["serve"], &with(&everywhere, "DEMO_MODE", "true")).await;
    let text = "carriers are simulated; no message reaches a person";
    eventually("a warning", async || program.log_event(text)).await;
}

/// Settings of containers: variables that Kubernetes adds, secrets in files, a port of metrics, a health check.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_with_settings_of_containers() {
    let directory = tempfile::tempdir().unwrap();
    let (orchestrator, scraper) = ("o".repeat(40), "m".repeat(40));
    let file = |name: &str, text: &str| write_secret(&directory, name, text);
    let settings = settings(&[
        ("DATA_DIR", directory.path().to_str().unwrap()),
        ("SIMULATOR_PORT", "0"),
        ("METRICS_PORT", "0"),
        ("BUTT_DIAL_SERVICE_HOST", "10.0.0.7"),
        ("BUTT_DIAL_PORT_3100_TCP_ADDR", "10.0.0.7"),
        ("ORCHESTRATOR_SECURITY_TOKEN_FILE", &file("orchestrator", &orchestrator)),
        ("METRICS_TOKEN_FILE", &file("metrics", &scraper)),
    ]);
    let mut program = Program::start_on_free_port(&["serve"], &settings);
    let client = program.client();
    expect_ready(&client).await;
    let port = program.address.port().to_string();
    let health = async || {
        let output = run_program(&["health"], &with(&settings, "PORT", &port)).await;
        output.status.success()
    };
    assert!(health().await);

    let serving = eventually("an event", async || program.log_event("serving")).await;
    let metrics = Gateways::new(vec![format!("http://{}", serving["metrics"].as_str().unwrap())]);
    for client in [&client, &metrics] {
        client.get("/metrics").reply().await.expect(401);
        for token in [&scraper, &orchestrator] {
            let reply = client.get("/metrics").bearer_auth(token).reply().await;
            assert!(
                reply.status == 200 && reply.text.contains("bd_build_info"),
                "{}",
                reply.text
            );
        }
    }
    client
        .get("/api/v1/agents")
        .bearer_auth(&scraper)
        .reply()
        .await
        .expect(401);
    assert_eq!(metrics.get("/api/v1/agents").reply().await.status, 404);
    program.kill().await;
    assert!(!health().await);
}

fn write_secret(directory: &TempDir, name: &str, text: &str) -> String {
    let path = directory.path().join(name);
    std::fs::write(&path, format!("{text}\n")).unwrap();
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_of_missing_database_creates_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(&[("DATA_DIR", directory.path().to_str().unwrap())]);
    assert!(!migrate(&settings, &["--verify"]).await);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    assert!(migrate(&settings, &[]).await);
    assert!(migrate(&settings, &["--verify"]).await);
    let url = format!("sqlite:{}", directory.path().join("butt-dial.db").display());
    let store = Store::connect(&url, 1, &TaskTracker::new()).await.unwrap();
    assert!(store.is_migrated().await.unwrap());
    tokio::time::timeout(Duration::from_secs(5), store.close())
        .await
        .unwrap();
}
