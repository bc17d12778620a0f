//! The audit log over REST and MCP: rows with their origin, verification, exports and receipts that Python verifies, and dispatchers that
//! are killed while they seal.

use std::io::Write as _;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{
    ProcessCluster, Reply, RequestExt as _, Service, TestContext, Transport, WriteBarrier, eventually, sms,
};

const ANN: &str = "+14155550123";
/// The verifier for outsiders.
const VERIFY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/verify.py");

/// Verifies a file with Python. Returns what the script says if it accepts the file.
fn verify_with_python(text: &str, vkey: &str) -> Result<String, String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let mut command = Command::new("python3");
    let output = command
        .args(["-B", VERIFY])
        .arg(file.path())
        .args(["--vkey", vkey])
        .output()
        .unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    if output.status.success() { Ok(said) } else { Err(said) }
}

async fn get_as(context: &TestContext, token: &str, path: &str) -> Reply {
    context.gateways.get(path).bearer_auth(token).reply().await
}

async fn post_as(context: &TestContext, token: &str, path: &str, body: Value) -> Reply {
    context.gateways.post(path, &body).bearer_auth(token).reply().await
}

async fn rows(context: &TestContext, query: &str) -> Vec<Value> {
    let path = format!("/api/v1/audit?{query}");
    let reply = get_as(context, &context.account.team_token, &path).await.expect(200);
    reply["entries"].as_array().unwrap().clone()
}

/// Waits until all rows are sealed. Returns them, newest first.
async fn sealed_rows(context: &TestContext) -> Vec<Value> {
    eventually("all rows are sealed", async || {
        let rows = rows(context, "limit=200").await;
        rows.iter().all(|row| row["seq"].is_number()).then_some(rows)
    })
    .await
}

async fn verify(context: &TestContext) -> Value {
    post_as(context, &context.account.team_token, "/api/v1/audit/verify", json!({}))
        .await
        .expect(200)
}

async fn text(context: &TestContext, token: &str, path: &str) -> String {
    let request = context.gateways.get(path).bearer_auth(token);
    let reply = request.reply().await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.text);
    reply.text
}

async fn key_of(context: &TestContext) -> String {
    let path = format!("/.well-known/butt-dial-audit-key?orgId={}", context.account.org);
    let reply = context.gateways.get(&path).reply().await;
    assert_eq!(reply.status, 200, "the key needs no token");
    reply.text.trim().to_owned()
}

profiles! {
    async fn lists_verifies_and_exports_changes(cluster: &Cluster) {
        let (team, agent) = (&cluster.account.team_token, &cluster.account.agent);
        let path = format!("/api/v1/agents/{agent}/tokens");
        let created = post_as(cluster, team, &path, json!({ "label": "ci" })).await.expect(201);
        let found = rows(cluster, "action=token.create&limit=1").await;
        assert_eq!((&found[0]["target"], &found[0]["detail"]["label"]), (&created["id"], &json!("ci")));
        assert_eq!(found[0]["actorKind"], "token");
        assert_eq!(found[0]["source"].as_str().map(str::len), Some(12), "{found:?}");
        assert!(found[0]["requestId"].is_string());

        let all = sealed_rows(cluster).await;
        assert!(all.len() >= 3, "{all:?}");
        let checked = verify(cluster).await;
        assert_eq!((&checked["ok"], &checked["verified"], &checked["broken"]), (&json!(true), &json!(all.len()), &Value::Null));
        let key = key_of(cluster).await;
        let export = text(cluster, team, "/api/v1/audit/export").await;
        let said = verify_with_python(&export, &key).unwrap();
        assert!(said.contains(&format!("{} entries from 0", all.len())), "{said}");
        let changed = export.replacen("\\\"ci\\\"", "\\\"cd\\\"", 1);
        assert_ne!(changed, export);
        assert!(verify_with_python(&changed, &key).unwrap_err().contains("the entry was changed"));
        let note = text(cluster, team, "/api/v1/audit/checkpoint").await;
        assert!(note.contains(&format!("/audit/{}\n{}\n", cluster.account.org, all.len())), "{note}");

        // Others see their own log only.
        let agents = get_as(cluster, &cluster.account.token, "/api/v1/audit").await;
        assert_eq!(agents.body["code"], "AUTH_FORBIDDEN");
        let foreign = get_as(cluster, team, "/api/v1/audit?orgId=org_other").await;
        assert_eq!(foreign.body["code"], "AUTH_FORBIDDEN");
        let first = rows(cluster, "limit=1").await;
        let reply = get_as(cluster, team, "/api/v1/audit?limit=1").await.expect(200);
        let next = format!("/api/v1/audit?limit=1&cursor={}", reply["cursor"].as_str().unwrap());
        let second = get_as(cluster, team, &next).await.expect(200);
        assert_ne!(second["entries"][0]["id"], first[0]["id"]);
    }
}

profiles! {
    async fn receipt_of_send_is_verified_offline(cluster: &Cluster) {
        let agent = cluster.agent(Transport::StreamableHttp).await;
        let sent = agent.send(sms(ANN, "Hello")).await.unwrap();
        let path = format!("/api/v1/messages/{}/receipt", sent["messageId"].as_str().unwrap());
        let receipt = eventually("the outcome is sealed", async || {
            let reply = cluster.gateways.get(&path).bearer_auth(&cluster.account.token).reply().await;
            assert!(reply.status == 200 || reply.body["code"] == "NOT_FOUND", "{}", reply.text);
            (reply.status == 200).then_some(reply.text)
        })
        .await;
        assert!(receipt.starts_with("c2sp.org/tlog-proof@v1\nextra "), "{receipt}");
        assert!(receipt.len() < 2_048, "{} bytes", receipt.len());
        let key = key_of(cluster).await;
        let said = verify_with_python(&receipt, &key).unwrap();
        assert!(said.contains("accepted at") && said.contains(&format!("to {ANN}")), "{said}");
        let other = receipt.replacen("index ", "index 1", 1);
        assert!(verify_with_python(&other, &key).is_err());
        let export = text(cluster, &cluster.account.team_token, "/api/v1/audit/export").await;
        assert!(export.contains("\\\"kind\\\":\\\"send\\\"") && !export.contains(ANN), "{export}");
        assert_eq!(verify(cluster).await["ok"], true);
    }
}

/// Creates tokens, so that there are rows to seal.
async fn change(context: &TestContext, count: usize) {
    let path = format!("/api/v1/agents/{}/tokens", context.account.agent);
    for _ in 0..count {
        post_as(context, &context.account.team_token, &path, json!({}))
            .await
            .expect(201);
    }
}

#[tokio::test]
async fn killed_sealer_leaves_one_whole_chain() {
    let mut cluster = ProcessCluster::without_dispatcher(&[]).await;
    let context = cluster.context();
    let database = cluster.database_url.clone();
    // Before and after the commit of a batch.
    for is_committed in [false, true, false] {
        change(&context, 5).await;
        let mut barrier = WriteBarrier::install_for(&database, "INSERT", "audit_leaves", "TRUE").await;
        cluster.start(Service::Dispatcher).await;
        barrier.wait_until_reached().await;
        cluster.kill_service(Service::Dispatcher, 0).await;
        match is_committed {
            true => barrier.release().await,
            false => barrier.abort_blocked().await,
        }
    }
    change(&context, 5).await;
    // Two sealers: the lease of the dead one ends within ten seconds.
    cluster.start(Service::Dispatcher).await;
    cluster.start(Service::Dispatcher).await;
    let rows = sealed_rows(&context).await;
    let mut places: Vec<i64> = rows.iter().map(|row| row["seq"].as_i64().unwrap()).collect();
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), rows.len(), "each row has its own place");
    let checked = verify(&context).await;
    assert_eq!(
        (&checked["ok"], &checked["verified"]),
        (&json!(true), &json!(rows.len())),
        "{checked}"
    );
}
