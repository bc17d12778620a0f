//! Agents of one organization find each other, write to each other, and change their own profile.

use serde_json::json;

use crate::support::{Account, Agent, Cluster, RequestExt as _, Transport, bodies, eventually, setup, sms, with};

profiles! {
    async fn colleague_gets_message_by_id_or_name(cluster: &Cluster) {
        let colleague = cluster.account.add_named(&cluster.store, &cluster.gateways, "helper-1", "+14155550191").await;
        let foreign = Account::create(&cluster.store, &cluster.gateways, "Other", "+14155550190").await;
        let agent = cluster.agent(Transport::StreamableHttp).await;
        let other = cluster.agent_of(&colleague, Transport::StreamableHttp).await;
        let renamed = other.call("comms_update_profile", json!({ "agentName": "Night Desk" })).await.unwrap();
        assert_eq!(renamed["agentName"], "Night Desk");

        let found = agent.call("comms_find_agent", json!({ "query": "night" })).await.unwrap();
        assert_eq!((&found["count"], &found["agents"][0]["agentId"]), (&json!(1), &json!("helper-1")));
        let all = agent.call("comms_find_agent", json!({ "includeSelf": true, "includeDraft": true })).await.unwrap();
        let others = agent.call("comms_find_agent", json!({ "includeSelf": false })).await.unwrap();
        assert_eq!((&all["count"], &others["count"]), (&json!(2), &json!(1)));

        for (to, body) in [("helper-1", "By id"), ("night desk", "By name")] {
            let sent = agent.call("comms_message_agent", json!({ "toAgent": to, "body": body })).await.unwrap();
            assert_eq!(sent["toAgent"], "helper-1");
            assert!(sent["messageId"].is_string());
        }
        assert_eq!(bodies(&other.expect_events(2).await), ["By id", "By name"]);
        // An agent without an address gets it, too; once for each key.
        let new = json!({ "agent_id": "newcomer", "display_name": "Newcomer" });
        let registered = cluster.gateways.post("/api/v1/agents", &new).bearer_auth(&cluster.account.team_token);
        let token = registered.reply().await.body["token"].as_str().unwrap().to_owned();
        let found = agent.call("comms_find_agent", json!({ "includeDraft": false })).await.unwrap();
        assert!(!found.to_string().contains("newcomer"));
        for _ in 0..2 {
            let message = json!({ "toAgent": "newcomer", "body": "Welcome", "idempotencyKey": "w-1" });
            agent.call("comms_message_agent", message).await.unwrap();
        }
        let newcomer = Agent::connect(&cluster.gateways, &token, Transport::Rest).await;
        assert_eq!(bodies(&newcomer.expect_events(1).await), ["Welcome"]);
        // Unknown and foreign agents look the same.
        for to in ["agt-unknown", foreign.agent.as_str()] {
            let refused = agent.call("comms_message_agent", json!({ "toAgent": to, "body": "Hi" })).await.unwrap_err();
            assert_eq!(refused["code"], "AGENT_NOT_FOUND", "{to}");
        }
    }
}

profiles! {
    async fn profile_keeps_what_is_not_given(cluster: &Cluster) {
        let agent = cluster.agent(Transport::StreamableHttp).await;
        let update = async |fields| agent.call("comms_update_profile", fields).await;
        let first = update(json!({ "greeting": "Hello", "systemPrompt": "Be brief.", "language": "en-GB", "gender": "female" }));
        first.await.unwrap();
        let second = update(json!({ "voiceId": "Amy", "language": "" })).await.unwrap();
        assert_eq!((&second["greeting"], &second["systemPrompt"]), (&json!("Hello"), &json!("Be brief.")));
        assert_eq!((&second["voiceId"], &second["gender"]), (&json!("Amy"), &json!("female")));
        assert!(second.get("language").is_none());
        for invalid in [json!({ "gender": "robot" }), json!({ "status": "suspended" }), json!({ "agentName": " " })] {
            assert_eq!(update(invalid).await.unwrap_err()["code"], "INVALID_ARGUMENT");
        }
    }
}

profiles! {
    async fn agent_pauses_itself_but_does_not_end_suspension(cluster: &Cluster) {
        let agent = cluster.agent(Transport::StreamableHttp).await;
        let set = async |status: &str| agent.call("comms_update_profile", json!({ "status": status })).await;
        assert_eq!(set("inactive").await.unwrap()["status"], "inactive");
        // One message, repeated: it takes from the limits once.
        let message = with(sms("+14155550123", "Hi"), json!({ "idempotencyKey": "k-1" }));
        let refused = eventually("the agent can't send", async || agent.send(message.clone()).await.err()).await;
        assert_eq!(refused["code"], "AUTH_FORBIDDEN");
        set("active").await.unwrap();
        eventually("the agent can send", async || agent.send(message.clone()).await.ok()).await;
        let id = &cluster.account.agent;
        let status = butt_dial_accounts::AgentStatus::Suspended;
        let by = butt_dial_store::StatusSetBy::Admin;
        cluster
            .store
            .change(setup())
            .set_agent_status(&cluster.account.org, id, status, by, None)
            .await
            .unwrap();
        assert_eq!(set("active").await.unwrap_err()["code"], "AUTH_FORBIDDEN");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tool_listing_all_shows_every_name() {
    let cluster = Cluster::embedded(&[("TOOL_LISTING", "all")]).await;
    let agent = cluster.agent(Transport::Sse).await;
    let tools = agent.tools().await;
    let all = butt_dial_operations::all();
    assert_eq!(tools.len(), all.iter().filter(|tool| tool.hints.is_some()).count());
    let refused = agent.call("comms_set_agent_limits", json!({})).await.unwrap_err();
    assert_eq!(refused["code"], "AUTH_FORBIDDEN");
    cluster.shut_down().await;
}
