//! Rate limits and budgets of agents and organizations: exact across all gateways.

use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{Account, Agent, RequestExt as _, TestContext, Transport, error_code, eventually, sms};

const ANN: &str = "+14155550123";
/// One segment to the United States, in dollars.
const PRICE: f64 = 0.0083;
/// A thousand characters of synthesized speech, in dollars.
const SPEECH_PRICE: f64 = 0.3;

/// Sets limits of the agent or of the whole organization, and waits until every gateway applies them.
pub async fn set_limits(context: &TestContext, account: &Account, whole_organization: bool, limits: Value) {
    let mut body = json!({ "limits": limits });
    if !whole_organization {
        body["agentId"] = json!(account.agent);
    }
    let request = context
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
    let started = std::time::Instant::now();
    for index in 0..context.gateways.count() {
        let agent = Agent::connect_rest(&context.gateways.only(index), &account.token);
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
    assert!(started.elapsed().as_millis() < 1_500, "{:?}", started.elapsed());
}

pub async fn spent_today(agent: &Agent) -> f64 {
    let usage = agent.call("comms_get_usage_dashboard", json!({})).await.unwrap();
    usage["currentUsage"]["spendToday"].as_f64().unwrap()
}

profiles! {
    async fn mail_to_several_people_takes_as_many_actions(cluster: &Cluster) {
        set_limits(cluster, &cluster.account, false, json!({ "maxActionsPerMinute": 5 })).await;
        let agent = cluster.rest().await;
        let mail = |cc: Value| json!({
            "channel": "email", "to": "ann@example.com", "subject": "Hi", "body": "Hi", "cc": cc,
        });
        let one = agent.send(mail(json!([]))).await.unwrap()["cost"].as_f64().unwrap();
        let three = agent.send(mail(json!(["bo@example.com", "cy@example.com"]))).await.unwrap();
        assert!((three["cost"].as_f64().unwrap() - 3.0 * one).abs() < 1e-9, "{three}");
        // One action is left.
        let refused = agent.send(mail(json!(["bo@example.com"]))).await.unwrap_err();
        assert_eq!((error_code(&refused), &refused["limit"]["remaining"]), ("RATE_LIMITED", &json!(1)));
        agent.send(mail(json!([]))).await.unwrap();
        // A mail that never fits is not to be repeated.
        let many: Vec<String> = (0..5).map(|index| format!("p{index}@example.com")).collect();
        let refused = agent.send(mail(json!(many))).await.unwrap_err();
        assert_eq!((error_code(&refused), &refused["retryable"]), ("INVALID_ARGUMENT", &json!(false)));
    }
}

profiles! {
    async fn rate_limits_eleventh_message_of_a_minute(cluster: &Cluster) {
        for transport in [Transport::Sse, Transport::Rest] {
            let account = cluster
                .account
                .add_colleague(
                    &cluster.store,
                    &cluster.gateways,
                    "agent",
                    match transport {
                        Transport::Sse => "+14155550101",
                        _ => "+14155550102",
                    },
                )
                .await;
            let agent = cluster.agent_of(&account, transport).await;
            let first = sms(ANN, "0");
            agent.send(first.clone()).await.unwrap();
            for turn in 1..10 {
                agent.send(sms(ANN, &turn.to_string())).await.unwrap();
            }
            let requests_before = cluster.carriers.requests_total("twilio");
            let refused = agent.send(sms(ANN, "10")).await.unwrap_err();
            assert_eq!((error_code(&refused), &refused["retryable"]), ("RATE_LIMITED", &json!(true)));
            assert_eq!(refused["scope"], "agent");
            assert_eq!(
                refused["limit"],
                json!({ "window": "minute", "limit": 10, "remaining": 0 })
            );
            // Tokens refill evenly: one of ten per minute takes six seconds.
            assert!(
                (1..=6).contains(&refused["retryAfterSeconds"].as_u64().unwrap()),
                "{refused}"
            );
            assert!(refused["error"].as_str().unwrap().to_lowercase().contains("rate limit"));
            // A repeated request consumes no quota.
            assert_eq!(agent.send(first).await.unwrap()["replayed"], true);
            assert_eq!(cluster.carriers.requests_total("twilio"), requests_before);
        }
    }
}

profiles! {
    with [("DEFAULT_MAX_ACTIONS_PER_MINUTE", "1")];
    async fn rest_rate_limit_has_retry_after_and_no_code(cluster: &Cluster) {
        let agent = cluster.rest().await;
        agent.send(sms(ANN, "One")).await.unwrap();
        let request = cluster
            .gateways
            .post("/api/v1/send-message", &sms(ANN, "Two"))
            .bearer_auth(&cluster.account.token);
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
    async fn enforces_limit_across_gateways(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let sends = (0..30).map(|turn| agent.send(sms(ANN, &turn.to_string())));
        let results = join_all(sends).await;
        let accepted = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(accepted, 10);
        assert!(
            results
                .iter()
                .filter_map(|result| result.as_ref().err())
                .all(|refused| error_code(refused) == "RATE_LIMITED")
        );
        assert_eq!(cluster.carriers.accepted_total("twilio"), 10);
    }
}

profiles! {
    with [("DEFAULT_MAX_ACTIONS_PER_MINUTE", "none"), ("DEFAULT_MAX_ACTIONS_PER_HOUR", "10")];
    async fn organization_limit_does_not_consume_agent_quota(cluster: &Cluster) {
        set_limits(cluster, &cluster.account, true, json!({ "maxActionsPerDay": 2 })).await;
        let agent = cluster.rest().await;
        let refused = eventually("the limit is in force", async || agent.send(sms(ANN, "?")).await.err()).await;
        assert_eq!(
            (error_code(&refused), &refused["scope"]),
            ("RATE_LIMITED", &json!("organization"))
        );
        assert_eq!(refused["limit"]["window"], "day");
        for _ in 0..10 {
            agent.send(sms(ANN, "?")).await.unwrap_err();
        }
        let sent = cluster.carriers.accepted_total("twilio");
        let body = json!({ "limits": { "maxActionsPerDay": null } });
        let request = cluster
            .gateways
            .post("/api/v1/client-limits", &body)
            .bearer_auth(&cluster.account.team_token);
        request.reply().await.expect(200);
        // One accepted send per gateway: a send that one of them accepts must not use up the quota while another one still refuses.
        for index in 0..cluster.gateways.count() {
            let gateway = cluster.gateways.only(index);
            let agent = Agent::connect(&gateway, &cluster.account.token, Transport::Rest).await;
            eventually("the limit is removed on this gateway", async || agent.send(sms(ANN, "!")).await.ok()).await;
        }
        // The agent's own ten per hour are untouched by the rejected sends.
        let mut remaining = 10 - (cluster.carriers.accepted_total("twilio"));
        assert!(remaining > 0 && sent >= 2);
        while agent.send(sms(ANN, "!")).await.is_ok() {
            remaining -= 1;
        }
        assert_eq!(remaining, 0);
    }
}

profiles! {
    async fn invalid_message_consumes_no_quota(cluster: &Cluster) {
        let agent = cluster.rest().await;
        for _ in 0..12 {
            assert_eq!(
                error_code(&agent.send(sms("invalid", "?")).await.unwrap_err()),
                "INVALID_RECIPIENT"
            );
        }
        agent.send(sms(ANN, "!")).await.unwrap();
    }
}

profiles! {
    with [("DEFAULT_MAX_ACTIONS_PER_MINUTE", "none"), ("DEFAULT_MAX_ACTIONS_PER_HOUR", "10")];
    async fn never_overspends_budget_and_reports_remainder(cluster: &Cluster) {
        set_limits(cluster, &cluster.account, false, json!({ "maxSpendPerDay": 0.02 })).await;
        let agent = cluster.rest().await;
        let results = join_all((0..8).map(|turn| agent.send(sms(ANN, &turn.to_string())))).await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 2);
        let refused = results.into_iter().find_map(Result::err).unwrap();
        assert_eq!(error_code(&refused), "SPEND_LIMIT");
        assert_eq!(
            (&refused["scope"], &refused["channel"]),
            (&json!("agent"), &json!("sms"))
        );
        assert_eq!(
            (&refused["limit"]["period"], &refused["limit"]["limit"]),
            (&json!("day"), &json!(0.02))
        );
        let request = cluster
            .gateways
            .post("/api/v1/send-message", &sms(ANN, "?"))
            .bearer_auth(&cluster.account.token);
        let refused = request.reply().await.expect(402);
        assert!(
            (refused["limit"]["remaining"].as_f64().unwrap() - (0.02 - 2.0 * PRICE)).abs() < 1e-9,
            "{refused}"
        );
        assert!((spent_today(&agent).await - 2.0 * PRICE).abs() < 1e-9);
        assert_eq!(cluster.carriers.accepted_total("twilio"), 2);
        // The remaining budget covers a mail.
        agent
            .send(crate::support::email("ann@example.com", "Cheap"))
            .await
            .unwrap();
        // Sends rejected for lack of budget count as actions: 2 + 6 + 1 + 1 of 10 are used.
        set_limits(cluster, &cluster.account, false, json!({ "maxSpendPerDay": 10.0 })).await;
        assert_eq!(error_code(&agent.send(sms(ANN, "?")).await.unwrap_err()), "RATE_LIMITED");
    }
}

profiles! {
    async fn shares_organization_budget_between_agents(cluster: &Cluster) {
        let colleague = cluster
            .account
            .add_colleague(&cluster.store, &cluster.gateways, "agent", "+14155550101")
            .await;
        let agents = [cluster.rest().await, cluster.agent_of(&colleague, Transport::Rest).await];
        set_limits(cluster, &cluster.account, true, json!({ "maxSpendPerMonth": 3.5 * PRICE })).await;
        eventually("the limit is in force", async || {
            let profile = cluster.store.find_profile(&colleague.agent).await.ok()??;
            profile.org_limits.map(drop)
        })
        .await;
        // A gateway caches caller profiles for a moment.
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
            (error_code(&refused), &refused["scope"]),
            ("SPEND_LIMIT", &json!("organization"))
        );
        assert_eq!(refused["limit"]["period"], "month");
    }
}

profiles! {
    async fn admin_sets_limits_over_mcp_with_validation(cluster: &Cluster) {
        let admin = cluster
            .account
            .add_colleague(&cluster.store, &cluster.gateways, "org-admin", "+14155550101")
            .await;
        let admin = cluster.agent_of(&admin, Transport::StreamableHttp).await;
        let set = |limits: Value| {
            admin.call(
                "comms_set_agent_limits",
                json!({ "agentId": cluster.account.agent, "limits": limits }),
            )
        };
        let done = set(json!({ "maxActionsPerHour": 5, "maxSpendPerMonth": null }))
            .await
            .unwrap();
        assert_eq!(done["limits"]["maxActionsPerHour"], 5);
        assert!(done["limits"].get("maxSpendPerMonth").is_none(), "{done}");
        assert_eq!(
            done["limits"]["maxActionsPerDay"], 500,
            "other limits keep their values: {done}"
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
        let agent = cluster.rest().await;
        eventually("the limit is in force", async || {
            let usage = agent.call("comms_get_usage_dashboard", json!({})).await.unwrap();
            (usage["limits"]["maxActionsPerHour"] == 5).then_some(())
        })
        .await;
    }
}

profiles! {
    async fn speech_obeys_actions_and_money(cluster: &Cluster) {
        let agent = cluster.rest().await;
        agent.call("comms_generate_tts", json!({ "text": "Hello" })).await.unwrap();
        assert_eq!(spent_today(&agent).await, SPEECH_PRICE);
        set_limits(cluster, &cluster.account, false, json!({ "maxSpendPerDay": SPEECH_PRICE })).await;
        for tool in [("comms_generate_tts", json!({ "text": "Hello" })),
            ("comms_send_voice_message", json!({ "text": "Hello", "to": ANN }))] {
            let refused = agent.call(tool.0, tool.1).await.unwrap_err();
            assert_eq!(refused["code"], "SPEND_LIMIT", "{refused}");
        }
        set_limits(cluster, &cluster.account, false, json!({ "maxSpendPerDay": null, "maxActionsPerMinute": 1 })).await;
        let requests = (0..3).map(|_| agent.call("comms_generate_tts", json!({ "text": "Hello" })));
        let results = join_all(requests).await;
        let made = results.iter().filter(|result| result.is_ok()).count();
        assert!(made <= 1, "{results:?}");
        let refusals: Vec<&Value> = results.iter().filter_map(|result| result.as_ref().err()).collect();
        assert!(refusals.iter().all(|refusal| error_code(refusal) == "RATE_LIMITED"), "{results:?}");
    }
}

profiles! {
    async fn refuses_numbers_that_fraud_aims_at(cluster: &Cluster) {
        let agent = cluster.rest().await;
        for number in ["+881612345678", "+870773123456", "+88213000000", "+19005550123", "+979123456789", "+4490912345678", "+18765551234"] {
            let refused = agent.call("comms_make_call", json!({ "to": number })).await.unwrap_err();
            assert_eq!(refused["code"], "INVALID_RECIPIENT", "{number}: {refused}");
        }
    }
}

profiles! {
    with [("ALLOWED_DESTINATIONS", "+8816,+1876")];
    async fn operator_can_allow_a_destination(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let placed = agent.call("comms_make_call", json!({ "to": "+881612345678" })).await;
        assert_eq!(error_code(&placed.unwrap_err()), "SPEND_LIMIT", "the default budget is below a minute");
        let refused = agent.call("comms_make_call", json!({ "to": "+870773123456" })).await;
        assert_eq!(error_code(&refused.unwrap_err()), "INVALID_RECIPIENT");
        let cost = async |number: &str| {
            let placed = agent.call("comms_make_call", json!({ "to": number })).await.unwrap();
            placed["cost"].as_f64().unwrap()
        };
        assert!(cost("+18765551234").await > cost("+14155550124").await);
    }
}
