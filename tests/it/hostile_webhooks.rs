//! Hostile webhooks: requests without a carrier's valid signature are rejected, quickly and without side effects.

use std::time::{Duration, Instant};

use butt_dial_providers::{
    Secret,
    twilio::webhook::{self, Payload},
};
use reqwest::Method;
use serde_json::json;
use url::form_urlencoded;

use crate::support::{Cluster, Reply, RequestExt as _, TestContext, Webhook, bodies, mail_event};

const ANN: &str = "+14155550123";
const TWILIO: &str = "/webhooks/twilio/sms";
/// A generous limit for a debug build on a busy machine.
const RESPONSE_LIMIT: Duration = Duration::from_secs(2);

async fn post(context: &TestContext, what: &str, webhook: &Webhook) -> Reply {
    let started = Instant::now();
    let reply = webhook.post(context).await;
    assert!(
        started.elapsed() < RESPONSE_LIMIT,
        "{what} took {:?}",
        started.elapsed()
    );
    assert!(!reply.text.to_lowercase().contains("panic"), "{what}: {}", reply.text);
    reply
}

/// Proves that the ingest still works and that no forged message arrived.
async fn expect_unharmed(cluster: &Cluster) {
    let ready = cluster.ingest().get("/health/ready").reply().await;
    assert_eq!(ready.status, 200, "{}", ready.text);
    let started = Instant::now();
    cluster.texts(ANN, "Last").await;
    assert!(started.elapsed() < RESPONSE_LIMIT);
    let before = cluster.rest().await.poll_until("Last").await;
    assert!(before.is_empty(), "forged messages arrived: {before:?}");
}

profiles! {
    async fn rejects_and_counts_unverified_webhooks(cluster: &Cluster) {
        let genuine = Webhook::text(cluster, TWILIO, ANN, &cluster.account.phone, "Forged");
        let altered = Webhook { body: [&genuine.body[..], b"&Extra=1"].concat(), ..genuine.clone() };
        let blank = Webhook { body: [&genuine.body[..], b"&Blank="].concat(), ..genuine.clone() };
        let replayed_elsewhere = Webhook { path: "/webhooks/twilio/whatsapp".into(), ..genuine.clone() };
        let with_query = Webhook { path: format!("{TWILIO}?mid=msg_1"), ..genuine.clone() };
        let mut other_key = genuine.clone();
        other_key.headers[0].1 = "RSOYDt4T1cUTdK1PDd93/VVr8B8=".into();
        let mut as_json = genuine.clone();
        as_json.headers[1].1 = "application/json".into();
        let mail = Webhook::resend(cluster, &mail_event(&cluster.account.email), 0);
        let altered_mail = Webhook { body: [&mail.body[..], b" "].concat(), ..mail.clone() };
        let mut later = mail.clone();
        later.headers[1].1 = (later.headers[1].1.parse::<i64>().unwrap() + 1).to_string();
        let long_ago = Webhook::resend(cluster, &mail_event(&cluster.account.email), 301);
        let from_the_future = Webhook::resend(cluster, &mail_event(&cluster.account.email), -310);
        for (what, webhook, status, vendor, reason) in [
            ("unsigned", genuine.clone().unsigned(), 401, "twilio", "unsigned"),
            ("altered", altered, 403, "twilio", "wrong_signature"),
            ("a blank field more", blank, 403, "twilio", "wrong_signature"),
            ("at another path", replayed_elsewhere, 403, "twilio", "wrong_signature"),
            ("with another query", with_query, 403, "twilio", "wrong_signature"),
            ("with another key", other_key, 403, "twilio", "wrong_signature"),
            ("as another kind", as_json, 403, "twilio", "wrong_signature"),
            ("an unsigned mail", mail.unsigned(), 401, "resend", "unsigned"),
            ("an altered mail", altered_mail, 403, "resend", "wrong_signature"),
            ("another time", later, 403, "resend", "wrong_signature"),
            ("signed long ago", long_ago, 403, "resend", "stale"),
            ("signed in the future", from_the_future, 403, "resend", "stale"),
        ] {
            let series = format!(r#"bd_webhook_notices_total{{carrier="{vendor}",result="{reason}"}}"#);
            let before = cluster.metric_total(&series).await;
            let reply = post(cluster, what, &webhook).await;
            assert_eq!(reply.status, status, "{what}: {}", reply.text);
            assert_eq!(cluster.metric_total(&series).await, before + 1.0, "{what}");
            assert!(reply.text.is_empty(), "{what}: the response has no details: {}", reply.text);
        }
        assert_eq!(genuine.post(cluster).await.status, 200, "the unaltered webhook is valid");
        let events = cluster.rest().await.expect_events(1).await;
        assert_eq!(bodies(&events), ["Forged"]);
        expect_unharmed(cluster).await;
    }
}

profiles! {
    async fn unsigned_agent_path_reveals_no_agents(cluster: &Cluster) {
        let genuine = Webhook::text(cluster, TWILIO, ANN, &cluster.account.phone, "Forged");
        let series = r#"bd_webhook_notices_total{carrier="unknown",result="unsigned"}"#;
        let before = cluster.metric_total(series).await;
        for agent in [cluster.account.agent.as_str(), "agt_unknown"] {
            let at = |webhook: Webhook| Webhook { path: format!("/webhooks/{agent}/sms"), ..webhook };
            let unsigned = post(cluster, "unsigned", &at(genuine.clone().unsigned())).await;
            assert_eq!((unsigned.status, unsigned.text.as_str()), (401, ""), "{agent}");
            let forged = post(cluster, "signed for another path", &at(genuine.clone())).await;
            assert_eq!((forged.status, forged.text.as_str()), (403, ""), "{agent}");
        }
        assert_eq!(cluster.metric_total(series).await, before + 2.0);
        let signed = Webhook::text(cluster, "/webhooks/agt_unknown/sms", ANN, &cluster.account.phone, "To an unknown agent");
        assert_eq!(post(cluster, "signed, for an unknown agent", &signed).await.status, 404);
        expect_unharmed(cluster).await;
    }
}

profiles! {
    async fn rejects_malformed_webhooks_quickly(cluster: &Cluster) {
        let to = &cluster.account.phone;
        let genuine = Webhook::text(cluster, TWILIO, ANN, to, "x");
        let signed = |fields: &[(&str, &str)]| Webhook::twilio(cluster, TWILIO, fields);
        let many: Vec<(&str, &str)> = vec![("a", "b"); 10_000];
        let raw = |body: &[u8]| Webhook { body: body.to_vec(), ..genuine.clone() };
        let nested = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
        let deep = format!("{{\"type\":\"email.received\",\"data\":{}}}", String::from_utf8(nested.clone()).unwrap());
        let no_mail = json!({ "type": "email.received", "data": {} });
        let odd_mail = json!({ "type": "email.received", "data": { "email_id": "../../keys", "from": 7, "to": "x" } });
        for (what, webhook) in [
            ("ten thousand fields", signed(&many)),
            ("ten thousand fields, unsigned", signed(&many).unsigned()),
            ("invalid UTF-8", raw(b"\xff\xfe\x00&\xff=\xff")),
            ("half an escape", raw(b"Body=%")),
            ("overlong UTF-8", raw(b"Body=%C0%80")),
            ("an empty body", raw(b"")),
            ("an empty body, unsigned", raw(b"").unsigned()),
            ("only separators", raw(&b"&".repeat(500_000))),
            ("no sender", signed(&[("MessageSid", &crate::support::message_sid()), ("SmsStatus", "received")])),
            ("no SID", signed(&[("MessageSid", "SM../.."), ("From", ANN), ("To", to), ("SmsStatus", "received")])),
            ("no mail", Webhook::resend(cluster, &no_mail, 0)),
            ("an odd mail", Webhook::resend(cluster, &odd_mail, 0)),
            ("no JSON", Webhook::svix(cluster, b"{\"type\":".to_vec(), 0)),
            ("an empty event", Webhook::svix(cluster, Vec::new(), 0)),
            ("JSON with invalid UTF-8", Webhook::svix(cluster, b"\"\xff\xfe\"".to_vec(), 0)),
            ("deep brackets", Webhook::svix(cluster, nested, 0)),
            ("deep brackets in a mail", Webhook::svix(cluster, deep.into_bytes(), 0)),
            ("an XML bomb", Webhook::svix(cluster, br#"<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;&a;</x>"#.to_vec(), 0)),
        ] {
            let reply = post(cluster, what, &webhook).await;
            assert!((400..500).contains(&reply.status), "{what}: {}", reply.status);
        }
        // A valid signature is accepted up to the limit of fields.
        for (fields, status) in [(many.len(), 400), (1_100, 400), (900, 200)] {
            assert_eq!(post(cluster, "many fields", &signed(&many[..fields])).await.status, status, "{fields}");
        }
        expect_unharmed(cluster).await;
    }
}

profiles! {
    async fn rejects_bodies_over_one_mebibyte(cluster: &Cluster) {
        let genuine = Webhook::text(cluster, TWILIO, ANN, &cluster.account.phone, "x");
        let body = [&genuine.body[..], b"&Body=", &b"a".repeat(1024 * 1024)].concat();
        let huge = Webhook { body, ..genuine.clone() };
        let mail = Webhook::svix(cluster, b" ".repeat(1024 * 1024 + 1), 0);
        for (what, webhook) in [("a huge form", huge), ("a huge mail", mail)] {
            assert_eq!(post(cluster, what, &webhook).await.status, 413, "{what}");
        }
        // A body below the limit is read and checked.
        let body = [&genuine.body[..], b"&Body=", &b"a".repeat(1_000_000)].concat();
        let large = Webhook { body, ..genuine };
        assert_eq!(post(cluster, "a large form", &large).await.status, 403);
        expect_unharmed(cluster).await;
    }
}

profiles! {
    async fn rejects_unknown_paths_and_methods(cluster: &Cluster) {
        let webhook = Webhook::text(cluster, TWILIO, ANN, &cluster.account.phone, "x");
        for path in [
            "/webhooks", "/webhooks/", "/webhooks/twilio", "/webhooks//sms", "/webhooks/unknown/sms", "/webhooks/TWILIO/sms",
            "/webhooks/..%2f..%2fapi/sms", "/webhooks/%00/sms", "/webhooks/%ff/sms", "/webhooks/a%20b/sms",
        ] {
            let webhook = Webhook { path: path.to_owned(), ..webhook.clone() };
            let status = post(cluster, path, &webhook).await.status;
            assert!(matches!(status, 400 | 403 | 404), "{path}: {status}");
        }
        for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
            let reply = webhook.clone().unsigned().request(cluster, method.clone()).reply().await;
            assert!((400..500).contains(&reply.status), "{method}: {}", reply.status);
        }
        // With separate servers, the ingest serves webhooks only.
        if cluster.gateways.count() > 1 {
            for path in ["/mcp", "/sse", "/api/v1/agents/me", "/api/v1/waiting-messages"] {
                let request = cluster.ingest().get(path).bearer_auth(&cluster.account.token);
                assert_eq!(request.reply().await.status, 404, "{path}");
            }
        }
        expect_unharmed(cluster).await;
    }
}

/// The secrets in the source of the simulators open no server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn published_secrets_of_simulators_sign_nothing() {
    let cluster = Cluster::embedded(&[]).await;
    let genuine = Webhook::text(&cluster, TWILIO, ANN, &cluster.account.phone, "Forged");
    let mut forged = genuine.clone();
    let url = format!("{}{TWILIO}", cluster.public_url);
    let fields: Vec<(String, String)> = form_urlencoded::parse(&genuine.body).into_owned().collect();
    let published = Secret::new("simulated-twilio-auth-token");
    forged.headers[0].1 = webhook::sign(&published, &url, Payload::Form(&fields));
    assert_eq!(forged.post(&cluster).await.status, 403);
    assert_eq!(genuine.post(&cluster).await.status, 200);
    cluster.shut_down().await;
}

const OTHER_ACCOUNT: &str = "AC00000000000000000000000000000001";
const OTHER_TOKEN: &str = "a token of the other account";

/// Builds a callback about a call, signed with the token of the other account.
fn call_of_other_account(context: &TestContext, path: &str, call: &str, to: &str) -> Webhook {
    let fields: Vec<(String, String)> = [
        ("AccountSid", OTHER_ACCOUNT),
        ("CallSid", call),
        ("CallStatus", "ringing"),
        ("Direction", "inbound"),
        ("From", ANN),
        ("To", to),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let url = format!("{}{path}", context.public_url);
    let signature = webhook::sign(&Secret::new(OTHER_TOKEN), &url, Payload::Form(&fields));
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(&fields)
        .finish();
    Webhook {
        path: path.to_owned(),
        headers: vec![
            (webhook::HEADER, signature),
            ("content-type", "application/x-www-form-urlencoded".to_owned()),
        ],
        body: body.into_bytes(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_account_speaks_for_own_calls_only_servers() {
    let setting = format!("{OTHER_ACCOUNT}:{OTHER_TOKEN}");
    let running = Cluster::servers(&[("TWILIO_SUBACCOUNT_TOKENS", &setting)]).await;
    let cluster = &running;
    let incoming =
        |call: &str| call_of_other_account(cluster, "/webhooks/twilio/voice/incoming", call, &cluster.account.phone);
    let (first, second) = (
        "CA00000000000000000000000000000001",
        "CA00000000000000000000000000000002",
    );
    assert_eq!(
        incoming(first).post(cluster).await.status,
        200,
        "nothing shows that the number is not its own"
    );
    let agent = cluster.rest().await;
    let sent = agent.send(crate::support::sms(ANN, "Hello")).await.unwrap();
    cluster.expect_arrival(&sent).await;
    assert_eq!(
        incoming(second).post(cluster).await.status,
        404,
        "the number belongs to the installation's account"
    );
    let placed = agent
        .call("comms_make_call", json!({ "to": ANN, "greeting": "Hello" }))
        .await
        .unwrap();
    let path = format!(
        "/webhooks/twilio/voice/status?call={}",
        placed["callId"].as_str().unwrap()
    );
    let forged = call_of_other_account(cluster, &path, second, &cluster.account.phone);
    assert_eq!(forged.post(cluster).await.status, 404);
    let refused = r#"bd_webhook_notices_total{carrier="twilio",result="wrong_account"}"#;
    assert_eq!(cluster.metric_total(refused).await, 2.0);
    running.shut_down().await;
}
