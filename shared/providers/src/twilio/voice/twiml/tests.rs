//! TwiML to the draft: an attribute that is written wrongly would be ignored, and nobody would be told.

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
    }
}

#[test]
fn renders_conversation_attributes() {
    let converse = |conversation| xml(vec![Step::Converse(Box::new(conversation))]);
    assert_eq!(
        converse(conversation()),
        concat!(
            r##"<Connect action="https://bd.example.com/webhooks/twilio/voice/action?a=1&amp;b=2#rc=3&amp;rp=ct,rt,5xx" method="POST">"##,
            r##"<ConversationRelay url="wss://bd.example.com/relay/t0ken" welcomeGreeting="Hello, this is &quot;Ada&quot;." "##,
            r##"language="en-US" interruptible="any" dtmfDetection="true" events="speaker-events tokens-played"/>"##,
            r##"</Connect>"##
        )
    );
    let resumed = ConversationSocket {
        greeting: None,
        language: "de-DE".to_owned(),
        voice: Some("Google.de-DE-Chirp3-HD-Aoede".to_owned()),
        languages: vec!["en-GB".to_owned(), "fr-FR".to_owned()],
        hints: vec!["Butt-Dial".to_owned(), "Ulm, Donau".to_owned()],
        partial_transcripts: true,
        ..conversation()
    };
    assert_eq!(
        converse(resumed),
        concat!(
            r##"<Connect action="https://bd.example.com/webhooks/twilio/voice/action?a=1&amp;b=2#rc=3&amp;rp=ct,rt,5xx" method="POST">"##,
            r##"<ConversationRelay url="wss://bd.example.com/relay/t0ken" language="de-DE" ttsProvider="Google" "##,
            r##"voice="de-DE-Chirp3-HD-Aoede" interruptible="any" dtmfDetection="true" partialPrompts="true" "##,
            r##"hints="Butt-Dial,Ulm  Donau" events="speaker-events tokens-played">"##,
            r##"<Language code="en-GB"/><Language code="fr-FR"/></ConversationRelay></Connect>"##
        )
    );
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
        let said = Speech {
            voice: Some(voice.to_owned()),
            language: Some("en-GB".to_owned()),
            ..speech("Hi")
        };
        assert_eq!(xml(vec![Step::Say(said)]), expected);
    }
}

#[test]
fn renders_simple_verbs() {
    for (step, expected) in [
        (Step::Say(speech("Hello")), "<Say>Hello</Say>"),
        (
            Step::Play("https://x.test/a.mp3?b=c&d".into()),
            "<Play>https://x.test/a.mp3?b=c&amp;d</Play>",
        ),
        (Step::Pause { seconds: 2 }, r##"<Pause length="2"/>"##),
        (Step::Reject { is_busy: true }, r##"<Reject reason="busy"/>"##),
        (Step::Reject { is_busy: false }, r##"<Reject reason="rejected"/>"##),
        (Step::Hangup, "<Hangup/>"),
        (
            Step::Redirect {
                url: "https://x.test/a".into(),
            },
            r##"<Redirect method="POST">https://x.test/a#rc=3&amp;rp=ct,rt,5xx</Redirect>"##,
        ),
        (
            Step::Record {
                max_seconds: 120,
                action_url: "https://x.test/a".into(),
                recording_url: "https://x.test/r".into(),
            },
            concat!(
                r##"<Record action="https://x.test/a#rc=3&amp;rp=ct,rt,5xx" method="POST" maxLength="120" playBeep="true" "##,
                r##"recordingStatusCallback="https://x.test/r#rc=3&amp;rp=ct,rt,5xx" recordingStatusCallbackEvent="completed absent"/>"##
            ),
        ),
        (
            Step::StartRecording {
                recording_url: "https://x.test/r".into(),
            },
            concat!(
                r##"<Start><Recording channels="dual" recordingStatusCallback="https://x.test/r#rc=3&amp;rp=ct,rt,5xx" "##,
                r##"recordingStatusCallbackEvent="in-progress completed absent"/></Start>"##
            ),
        ),
    ] {
        assert_eq!(xml(vec![step]), expected);
    }
    assert_eq!(
        xml(vec![Step::Pause { seconds: 1 }, Step::Hangup]),
        r##"<Pause length="1"/><Hangup/>"##
    );
    assert_eq!(xml(Vec::new()), "");
}

#[test]
fn renders_dial_and_conference() {
    let plain = Dial {
        to: "+14155550123".into(),
        caller_id: None,
        ring_seconds: 20,
        limit_seconds: None,
        action_url: "https://x.test/d".into(),
        whisper_url: None,
    };
    assert_eq!(
        xml(vec![Step::Dial(plain.clone())]),
        concat!(
            r##"<Dial action="https://x.test/d#rc=3&amp;rp=ct,rt,5xx" method="POST" timeout="20" answerOnBridge="true">"##,
            r##"<Number>+14155550123</Number></Dial>"##
        )
    );
    let whole = Dial {
        caller_id: Some("+14155550100".into()),
        limit_seconds: Some(600),
        whisper_url: Some("https://x.test/w".into()),
        ..plain
    };
    assert_eq!(
        xml(vec![Step::Dial(whole)]),
        concat!(
            r##"<Dial action="https://x.test/d#rc=3&amp;rp=ct,rt,5xx" method="POST" timeout="20" callerId="+14155550100" timeLimit="600" "##,
            r##"answerOnBridge="true"><Number url="https://x.test/w#rc=3&amp;rp=ct,rt,5xx">+14155550123</Number></Dial>"##
        )
    );
    let room = Conference {
        name: "room <1>".into(),
        starts: true,
        ends: false,
        is_muted: true,
    };
    assert_eq!(
        xml(vec![Step::Conference(room)]),
        concat!(
            r##"<Dial><Conference startConferenceOnEnter="true" endConferenceOnExit="false" muted="true" beep="false">"##,
            r##"room &lt;1&gt;</Conference></Dial>"##
        )
    );
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
    assert_eq!(parts("aaa", 2), ["aa", "a"]);
    assert_eq!(parts("", 2), [""]);
}
