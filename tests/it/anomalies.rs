//! Anomalies over REST: a spike of messages, its reaction, announced campaigns, and guessed tokens.

use butt_dial_domain::{Clock, keys};
use butt_dial_store::{BaselineRow, RECENT};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    limits::set_limits,
    support::{Account, Agent, Cluster, RequestExt as _, TestContext, error_code, eventually, sms, with},
};

const PARAMETERS: &str = include_str!("../../deploy/anomalies.toml");
const EACH_SECOND: (&str, &str) = ("ANOMALY_INTERVAL_SECONDS", "1");
const ORCHESTRATOR: &str = "orchestrator-token-of-the-tests-0123456789";

async fn call(context: &TestContext, token: &str, method: &str, path: &str, body: Value) -> crate::support::Reply {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let is_get = method == Method::GET;
    let request = context.gateways.request(method, path);
    let request = if is_get { request } else { request.json(&body) };
    request.bearer_auth(token).reply().await
}

async fn list(context: &TestContext, token: &str) -> Value {
    let reply = call(context, token, "GET", "/api/v1/anomalies", json!({})).await;
    reply.expect(200)["anomalies"].clone()
}

/// Makes a history in which the agent sends four messages within five minutes.
async fn make_history(context: &TestContext, account: &Account) {
    let row = |agent_id: &str| BaselineRow {
        org_id: account.org.to_string(),
        agent_id: agent_id.into(),
        metric: "sent".into(),
        slot: RECENT,
        mean: 4.0,
        samples: 5_000,
        bucket: keys::five_minutes(Clock::System.now()),
    };
    let rows = [row(account.agent.as_str()), row("")];
    context.store.save_baselines(&rows).await.unwrap();
    let limits = json!({ "maxActionsPerMinute": 1_000, "maxActionsPerHour": 1_000, "maxSpendPerDay": 100.0 });
    set_limits(context, account, false, limits).await;
}

async fn send_many(agent: &Agent, count: usize) {
    for batch in (0..count).collect::<Vec<_>>().chunks(20) {
        let sent = batch.iter().map(|n| {
            // Not neighbours: that would be another anomaly.
            let text = sms(&format!("+1415555{:04}", n * 97 % 10_000), "Twenty percent off.");
            agent.send(with(text, json!({ "idempotencyKey": format!("spike-{n}") })))
        });
        for sent in join_all(sent).await {
            sent.unwrap();
        }
    }
}

profiles! {
    with [EACH_SECOND];
    async fn spike_is_listed_with_its_numbers_and_alerted(cluster: &Cluster) {
        let (team, agent) = (&cluster.account.team_token, cluster.rest().await);
        make_history(cluster, &cluster.account).await;
        assert_eq!(list(cluster, team).await, json!([]));
        send_many(&agent, 110).await;
        let found = eventually("the spike is found", async || {
            let listed = list(cluster, team).await;
            (listed[0]["numbers"]["sent"] == 110).then(|| listed[0].clone())
        })
        .await;
        assert_eq!(
            (&found["detector"], &found["severity"], &found["reaction"], &found["state"]),
            (&json!("volume_spike"), &json!("high"), &json!("alert"), &json!("open"))
        );
        assert_eq!(found["agentId"], json!(cluster.account.agent));
        assert!(found["explanation"].as_str().unwrap().starts_with("110 messages were sent within 5 minutes"), "{found}");
        let alert = eventually("its alert is open", async || {
            let alerts = call(cluster, team, "GET", "/api/v1/alerts", json!({})).await.expect(200);
            alerts["alerts"][0].is_object().then(|| alerts["alerts"][0].clone())
        })
        .await;
        assert_eq!((&alert["kind"], &alert["evidence"]["anomaly"]), (&json!("anomaly.volume_spike"), &found["id"]));

        let other = Account::create(&cluster.store, &cluster.gateways, "Other", "+14155550190").await;
        assert_eq!(list(cluster, &other.team_token).await, json!([]));
        let foreign = format!("/api/v1/anomalies/{}/dismiss", found["id"].as_str().unwrap());
        assert_eq!(call(cluster, &other.team_token, "POST", &foreign, json!({})).await.body["code"], "NOT_FOUND");
        let agents = call(cluster, &cluster.account.token, "GET", "/api/v1/anomalies", json!({})).await;
        assert_eq!(agents.body["code"], "AUTH_FORBIDDEN");

        let dismissed = call(cluster, team, "POST", &foreign, json!({})).await.expect(200);
        assert_eq!(dismissed["state"], "dismissed");
        eventually("its alert is resolved and stays so", async || {
            let alerts = call(cluster, team, "GET", "/api/v1/alerts", json!({})).await.expect(200);
            (alerts["alerts"] == json!([])).then_some(())
        })
        .await;
        let audit = call(cluster, team, "GET", "/api/v1/audit?action=anomaly.dismiss", json!({})).await.expect(200);
        assert_eq!(audit["entries"][0]["target"], found["id"]);
    }
}

profiles! {
    with [EACH_SECOND];
    async fn campaigns_are_announced_checked_and_ended(cluster: &Cluster) {
        let team = &cluster.account.team_token;
        let path = "/api/v1/anomalies/announce";
        let until = (Clock::System.now() + chrono::TimeDelta::hours(2)).to_rfc3339();
        for (body, field) in [
            (json!({ "until": "tomorrow", "volume": 9 }), "until"),
            (json!({ "until": "2020-01-01T00:00:00Z", "volume": 9 }), "until"),
            (json!({ "until": until, "volume": 0 }), "volume"),
            (json!({ "until": until, "from": "x", "volume": 9 }), "from"),
        ] {
            let refused = call(cluster, team, "POST", path, body.clone()).await;
            assert_eq!((refused.status, &refused.body["fields"]), (400, &json!([field])), "{body}: {}", refused.text);
        }
        let body = json!({ "agentId": "agt_unknown", "until": until, "volume": 9 });
        assert_eq!(call(cluster, team, "POST", path, body).await.body["code"], "AGENT_NOT_FOUND");
        let body = json!({ "agentId": cluster.account.agent, "until": until, "volume": 200, "note": "autumn sale" });
        let made = call(cluster, team, "POST", path, body).await.expect(201);
        assert_eq!((&made["agentId"], &made["volume"]), (&json!(cluster.account.agent), &json!(200)));

        let colleague = cluster.account.add_colleague(&cluster.store, &cluster.gateways, "agent", "+14155550188").await;
        for account in [&cluster.account, &colleague] {
            make_history(cluster, account).await;
            send_many(&Agent::connect_rest(&cluster.gateways, &account.token), 110).await;
        }
        // The look at the traffic that finds the colleague has seen the messages of the campaign.
        let agents = async || -> Vec<Value> {
            let listed = list(cluster, team).await;
            listed.as_array().unwrap().iter().map(|one| one["agentId"].clone()).collect()
        };
        let found = eventually("the colleague is found", async || Some(agents().await).filter(|all| !all.is_empty())).await;
        assert_eq!(found, [json!(colleague.agent)]);
        let campaigns = "/api/v1/anomalies/campaigns";
        let listed = call(cluster, team, "GET", campaigns, json!({})).await.expect(200);
        assert_eq!(listed["campaigns"][0]["id"], made["id"]);
        let end = format!("{campaigns}/{}", made["id"].as_str().unwrap());
        call(cluster, team, "DELETE", &end, json!({})).await.expect(200);
        assert_eq!(call(cluster, team, "DELETE", &end, json!({})).await.body["code"], "NOT_FOUND");
        eventually("the spike is found without the campaign", async || {
            agents().await.contains(&json!(cluster.account.agent)).then_some(())
        })
        .await;
        let audit = call(cluster, team, "GET", "/api/v1/audit?action=campaign.announce", json!({})).await.expect(200);
        assert_eq!(audit["entries"][0]["detail"]["volume"], 200);
    }
}

/// Starts a program that reacts to spikes.
async fn reacting(reaction: &str) -> Cluster {
    let (before, section) = PARAMETERS.split_once("[volume_spike]").unwrap();
    let section = section.replacen("\"alert\"", &format!("{reaction:?}"), 1);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("anomalies.toml");
    std::fs::write(&file, format!("{before}[volume_spike]{section}")).unwrap();
    // The program has read it when it runs.
    Cluster::embedded(&[EACH_SECOND, ("ANOMALIES_FILE", file.to_str().unwrap())]).await
}

#[tokio::test]
async fn restrained_agent_waits_for_approvals_until_dismissal() {
    let cluster = reacting("confirm").await;
    let (team, agent) = (&cluster.account.team_token, cluster.rest().await);
    let detectors = call(&cluster, team, "GET", "/api/v1/anomalies/detectors", json!({}))
        .await
        .expect(200);
    let spike = &detectors["detectors"][0];
    assert_eq!(
        (&spike["name"], &spike["settings"]["reaction"]),
        (&json!("volume_spike"), &json!("confirm"))
    );
    make_history(&cluster, &cluster.account).await;
    send_many(&agent, 110).await;
    let held = eventually("a message waits for an approval", async || {
        let key = json!({ "idempotencyKey": butt_dial_domain::ids::unique() });
        let sent = agent.send(with(sms("+14155550123", "Hello"), key)).await.unwrap();
        (sent["status"] == "pending_approval").then_some(sent)
    })
    .await;
    let waiting = call(&cluster, team, "GET", "/api/v1/approvals", json!({}))
        .await
        .expect(200);
    assert_eq!(
        (&waiting["messages"][0]["messageId"], &waiting["messages"][0]["rule"]),
        (&held["messageId"], &json!("restrained-agent"))
    );
    let listed = list(&cluster, team).await;
    assert!(listed[0]["reactedAt"].is_string(), "{listed}");
    let audit = call(&cluster, team, "GET", "/api/v1/audit?action=agent.confirm", json!({}))
        .await
        .expect(200);
    assert_eq!(audit["entries"][0]["actor"], "system");
    let dismiss = format!("/api/v1/anomalies/{}/dismiss", listed[0]["id"].as_str().unwrap());
    call(&cluster, team, "POST", &dismiss, json!({})).await.expect(200);
    eventually("messages leave again", async || {
        let key = json!({ "idempotencyKey": butt_dial_domain::ids::unique() });
        let sent = agent.send(with(sms("+14155550123", "Hello"), key)).await.unwrap();
        (sent["status"] == "accepted").then_some(())
    })
    .await;
}

#[tokio::test]
async fn throttled_agent_gets_a_lower_limit() {
    let cluster = reacting("throttle").await;
    let agent = cluster.rest().await;
    make_history(&cluster, &cluster.account).await;
    send_many(&agent, 110).await;
    eventually("the agent is throttled", async || {
        let usage = agent.call("comms_get_usage_dashboard", json!({})).await.unwrap();
        (usage["limits"]["maxActionsPerMinute"] == 6).then_some(())
    })
    .await;
    // A burst of six is left.
    let mut refusal = None;
    for n in 0..30 {
        let key = json!({ "idempotencyKey": format!("after-{n}") });
        refusal = agent.send(with(sms("+14155550123", "Hello"), key)).await.err();
        if refusal.is_some() {
            break;
        }
    }
    let refusal = refusal.unwrap();
    assert_eq!(error_code(&refusal), "RATE_LIMITED");
    assert!(
        refusal["error"].as_str().unwrap().contains("6 actions per minute"),
        "{refusal}"
    );
}

#[tokio::test]
async fn suspended_agent_can_be_activated_and_stays_active() {
    let cluster = reacting("suspend").await;
    let (team, agent) = (&cluster.account.team_token, cluster.rest().await);
    make_history(&cluster, &cluster.account).await;
    send_many(&agent, 110).await;
    eventually("the agent is suspended", async || {
        let key = json!({ "idempotencyKey": butt_dial_domain::ids::unique() });
        let refused = agent.send(with(sms("+14155550123", "Hello"), key)).await.err()?;
        (error_code(&refused) == "AUTH_FORBIDDEN").then_some(())
    })
    .await;
    let event = eventually("the agent gets an event", async || {
        let events = cluster.store.list_events(&cluster.account.agent, 0, 99).await.unwrap();
        events.into_iter().find(|event| event.kind == "agent.suspended")
    })
    .await;
    let reason = event.data["reason"].as_str().unwrap();
    assert!(reason.starts_with("anomaly volume_spike: 1"), "{reason}");
    let audit = call(&cluster, team, "GET", "/api/v1/audit?action=agent.status", json!({}))
        .await
        .expect(200);
    let entry = &audit["entries"][0];
    assert_eq!(
        (&entry["actor"], &entry["detail"]["detector"]),
        (&json!("system"), &json!("volume_spike"))
    );
    let path = format!("/api/v1/agents/{}/status", cluster.account.agent);
    call(&cluster, team, "PUT", &path, json!({ "status": "active" }))
        .await
        .expect(200);
    // The anomaly lasts, and is seen again after the activation.
    let seen = list(&cluster, team).await[0]["lastSeen"].clone();
    eventually("another look has seen it", async || {
        (list(&cluster, team).await[0]["lastSeen"] != seen).then_some(())
    })
    .await;
    let key = json!({ "idempotencyKey": "after" });
    let sent = agent.send(with(sms("+14155550123", "Hello"), key)).await.unwrap();
    assert_eq!(sent["status"], "accepted");
}

profiles! {
    with [EACH_SECOND, ("TRUSTED_PROXIES", "127.0.0.0/8"), ("ORCHESTRATOR_SECURITY_TOKEN", ORCHESTRATOR)];
    async fn guessed_tokens_are_an_anomaly_of_the_installation(cluster: &Cluster) {
        let guess = async |address: usize, n: usize| {
            let request = cluster.gateways.get("/api/v1/agents/me").header("x-forwarded-for", format!("198.51.100.{address}"));
            request.bearer_auth(format!("bda_{address}_{n}_wrong")).reply().await.status
        };
        for address in 0..4 {
            for n in 0..10 {
                assert_eq!(guess(address, n).await, 401);
            }
        }
        let found = eventually("the guesses are found", async || {
            let listed = list(cluster, ORCHESTRATOR).await;
            listed[0].is_object().then(|| listed[0].clone())
        })
        .await;
        assert_eq!((&found["detector"], &found["orgId"]), (&json!("token_guessing"), &Value::Null));
        assert_eq!((&found["numbers"]["failures"], &found["numbers"]["lockouts"]), (&json!(40), &json!(4)));
        assert!(!found.to_string().contains("198.51.100"), "{found}");
        assert_eq!(list(cluster, &cluster.account.team_token).await, json!([]), "not of an organization");
        eventually("its alert is open", async || {
            let alerts = call(cluster, ORCHESTRATOR, "GET", "/api/v1/alerts", json!({})).await.expect(200);
            (alerts["alerts"][0]["kind"] == "anomaly.token_guessing").then_some(())
        })
        .await;
    }
}

/// Two programs answer each other until the contact is paused. Returns the event of the agent.
async fn paused_exchange(context: &TestContext, agent: &Agent, contact: &str) -> Value {
    for n in 0..300 {
        let text = with(
            sms(contact, "Ping"),
            json!({ "idempotencyKey": format!("{contact}-{n}") }),
        );
        if let Err(refused) = agent.send(text).await {
            assert_eq!(error_code(&refused), "CONTACT_PAUSED", "{refused}");
            break;
        }
        context.texts(contact, &format!("Pong {n}")).await;
    }
    let mut paused = None;
    eventually("the agent learns of the pause", async || {
        let mut events = agent.poll_messages().await.into_iter();
        paused = paused
            .take()
            .or(events.find(|event| event["event"] == "contact.paused"));
        paused.clone()
    })
    .await
}

profiles! {
    with [EACH_SECOND];
    async fn pause_of_a_contact_ends_by_dismissal_or_over_rest(cluster: &Cluster) {
        let (team, agent) = (&cluster.account.team_token, cluster.rest().await);
        let limits = json!({ "maxActionsPerMinute": 1_000, "maxActionsPerHour": 1_000 });
        set_limits(cluster, &cluster.account, false, limits).await;
        for (contact, by_dismissal) in [("+14155550123", true), ("+14155550124", false)] {
            let event = paused_exchange(cluster, &agent, contact).await;
            assert_eq!(event["to"], contact, "{event}");
            assert!(event["advice"].as_str().unwrap().contains("/api/v1/contact-pauses/"), "{event}");
            let another = || sms(contact, "Hello?");
            let refused = agent.send(another()).await.unwrap_err();
            assert_eq!((error_code(&refused), &refused["retryable"]), ("CONTACT_PAUSED", &json!(false)), "{refused}");
            let seconds = refused["retryAfterSeconds"].as_u64().unwrap();
            assert!((3_000..=3_600).contains(&seconds) && refused["pausedUntil"] == event["pausedUntil"], "{refused}");
            let checked = agent.call("comms_preflight", another()).await.unwrap_err();
            assert_eq!(error_code(&checked), "CONTACT_PAUSED");
            // Others are not paused.
            agent.send(sms("+14155550199", "Hello")).await.unwrap();
            let pauses = call(cluster, team, "GET", "/api/v1/contact-pauses", json!({})).await.expect(200)["pauses"].clone();
            let pause = &pauses[0];
            assert_eq!((&pause["pauseId"], &pause["contact"]), (&event["pauseId"], &json!(contact)), "{pauses}");
            let path = format!("/api/v1/contact-pauses/{}", pause["pauseId"].as_str().unwrap());
            let by_agent = call(cluster, &cluster.account.token, "DELETE", &path, json!({})).await;
            assert_eq!(by_agent.body["code"], "AUTH_FORBIDDEN");
            match by_dismissal {
                true => {
                    let found = eventually("the anomaly is stored", async || {
                        let listed = list(cluster, team).await;
                        let mut listed = listed.as_array().unwrap().iter();
                        listed.find(|one| one["detector"] == "bot_loop" && one["state"] == "open").cloned()
                    })
                    .await;
                    assert!(found["explanation"].as_str().unwrap().contains("dismiss this anomaly"), "{found}");
                    let dismiss = format!("/api/v1/anomalies/{}/dismiss", found["id"].as_str().unwrap());
                    call(cluster, team, "POST", &dismiss, json!({})).await.expect(200);
                }
                false => drop(call(cluster, team, "DELETE", &path, json!({})).await.expect(200)),
            }
            agent.send(another()).await.unwrap();
            assert_eq!(call(cluster, team, "DELETE", &path, json!({})).await.status, 404);
            // The exchange is seen again, and not paused again.
            let before = list(cluster, team).await;
            let last_seen = |listed: &Value| listed.as_array().unwrap().iter().map(|one| one["lastSeen"].to_string()).max();
            eventually("another sweep has looked", async || {
                (last_seen(&list(cluster, team).await) > last_seen(&before)).then_some(())
            })
            .await;
            agent.send(another()).await.unwrap();
        }
    }
}
