//! Received mails and receipts, through the simulator over real HTTP.

use std::time::Duration;

use axum::http::{HeaderMap, Method, StatusCode};
use butt_dial_domain::{
    Channel, Clock, MessageId,
    clock::Timestamp,
    inbound::{Attachment, DeliveryStatus, InboundMessage, Receipt, WebhookEvent},
    ports::{
        carrier::{Outcome, RefusalClass},
        webhook::{UnreadableRequest, VerificationError, WebhookRequest, Webhooks},
    },
};
use butt_dial_testkit::{conformance::messaging::TestVendor, webhook_conformance};
use serde_json::{Value, json};

use super::{DEADLINE, open, simulator};
use crate::{
    Credentials, Secret, http,
    resend::{Inbound, VENDOR, WEBHOOK_SECRET, webhook},
    tests::{
        harness::{the_message, the_receipt},
        install_tls,
    },
};

webhook_conformance!(Channel::Email, super::open);

const URL: &str = "https://bd.example.com/webhooks/resend/email";

fn credentials() -> Credentials {
    VENDOR.simulated_credentials("https://api.resend.test")
}

fn connect(credentials: &Credentials) -> Result<Inbound, String> {
    install_tls();
    Inbound::new(credentials, http::client().unwrap(), DEADLINE)
}

fn inbound() -> Inbound {
    connect(&credentials()).unwrap()
}

fn now() -> Timestamp {
    Clock::System.now()
}

fn signed(body: &str, names: [&'static str; 3], sent: Timestamp) -> WebhookRequest {
    let secret = Secret::new(simulator::WEBHOOK_SECRET);
    let signature = webhook::sign(&secret, "msg_1", sent.timestamp(), body.as_bytes()).unwrap();
    let values = ["msg_1".to_owned(), sent.timestamp().to_string(), signature];
    let mut headers = HeaderMap::new();
    for (name, value) in names.into_iter().zip(values) {
        headers.insert(name, value.parse().unwrap());
    }
    WebhookRequest {
        method: Method::POST,
        url: URL.to_owned(),
        headers,
        body: body.to_owned().into(),
        received_at: now(),
    }
}

const SVIX: [&str; 3] = ["svix-id", "svix-timestamp", "svix-signature"];

fn event(kind: &str, data: &Value) -> WebhookRequest {
    let body = json!({ "type": kind, "created_at": "2026-10-01T12:00:00.000Z", "data": data });
    signed(&body.to_string(), SVIX, now())
}

fn about_our_mail(kind: &str, more: &[(&str, Value)]) -> Receipt {
    let mut data = json!({ "email_id": "e-1", "tags": { "bd_message": "msg_1" } });
    for (name, value) in more {
        data[name] = value.clone();
    }
    the_receipt(&inbound(), &event(kind, &data))
}

#[tokio::test]
async fn fetches_announced_mail_and_its_attachment() {
    let harness = open(Channel::Email).await;
    let mut receiver = harness.listen().await;
    let mut draft = harness.draft("Plain\ntext");
    draft.sender_name = Some("Lee, \"Ann\"".to_owned());
    draft.subject = Some("A table".to_owned());
    draft.html = Some("<p>Marked up</p>".to_owned());
    draft.in_reply_to = Some("<first@example.com>".to_owned());
    draft.media = vec!["picture".to_owned()];
    let result = harness.state().send_as_person(draft).await.unwrap();
    assert_eq!((result.vendor, result.status), ("resend", Some(200)));

    let webhooks = harness.webhooks();
    let request = receiver.next().await;
    assert_eq!(request.url, format!("{}/webhooks/resend/email", receiver.base_url));
    let announced = the_message(&*webhooks, &request);
    assert_eq!(announced.carrier_id, result.carrier_id);
    assert_eq!(
        (announced.from.as_str(), announced.to.as_str()),
        ("ann@example.org", "agent@example.com")
    );
    assert_eq!(announced.sender_name.as_deref(), Some("Lee, \"Ann\""));
    assert!(announced.incomplete && announced.body.is_none() && announced.sent_at.is_some());
    assert_eq!(announced.attachments.len(), 1);

    let whole = webhooks.fetch_content(announced.clone()).await.unwrap();
    assert_eq!(
        (whole.body.as_deref(), whole.html.as_deref(), whole.subject.as_deref()),
        (Some("Plain\ntext"), Some("<p>Marked up</p>"), Some("A table"))
    );
    assert_eq!(whole.in_reply_to.as_deref(), Some("<first@example.com>"));
    assert!(!whole.incomplete);
    let [picture] = whole.attachments.as_slice() else {
        panic!("{} attachments", whole.attachments.len())
    };
    assert_eq!(picture.filename.as_deref(), Some("picture-1.png"));
    assert!(picture.size.is_some_and(|size| size > 60));

    let download = webhooks.media(picture).await.unwrap();
    assert!(download.is_carrier && download.headers.is_empty());
    let picture = http::client().unwrap().get(download.url).send().await.unwrap();
    assert!(picture.bytes().await.unwrap().starts_with(b"\x89PNG"));
}

#[tokio::test]
async fn fails_to_fetch_unknown_mails_and_attachments() {
    let harness = open(Channel::Email).await;
    let webhooks = harness.webhooks();
    for id in ["unknown", "../domains", ""] {
        let message = InboundMessage::new(id, Channel::Email, &harness.to(), &harness.from());
        assert!(webhooks.fetch_content(message).await.is_err(), "{id:?}");
    }
    for source in ["e-1", "e-1/a-1", "../x", "e-1/../a", "/"] {
        let attachment = Attachment {
            source: source.to_owned(),
            content_type: None,
            filename: None,
            size: None,
            is_voice: false,
        };
        assert!(webhooks.media(&attachment).await.is_err(), "{source}");
    }
}

#[tokio::test]
async fn receipts_return_our_message_id() {
    let harness = open(Channel::Email).await;
    harness.state().set_delivery_delay(Duration::ZERO);
    let mut receiver = harness.listen().await;
    let mail = harness.text("hello");
    let Outcome::Accepted(accepted) = harness.send(&mail).await else {
        panic!("not accepted")
    };
    for stage in [DeliveryStatus::Sent, DeliveryStatus::Delivered] {
        let receipt = the_receipt(&*harness.webhooks(), &receiver.next().await);
        assert_eq!(receipt.stage, stage);
        assert_eq!(receipt.carrier_id, accepted.carrier_id);
        assert_eq!(receipt.message.as_ref(), Some(&mail.message));
        assert_eq!(receipt.failure, None);
    }

    harness.state().opt_out("ann@example.org");
    harness.send(&harness.text("hello")).await;
    let receipt = the_receipt(&*harness.webhooks(), &receiver.next().await);
    assert_eq!(
        (receipt.stage, receipt.failure),
        (DeliveryStatus::Failed, Some(RefusalClass::Recipient))
    );
}

#[tokio::test]
async fn retries_event_until_accepted() {
    let harness = open(Channel::Email).await;
    let receiver = harness.listen().await;
    receiver.respond_with(StatusCode::INTERNAL_SERVER_ERROR);
    let result = harness.state().send_as_person(harness.draft("hello")).await.unwrap();
    assert_eq!((result.status, result.calls), (Some(500), 8));
}

#[test]
fn maps_events_to_delivery_statuses() {
    for (kind, stage) in [
        ("sent", DeliveryStatus::Sent),
        ("delivered", DeliveryStatus::Delivered),
        ("delivery_delayed", DeliveryStatus::Sent),
        ("opened", DeliveryStatus::Read),
        ("clicked", DeliveryStatus::Read),
    ] {
        let receipt = about_our_mail(&format!("email.{kind}"), &[]);
        assert_eq!(
            (receipt.stage, receipt.failure, receipt.error_code),
            (stage, None, None),
            "{kind}"
        );
        assert_eq!(
            (receipt.carrier_id.as_str(), receipt.message),
            ("e-1", Some("msg_1".into()))
        );
    }
    for kind in ["email.scheduled", "email.invented", "contact.created", "domain.updated"] {
        assert_eq!(inbound().parse(&event(kind, &json!({}))), Ok(Vec::new()), "{kind}");
    }
}

#[test]
fn maps_failures_to_codes_and_classes() {
    use RefusalClass::{OptedOut, Recipient, Throttled};
    let bounce = |kind: &str| ("bounce", json!({ "message": "no", "type": kind, "subType": "General" }));
    for (kind, why, stage, code, class) in [
        (
            "bounced",
            bounce("Permanent"),
            DeliveryStatus::Undelivered,
            "General",
            Some(Recipient),
        ),
        (
            "bounced",
            bounce("permanent"),
            DeliveryStatus::Undelivered,
            "General",
            Some(Recipient),
        ),
        (
            "bounced",
            bounce("Transient"),
            DeliveryStatus::Undelivered,
            "General",
            Some(Throttled),
        ),
        (
            "bounced",
            bounce("Undetermined"),
            DeliveryStatus::Undelivered,
            "General",
            Some(Throttled),
        ),
        (
            "complained",
            ("x", json!(1)),
            DeliveryStatus::Delivered,
            "complained",
            Some(OptedOut),
        ),
        (
            "suppressed",
            ("x", json!(1)),
            DeliveryStatus::Failed,
            "suppressed",
            Some(Recipient),
        ),
        (
            "failed",
            ("failed", json!({ "reason": "reached_daily_quota" })),
            DeliveryStatus::Failed,
            "reached_daily_quota",
            None,
        ),
    ] {
        let receipt = about_our_mail(&format!("email.{kind}"), &[why]);
        assert_eq!((receipt.stage, receipt.failure), (stage, class), "{kind}");
        assert_eq!(receipt.error_code.as_deref(), Some(code), "{kind}");
    }
    let bare = about_our_mail("email.bounced", &[]);
    assert_eq!((bare.error_code, bare.failure), (None, Some(Recipient)));
}

#[test]
fn reads_tags_as_object_or_list() {
    for (tags, id) in [
        (json!({ "bd_message": "msg_1" }), Some("msg_1")),
        (
            json!([{ "name": "a", "value": "b" }, { "name": "bd_message", "value": "msg_1" }]),
            Some("msg_1"),
        ),
        (json!({ "bd_message": "a/b" }), None),
        (json!({ "other": "msg_1" }), None),
        (json!(["bd_message"]), None),
        (json!([]), None),
        (Value::Null, None),
    ] {
        let receipt = about_our_mail("email.sent", &[("tags", tags.clone())]);
        assert_eq!(receipt.message, id.map(MessageId::from), "{tags}");
    }
}

#[test]
fn returns_one_event_per_recipient_address() {
    let data = json!({
        "email_id": "e-1", "from": "ann@example.org",
        "to": ["Agent <agent@Example.com>", "else@example.net", "undisclosed-recipients:;"],
        "received_for": ["agent@example.com", "second@example.com"],
    });
    let notices = inbound().parse(&event("email.received", &data)).unwrap();
    let received = notices.iter().map(|notice| match notice {
        WebhookEvent::Message(message) => message.to.as_str(),
        other => panic!("{other:?}"),
    });
    let received: Vec<_> = received.collect();
    assert_eq!(
        received,
        ["agent@example.com", "second@example.com", "else@example.net"]
    );
}

#[test]
fn rejects_missing_wrong_and_stale_signatures() {
    let inbound = inbound();
    let body = r#"{"type":"email.sent","data":{"email_id":"e-1"}}"#;
    let standard = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    for names in [SVIX, standard] {
        assert_eq!(inbound.verify(&signed(body, names, now())), Ok(()));
    }
    let minutes = chrono::Duration::minutes;
    for sent in [now() - minutes(6), now() + minutes(6)] {
        assert_eq!(inbound.verify(&signed(body, SVIX, sent)), Err(VerificationError::Stale));
    }
    for name in SVIX {
        let mut bare = signed(body, SVIX, now());
        bare.headers.remove(name);
        assert_eq!(inbound.verify(&bare), Err(VerificationError::Unsigned));
    }
    let mut altered = signed(body, SVIX, now());
    altered.body = body.replace("e-1", "e-2").into();
    assert_eq!(inbound.verify(&altered), Err(VerificationError::WrongSignature));
    let other = connect(&credentials().with(WEBHOOK_SECRET, "whsec_AAAA")).unwrap();
    assert_eq!(
        other.verify(&signed(body, SVIX, now())),
        Err(VerificationError::WrongSignature)
    );
    let rotating = credentials().with(WEBHOOK_SECRET, format!("whsec_AAAA, {}", simulator::WEBHOOK_SECRET));
    assert_eq!(connect(&rotating).unwrap().verify(&signed(body, SVIX, now())), Ok(()));
    let none = credentials().with(WEBHOOK_SECRET, "");
    assert_eq!(
        connect(&none).unwrap().verify(&signed(body, SVIX, now())),
        Err(VerificationError::NoSecret)
    );
    assert!(connect(&credentials().with(WEBHOOK_SECRET, "whsec_?")).is_err());
}

#[test]
fn half_a_character_does_not_cost_the_mail() {
    let body = r#"{"type":"email.received","data":{"email_id":"e-1","from":"Ann \ud83d <a@b.de>","to":["c@d.de"]}}"#;
    let request = signed(body, SVIX, now());
    assert_eq!(inbound().parse(&request).ok().map(|events| events.len()), Some(1));
}

#[test]
fn rejects_unreadable_webhooks() {
    for body in [
        "",
        "[]",
        "{}",
        r#"{"type":1}"#,
        r#"{"type":"email.sent"}"#,
        r#"{"type":"email.sent","data":{"email_id":"../1"}}"#,
        r#"{"type":"email.received","data":{"email_id":"e-1"}}"#,
        r#"{"type":"email.received","data":{"from":"a@b.de"}}"#,
        r#"{"type":"email.received","data":{"email_id":"e-1","from":"Ann"}}"#,
    ] {
        let request = signed(body, SVIX, now());
        assert!(matches!(inbound().parse(&request), Err(UnreadableRequest(_))), "{body}");
    }
}
