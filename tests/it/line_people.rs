//! LINE through the own account of an organization; the path of its webhooks names it. Events of every kind, buttons that are no
//! keywords, and keywords.

use butt_dial_domain::{Clock, ids};
use butt_dial_providers::{Secret, line::webhook};
use serde_json::{Value, json};

use crate::support::{Cluster, RequestExt as _, Webhook, with};

const BOT: &str = "U0123456789abcdef0123456789abcdef";

/// Registers the account and its channel. Returns the path of its webhooks.
async fn connect(cluster: &Cluster) -> String {
    let account = &cluster.account;
    let secret = |name| cluster.carriers.setting(name).to_owned();
    let credentials = json!([
        { "name": "channelAccessToken", "value": secret("LINE_CHANNEL_ACCESS_TOKEN") },
        { "name": "channelSecret", "value": secret("LINE_CHANNEL_SECRET") },
    ]);
    let new = json!({ "provider": "line", "credentials": credentials });
    let registered = cluster.gateways.post("/api/v1/providers", &new);
    let registered = registered.bearer_auth(&account.team_token).reply().await.expect(200);
    let path = format!("/api/v1/agents/{}/comm-channels", account.agent.as_str());
    let channel = json!({ "channel_type": "line", "identifier": BOT });
    let assigned = cluster.gateways.post(&path, &channel).bearer_auth(&account.team_token);
    assigned.reply().await.expect(201);
    format!("/webhooks/line/accounts/{}/line", registered["id"].as_str().unwrap())
}

async fn deliver(cluster: &Cluster, path: &str, user: &str, event: Value) {
    let always = json!({
        "mode": "active", "timestamp": Clock::System.now().timestamp_millis(), "webhookEventId": ids::random(),
        "source": { "type": "user", "userId": user }, "deliveryContext": { "isRedelivery": false },
    });
    let body = json!({ "destination": BOT, "events": [with(always, event)] }).to_string();
    let body = body.into_bytes();
    let secret = Secret::new(cluster.carriers.setting("LINE_CHANNEL_SECRET"));
    let signed = Webhook {
        path: path.to_owned(),
        headers: vec![
            (webhook::HEADER, webhook::sign(&secret, &body)),
            ("content-type", "application/json".to_owned()),
        ],
        body,
    };
    assert_eq!(signed.post(cluster).await.status, 200);
}

fn message(content: Value) -> Value {
    json!({ "type": "message", "message": with(json!({ "id": ids::random() }), content) })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_receives_events_of_an_own_account() {
    let cluster = Cluster::embedded_with(&["twilio", "resend", "line"], &[]).await;
    let path = connect(&cluster).await;
    let agent = cluster.rest().await;
    let place = json!({ "type": "location", "title": "my place", "address": "Tokyo 1-1", "latitude": 35.68, "longitude": 139.76 });
    let sticker = json!({ "type": "sticker", "packageId": "1", "stickerId": "2", "keywords": ["thanks", "bow"] });
    let chosen = json!({ "data": "slot", "params": { "datetime": "2026-12-01T10:00" } });
    for (event, told) in [
        (message(json!({ "type": "text", "text": "Hello" })), vec!["Hello"]),
        (message(place), vec!["35.68", "139.76", "Tokyo 1-1"]),
        (message(sticker), vec!["thanks"]),
        (
            json!({ "type": "postback", "postback": { "data": "action=buy&item=1" } }),
            vec!["action=buy&item=1"],
        ),
        (
            json!({ "type": "postback", "postback": chosen }),
            vec!["slot", "2026-12-01T10:00"],
        ),
        (
            json!({ "type": "unsend", "unsend": { "messageId": "325708001" } }),
            vec!["325708001"],
        ),
    ] {
        deliver(&cluster, &path, "U11111111111111111111111111111111", event).await;
        let event = agent.expect_events(1).await.remove(0);
        assert!(!event["body"].as_str().unwrap().trim().is_empty(), "{event}");
        for part in told {
            assert!(event.to_string().contains(part), "{part}: {event}");
        }
    }
    cluster.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_on_line_opt_out_and_buttons_do_not() {
    let cluster = Cluster::embedded_with(&["twilio", "resend", "line"], &[]).await;
    let path = connect(&cluster).await;
    let agent = cluster.rest().await;
    let text = |word: &str| message(json!({ "type": "text", "text": word }));
    let button = json!({ "type": "postback", "postback": { "data": "cancel", "displayText": "Cancel" } });
    for (index, (event, opts_out)) in [
        (button, false),
        (text("停止"), true),
        (text("配信停止"), true),
        (text("수신거부"), true),
        (text("Please stop"), true),
        (text("Don't stop, I like it"), false),
    ]
    .into_iter()
    .enumerate()
    {
        let user = format!("U{index:032x}");
        deliver(&cluster, &path, &user, event).await;
        agent.expect_events(1).await;
        let sent = agent
            .send(json!({ "to": user, "channel": "line", "body": "Hi", "idempotencyKey": user }))
            .await;
        let code = sent.map_or_else(|refused| refused["code"].clone(), |_| Value::Null);
        let expected = if opts_out {
            json!("CONTACT_OPTED_OUT")
        } else {
            Value::Null
        };
        assert_eq!(code, expected, "{index}");
    }
    cluster.shut_down().await;
}
