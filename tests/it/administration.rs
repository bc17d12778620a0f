//! Administration of agents and tokens: suspension, team tokens, and the limits of an administrating agent.

use butt_dial_domain::Clock;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::{Cluster, RequestExt as _, eventually, sms, with};

const ANN: &str = "+14155550123";
const TOKENS: &str = "/api/v1/tokens";

fn in_seconds(seconds: i64) -> String {
    (Clock::System.now() + TimeDelta::seconds(seconds)).to_rfc3339_opts(SecondsFormat::Millis, true)
}

async fn set_status(cluster: &Cluster, token: &str, status: &str) -> Value {
    let path = format!("/api/v1/agents/{}/status", cluster.account.agent);
    let request = cluster.gateways.request(reqwest::Method::PUT, &path);
    let request = request.json(&json!({ "status": status })).bearer_auth(token);
    request.reply().await.body
}

/// Returns the status of a team token on this request.
async fn status_of(cluster: &Cluster, token: &str) -> u16 {
    cluster
        .gateways
        .get("/api/v1/agents")
        .bearer_auth(token)
        .reply()
        .await
        .status
}

async fn create_token(cluster: &Cluster, body: Value) -> Value {
    let request = cluster
        .gateways
        .post(TOKENS, &body)
        .bearer_auth(&cluster.account.team_token);
    request.reply().await.expect(201)
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

profiles! {
    async fn suspended_agent_cannot_send_and_loses_schedule(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let later = with(sms(ANN, "Reminder"), json!({ "scheduledAt": in_seconds(3_600) }));
        let scheduled = agent.send(later).await.unwrap();
        let refused = set_status(cluster, &cluster.account.token, "suspended").await;
        assert_eq!(refused["code"], "AUTH_FORBIDDEN", "an agent can't change its status");
        let changed = set_status(cluster, &cluster.account.team_token, "suspended").await;
        assert_eq!((&changed["status"], &changed["cancelledSends"]), (&json!("suspended"), &json!(1)));
        eventually("the agent can't send", async || {
            let refusal = agent.send(sms(ANN, "Hi")).await.err()?;
            (refusal["code"] == "AUTH_FORBIDDEN").then_some(())
        })
        .await;
        let id = text(&scheduled["messageId"]).to_owned();
        eventually("the scheduled message is cancelled", async || {
            let status = agent.status_of(&id).await.ok()?;
            (status["status"] == "failed" && status["code"] == "AUTH_FORBIDDEN").then_some(())
        })
        .await;
        set_status(cluster, &cluster.account.team_token, "active").await;
        eventually("the agent can send", async || agent.send(sms(ANN, "Hi again")).await.ok()).await;
        let unknown = set_status(cluster, &cluster.account.team_token, "asleep").await;
        assert_eq!(unknown["code"], "INVALID_ARGUMENT");
    }
}

profiles! {
    async fn rotated_token_reports_scheduled_messages(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let later = with(sms(ANN, "Reminder"), json!({ "scheduledAt": in_seconds(3_600) }));
        let scheduled = agent.send(later).await.unwrap();
        let path = format!("/api/v1/agents/{}/regenerate-token", cluster.account.agent);
        let request = cluster.gateways.post(&path, &json!({})).bearer_auth(&cluster.account.team_token);
        let rotated = request.reply().await.expect(200);
        let listed = rotated["scheduledMessages"].as_array().unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0]["messageId"], scheduled["messageId"]);
        assert!(!rotated.to_string().contains(ANN));
    }
}

profiles! {
    async fn team_tokens_are_listed_and_revoked_one_by_one(cluster: &Cluster) {
        let created = create_token(cluster, json!({ "label": "deploy", "expiresInDays": 30 })).await;
        let (id, secret) = (text(&created["id"]), text(&created["token"]));
        let expires: DateTime<Utc> = text(&created["expiresAt"]).parse().unwrap();
        let days = (expires - Clock::System.now()).num_hours();
        assert!((29 * 24..=30 * 24).contains(&days), "{days}");
        assert_eq!(status_of(cluster, secret).await, 200);

        let listed = cluster.gateways.get(TOKENS).bearer_auth(secret).reply().await.expect(200);
        let listed = listed["tokens"].as_array().unwrap();
        assert_eq!(listed.len(), 2);
        assert_eq!((&listed[0]["id"], &listed[0]["label"]), (&json!(id), &json!("deploy")));
        assert_eq!((&listed[0]["isOwn"], &listed[1]["isOwn"]), (&json!(true), &json!(false)));
        assert_eq!(listed[0]["lastFour"], secret[secret.len() - 4..]);

        let delete = |id: &str| cluster.gateways.request(reqwest::Method::DELETE, &format!("{TOKENS}/{id}"));
        let by_agent = delete(id).bearer_auth(&cluster.account.token).reply().await.expect(403);
        assert_eq!(by_agent["code"], "AUTH_FORBIDDEN");
        let team = &cluster.account.team_token;
        assert_eq!(delete("tok_0").bearer_auth(team).reply().await.expect(404)["code"], "NOT_FOUND");
        delete(id).bearer_auth(team).reply().await.expect(200);
        eventually("the token is revoked", async || (status_of(cluster, secret).await == 401).then_some(())).await;
        assert_eq!(status_of(cluster, team).await, 200);
        for invalid in [json!({ "label": "" }), json!({ "label": "a\nb" }), json!({ "expiresInDays": 0 })] {
            let refused = cluster.gateways.post(TOKENS, &invalid).bearer_auth(team).reply().await.expect(400);
            assert_eq!(refused["code"], "INVALID_ARGUMENT", "{invalid}");
        }
    }
}

profiles! {
    async fn rotated_team_token_works_until_overlap_ends(cluster: &Cluster) {
        let old = create_token(cluster, json!({ "label": "ci" })).await;
        let rotate = async |body: Value| {
            let path = format!("{TOKENS}/{}/rotate", text(&old["id"]));
            let request = cluster.gateways.post(&path, &body).bearer_auth(&cluster.account.team_token);
            request.reply().await
        };
        let new = rotate(json!({ "overlapSeconds": 2 })).await.expect(201);
        assert_eq!(status_of(cluster, text(&old["token"])).await, 200);
        assert_eq!(status_of(cluster, text(&new["token"])).await, 200);
        eventually("the overlap ends", async || {
            (status_of(cluster, text(&old["token"])).await == 401).then_some(())
        })
        .await;
        assert_eq!(status_of(cluster, text(&new["token"])).await, 200);
    }
}

profiles! {
    async fn administrating_agent_cannot_change_own_limits(cluster: &Cluster) {
        let admin = cluster
            .account
            .add_colleague(&cluster.store, &cluster.gateways, "org-admin", "+14155550101")
            .await;
        let set = async |body: Value| {
            let request = cluster.gateways.post("/api/v1/client-limits", &body).bearer_auth(&admin.token);
            request.reply().await
        };
        let lifted = json!({ "maxSpendPerDay": null });
        for target in [json!({ "limits": lifted }), json!({ "agentId": admin.agent, "limits": lifted })] {
            assert_eq!(set(target).await.expect(403)["code"], "AUTH_FORBIDDEN");
        }
        set(json!({ "agentId": cluster.account.agent, "limits": lifted })).await.expect(200);
    }
}
