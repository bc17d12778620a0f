//! Inbound messages, blocks and unblocks, through the simulator over real HTTP.

use axum::http::{HeaderMap, Method};
use butt_dial_domain::{
    Channel,
    clock::Timestamp,
    inbound::{Attachment, InboundMessage, Keyword, SkippedEntry, WebhookEvent},
    ports::webhook::{UnreadableRequest, VerificationError, WebhookRequest, Webhooks},
};
use butt_dial_testkit::webhook_conformance;
use serde_json::{Value, json};

use super::{open, simulator};
use crate::{
    Credentials, Secret,
    line::{CHANNEL_SECRET, DATA_ENDPOINT, Inbound, VENDOR, webhook},
    tests::harness::the_message,
};

webhook_conformance!(Channel::Line, super::open);

const BOT: &str = "U0000000000000000000000000000000b";
const ANN: &str = "U00000000000000000000000000000123";
const GROUP: &str = "C00000000000000000000000000000456";

fn credentials() -> Credentials {
    VENDOR.simulated_credentials("https://api.line.test")
}

fn inbound() -> Inbound {
    Inbound::new(&credentials()).unwrap()
}

fn signed(body: &str) -> WebhookRequest {
    let signature = webhook::sign(&Secret::new(simulator::CHANNEL_SECRET), body.as_bytes());
    let mut headers = HeaderMap::new();
    headers.insert(webhook::HEADER, signature.parse().unwrap());
    WebhookRequest {
        method: Method::POST,
        url: "https://bd.example.com/webhooks/line/line".to_owned(),
        headers,
        body: body.to_owned().into(),
        received_at: Timestamp::UNIX_EPOCH,
    }
}

fn read(events: &Value) -> Vec<InboundMessage> {
    let request = signed(&json!({ "destination": BOT, "events": events }).to_string());
    let notices = inbound().parse(&request).unwrap();
    let messages = notices.into_iter().filter_map(|notice| match notice {
        WebhookEvent::Message(message) => Some(*message),
        WebhookEvent::Skipped(_) => None,
        WebhookEvent::Receipt(_) => panic!("a receipt"),
    });
    messages.collect()
}

fn text(source: &Value) -> Value {
    json!({
        "type": "message", "mode": "active", "timestamp": 1_700_000_000_123_i64, "source": source,
        "webhookEventId": "01H", "message": { "id": "42", "type": "text", "text": "hello" },
    })
}

#[tokio::test]
async fn reads_inbound_text() {
    let harness = open(Channel::Line).await;
    let mut receiver = harness.listen().await;
    let mut draft = harness.draft("8 o'clock? é 👍");
    draft.in_reply_to = Some("41".to_owned());
    let result = harness.state().send_as_person(draft).await.unwrap();
    let request = receiver.next().await;
    assert_eq!(request.url, format!("{}/webhooks/line/line", receiver.base_url));
    let message = the_message(&*harness.webhooks(), &request);
    assert_eq!(message.carrier_id, result.carrier_id);
    assert_eq!((message.from.as_str(), message.to.as_str()), (ANN, BOT));
    assert_eq!(message.body.as_deref(), Some("8 o'clock? é 👍"));
    assert_eq!(message.in_reply_to.as_deref(), Some("41"));
    assert!(message.group.is_none() && message.sent_at.is_some());
}

#[tokio::test]
async fn fetches_media_from_file_host() {
    let harness = open(Channel::Line).await;
    let mut receiver = harness.listen().await;
    let mut draft = harness.draft("");
    draft.media = vec!["picture".to_owned()];
    harness.state().send_as_person(draft).await.unwrap();
    let webhooks = harness.webhooks();
    let message = the_message(&*webhooks, &receiver.next().await);
    let download = webhooks.media(&message.attachments[0]).await.unwrap();
    assert!(download.is_carrier);
    let http = crate::http::client().unwrap();
    assert_eq!(http.get(&download.url).send().await.unwrap().status(), 401);
    let picture = http.get(&download.url).headers(download.headers).send().await.unwrap();
    assert!(picture.bytes().await.unwrap().starts_with(b"\x89PNG"));
}

#[tokio::test]
async fn selects_base_url_of_files() {
    let file = |source: &str| Attachment {
        source: source.to_owned(),
        content_type: None,
        filename: None,
        size: None,
        is_voice: false,
    };
    let real = VENDOR.simulated_credentials("x");
    let real = simulated_at("https://api.line.me", &real);
    for (credentials, url) in [
        (real.clone(), "https://api-data.line.me/v2/bot/message/42/content"),
        (
            real.with(DATA_ENDPOINT, "https://files.test/"),
            "https://files.test/v2/bot/message/42/content",
        ),
        (credentials(), "https://api.line.test/line/v2/bot/message/42/content"),
    ] {
        let inbound = Inbound::new(&credentials).unwrap();
        assert_eq!(inbound.media(&file("42")).await.unwrap().url, url);
        assert!(inbound.media(&file("../42")).await.is_err());
    }
    assert!(Inbound::new(&credentials().with(DATA_ENDPOINT, "files")).is_err());
}

fn simulated_at(endpoint: &str, credentials: &Credentials) -> Credentials {
    let mut moved = credentials.clone();
    moved.endpoint = endpoint.to_owned();
    moved
}

#[tokio::test]
async fn block_and_unblock_count_as_stop_and_start() {
    let harness = open(Channel::Line).await;
    let mut receiver = harness.listen().await;
    for (word, keyword) in [("STOP", Keyword::Stop), ("START", Keyword::Start)] {
        let mut draft = harness.draft("");
        draft.opt_out_type = Some(word.to_owned());
        let result = harness.state().send_as_person(draft).await.unwrap();
        let message = the_message(&*harness.webhooks(), &receiver.next().await);
        assert_eq!((message.answered_keyword, &message.body), (Some(keyword), &None));
        let notice = if keyword == Keyword::Stop { "unfollow" } else { "follow" };
        assert!(message.readable_body().unwrap().contains(notice));
        assert_eq!(message.carrier_id, result.carrier_id);
    }
}

#[test]
fn reads_user_group_and_room_senders() {
    let room = format!("R{}", &GROUP[1..]);
    for (source, from, group) in [
        (json!({ "type": "user", "userId": ANN }), ANN, None),
        (
            json!({ "type": "group", "groupId": GROUP, "userId": ANN }),
            ANN,
            Some(GROUP),
        ),
        (json!({ "type": "group", "groupId": GROUP }), GROUP, Some(GROUP)),
        (
            json!({ "type": "room", "roomId": room, "userId": ANN }),
            ANN,
            Some(room.as_str()),
        ),
    ] {
        let messages = read(&json!([text(&source)]));
        assert_eq!(messages[0].from, from);
        assert_eq!(messages[0].group.as_ref().map(|group| group.id.as_str()), group);
        assert_eq!(messages[0].carrier_id, "01H-42");
        assert_eq!(messages[0].sent_at.unwrap().timestamp_millis(), 1_700_000_000_123);
    }
}

#[test]
fn one_bad_event_does_not_spoil_batch() {
    let ann = json!({ "type": "user", "userId": ANN });
    let mut standby = text(&ann);
    standby["mode"] = json!("standby");
    let mut null_fields = text(&ann);
    null_fields["deliveryContext"] = json!(null);
    null_fields["message"]["mention"] = json!(null);
    null_fields["message"]["fileSize"] = json!("x");
    let events = json!([
        standby,
        "nonsense",
        { "type": "videoPlayComplete", "source": ann },
        text(&json!({ "type": "user" })),
        null_fields,
    ]);
    let body = json!({ "destination": BOT, "events": events });
    let skipped = |entry| WebhookEvent::Skipped(entry);
    let parsed = inbound().parse(&signed(&body.to_string())).unwrap();
    assert_eq!(parsed[0], skipped(SkippedEntry::Irrelevant));
    assert_eq!(parsed[1], skipped(SkippedEntry::Malformed));
    assert_eq!(parsed[2], skipped(SkippedEntry::Irrelevant));
    let messages = read(&events);
    assert_eq!(
        (messages[0].from.as_str(), messages[1].from.as_str()),
        ("anonymous", ANN)
    );
    assert_eq!(messages[1].body.as_deref(), Some("hello"));
    assert!(read(&json!([])).is_empty() && read(&json!(null)).is_empty());

    let half = body.to_string().replace("hello", r"hello \ud83d");
    assert_eq!(inbound().parse(&signed(&half)).unwrap().len(), 5);
}

#[test]
fn describes_every_event_in_words() {
    let ann = json!({ "type": "user", "userId": ANN });
    let event = |kind: &str, field: &str, value: Value| {
        let mut event = json!({ "type": kind, "source": ann, "webhookEventId": "01H", "timestamp": 1 });
        event[field] = value;
        event
    };
    let message = |value: Value| event("message", "message", value);
    for (event, body, part) in [
        (
            message(
                json!({ "id": "1", "type": "location", "title": "my place", "address": "Tokyo 1-1",
                "latitude": 35.68, "longitude": 139.76 }),
            ),
            "[location 35.68, 139.76: my place, Tokyo 1-1]",
            "location",
        ),
        (
            message(
                json!({ "id": "1", "type": "sticker", "packageId": "1", "stickerId": "2", "keywords": ["thanks", "bow"] }),
            ),
            "[sticker: thanks, bow]",
            "sticker",
        ),
        (
            message(json!({ "id": "1", "type": "hologram" })),
            "[a message that can't be shown here: hologram]",
            "unsupported",
        ),
        (
            event(
                "postback",
                "postback",
                json!({ "data": "cancel", "displayText": "Cancel" }),
            ),
            "Cancel",
            "choice",
        ),
        (
            event(
                "postback",
                "postback",
                json!({ "data": "slot", "params": { "datetime": "2026-12-01T10:00" } }),
            ),
            "[choice: slot, 2026-12-01T10:00]",
            "choice",
        ),
        (
            event("unsend", "unsend", json!({ "messageId": "325708001" })),
            "[message 325708001 was deleted]",
            "deletion",
        ),
        (
            event("accountLink", "link", json!({})),
            "[a message that can't be shown here: accountLink]",
            "unsupported",
        ),
        (
            event(
                "memberJoined",
                "joined",
                json!({ "members": [{ "type": "user", "userId": "U1" }] }),
            ),
            "[notice memberJoined: member1 U1]",
            "system",
        ),
    ] {
        let read = read(&json!([event])).remove(0);
        assert_eq!((read.body.as_deref(), read.typed_text()), (Some(body), None), "{event}");
        assert_eq!(serde_json::to_value(&read.parts).unwrap()[0]["type"], part);
    }
    let voice = read(&json!([message(
        json!({ "id": "1", "type": "audio", "duration": 6000 })
    )]))
    .remove(0);
    assert!(voice.attachments[0].is_voice);
}

#[test]
fn accepts_empty_test_request() {
    let request = signed(r#"{"destination":"U0","events":[]}"#);
    assert_eq!(inbound().verify(&request), Ok(()));
    assert_eq!(inbound().parse(&request), Ok(Vec::new()));
}

#[test]
fn rejects_requests_without_channel_signature() {
    let body = r#"{"destination":"U0","events":[]}"#;
    let mut altered = signed(body);
    altered.body = body.replace("U0", "U1").into();
    assert_eq!(inbound().verify(&altered), Err(VerificationError::WrongSignature));
    let mut bare = signed(body);
    bare.headers.clear();
    assert_eq!(inbound().verify(&bare), Err(VerificationError::Unsigned));
    let without = Inbound::new(&credentials().with(CHANNEL_SECRET, "")).unwrap();
    assert_eq!(without.verify(&signed(body)), Err(VerificationError::NoSecret));
}

#[test]
fn rejects_unreadable_webhooks() {
    for body in ["", "7", "{}", r#"{"destination":"U0","events":[{}]}"#] {
        assert!(
            matches!(inbound().parse(&signed(body)), Err(UnreadableRequest(_))),
            "{body}"
        );
    }
}
