//! The stories of `ports::webhook::Webhooks`: a genuine webhook is believed and read the same way each time it comes,
//! and nothing else is believed, whatever it is made of. `webhook_conformance!` makes a test of each for one channel of
//! a vendor.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use butt_dial_domain::{
    inbound::{InboundMessage, WebhookEvent},
    ports::webhook::{VerificationError, WebhookRequest, Webhooks},
};

/// What a story needs of the vendor's side: our ears, and somebody who speaks into them.
pub trait Caller: Send + Sync {
    fn ears(&self) -> Arc<dyn Webhooks>;

    /// A person writes: the webhook as it came over the wire, and as the vendor sent it once more.
    fn calls_twice(&self) -> impl Future<Output = (WebhookRequest, WebhookRequest)> + Send;

    /// Whether the URL is part of what is signed.
    fn signs_the_url(&self) -> bool;
    /// Whether signatures grow old.
    fn signs_the_time(&self) -> bool;
}

/// `webhook_conformance!(Channel::Sms, super::open)`, where `async fn open(Channel) -> impl Caller` gives a caller of
/// its own to every story. The tests stand in a module with the channel's name.
#[macro_export]
macro_rules! webhook_conformance {
    (Channel::$channel:ident, $open:path) => {
        $crate::webhook_conformance! { @each $channel $open:
            a_genuine_webhook_is_believed_and_read
            a_webhook_without_a_signature_is_not_believed
            a_wrong_signature_is_not_believed
            a_single_altered_byte_is_noticed
            another_url_is_noticed_where_it_is_signed
            an_old_signature_is_stale_where_time_is_signed
            a_repeat_is_the_same_message
            hostile_bodies_do_no_harm
            hostile_headers_do_no_harm
            hostile_urls_do_no_harm
            nobody_subscribes_without_our_word
        }
    };
    (@each $channel:ident $open:path: $($story:ident)*) => {
        #[expect(non_snake_case, reason = "named after the channel")]
        mod $channel {
            $(
                #[tokio::test]
                async fn $story() {
                    let caller = $open(::butt_dial_domain::Channel::$channel).await;
                    $crate::conformance::webhooks::$story(&caller).await;
                }
            )*
        }
    };
}

/// Without optimization and on a busy machine. What is quadratic takes minutes.
const SOON: Duration = Duration::from_secs(5);
const MEGABYTE: usize = 1 << 20;

fn the_message(webhooks: &dyn Webhooks, request: &WebhookRequest) -> InboundMessage {
    let notices = webhooks.read(request).expect("a readable webhook");
    match notices.as_slice() {
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

/// Believed or not, read or not: only soon, and without a panic.
fn endures(webhooks: &dyn Webhooks, request: &WebhookRequest, what: &str) {
    let start = Instant::now();
    let trusted = webhooks.verify(request);
    assert!(trusted.is_err(), "{what} is believed");
    // Should a vendor ever sign such a thing.
    let _ = webhooks.read(request);
    assert!(start.elapsed() < SOON, "{what} takes {:?}", start.elapsed());
}

pub async fn a_genuine_webhook_is_believed_and_read(caller: &impl Caller) {
    let (webhooks, (request, _)) = (caller.ears(), caller.calls_twice().await);
    assert_eq!(webhooks.verify(&request), Ok(()));
    let message = the_message(&*webhooks, &request);
    assert!(!message.carrier_id.is_empty() && !message.from.is_empty() && !message.to.is_empty());
    assert!(request.header(webhooks.signature_header()).is_some());
    assert!(!webhooks.acknowledgement().content_type.is_empty());
}

pub async fn a_webhook_without_a_signature_is_not_believed(caller: &impl Caller) {
    let (webhooks, (mut request, _)) = (caller.ears(), caller.calls_twice().await);
    request.headers.remove(webhooks.signature_header());
    assert_eq!(webhooks.verify(&request), Err(VerificationError::Unsigned));
}

pub async fn a_wrong_signature_is_not_believed(caller: &impl Caller) {
    let (webhooks, (request, _)) = (caller.ears(), caller.calls_twice().await);
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
        assert_eq!(webhooks.verify(&request), Err(VerificationError::WrongSignature), "{wrong}");
    }
}

pub async fn a_single_altered_byte_is_noticed(caller: &impl Caller) {
    let (webhooks, (genuine, _)) = (caller.ears(), caller.calls_twice().await);
    for place in 0..genuine.body.len() {
        let mut body = genuine.body.to_vec();
        body[place] ^= 1;
        let mut request = genuine.clone();
        request.body = body.into();
        assert_eq!(webhooks.verify(&request), Err(VerificationError::WrongSignature), "byte {place}");
    }
    let mut longer = genuine.clone();
    longer.body = [&genuine.body[..], b"&a=b"].concat().into();
    assert_eq!(webhooks.verify(&longer), Err(VerificationError::WrongSignature));
}

pub async fn another_url_is_noticed_where_it_is_signed(caller: &impl Caller) {
    let (webhooks, (genuine, _)) = (caller.ears(), caller.calls_twice().await);
    let mut elsewhere = genuine;
    elsewhere.url = format!("{}?mid=msg_other", elsewhere.url);
    let expected = if caller.signs_the_url() {
        Err(VerificationError::WrongSignature)
    } else {
        Ok(())
    };
    assert_eq!(webhooks.verify(&elsewhere), expected);
}

pub async fn an_old_signature_is_stale_where_time_is_signed(caller: &impl Caller) {
    let (webhooks, (genuine, _)) = (caller.ears(), caller.calls_twice().await);
    let expected = if caller.signs_the_time() {
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

pub async fn a_repeat_is_the_same_message(caller: &impl Caller) {
    let (webhooks, (first, again)) = (caller.ears(), caller.calls_twice().await);
    assert_eq!((webhooks.verify(&first), webhooks.verify(&again)), (Ok(()), Ok(())));
    let (first, again) = (the_message(&*webhooks, &first), the_message(&*webhooks, &again));
    assert_eq!(first.carrier_id, again.carrier_id);
    assert!(first == again, "told the same way");
    let (other, _) = caller.calls_twice().await;
    assert_ne!(the_message(&*webhooks, &other).carrier_id, first.carrier_id);
}

pub async fn hostile_bodies_do_no_harm(caller: &impl Caller) {
    let (webhooks, (genuine, _)) = (caller.ears(), caller.calls_twice().await);
    for (what, body) in hostile_bodies() {
        for content_type in ["application/x-www-form-urlencoded", "application/json", "\u{7f}"] {
            let mut request = genuine.clone();
            request.body = body.clone().into();
            if let Ok(content_type) = content_type.parse() {
                request.headers.insert("content-type", content_type);
            }
            endures(&*webhooks, &request, what);
        }
    }
}

fn hostile_bodies() -> Vec<(&'static str, Vec<u8>)> {
    // Every byte comes, in no order that means anything.
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

pub async fn hostile_headers_do_no_harm(caller: &impl Caller) {
    let (webhooks, (genuine, _)) = (caller.ears(), caller.calls_twice().await);
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
        endures(&*webhooks, &request, "a hostile signature");
    }
    let bytes: &[u8] = b"\xff\xfe";
    let unreadable = bytes.try_into().expect("a header");
    request.headers.insert(webhooks.signature_header(), unreadable);
    endures(&*webhooks, &request, "a signature that is no text");
}

pub async fn hostile_urls_do_no_harm(caller: &impl Caller) {
    let (webhooks, (genuine, _)) = (caller.ears(), caller.calls_twice().await);
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
            endures(&*webhooks, &request, "a hostile URL");
            assert_eq!(webhooks.handshake(&request), None);
        }
    }
}

pub async fn nobody_subscribes_without_our_word(caller: &impl Caller) {
    let (webhooks, (genuine, _)) = (caller.ears(), caller.calls_twice().await);
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
