//! The complete TwiML: Twilio silently ignores a misspelled attribute.

use super::*;

fn xml(steps: Vec<Step>) -> String {
    let rendered = render(&Script(steps));
    assert_eq!(rendered.content_type, "text/xml");
    let inner = rendered
        .body
        .strip_prefix(r##"<?xml version="1.0" encoding="UTF-8"?><Response>"##);
    inner
        .and_then(|inner| inner.strip_suffix("</Response>"))
        .unwrap()
        .to_owned()
}

fn speech(text: &str) -> Speech {
    Speech {
        text: text.to_owned(),
        language: None,
        voice: None,
    }
}

fn conversation() -> ConversationSocket {
    ConversationSocket {
        socket_url: "wss://bd.example.com/relay/t0ken".to_owned(),
        action_url: "https://bd.example.com/webhooks/twilio/voice/action?a=1&b=2".to_owned(),
        greeting: Some("Hello, this is \"Ada\".".to_owned()),
        language: "en-US".to_owned(),
        voice: None,
        languages: Vec::new(),
        hints: Vec::new(),
        partial_transcripts: false,
        interrupt_sensitivity: InterruptSensitivity::High,
    }
}

#[test]
fn renders_start_of_a_recording() {
    let status_url = "https://bd.example.com/webhooks/twilio/voice/recorded?call=c".to_owned();
    assert_eq!(
        xml(vec![Step::StartRecording { status_url }]),
        r##"<Start><Recording recordingStatusCallback="https://bd.example.com/webhooks/twilio/voice/recorded?call=c#rc=3&amp;rp=ct,rt,5xx" recordingStatusCallbackEvent="completed absent"/></Start>"##
    );
}

#[test]
fn renders_conversation_attributes() {
    let converse = |conversation| xml(vec![Step::Converse(Box::new(conversation))]);
    insta::assert_snapshot!("conversation", converse(conversation()));
    let resumed = ConversationSocket {
        greeting: None,
        language: "de-DE".to_owned(),
        voice: Some("Google.de-DE-Chirp3-HD-Aoede".to_owned()),
        languages: vec!["en-GB".to_owned(), "fr-FR".to_owned()],
        hints: vec!["Butt-Dial".to_owned(), "Ulm, Donau".to_owned()],
        partial_transcripts: true,
        interrupt_sensitivity: InterruptSensitivity::Medium,
        ..conversation()
    };
    insta::assert_snapshot!("resumed_conversation", converse(resumed));
}

#[test]
fn renders_voices_with_their_providers() {
    for (voice, expected) in [
        (
            "Polly.Joanna-Neural",
            r##" ttsProvider="Amazon" voice="Joanna-Neural""##,
        ),
        (
            "ElevenLabs.UgBBYS2sOqTuMpoF3BR0",
            r##" ttsProvider="ElevenLabs" voice="UgBBYS2sOqTuMpoF3BR0""##,
        ),
        ("UgBBYS2sOqTuMpoF3BR0", r##" voice="UgBBYS2sOqTuMpoF3BR0""##),
    ] {
        let spoken = ConversationSocket {
            voice: Some(voice.to_owned()),
            ..conversation()
        };
        let relay = xml(vec![Step::Converse(Box::new(spoken))]);
        assert!(
            relay.contains(&format!(r##"language="en-US"{expected} interruptible"##)),
            "{relay}"
        );
    }
    for (voice, expected) in [
        (
            "Polly.Joanna",
            r##"<Say voice="Polly.Joanna" language="en-GB">Hi</Say>"##,
        ),
        ("UgBBYS2sOqTuMpoF3BR0", r##"<Say language="en-GB">Hi</Say>"##),
    ] {
        let speech = Speech {
            voice: Some(voice.to_owned()),
            language: Some("en-GB".to_owned()),
            ..speech("Hi")
        };
        assert_eq!(xml(vec![Step::Say(speech)]), expected);
    }
}

#[test]
fn renders_simple_verbs() {
    let steps = [
        Step::Say(speech("Hello")),
        Step::Play("https://x.test/a.mp3?b=c&d".into()),
        Step::Reject,
        Step::Hangup,
        Step::Redirect {
            url: "https://x.test/a".into(),
        },
        Step::Record {
            max_seconds: 120,
            action_url: "https://x.test/a".into(),
            recording_url: "https://x.test/r".into(),
        },
    ];
    insta::assert_snapshot!("simple_verbs", steps.map(|step| xml(vec![step])).join("\n"));
    assert_eq!(
        xml(vec![Step::Reject, Step::Hangup]),
        r#"<Reject reason="rejected"/><Hangup/>"#
    );
    assert_eq!(xml(Vec::new()), "");
}

#[test]
fn renders_dial() {
    let plain = Dial {
        to: "+14155550123".into(),
        caller_id: None,
        ring_seconds: 20,
        limit_seconds: None,
        action_url: "https://x.test/d".into(),
        whisper_url: None,
        digits: None,
    };
    let whole = Dial {
        caller_id: Some("+14155550100".into()),
        limit_seconds: Some(600),
        whisper_url: Some("https://x.test/w".into()),
        digits: Some("ww12#".into()),
        ..plain.clone()
    };
    let rendered = [plain, whole].map(|dial| xml(vec![Step::Dial(dial)]));
    insta::assert_snapshot!("dial", rendered.join("\n"));
}

#[test]
fn escapes_hostile_text() {
    let hostile = "</Say>\"<Hangup/> ]]> & 'x'\t\u{0}\u{1b}\u{ffff}\u{fffe}👍";
    assert_eq!(
        xml(vec![Step::Say(speech(hostile))]),
        "<Say>&lt;/Say&gt;&quot;&lt;Hangup/&gt; ]]&gt; &amp; &apos;x&apos;&#9;👍</Say>"
    );
    let greeted = ConversationSocket {
        greeting: Some(hostile.to_owned()),
        ..conversation()
    };
    let relay = xml(vec![Step::Converse(Box::new(greeted))]);
    assert!(relay.contains(
        r##"welcomeGreeting="&lt;/Say&gt;&quot;&lt;Hangup/&gt; ]]&gt; &amp; &apos;x&apos;&#9;👍" language"##
    ));
}

#[test]
fn splits_long_text_into_several_say_verbs() {
    let long = format!("{} {}", "é".repeat(4_000), "b".repeat(200));
    assert_eq!(
        xml(vec![Step::Say(speech(&long))]),
        format!("<Say>{}</Say><Say>{}</Say>", "é".repeat(4_000), "b".repeat(200))
    );
    assert_eq!(split_text("aaa", 2), ["aa", "a"]);
    assert_eq!(split_text("", 2), [""]);
}
