//! Ways to Postgres: TLS with an authority of the operator, and a pooler that shares sessions.

use butt_dial_testkit::servers::{PgBouncer, Postgres, run_sql};
use futures::future::join_all;
use sqlx::{Connection as _, Executor as _, PgConnection, Row as _};

use crate::support::{
    Backends, Cluster, RequestExt as _, Webhook, eventually, run_program, sms, to_settings, with_setting,
};

const ANN: &str = "+14155550123";

/// Runs a command. Returns whether it succeeded, and its output.
async fn run(command: &str, settings: &[(String, String)]) -> (bool, String) {
    let output = run_program(&[command], settings).await;
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[tokio::test]
async fn verifies_server_with_authority_of_operator() {
    let server = Postgres::start_encrypted().await;
    let url = server.database().await;
    let url = url.split('?').next().unwrap();
    let strict = |host: &str| format!("{}?sslmode=verify-full", url.replace("127.0.0.1", host));
    let authority = server.authority().display().to_string();
    let settings = |url: &str| {
        let key = "k".repeat(32);
        to_settings(&[
            ("DATABASE_URL", url),
            ("NATS_URL", "nats://127.0.0.1:9"),
            ("CREDENTIALS_ENCRYPTION_KEY", &key),
        ])
    };
    let (ok, text) = run("migrate", &settings(&strict("localhost"))).await;
    assert!(!ok && text.contains("certificate"), "{text}");
    let trusting = with_setting(&settings(&strict("localhost")), "SSL_CERT_FILE", &authority);
    let (ok, text) = run("migrate", &trusting).await;
    assert!(ok, "{text}");
    let elsewhere = with_setting(&settings(&strict("127.0.0.1")), "SSL_CERT_FILE", &authority);
    let (ok, text) = run("migrate", &elsewhere).await;
    assert!(!ok && text.contains("certificate"), "it is for localhost: {text}");
    let missing = with_setting(&trusting, "SSL_CERT_FILE", "/no/such/file");
    let (ok, text) = run("migrate", &missing).await;
    assert!(!ok && text.contains("SSL_CERT_FILE"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sends_and_receives_through_pooler_of_transactions_servers() {
    // Properties of the role concern all databases of the server.
    let mut backends = Backends::start_own().await;
    let direct = backends.settings();
    let url = backends.database_url.clone();
    let through = |pooler: &PgBouncer| {
        let settings = with_setting(&direct, "DATABASE_URL", &pooler.url());
        with_setting(&settings, "DATABASE_POOLER", "transaction")
    };
    let pooler = PgBouncer::start(&url).await;
    let (ok, text) = run("migrate", &with_setting(&direct, "DATABASE_URL", &pooler.url())).await;
    assert!(!ok && text.contains("DATABASE_POOLER=transaction"), "{text}");
    let (ok, text) = run("migrate", &through(&pooler)).await;
    assert!(
        !ok && text.contains("ALTER ROLE current_user SET enable_seqscan = off"),
        "{text}"
    );
    drop(pooler);

    run_sql(
        &url,
        "ALTER ROLE current_user SET statement_timeout = '5s'; ALTER ROLE current_user SET enable_seqscan = off;
         ALTER ROLE current_user SET jit = off",
    )
    .await;
    let pooler = PgBouncer::start(&url).await;
    let (ok, text) = run("migrate", &through(&pooler)).await;
    assert!(!ok && text.contains("DATABASE_POOLER=none"), "{text}");
    let (ok, text) = run("migrate", &direct).await;
    assert!(ok, "{text}");

    // The programs have more connections than the pooler has sessions.
    backends.database_url = pooler.url();
    let settings = [
        ("DATABASE_POOLER", "transaction"),
        ("DEFAULT_MAX_ACTIONS_PER_MINUTE", "none"),
    ];
    let cluster = Cluster::on(backends, &settings).await;
    let agent = cluster.rest().await;
    for round in 0..5 {
        let sends = (0..12).map(|n| agent.send(sms(ANN, &format!("{round}.{n}"))));
        for receipt in join_all(sends).await {
            let receipt = receipt.unwrap();
            assert_eq!(receipt["status"], "accepted", "{receipt}");
            cluster.expect_arrival(&receipt).await;
        }
        let body = format!("Answer {round}");
        let webhook = Webhook::text(&cluster, "/webhooks/twilio/sms", ANN, &cluster.account.phone, &body);
        assert_eq!(webhook.post(&cluster).await.status, 200);
        agent.poll_until(&body).await;
    }
    // A pooler that keeps track of statements has given names to them. Of several sessions, one may be new.
    let named = count(
        &pooler.url(),
        "SELECT COUNT(*) FROM pg_prepared_statements WHERE name LIKE 'PGBOUNCER%'",
    )
    .await;
    assert_eq!(named > 10, pooler.keeps_statements(), "{named} statements have names");
    cluster.shut_down().await;
}

/// Reads a number, as a statement without preparation.
async fn count(url: &str, sql: &'static str) -> i64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let row = connection.fetch_one(sql).await.unwrap();
    row.try_get(0).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_come_from_replica_and_sends_do_not_need_it_servers() {
    let backends = Backends::start_own().await;
    let mut replica = backends.postgres.as_ref().unwrap().start_replica().await;
    let url = replica.url_of(&backends.database_url);
    let settings = [
        ("DATABASE_READ_URL", url.as_str()),
        ("DATABASE_READ_MAX_LAG_SECONDS", "3600"),
    ];
    let cluster = Cluster::on(backends, &settings).await;
    let agent = cluster.rest().await;
    let sum = async |name: &str| cluster.metric_total(name).await;
    eventually("all programs use the replica", async || {
        (sum("bd_replica_used").await == cluster.metrics().await.len() as f64).then_some(())
    })
    .await;
    run_sql(&url, "SELECT pg_wal_replay_pause()").await;
    let receipt = agent.send(sms(ANN, "Hello")).await.unwrap();
    assert_eq!(receipt["status"], "accepted", "{receipt}");
    let list = async || {
        let request = cluster
            .gateways
            .get("/api/v1/messages")
            .bearer_auth(&cluster.account.team_token);
        request.reply().await.expect(200)["messages"].as_array().unwrap().len()
    };
    assert_eq!(list().await, 0, "the list of the replica");
    eventually("the lag is visible", async || {
        (sum("bd_replica_lag_seconds").await > 1.0).then_some(())
    })
    .await;
    replica.kill();
    assert_eq!(list().await, 1, "the list of the primary");
    let receipt = agent.send(sms(ANN, "Again")).await.unwrap();
    assert_eq!(receipt["status"], "accepted", "{receipt}");
    eventually("no program uses it", async || {
        (sum("bd_replica_used").await == 0.0).then_some(())
    })
    .await;
    cluster.shut_down().await;
}
