//! REST, and its description: what it says is what is there.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::Replying as _;

profiles! {
    async fn every_route_of_the_description_is_served(world: &World) {
        let document = world.gateways.get("/openapi.json").reply().await.expect(200);
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(
            world.gateways.get("/api-docs/openapi.json").reply().await.expect(200),
            document
        );
        let mut operations = 0;
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let method: Method = method.to_uppercase().parse().unwrap();
                let path = path
                    .replace("{agentId}", world.account.agent.as_str())
                    .replace("{externalId}", "msg_0")
                    .replace("{callId}", "call_0");
                let request = world
                    .gateways
                    .request(method.clone(), &path)
                    .bearer_auth(&world.account.token);
                let reply = request.json(&json!({ "waitMs": 0 })).reply().await;
                // A message or a call that does not exist is 404 too, but says so.
                let is_unknown = ["MESSAGE_NOT_FOUND", "CALL_NOT_FOUND"].contains(&reply.body["code"].as_str().unwrap_or(""));
                let served = reply.status != 405 && (reply.status != 404 || is_unknown);
                assert!(served, "{method} {path}: {} {}", reply.status, reply.text);
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
    async fn the_description_has_a_page_to_try_it_on(world: &World) {
        let page = world.gateways.get("/docs/").reply().await;
        assert_eq!(page.status, 200);
        assert!(page.text.contains("swagger-ui"), "{}", page.text);
    }
}

profiles! {
    async fn mistakes_are_told_in_one_shape(world: &World) {
        let token = &world.account.token;
        let send = || {
            world
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
        let nowhere = world
            .gateways
            .get("/api/v1/nothing")
            .bearer_auth(token)
            .reply()
            .await
            .expect(404);
        assert_eq!(nowhere["code"], "NOT_FOUND");
        assert_eq!(
            world
                .gateways
                .request(Method::DELETE, "/api/v1/usage")
                .bearer_auth(token)
                .reply()
                .await
                .status,
            405
        );
        for query in ["period=century", "period="] {
            let body = world
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
    async fn every_answer_has_the_id_of_its_request(world: &World) {
        let mut ids = Vec::new();
        for path in ["/health", "/api/v1/usage", "/nothing", "/api/v1/agents"] {
            let reply = world.gateways.get(path).reply().await;
            ids.push(reply.header("x-request-id").unwrap().to_owned());
        }
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 4);
    }
}

profiles! {
    async fn agents_are_registered_in_either_casing_and_listed_by_the_page(world: &World) {
        let team = &world.account.team_token;
        let bodies: [Value; 3] = [
            json!({ "agent_id": "3f0c0f8e-5a3a-4b65-9a51-5a9a4c0b6d11", "display_name": "One", "extra": 1 }),
            json!({ "agentId": "two", "displayName": "Two" }),
            json!({ "agentName": "Three" }),
        ];
        for body in bodies {
            let made = world
                .gateways
                .post("/api/v1/agents", &body)
                .bearer_auth(team)
                .reply()
                .await
                .expect(201);
            assert_eq!(
                (&made["agent_id"], &made["token"]),
                (&made["agentId"], &made["agentToken"])
            );
            let id = made["agentId"].as_str().unwrap();
            let seen = world
                .gateways
                .get(&format!("/api/v1/agents/{id}"))
                .bearer_auth(team)
                .reply()
                .await
                .expect(200);
            assert_eq!(
                (&seen["displayName"], &seen["display_name"]),
                (&made["displayName"], &made["displayName"])
            );
            let me = world
                .gateways
                .get("/api/v1/agents/me")
                .bearer_auth(made["token"].as_str().unwrap());
            let me = me.reply().await.expect(200);
            assert_eq!(
                (&me["agentId"], &me["lifecycleState"]),
                (&json!(id), &json!("registered"))
            );
        }
        let mut after = String::new();
        let mut seen = 0;
        loop {
            let page = world
                .gateways
                .get(&format!("/api/v1/agents?limit=2{after}"))
                .bearer_auth(team)
                .reply()
                .await
                .expect(200);
            let agents = page["agents"].as_array().unwrap();
            seen += agents.len();
            match agents.last() {
                Some(last) => after = format!("&after={}", last["agentId"].as_str().unwrap()),
                None => break,
            }
        }
        assert_eq!(seen, 4);
    }
}

profiles! {
    async fn an_agent_without_a_sender_is_told_so(world: &World) {
        let made = world
            .gateways
            .post("/api/v1/agents", &json!({ "display_name": "Bare" }));
        let made = made.bearer_auth(&world.account.team_token).reply().await.expect(201);
        let body = json!({ "to": "+14155550123", "channel": "sms", "body": "Hi" });
        let request = world
            .gateways
            .post("/api/v1/send-message", &body)
            .bearer_auth(made["token"].as_str().unwrap());
        let refused = request.reply().await.expect(422);
        assert_eq!(
            (&refused["code"], &refused["availableChannels"]),
            (&json!("NO_CHANNEL_ASSIGNED"), &json!([]))
        );
        assert!(
            refused["error"].as_str().unwrap().contains("not provisioned"),
            "the Python client looks for this"
        );
    }
}
