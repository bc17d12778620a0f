//! Who gets in: tokens, their ends, and the lock-out of those who guess.

use butt_dial_comms::identity::token;
use butt_dial_domain::{Clock, Scope};
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::{EventStream, Gate, LegacySession, Reply, Replying as _, Stage, Transport, World, eventually};

const ME: &str = "/api/v1/agents/me";

async fn ask(stage: &Stage, token: &str) -> Reply {
    stage.gateways.get(ME).bearer_auth(token).reply().await
}

/// Guesses until the address is locked out; the tenth wrong token is the last one that is looked at.
async fn guess_ten_times(request: impl Fn() -> RequestBuilder) {
    for left in (0..10).rev() {
        let body = request().bearer_auth("bda_wrong").reply().await.expect(401);
        assert_eq!(body["code"], "AUTH_INVALID_TOKEN");
        assert_eq!(body["remainingAttempts"], left);
    }
}

fn expect_locked_out(reply: &Reply) {
    assert_eq!(reply.status, 429, "{}", reply.text);
    let body = &reply.body;
    assert_eq!(
        (&body["code"], &body["retryable"]),
        (&json!("AUTH_LOCKED_OUT"), &json!(true))
    );
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
    async fn a_request_without_a_token_is_told_what_is_missing(world: &World) {
        for path in ["/sse", "/mcp", "/mcp-legacy", ME, "/api/v1/agents", "/api/v1/usage"] {
            let reply = world.gateways.get(path).reply().await;
            assert!(reply.header("www-authenticate").unwrap().starts_with("Bearer"));
            let body = reply.expect(401);
            assert_eq!(
                (&body["code"], &body["retryable"]),
                (&json!("AUTH_MISSING_HEADER"), &json!(false)),
                "{path}"
            );
            assert!(body["error"].is_string());
        }
        let basic = world
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
    async fn ten_wrong_tokens_lock_the_address_out_on_every_gateway(world: &World) {
        guess_ten_times(|| world.gateways.get(ME)).await;
        for index in 0..world.gateways.count() {
            let gateway = world.gateways.only(index);
            // A gateway believes "not locked" for less than a second.
            let locked = eventually("the lock-out is known", async || {
                let reply = gateway.get(ME).bearer_auth(&world.account.token).reply().await;
                (reply.status != 200).then_some(reply)
            })
            .await;
            expect_locked_out(&locked);
            for path in ["/sse", "/mcp"] {
                expect_locked_out(&gateway.get(path).bearer_auth(&world.account.token).reply().await);
            }
            // Nobody is kept from asking how the server is.
            gateway.get("/health").reply().await.expect(200);
        }
    }
}

profiles! {
    async fn a_forwarded_address_is_not_believed_from_anybody(world: &World) {
        let guesses = std::cell::Cell::new(0);
        guess_ten_times(|| {
            guesses.set(guesses.get() + 1);
            world
                .gateways
                .get(ME)
                .header("x-forwarded-for", format!("198.51.100.{}", guesses.get()))
        })
        .await;
        let locked = eventually("the lock-out is known", async || {
            let reply = world
                .gateways
                .get(ME)
                .header("x-forwarded-for", "198.51.100.99")
                .reply()
                .await;
            (reply.status == 429).then_some(reply)
        })
        .await;
        expect_locked_out(&locked);
    }
}

profiles! {
    with [("TRUSTED_PROXIES", "127.0.0.0/8")];
    async fn behind_a_trusted_proxy_only_the_guesser_is_locked_out(world: &World) {
        let from = |address: &str| world.gateways.get(ME).header("x-forwarded-for", address.to_owned());
        // What stands on the left is the guesser's own invention.
        guess_ten_times(|| from("203.0.113.7, 198.51.100.1")).await;
        let locked = eventually("the lock-out is known", async || {
            let reply = from("198.51.100.1").bearer_auth(&world.account.token).reply().await;
            (reply.status == 429).then_some(reply)
        })
        .await;
        expect_locked_out(&locked);
        for other in ["198.51.100.2", "203.0.113.7"] {
            from(other).bearer_auth(&world.account.token).reply().await.expect(200);
        }
    }
}

profiles! {
    async fn a_new_token_ends_the_old_one_and_its_open_streams_within_a_second(world: &World) {
        let first = world.gateways.only(0);
        let mut sse = LegacySession::open(&first, &world.account.token).await;
        assert_eq!(ask(world, &world.account.token).await.status, 200);
        assert_eq!(ask(world, &world.account.token).await.status, 200);
        let other = world.gateways.only(world.gateways.count() - 1);
        let path = format!("/api/v1/agents/{}/regenerate-token", world.account.agent);
        let asked = std::time::Instant::now();
        let made = other
            .post(&path, &json!({}))
            .bearer_auth(&world.account.team_token)
            .reply()
            .await
            .expect(200);
        for index in 0..world.gateways.count() {
            let gateway = world.gateways.only(index);
            let refused = eventually("the old token is dead", async || {
                let reply = gateway.get(ME).bearer_auth(&world.account.token).reply().await;
                (reply.status != 200).then_some(reply)
            })
            .await;
            assert!(asked.elapsed().as_millis() < 1_500, "{:?}", asked.elapsed());
            let body = refused.expect(401);
            assert_eq!(
                (&body["code"], &body["retryable"]),
                (&json!("AUTH_TOKEN_REVOKED"), &json!(false))
            );
            assert!(body["remainingAttempts"].is_u64());
        }
        assert!(sse.events.next().await.is_none(), "the stream of the old token ends");
        let token = made["token"].as_str().unwrap();
        assert_eq!(
            (&made["agent_token"], &made["agentToken"]),
            (&json!(token), &json!(token))
        );
        assert_eq!(ask(world, token).await.status, 200);
        let listed = world
            .gateways
            .get(&format!("/api/v1/agents/{}/tokens", world.account.agent));
        let listed = listed.bearer_auth(&world.account.team_token).reply().await.expect(200);
        assert_eq!(listed["tokens"].as_array().unwrap().len(), 1);
        assert_eq!(listed["tokens"][0]["last_four"], token[token.len() - 4..]);
        assert!(!listed.to_string().contains(token));
    }
}

profiles! {
    async fn an_expired_token_is_refused(world: &World) {
        let now = Clock::System.now();
        let (org, agent) = (&world.account.org, &world.account.agent);
        let expired = token::mint(
            &world.store,
            org,
            Some(agent),
            Scope::Agent,
            Some(now - TimeDelta::seconds(1)),
            now,
        );
        let body = ask(world, &expired.await.unwrap().secret).await.expect(401);
        assert_eq!(body["code"], "AUTH_TOKEN_REVOKED");
        assert!(body["error"].as_str().unwrap().contains("expired"));
    }
}

profiles! {
    async fn a_team_token_is_no_agent(world: &World) {
        let team = &world.account.team_token;
        for path in [
            "/sse",
            "/mcp",
            ME,
            "/api/v1/usage",
            "/api/v1/waiting-messages",
            "/api/v1/channel-status",
        ] {
            let body = world.gateways.get(path).bearer_auth(team).reply().await.expect(401);
            assert_eq!(
                (&body["code"], &body["retryable"]),
                (&json!("AUTH_WRONG_SCOPE"), &json!(false)),
                "{path}"
            );
        }
        // It is a good token at the wrong door: that counts as no guess.
        for _ in 0..10 {
            world.gateways.get("/sse").bearer_auth(team).reply().await.expect(401);
        }
        world
            .gateways
            .get("/api/v1/agents")
            .bearer_auth(team)
            .reply()
            .await
            .expect(200);
    }
}

profiles! {
    async fn an_agent_is_no_administrator(world: &World) {
        let own = format!("/api/v1/agents/{}/tokens", world.account.agent);
        let token = &world.account.token;
        for path in ["/api/v1/agents", own.as_str()] {
            let body = world.gateways.get(path).bearer_auth(token).reply().await.expect(403);
            assert_eq!(body["code"], "AUTH_FORBIDDEN");
        }
        let writes: [(&str, Value); 3] = [
            ("/api/v1/agents", json!({ "display_name": "Mallory" })),
            ("/api/v1/client-limits", json!({ "limits": { "maxActionsPerDay": 9 } })),
            ("/api/v1/agents/x/regenerate-token", json!({})),
        ];
        for (path, body) in writes {
            let refused = world
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
    async fn an_administrator_makes_nobody_more_powerful_than_itself(world: &World) {
        for scope in ["super-admin", "root", ""] {
            let body = json!({ "display_name": "Mallory", "scope": scope });
            let request = world
                .gateways
                .post("/api/v1/agents", &body)
                .bearer_auth(&world.account.team_token);
            assert_eq!(request.reply().await.expect(400)["code"], "INVALID_ARGUMENT");
        }
    }
}

/// Both push streams of an agent end with its token, whichever gateway holds them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_on_both_gateways_end_with_the_token_servers() {
    let world = World::servers(&[]).await;
    let colleague = world
        .account
        .colleague(&world.store, &world.gateways, "agent", "+14155550101")
        .await;
    let mut streams = Vec::new();
    for index in 0..2 {
        streams.push(LegacySession::open(&world.gateways.only(index), &world.account.token).await);
    }
    let kept = world.agent_of(&colleague, Transport::Sse).await;
    let session = crate::support::HttpSession::open(&world.gateways, "/mcp", &world.account.token).await;
    let push: EventStream = session.push_stream(&world.gateways.only(0)).await;
    let path = format!("/api/v1/agents/{}/regenerate-token", world.account.agent);
    let request = world
        .gateways
        .post(&path, &json!({}))
        .bearer_auth(&world.account.team_token);
    request.reply().await.expect(200);
    for stream in streams {
        stream.events.end().await;
    }
    push.end().await;
    kept.call("comms_ping", json!({})).await.unwrap();
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_asked_for_is_done_whole_though_the_caller_hangs_up_servers() {
    let mut world = World::servers(&[]).await;
    let mut gate = Gate::close(&world.backends().database_url, "tokens").await;
    let path = format!("/api/v1/agents/{}/regenerate-token", world.account.agent);
    let request = world
        .gateways
        .post(&path, &json!({}))
        .bearer_auth(&world.account.team_token);
    tokio::select! {
        reply = request.reply() => panic!("answered too early: {}", reply.text),
        () = gate.is_reached() => {}
    }
    gate.open().await;
    eventually("the old token is dead", async || {
        (ask(&world, &world.account.token).await.status == 401).then_some(())
    })
    .await;
    world.end().await;
}
