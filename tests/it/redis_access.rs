//! Ways to Redis with TLS and an authority of the operator: sentinels and a cluster.

use std::path::Path;

use butt_dial_testkit::servers::{RedisCluster, RedisSentinels};

use crate::support::{ProcessCluster, RequestExt as _, eventually, run_program, sms, to_settings};

const ANN: &str = "+14155550123";

/// Proves that the program refuses the servers without the authority.
async fn expect_untrusted(url: &str) {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().display().to_string();
    let settings = to_settings(&[("REDIS_URL", url), ("DATA_DIR", &data)]);
    let output = run_program(&["doctor"], &settings).await;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(!output.status.success(), "{text}");
    let line = text.lines().find(|line| line.contains("ertificate"));
    assert!(
        line.is_some() && !text.contains("p%40ss") && !text.contains("p@ss"),
        "{text}"
    );
}

/// Starts one program, with a limit for each minute, which is counted in Redis.
async fn program(url: &str, certificate: &Path) -> ProcessCluster {
    let certificate = certificate.display().to_string();
    let settings = [
        ("REDIS_URL", url),
        ("SSL_CERT_FILE", certificate.as_str()),
        ("DEFAULT_MAX_ACTIONS_PER_MINUTE", "5"),
    ];
    ProcessCluster::embedded(&settings).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sends_go_on_with_new_primary_of_encrypted_sentinels() {
    let mut set = RedisSentinels::start_encrypted().await;
    expect_untrusted(&set.url()).await;
    let cluster = program(&set.url(), &set.certificate()).await;
    let agent = cluster.rest().await;
    agent.send(sms(ANN, "Before")).await.unwrap();
    set.kill_primary().await;
    let refused = agent.send(sms(ANN, "Meanwhile")).await.unwrap_err();
    assert_eq!(refused["retryable"], true, "{refused}");
    eventually("readiness is back", async || {
        (cluster.gateways.get("/health/ready").reply().await.status == 200).then_some(())
    })
    .await;
    // The replica has the count of the first one.
    for number in 0..4 {
        agent.send(sms(ANN, &format!("After {number}"))).await.unwrap();
    }
    let refused = agent.send(sms(ANN, "One too many")).await.unwrap_err();
    assert_eq!(crate::support::error_code(&refused), "RATE_LIMITED", "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_are_counted_in_encrypted_cluster() {
    let set = RedisCluster::start_encrypted(3).await;
    expect_untrusted(&set.url()).await;
    let cluster = program(&set.url(), &set.certificate()).await;
    let agent = cluster.rest().await;
    for number in 0..5 {
        agent.send(sms(ANN, &number.to_string())).await.unwrap();
    }
    let refused = agent.send(sms(ANN, "One too many")).await.unwrap_err();
    assert_eq!(crate::support::error_code(&refused), "RATE_LIMITED", "{refused}");
    let counts = set.key_counts().await;
    assert!(counts.iter().sum::<usize>() > 0, "{counts:?}");
}
