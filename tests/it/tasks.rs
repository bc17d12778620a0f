//! Tasks: the budget of a task over every gateway, what it has spent, and the bill as a table.

use butt_dial_domain::{Channel, Clock};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::{
    accounts::{get_as, post_as},
    support::{Account, Agent, Cluster, Transport, Webhook, error_code, eventually, sms, whatsapp, with},
};

const ANN: &str = "+14155550123";
/// One segment to the United States, in dollars.
const PRICE: f64 = 0.0083;

fn of_task(message: Value, task: &str) -> Value {
    with(message, json!({ "taskId": task }))
}

fn is_near(value: &Value, expected: f64) -> bool {
    value.as_f64().is_some_and(|value| (value - expected).abs() < 0.000_01)
}

async fn task(cluster: &Cluster, id: &str) -> Value {
    let path = format!("/api/v1/tasks/{id}");
    get_as(cluster, &cluster.account.team_token, &path).await.expect(200)
}

async fn set_limit(cluster: &Cluster, body: Value) -> Value {
    let team = &cluster.account.team_token;
    post_as(cluster, team, "/api/v1/task-limits", body).await.expect(200)
}

profiles! {
    async fn concurrent_sends_stay_within_limit_of_task(cluster: &Cluster) {
        let set = set_limit(cluster, json!({ "taskId": "invoice:7", "maxSpend": 3.5 * PRICE })).await;
        assert_eq!((&set["taskId"], &set["spent"]), (&json!("invoice:7"), &json!(0.0)));
        let count = cluster.gateways.count();
        let agents: Vec<Agent> = (0..count)
            .map(|n| Agent::connect_rest(&cluster.gateways.only(n), &cluster.account.token))
            .collect();
        let sends = (0..6).map(|n| agents[n % count].send(of_task(sms(ANN, &n.to_string()), "invoice:7")));
        let (sent, refused): (Vec<_>, Vec<_>) = join_all(sends).await.into_iter().partition(Result::is_ok);
        assert_eq!((sent.len(), cluster.carriers.accepted_total("twilio")), (3, 3));
        for refusal in refused {
            let refusal = refusal.unwrap_err();
            assert_eq!((&refusal["code"], &refusal["scope"]), (&json!("SPEND_LIMIT"), &json!("task")), "{refusal}");
            assert_eq!(refusal["limit"]["period"], "total");
        }
        let agent = &agents[0];
        agent.send(of_task(sms(ANN, "Hi"), "invoice:8")).await.expect("another task");
        agent.send(sms(ANN, "Hi")).await.expect("without a task");
        let view = task(cluster, "invoice:7").await;
        assert!(is_near(&view["spent"], 3.0 * PRICE) && is_near(&view["remaining"], 0.5 * PRICE), "{view}");
        assert!(is_near(&view["maxSpend"], 3.5 * PRICE) && view["reserved"] == 0.0, "{view}");
        set_limit(cluster, json!({ "taskId": "invoice:7", "remove": true })).await;
        agent.send(of_task(sms(ANN, "Hi"), "invoice:7")).await.expect("no limit");
    }
}

profiles! {
    async fn task_stays_with_scheduled_sends_and_fallbacks(cluster: &Cluster) {
        let agent = cluster.agent(Transport::StreamableHttp).await;
        cluster.open_whatsapp_window(ANN).await;
        let message = with(whatsapp(ANN, "One"), json!({ "fallbackChannels": ["sms"], "taskId": "t" }));
        let first = agent.send(message).await.unwrap();
        assert_eq!(first["taskId"], "t");
        let webhook = Webhook::status_with_code(
            cluster, &first["messageId"], &first["providerMessageId"], ("undelivered", "30003"),
        );
        assert_eq!(webhook.post(cluster).await.status, 200);
        let at = Clock::System.now() + chrono::TimeDelta::seconds(1);
        let later = with(sms(ANN, "Two"), json!({ "scheduledAt": at.to_rfc3339(), "taskId": "t" }));
        let scheduled = agent.send(later).await.unwrap();
        assert_eq!(scheduled["taskId"], "t");
        let carried = eventually("both are sent", async || {
            let sent = cluster.carriers.messages_to(ANN);
            (sent.iter().filter(|message| message.channel == Channel::Sms).count() == 2).then_some(())
        });
        carried.await;
        let status = eventually("the scheduled message is accepted", async || {
            let status = agent.status_of(scheduled["messageId"].as_str().unwrap()).await.ok()?;
            (status["status"] == "accepted").then_some(status)
        })
        .await;
        assert_eq!(status["taskId"], "t", "{status}");
        let view = eventually("the task has paid for all", async || {
            let view = task(cluster, "t").await;
            (view["reserved"] == 0.0 && view["spent"].as_f64() > Some(2.0 * PRICE)).then_some(view)
        })
        .await;
        let bill = get_as(cluster, &cluster.account.team_token, "/api/v1/billing?period=all").await.expect(200);
        assert!(is_near(&view["spent"], bill["providerCost"].as_f64().unwrap()), "{view} {bill}");
    }
}

profiles! {
    async fn scheduling_checks_limit_of_task(cluster: &Cluster) {
        set_limit(cluster, json!({ "taskId": "t", "maxSpend": 0 })).await;
        let later = json!({ "scheduledAt": (Clock::System.now() + chrono::TimeDelta::hours(1)).to_rfc3339() });
        let refusal = cluster.rest().await.send(with(of_task(sms(ANN, "Hi"), "t"), later)).await.unwrap_err();
        assert_eq!((&refusal["code"], &refusal["scope"]), (&json!("SPEND_LIMIT"), &json!("task")), "{refusal}");
    }
}

profiles! {
    async fn calls_are_charged_to_their_task(cluster: &Cluster) {
        let agent = cluster.agent(Transport::StreamableHttp).await;
        set_limit(cluster, json!({ "taskId": "t", "maxSpend": 0.0001 })).await;
        for (tool, arguments) in [
            ("comms_make_call", json!({ "to": ANN })),
            ("comms_send_voice_message", json!({ "to": ANN, "text": "Hello" })),
            ("comms_call_on_behalf", json!({ "target": ANN, "requesterPhone": "+14155550177" })),
        ] {
            let refusal = agent.call(tool, of_task(arguments.clone(), "t")).await.unwrap_err();
            assert_eq!((error_code(&refusal), &refusal["scope"]), ("SPEND_LIMIT", &json!("task")), "{tool} {refusal}");
            let invalid = agent.call(tool, of_task(arguments, "a/b")).await.unwrap_err();
            assert_eq!(error_code(&invalid), "INVALID_ARGUMENT", "{tool} {invalid}");
        }
        let call = agent.call("comms_make_call", of_task(json!({ "to": ANN }), "u")).await.unwrap();
        assert_eq!(agent.status_of(call["callId"].as_str().unwrap()).await.unwrap()["taskId"], "u");
        let view = task(cluster, "u").await;
        assert!(view["spent"].as_f64().unwrap() + view["reserved"].as_f64().unwrap() > 0.0, "{view}");
    }
}

/// Returns the lines of a table as cells, without the first one.
fn lines(table: &str) -> Vec<Vec<&str>> {
    assert!(
        table.starts_with("day,agent,channel,task,actions,cost,billed,currency\r\n"),
        "{table}"
    );
    table.lines().skip(1).map(|line| line.split(',').collect()).collect()
}

profiles! {
    async fn exported_lines_add_up_to_the_bill(cluster: &Cluster) {
        let (agent, team) = (cluster.rest().await, &cluster.account.team_token);
        let config = json!({ "markupPercent": 50 });
        post_as(cluster, team, "/api/v1/billing/config", config).await.expect(200);
        for task in ["a", "a", "-b"] {
            agent.send(of_task(sms(ANN, task), task)).await.unwrap();
        }
        agent.send(sms(ANN, "Hi")).await.unwrap();
        let bill = get_as(cluster, team, "/api/v1/billing?period=today").await.expect(200);
        let today = bill["start"].as_str().unwrap();
        for by in ["day", "agent", "channel", "task"] {
            let path = format!("/api/v1/billing/export?from={today}&to={today}&by={by}");
            let reply = get_as(cluster, team, &path).await;
            assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/csv; charset=utf-8")));
            let lines = lines(&reply.text);
            let sum = |column: usize| lines.iter().map(|line| line[column].parse::<f64>().unwrap()).sum::<f64>();
            assert!((sum(4) - 4.0).abs() < 0.1, "{by} {}", reply.text);
            assert!(is_near(&bill["providerCost"], sum(5)) && is_near(&bill["billedCost"], sum(6)), "{}", reply.text);
            let names: Vec<String> = lines.iter().map(|line| line[..4].concat()).collect();
            let expected = match by {
                "day" => vec![today],
                "agent" => vec![cluster.account.agent.host_id()],
                "channel" => vec!["sms"],
                _ => vec!["", "'-b", "a"],
            };
            assert_eq!(names, expected, "{by}");
        }
        for query in ["from=2026-01-01", "from=x&to=2026-01-01", "from=2026-01-02&to=2026-01-01",
            "from=2025-01-01&to=2026-01-02", "from=2026-01-01&to=2026-01-01&by=sender"] {
            let refused = get_as(cluster, team, &format!("/api/v1/billing/export?{query}")).await;
            assert_eq!(refused.status, 400, "{query} {}", refused.text);
        }
        let by_agent = get_as(cluster, &cluster.account.token, "/api/v1/billing/export?from=2026-01-01&to=2026-01-01").await;
        assert_eq!(by_agent.expect(403)["code"], "AUTH_FORBIDDEN");
    }
}

profiles! {
    async fn tasks_are_managed_by_administrators(cluster: &Cluster) {
        let team = &cluster.account.team_token;
        for task in ["a", "b", "c"] {
            set_limit(cluster, json!({ "taskId": task, "maxSpend": 1 })).await;
        }
        let first = get_as(cluster, team, "/api/v1/tasks?limit=2").await.expect(200);
        assert_eq!((first["tasks"].as_array().unwrap().len(), &first["nextCursor"]), (2, &json!("b")));
        let second = get_as(cluster, team, "/api/v1/tasks?limit=2&after=b").await.expect(200);
        assert_eq!((&second["tasks"][0]["taskId"], &second["nextCursor"]), (&json!("c"), &Value::Null));
        assert_eq!(get_as(cluster, team, "/api/v1/tasks/d").await.expect(404)["code"], "NOT_FOUND");
        for body in [
            json!({ "taskId": "a" }),
            json!({ "taskId": "a/b", "maxSpend": 1 }),
            json!({ "taskId": "a", "maxSpend": -1 }),
            json!({ "taskId": "a", "maxSpend": 1, "remove": true }),
        ] {
            let refused = post_as(cluster, team, "/api/v1/task-limits", body.clone()).await;
            assert_eq!(refused.status, 400, "{body} {}", refused.text);
        }
        let admin = cluster.account.add_colleague(&cluster.store, &cluster.gateways, "org-admin", "+14155550101").await;
        let limit = json!({ "taskId": "a", "maxSpend": 9 });
        for token in [&cluster.account.token, &admin.token] {
            assert_eq!(post_as(cluster, token, "/api/v1/task-limits", limit.clone()).await.status, 403);
        }
        let other = Account::create(&cluster.store, &cluster.gateways, "Other", "+14155550190").await;
        assert_eq!(get_as(cluster, &other.team_token, "/api/v1/tasks/a").await.status, 404);
        let none = get_as(cluster, &other.team_token, "/api/v1/tasks").await.expect(200);
        assert_eq!(none, json!({ "tasks": [] }));
    }
}
