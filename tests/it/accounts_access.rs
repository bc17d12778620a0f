//! Access to organizations: telephone, rotation, self-heal, members, tokens of agents, and erasure.

use butt_dial_domain::Clock;
use serde_json::{Value, json};

use crate::{
    accounts::{OPEN, get_as, mailed_token, new_team, post, post_as, text},
    support::{CallbackHost, Cluster, Reply, RequestExt as _, eventually, sms},
};

const PHONE: &str = "+14155550123";

/// Returns the code of the newest text to a number.
async fn texted_code(cluster: &Cluster, seen: usize) -> String {
    eventually("the code arrives", async || {
        let texts = cluster.carriers.messages_to(PHONE);
        let text = texts.get(seen)?;
        let digits: String = text.body.chars().filter(char::is_ascii_digit).collect();
        digits.get(..6).map(str::to_owned)
    })
    .await
}

async fn confirm_phone(cluster: &Cluster, team: &str) {
    let seen = cluster.carriers.messages_to(PHONE).len();
    let sent = post_as(cluster, team, "/api/orgs/me/phone/set", json!({ "phone": PHONE }))
        .await
        .expect(200);
    assert_eq!(sent["challenge_id"], sent["challengeId"]);
    let code = texted_code(cluster, seen).await;
    let wrong = if code == "111111" { "222222" } else { "111111" };
    let confirm = async |otp: &str| {
        let body = json!({ "challengeId": sent["challengeId"], "otp": otp });
        post_as(cluster, team, "/api/orgs/me/phone/confirm", body).await
    };
    assert_eq!(confirm(wrong).await.expect(400)["code"], "OTP_INVALID");
    let done = confirm(&code).await.expect(200);
    assert_eq!(
        (&done["ok"], &done["phone_hint"]),
        (&json!(true), &json!("+1********23"))
    );
    assert_eq!(
        confirm(&code).await.expect(404)["code"],
        "CHALLENGE_NOT_FOUND",
        "single use"
    );
}

profiles! {
    with [OPEN[0], OPEN[1], OPEN[2]];
    async fn team_token_is_rotated_with_code_to_phone(cluster: &Cluster) {
        let (_, team) = new_team(cluster, "ann@example.com").await;
        let rotate = async || post_as(cluster, &team, "/api/orgs/me/rotate-token/request", json!({})).await;
        assert_eq!(rotate().await.expect(422)["code"], "PHONE_NOT_CONFIGURED");
        let invalid = post_as(cluster, &team, "/api/orgs/me/phone/set", json!({ "phone": "123" })).await;
        assert_eq!(invalid.expect(400)["code"], "PHONE_INVALID");
        confirm_phone(cluster, &team).await;
        let account = get_as(cluster, &team, "/api/orgs/me").await.expect(200);
        assert_eq!(account["owner_phone_hint"], "+1********23");

        let seen = cluster.carriers.messages_to(PHONE).len();
        let requested = rotate().await.expect(200);
        assert_eq!(requested["phone_hint"], "+1********23");
        let body = json!({ "challengeId": requested["challenge_id"], "otp": texted_code(cluster, seen).await });
        // A code of another organization is as good as none.
        let (_, other) = new_team(cluster, "bob@example.com").await;
        let foreign = post_as(cluster, &other, "/api/orgs/me/rotate-token/confirm", body.clone()).await;
        assert_eq!(foreign.expect(404)["code"], "CHALLENGE_NOT_FOUND");
        let rotated = post_as(cluster, &team, "/api/orgs/me/rotate-token/confirm", body).await.expect(200);
        get_as(cluster, text(&rotated["token"]), "/api/orgs/me").await.expect(200);
        eventually("the old token is refused", async || {
            let old = get_as(cluster, &team, "/api/orgs/me").await;
            (old.status == 401 && old.body["code"] == "AUTH_TOKEN_REVOKED").then_some(())
        })
        .await;
    }
}

async fn reveal(cluster: &Cluster, org: &str, secret: &str, at: i64, nonce: &str) -> Reply {
    let path = format!("/api/orgs/{org}/reveal-team-token");
    let request = cluster.gateways.post(&path, &json!({})).bearer_auth(secret);
    let request = request.header("X-Request-Timestamp", at.to_string());
    request.header("X-Request-Nonce", nonce).reply().await
}

profiles! {
    with [OPEN[0], OPEN[1], OPEN[2]];
    async fn host_gets_team_token_again_with_webhook_secret(cluster: &Cluster) {
        let body = json!({ "orgName": "Acme", "ownerEmail": "ann@example.com" });
        let registered = post(cluster, "/api/orgs/register", body).await.expect(200);
        let (org, secret) = (text(&registered["orgId"]), text(&registered["webhookSecret"]));
        let (now, nonces) = (Clock::System.now().timestamp(), ["a", "b", "c", "d"].map(|c| c.repeat(32)));
        let early = reveal(cluster, org, secret, now, &nonces[0]).await.expect(403);
        assert_eq!(early["code"], "AUTH_FORBIDDEN", "not verified");
        let token = mailed_token(cluster, "ann@example.com").await;
        let verified = post(cluster, "/api/orgs/verify", json!({ "token": token })).await.expect(200);
        let revealed = reveal(cluster, org, secret, now, &nonces[1]).await.expect(200);
        assert_eq!((&revealed["rotated"], &revealed["orgId"]), (&json!(true), &json!(org)));
        get_as(cluster, text(&revealed["token"]), "/api/orgs/me").await.expect(200);
        eventually("the former token is refused", async || {
            let old = get_as(cluster, text(&verified["team_token"]), "/api/orgs/me").await;
            (old.status == 401).then_some(())
        })
        .await;
        let replay = reveal(cluster, org, secret, now, &nonces[1]).await.expect(409);
        assert_eq!(replay["code"], "AUTH_NONCE_REPLAY");
        let stale = reveal(cluster, org, secret, now - 90, &nonces[2]).await.expect(403);
        assert_eq!((&stale["code"], &stale["retryable"]), (&json!("AUTH_TIMESTAMP_EXPIRED"), &json!(true)));
        let wrong = reveal(cluster, org, &"0".repeat(64), now, &nonces[3]).await.expect(403);
        let unknown = reveal(cluster, "org_unknown", secret, now, &nonces[3]).await.expect(403);
        assert_eq!(wrong, unknown);
    }
}

profiles! {
    with [OPEN[0], OPEN[1], OPEN[2]];
    async fn members_are_managed_by_their_organization_only(cluster: &Cluster) {
        let (org, team) = new_team(cluster, "ann@example.com").await;
        let (other, theirs) = new_team(cluster, "bob@example.com").await;
        let path = format!("/api/orgs/{org}/members");
        let added = post_as(cluster, &team, &path, json!({ "email": "Eve+1@example.com" })).await.expect(200);
        assert_eq!((&added["role"], &added["success"]), (&json!("org-admin"), &json!(true)));
        post_as(cluster, &team, &path, json!({ "email": "Eve+1@example.com", "reason": "again" })).await.expect(200);
        let listed = get_as(cluster, &team, &path).await.expect(200);
        let roles: Vec<&str> = listed["members"].as_array().unwrap().iter().map(|m| text(&m["role"])).collect();
        assert_eq!(roles, ["owner", "org-admin"]);
        let foreign = get_as(cluster, &theirs, &path).await.expect(404);
        let unknown = get_as(cluster, &theirs, "/api/orgs/org_unknown/members").await.expect(404);
        assert_eq!(foreign, unknown);
        let remove = async |token: &str, org: &str, email: &str| {
            let path = format!("/api/orgs/{org}/members/{email}");
            cluster.gateways.request(reqwest::Method::DELETE, &path).bearer_auth(token).reply().await
        };
        assert_eq!(remove(&theirs, &org, "eve%2B1%40example.com").await.status, 404);
        remove(&team, &org, "eve%2B1%40example.com").await.expect(200);
        assert_eq!(remove(&team, &org, "eve%2B1%40example.com").await.expect(404)["code"], "NOT_FOUND");
        assert_eq!(remove(&team, &org, "ann%40example.com").await.expect(409)["code"], "CONFLICT", "the last owner");
        let mine = get_as(cluster, &team, "/api/users/me/memberships").await.expect(200);
        assert_eq!(mine["email"], "ann@example.com");
        assert_eq!((&mine["memberships"][0]["orgId"], &mine["memberships"][0]["role"]), (&json!(org), &json!("owner")));
        assert!(!mine.to_string().contains(&other));
    }
}

profiles! {
    with [OPEN[0], OPEN[1], OPEN[2], OPEN[3], OPEN[4]];
    async fn agent_replaces_its_token_and_suspends_itself(cluster: &Cluster) {
        let host = CallbackHost::start().await;
        let body = json!({ "orgName": "Acme", "ownerEmail": "ann@example.com", "webhookUrl": host.url("/bd") });
        post(cluster, "/api/orgs/register", body).await.expect(200);
        let token = mailed_token(cluster, "ann@example.com").await;
        let verified = post(cluster, "/api/orgs/verify", json!({ "token": token })).await.expect(200);
        let team = text(&verified["team_token"]);
        let agent = json!({ "agent_id": "ada", "display_name": "Ada" });
        let agent = post_as(cluster, team, "/api/v1/agents", agent).await.expect(201);
        let old = text(&agent["token"]);
        let rotate = async |token: &str, confirm: bool| {
            post_as(cluster, token, "/api/v1/agents/me/rotate-token", json!({ "confirm": confirm })).await
        };
        let preview = rotate(old, false).await.expect(200);
        assert_eq!((&preview["preview"], &preview["error"]), (&json!(true), &Value::Null));
        let rotated = rotate(old, true).await.expect(200);
        assert_eq!((&rotated["accepted"], &rotated["gracePeriodSeconds"]), (&json!(true), &json!(30)));
        get_as(cluster, old, "/api/v1/agents/me").await.expect(200);
        assert_eq!(rotate(old, true).await.expect(409)["code"], "CONFLICT", "one rotation wins");
        let new = text(&rotated["newToken"]);

        let set = async |status: &str| {
            let body = json!({ "status": status, "reason": "pause" });
            let request = cluster.gateways.request(reqwest::Method::PUT, "/api/v1/client-status");
            request.bearer_auth(new).json(&body).reply().await
        };
        assert_eq!(set("suspended").await.expect(200)["status"], "suspended");
        let callbacks = host.expect_callbacks(2).await;
        let suspended = callbacks.iter().find(|callback| callback.header("x-bd-event") == "agent.suspended").unwrap();
        assert_eq!((&suspended.json()["agentId"], &suspended.json()["reason"]), (&json!("ada"), &json!("pause")));
        set("active").await.expect(200);
        let path = "/api/v1/agents/ada/status";
        let by_admin = cluster.gateways.request(reqwest::Method::PUT, path).bearer_auth(team);
        by_admin.json(&json!({ "status": "suspended" })).reply().await.expect(200);
        assert_eq!(set("active").await.expect(403)["code"], "AUTH_FORBIDDEN", "set by an administrator");
        let listed = get_as(cluster, team, "/api/v1/agents/ada/tokens").await.expect(200);
        assert!(listed["tokens"].as_array().unwrap().iter().all(|token| token.get("ip_hint").is_some()));
    }
}

profiles! {
    with [OPEN[0], OPEN[1], OPEN[2]];
    async fn organization_is_erased_in_two_steps(cluster: &Cluster) {
        let (org, team) = new_team(cluster, "ann@example.com").await;
        let agent = json!({ "agent_id": "ada", "display_name": "Ada" });
        let agent = post_as(cluster, &team, "/api/v1/agents", agent).await.expect(201);
        let seen = cluster.carriers.messages_to("ann@example.com").len();
        let started = post_as(cluster, &team, "/api/orgs/me/erasure/start", json!({})).await.expect(200);
        assert!(text(&started["erasureRequestId"]).starts_with("ers_"));
        let again = post_as(cluster, &team, "/api/orgs/me/erasure/start", json!({})).await;
        assert!(again.status == 429 && again.header("retry-after").is_some());
        let token: String = eventually("the mail arrives", async || {
            let mail = cluster.carriers.messages_to("ann@example.com").get(seen)?.body.clone();
            mail.split_whitespace().find(|word| word.len() == 64).map(str::to_owned)
        })
        .await;
        let confirm = async |token: &str| {
            let body = json!({ "confirmationToken": token, "force": true });
            post(cluster, "/api/orgs/me/erasure/confirm", body).await
        };
        let unknown = confirm("x").await.expect(400);
        let erased = confirm(&token).await.expect(200);
        assert_eq!((&erased["status"], &erased["orgId"]), (&json!("erased"), &json!(org)));
        assert_eq!(confirm(&token).await.expect(400), unknown, "used");
        for token in [team.as_str(), text(&agent["token"])] {
            eventually("tokens are refused", async || {
                (get_as(cluster, token, "/api/orgs/me").await.status == 401).then_some(())
            })
            .await;
        }
        let found = cluster.store.find_organization(&org.as_str().into()).await.unwrap().unwrap();
        assert_eq!((found.name.as_str(), found.owner_email), ("Erased organization", None));
        // The owner may come back, and others are untouched.
        assert_ne!(new_team(cluster, "ann@example.com").await.0, org);
        cluster.rest().await.send(sms(PHONE, "Hi")).await.unwrap();
    }
}
