//! Callbacks with the fields that Twilio sends.

use axum::http::{HeaderMap, Method};
use butt_dial_domain::{Clock, clock::Timestamp, money::Rates};
use url::form_urlencoded::Serializer;

use super::*;

const CALL: [(&str, &str); 7] = [
    ("AccountSid", "AC00000000000000000000000000000000"),
    ("ApiVersion", "2010-04-01"),
    ("CallSid", "CA0123456789abcdef0123456789abcdef"),
    ("From", "+14155550123"),
    ("To", "+14155550100"),
    ("Caller", "+14155550123"),
    ("Called", "+14155550100"),
];

fn parse_form(fields: &[(&str, &str)]) -> Result<CallReport, UnreadableRequest> {
    let body = Serializer::new(String::new()).extend_pairs(fields).finish();
    let headers = HeaderMap::from_iter([(
        "content-type".parse().unwrap(),
        "application/x-www-form-urlencoded; charset=utf-8".parse().unwrap(),
    )]);
    let request = WebhookRequest {
        method: Method::POST,
        url: "https://bd.example.com/webhooks/twilio/voice".to_owned(),
        headers,
        body: body.into(),
        received_at: Clock::System.now(),
    };
    read(&request, &Rates::default())
}

fn report(fields: &[(&str, &str)]) -> CallReport {
    parse_form(&[&CALL, fields].concat()).unwrap()
}

fn plain(direction: Direction) -> CallReport {
    CallReport {
        carrier_id: CALL[2].1.to_owned(),
        direction,
        from: "+14155550123".to_owned(),
        to: "+14155550100".to_owned(),
        status: None,
        sequence: None,
        duration_seconds: None,
        at: None,
        answered_by: None,
        price: None,
        session: None,
        recording: None,
        dialled: None,
        digits: None,
        error_code: None,
    }
}

#[test]
fn reads_inbound_call() {
    let inbound = [
        ("Direction", "inbound"),
        ("CallStatus", "ringing"),
        ("StirVerstat", "TN-Validation-Passed-A"),
        ("CallToken", "{}"),
    ];
    let expected = CallReport {
        status: Some(CallStatus::Ringing),
        ..plain(Direction::Inbound)
    };
    assert_eq!(report(&inbound), expected);
    let hidden = parse_form(&[("CallSid", "CA1"), ("From", "anonymous"), ("Direction", "inbound")]).unwrap();
    assert_eq!((hidden.from.as_str(), hidden.to.as_str()), ("anonymous", ""));
}

#[test]
fn reads_status_changes_of_outbound_call() {
    let over = report(&[
        ("Direction", "outbound-api"),
        ("CallStatus", "completed"),
        ("CallbackSource", "call-progress-events"),
        ("SequenceNumber", "3"),
        ("Timestamp", "Tue, 03 Nov 2026 10:11:12 +0000"),
        ("Duration", "1"),
        ("CallDuration", "42"),
        ("SipResponseCode", "200"),
    ]);
    let expected = CallReport {
        status: Some(CallStatus::Completed),
        sequence: Some(3),
        duration_seconds: Some(42),
        at: "2026-11-03T10:11:12Z".parse::<Timestamp>().ok(),
        ..plain(Direction::Outbound)
    };
    assert_eq!(over, expected);
    for status in [
        "initiated",
        "ringing",
        "in-progress",
        "busy",
        "no-answer",
        "failed",
        "canceled",
    ] {
        let parsed = report(&[("Direction", "outbound-api"), ("CallStatus", status)]);
        assert_eq!(parsed.status.map(CallStatus::as_str), Some(status));
    }
}

#[test]
fn reads_machine_detection_result() {
    for (text, answered_by) in [
        ("human", AnsweredBy::Human),
        ("machine_start", AnsweredBy::MachineStart),
        ("machine_end_beep", AnsweredBy::MachineEnd),
        ("machine_end_silence", AnsweredBy::MachineEnd),
        ("machine_end_other", AnsweredBy::MachineEnd),
        ("fax", AnsweredBy::Fax),
        ("unknown", AnsweredBy::Unknown),
        ("martian", AnsweredBy::Unknown),
    ] {
        // The asynchronous callback has only these fields.
        let parsed = parse_form(&[
            CALL[0],
            CALL[2],
            ("AnsweredBy", text),
            ("MachineDetectionDuration", "3120"),
        ])
        .unwrap();
        assert_eq!(
            (parsed.answered_by, parsed.direction),
            (Some(answered_by), Direction::Outbound)
        );
    }
}

#[test]
fn reads_end_of_session() {
    let ends = |status, more: &[(&str, &str)]| {
        let parsed = [
            ("Direction", "inbound"),
            ("SessionId", "VX1"),
            ("SessionStatus", status),
        ];
        report(&[&parsed, more].concat())
    };
    let session = |outcome, handoff: Option<&str>, error_code: Option<&str>| CallReport {
        session: Some(SessionEnd {
            id: "VX1".to_owned(),
            outcome,
            handoff: handoff.map(str::to_owned),
            error_code: error_code.map(str::to_owned),
        }),
        ..plain(Direction::Inbound)
    };
    assert_eq!(
        ends("completed", &[("SessionDuration", "7")]),
        session(SessionOutcome::Completed, None, None)
    );
    assert_eq!(
        ends("ended", &[("HandoffData", r#"{"resume":"a&b"}"#)]),
        session(SessionOutcome::Ended, Some(r#"{"resume":"a&b"}"#), None)
    );
    assert_eq!(
        ends("failed", &[("ErrorCode", "64105"), ("ErrorMessage", "Websocket ended")]),
        session(SessionOutcome::Failed, None, Some("64105"))
    );
    assert!(parse_form(&[CALL[2], ("SessionId", "../x"), ("SessionStatus", "ended")]).is_err());
}

#[test]
fn reads_recordings_and_keys() {
    let recording = |status: &[(&str, &str)]| {
        let parsed = [
            ("RecordingSid", "RE1"),
            (
                "RecordingUrl",
                "https://api.twilio.com/2010-04-01/Accounts/AC1/Recordings/RE1",
            ),
            ("RecordingDuration", "12"),
        ];
        report(&[&parsed, status].concat()).recording.unwrap()
    };
    let (done, action) = (recording(&[("RecordingStatus", "completed")]), recording(&[]));
    assert_eq!(
        (done.id.as_str(), done.is_completed, done.duration_seconds),
        ("RE1", true, Some(12))
    );
    assert!(done.url.is_some() && !action.is_completed);
    let bad = report(&[("RecordingSid", "RE1"), ("RecordingUrl", "file:///etc/passwd")]);
    assert_eq!(bad.recording.unwrap().url, None);

    assert_eq!(report(&[("Digits", "12#")]).digits.as_deref(), Some("12#"));
    assert_eq!(report(&[("Digits", "hangup")]).digits, None);
}

#[test]
fn reads_end_of_transfer() {
    for (text, status) in [
        ("completed", CallStatus::Completed),
        ("answered", CallStatus::Completed),
        ("busy", CallStatus::Busy),
        ("no-answer", CallStatus::NoAnswer),
        ("failed", CallStatus::Failed),
        ("canceled", CallStatus::Canceled),
    ] {
        let parsed = report(&[
            ("DialCallStatus", text),
            ("DialCallSid", "CA2"),
            ("DialCallDuration", "9"),
        ]);
        assert_eq!((parsed.dialled, parsed.duration_seconds), (Some(status), None));
    }
}

#[test]
fn rejects_forms_without_valid_call_sid() {
    for fields in [
        &[][..],
        &[("CallSid", "")],
        &[("CallSid", "SM1")],
        &[("CallSid", "CA/../x")],
    ] {
        assert!(parse_form(fields).is_err());
    }
    let invalid = report(&[
        ("CallStatus", "dancing"),
        ("SequenceNumber", "-1"),
        ("CallDuration", "99999999999999999999"),
        ("Timestamp", "soon"),
    ]);
    assert_eq!(invalid, plain(Direction::Inbound));
}

#[test]
fn assigns_leg_report_to_parent_call() {
    let leg = [
        ("CallSid", "CAffffffffffffffffffffffffffffffff"),
        ("ParentCallSid", CALL[2].1),
        ("CallStatus", "in-progress"),
        ("Direction", "outbound-dial"),
        ("From", "+14155550123"),
        ("To", "+14155550124"),
    ];
    let parsed = parse_form(&leg).unwrap();
    assert_eq!((parsed.carrier_id.as_str(), parsed.status), (CALL[2].1, None));
}
