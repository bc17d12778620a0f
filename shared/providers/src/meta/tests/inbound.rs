//! Inbound messages and receipts, through the simulator over real HTTP.

use std::time::Duration;

use axum::http::{HeaderMap, Method, StatusCode};
use butt_dial_domain::{
    Channel, MessageId, Micros,
    clock::Timestamp,
    inbound::{Attachment, DeliveryStatus, SkippedEntry, WebhookEvent, WhatsappCategory},
    ports::{
        carrier::{Outcome, RefusalClass},
        webhook::{UnreadableRequest, VerificationError, WebhookRequest, Webhooks},
    },
};
use butt_dial_testkit::webhook_conformance;
use serde_json::{Value, json};

use super::{open, simulator};
use crate::{
    Credentials, Secret, http,
    meta::{APP_SECRET, Inbound, VENDOR, VERIFY_TOKEN, webhook},
    tests::{
        harness::{DEADLINE, address, the_message, the_receipt},
        install_tls,
    },
};

webhook_conformance!(Channel::Whatsapp, super::open);

const URL: &str = "https://bd.example.com/webhooks/meta/whatsapp";

fn credentials() -> Credentials {
    VENDOR.simulated_credentials("https://graph.test")
}

fn connect(credentials: &Credentials) -> Inbound {
    install_tls();
    Inbound::new(credentials, http::client().unwrap(), DEADLINE).unwrap()
}

fn inbound() -> Inbound {
    connect(&credentials())
}

fn signed(body: &str) -> WebhookRequest {
    let signature = webhook::sign(&Secret::new(simulator::APP_SECRET), body.as_bytes());
    let mut headers = HeaderMap::new();
    headers.insert(webhook::HEADER, signature.parse().unwrap());
    WebhookRequest {
        method: Method::POST,
        url: URL.to_owned(),
        headers,
        body: body.to_owned().into(),
        received_at: Timestamp::UNIX_EPOCH,
    }
}

fn change(value: &Value) -> Value {
    json!({ "field": "messages", "value": value })
}

fn batch(changes: &[Value]) -> WebhookRequest {
    let batch = json!({ "object": "whatsapp_business_account", "entry": [{ "id": "1", "changes": changes }] });
    signed(&batch.to_string())
}

fn messages(messages: &Value) -> WebhookRequest {
    batch(&[change(
        &json!({ "metadata": { "display_phone_number": "+1 415-555-0100" }, "messages": messages }),
    )])
}

#[tokio::test]
async fn reads_inbound_text_with_sender_name() {
    let harness = open(Channel::Whatsapp).await;
    let mut receiver = harness.listen().await;
    let mut draft = harness.draft("8 o'clock? é 👍");
    draft.vendor = Some("meta".to_owned());
    draft.sender_name = Some("Jörg".to_owned());
    draft.in_reply_to = Some("wamid.1".to_owned());
    let result = harness.state().send_as_person(draft).await.unwrap();
    assert_eq!((result.vendor, result.status), ("meta", Some(200)));

    let request = receiver.next().await;
    assert_eq!(request.url, format!("{}/webhooks/meta/whatsapp", receiver.base_url));
    assert!(request.body.is_ascii(), "Meta escapes");
    let message = the_message(&*harness.webhooks(), &request);
    assert_eq!(message.carrier_id, result.carrier_id);
    assert_eq!(
        (message.from.as_str(), message.to.as_str()),
        ("+14155550123", "+14155550100")
    );
    assert_eq!(message.body.as_deref(), Some("8 o'clock? é 👍"));
    assert_eq!(message.sender_name.as_deref(), Some("Jörg"));
    assert_eq!(message.in_reply_to.as_deref(), Some("wamid.1"));
    assert!(message.sent_at.is_some());
}

#[tokio::test]
async fn fetches_media_in_two_steps() {
    let harness = open(Channel::Whatsapp).await;
    let mut receiver = harness.listen().await;
    let mut draft = harness.draft("look");
    draft.vendor = Some("meta".to_owned());
    draft.media = vec!["picture".to_owned(), "picture".to_owned()];
    harness.state().send_as_person(draft).await.unwrap();
    let webhooks = harness.webhooks();
    let notices = webhooks.parse(&receiver.next().await).unwrap();
    let [WebhookEvent::Message(first), WebhookEvent::Message(second)] = notices.as_slice() else {
        panic!("{notices:?}")
    };
    assert_eq!((first.body.as_deref(), second.body.as_deref()), (Some("look"), None));
    assert_ne!(first.carrier_id, second.carrier_id);

    let download = webhooks.media(&first.attachments[0]).await.unwrap();
    assert!(download.is_carrier);
    let http = http::client().unwrap();
    assert_eq!(http.get(&download.url).send().await.unwrap().status(), 401);
    let picture = http.get(&download.url).headers(download.headers).send().await.unwrap();
    assert!(picture.bytes().await.unwrap().starts_with(b"\x89PNG"));
    let lost = Attachment {
        source: "../me".to_owned(),
        ..first.attachments[0].clone()
    };
    assert!(webhooks.media(&lost).await.is_err());
}

#[tokio::test]
async fn receipts_return_our_message_id() {
    let harness = open(Channel::Whatsapp).await;
    harness.state().set_delivery_delay(Duration::ZERO);
    let mut receiver = harness.listen().await;
    let mut dispatch = harness.text("hello");
    let Outcome::Accepted(accepted) = harness.send(&dispatch).await else {
        panic!("not accepted")
    };
    for stage in [DeliveryStatus::Sent, DeliveryStatus::Delivered] {
        let receipt = the_receipt(&*harness.webhooks(), &receiver.next().await);
        assert_eq!((receipt.stage, receipt.failure), (stage, None));
        assert_eq!(receipt.carrier_id, accepted.carrier_id);
        assert_eq!(receipt.message.as_ref(), Some(&dispatch.message));
    }

    dispatch.to = address(Channel::Whatsapp, "+4917612345678");
    harness.send(&dispatch).await;
    let receipt = the_receipt(&*harness.webhooks(), &receiver.next().await);
    assert_eq!(receipt.stage, DeliveryStatus::Failed);
    assert_eq!(receipt.error_code.as_deref(), Some("131047"));
    assert_eq!(receipt.failure, Some(RefusalClass::WindowClosed));
}

#[tokio::test]
async fn retries_batch_until_accepted() {
    let harness = open(Channel::Whatsapp).await;
    let receiver = harness.listen().await;
    receiver.respond_with(StatusCode::INTERNAL_SERVER_ERROR);
    let mut draft = harness.draft("hello");
    draft.vendor = Some("meta".to_owned());
    assert_eq!(harness.state().send_as_person(draft).await.unwrap().calls, 8);
}

fn part(kind: &str, part: Value) -> WebhookRequest {
    let mut message = json!({ "from": "14155550123", "id": "wamid.1", "timestamp": "1700000000", "type": kind });
    message[kind] = part;
    messages(&json!([message]))
}

#[test]
fn reads_text_of_all_message_types() {
    for (kind, value, said, part_type) in [
        ("text", json!({ "body": "hello" }), Some("hello"), "null"),
        (
            "button",
            json!({ "payload": "PAY_8", "text": "Yes" }),
            Some("Yes"),
            "choice",
        ),
        (
            "interactive",
            json!({ "type": "list_reply", "list_reply": { "id": "1", "title": "Two", "description": "d" } }),
            Some("Two"),
            "choice",
        ),
        (
            "interactive",
            json!({ "type": "button_reply", "button_reply": { "id": "1", "title": "One" } }),
            Some("One"),
            "choice",
        ),
        (
            "interactive",
            json!({ "type": "nfm_reply", "nfm_reply": { "response_json": "{\"rating\":\"5\",\"comment\":\"great\"}" } }),
            Some("[form: comment = great, rating = 5]"),
            "flowReply",
        ),
        (
            "interactive",
            json!({ "type": "call_permission_reply", "call_permission_reply": { "response": "accept" } }),
            Some("[permission to call: accept]"),
            "callPermission",
        ),
        (
            "reaction",
            json!({ "message_id": "wamid.0", "emoji": "\u{1f44d}" }),
            Some("[reaction 👍 to message wamid.0]"),
            "reaction",
        ),
        (
            "reaction",
            json!({ "message_id": "wamid.0", "emoji": "" }),
            Some("[reaction to message wamid.0 removed]"),
            "reaction",
        ),
        (
            "document",
            json!({ "id": "123", "mime_type": "application/pdf", "filename": "a.pdf" }),
            None,
            "null",
        ),
        (
            "location",
            json!({ "latitude": 1.5, "longitude": -2.0, "name": "Here" }),
            Some("[location 1.5, -2.0: Here]"),
            "location",
        ),
        (
            "contacts",
            json!([{ "name": { "formatted_name": "Bob Stone" }, "phones": [{ "phone": "+1 415 555 0177" }] }]),
            Some("[contact Bob Stone: +1 415 555 0177]"),
            "contact",
        ),
        (
            "order",
            json!({ "catalog_id": "77", "text": "asap", "product_items": [{ "product_retailer_id": "SKU-1", "quantity": 2 }] }),
            Some("[order: 2 x SKU-1] asap"),
            "order",
        ),
        (
            "edit",
            json!({ "original_message_id": "wamid.A", "message": { "type": "text", "text": { "body": "at 10" } } }),
            Some("at 10"),
            "edit",
        ),
        (
            "revoke",
            json!({ "original_message_id": "wamid.A" }),
            Some("[message wamid.A was deleted]"),
            "deletion",
        ),
        (
            "unsupported",
            json!(null),
            Some("[a message that can't be shown here: unsupported]"),
            "unsupported",
        ),
        (
            "hologram",
            json!({}),
            Some("[a message that can't be shown here: hologram]"),
            "unsupported",
        ),
        (
            "text",
            json!(7),
            Some("[a message that can't be shown here: text]"),
            "unsupported",
        ),
        (
            "system",
            json!({ "type": "x", "body": "b" }),
            Some("[notice x: b]"),
            "system",
        ),
    ] {
        let message = the_message(&inbound(), &part(kind, value));
        assert_eq!(message.body.as_deref(), said, "{kind}");
        assert_eq!(message.sent_at.unwrap().timestamp(), 1_700_000_000);
        assert_eq!(message.attachments.len(), usize::from(kind == "document"));
        let parts = serde_json::to_value(&message.parts).unwrap();
        assert_eq!(parts[0]["type"].as_str().unwrap_or("null"), part_type, "{parts}");
        let is_typed = matches!(kind, "text" | "edit") && said != Some("[a message that can't be shown here: text]");
        assert_eq!(message.typed_text().is_some(), is_typed, "{kind}");
    }
}

#[test]
fn reads_product_and_advertisement_of_message() {
    let message = the_message(
        &inbound(),
        &messages(&json!([{
            "from": "14155550123", "id": "wamid.1", "type": "text", "text": { "body": "Is it free?" },
            "context": { "referred_product": { "catalog_id": "77", "product_retailer_id": "SKU-9" } },
            "referral": { "source_type": "ad", "source_id": "ad-992", "headline": "Sofa" },
        }])),
    );
    assert_eq!(message.typed_text(), Some("Is it free?"));
    let parts = serde_json::to_value(&message.parts).unwrap();
    assert_eq!(
        (&parts[0]["productId"], &parts[1]["sourceId"]),
        (&json!("SKU-9"), &json!("ad-992"))
    );
}

#[test]
fn reads_senders_without_number() {
    const ID: &str = "US.13491208655302741918";
    let text = |sender: Value, contact: Value| {
        let mut message = json!({ "id": "wamid.1", "type": "text", "text": { "body": "hello" } });
        for (name, value) in sender.as_object().unwrap() {
            message[name] = value.clone();
        }
        let value = json!({
            "metadata": { "display_phone_number": "14155550100" }, "contacts": [contact], "messages": [message],
        });
        the_message(&inbound(), &batch(&[change(&value)]))
    };
    for (sender, contact, from, alias) in [
        (
            json!({ "from_user_id": ID }),
            json!({ "profile": { "name": "Ann" }, "user_id": ID }),
            ID,
            None,
        ),
        (
            json!({ "from": ID }),
            json!({ "profile": { "name": "Ann" }, "wa_id": ID }),
            ID,
            None,
        ),
        (
            json!({}),
            json!({ "profile": { "name": "Ann" }, "user_id": ID }),
            ID,
            None,
        ),
        (
            json!({ "from": "14155550123", "from_user_id": ID }),
            json!({ "profile": { "name": "Ann" }, "wa_id": "14155550123", "user_id": ID }),
            "+14155550123",
            Some(ID),
        ),
        (
            json!({ "from": ID }),
            json!({ "profile": { "name": "Ann" }, "wa_id": "14155550123", "user_id": ID }),
            "+14155550123",
            Some(ID),
        ),
        (
            json!({ "from": "999" }),
            json!({ "profile": { "name": "Ann" }, "wa_id": "999" }),
            "+999",
            None,
        ),
        (
            json!({ "from": null }),
            json!({ "profile": { "username": "Ann" } }),
            "anonymous",
            None,
        ),
    ] {
        let read = text(sender.clone(), contact);
        assert_eq!(
            (read.from.as_str(), read.sender_name.as_deref()),
            (from, Some("Ann")),
            "{sender}"
        );
        assert_eq!(read.aliases.first().map(String::as_str), alias, "{sender}");
    }
}

#[test]
fn reads_groups_and_changes_of_number() {
    let message = the_message(
        &inbound(),
        &messages(
            &json!([{ "from": "14155550123", "group_id": "120363025555550000", "id": "w", "type": "text",
            "text": { "body": "hi" } }]),
        ),
    );
    assert_eq!(message.group.unwrap().id, "120363025555550000");
    assert_eq!(message.from, "+14155550123");

    let system = json!({ "type": "user_changed_number", "wa_id": "14155550188", "user_id": "US.2",
        "previous_user_id": "US.1", "body": "Ann changed" });
    let message = the_message(&inbound(), &part("system", system));
    assert_eq!(message.aliases, ["+14155550188", "US.2"]);
    assert_eq!(message.former_addresses, ["US.1", "+14155550123"]);
    assert!(message.body.unwrap().contains("+14155550188"));
}

#[test]
fn reads_preferences_about_marketing() {
    let change = |value: &str| {
        json!({ "field": "user_preferences", "value": {
            "metadata": { "display_phone_number": "14155550100" },
            "user_preferences": [{ "wa_id": "14155550151", "category": "marketing_messages", "value": value }],
        } })
    };
    for (value, allowed) in [("stop", false), ("STOP", false), ("resume", true), ("signup", true)] {
        let message = the_message(&inbound(), &batch(&[change(value)]));
        assert_eq!(
            (message.from.as_str(), message.marketing),
            ("+14155550151", Some(allowed))
        );
        assert_eq!((message.answered_keyword, message.typed_text()), (None, None));
    }
    let skipped = vec![WebhookEvent::Skipped(SkippedEntry::Irrelevant)];
    assert_eq!(inbound().parse(&batch(&[change("think")])), Ok(skipped));
    let status = json!({
        "metadata": { "display_phone_number": "14155550100" },
        "statuses": [{ "id": "w", "status": "failed", "errors": [{ "code": 131050 }] }],
    });
    let status = batch(&[json!({ "field": "messages", "value": status })]);
    let receipt = the_receipt(&inbound(), &status);
    assert_eq!(
        (receipt.failure, receipt.is_marketing_only),
        (Some(RefusalClass::OptedOut), true)
    );
}

#[test]
fn receipts_carry_the_facts_of_the_price() {
    let receipt = |pricing: Value, recipient: &str| {
        let status = json!({ "id": "w", "status": "delivered", "recipient_id": recipient, "pricing": pricing });
        let value = json!({ "metadata": { "display_phone_number": "14155550100" }, "statuses": [status] });
        let receipt = the_receipt(&inbound(), &batch(&[json!({ "field": "messages", "value": value })]));
        (
            receipt.price,
            receipt.tariff.map(|tariff| (tariff.category, tariff.prefix)),
        )
    };
    let regular = |category: &str| json!({ "billable": true, "type": "regular", "category": category });
    let number = "4917612345678";
    let prefix = "+4917612".to_owned();
    for (pricing, expected) in [
        (
            regular("service"),
            (None, Some((WhatsappCategory::Service, prefix.clone()))),
        ),
        (
            regular("group_utility"),
            (None, Some((WhatsappCategory::Utility, prefix.clone()))),
        ),
        (
            regular("marketing_lite"),
            (None, Some((WhatsappCategory::Marketing, prefix.clone()))),
        ),
        (
            regular("authentication_international"),
            (None, Some((WhatsappCategory::Authentication, prefix.clone()))),
        ),
        (regular("general_purpose_ai"), (None, None)),
        (
            json!({ "billable": false, "category": "service" }),
            (Some(Micros::ZERO), None),
        ),
        (
            json!({ "billable": true, "type": "free_entry_point", "category": "marketing" }),
            (Some(Micros::ZERO), None),
        ),
        (json!("unknown"), (None, None)),
    ] {
        assert_eq!(receipt(pricing.clone(), number), expected, "{pricing}");
    }
    // Recipients without a number have no known market.
    assert_eq!(receipt(regular("service"), "US.1349"), (None, None));
}

#[test]
fn unreadable_item_does_not_spoil_batch() {
    let value = json!({
        "metadata": { "display_phone_number": "14155550100" },
        "contacts": null,
        "errors": null,
        "messages": [
            { "from_user_id": "US.1349", "id": "wamid.hidden", "type": "text", "text": { "body": "who am I" } },
            { "id": 7 },
            7,
            { "from": "14155550123", "id": "wamid.good", "type": "text", "text": { "body": "hello" }, "errors": null,
                "context": null },
        ],
        "statuses": [
            "nonsense",
            { "id": "wamid.1", "status": "teleported" },
            { "id": "wamid.2", "status": "played", "biz_opaque_callback_data": "a/b", "errors": null },
            { "id": "wamid.3", "status": "failed", "errors": [{ "code": 131026 }], "biz_opaque_callback_data": "msg_1" },
        ],
    });
    let without_number = json!({ "metadata": { "display_phone_number": "?" }, "messages": [] });
    let other = json!({ "field": "account_update", "value": {} });
    let request = batch(&[
        other,
        json!(7),
        change(&json!(1)),
        change(&without_number),
        change(&value),
        change(&json!({ "metadata": { "display_phone_number": "14155550100" }, "messages": null, "statuses": null })),
    ]);
    let (mut read, mut skipped) = (Vec::new(), Vec::new());
    for event in inbound().parse(&request).unwrap() {
        match event {
            WebhookEvent::Skipped(entry) => skipped.push(entry.as_str()),
            event => read.push(event),
        }
    }
    let [
        WebhookEvent::Message(hidden),
        WebhookEvent::Message(message),
        WebhookEvent::Receipt(played),
        WebhookEvent::Receipt(failed),
    ] = read.as_slice()
    else {
        panic!("{read:?}")
    };
    assert_eq!(
        (hidden.from.as_str(), message.carrier_id.as_str()),
        ("US.1349", "wamid.good")
    );
    assert_eq!((played.stage, &played.message), (DeliveryStatus::Read, &None));
    assert_eq!(
        (failed.stage, failed.failure, &failed.message),
        (
            DeliveryStatus::Failed,
            Some(RefusalClass::Recipient),
            &Some(MessageId::from("msg_1"))
        )
    );
    let expected = [
        "irrelevant",
        "malformed",
        "malformed",
        "malformed",
        "malformed",
        "malformed",
        "malformed",
        "irrelevant",
    ];
    assert_eq!(skipped, expected);
}

#[test]
fn half_a_character_costs_no_message() {
    let body = batch(&[change(&json!({
        "metadata": { "display_phone_number": "14155550100" },
        "contacts": [{ "profile": { "name": "Ann HALF" }, "wa_id": "14155550123" }],
        "messages": [
            { "from": "14155550123", "id": "w.1", "type": "text", "text": { "body": "one HALF" } },
            { "from": "14155550123", "id": "w.2", "type": "text", "text": { "body": "two" } },
        ],
    }))]);
    let body = String::from_utf8(body.body.to_vec())
        .unwrap()
        .replace("HALF", r"\ud83d");
    let events = inbound().parse(&signed(&body)).unwrap();
    let [WebhookEvent::Message(one), WebhookEvent::Message(two)] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!(
        (one.body.as_deref(), two.body.as_deref()),
        (Some("one \u{fffd}"), Some("two"))
    );
    assert_eq!(two.sender_name.as_deref(), Some("Ann \u{fffd}"));
}

#[test]
fn rejects_requests_without_app_signature() {
    let body = r#"{"entry":[]}"#;
    assert_eq!(inbound().verify(&signed(body)), Ok(()));
    let mut altered = signed(body);
    altered.body = r#"{"entry":[ ]}"#.into();
    assert_eq!(inbound().verify(&altered), Err(VerificationError::WrongSignature));
    let mut bare = signed(body);
    bare.headers.clear();
    assert_eq!(inbound().verify(&bare), Err(VerificationError::Unsigned));
    let without = connect(&credentials().with(APP_SECRET, ""));
    assert_eq!(without.verify(&signed(body)), Err(VerificationError::NoSecret));
}

#[test]
fn handshake_requires_verify_token() {
    let ask = |query: &str| {
        let mut request = signed("");
        request.method = Method::GET;
        request.url = format!("{URL}?{query}");
        inbound().handshake(&request)
    };
    let word = simulator::VERIFY_TOKEN;
    let good = format!("hub.mode=subscribe&hub.verify_token={word}&hub.challenge=1158201444");
    assert_eq!(ask(&good).as_deref(), Some("1158201444"));
    for bad in [
        String::new(),
        good.replace(word, "other"),
        good.replace("subscribe", "unsubscribe"),
        good.replace("1158201444", "%3Cscript%3E"),
        good.replace("1158201444", &"1".repeat(129)),
        good.replace("1158201444", ""),
    ] {
        assert_eq!(ask(&bad), None, "{bad}");
    }
    let without = connect(&credentials().with(VERIFY_TOKEN, ""));
    let mut empty = signed("");
    empty.url = format!("{URL}?hub.mode=subscribe&hub.verify_token=&hub.challenge=1");
    assert_eq!(without.handshake(&empty), None, "an unset word is no word");
}

#[test]
fn rejects_unreadable_webhooks() {
    for body in ["", "[]x", "7", r#"{"entry":1}"#] {
        assert!(
            matches!(inbound().parse(&signed(body)), Err(UnreadableRequest(_))),
            "{body}"
        );
    }
    assert_eq!(inbound().parse(&signed(r#"{"object":"page"}"#)), Ok(Vec::new()));
}
