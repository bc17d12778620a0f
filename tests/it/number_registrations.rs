//! Registrations of US numbers: told before a purchase, checked, and needed by texts in the US.

use serde_json::{Value, json};

use crate::{
    accounts::{get_as, post_as, text},
    support::{Account, RequestExt as _, Transport, error_code, eventually, sms, with},
};

const ANN: &str = "+14155550123";

fn brand() -> Value {
    let profile = format!("BU{}", "a".repeat(32));
    json!({ "customerProfileId": profile, "a2p_profile_id": profile })
}

profiles! {
    async fn unregistered_us_number_sends_with_advice(cluster: &Cluster) {
        let (agent, team) = (cluster.agent(Transport::StreamableHttp).await, &cluster.account.team_token);
        let offered = get_as(cluster, team, "/api/v1/numbers/available?country=US&limit=1").await.expect(200);
        let kinds: Vec<&Value> = offered["requirements"].as_array().unwrap().iter().map(|needed| &needed["kind"]).collect();
        assert_eq!(kinds, ["brand", "campaign"]);
        let elsewhere = get_as(cluster, team, "/api/v1/registrations/requirements?country=gb").await.expect(200);
        assert_eq!((&elsewhere["country"], &elsewhere["requirements"]), (&json!("GB"), &json!([])));

        let path = format!("/api/v1/agents/{}/comm-channels", cluster.account.agent.host_id());
        let bought = post_as(cluster, team, &path, json!({ "channel_type": "phone", "country": "US" })).await.expect(201);
        let record = &bought["record"];
        assert_eq!(record["usRegistered"], false, "{bought}");
        let message = with(sms(ANN, "Hi"), json!({ "senderSid": record["identifier"] }));
        // Other gateways read the agent's new sender within a second.
        let sent = eventually("the agent has the number", async || agent.send(message.clone()).await.ok()).await;
        assert!(sent["advisories"].to_string().contains("comms_register_number"), "{sent}");
        let other = agent.send(sms(ANN, "Hi")).await.unwrap();
        assert!(other["from"] != record["identifier"] && !other.to_string().contains("comms_register_number"), "{other}");

        let check = format!("/api/v1/comm-channels/{}/check", text(&record["id"]));
        let checked = post_as(cluster, team, &check, json!({})).await.expect(200);
        assert_eq!((&checked["success"], &checked["repaired"]), (&json!(true), &json!([])));
        let refused = post_as(cluster, &cluster.account.token, &check, json!({})).await.expect(403);
        assert_eq!(refused["code"], "AUTH_FORBIDDEN");
    }
}

profiles! {
    async fn registrations_belong_to_their_organization(cluster: &Cluster) {
        let team = &cluster.account.team_token;
        let register = async |token: &str, kind: &str, data: Value| {
            post_as(cluster, token, "/api/v1/registrations", json!({ "kind": kind, "data": data })).await
        };
        let created = register(team, "brand", brand()).await.expect(201);
        assert_eq!((&created["kind"], &created["brand"]["skipVetting"]), (&json!("brand"), &json!(false)));
        let path = format!("/api/v1/registrations/{}", text(&created["id"]));
        let twin = register(team, "brand", brand()).await.expect(409);
        assert_eq!(twin["code"], "ALREADY_EXISTS");
        let invalid = register(team, "campaign", json!({ "description": "short" })).await.expect(400);
        assert_eq!((&invalid["code"], &invalid["fields"]), (&json!("INVALID_ARGUMENT"), &json!(["data.description"])));
        let by_agent = register(&cluster.account.token, "brand", brand()).await.expect(403);
        assert_eq!(by_agent["code"], "AUTH_FORBIDDEN");

        let other = Account::create(&cluster.store, &cluster.gateways, "Other", "+14155550190").await;
        let foreign = get_as(cluster, &other.team_token, &path).await.expect(404);
        let missing = get_as(cluster, &other.team_token, "/api/v1/registrations/reg_0").await.expect(404);
        assert_eq!(foreign, missing);
        let none = get_as(cluster, &other.team_token, "/api/v1/registrations").await.expect(200);
        assert_eq!(none["count"], 0);
        let kept = cluster.gateways.request(reqwest::Method::DELETE, &path).bearer_auth(team).reply().await.expect(409);
        assert_eq!(kept["code"], "CONFLICT");
        let seen = eventually("the brand is shown", async || {
            let listed = get_as(cluster, team, "/api/v1/registrations").await.expect(200);
            listed["registrations"].as_array().unwrap().first().cloned()
        })
        .await;
        assert_eq!(seen["id"], created["id"]);
        let tools = cluster.agent(Transport::StreamableHttp).await;
        let refused = tools.call("comms_register_number", json!({ "kind": "brand", "data": brand() })).await.unwrap_err();
        assert_eq!(error_code(&refused), "AUTH_FORBIDDEN");
    }
}

profiles! {
    async fn carrier_blocks_text_of_unregistered_number(cluster: &Cluster) {
        cluster.carriers.check_registrations(true);
        cluster.carriers.set_delivery_delay(std::time::Duration::ZERO);
        let (agent, team) = (cluster.rest().await, &cluster.account.team_token);
        let path = format!("/api/v1/agents/{}/comm-channels", cluster.account.agent.host_id());
        let bought = post_as(cluster, team, &path, json!({ "channel_type": "phone", "country": "US" })).await.expect(201);
        let message = with(sms(ANN, "Hi"), json!({ "senderSid": bought["record"]["identifier"] }));
        // Other gateways read the agent's new sender within a second.
        eventually("the agent has the number", async || agent.send(message.clone()).await.ok()).await;
        let events = agent.expect_events(2).await;
        let blocked = &events[1];
        assert_eq!(blocked["status"], "failed", "{events:?}");
        assert!(blocked.to_string().contains("30034"), "{blocked}");
    }
}
