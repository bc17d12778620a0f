//! WhatsApp through Meta: people without a number, groups, marketing opt-outs, late messages and broken batches.

use butt_dial_domain::Clock;
use butt_dial_providers::SimulatorState;
use serde_json::{Value, json};

use crate::support::{Agent, Cluster, Webhook, bodies, eventually, whatsapp, with};

const ID: &str = "US.13491208655302741918";
const ANN: &str = "+14165550123";

async fn cluster() -> Cluster {
    Cluster::embedded_with(&["meta"], &[]).await
}

fn message(id: &str, sender: Value, content: Value) -> Value {
    let mut message = json!({ "id": id, "timestamp": Clock::System.now().timestamp().to_string(), "type": "text",
        "text": { "body": "Hello" } });
    message = with(message, sender);
    with(message, content)
}

async fn deliver(cluster: &Cluster, field: &str, value: Value) {
    let status = Webhook::meta(cluster, field, value).post(cluster).await.status;
    assert_eq!(status, 200);
}

fn template(to: &str) -> Value {
    with(whatsapp(to, ""), json!({ "templateId": "booking:pt_BR" }))
}

/// Returns the carrier's last message.
fn last_sent(carriers: &SimulatorState) -> (String, String) {
    let sent = carriers.messages();
    let last = sent.last().expect("a message");
    (last.to.clone(), last.body.clone())
}

async fn refusal(agent: &Agent, message: Value) -> Value {
    agent.send(message).await.unwrap_err()["code"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_people_without_number_and_groups() {
    let cluster = cluster().await;
    let agent = cluster.rest().await;
    let contact = json!({ "profile": { "name": "Ann" }, "user_id": ID });
    let written = message("wamid.1", json!({ "from_user_id": ID }), json!({}));
    deliver(
        &cluster,
        "messages",
        json!({ "contacts": [contact], "messages": [written] }),
    )
    .await;
    let group = message(
        "wamid.2",
        json!({ "from": "14165550123", "group_id": "120363025555550000" }),
        json!({}),
    );
    deliver(&cluster, "messages", json!({ "messages": [group] })).await;
    let events = agent.expect_events(2).await;
    assert_eq!(
        (&events[0]["from"], &events[0]["senderName"]),
        (&json!(ID), &json!("Ann"))
    );
    assert_eq!(
        (&events[1]["isGroup"], &events[1]["groupId"]),
        (&json!(true), &json!("120363025555550000"))
    );
    assert_eq!(events[1]["from"], ANN);
    for event in &events {
        let reply_to = event["replyTo"].as_str().unwrap();
        agent.send(whatsapp(reply_to, "Hello back")).await.unwrap();
        assert_eq!(
            last_sent(&cluster.carriers),
            (reply_to.to_owned(), "Hello back".to_owned())
        );
    }
    agent.send(template(ANN)).await.unwrap();
    assert_eq!(last_sent(&cluster.carriers).1, "[booking:pt_BR]");
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn change_of_number_keeps_consent() {
    let cluster = cluster().await;
    let agent = cluster.rest().await;
    let stop = message(
        "wamid.1",
        json!({ "from": "14165550123" }),
        json!({ "text": { "body": "STOP" } }),
    );
    deliver(&cluster, "messages", json!({ "messages": [stop] })).await;
    let system = json!({ "type": "system", "text": null, "system": { "type": "user_changed_number", "wa_id": "14165550188",
        "user_id": ID, "body": "Ann changed from 1 to 2" } });
    let changed = message("wamid.2", json!({ "from": "14165550123" }), system);
    deliver(&cluster, "messages", json!({ "messages": [changed] })).await;
    let events = agent.expect_events(2).await;
    assert_eq!(events[1]["replyTo"], "+14165550188");
    assert!(events[1]["body"].as_str().unwrap().contains("+14165550188"));
    for to in ["+14165550188", ID, ANN] {
        assert_eq!(refusal(&agent, template(to)).await, "CONTACT_OPTED_OUT", "{to}");
    }
    // Another person gets the old number.
    let start = message(
        "wamid.3",
        json!({ "from": "14165550123" }),
        json!({ "text": { "body": "START" } }),
    );
    deliver(&cluster, "messages", json!({ "messages": [start] })).await;
    agent.expect_events(1).await;
    agent.send(template(ANN)).await.unwrap();
    assert_eq!(refusal(&agent, template("+14165550188")).await, "CONTACT_OPTED_OUT");
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn marketing_opt_out_stops_templates_until_resumed() {
    let cluster = cluster().await;
    let agent = cluster.rest().await;
    let choose = async |value: &str| {
        let choice = json!({ "wa_id": "14165550123", "category": "marketing_messages", "value": value });
        deliver(&cluster, "user_preferences", json!({ "user_preferences": [choice] })).await;
        let event = agent.expect_events(1).await.remove(0);
        assert!(event["body"].as_str().unwrap().contains(value), "{event}");
    };
    choose("stop").await;
    assert_eq!(refusal(&agent, template(ANN)).await, "CONTACT_OPTED_OUT");
    // A person who writes may be answered.
    let written = message("wamid.1", json!({ "from": "14165550123" }), json!({}));
    deliver(&cluster, "messages", json!({ "messages": [written] })).await;
    agent.expect_events(1).await;
    agent.send(whatsapp(ANN, "Hello back")).await.unwrap();
    assert_eq!(refusal(&agent, template(ANN)).await, "CONTACT_OPTED_OUT");
    choose("resume").await;
    let receipt = agent.send(template(ANN)).await.unwrap();

    // Meta refuses the next one for the same reason.
    let status = json!({ "id": receipt["providerMessageId"], "status": "failed", "errors": [{ "code": 131050 }] });
    deliver(&cluster, "messages", json!({ "statuses": [status], "messages": null })).await;
    eventually("the opt-out is known", async || {
        let failed = agent.send(template(ANN)).await.err()?;
        (failed["code"] == "CONTACT_OPTED_OUT").then_some(())
    })
    .await;
    agent.send(whatsapp(ANN, "Still in the window")).await.unwrap();
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn window_begins_when_the_person_wrote() {
    let cluster = cluster().await;
    let agent = cluster.rest().await;
    for (hours, from) in [(25, "14165550151"), (23, "14165550152")] {
        let at = Clock::System.now() - chrono::TimeDelta::hours(hours);
        let late = json!({ "from": from, "timestamp": at.timestamp().to_string() });
        let late = message(&format!("wamid.{from}"), late, json!({}));
        deliver(&cluster, "messages", json!({ "messages": [late] })).await;
    }
    agent.expect_events(2).await;
    assert_eq!(
        refusal(&agent, whatsapp("+14165550151", "Hello")).await,
        "WHATSAPP_WINDOW_CLOSED"
    );
    agent.send(whatsapp("+14165550152", "Hello")).await.unwrap();
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bad_entry_costs_no_other() {
    let cluster = cluster().await;
    let agent = cluster.rest().await;
    let from = json!({ "from": "14165550123" });
    let value = json!({
        "contacts": [{ "profile": { "name": "Ann HALF" }, "wa_id": "14165550123" }],
        "errors": null,
        "messages": [
            message("wamid.1", from.clone(), json!({ "text": { "body": "One HALF" } })),
            7,
            message("wamid.2", from.clone(), json!({ "type": "hologram", "text": null })),
            message("wamid.3\u{0}", from, json!({ "text": { "body": "Three" } })),
        ],
        "metadata": { "display_phone_number": cluster.account.phone.trim_start_matches('+') },
    });
    let body = json!({ "entry": [
        { "changes": null }, { "changes": [{ "field": "messages", "value": value }] },
    ] });
    let body = body.to_string().replace("HALF", r"\ud83d");
    assert_eq!(Webhook::meta_body(&cluster, body).post(&cluster).await.status, 200);
    let events = agent.expect_events(3).await;
    let unsupported = "[a message that can't be shown here: hologram]";
    assert_eq!(bodies(&events), ["One \u{fffd}", unsupported, "Three"]);
    let malformed = r#"bd_webhook_notices_total{carrier="meta",result="malformed"}"#;
    assert_eq!(cluster.metric_total(malformed).await, 1.0);
    cluster.shut_down().await;
}

/// A template is reserved as marketing. Meta reports its category, and not its price.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn template_costs_what_its_reported_category_costs() {
    let cluster = cluster().await;
    let agent = cluster.rest().await;
    let reserved = agent.send(template(ANN)).await.unwrap();
    assert_eq!(reserved["cost"], 0.025, "{reserved}");
    let costs = async |pricing: Value, cost: f64| {
        let status = json!({ "id": reserved["providerMessageId"], "status": "delivered", "pricing": pricing,
            "recipient_id": ANN.trim_start_matches('+') });
        deliver(&cluster, "messages", json!({ "statuses": [status] })).await;
        eventually("the cost is settled", async || {
            let status = agent.status_of(reserved["messageId"].as_str()?).await.ok()?;
            (status["cost"] == cost).then_some(())
        })
        .await;
    };
    let utility = json!({ "billable": true, "pricing_model": "PMP", "type": "regular", "category": "utility" });
    costs(utility, 0.0046).await;
    cluster.shut_down().await;
}
