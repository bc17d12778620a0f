//! How much an agent and its organization may do and spend: exactly that, over all gateways together.

use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{Account, Agent, Replying as _, Stage, Transport, code, eventually, sms};

const ANN: &str = "+14155550123";
/// One segment to the United States, in dollars.
const PRICE: f64 = 0.0083;

/// Sets limits of the agent, or of the whole organization, and waits until every gateway goes by them.
pub async fn set_limits(stage: &Stage, account: &Account, whole_organization: bool, limits: Value) {
    let mut body = json!({ "limits": limits });
    if !whole_organization {
        body["agentId"] = json!(account.agent);
    }
    let request = stage
        .gateways
        .post("/api/v1/client-limits", &body)
        .bearer_auth(&account.team_token);
    let set = request.reply().await.expect(200);
    assert_eq!(set["success"], true);
    for (name, value) in limits.as_object().unwrap() {
        assert_eq!(&set["limits"][name], value, "{set}");
    }
    if whole_organization {
        return;
    }
    let asked = std::time::Instant::now();
    for index in 0..stage.gateways.count() {
        let agent = Agent::connect_rest(&stage.gateways.only(index), &account.token);
        eventually("the limits are in force", async || {
            let usage = agent.call("comms_get_usage_dashboard", json!({})).await.unwrap();
            limits
                .as_object()
                .unwrap()
                .iter()
                .all(|(name, value)| usage["limits"][name] == *value)
                .then_some(())
        })
        .await;
    }
    assert!(asked.elapsed().as_millis() < 1_500, "{:?}", asked.elapsed());
}

async fn spent_today(agent: &Agent) -> f64 {
    let usage = agent.call("comms_get_usage_dashboard", json!({})).await.unwrap();
    usage["currentUsage"]["spendToday"].as_f64().unwrap()
}

profiles! {
    async fn the_eleventh_message_of_a_minute_is_refused_and_says_why(world: &World) {
        for transport in [Transport::Sse, Transport::Rest] {
            let account = world
                .account
                .colleague(
                    &world.store,
                    &world.gateways,
                    "agent",
                    match transport {
                        Transport::Sse => "+14155550101",
                        _ => "+14155550102",
                    },
                )
                .await;
            let agent = world.agent_of(&account, transport).await;
            let first = sms(ANN, "0");
            agent.send(first.clone()).await.unwrap();
            for turn in 1..10 {
                agent.send(sms(ANN, &turn.to_string())).await.unwrap();
            }
            let asked = world.carriers.requests_total("twilio");
            let refused = agent.send(sms(ANN, "10")).await.unwrap_err();
            assert_eq!((code(&refused), &refused["retryable"]), ("RATE_LIMITED", &json!(true)));
            assert_eq!(refused["scope"], "agent");
            assert_eq!(
                refused["limit"],
                json!({ "window": "minute", "limit": 10, "remaining": 0 })
            );
            // Ten a minute flow back evenly: one in six seconds.
            assert!(
                (1..=6).contains(&refused["retryAfterSeconds"].as_u64().unwrap()),
                "{refused}"
            );
            assert!(refused["error"].as_str().unwrap().to_lowercase().contains("rate limit"));
            // What was sent before may be asked for again: that takes nothing.
            assert_eq!(agent.send(first).await.unwrap()["replayed"], true);
            assert_eq!(world.carriers.requests_total("twilio"), asked);
        }
    }
}

profiles! {
    with [("DEFAULT_MAX_ACTIONS_PER_MINUTE", "1")];
    async fn over_rest_a_rate_limit_has_no_code_and_a_retry_after(world: &World) {
        let agent = world.rest().await;
        agent.send(sms(ANN, "One")).await.unwrap();
        let request = world
            .gateways
            .post("/api/v1/send-message", &sms(ANN, "Two"))
            .bearer_auth(&world.account.token);
        let reply = request.reply().await;
        assert_eq!(reply.status, 429);
        assert!(reply.body.get("code").is_none(), "{}", reply.text);
        assert_eq!(reply.body["reason"], "RATE_LIMITED");
        let seconds: u64 = reply.header("retry-after").unwrap().parse().unwrap();
        assert_eq!(reply.body["retryAfterSeconds"], seconds);
        assert!((1..=60).contains(&seconds));
    }
}

profiles! {
    with [("DEFAULT_MAX_ACTIONS_PER_MINUTE", "none"), ("DEFAULT_MAX_ACTIONS_PER_HOUR", "10")];
    async fn at_once_over_all_gateways_no_more_pass_than_the_limit_says(world: &World) {
        let agent = world.rest().await;
        let sends = (0..30).map(|turn| agent.send(sms(ANN, &turn.to_string())));
        let results = join_all(sends).await;
        let accepted = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(accepted, 10);
        assert!(
            results
                .iter()
                .filter_map(|result| result.as_ref().err())
                .all(|refused| code(refused) == "RATE_LIMITED")
        );
        assert_eq!(world.carriers.accepted_total("twilio"), 10);
    }
}

profiles! {
    with [("DEFAULT_MAX_ACTIONS_PER_MINUTE", "none"), ("DEFAULT_MAX_ACTIONS_PER_HOUR", "10")];
    async fn a_refusal_by_the_organization_takes_nothing_from_the_agent(world: &World) {
        set_limits(world, &world.account, true, json!({ "maxActionsPerDay": 2 })).await;
        let agent = world.rest().await;
        let refused = eventually("the limit is in force", async || agent.send(sms(ANN, "?")).await.err()).await;
        assert_eq!(
            (code(&refused), &refused["scope"]),
            ("RATE_LIMITED", &json!("organization"))
        );
        assert_eq!(refused["limit"]["window"], "day");
        for _ in 0..10 {
            agent.send(sms(ANN, "?")).await.unwrap_err();
        }
        let sent = world.carriers.accepted_total("twilio");
        let body = json!({ "limits": { "maxActionsPerDay": null } });
        let request = world
            .gateways
            .post("/api/v1/client-limits", &body)
            .bearer_auth(&world.account.team_token);
        request.reply().await.expect(200);
        eventually("the limit is gone on every gateway", async || {
            let both = [agent.send(sms(ANN, "!")).await, agent.send(sms(ANN, "!")).await];
            both.iter().all(Result::is_ok).then_some(())
        })
        .await;
        // Ten an hour are the agent's own, and the refused ones took none of them.
        let mut left = 10 - (world.carriers.accepted_total("twilio"));
        assert!(left > 0 && sent >= 2);
        while agent.send(sms(ANN, "!")).await.is_ok() {
            left -= 1;
        }
        assert_eq!(left, 0);
    }
}

profiles! {
    async fn a_message_that_is_not_sent_takes_nothing_from_the_limits(world: &World) {
        let agent = world.rest().await;
        for _ in 0..12 {
            assert_eq!(
                code(&agent.send(sms("nobody", "?")).await.unwrap_err()),
                "INVALID_RECIPIENT"
            );
        }
        agent.send(sms(ANN, "!")).await.unwrap();
    }
}

profiles! {
    with [("DEFAULT_MAX_ACTIONS_PER_MINUTE", "none"), ("DEFAULT_MAX_ACTIONS_PER_HOUR", "10")];
    async fn a_budget_is_never_overspent_and_says_what_is_left(world: &World) {
        set_limits(world, &world.account, false, json!({ "maxSpendPerDay": 0.02 })).await;
        let agent = world.rest().await;
        let results = join_all((0..8).map(|turn| agent.send(sms(ANN, &turn.to_string())))).await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 2);
        let refused = results.into_iter().find_map(Result::err).unwrap();
        assert_eq!(code(&refused), "SPEND_LIMIT");
        assert_eq!(
            (&refused["scope"], &refused["channel"]),
            (&json!("agent"), &json!("sms"))
        );
        assert_eq!(
            (&refused["limit"]["period"], &refused["limit"]["limit"]),
            (&json!("day"), &json!(0.02))
        );
        let request = world
            .gateways
            .post("/api/v1/send-message", &sms(ANN, "?"))
            .bearer_auth(&world.account.token);
        let refused = request.reply().await.expect(402);
        assert!(
            (refused["limit"]["remaining"].as_f64().unwrap() - (0.02 - 2.0 * PRICE)).abs() < 1e-9,
            "{refused}"
        );
        assert!((spent_today(&agent).await - 2.0 * PRICE).abs() < 1e-9);
        assert_eq!(world.carriers.accepted_total("twilio"), 2);
        // A mail is cheap enough for what is left.
        agent
            .send(crate::support::email("ann@example.com", "Cheap"))
            .await
            .unwrap();
        // Who has no money left must not be able to ask without limit: 2 + 6 + 1 + 1 of 10 actions are used.
        set_limits(world, &world.account, false, json!({ "maxSpendPerDay": 10.0 })).await;
        assert_eq!(code(&agent.send(sms(ANN, "?")).await.unwrap_err()), "RATE_LIMITED");
    }
}

profiles! {
    async fn the_budget_of_an_organization_holds_for_all_its_agents_together(world: &World) {
        let colleague = world
            .account
            .colleague(&world.store, &world.gateways, "agent", "+14155550101")
            .await;
        let agents = [world.rest().await, world.agent_of(&colleague, Transport::Rest).await];
        set_limits(world, &world.account, true, json!({ "maxSpendPerMonth": 3.5 * PRICE })).await;
        eventually("the limit is in force", async || {
            let profile = world.store.find_profile(&colleague.agent).await.ok()??;
            profile.org_limits.map(drop)
        })
        .await;
        // What a gateway knows of its callers may be a moment old.
        let refused = eventually("the budget is used up", async || {
            for agent in &agents {
                if let Err(refused) = agent.send(sms(ANN, "?")).await {
                    return Some(refused);
                }
            }
            None
        })
        .await;
        assert_eq!(
            (code(&refused), &refused["scope"]),
            ("SPEND_LIMIT", &json!("organization"))
        );
        assert_eq!(refused["limit"]["period"], "month");
    }
}

profiles! {
    async fn an_administrator_sets_limits_over_mcp_and_nonsense_is_refused(world: &World) {
        let admin = world
            .account
            .colleague(&world.store, &world.gateways, "org-admin", "+14155550101")
            .await;
        let admin = world.agent_of(&admin, Transport::StreamableHttp).await;
        let set = |limits: Value| {
            admin.call(
                "comms_set_agent_limits",
                json!({ "agentId": world.account.agent, "limits": limits }),
            )
        };
        let done = set(json!({ "maxActionsPerHour": 5, "maxSpendPerMonth": null }))
            .await
            .unwrap();
        assert_eq!(done["limits"]["maxActionsPerHour"], 5);
        assert!(done["limits"].get("maxSpendPerMonth").is_none(), "{done}");
        assert_eq!(
            done["limits"]["maxActionsPerDay"], 500,
            "what is not named stays: {done}"
        );
        for nonsense in [
            json!({ "maxActionsPerHour": 0 }),
            json!({ "maxActionsPerHour": -1 }),
            json!({ "maxSpendPerDay": -0.5 }),
            json!({ "maxFooPerDay": 1 }),
            json!("none"),
        ] {
            let refused = set(nonsense.clone()).await.unwrap_err();
            assert_eq!(refused["code"], "INVALID_ARGUMENT", "{nonsense}");
        }
        let agent = world.rest().await;
        eventually("the limit is in force", async || {
            let usage = agent.call("comms_get_usage_dashboard", json!({})).await.unwrap();
            (usage["limits"]["maxActionsPerHour"] == 5).then_some(())
        })
        .await;
    }
}
