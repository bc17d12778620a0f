//! Callbacks to an agent's own host: signed, retried on failure, never repeated after success, and sent only to
//! permitted addresses.

use std::time::Duration;

use butt_dial_domain::Channel;
use butt_dial_messaging::delivery::CallbackSecrets;
use butt_dial_providers::PersonMessage;
use serde_json::{Value, json};

use crate::support::{
    Account, Callback, CallbackHost, Cluster, LoadGenerator, ReceivedMessage, RequestExt as _, Transport, Webhook,
    bodies, eventually, expect_exactly_once_in_order, expect_not_signed, expect_signed, expect_standard_signature,
    received_all, sms,
};

const ANN: &str = "+14155550123";
const BOB: &str = "+14155550124";
const ALLOWED: (&str, &str) = ("ALLOW_PRIVATE_CALLBACKS", "true");
const SOON: (&str, &str) = ("CALLBACK_RETRY_AFTER_SECONDS", "1,1,1");

async fn set_callback(cluster: &Cluster, account: &Account, url: &str) -> CallbackSecrets {
    let set = cluster.delivery().set_callback_url(&account.agent, Some(url)).await;
    set.unwrap_or_else(|failure| panic!("{failure}"))
}

fn texts(callbacks: &[Callback]) -> Vec<String> {
    callbacks.iter().map(Callback::text).collect()
}

/// Checks the body as the Python client reads it on its generic route (butt-dial-sdk 0.9.0, InboundHandler).
fn expect_generic(body: &Value, from: &str, to: &str, text: &str, channel: &str) {
    assert_eq!((&body["from"], &body["to"]), (&json!(from), &json!(to)));
    assert_eq!((&body["body"], &body["channel"]), (&json!(text), &json!(channel)));
    assert!(body["id"].is_string() && body["messageId"].is_string(), "{body}");
    // The client would read these as a receipt or as an echo.
    assert!(
        body.get("status").is_none() && body.get("echo").is_none() && body.get("isEcho").is_none(),
        "{body}"
    );
    assert!(body.get("attachments").is_none_or(Value::is_array), "{body}");
    assert!(body["agentName"].is_string(), "{body}");
}

/// Checks the body as the Python client reads it on its WhatsApp route.
fn expect_whatsapp(body: &Value, from: &str, to: &str, text: &str) {
    let value = &body["entry"][0]["changes"][0]["value"];
    let messages = value["messages"].as_array().expect("messages");
    assert_eq!((messages.len(), value.get("statuses")), (1, None));
    let message = &messages[0];
    assert_eq!((&message["from"], &message["to"]), (&json!(from), &json!(to)));
    assert_eq!(
        (&message["type"], &message["text"]["body"]),
        (&json!("text"), &json!(text))
    );
    assert!(message["id"].is_string(), "{message}");
    let at = message["timestamp"].as_str().expect("a string");
    assert!(at.parse::<u64>().is_ok(), "unix seconds: {at}");
}

profiles! {
    with [ALLOWED];
    async fn both_secrets_sign_during_rotation(cluster: &Cluster) {
        let host = CallbackHost::start().await;
        let old = set_callback(cluster, &cluster.account, &host.url("/hooks")).await;
        let rotate = async |overlap: u32| {
            let body = json!({ "overlapSeconds": overlap });
            let request = cluster.gateways.post("/api/v1/callback-url/rotate-secret", &body);
            let rotated = request.bearer_auth(&cluster.account.token).reply().await.expect(200);
            let text = |key: &str| rotated[key].as_str().unwrap().to_owned();
            CallbackSecrets { signing_secret: text("signingSecret"), webhook_secret: text("webhookSecret") }
        };
        let new = rotate(600).await;
        assert_ne!(old.signing_secret, new.signing_secret);
        cluster.texts(ANN, "During").await;
        host.callbacks_until("During").await;
        let calls = host.callbacks();
        let during = calls.last().unwrap();
        // Headers with one signature keep the old secret; the standard header holds both.
        expect_signed(during, &old);
        assert_eq!(during.header("webhook-signature").split(' ').count(), 2);
        expect_standard_signature(during, &new);

        let newest = rotate(0).await;
        cluster.texts(ANN, "After").await;
        host.callbacks_until("After").await;
        let calls = host.callbacks();
        let after = calls.last().unwrap();
        expect_signed(after, &newest);
        expect_not_signed(after, &old);
        expect_not_signed(after, &new);
    }
}

profiles! {
    with [ALLOWED];
    async fn posts_signed_message_readable_on_both_client_routes(cluster: &Cluster) {
        let host = CallbackHost::start().await;
        let secrets = set_callback(cluster, &cluster.account, &host.url("/hooks/whatsapp?agent=1")).await;
        let (phone, mail) = (&cluster.account.phone, &cluster.account.email);
        cluster.texts(ANN, "Ünï ✓ by SMS").await;
        cluster.deliver_accepted(PersonMessage::new(Channel::Whatsapp, ANN, phone, "By WhatsApp")).await;
        cluster.deliver_accepted(PersonMessage::new(Channel::Email, "ann@example.com", mail, "By mail")).await;
        let colleague = cluster
            .account
            .add_colleague(&cluster.store, &cluster.gateways, "agent", "+14155550101")
            .await;
        let foreign = cluster.delivery().callback_secrets(&colleague.agent).await.unwrap();
        let calls = host.expect_callbacks(3).await;
        for (call, (from, to, text, channel)) in calls.iter().zip([
            (ANN, phone, "Ünï ✓ by SMS", "sms"),
            (ANN, phone, "By WhatsApp", "whatsapp"),
            ("ann@example.com", mail, "By mail", "email"),
        ]) {
            expect_signed(call, &secrets);
            let body = call.json();
            expect_generic(&body, from, to, text, channel);
            expect_whatsapp(&body, from, to, text);
            assert_eq!(call.path, "/hooks/whatsapp");
            assert_eq!(call.header("content-type"), "application/json");
            assert_eq!(call.id(), body["id"].as_str().unwrap());
            assert_eq!(call.header("x-bd-delivery-id"), call.id());
            assert_eq!(call.header("x-bd-event"), "message.received");
            // A different body or another agent's secret does not verify.
            expect_not_signed(&Callback { body: [&call.body[..], b" "].concat().into(), ..call.clone() }, &secrets);
            expect_not_signed(call, &foreign);
        }
        // A delivered message is not queued as well.
        cluster.texts(BOB, "Last").await;
        host.callbacks_until("Last").await;
        assert!(cluster.rest().await.poll_messages().await.is_empty());
        assert_eq!(host.callbacks().len(), 4);
    }
}

profiles! {
    with [ALLOWED];
    async fn posts_receipt_without_body_as_whatsapp_status(cluster: &Cluster) {
        let host = CallbackHost::start().await;
        let secrets = set_callback(cluster, &cluster.account, &host.url("/whatsapp")).await;
        let receipt = cluster.rest().await.send(sms(ANN, "Hello")).await.unwrap();
        for status in ["sent", "undelivered"] {
            let receipt_webhook = Webhook::status(cluster, &receipt["messageId"], &receipt["providerMessageId"], status);
            assert_eq!(receipt_webhook.post(cluster).await.status, 200);
        }
        let calls = host.expect_callbacks(2).await;
        for (call, status) in calls.iter().zip(["sent", "failed"]) {
            expect_signed(call, &secrets);
            let body = call.json();
            assert_eq!((&body["type"], &body["status"]), (&json!("status"), &json!(status)));
            assert_eq!(body["messageId"], receipt["messageId"]);
            assert!(body.get("body").is_none(), "{body}");
            let value = &body["entry"][0]["changes"][0]["value"];
            assert!(value.get("messages").is_none(), "{body}");
            let status_entry = &value["statuses"][0];
            assert_eq!((&status_entry["id"], &status_entry["status"]), (&receipt["messageId"], &json!(status)));
            assert_eq!(status_entry["errors"][0]["code"].is_string(), status == "failed", "{status_entry}");
        }
    }
}

profiles! {
    with [ALLOWED, SOON];
    async fn retries_failed_callback_with_same_id_and_in_order(cluster: &Cluster) {
        let host = CallbackHost::start().await;
        host.respond_with(&[500]);
        let secrets = set_callback(cluster, &cluster.account, &host.url("/")).await;
        cluster.texts(ANN, "One").await;
        host.expect_callbacks(1).await;
        host.respond_with(&[503]);
        for text in ["Two", "Three", "Last"] {
            cluster.texts(ANN, text).await;
        }
        let calls = host.callbacks_until("Last").await;
        assert_eq!(texts(&calls), ["One", "One", "One", "Two", "Three"]);
        assert!(calls[..3].iter().all(|call| call.id() == calls[0].id()));
        assert!(calls[2..].windows(2).all(|pair| pair[0].id() != pair[1].id()));
        // Each attempt has a new signature, because hosts reject old timestamps.
        calls.iter().for_each(|call| expect_signed(call, &secrets));
        let at = |call: &Callback| call.header("webhook-timestamp").parse::<i64>().unwrap();
        assert!(at(&calls[2]) - at(&calls[0]) >= 1, "{} {}", at(&calls[0]), at(&calls[2]));
    }
}

profiles! {
    with [ALLOWED, ("CALLBACK_RETRY_AFTER_SECONDS", "3,3")];
    async fn failing_callback_does_not_block_other_senders(cluster: &Cluster) {
        let host = CallbackHost::start().await;
        host.respond_with(&[500]);
        set_callback(cluster, &cluster.account, &host.url("/")).await;
        cluster.texts(ANN, "Rejected").await;
        host.expect_callbacks(1).await;
        cluster.texts(BOB, "Meanwhile").await;
        assert_eq!(texts(&host.expect_callbacks(3).await), ["Rejected", "Meanwhile", "Rejected"]);
    }
}

profiles! {
    with [ALLOWED, SOON];
    async fn keeps_message_waiting_with_reason_after_last_retry(cluster: &Cluster) {
        let host = CallbackHost::start().await;
        host.respond_always(500);
        set_callback(cluster, &cluster.account, &host.url("/")).await;
        cluster.texts(ANN, "Undelivered").await;
        let calls = host.expect_callbacks(4).await;
        assert!(calls.iter().all(|call| call.id() == calls[0].id()));
        let agent = cluster.rest().await;
        let events = agent.expect_events(1).await;
        assert_eq!((&events[0]["body"], &events[0]["reason"]), (&json!("Undelivered"), &json!("callback_failed")));
        assert_eq!(events[0]["id"], calls[0].id());
        // The agent has the message now; a working host must not receive it again.
        host.respond_always(200);
        cluster.delivery().replay_callbacks(&cluster.account.agent).await.unwrap();
        cluster.texts(BOB, "Last").await;
        assert_eq!(host.callbacks_until("Last").await.len(), 4);
    }
}

profiles! {
    with [ALLOWED, SOON];
    async fn never_repeats_acknowledged_callback(cluster: &Cluster) {
        let host = CallbackHost::start().await;
        host.respond_with(&[200, 202, 204, 299]);
        set_callback(cluster, &cluster.account, &host.url("/")).await;
        for text in ["One", "Two", "Three", "Four"] {
            cluster.texts(ANN, text).await;
        }
        host.expect_callbacks(4).await;
        // Neither setting the URL again nor a replay repeats a callback.
        set_callback(cluster, &cluster.account, &host.url("/")).await;
        cluster.delivery().replay_callbacks(&cluster.account.agent).await.unwrap();
        cluster.texts(BOB, "Last").await;
        assert_eq!(texts(&host.callbacks_until("Last").await), ["One", "Two", "Three", "Four"]);
    }
}

profiles! {
    with [ALLOWED, SOON];
    async fn does_not_follow_callback_redirects(cluster: &Cluster) {
        let host = CallbackHost::start().await;
        host.respond_with(&[301, 302, 307]);
        set_callback(cluster, &cluster.account, &host.url("/hook")).await;
        cluster.texts(ANN, "Here").await;
        let calls = host.expect_callbacks(4).await;
        assert!(calls.iter().all(|call| call.path == "/hook"), "{calls:?}");
        assert_eq!(texts(&calls), ["Here", "Here", "Here", "Here"]);
        assert_eq!(calls[3].status, 200);
    }
}

profiles! {
    with [ALLOWED, SOON];
    async fn removes_callback_url_on_410_gone(cluster: &Cluster) {
        let host = CallbackHost::start().await;
        host.respond_with(&[200, 410]);
        set_callback(cluster, &cluster.account, &host.url("/")).await;
        for text in ["Taken", "Gone", "After"] {
            cluster.texts(ANN, text).await;
        }
        eventually("the callback is removed", async || {
            let recipient = cluster.store.find_recipient(&cluster.account.agent).await.ok()??;
            recipient.callback_url.is_none().then_some(())
        })
        .await;
        let events = cluster.rest().await.expect_events(2).await;
        assert_eq!(bodies(&events), ["Gone", "After"]);
        assert_eq!(events[0]["reason"], "callback_failed");
        assert_eq!(texts(&host.callbacks()), ["Taken", "Gone"]);
    }
}

profiles! {
    with [ALLOWED];
    async fn new_callback_url_receives_backlog_in_order(cluster: &Cluster) {
        let host = CallbackHost::start().await;
        for text in ["One", "Two", "Three"] {
            cluster.texts(ANN, text).await;
        }
        let waiting = async || cluster.store.count_waiting_events(&cluster.account.agent).await.unwrap();
        eventually("all messages wait", async || (waiting().await == 3).then_some(())).await;
        set_callback(cluster, &cluster.account, &host.url("/")).await;
        assert_eq!(texts(&host.expect_callbacks(3).await), ["One", "Two", "Three"]);
        eventually("no message waits", async || (waiting().await == 0).then_some(())).await;
    }
}

profiles! {
    with [ALLOWED];
    async fn replay_during_delivery_keeps_order_without_duplicates(cluster: &Cluster) {
        let host = CallbackHost::start().await;
        host.delay_responses(Duration::from_millis(20));
        let load = LoadGenerator::new(4, 12);
        load.release(load.total());
        set_callback(cluster, &cluster.account, &host.url("/")).await;
        let (sent, ()) = tokio::join!(load.run(cluster), async {
            for count in [4, 8, 16, 24, 32, 40] {
                host.expect_callbacks(count).await;
                cluster.delivery().replay_callbacks(&cluster.account.agent).await.unwrap();
            }
        });
        let received = || host.callbacks().iter().map(|call| ReceivedMessage::from(&call.json())).collect::<Vec<_>>();
        eventually("all messages are received", async || received_all(&sent, &received()).then_some(())).await;
        expect_exactly_once_in_order(&sent, &received());
    }
}

profiles! {
    with [ALLOWED];
    async fn never_calls_host_of_another_tenant(cluster: &Cluster) {
        let other = Account::create(&cluster.store, &cluster.gateways, "Other", "+14155550190").await;
        let (ours, theirs) = (CallbackHost::start().await, CallbackHost::start().await);
        let secrets = set_callback(cluster, &cluster.account, &ours.url("/")).await;
        let other_secrets = set_callback(cluster, &other, &theirs.url("/")).await;
        assert_ne!(secrets.webhook_secret, other_secrets.webhook_secret);
        cluster.texts(ANN, "Ours").await;
        cluster.deliver_accepted(PersonMessage::new(Channel::Sms, ANN, &other.phone, "Theirs")).await;
        let (our_calls, their_calls) = (ours.expect_callbacks(1).await, theirs.expect_callbacks(1).await);
        expect_signed(&our_calls[0], &secrets);
        expect_signed(&their_calls[0], &other_secrets);
        expect_not_signed(&their_calls[0], &secrets);
        cluster.texts(BOB, "Our last").await;
        cluster.deliver_accepted(PersonMessage::new(Channel::Sms, BOB, &other.phone, "Their last")).await;
        assert_eq!(texts(&ours.callbacks_until("Our last").await), ["Ours"]);
        assert_eq!(texts(&theirs.callbacks_until("Their last").await), ["Theirs"]);
        assert!(cluster.agent_of(&other, Transport::Rest).await.poll_messages().await.is_empty());
    }
}

profiles! {
    with [SOON];
    async fn rejects_private_callback_urls_and_never_calls_them(cluster: &Cluster) {
        let host = CallbackHost::start().await;
        let account = &cluster.account;
        let port = host.base_url.rsplit(':').next().unwrap().to_owned();
        for url in [
            host.url("/"), format!("https://127.0.0.1:{port}/"), "https://localhost/".into(), "https://10.0.0.1/".into(),
            "https://[::1]/".into(), "https://169.254.169.254/latest".into(), "https://2130706433/".into(),
            "https://user:password@example.com/".into(), "http://example.com/".into(), "https://example.com:22/".into(),
            "file:///etc/passwd".into(), "nonsense".into(), format!("https://example.com/{}", "a".repeat(3_000)),
        ] {
            let Err(refused) = cluster.delivery().set_callback_url(&account.agent, Some(&url)).await else {
                panic!("{url} was accepted");
            };
            assert_eq!(refused.code.as_str(), "INVALID_ARGUMENT", "{url}");
        }
        // Simulates a URL that was permitted earlier, or a name that resolved differently then.
        for url in [host.url("/"), format!("https://localhost.localdomain.:{port}/")] {
            cluster.store.set_callback_url(&account.agent, Some(&url)).await.unwrap();
            cluster.texts(ANN, "Hello").await;
            let mut events = Vec::new();
            let event = eventually("the callback has failed", async || {
                events.extend(cluster.rest().await.poll_messages().await);
                events.pop()
            })
            .await;
            assert_eq!(event["body"], "Hello");
        }
        assert!(host.callbacks().is_empty());
    }
}
