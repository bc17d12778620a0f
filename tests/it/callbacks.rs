//! An agent's own host is called: signed so that hosts can check it, again when it fails, never again once it has taken
//! something, and nowhere that the operator did not allow.

use std::time::Duration;

use butt_dial_comms::{delivery::callback, delivery::callback::CallbackSecrets};
use butt_dial_domain::Channel;
use butt_dial_providers::PersonWrites;
use serde_json::{Value, json};

use crate::support::{
    Account, Call, Crowd, Heard, Host, Transport, Webhook, World, bodies, eventually, expect_not_signed,
    expect_once_and_in_order, expect_signed, is_all_there, sms,
};

const ANN: &str = "+14155550123";
const BOB: &str = "+14155550124";
const ALLOWED: (&str, &str) = ("ALLOW_PRIVATE_CALLBACKS", "true");
const SOON: (&str, &str) = ("CALLBACK_RETRY_AFTER_SECONDS", "1,1,1");

async fn call_back(world: &World, account: &Account, url: &str) -> CallbackSecrets {
    let set = callback::set_url(world.comms(), &account.agent, &account.org, Some(url)).await;
    set.unwrap_or_else(|failure| panic!("{failure}"))
}

fn texts(calls: &[Call]) -> Vec<String> {
    calls.iter().map(Call::text).collect()
}

/// The body as the Python client reads it (butt-dial-sdk 0.9.0, InboundHandler) on its generic route.
fn expect_generic(body: &Value, from: &str, to: &str, text: &str, channel: &str) {
    assert_eq!((&body["from"], &body["to"]), (&json!(from), &json!(to)));
    assert_eq!((&body["body"], &body["channel"]), (&json!(text), &json!(channel)));
    assert!(body["id"].is_string() && body["messageId"].is_string(), "{body}");
    // Would be read as a receipt, or as an echo.
    assert!(
        body.get("status").is_none() && body.get("echo").is_none() && body.get("isEcho").is_none(),
        "{body}"
    );
    assert!(body.get("attachments").is_none_or(Value::is_array), "{body}");
    assert!(body["agentName"].is_string(), "{body}");
}

/// And on its WhatsApp route.
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
    let at = message["timestamp"].as_str().expect("a text");
    assert!(at.parse::<u64>().is_ok(), "unix seconds: {at}");
}

profiles! {
    with [ALLOWED];
    async fn a_message_is_posted_signed_in_three_ways_and_reads_on_both_routes(world: &World) {
        let host = Host::start().await;
        let secrets = call_back(world, &world.account, &host.url("/hooks/whatsapp?agent=1")).await;
        let (phone, mail) = (&world.account.phone, &world.account.email);
        world.texts(ANN, "Ünï ✓ by SMS").await;
        world.taken_in(PersonWrites::new(Channel::Whatsapp, ANN, phone, "By WhatsApp")).await;
        world.taken_in(PersonWrites::new(Channel::Email, "ann@example.com", mail, "By mail")).await;
        let calls = host.expect_calls(3).await;
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
            // Another body, and another organization's secret, do not pass.
            expect_not_signed(&Call { body: [&call.body[..], b" "].concat().into(), ..call.clone() }, &secrets);
            expect_not_signed(call, &callback::secrets(world.comms(), &"org_other".into()));
        }
        // Delivered is delivered: it waits for nobody.
        world.texts(BOB, "Last").await;
        host.calls_until("Last").await;
        assert!(world.rest().await.waiting().await.is_empty());
        assert_eq!(host.calls().len(), 4);
    }
}

profiles! {
    with [ALLOWED];
    async fn a_receipt_is_posted_without_a_body_and_as_a_status_of_whatsapp(world: &World) {
        let host = Host::start().await;
        let secrets = call_back(world, &world.account, &host.url("/whatsapp")).await;
        let receipt = world.rest().await.send(sms(ANN, "Hello")).await.unwrap();
        for status in ["sent", "undelivered"] {
            let told = Webhook::status(world, &receipt["messageId"], &receipt["providerMessageId"], status);
            assert_eq!(told.post(world).await.status, 200);
        }
        let calls = host.expect_calls(2).await;
        for (call, status) in calls.iter().zip(["sent", "failed"]) {
            expect_signed(call, &secrets);
            let body = call.json();
            assert_eq!((&body["type"], &body["status"]), (&json!("status"), &json!(status)));
            assert_eq!(body["messageId"], receipt["messageId"]);
            assert!(body.get("body").is_none(), "{body}");
            let value = &body["entry"][0]["changes"][0]["value"];
            assert!(value.get("messages").is_none(), "{body}");
            let told = &value["statuses"][0];
            assert_eq!((&told["id"], &told["status"]), (&receipt["messageId"], &json!(status)));
            assert_eq!(told["errors"][0]["code"].is_string(), status == "failed", "{told}");
        }
    }
}

profiles! {
    with [ALLOWED, SOON];
    async fn what_fails_is_tried_again_under_its_id_before_anything_that_the_same_person_wrote_later(world: &World) {
        let host = Host::start().await;
        host.answer(&[500]);
        let secrets = call_back(world, &world.account, &host.url("/")).await;
        world.texts(ANN, "One").await;
        host.expect_calls(1).await;
        host.answer(&[503]);
        for text in ["Two", "Three", "Last"] {
            world.texts(ANN, text).await;
        }
        let calls = host.calls_until("Last").await;
        assert_eq!(texts(&calls), ["One", "One", "One", "Two", "Three"]);
        assert!(calls[..3].iter().all(|call| call.id() == calls[0].id()));
        assert!(calls[2..].windows(2).all(|pair| pair[0].id() != pair[1].id()));
        // Each attempt is signed anew: hosts refuse what was signed long ago.
        calls.iter().for_each(|call| expect_signed(call, &secrets));
        let at = |call: &Call| call.header("webhook-timestamp").parse::<i64>().unwrap();
        assert!(at(&calls[2]) - at(&calls[0]) >= 1, "{} {}", at(&calls[0]), at(&calls[2]));
    }
}

profiles! {
    with [ALLOWED, ("CALLBACK_RETRY_AFTER_SECONDS", "3,3")];
    async fn what_a_host_cannot_take_does_not_stop_what_others_wrote(world: &World) {
        let host = Host::start().await;
        host.answer(&[500]);
        call_back(world, &world.account, &host.url("/")).await;
        world.texts(ANN, "Indigestible").await;
        host.expect_calls(1).await;
        world.texts(BOB, "Meanwhile").await;
        assert_eq!(texts(&host.expect_calls(3).await), ["Indigestible", "Meanwhile", "Indigestible"]);
    }
}

profiles! {
    with [ALLOWED, SOON];
    async fn a_callback_that_always_fails_leaves_the_message_to_wait_and_says_why(world: &World) {
        let host = Host::start().await;
        host.answer_always(500);
        call_back(world, &world.account, &host.url("/")).await;
        world.texts(ANN, "Unheard").await;
        let calls = host.expect_calls(4).await;
        assert!(calls.iter().all(|call| call.id() == calls[0].id()));
        let agent = world.rest().await;
        let events = agent.take(1).await;
        assert_eq!((&events[0]["body"], &events[0]["reason"]), (&json!("Unheard"), &json!("callback_failed")));
        assert_eq!(events[0]["id"], calls[0].id());
        // The agent has it now, and the host works again: it is not called with that.
        host.answer_always(200);
        callback::replay(world.comms(), &world.account.agent).await.unwrap();
        world.texts(BOB, "Last").await;
        assert_eq!(host.calls_until("Last").await.len(), 4);
    }
}

profiles! {
    with [ALLOWED, SOON];
    async fn what_a_host_has_taken_it_never_gets_again(world: &World) {
        let host = Host::start().await;
        host.answer(&[200, 202, 204, 299]);
        call_back(world, &world.account, &host.url("/")).await;
        for text in ["One", "Two", "Three", "Four"] {
            world.texts(ANN, text).await;
        }
        host.expect_calls(4).await;
        // Not even when it is set anew, asked to replay, or the carrier says it again.
        call_back(world, &world.account, &host.url("/")).await;
        callback::replay(world.comms(), &world.account.agent).await.unwrap();
        world.texts(BOB, "Last").await;
        assert_eq!(texts(&host.calls_until("Last").await), ["One", "Two", "Three", "Four"]);
    }
}

profiles! {
    with [ALLOWED, SOON];
    async fn a_redirect_is_a_failure_and_is_not_followed(world: &World) {
        let host = Host::start().await;
        host.answer(&[301, 302, 307]);
        call_back(world, &world.account, &host.url("/hook")).await;
        world.texts(ANN, "Here").await;
        let calls = host.expect_calls(4).await;
        assert!(calls.iter().all(|call| call.path == "/hook"), "{calls:?}");
        assert_eq!(texts(&calls), ["Here", "Here", "Here", "Here"]);
        assert_eq!(calls[3].status, 200);
    }
}

profiles! {
    with [ALLOWED, SOON];
    async fn a_host_that_is_gone_for_good_is_forgotten(world: &World) {
        let host = Host::start().await;
        host.answer(&[200, 410]);
        call_back(world, &world.account, &host.url("/")).await;
        for text in ["Taken", "Gone", "After"] {
            world.texts(ANN, text).await;
        }
        eventually("the callback is removed", async || {
            let recipient = world.store.find_recipient(&world.account.agent).await.ok()??;
            recipient.callback_url.is_none().then_some(())
        })
        .await;
        let events = world.rest().await.take(2).await;
        assert_eq!(bodies(&events), ["Gone", "After"]);
        assert_eq!(events[0]["reason"], "callback_failed");
        assert_eq!(texts(&host.calls()), ["Taken", "Gone"]);
    }
}

profiles! {
    with [ALLOWED];
    async fn a_new_callback_gets_what_waits_in_order(world: &World) {
        let host = Host::start().await;
        for text in ["One", "Two", "Three"] {
            world.texts(ANN, text).await;
        }
        let waiting = async || world.store.count_waiting_events(&world.account.agent).await.unwrap();
        eventually("all of it waits", async || (waiting().await == 3).then_some(())).await;
        call_back(world, &world.account, &host.url("/")).await;
        assert_eq!(texts(&host.expect_calls(3).await), ["One", "Two", "Three"]);
        eventually("nothing waits", async || (waiting().await == 0).then_some(())).await;
    }
}

profiles! {
    with [ALLOWED];
    async fn whoever_asks_for_a_replay_in_the_middle_disturbs_no_order_and_doubles_nothing(world: &World) {
        let host = Host::start().await;
        host.think_for(Duration::from_millis(20));
        let crowd = Crowd::new(4, 12);
        crowd.allow(crowd.total());
        call_back(world, &world.account, &host.url("/")).await;
        let (letters, ()) = tokio::join!(crowd.write(world), async {
            for count in [4, 8, 16, 24, 32, 40] {
                host.expect_calls(count).await;
                callback::replay(world.comms(), &world.account.agent).await.unwrap();
            }
        });
        let heard = || host.calls().iter().map(|call| Heard::from(&call.json())).collect::<Vec<_>>();
        eventually("all is heard", async || is_all_there(&letters, &heard()).then_some(())).await;
        expect_once_and_in_order(&letters, &heard());
    }
}

profiles! {
    with [ALLOWED];
    async fn another_tenants_host_is_never_called(world: &World) {
        let other = Account::found(&world.store, &world.gateways, "Other", "+14155550190").await;
        let (ours, theirs) = (Host::start().await, Host::start().await);
        let secrets = call_back(world, &world.account, &ours.url("/")).await;
        let other_secrets = call_back(world, &other, &theirs.url("/")).await;
        assert_ne!(secrets.webhook_secret, other_secrets.webhook_secret);
        world.texts(ANN, "Ours").await;
        world.taken_in(PersonWrites::new(Channel::Sms, ANN, &other.phone, "Theirs")).await;
        let (our_calls, their_calls) = (ours.expect_calls(1).await, theirs.expect_calls(1).await);
        expect_signed(&our_calls[0], &secrets);
        expect_signed(&their_calls[0], &other_secrets);
        expect_not_signed(&their_calls[0], &secrets);
        world.texts(BOB, "Our last").await;
        world.taken_in(PersonWrites::new(Channel::Sms, BOB, &other.phone, "Their last")).await;
        assert_eq!(texts(&ours.calls_until("Our last").await), ["Ours"]);
        assert_eq!(texts(&theirs.calls_until("Their last").await), ["Theirs"]);
        assert!(world.agent_of(&other, Transport::Rest).await.waiting().await.is_empty());
    }
}

profiles! {
    with [SOON];
    async fn private_addresses_are_refused_and_not_called_even_when_they_stand_there(world: &World) {
        let host = Host::start().await;
        let account = &world.account;
        let port = host.base_url.rsplit(':').next().unwrap().to_owned();
        for url in [
            host.url("/"), format!("https://127.0.0.1:{port}/"), "https://localhost/".into(), "https://10.0.0.1/".into(),
            "https://[::1]/".into(), "https://169.254.169.254/latest".into(), "https://2130706433/".into(),
            "https://user:password@example.com/".into(), "http://example.com/".into(), "https://example.com:22/".into(),
            "file:///etc/passwd".into(), "nonsense".into(), format!("https://example.com/{}", "a".repeat(3_000)),
        ] {
            let Err(refused) = callback::set_url(world.comms(), &account.agent, &account.org, Some(&url)).await else {
                panic!("{url} was taken");
            };
            assert_eq!(refused.code.as_str(), "INVALID_ARGUMENT", "{url}");
        }
        // As if it had been allowed once, or the name had meant something else then.
        for url in [host.url("/"), format!("https://localhost.localdomain.:{port}/")] {
            world.store.set_callback_url(&account.agent, Some(&url)).await.unwrap();
            world.texts(ANN, "Hello").await;
            let mut events = Vec::new();
            let event = eventually("the callback has failed", async || {
                events.extend(world.rest().await.waiting().await);
                events.pop()
            })
            .await;
            assert_eq!(event["body"], "Hello");
        }
        assert!(host.calls().is_empty());
    }
}
