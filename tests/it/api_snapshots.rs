//! Snapshots of the public interface: the OpenAPI document, and the tools that agents of each scope see. A change of the
//! interface shows up in the diff of `tests/it/snapshots/`.
//!
//! Regenerate with `INSTA_UPDATE=always cargo nextest run -p butt-dial-tests api_snapshots`.

use serde_json::{Value, json};

use crate::support::{Cluster, HttpSession, RequestExt as _};

/// Compares with `tests/it/snapshots/<name>.snap`. Keys are sorted, so that their order is no change.
fn expect_snapshot(name: &str, value: &Value) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_sort_maps(true);
    settings.bind(|| insta::assert_json_snapshot!(name, value));
}

async fn list_tools(cluster: &Cluster, token: &str) -> Value {
    let session = HttpSession::open(&cluster.gateways, "/mcp", token).await;
    let list = session.call(&cluster.gateways, "tools/list", json!({})).await;
    list["result"]["tools"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openapi_matches_snapshot() {
    let cluster = Cluster::embedded(&[]).await;
    let document = cluster.gateways.get("/openapi.json").reply().await.expect(200);
    cluster.shut_down().await;
    expect_snapshot("openapi", &document);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tools_of_agent_match_snapshot() {
    let cluster = Cluster::embedded(&[]).await;
    let tools = list_tools(&cluster, &cluster.account.token).await;
    cluster.shut_down().await;
    expect_snapshot("tools_agent", &tools);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_tools_of_admin_match_snapshot() {
    let cluster = Cluster::embedded(&[("TOOL_DESCRIPTIONS", "full")]).await;
    let (store, gateways) = (&cluster.store, &cluster.gateways);
    let admin = cluster
        .account
        .add_colleague(store, gateways, "org-admin", "+14155550101");
    let tools = list_tools(&cluster, &admin.await.token).await;
    cluster.shut_down().await;
    expect_snapshot("tools_admin", &tools);
}

/// The tokens of the organization and of the orchestrator belong to no agent, so they see no tools.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_without_agent_list_no_tools() {
    let orchestrator = "o".repeat(40);
    let cluster = Cluster::embedded(&[("ORCHESTRATOR_SECURITY_TOKEN", &orchestrator)]).await;
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    for token in [&orchestrator, &cluster.account.team_token] {
        let request = cluster.gateways.post("/mcp", &message).bearer_auth(token);
        assert_eq!(request.reply().await.expect(401)["code"], "AUTH_WRONG_SCOPE");
    }
    cluster.shut_down().await;
}
