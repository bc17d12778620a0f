//! Conversations that a person answers in place of the agent: the same over both protocols, for fallbacks that were stored before, and
//! within the organization only.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Account, Reply, RequestExt as _, TestContext, Transport, Webhook, email, error_code, eventually, sms, whatsapp,
    with,
};

const ANN: &str = "+14155550123";

async fn call(context: &TestContext, token: &str, method: Method, path: &str, body: Value) -> Reply {
    let is_get = method == Method::GET;
    let request = context.gateways.request(method, path);
    let request = if is_get { request } else { request.json(&body) };
    request.bearer_auth(token).reply().await
}

async fn take(context: &TestContext, token: &str) -> Reply {
    let body = json!({ "agentId": context.account.agent.host_id(), "contact": ANN });
    call(context, token, Method::POST, "/api/v1/takeovers", body).await
}

profiles! {
    async fn takeover_holds_for_all_ways_to_send(cluster: &Cluster) {
        let (team, agent) = (&cluster.account.team_token, cluster.rest().await);
        let mcp = cluster.agent(Transport::StreamableHttp).await;
        // Accepted before, with a fallback that is stored.
        cluster.open_whatsapp_window(ANN).await;
        let message = with(whatsapp(ANN, "Are you there?"), json!({ "fallbackChannels": ["sms"], "idempotencyKey": "before" }));
        let before = agent.send(message).await.unwrap();
        let taken = take(cluster, team).await.expect(201);
        for agent in [&agent, &mcp] {
            for extra in [json!({}), json!({ "fallbackChannels": ["sms"] }), json!({ "scheduledAt": "2027-11-30T12:00:00Z" })] {
                let refused = agent.send(with(whatsapp(ANN, "Hello"), extra)).await.unwrap_err();
                assert_eq!(error_code(&refused), "CONVERSATION_TAKEN_OVER", "{refused}");
                assert_eq!(refused["takenOverUntil"], taken["takenOverUntil"], "{refused}");
                assert!(refused["remediation"].is_string() && refused["retryAfterSeconds"].is_u64(), "{refused}");
            }
            let refused = agent.call("comms_make_call", json!({ "to": ANN })).await.unwrap_err();
            assert_eq!(error_code(&refused), "CONVERSATION_TAKEN_OVER", "{refused}");
            agent.send(sms("+14155550199", "Others are not affected")).await.unwrap();
        }
        let receipt = Webhook::status_with_code(cluster, &before["messageId"], &before["providerMessageId"], ("undelivered", "63016"));
        assert_eq!(receipt.post(cluster).await.status, 200);
        let mut events = Vec::new();
        eventually("the fallback is refused", async || {
            events.extend(agent.poll_messages().await);
            events.iter().any(|event| event["code"] == "CONVERSATION_TAKEN_OVER").then_some(())
        })
        .await;
        assert!(cluster.carriers.messages_to(ANN).iter().all(|message| message.body == "Are you there?"), "no second message");
        // The person who took over writes as the agent, and the agent still gets what the contact writes.
        let answer = with(sms(ANN, "A person here."), json!({ "agentId": cluster.account.agent.host_id() }));
        let sent = call(cluster, team, Method::POST, "/api/v1/send-message", answer).await.expect(200);
        assert_eq!(sent["status"], "accepted", "{sent}");
        cluster.texts(ANN, "Thank you").await;
        eventually("the message is marked", async || {
            events.extend(agent.poll_messages().await);
            let marked = |event: &&Value| event["takenOver"]["takeoverId"] == taken["takeoverId"];
            events.iter().find(marked).map(|event| assert_eq!(event["body"], "Thank you"))
        })
        .await;
        let path = format!("/api/v1/takeovers/{}", taken["takeoverId"].as_str().unwrap());
        call(cluster, team, Method::DELETE, &path, json!({})).await.expect(200);
        mcp.send(sms(ANN, "I am back.")).await.unwrap();
        eventually("the agent learns of both changes", async || {
            events.extend(agent.poll_messages().await);
            let has = |kind: &str| events.iter().any(|event| event["event"] == kind && event["contact"] == ANN);
            (has("conversation.taken_over") && has("conversation.returned")).then_some(())
        })
        .await;
    }
}

profiles! {
    async fn takeover_is_one_persons_within_the_organization(cluster: &Cluster) {
        let team = &cluster.account.team_token;
        let foreign = Account::create(&cluster.store, &cluster.gateways, "Other", "+14155550111").await;
        let second = call(cluster, team, Method::POST, "/api/v1/tokens", json!({ "label": "second" })).await.expect(201);
        let second = second["token"].as_str().unwrap();
        let (one, other) = tokio::join!(take(cluster, team), take(cluster, second));
        let mut statuses = [one.status, other.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409], "{} {}", one.body, other.body);
        let (winner, loser) = if one.status == 201 { (one, other) } else { (other, one) };
        assert_eq!(loser.body["takeoverId"], winner.body["takeoverId"]);
        let path = format!("/api/v1/takeovers/{}", winner.body["takeoverId"].as_str().unwrap());
        let list = async |token: &str| call(cluster, token, Method::GET, "/api/v1/takeovers", json!({})).await.expect(200)["takeovers"].clone();
        assert_eq!(list(team).await[0]["takeoverId"], winner.body["takeoverId"]);
        assert_eq!(list(&foreign.team_token).await, json!([]));
        for (token, expected) in [(&*foreign.team_token, 404), (&*cluster.account.token, 403), (second, 200), (team, 404)] {
            assert_eq!(call(cluster, token, Method::DELETE, &path, json!({})).await.status, expected);
        }
        assert_eq!(take(cluster, &foreign.team_token).await.body["code"], "AGENT_NOT_FOUND");
        assert_eq!(take(cluster, &cluster.account.token).await.body["code"], "AUTH_FORBIDDEN");
        let wrong = json!({ "agentId": cluster.account.agent.host_id(), "contact": ANN, "hours": 169 });
        assert_eq!(call(cluster, team, Method::POST, "/api/v1/takeovers", wrong).await.body["code"], "INVALID_ARGUMENT");
    }
}

profiles! {
    async fn takeover_of_a_mailbox_holds_for_further_recipients(cluster: &Cluster) {
        let (team, agent) = (&cluster.account.team_token, cluster.rest().await);
        let taking = |contact: &str, hours: u32| {
            let body = json!({ "agentId": cluster.account.agent.host_id(), "contact": contact, "hours": hours });
            async move { call(cluster, team, Method::POST, "/api/v1/takeovers", body).await }
        };
        let taken = taking("Ann@Example.com", 48).await.expect(201);
        for field in ["cc", "bcc"] {
            let message = with(email("bob@example.com", "Hello"), json!({ field: ["ann@example.com"] }));
            assert_eq!(error_code(&agent.send(message).await.unwrap_err()), "CONVERSATION_TAKEN_OVER", "{field}");
        }
        agent.send(email("bob@example.com", "Hello")).await.unwrap();
        // An extension keeps its id, and does not shorten.
        let again = taking("ann@example.com", 1).await.expect(201);
        assert_eq!((&again["takeoverId"], &again["takenOverUntil"]), (&taken["takeoverId"], &taken["takenOverUntil"]));
        for wrong in ["4155550123", "Ann <ann@example.com>", "+", ""] {
            let refused = taking(wrong, 1).await;
            assert_eq!(refused.status, 400, "{wrong}: {}", refused.body);
        }
    }
}
