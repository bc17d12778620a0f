//! Authentication: tokens, their revocation and expiry, and the lockout after wrong tokens.

use butt_dial_domain::{Clock, Scope};
use butt_dial_identity::token::{self, TokenRequest};
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::{
    Cluster, EventStream, LegacySession, Reply, RequestExt as _, TestContext, Transport, WriteBarrier, eventually,
    setup,
};

const ME: &str = "/api/v1/agents/me";

async fn get_me(context: &TestContext, token: &str) -> Reply {
    context.gateways.get(ME).bearer_auth(token).reply().await
}

/// Sends ten wrong tokens; the tenth one locks the address out.
async fn send_ten_wrong_tokens(request: impl Fn() -> RequestBuilder) {
    for remaining in (0..10).rev() {
        let body = request().bearer_auth("bda_wrong").reply().await.expect(401);
        assert_eq!(body["code"], "AUTH_INVALID_TOKEN");
        assert_eq!(body["remainingAttempts"], remaining);
    }
}

/// Sends wrong tokens until the lockout is in force. A gateway caches "not locked" for less than a second.
async fn lockout_of(request: impl Fn() -> RequestBuilder) -> Reply {
    eventually("the lockout is in force", async || {
        let reply = request().bearer_auth("bda_wrong").reply().await;
        (reply.status == 429).then_some(reply)
    })
    .await
}

fn expect_locked_out(reply: &Reply) {
    assert_eq!(reply.status, 429, "{}", reply.text);
    let body = &reply.body;
    assert_eq!(
        (&body["code"], &body["retryable"]),
        (&json!("AUTH_LOCKED_OUT"), &json!(true))
    );
    assert!(body["remediation"].is_string());
    let seconds: i64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((800..=900).contains(&seconds), "{seconds}");
    assert_eq!(
        (&body["retryAfterSeconds"], &body["retry_after_seconds"]),
        (&json!(seconds), &json!(seconds))
    );
    let until: DateTime<Utc> = body["lockedUntil"].as_str().unwrap().parse().unwrap();
    assert_eq!(body["locked_until"], body["lockedUntil"]);
    let left = until - Clock::System.now();
    assert!(
        left > TimeDelta::minutes(13) && left <= TimeDelta::minutes(15),
        "{left}"
    );
}

profiles! {
    async fn rejects_request_without_token(cluster: &Cluster) {
        for path in ["/sse", "/mcp", "/mcp-legacy", ME, "/api/v1/agents", "/api/v1/usage"] {
            let reply = cluster.gateways.get(path).reply().await;
            assert!(reply.header("www-authenticate").unwrap().starts_with("Bearer"));
            let body = reply.expect(401);
            assert_eq!(
                (&body["code"], &body["retryable"]),
                (&json!("AUTH_MISSING_HEADER"), &json!(false)),
                "{path}"
            );
            assert!(body["error"].is_string());
        }
        let basic = cluster
            .gateways
            .get(ME)
            .basic_auth("a", Some("b"))
            .reply()
            .await
            .expect(401);
        assert_eq!(basic["code"], "AUTH_MISSING_HEADER");
    }
}

profiles! {
    async fn locks_out_guessing_address_on_all_gateways(cluster: &Cluster) {
        send_ten_wrong_tokens(|| cluster.gateways.get(ME)).await;
        for index in 0..cluster.gateways.count() {
            let gateway = cluster.gateways.only(index);
            expect_locked_out(&lockout_of(|| gateway.get(ME)).await);
            for path in ["/sse", "/mcp"] {
                expect_locked_out(&gateway.get(path).bearer_auth("bda_wrong").reply().await);
            }
            // The address may belong to many clients: valid tokens still work.
            for token in [&cluster.account.token, &cluster.account.team_token] {
                let reply = gateway.get("/api/v1/agents").bearer_auth(token).reply().await;
                assert!([200, 403].contains(&reply.status), "{}", reply.text);
            }
            gateway.get("/health").reply().await.expect(200);
        }
    }
}

profiles! {
    async fn revoked_token_does_not_count_as_a_guess(cluster: &Cluster) {
        let path = format!("/api/v1/agents/{}/regenerate-token", cluster.account.agent);
        let request = cluster.gateways.post(&path, &json!({})).bearer_auth(&cluster.account.team_token);
        let token = request.reply().await.expect(200)["token"].as_str().unwrap().to_owned();
        eventually("the old token is revoked", async || {
            (get_me(cluster, &cluster.account.token).await.status == 401).then_some(())
        })
        .await;
        for _ in 0..12 {
            let body = get_me(cluster, &cluster.account.token).await.expect(401);
            assert_eq!((&body["code"], &body["remainingAttempts"]), (&json!("AUTH_TOKEN_REVOKED"), &json!(10)));
        }
        assert_eq!(get_me(cluster, &token).await.status, 200);
        let body = get_me(cluster, "bda_wrong").await.expect(401);
        assert_eq!(body["remainingAttempts"], 9);
    }
}

profiles! {
    async fn ignores_forwarded_address_from_untrusted_peer(cluster: &Cluster) {
        let attempts = std::cell::Cell::new(0);
        send_ten_wrong_tokens(|| {
            attempts.set(attempts.get() + 1);
            cluster
                .gateways
                .get(ME)
                .header("x-forwarded-for", format!("198.51.100.{}", attempts.get()))
        })
        .await;
        let locked = lockout_of(|| cluster.gateways.get(ME).header("x-forwarded-for", "198.51.100.99"));
        expect_locked_out(&locked.await);
    }
}

profiles! {
    with [("TRUSTED_PROXIES", "127.0.0.0/8")];
    async fn locks_out_only_guessing_client_behind_trusted_proxy(cluster: &Cluster) {
        let from = |address: &str| cluster.gateways.get(ME).header("x-forwarded-for", address.to_owned());
        // The client controls the left part of the header.
        send_ten_wrong_tokens(|| from("203.0.113.7, 198.51.100.1")).await;
        expect_locked_out(&lockout_of(|| from("198.51.100.1")).await);
        for other in ["198.51.100.2", "203.0.113.7"] {
            from(other).bearer_auth(&cluster.account.token).reply().await.expect(200);
            from(other).bearer_auth("bda_wrong").reply().await.expect(401);
        }
    }
}

profiles! {
    async fn regenerated_token_revokes_old_token_and_streams_at_once(cluster: &Cluster) {
        let first = cluster.gateways.only(0);
        let mut sse = LegacySession::open(&first, &cluster.account.token).await;
        assert_eq!(get_me(cluster, &cluster.account.token).await.status, 200);
        assert_eq!(get_me(cluster, &cluster.account.token).await.status, 200);
        let other = cluster.gateways.only(cluster.gateways.count() - 1);
        let path = format!("/api/v1/agents/{}/regenerate-token", cluster.account.agent);
        let started = std::time::Instant::now();
        let regenerated = other
            .post(&path, &json!({}))
            .bearer_auth(&cluster.account.team_token)
            .reply()
            .await
            .expect(200);
        for index in 0..cluster.gateways.count() {
            let gateway = cluster.gateways.only(index);
            let refused = eventually("the old token is revoked", async || {
                let reply = gateway.get(ME).bearer_auth(&cluster.account.token).reply().await;
                (reply.status != 200).then_some(reply)
            })
            .await;
            assert!(started.elapsed().as_millis() < 1_500, "{:?}", started.elapsed());
            let body = refused.expect(401);
            assert_eq!(
                (&body["code"], &body["retryable"]),
                (&json!("AUTH_TOKEN_REVOKED"), &json!(false))
            );
            assert!(body["remainingAttempts"].is_u64());
        }
        assert!(sse.events.next().await.is_none(), "the stream of the old token ends");
        let token = regenerated["token"].as_str().unwrap();
        assert_eq!(
            (&regenerated["agent_token"], &regenerated["agentToken"]),
            (&json!(token), &json!(token))
        );
        assert_eq!(get_me(cluster, token).await.status, 200);
        let listed = cluster
            .gateways
            .get(&format!("/api/v1/agents/{}/tokens", cluster.account.agent));
        let listed = listed.bearer_auth(&cluster.account.team_token).reply().await.expect(200);
        assert_eq!(listed["tokens"].as_array().unwrap().len(), 1);
        assert_eq!(listed["tokens"][0]["last_four"], token[token.len() - 4..]);
        assert!(!listed.to_string().contains(token));
    }
}

profiles! {
    async fn rejects_expired_token(cluster: &Cluster) {
        let now = Clock::System.now();
        let (org, agent) = (&cluster.account.org, &cluster.account.agent);
        let request = TokenRequest {
            expires_at: Some(now - TimeDelta::seconds(1)),
            ..TokenRequest::new(org, Some(agent), Scope::Agent)
        };
        let expired = token::mint(&cluster.store.change(setup()), &request, now).await;
        let body = get_me(cluster, &expired.unwrap().secret).await.expect(401);
        assert_eq!(body["code"], "AUTH_TOKEN_REVOKED");
        assert!(body["error"].as_str().unwrap().contains("expired"));
    }
}

profiles! {
    async fn rejects_team_token_on_agent_routes(cluster: &Cluster) {
        let team = &cluster.account.team_token;
        for path in [
            "/sse",
            "/mcp",
            ME,
            "/api/v1/usage",
            "/api/v1/waiting-messages",
            "/api/v1/channel-status",
        ] {
            let body = cluster.gateways.get(path).bearer_auth(team).reply().await.expect(401);
            assert_eq!(
                (&body["code"], &body["retryable"]),
                (&json!("AUTH_WRONG_SCOPE"), &json!(false)),
                "{path}"
            );
        }
        // A valid token on the wrong route does not count as a failed attempt.
        for _ in 0..10 {
            cluster.gateways.get("/sse").bearer_auth(team).reply().await.expect(401);
        }
        cluster
            .gateways
            .get("/api/v1/agents")
            .bearer_auth(team)
            .reply()
            .await
            .expect(200);
    }
}

profiles! {
    async fn rejects_agent_token_on_admin_routes(cluster: &Cluster) {
        let own = format!("/api/v1/agents/{}/tokens", cluster.account.agent);
        let token = &cluster.account.token;
        for path in ["/api/v1/agents", own.as_str()] {
            let body = cluster.gateways.get(path).bearer_auth(token).reply().await.expect(403);
            assert_eq!(body["code"], "AUTH_FORBIDDEN");
        }
        let writes: [(&str, Value); 3] = [
            ("/api/v1/agents", json!({ "display_name": "Mallory" })),
            ("/api/v1/client-limits", json!({ "limits": { "maxActionsPerDay": 9 } })),
            ("/api/v1/agents/x/regenerate-token", json!({})),
        ];
        for (path, body) in writes {
            let refused = cluster
                .gateways
                .post(path, &body)
                .bearer_auth(token)
                .reply()
                .await
                .expect(403);
            assert_eq!(refused["code"], "AUTH_FORBIDDEN", "{path}");
        }
    }
}

profiles! {
    async fn rejects_agent_with_scope_above_admin(cluster: &Cluster) {
        for scope in ["super-admin", "root", ""] {
            let body = json!({ "display_name": "Mallory", "scope": scope });
            let request = cluster
                .gateways
                .post("/api/v1/agents", &body)
                .bearer_auth(&cluster.account.team_token);
            assert_eq!(request.reply().await.expect(400)["code"], "INVALID_ARGUMENT");
        }
    }
}

profiles! {
    async fn closes_streams_and_waits_without_notification(cluster: &Cluster) {
        let gateway = cluster.gateways.only(0);
        let sse = LegacySession::open(&gateway, &cluster.account.token).await;
        let attending = gateway
            .post("/api/v1/calls/attend", &json!({ "waitMs": 50_000 }))
            .bearer_auth(&cluster.account.token)
            .reply();
        // The bus does not report it: the other gateway had no bus, or the message was lost.
        let revoking = async {
            cluster.wait_until_agent_attends().await;
            let (org, agent) = (&cluster.account.org, &cluster.account.agent);
            cluster.store.change(setup()).revoke_tokens(org, Some(agent), None, Clock::System.now()).await.unwrap();
            sse.events.read_to_end().await;
        };
        let (reply, ()) = tokio::join!(attending, revoking);
        assert_eq!(reply.expect(401)["code"], "AUTH_TOKEN_REVOKED");
    }
}

profiles! {
    with [("STREAMS_PER_AGENT", "2"), ("WAITS_PER_AGENT", "2")];
    async fn bounds_streams_and_waits_of_an_agent(cluster: &Cluster) {
        let gateway = cluster.gateways.only(0);
        let open = async || LegacySession::open(&gateway, &cluster.account.token).await;
        let (oldest, _second, _third) = (open().await, open().await, open().await);
        oldest.events.read_to_end().await;

        let attend = || gateway.post("/api/v1/calls/attend", &json!({ "waitMs": 2_000 }));
        let attend = || attend().bearer_auth(&cluster.account.token).reply();
        let replies = futures::future::join_all((0..5).map(|_| attend())).await;
        let refused: Vec<&Reply> = replies.iter().filter(|reply| reply.status == 429).collect();
        assert_eq!(refused.len(), 3, "{:?}", replies.iter().map(|reply| reply.status).collect::<Vec<_>>());
        // A 429 has `reason` where others have `code` (butt-dial-sdk).
        assert_eq!((&refused[0].body["reason"], &refused[0].body["limit"]), (&json!("RATE_LIMITED"), &json!(2)));
        attend().await.expect(200);
    }
}

/// Push streams on all gateways end with their token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closes_streams_on_all_gateways_on_token_change_servers() {
    let cluster = Cluster::servers(&[]).await;
    let colleague = cluster
        .account
        .add_colleague(&cluster.store, &cluster.gateways, "agent", "+14155550101")
        .await;
    let mut streams = Vec::new();
    for index in 0..2 {
        streams.push(LegacySession::open(&cluster.gateways.only(index), &cluster.account.token).await);
    }
    let kept = cluster.agent_of(&colleague, Transport::Sse).await;
    let session = crate::support::HttpSession::open(&cluster.gateways, "/mcp", &cluster.account.token).await;
    let push: EventStream = session.push_stream(&cluster.gateways.only(0)).await;
    let path = format!("/api/v1/agents/{}/regenerate-token", cluster.account.agent);
    let request = cluster
        .gateways
        .post(&path, &json!({}))
        .bearer_auth(&cluster.account.team_token);
    request.reply().await.expect(200);
    for stream in streams {
        stream.events.read_to_end().await;
    }
    push.read_to_end().await;
    kept.call("comms_ping", json!({})).await.unwrap();
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn completes_request_after_client_disconnect_servers() {
    let mut cluster = Cluster::servers(&[]).await;
    let mut barrier = WriteBarrier::install(&cluster.backends().database_url, "tokens").await;
    let path = format!("/api/v1/agents/{}/regenerate-token", cluster.account.agent);
    let request = cluster
        .gateways
        .post(&path, &json!({}))
        .bearer_auth(&cluster.account.team_token);
    tokio::select! {
        reply = request.reply() => panic!("response before the barrier was released: {}", reply.text),
        () = barrier.wait_until_reached() => {}
    }
    barrier.release().await;
    eventually("the old token is revoked", async || {
        (get_me(&cluster, &cluster.account.token).await.status == 401).then_some(())
    })
    .await;
    cluster.shut_down().await;
}

/// Clients behind a proxy are distinguished, whatever form the proxy's header has; an unreadable one counts against no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_wrong_tokens_per_client_behind_proxy() {
    let cluster = Cluster::embedded(&[("TRUSTED_PROXIES", "127.0.0.0/8")]).await;
    let from = |name: &'static str, value: &[u8], token: &str| {
        let value = http::HeaderValue::from_bytes(value).unwrap();
        cluster.gateways.get(ME).header(name, value).bearer_auth(token)
    };
    for host in 0..12 {
        let address = format!("9.9.9.{host}:40{host:02}");
        from("x-forwarded-for", address.as_bytes(), "bda_wrong")
            .reply()
            .await
            .expect(401);
        let unreadable = from("x-forwarded-for", b"\xff, 5.5.5.5", "bda_wrong").reply().await;
        assert!(matches!(unreadable.status, 400 | 401 | 429), "{}", unreadable.text);
    }
    for (name, value) in [
        ("x-forwarded-for", "8.8.4.4:55555"),
        ("x-forwarded-for", "[2001:db8::7]:443"),
        ("forwarded", "for=\"[2001:db8::7]:443\""),
        ("x-real-ip", "8.8.4.4"),
        ("x-other", ""),
    ] {
        let reply = from(name, value.as_bytes(), &cluster.account.token).reply().await;
        assert_eq!(reply.status, 200, "{name}: {}", reply.text);
    }
    for port in 1..=12 {
        from("forwarded", format!("for=\"7.7.7.7:{port}\"").as_bytes(), "bda_wrong")
            .reply()
            .await;
    }
    let locked = from("x-forwarded-for", b"7.7.7.7:99", "bda_wrong").reply().await;
    expect_locked_out(&locked);
    cluster.shut_down().await;
}
