//! The conformance suite of `ports::webhook::Webhooks`: a genuine webhook is verified and parsed the same way each time,
//! and any other request is rejected. `webhook_conformance!` makes a test of each story for one channel of a vendor.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use butt_dial_domain::{
    inbound::{InboundMessage, WebhookEvent},
    ports::webhook::{VerificationError, WebhookRequest, Webhooks},
};

/// The adapter under test, and a simulated vendor that sends webhooks.
pub trait WebhookSender: Send + Sync {
    fn webhooks(&self) -> Arc<dyn Webhooks>;

    /// Sends an inbound message. Returns its webhook request and the vendor's retry of it.
    fn send_twice(&self) -> impl Future<Output = (WebhookRequest, WebhookRequest)> + Send;

    /// Returns whether the signature covers the URL.
    fn signs_url(&self) -> bool;
    /// Returns whether signatures expire.
    fn signs_time(&self) -> bool;
}

/// `webhook_conformance!(Channel::Sms, super::open)`, where `async fn open(Channel) -> impl WebhookSender` starts a
/// separate vendor for every story. The tests are in a module with the channel's name.
#[macro_export]
macro_rules! webhook_conformance {
    (Channel::$channel:ident, $open:path) => {
        #[expect(non_snake_case, reason = "named after the channel")]
        mod $channel {
            $crate::conforms! {
                #[tokio::test]
                [webhooks], sender = $open(::butt_dial_domain::Channel::$channel) => &sender;
                verifies_and_parses_genuine_webhook
                rejects_missing_signature
                rejects_wrong_signature
                rejects_single_altered_byte
                rejects_other_url_when_signed
                rejects_stale_signature_when_time_is_signed
                parses_retry_as_same_message
                survives_hostile_bodies
                survives_hostile_headers
                survives_hostile_urls
                rejects_handshake_without_token
            }
        }
    };
}

/// Enough on a busy machine without optimization; quadratic code takes minutes.
const PARSE_LIMIT: Duration = Duration::from_secs(5);
const MEGABYTE: usize = 1 << 20;

fn the_message(webhooks: &dyn Webhooks, request: &WebhookRequest) -> InboundMessage {
    let events = webhooks.parse(request).expect("a readable webhook");
    match events.as_slice() {
        [WebhookEvent::Message(message)] => InboundMessage::clone(message),
        others => panic!("not one message: {others:?}"),
    }
}

fn with_signature(request: &WebhookRequest, webhooks: &dyn Webhooks, signature: &str) -> WebhookRequest {
    let mut request = request.clone();
    let signature = signature.parse().expect("a header");
    request.headers.insert(webhooks.signature_header(), signature);
    request
}

/// Asserts that the request is rejected in time, and parsed without a panic.
fn assert_survives(webhooks: &dyn Webhooks, request: &WebhookRequest, what: &str) {
    let start = Instant::now();
    let trusted = webhooks.verify(request);
    assert!(trusted.is_err(), "{what} passes verification");
    // In case a vendor signs such a request.
    let _ = webhooks.parse(request);
    assert!(start.elapsed() < PARSE_LIMIT, "{what} takes {:?}", start.elapsed());
}

pub async fn verifies_and_parses_genuine_webhook(sender: &impl WebhookSender) {
    let (webhooks, (request, _)) = (sender.webhooks(), sender.send_twice().await);
    assert_eq!(webhooks.verify(&request), Ok(()));
    let message = the_message(&*webhooks, &request);
    assert!(!message.carrier_id.is_empty() && !message.from.is_empty() && !message.to.is_empty());
    assert!(request.header(webhooks.signature_header()).is_some());
    assert!(!webhooks.acknowledgement().content_type.is_empty());
}

pub async fn rejects_missing_signature(sender: &impl WebhookSender) {
    let (webhooks, (mut request, _)) = (sender.webhooks(), sender.send_twice().await);
    request.headers.remove(webhooks.signature_header());
    assert_eq!(webhooks.verify(&request), Err(VerificationError::Unsigned));
}

pub async fn rejects_wrong_signature(sender: &impl WebhookSender) {
    let (webhooks, (request, _)) = (sender.webhooks(), sender.send_twice().await);
    let genuine = request
        .header(webhooks.signature_header())
        .expect("a signature")
        .to_owned();
    let middle = genuine.len() / 2;
    let other = if genuine.as_bytes()[middle] == b'0' { "1" } else { "0" };
    let altered = format!("{}{other}{}", &genuine[..middle], &genuine[middle + 1..]);
    let halved = genuine[..middle].to_owned();
    for wrong in [altered, halved, String::new(), "AAAA".to_owned(), "v1,AAAA".to_owned()] {
        let request = with_signature(&request, &*webhooks, &wrong);
        assert_eq!(
            webhooks.verify(&request),
            Err(VerificationError::WrongSignature),
            "{wrong}"
        );
    }
}

pub async fn rejects_single_altered_byte(sender: &impl WebhookSender) {
    let (webhooks, (genuine, _)) = (sender.webhooks(), sender.send_twice().await);
    for place in 0..genuine.body.len() {
        let mut body = genuine.body.to_vec();
        body[place] ^= 1;
        let mut request = genuine.clone();
        request.body = body.into();
        assert_eq!(
            webhooks.verify(&request),
            Err(VerificationError::WrongSignature),
            "byte {place}"
        );
    }
    let mut longer = genuine.clone();
    longer.body = [&genuine.body[..], b"&a=b"].concat().into();
    assert_eq!(webhooks.verify(&longer), Err(VerificationError::WrongSignature));
}

pub async fn rejects_other_url_when_signed(sender: &impl WebhookSender) {
    let (webhooks, (genuine, _)) = (sender.webhooks(), sender.send_twice().await);
    let mut elsewhere = genuine;
    elsewhere.url = format!("{}?mid=msg_other", elsewhere.url);
    let expected = if sender.signs_url() {
        Err(VerificationError::WrongSignature)
    } else {
        Ok(())
    };
    assert_eq!(webhooks.verify(&elsewhere), expected);
}

pub async fn rejects_stale_signature_when_time_is_signed(sender: &impl WebhookSender) {
    let (webhooks, (genuine, _)) = (sender.webhooks(), sender.send_twice().await);
    let expected = if sender.signs_time() {
        Err(VerificationError::Stale)
    } else {
        Ok(())
    };
    let hour = Duration::from_secs(60 * 60);
    for received_at in [genuine.received_at + hour, genuine.received_at - hour] {
        let request = WebhookRequest {
            received_at,
            ..genuine.clone()
        };
        assert_eq!(webhooks.verify(&request), expected);
    }
}

pub async fn parses_retry_as_same_message(sender: &impl WebhookSender) {
    let (webhooks, (first, again)) = (sender.webhooks(), sender.send_twice().await);
    assert_eq!((webhooks.verify(&first), webhooks.verify(&again)), (Ok(()), Ok(())));
    let (first, again) = (the_message(&*webhooks, &first), the_message(&*webhooks, &again));
    assert_eq!(first.carrier_id, again.carrier_id);
    assert!(first == again, "parsing is deterministic");
    let (other, _) = sender.send_twice().await;
    assert_ne!(the_message(&*webhooks, &other).carrier_id, first.carrier_id);
}

pub async fn survives_hostile_bodies(sender: &impl WebhookSender) {
    let (webhooks, (genuine, _)) = (sender.webhooks(), sender.send_twice().await);
    for (what, body) in hostile_bodies() {
        for content_type in ["application/x-www-form-urlencoded", "application/json", "\u{7f}"] {
            let mut request = genuine.clone();
            request.body = body.clone().into();
            if let Ok(content_type) = content_type.parse() {
                request.headers.insert("content-type", content_type);
            }
            assert_survives(&*webhooks, &request, what);
        }
    }
}

fn hostile_bodies() -> Vec<(&'static str, Vec<u8>)> {
    // Pseudo-random bytes.
    let junk = (0..MEGABYTE as u64).map(|n| (n.wrapping_mul(6_364_136_223_846_793_005) >> 33) as u8);
    let fields = (0..10_000).map(|n| format!("a{n}=b&"));
    vec![
        ("nothing", Vec::new()),
        ("a megabyte of junk", junk.collect()),
        ("a megabyte of one letter", vec![b'a'; MEGABYTE]),
        ("a megabyte of escapes", vec![b'%'; MEGABYTE]),
        ("a megabyte of separators", vec![b'&'; MEGABYTE]),
        ("ten thousand fields", fields.collect::<String>().into_bytes()),
        ("deep lists", vec![b'['; MEGABYTE]),
        ("deep objects", br#"{"a":"#.repeat(MEGABYTE / 5)),
        (
            "deep lists of entries",
            [&br#"{"entry":"#[..], &b"[".repeat(MEGABYTE)].concat(),
        ),
        (
            "deep data",
            [&br#"{"type":"email.received","data":"#[..], &b"[".repeat(MEGABYTE)].concat(),
        ),
        (
            "deep events",
            [&br#"{"destination":"U","events":["#[..], &b"[".repeat(MEGABYTE)].concat(),
        ),
        (
            "many entries",
            [&br#"{"entry":["#[..], &br#"{},"#.repeat(100_000), b"{}]}"].concat(),
        ),
        ("no UTF-8", b"Body=\xff\xfe&From=\xc3".to_vec()),
        ("no UTF-8 in JSON", b"{\"type\":\"\xff\"}".to_vec()),
        ("escapes of no UTF-8", b"Body=%FF%FE&MessageSid=SM1".to_vec()),
        ("zeros", vec![0; 4_096]),
        (
            "a large number",
            [&br#"{"destination":"#[..], &b"9".repeat(100_000), b"}"].concat(),
        ),
        ("half a surrogate", br#"{"type":"\ud800","entry":[]}"#.to_vec()),
    ]
}

pub async fn survives_hostile_headers(sender: &impl WebhookSender) {
    let (webhooks, (genuine, _)) = (sender.webhooks(), sender.send_twice().await);
    let mut request = genuine;
    request.body = vec![b'x'; MEGABYTE].into();
    for signature in [
        "v1,AAAA ".repeat(8_000),
        ",".repeat(60_000),
        "=".repeat(60_000),
        "sha256=".repeat(8_000),
        format!("sha256={}", "a".repeat(60_000)),
        "A".repeat(60_000),
    ] {
        let request = with_signature(&request, &*webhooks, &signature);
        assert_survives(&*webhooks, &request, "a hostile signature");
    }
    let bytes: &[u8] = b"\xff\xfe";
    let unreadable = bytes.try_into().expect("a header");
    request.headers.insert(webhooks.signature_header(), unreadable);
    assert_survives(&*webhooks, &request, "a signature that is no text");
}

pub async fn survives_hostile_urls(sender: &impl WebhookSender) {
    let (webhooks, (genuine, _)) = (sender.webhooks(), sender.send_twice().await);
    let names: String = (0..10_000).map(|n| format!("&a{n}")).collect();
    for url in [
        String::new(),
        "?".to_owned(),
        format!("{}?{names}", genuine.url),
        format!("{}?{}", genuine.url, "a&".repeat(30_000)),
        format!("{}?{}", genuine.url, "%".repeat(60_000)),
        format!("https://{}", ":".repeat(60_000)),
        "https://[::1".to_owned(),
        "é://é?é#é".to_owned(),
    ] {
        for method in ["GET", "POST"] {
            let mut request = genuine.clone();
            request.method = method.parse().expect("a method");
            request.url.clone_from(&url);
            request.body = b"{}".to_vec().into();
            assert_survives(&*webhooks, &request, "a hostile URL");
            assert_eq!(webhooks.handshake(&request), None);
        }
    }
}

pub async fn rejects_handshake_without_token(sender: &impl WebhookSender) {
    let (webhooks, (genuine, _)) = (sender.webhooks(), sender.send_twice().await);
    for query in [
        "",
        "?hub.mode=subscribe&hub.challenge=1",
        "?hub.mode=subscribe&hub.challenge=1&hub.verify_token=",
        "?hub.mode=subscribe&hub.challenge=1&hub.verify_token=guess",
    ] {
        let mut request = genuine.clone();
        request.method = "GET".parse().expect("a method");
        request.url = format!("{}{query}", genuine.url);
        assert_eq!(webhooks.handshake(&request), None, "{query}");
    }
}
