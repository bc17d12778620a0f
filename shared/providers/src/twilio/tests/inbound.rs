//! Inbound messages and receipts, through the simulator over real HTTP.

use axum::http::{HeaderMap, Method, StatusCode};
use butt_dial_domain::{
    Channel, MessageId,
    clock::Timestamp,
    inbound::{Attachment, DeliveryStatus, Keyword, Receipt, SkippedEntry, WebhookEvent},
    ports::{
        carrier::{Outcome, RefusalClass},
        webhook::{UnreadableRequest, VerificationError, WebhookRequest, Webhooks},
    },
};
use butt_dial_testkit::{conformance::messaging::TestVendor, webhook_conformance};
use url::form_urlencoded::Serializer;

use super::{open, simulator};
use crate::{
    Credentials, Secret, WebhookBehavior,
    tests::{
        harness::{the_message, the_receipt},
        webhook_receiver::WebhookReceiver,
    },
    twilio::{
        AUTH_TOKEN, AUTH_TOKEN_SECONDARY, Inbound, SUBACCOUNT_TOKENS, VENDOR,
        webhook::{HEADER, Payload, sign},
    },
};

webhook_conformance!(Channel::Sms, super::open);
webhook_conformance!(Channel::Whatsapp, super::open);

const OTHER_ACCOUNT: &str = "AC11111111111111111111111111111111";
const URL: &str = "https://bd.example.com/webhooks/twilio/sms";
const SID: &str = "SM00000000000000000000000000000001";

fn credentials() -> Credentials {
    VENDOR.simulated_credentials("https://api.twilio.test")
}

fn inbound() -> Inbound {
    Inbound::new(&credentials()).unwrap()
}

/// Builds a form as Twilio posts it, signed with this token.
fn form(url: &str, fields: &[(&str, &str)], token: &str) -> WebhookRequest {
    let owned: Vec<_> = fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let body = Serializer::new(String::new()).extend_pairs(fields).finish();
    let signature = sign(&Secret::new(token), url, Payload::Form(&owned));
    request(Method::POST, url, body.as_bytes(), Some(&signature))
}

fn request(method: Method, url: &str, body: &[u8], signature: Option<&str>) -> WebhookRequest {
    let mut headers = HeaderMap::new();
    if method == Method::POST {
        headers.insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
    }
    if let Some(signature) = signature {
        headers.insert(HEADER, signature.parse().unwrap());
    }
    WebhookRequest {
        method,
        url: url.to_owned(),
        headers,
        body: body.to_vec().into(),
        received_at: Timestamp::UNIX_EPOCH,
    }
}

fn callback(url: &str, status: &str, more: &[(&str, &str)]) -> WebhookRequest {
    let fields = [
        ("AccountSid", simulator::ACCOUNT_SID),
        ("MessageSid", SID),
        ("MessageStatus", status),
        ("From", "+14155550100"),
        ("To", "+14155550123"),
    ];
    form(url, &[&fields, more].concat(), simulator::AUTH_TOKEN)
}

fn text(fields: &[(&str, &str)]) -> WebhookRequest {
    let always = [
        ("AccountSid", simulator::ACCOUNT_SID),
        ("MessageSid", SID),
        ("SmsStatus", "received"),
    ];
    form(URL, &[&always, fields].concat(), simulator::AUTH_TOKEN)
}

async fn stages(inbound: &dyn Webhooks, receiver: &mut WebhookReceiver, count: usize) -> Vec<Receipt> {
    let mut receipts = Vec::new();
    for _ in 0..count {
        receipts.push(the_receipt(inbound, &receiver.next().await));
    }
    receipts
}

#[tokio::test]
async fn reads_inbound_text() {
    let harness = open(Channel::Sms).await;
    let mut receiver = harness.listen().await;
    let result = harness
        .state()
        .send_as_person(harness.draft("Is it 8 + 1 o'clock? é 👍"))
        .await
        .unwrap();
    assert_eq!((result.status, result.calls), (Some(200), 1));

    let request = receiver.next().await;
    assert_eq!(request.url, format!("{}/webhooks/twilio/sms", receiver.base_url));
    let message = the_message(&*harness.webhooks(), &request);
    assert_eq!(message.carrier_id, result.carrier_id);
    assert_eq!(
        (message.channel, message.from.as_str(), message.to.as_str()),
        (Channel::Sms, "+14155550123", "+14155550100")
    );
    assert_eq!(message.body.as_deref(), Some("Is it 8 + 1 o'clock? é 👍"));
    assert!(message.attachments.is_empty() && message.sender_name.is_none() && !message.incomplete);
    assert!(receiver.is_empty());
    assert_eq!(harness.state().person_messages()[0].body, "Is it 8 + 1 o'clock? é 👍");
}

#[tokio::test]
async fn whatsapp_message_has_sender_name_and_opens_window() {
    let harness = open(Channel::Whatsapp).await;
    let mut receiver = harness.listen().await;
    let mut draft = harness.draft("");
    draft.from = "whatsapp:+49 176 12345678".to_owned();
    draft.sender_name = Some("Jörg".to_owned());
    draft.button = Some("Yes, please".to_owned());
    draft.in_reply_to = Some(SID.to_owned());
    assert!(!harness.state().window_is_open("+4917612345678"));
    harness.state().send_as_person(draft).await.unwrap();
    assert!(harness.state().window_is_open("+4917612345678"));

    let message = the_message(&*harness.webhooks(), &receiver.next().await);
    assert_eq!(
        (message.channel, message.from.as_str()),
        (Channel::Whatsapp, "+4917612345678")
    );
    assert_eq!(message.sender_name.as_deref(), Some("Jörg"));
    assert_eq!(message.body.as_deref(), Some("Yes, please"));
    assert_eq!(message.in_reply_to.as_deref(), Some(SID));
}

#[tokio::test]
async fn fetches_media_with_account_credentials() {
    let harness = open(Channel::Sms).await;
    let mut receiver = harness.listen().await;
    let mut draft = harness.draft("look");
    draft.media = vec!["picture".to_owned(), "https://elsewhere.test/a.png".to_owned()];
    let result = harness.state().send_as_person(draft).await.unwrap();
    assert!(result.carrier_id.starts_with("MM"));

    let webhooks = harness.webhooks();
    let message = the_message(&*webhooks, &receiver.next().await);
    let [ours, elsewhere] = message.attachments.as_slice() else {
        panic!("{} attachments", message.attachments.len())
    };
    assert_eq!(ours.content_type.as_deref(), Some("image/png"));
    let download = webhooks.media(ours).await.unwrap();
    assert!(download.is_carrier);
    let http = crate::http::client().unwrap();
    assert_eq!(http.get(&download.url).send().await.unwrap().status(), 401);
    let picture = http.get(&download.url).headers(download.headers).send().await.unwrap();
    assert_eq!(picture.headers()["content-type"], "image/png");
    assert!(picture.bytes().await.unwrap().starts_with(b"\x89PNG"));

    let download = webhooks.media(elsewhere).await.unwrap();
    assert!(
        download.headers.is_empty() && !download.is_carrier,
        "our token is for Twilio only"
    );
    for source in ["", "not a url"] {
        let lost = Attachment {
            source: source.to_owned(),
            ..ours.clone()
        };
        assert!(webhooks.media(&lost).await.is_err());
    }
}

#[tokio::test]
async fn receipts_return_our_message_id() {
    let harness = open(Channel::Sms).await;
    harness.state().set_delivery_delay(std::time::Duration::ZERO);
    let mut receiver = harness.listen().await;
    let mut dispatch = harness.text("hello");
    dispatch.callback = Some(format!(
        "{}/webhooks/twilio/sms?mid={}",
        receiver.base_url, dispatch.message
    ));
    let Outcome::Accepted(accepted) = harness.send(&dispatch).await else {
        panic!("not accepted")
    };
    let receipts = stages(&*harness.webhooks(), &mut receiver, 3).await;
    let received: Vec<_> = receipts.iter().map(|receipt| receipt.stage).collect();
    assert_eq!(
        received,
        [DeliveryStatus::Queued, DeliveryStatus::Sent, DeliveryStatus::Delivered]
    );
    for receipt in receipts {
        assert_eq!(receipt.carrier_id, accepted.carrier_id);
        assert_eq!(receipt.message.as_ref(), Some(&dispatch.message));
        assert_eq!((receipt.error_code, receipt.failure), (None, None));
    }
}

#[tokio::test]
async fn whatsapp_receipt_reports_closed_window() {
    let harness = open(Channel::Whatsapp).await;
    harness.state().set_delivery_delay(std::time::Duration::ZERO);
    let mut receiver = harness.listen().await;
    let mut dispatch = harness.text("hello");
    dispatch.to = super::address(Channel::Whatsapp, "+4917612345678");
    dispatch.callback = Some(format!("{}/status?mid={}", receiver.base_url, dispatch.message));
    harness.send(&dispatch).await;
    let receipt = stages(&*harness.webhooks(), &mut receiver, 1).await.remove(0);
    assert_eq!(
        (receipt.channel, receipt.stage),
        (Channel::Whatsapp, DeliveryStatus::Failed)
    );
    assert_eq!(receipt.error_code.as_deref(), Some("63016"));
    assert_eq!(receipt.failure, Some(RefusalClass::WindowClosed));
}

#[tokio::test]
async fn sends_webhooks_twice_and_reversed() {
    let harness = open(Channel::Sms).await;
    harness.state().set_delivery_delay(std::time::Duration::ZERO);
    let mut receiver = harness.listen().await;
    let manner = WebhookBehavior {
        copies: 2,
        reversed: true,
    };
    harness.state().set_webhook_behavior("twilio", manner);
    let result = harness.state().send_as_person(harness.draft("hello")).await.unwrap();
    assert_eq!(result.calls, 2);
    let (first, again) = (receiver.next().await, receiver.next().await);
    assert_eq!((&first.body, &first.headers), (&again.body, &again.headers));

    let mut dispatch = harness.text("hello");
    dispatch.callback = Some(format!("{}/status", receiver.base_url));
    harness.send(&dispatch).await;
    let received: Vec<_> = stages(&*harness.webhooks(), &mut receiver, 6)
        .await
        .iter()
        .map(|r| r.stage)
        .collect();
    use DeliveryStatus::{Delivered, Queued, Sent};
    assert_eq!(received, [Delivered, Delivered, Sent, Sent, Queued, Queued]);
}

#[tokio::test]
async fn retries_webhook_after_server_error() {
    let harness = open(Channel::Sms).await;
    let mut receiver = harness.listen().await;
    receiver.respond_with(StatusCode::SERVICE_UNAVAILABLE);
    let result = harness.state().send_as_person(harness.draft("hello")).await.unwrap();
    assert_eq!((result.status, result.calls), (Some(503), 4));
    let token = receiver
        .next()
        .await
        .header("I-Twilio-Idempotency-Token")
        .unwrap()
        .to_owned();
    for _ in 0..3 {
        assert_eq!(
            receiver.next().await.header("I-Twilio-Idempotency-Token"),
            Some(token.as_str())
        );
    }

    receiver.respond_with(StatusCode::FORBIDDEN);
    let result = harness.state().send_as_person(harness.draft("hello")).await.unwrap();
    assert_eq!((result.status, result.calls), (Some(403), 1), "a refusal is an answer");

    harness.state().set_webhook_base_url("http://127.0.0.1:1");
    let result = harness.state().send_as_person(harness.draft("hello")).await.unwrap();
    assert_eq!((result.status, result.calls), (None, 4));
}

#[tokio::test]
async fn rejects_invalid_inbound_messages() {
    let harness = open(Channel::Sms).await;
    let invalid_recipient = harness
        .state()
        .send_as_person(harness.draft("hello"))
        .await
        .unwrap_err();
    assert!(invalid_recipient.contains("call-back-to"), "{invalid_recipient}");
    let _ears = harness.listen().await;
    let mut wrong = harness.draft("hello");
    wrong.from = " ".to_owned();
    assert!(harness.state().send_as_person(wrong).await.is_err());
    let mut wrong = harness.draft("hello");
    wrong.vendor = Some("resend".to_owned());
    assert!(harness.state().send_as_person(wrong).await.is_err());
    assert!(harness.state().person_messages().is_empty());
}

#[tokio::test]
async fn stop_blocks_sends_until_start() {
    let harness = open(Channel::Sms).await;
    let mut receiver = harness.listen().await;
    let mut stop = harness.draft(" stop ");
    stop.opt_out_type = Some("STOP".to_owned());
    harness.state().send_as_person(stop).await.unwrap();
    let message = the_message(&*harness.webhooks(), &receiver.next().await);
    assert_eq!(message.answered_keyword, Some(Keyword::Stop));
    assert!(
        matches!(harness.send(&harness.text("hello")).await, Outcome::Refused(r) if r.class == RefusalClass::OptedOut)
    );
    harness.state().send_as_person(harness.draft("START")).await.unwrap();
    assert!(matches!(
        harness.send(&harness.text("hello")).await,
        Outcome::Accepted(_)
    ));
    assert_eq!(harness.taken(), 1);
}

#[test]
fn rejects_requests_without_account_signature() {
    let inbound = inbound();
    let genuine = callback(URL, "sent", &[]);
    assert_eq!(inbound.verify(&genuine), Ok(()));

    let unsigned = request(Method::POST, URL, &genuine.body, None);
    assert_eq!(inbound.verify(&unsigned), Err(VerificationError::Unsigned));
    let mut altered = genuine.clone();
    altered.body = [&genuine.body[..], b"&x="].concat().into();
    let mut elsewhere = genuine.clone();
    elsewhere.url.push_str("?mid=msg_1");
    let mut as_json = genuine.clone();
    as_json
        .headers
        .insert("content-type", "application/json".parse().unwrap());
    let mut broken = genuine;
    broken.body = b"a=%FF".to_vec().into();
    for wrong in [altered, elsewhere, as_json, broken] {
        assert_eq!(inbound.verify(&wrong), Err(VerificationError::WrongSignature));
    }
}

#[test]
fn verifies_each_account_with_its_own_token() {
    let credentials = credentials()
        .with(AUTH_TOKEN_SECONDARY, "new")
        .with(SUBACCOUNT_TOKENS, format!("{OTHER_ACCOUNT}:theirs, AC2:other,"));
    let inbound = Inbound::new(&credentials).unwrap();
    for (account, token, trusted) in [
        (simulator::ACCOUNT_SID, simulator::AUTH_TOKEN, true),
        (simulator::ACCOUNT_SID, "new", true),
        (simulator::ACCOUNT_SID, "theirs", false),
        (OTHER_ACCOUNT, "theirs", true),
        (OTHER_ACCOUNT, simulator::AUTH_TOKEN, false),
        (OTHER_ACCOUNT, "other", false),
        ("AC3", simulator::AUTH_TOKEN, false),
    ] {
        let request = form(URL, &[("AccountSid", account), ("MessageSid", SID)], token);
        let expected = if trusted {
            Ok(())
        } else {
            Err(VerificationError::WrongSignature)
        };
        assert_eq!(inbound.verify(&request), expected, "{account} {token}");
    }
    for bad in ["x", "AC1", "AC1:", ":x", "SK1:x"] {
        let credentials = credentials.clone().with(SUBACCOUNT_TOKENS, bad);
        let error = Inbound::new(&credentials).err().unwrap();
        assert!(error.contains(SUBACCOUNT_TOKENS), "{error}");
    }
    assert!(Inbound::new(&credentials.with(AUTH_TOKEN, "line\nbreak")).is_ok());
}

#[test]
fn subaccount_reports_no_status_of_our_messages() {
    let credentials = credentials().with(SUBACCOUNT_TOKENS, format!("{OTHER_ACCOUNT}:theirs"));
    let inbound = Inbound::new(&credentials).unwrap();
    let fields = |status: &'static str| {
        [
            ("AccountSid", OTHER_ACCOUNT),
            ("MessageSid", SID),
            ("MessageStatus", status),
            ("From", "+14155550123"),
            ("To", "+14155550100"),
            ("Body", "STOP"),
        ]
    };
    let receipt = form(&format!("{URL}?mid=msg_1"), &fields("undelivered"), "theirs");
    assert_eq!(inbound.verify(&receipt), Ok(()));
    let skipped = vec![WebhookEvent::Skipped(SkippedEntry::Irrelevant)];
    assert_eq!(inbound.parse(&receipt), Ok(skipped));
    let message = the_message(&inbound, &form(URL, &fields("received"), "theirs"));
    assert_eq!(message.account.as_deref(), Some(OTHER_ACCOUNT));
}

#[test]
fn reads_message_from_get_url() {
    let query = format!("MessageSid={SID}&SmsStatus=received&From=%2B14155550123&To=%2B14155550100&Body=a%20b");
    let url = format!("{URL}?{query}");
    let signature = sign(&Secret::new(simulator::AUTH_TOKEN), &url, Payload::Form(&[]));
    let message = the_message(&inbound(), &request(Method::GET, &url, b"", Some(&signature)));
    assert_eq!(message.body.as_deref(), Some("a b"));
}

#[test]
fn maps_status_labels_to_delivery_statuses() {
    for (word, stage) in [
        ("accepted", Some(DeliveryStatus::Accepted)),
        ("queued", Some(DeliveryStatus::Queued)),
        ("sending", Some(DeliveryStatus::Sending)),
        ("sent", Some(DeliveryStatus::Sent)),
        ("delivered", Some(DeliveryStatus::Delivered)),
        ("undelivered", Some(DeliveryStatus::Undelivered)),
        ("failed", Some(DeliveryStatus::Failed)),
        ("canceled", Some(DeliveryStatus::Failed)),
        ("read", Some(DeliveryStatus::Read)),
        ("teleported", None),
    ] {
        let notices = inbound().parse(&callback(URL, word, &[])).unwrap();
        let received = notices.first().map(|notice| match notice {
            WebhookEvent::Receipt(receipt) => Some(receipt.stage),
            WebhookEvent::Skipped(_) => None,
            WebhookEvent::Message(_) => panic!("a message"),
        });
        let received = received.flatten();
        assert_eq!(received, stage, "{word}");
    }
}

#[test]
fn maps_delivery_error_codes_to_refusal_classes() {
    use RefusalClass::{Configuration, Content, OptedOut, Recipient, Throttled, WindowClosed};
    for (code, class) in [
        ("63016", Some(WindowClosed)),
        ("30005", Some(Recipient)),
        ("30006", Some(Recipient)),
        ("63003", Some(Recipient)),
        ("63024", Some(Recipient)),
        ("30004", Some(Content)),
        ("30007", Some(Content)),
        ("21610", Some(OptedOut)),
        ("30034", Some(Configuration)),
        ("30008", Some(Throttled)),
        ("99999", None),
        ("many", None),
    ] {
        let receipt = the_receipt(&inbound(), &callback(URL, "undelivered", &[("ErrorCode", code)]));
        assert_eq!((receipt.error_code.as_deref(), receipt.failure), (Some(code), class));
    }
}

#[test]
fn reads_valid_message_id_from_callback_url() {
    let ids = ["?mid=msg_1", "?a=b&mid=msg_1", "?mid=", "?mid=a%2Fb", ""];
    let read = ids.map(|query| the_receipt(&inbound(), &callback(&format!("{URL}{query}"), "sent", &[])).message);
    let ours = Some(MessageId::from("msg_1"));
    assert_eq!(read, [ours.clone(), ours, None, None, None]);
}

#[test]
fn rejects_unreadable_webhooks_and_ignores_others() {
    for unreadable in [
        text(&[("From", "+14155550123")]),
        form(URL, &[("MessageSid", "SM1/../2"), ("SmsStatus", "received")], ""),
        request(Method::POST, URL, b"MessageSid=%FF", None),
        request(Method::POST, URL, &b"a=b&".repeat(10_000), None),
    ] {
        assert!(matches!(inbound().parse(&unreadable), Err(UnreadableRequest(_))));
    }
    for other in [
        form(URL, &[("CallSid", "CA1")], ""),
        request(Method::POST, URL, b"", None),
    ] {
        assert_eq!(inbound().parse(&other), Ok(Vec::new()));
    }
    let skipped = vec![WebhookEvent::Skipped(SkippedEntry::Irrelevant)];
    let other = text(&[("From", "rcs:+14155550123"), ("To", "rcs:acme")]);
    assert_eq!(inbound().parse(&other), Ok(skipped));
}

#[test]
fn reads_every_sender() {
    const ID: &str = "US.13491208655302741918";
    let (user, whatsapp) = (format!("whatsapp:{ID}"), "whatsapp:+14155550100");
    for (fields, from, alias) in [
        (vec![("From", "68849"), ("To", "+14155550100")], "68849", None),
        (vec![("From", "222"), ("To", "68849")], "222", None),
        (vec![("From", "ACMEBANK"), ("To", "+14155550100")], "ACMEBANK", None),
        (vec![("From", "Acme Rest"), ("To", "+14155550100")], "Acme Rest", None),
        (vec![("From", "client:ann"), ("To", "+14155550100")], "client:ann", None),
        (
            vec![("From", "+999123456789"), ("To", "+14155550100")],
            "+999123456789",
            None,
        ),
        (vec![("From", ""), ("To", "+14155550100")], "anonymous", None),
        (vec![("To", "+14155550100")], "anonymous", None),
        (
            vec![
                ("From", user.as_str()),
                ("ExternalUserId", user.as_str()),
                ("To", whatsapp),
            ],
            ID,
            None,
        ),
        (
            vec![
                ("From", "whatsapp:"),
                ("ExternalUserId", user.as_str()),
                ("To", whatsapp),
            ],
            ID,
            None,
        ),
        (vec![("ExternalUserIdentifier", ID), ("To", whatsapp)], ID, None),
        (vec![("From", "whatsapp:"), ("To", whatsapp)], "anonymous", None),
        (
            vec![
                ("From", "whatsapp:+14155550123"),
                ("ExternalUserId", user.as_str()),
                ("To", whatsapp),
            ],
            "+14155550123",
            Some(ID),
        ),
    ] {
        let mut fields = fields;
        fields.push(("Body", "hello"));
        let message = the_message(&inbound(), &text(&fields));
        assert_eq!(
            (message.from.as_str(), message.body.as_deref()),
            (from, Some("hello")),
            "{fields:?}"
        );
        assert_eq!(message.aliases.first().map(String::as_str), alias, "{fields:?}");
        let is_sms = !fields.iter().any(|(_, value)| value.starts_with("whatsapp:"));
        assert_eq!(message.channel, if is_sms { Channel::Sms } else { Channel::Whatsapp });
    }
}

#[test]
fn describes_every_form_in_words() {
    let flow = r#"{"nfm_reply":{"response_json":"{\"seats\":\"4\"}"}}"#;
    for (fields, body, part, is_typed) in [
        (
            vec![("ButtonText", "Yes please"), ("ButtonPayload", "CONFIRM_42")],
            "Yes please",
            "choice",
            false,
        ),
        (
            vec![
                ("Body", "Cancel"),
                ("MessageType", "button"),
                ("ButtonText", "Cancel"),
                ("ButtonPayload", "c_7"),
            ],
            "Cancel",
            "choice",
            false,
        ),
        (
            vec![
                ("MessageType", "interactive"),
                ("ListId", "prio-low"),
                ("ListTitle", "Baja"),
            ],
            "Baja",
            "choice",
            false,
        ),
        (
            vec![
                ("MessageType", "location"),
                ("Latitude", "52.520008"),
                ("Longitude", "13.404954"),
                ("Address", "Alexanderplatz, Berlin"),
                ("Label", "TV Tower"),
            ],
            "[location 52.520008, 13.404954: TV Tower, Alexanderplatz, Berlin]",
            "location",
            false,
        ),
        (vec![("InteractiveData", flow)], "[form: seats = 4]", "flowReply", false),
        (
            vec![
                ("MessageType", "reaction"),
                ("Body", "👍"),
                ("OriginalRepliedMessageSid", "SM888"),
            ],
            "[reaction 👍 to message SM888]",
            "reaction",
            false,
        ),
        (
            vec![
                ("Body", "Is it free?"),
                ("ReferralSourceId", "ad-991"),
                ("ReferralHeadline", "Sofa 50% off"),
            ],
            "Is it free?",
            "referral",
            true,
        ),
        (
            vec![("MessageType", "unsupported")],
            "[a message that can't be shown here: unsupported]",
            "unsupported",
            false,
        ),
        (
            vec![("MessageType", "hologram")],
            "[a message that can't be shown here: hologram]",
            "unsupported",
            false,
        ),
    ] {
        let parties = [("From", "whatsapp:+14155550123"), ("To", "whatsapp:+14155550100")];
        let message = the_message(&inbound(), &text(&[&parties, fields.as_slice()].concat()));
        assert_eq!(message.body.as_deref(), Some(body), "{fields:?}");
        assert_eq!(message.typed_text().is_some(), is_typed, "{fields:?}");
        assert_eq!(serde_json::to_value(&message.parts).unwrap()[0]["type"], part);
    }
}
