//! The stories of `ports::voice::Voice`: whatever is said stays text, hostile frames and callbacks do no harm, a socket is
//! believed only where the carrier opens it, and orders about a call that is over say so. `voice_conformance!` makes a test
//! of each for a vendor with calls.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use butt_dial_domain::ports::{
    voice::{
        Conference, ControlError, ConversationSocket, Dial, IncomingFrame, Rendered, Script, Speech, Step, OutgoingFrame, Voice,
    },
    webhook::{VerificationError, WebhookRequest, Webhooks},
};
use http::HeaderMap;

/// What a story needs of the vendor's side.
pub trait Exchange: Send + Sync {
    fn voice(&self) -> Arc<dyn Voice>;
    fn webhooks(&self) -> Arc<dyn Webhooks>;

    /// All texts that the carrier finds in a script, spoken or not; an error where it can't read it.
    fn texts(&self, rendered: &Rendered) -> Result<Vec<String>, String>;
    /// Whether the carrier takes this frame.
    fn takes(&self, frame: &str) -> bool;
    /// A frame of each kind that the carrier sends.
    fn frames(&self) -> Vec<String>;
    /// The headers with which the carrier opens the socket at this URL, or somebody who has another secret.
    fn handshake(&self, url: &str, is_carrier: bool) -> HeaderMap;

    /// Somebody calls: the webhook as it came over the wire.
    fn is_called(&self) -> impl Future<Output = WebhookRequest> + Send;
    /// The carrier's id of a call that goes on.
    fn live_call(&self) -> impl Future<Output = String> + Send;
    /// Of one that is over.
    fn past_call(&self) -> impl Future<Output = String> + Send;
    /// Of one that never was.
    fn no_call(&self) -> String;
}

/// `voice_conformance!(super::open)`, where `async fn open() -> impl Exchange` gives an exchange of its own to every story.
#[macro_export]
macro_rules! voice_conformance {
    ($open:path) => {
        $crate::voice_conformance! { @each $open:
            hostile_text_stays_text
            every_step_can_be_rendered
            every_frame_of_the_carrier_is_read
            broken_frames_are_malformed
            hostile_frames_do_no_harm
            what_we_write_is_taken
            a_socket_is_believed_where_the_carrier_opens_it
            a_call_that_comes_in_is_believed_and_read
            hostile_callbacks_do_no_harm
            orders_about_a_call_that_is_over_say_so
            orders_may_be_given_again
        }
    };
    (@each $open:path: $($story:ident)*) => {
        mod conforms_to_voice {
            $(
                #[tokio::test]
                async fn $story() {
                    let exchange = $open().await;
                    $crate::conformance::voice::$story(&exchange).await;
                }
            )*
        }
    };
}

const URL: &str = "wss://bd.example.com/relay/t0ken";
const WEB: &str = "https://bd.example.com/webhooks/any?a=1&b=<2>";
/// Without optimization and on a busy machine. What is quadratic takes minutes.
const SOON: Duration = Duration::from_secs(5);
const MEGABYTE: usize = 1 << 20;

/// What no carrier may take for anything but words.
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

pub async fn hostile_text_stays_text(exchange: &impl Exchange) {
    for text in HOSTILE.iter().filter(|text| !text.is_empty()) {
        for step in [say(text), conversation(text)] {
            let found = texts(exchange, vec![step]);
            assert!(found.iter().any(|found| found == text), "{text}: {found:?}");
        }
    }
    // What can't be said is left out, and what stands around it is said.
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

pub async fn every_step_can_be_rendered(exchange: &impl Exchange) {
    let url = || WEB.to_owned();
    for step in [
        say(""),
        Step::Play(url()),
        Step::Pause { seconds: 0 },
        conversation(""),
        Step::Record {
            max_seconds: u32::MAX,
            action_url: url(),
            recording_url: url(),
        },
        Step::StartRecording { recording_url: url() },
        Step::Redirect { url: url() },
        Step::Dial(Dial {
            to: "+14155550123".to_owned(),
            caller_id: Some("+14155550100".to_owned()),
            ring_seconds: 20,
            limit_seconds: Some(60),
            action_url: url(),
            whisper_url: Some(url()),
        }),
        Step::Conference(Conference {
            name: "<a \"room\">".to_owned(),
            starts: true,
            ends: false,
            is_muted: false,
        }),
        Step::Reject { is_busy: true },
        Step::Reject { is_busy: false },
        Step::Hangup,
    ] {
        texts(exchange, vec![step.clone()]);
        texts(exchange, vec![step.clone(), step]);
    }
    texts(exchange, Vec::new());
}

pub async fn every_frame_of_the_carrier_is_read(exchange: &impl Exchange) {
    let voice = exchange.voice();
    let frames = exchange.frames();
    let read = |frame: &String| voice.parse_frame(frame);
    let opened = frames
        .iter()
        .filter(|frame| matches!(read(frame), Ok(IncomingFrame::Opened { .. })));
    let said = frames
        .iter()
        .filter(|frame| matches!(read(frame), Ok(IncomingFrame::Said { .. })));
    assert!(opened.count() > 0 && said.count() > 0);
    for frame in &frames {
        assert!(!matches!(read(frame), Err(_) | Ok(IncomingFrame::Other)), "{frame}");
    }
}

pub async fn broken_frames_are_malformed(exchange: &impl Exchange) {
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

pub async fn hostile_frames_do_no_harm(exchange: &impl Exchange) {
    let voice = exchange.voice();
    let mut hostile = vec![
        "[".repeat(MEGABYTE),
        "{\"a\":".repeat(MEGABYTE / 5),
        "9".repeat(MEGABYTE),
        "\\".repeat(MEGABYTE),
        format!("{{\"type\":\"{}\"}}", "x".repeat(MEGABYTE)),
    ];
    for frame in exchange.frames() {
        // Every value in turn becomes something else.
        for (at, _) in frame.match_indices(':') {
            for value in ["null", "1e999", "[]", "{}", "\"\\u0000\"", "-1"] {
                hostile.push(format!("{}:{value}}}", &frame[..at]));
            }
        }
    }
    for frame in hostile {
        let start = Instant::now();
        // Read or not: only soon, and without a panic.
        let _ = voice.parse_frame(&frame);
        assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    }
}

pub async fn what_we_write_is_taken(exchange: &impl Exchange) {
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
        OutgoingFrame::Language("de-DE".to_owned()),
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

pub async fn a_socket_is_believed_where_the_carrier_opens_it(exchange: &impl Exchange) {
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
    assert_eq!(voice.verify_socket(URL, &HeaderMap::new()), Err(VerificationError::Unsigned));
    let mut unreadable = exchange.handshake(URL, true);
    for value in unreadable.values_mut() {
        *value = b"\xff\xfe"[..].try_into().expect("a header");
    }
    assert!(voice.verify_socket(URL, &unreadable).is_err());
}

pub async fn a_call_that_comes_in_is_believed_and_read(exchange: &impl Exchange) {
    let (voice, webhooks, request) = (exchange.voice(), exchange.webhooks(), exchange.is_called().await);
    assert_eq!(webhooks.verify(&request), Ok(()));
    let report = voice.parse_report(&request).expect("a report");
    assert!(!report.carrier_id.is_empty() && report.from.starts_with('+') && report.to.starts_with('+'));
    assert_eq!(voice.parse_report(&request), Ok(report), "read the same way again");

    let mut unsigned = request.clone();
    unsigned.headers.remove(webhooks.signature_header());
    assert_eq!(webhooks.verify(&unsigned), Err(VerificationError::Unsigned));
    let mut altered = request.clone();
    let mut body = altered.body.to_vec();
    body[0] ^= 1;
    altered.body = body.into();
    assert_eq!(webhooks.verify(&altered), Err(VerificationError::WrongSignature));
}

pub async fn hostile_callbacks_do_no_harm(exchange: &impl Exchange) {
    let (voice, genuine) = (exchange.voice(), exchange.is_called().await);
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
        assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    }
}

pub async fn orders_about_a_call_that_is_over_say_so(exchange: &impl Exchange) {
    let voice = exchange.voice();
    let script = Script(vec![Step::Hangup]);
    for id in [
        exchange.past_call().await,
        exchange.no_call(),
        "../x".to_owned(),
        String::new(),
    ] {
        let over = Err(ControlError::CallEnded);
        assert_eq!(voice.redirect(&id, &script).await, over, "{id}");
        assert_eq!(voice.hang_up(&id).await, over, "{id}");
        assert_eq!(voice.start_recording(&id, WEB).await, over, "{id}");
    }
    assert_eq!(voice.fetch_call(&exchange.no_call()).await, Err(ControlError::CallEnded));
    let past = exchange.past_call().await;
    assert!(
        voice.fetch_call(&past).await.is_ok_and(|call| call.status.is_over()
            && call.carrier_id == past
            && call.ended_at >= Some(call.created_at))
    );
}

pub async fn orders_may_be_given_again(exchange: &impl Exchange) {
    let (voice, id) = (exchange.voice(), exchange.live_call().await);
    assert!(voice.fetch_call(&id).await.is_ok_and(|call| !call.status.is_over()));
    let script = Script(vec![Step::Pause { seconds: 600 }]);
    for _ in 0..2 {
        assert_eq!(voice.redirect(&id, &script).await, Ok(()));
    }
    assert_eq!(voice.hang_up(&id).await, Ok(()));
    let again = voice.hang_up(&id).await;
    assert!(matches!(again, Ok(()) | Err(ControlError::CallEnded)), "{again:?}");
}
