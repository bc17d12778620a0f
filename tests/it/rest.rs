//! The REST API and its OpenAPI document, which must match.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::RequestExt as _;

profiles! {
    async fn serves_every_route_of_openapi(cluster: &Cluster) {
        let document = cluster.gateways.get("/openapi.json").reply().await.expect(200);
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(
            cluster.gateways.get("/api-docs/openapi.json").reply().await.expect(200),
            document
        );
        let mut operations = 0;
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let method: Method = method.to_uppercase().parse().unwrap();
                let path = path
                    .replace("{agentId}", cluster.account.agent.as_str())
                    .replace("{externalId}", "msg_0")
                    .replace("{callId}", "call_0");
                let request = cluster
                    .gateways
                    .request(method.clone(), &path)
                    .bearer_auth(&cluster.account.token);
                let reply = request.json(&json!({ "waitMs": 0 })).reply().await;
                // An unknown message or call is 404 as well, with its own code.
                let is_unknown = ["MESSAGE_NOT_FOUND", "CALL_NOT_FOUND"].contains(&reply.body["code"].as_str().unwrap_or(""));
                let is_served = reply.status != 405 && (reply.status != 404 || is_unknown);
                assert!(is_served, "{method} {path}: {} {}", reply.status, reply.text);
                assert!(operation["responses"].as_object().unwrap().len() >= 2, "{path}");
                assert!(operation["operationId"].is_string() && operation["summary"].is_string());
                operations += 1;
            }
        }
        assert!(operations >= 11, "{operations}");
        for path in [
            "/api/v1/send-message",
            "/api/v1/agents",
            "/api/v1/waiting-messages",
            "/api/v1/channel-status",
            "/api/v1/usage",
        ] {
            assert!(document["paths"][path].is_object(), "{path}");
        }
    }
}

profiles! {
    async fn serves_swagger_ui(cluster: &Cluster) {
        let page = cluster.gateways.get("/docs/").reply().await;
        assert_eq!(page.status, 200);
        assert!(page.text.contains("swagger-ui"), "{}", page.text);
    }
}

profiles! {
    async fn errors_have_one_shape(cluster: &Cluster) {
        let token = &cluster.account.token;
        let send = || {
            cluster
                .gateways
                .request(Method::POST, "/api/v1/send-message")
                .bearer_auth(token)
        };
        for text in ["{", "[]", "null", "\"x\"", "\u{feff}{}"] {
            let body = send().body(text).reply().await.expect(400);
            assert_eq!(
                (&body["code"], &body["retryable"]),
                (&json!("INVALID_ARGUMENT"), &json!(false)),
                "{text}"
            );
        }
        let body = send().reply().await.expect(400);
        assert_eq!(
            (&body["code"], &body["fields"]),
            (&json!("MISSING_FIELDS"), &json!(["to"]))
        );
        let huge = send().body("x".repeat(5 * 1024 * 1024)).reply().await.expect(413);
        assert_eq!(huge["code"], "PAYLOAD_TOO_LARGE");
        let unknown = cluster
            .gateways
            .get("/api/v1/nothing")
            .bearer_auth(token)
            .reply()
            .await
            .expect(404);
        assert_eq!(unknown["code"], "NOT_FOUND");
        assert_eq!(
            cluster
                .gateways
                .request(Method::DELETE, "/api/v1/usage")
                .bearer_auth(token)
                .reply()
                .await
                .status,
            405
        );
        for query in ["period=century", "period="] {
            let body = cluster
                .gateways
                .get(&format!("/api/v1/usage?{query}"))
                .bearer_auth(token)
                .reply()
                .await
                .expect(400);
            assert_eq!(body["code"], "INVALID_ARGUMENT");
        }
    }
}

profiles! {
    async fn responses_have_unique_request_ids(cluster: &Cluster) {
        let mut ids = Vec::new();
        for path in ["/health", "/api/v1/usage", "/nothing", "/api/v1/agents"] {
            let reply = cluster.gateways.get(path).reply().await;
            ids.push(reply.header("x-request-id").unwrap().to_owned());
        }
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 4);
    }
}

profiles! {
    async fn registers_agents_in_both_casings_and_pages_list(cluster: &Cluster) {
        let team = &cluster.account.team_token;
        let bodies: [Value; 3] = [
            json!({ "agent_id": "3f0c0f8e-5a3a-4b65-9a51-5a9a4c0b6d11", "display_name": "One", "extra": 1 }),
            json!({ "agentId": "two", "displayName": "Two" }),
            json!({ "agentName": "Three" }),
        ];
        for body in bodies {
            let created = cluster
                .gateways
                .post("/api/v1/agents", &body)
                .bearer_auth(team)
                .reply()
                .await
                .expect(201);
            assert_eq!(
                (&created["agent_id"], &created["token"]),
                (&created["agentId"], &created["agentToken"])
            );
            assert!(created["displayName"].is_string(), "{created}");
            let id = created["agentId"].as_str().unwrap();
            let fetched = cluster
                .gateways
                .get(&format!("/api/v1/agents/{id}"))
                .bearer_auth(team)
                .reply()
                .await
                .expect(200);
            assert_eq!(
                (&fetched["displayName"], &fetched["display_name"]),
                (&created["displayName"], &created["displayName"])
            );
            let me = cluster
                .gateways
                .get("/api/v1/agents/me")
                .bearer_auth(created["token"].as_str().unwrap());
            let me = me.reply().await.expect(200);
            assert_eq!(
                (&me["agentId"], &me["lifecycleState"]),
                (&json!(id), &json!("registered"))
            );
        }
        let mut after = String::new();
        let mut listed = 0;
        loop {
            let page = cluster
                .gateways
                .get(&format!("/api/v1/agents?limit=2{after}"))
                .bearer_auth(team)
                .reply()
                .await
                .expect(200);
            let agents = page["agents"].as_array().unwrap();
            listed += agents.len();
            match agents.last() {
                Some(last) => after = format!("&after={}", last["agentId"].as_str().unwrap()),
                None => break,
            }
        }
        assert_eq!(listed, 4);
    }
}

profiles! {
    async fn rejects_send_without_assigned_channel(cluster: &Cluster) {
        let created = cluster
            .gateways
            .post("/api/v1/agents", &json!({ "display_name": "Bare" }));
        let created = created.bearer_auth(&cluster.account.team_token).reply().await.expect(201);
        let body = json!({ "to": "+14155550123", "channel": "sms", "body": "Hi" });
        let request = cluster
            .gateways
            .post("/api/v1/send-message", &body)
            .bearer_auth(created["token"].as_str().unwrap());
        let refused = request.reply().await.expect(422);
        assert_eq!(
            (&refused["code"], &refused["availableChannels"]),
            (&json!("NO_CHANNEL_ASSIGNED"), &json!([]))
        );
        assert!(
            refused["error"].as_str().unwrap().contains("not provisioned"),
            "the Python client matches this text"
        );
    }
}
