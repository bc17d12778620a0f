//! The conformance suite of `ports::voice::Voice`: texts are escaped, hostile frames and callbacks are survived, sockets
//! are verified, and commands fail after the end of a call. `voice_conformance!` makes a test of each story for a vendor
//! with calls.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use butt_dial_domain::{
    call::InterruptSensitivity,
    ports::{
        voice::{
            ControlError, ConversationSocket, Dial, IncomingFrame, OutgoingFrame, Rendered, Script, Speech, Step, Voice,
        },
        webhook::{VerificationError, WebhookRequest, Webhooks},
    },
};
use http::HeaderMap;

/// The adapter under test, connected to a simulated carrier with calls.
pub trait Exchange: Send + Sync {
    fn voice(&self) -> Arc<dyn Voice>;
    fn webhooks(&self) -> Arc<dyn Webhooks>;

    /// Returns all texts in a script as the carrier parses it, spoken or not. Fails when the script is not valid.
    fn texts(&self, rendered: &Rendered) -> Result<Vec<String>, String>;
    /// Returns whether the carrier accepts the frame.
    fn takes(&self, frame: &str) -> bool;
    /// Returns a frame of each kind that the carrier sends.
    fn frames(&self) -> Vec<String>;
    /// Returns the headers of a socket request at this URL, from the carrier or from a client with another secret.
    fn handshake(&self, url: &str, is_carrier: bool) -> HeaderMap;

    /// Makes an inbound call and returns its webhook request.
    fn inbound_call(&self) -> impl Future<Output = WebhookRequest> + Send;
    /// Returns the carrier's id of a live call.
    fn live_call(&self) -> impl Future<Output = String> + Send;
    /// Returns the carrier's id of an ended call.
    fn past_call(&self) -> impl Future<Output = String> + Send;
    /// Returns an id without a call.
    fn no_call(&self) -> String;
}

/// `voice_conformance!(super::open)`, where `async fn open() -> impl Exchange` starts a separate exchange for every story.
#[macro_export]
macro_rules! voice_conformance {
    ($open:path) => {
        mod conforms_to_voice {
            $crate::conforms! {
                #[tokio::test]
                [voice], exchange = $open() => &exchange;
                escapes_hostile_text
                renders_every_step
                parses_every_carrier_frame
                rejects_truncated_frames
                survives_hostile_frames
                encodes_frames_that_carrier_accepts
                verifies_socket_by_url_and_signature
                verifies_and_parses_inbound_call
                survives_hostile_callbacks
                commands_fail_after_call_end
                commands_can_be_repeated
            }
        }
    };
}

const URL: &str = "wss://bd.example.com/relay/t0ken";
const WEB: &str = "https://bd.example.com/webhooks/any?a=1&b=<2>";
/// Enough on a busy machine without optimization; quadratic code takes minutes.
const PARSE_LIMIT: Duration = Duration::from_secs(5);
const MEGABYTE: usize = 1 << 20;

/// Texts that a carrier must not interpret as markup.
const HOSTILE: [&str; 8] = [
    "</Say><Hangup/>",
    "\"' /><Dial>+1900</Dial>",
    "]]> <![CDATA[ x ]]>",
    "&amp; &#0; &lt;",
    "{\"action\":\"hangup\"}",
    "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]>&b;",
    "é 👍 \u{202e} \u{200b}",
    "",
];

fn say(text: &str) -> Step {
    Step::Say(Speech {
        text: text.to_owned(),
        language: None,
        voice: None,
    })
}

fn conversation(greeting: &str) -> Step {
    Step::Converse(Box::new(ConversationSocket {
        socket_url: URL.to_owned(),
        action_url: WEB.to_owned(),
        greeting: Some(greeting.to_owned()),
        language: "en-US".to_owned(),
        voice: None,
        languages: vec!["de-DE".to_owned()],
        hints: vec!["Butt-Dial".to_owned()],
        partial_transcripts: true,
        interrupt_sensitivity: InterruptSensitivity::Low,
    }))
}

fn texts(exchange: &impl Exchange, steps: Vec<Step>) -> Vec<String> {
    let rendered = exchange.voice().render(&Script(steps));
    assert!(!rendered.content_type.is_empty());
    match exchange.texts(&rendered) {
        Ok(texts) => texts,
        Err(error) => panic!("{error}: {}", rendered.body),
    }
}

pub async fn escapes_hostile_text(exchange: &impl Exchange) {
    for text in HOSTILE.iter().filter(|text| !text.is_empty()) {
        for step in [say(text), conversation(text)] {
            let found = texts(exchange, vec![step]);
            assert!(found.iter().any(|found| found == text), "{text}: {found:?}");
        }
    }
    // Control characters are removed; the text around them stays.
    let control: String = (0..32_u8)
        .map(char::from)
        .chain(['\u{7f}', '\u{fffe}', '\u{ffff}'])
        .collect();
    let found = texts(exchange, vec![say(&format!("before{control}after"))]);
    assert!(
        found
            .iter()
            .any(|found| found.starts_with("before") && found.ends_with("after")),
        "{found:?}"
    );
}

pub async fn renders_every_step(exchange: &impl Exchange) {
    let url = || WEB.to_owned();
    for step in [
        say(""),
        Step::Play(url()),
        conversation(""),
        Step::Record {
            max_seconds: u32::MAX,
            action_url: url(),
            recording_url: url(),
        },
        Step::Redirect { url: url() },
        Step::Dial(Dial {
            to: "+14155550123".to_owned(),
            caller_id: Some("+14155550100".to_owned()),
            ring_seconds: 20,
            limit_seconds: Some(60),
            action_url: url(),
            whisper_url: Some(url()),
            digits: Some("ww12#".to_owned()),
        }),
        Step::Reject,
        Step::Hangup,
    ] {
        texts(exchange, vec![step.clone()]);
        texts(exchange, vec![step.clone(), step]);
    }
    texts(exchange, Vec::new());
}

pub async fn parses_every_carrier_frame(exchange: &impl Exchange) {
    let voice = exchange.voice();
    let frames = exchange.frames();
    let read = |frame: &String| voice.parse_frame(frame);
    let opened = frames
        .iter()
        .filter(|frame| matches!(read(frame), Ok(IncomingFrame::Opened { .. })));
    let said = frames
        .iter()
        .filter(|frame| matches!(read(frame), Ok(IncomingFrame::Transcript { .. })));
    assert!(opened.count() > 0 && said.count() > 0);
    for frame in &frames {
        assert!(!matches!(read(frame), Err(_) | Ok(IncomingFrame::Other)), "{frame}");
    }
}

pub async fn rejects_truncated_frames(exchange: &impl Exchange) {
    let voice = exchange.voice();
    for frame in exchange.frames() {
        for end in (0..frame.len()).filter(|end| frame.is_char_boundary(*end)) {
            assert!(voice.parse_frame(&frame[..end]).is_err(), "{}", &frame[..end]);
        }
        assert!(voice.parse_frame(&format!("[{frame}]")).is_err());
    }
    for frame in [
        "",
        " ",
        "null",
        "[]",
        "1",
        "\"\"",
        "true",
        "{",
        "{\"type\":null}",
        "\u{0}",
    ] {
        assert!(voice.parse_frame(frame).is_err(), "{frame}");
    }
}

pub async fn survives_hostile_frames(exchange: &impl Exchange) {
    let voice = exchange.voice();
    let mut hostile = vec![
        "[".repeat(MEGABYTE),
        "{\"a\":".repeat(MEGABYTE / 5),
        "9".repeat(MEGABYTE),
        "\\".repeat(MEGABYTE),
        format!("{{\"type\":\"{}\"}}", "x".repeat(MEGABYTE)),
    ];
    for frame in exchange.frames() {
        // Replaces every value in turn.
        for (at, _) in frame.match_indices(':') {
            for value in ["null", "1e999", "[]", "{}", "\"\\u0000\"", "-1"] {
                hostile.push(format!("{}:{value}}}", &frame[..at]));
            }
        }
    }
    for frame in hostile {
        let start = Instant::now();
        // Any result is fine, in time and without a panic.
        let _ = voice.parse_frame(&frame);
        assert!(start.elapsed() < PARSE_LIMIT, "{:?}", start.elapsed());
    }
}

pub async fn encodes_frames_that_carrier_accepts(exchange: &impl Exchange) {
    let voice = exchange.voice();
    let speak = |text: &str, is_last| OutgoingFrame::Speak {
        text: text.to_owned(),
        is_last,
        language: Some("de-DE".to_owned()),
        interruptible: Some(false),
        preemptible: true,
    };
    let mut frames = vec![
        OutgoingFrame::Play {
            url: "https://bd.example.com/sound.mp3".to_owned(),
            preemptible: false,
        },
        OutgoingFrame::Digits("12w*#".to_owned()),
        OutgoingFrame::Digits("call 1-2".to_owned()),
        OutgoingFrame::Digits("none".to_owned()),
        OutgoingFrame::Language {
            language: "de-DE".to_owned(),
            voice: Some("Google.de-DE-Neural2-A".to_owned()),
        },
        OutgoingFrame::End { handoff: None },
    ];
    for text in HOSTILE {
        frames.extend([speak(text, true), speak(text, false)]);
        frames.push(OutgoingFrame::End {
            handoff: Some(text.to_owned()),
        });
    }
    for frame in frames {
        let written = voice.encode_frame(&frame);
        assert!(exchange.takes(&written), "{written}");
    }
}

pub async fn verifies_socket_by_url_and_signature(exchange: &impl Exchange) {
    let voice = exchange.voice();
    assert_eq!(voice.verify_socket(URL, &exchange.handshake(URL, true)), Ok(()));
    let wrong = Err(VerificationError::WrongSignature);
    assert_eq!(voice.verify_socket(URL, &exchange.handshake(URL, false)), wrong);
    for other in [
        "wss://bd.example.com/relay/other",
        "wss://evil.example.com/relay/t0ken",
        "",
    ] {
        assert_eq!(
            voice.verify_socket(URL, &exchange.handshake(other, true)),
            wrong,
            "{other}"
        );
    }
    assert_eq!(
        voice.verify_socket(URL, &HeaderMap::new()),
        Err(VerificationError::Unsigned)
    );
    let mut unreadable = exchange.handshake(URL, true);
    for value in unreadable.values_mut() {
        *value = b"\xff\xfe"[..].try_into().expect("a header");
    }
    assert!(voice.verify_socket(URL, &unreadable).is_err());
}

pub async fn verifies_and_parses_inbound_call(exchange: &impl Exchange) {
    let (voice, webhooks, request) = (exchange.voice(), exchange.webhooks(), exchange.inbound_call().await);
    assert_eq!(webhooks.verify(&request), Ok(()));
    let report = voice.parse_report(&request).expect("a report");
    assert!(!report.carrier_id.is_empty() && report.from.starts_with('+') && report.to.starts_with('+'));
    assert_eq!(voice.parse_report(&request), Ok(report), "parsing is deterministic");

    let mut unsigned = request.clone();
    unsigned.headers.remove(webhooks.signature_header());
    assert_eq!(webhooks.verify(&unsigned), Err(VerificationError::Unsigned));
    let mut altered = request.clone();
    let mut body = altered.body.to_vec();
    body[0] ^= 1;
    altered.body = body.into();
    assert_eq!(webhooks.verify(&altered), Err(VerificationError::WrongSignature));
}

pub async fn survives_hostile_callbacks(exchange: &impl Exchange) {
    let (voice, genuine) = (exchange.voice(), exchange.inbound_call().await);
    let mut bodies: Vec<Vec<u8>> = (0..genuine.body.len())
        .map(|end| genuine.body[..end].to_vec())
        .collect();
    bodies.extend([
        vec![b'%'; MEGABYTE],
        vec![b'&'; MEGABYTE],
        vec![b'['; MEGABYTE],
        b"CallSid=%ff".to_vec(),
        vec![0; 4_096],
    ]);
    for body in bodies {
        let mut request = genuine.clone();
        request.body = body.into();
        let start = Instant::now();
        if let Ok(report) = voice.parse_report(&request) {
            assert!(!report.carrier_id.is_empty());
        }
        assert!(start.elapsed() < PARSE_LIMIT, "{:?}", start.elapsed());
    }
}

pub async fn commands_fail_after_call_end(exchange: &impl Exchange) {
    let voice = exchange.voice();
    let script = Script(vec![Step::Hangup]);
    for id in [
        exchange.past_call().await,
        exchange.no_call(),
        "../x".to_owned(),
        String::new(),
    ] {
        let ended = Err(ControlError::CallEnded);
        assert_eq!(voice.redirect(&id, &script).await, ended, "{id}");
        assert_eq!(voice.hang_up(&id).await, ended, "{id}");
    }
    assert_eq!(
        voice.fetch_call(&exchange.no_call()).await,
        Err(ControlError::CallEnded)
    );
    let past = exchange.past_call().await;
    assert!(
        voice.fetch_call(&past).await.is_ok_and(|call| call.status.is_over()
            && call.carrier_id == past
            && call.ended_at >= Some(call.created_at))
    );
}

pub async fn commands_can_be_repeated(exchange: &impl Exchange) {
    let (voice, id) = (exchange.voice(), exchange.live_call().await);
    assert!(voice.fetch_call(&id).await.is_ok_and(|call| !call.status.is_over()));
    let script = Script(vec![say(&"a ".repeat(1_500))]);
    for _ in 0..2 {
        assert_eq!(voice.redirect(&id, &script).await, Ok(()));
    }
    assert_eq!(voice.hang_up(&id).await, Ok(()));
    let again = voice.hang_up(&id).await;
    assert!(matches!(again, Ok(()) | Err(ControlError::CallEnded)), "{again:?}");
}
