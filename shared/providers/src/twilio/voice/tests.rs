//! The forms of the Calls resource, and the socket handshake.

use butt_dial_domain::{
    Address, Channel, MessageId,
    call::{CallOptions, Plan, Purpose},
    message::Content,
    ports::carrier::{CallUrls, Dispatch},
};

use super::*;
use crate::{http, twilio::VENDOR};

fn options(purpose: Purpose) -> CallOptions {
    CallOptions {
        ring_seconds: 30,
        limit_seconds: 1_800,
        detects_machine: true,
        digits: None,
        plan: Plan {
            purpose,
            ..Plan::default()
        },
    }
}

fn dispatch(options: CallOptions) -> Dispatch {
    let address = |text| Address::parse(Channel::Voice, text).unwrap();
    Dispatch {
        message: MessageId::generate(),
        channel: Channel::Voice,
        from: address("+14155550100"),
        to: address("+14155550123"),
        content: Content {
            call: Some(options),
            ..Content::default()
        },
        sender_name: None,
        callback: None,
        call_urls: Some(CallUrls {
            answer: "https://bd.example.com/a?mid=1".into(),
            status: "https://bd.example.com/s?mid=1".into(),
            machine: "https://bd.example.com/m?mid=1".into(),
        }),
    }
}

const PLAIN: [(&str, &str); 10] = [
    ("To", "+14155550123"),
    ("From", "+14155550100"),
    ("Url", "https://bd.example.com/a?mid=1#rc=3&rp=ct,rt,5xx"),
    ("StatusCallback", "https://bd.example.com/s?mid=1#rc=3&rp=ct,rt,5xx"),
    ("Timeout", "30"),
    ("TimeLimit", "1800"),
    ("StatusCallbackEvent", "initiated"),
    ("StatusCallbackEvent", "ringing"),
    ("StatusCallbackEvent", "answered"),
    ("StatusCallbackEvent", "completed"),
];

fn message() -> Purpose {
    Purpose::Message {
        text: "Your table is ready".into(),
        sound_url: None,
    }
}

#[test]
fn builds_form_from_call_options() {
    let cases: [(CallOptions, &[(&str, &str)]); 5] = [
        (
            options(Purpose::Converse),
            &[
                ("MachineDetection", "DetectMessageEnd"),
                ("AsyncAmd", "true"),
                (
                    "AsyncAmdStatusCallback",
                    "https://bd.example.com/m?mid=1#rc=3&rp=ct,rt,5xx",
                ),
            ],
        ),
        (options(message()), &[("MachineDetection", "DetectMessageEnd")]),
        (
            CallOptions {
                detects_machine: false,
                ..options(message())
            },
            &[],
        ),
        (
            CallOptions {
                digits: Some("1w2#".into()),
                ..options(Purpose::Converse)
            },
            &[("SendDigits", "1w2#")],
        ),
        (
            CallOptions {
                detects_machine: false,
                ..options(Purpose::Connect {
                    to: "+14155550199".into(),
                })
            },
            &[],
        ),
    ];
    for (options, more) in cases {
        let form = create_call::form(&dispatch(options)).unwrap();
        let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(form, [&PLAIN, more].concat());
    }
}

#[test]
fn builds_no_form_without_options_or_urls() {
    let whole = dispatch(options(Purpose::Converse));
    let without_urls = Dispatch {
        call_urls: None,
        ..whole.clone()
    };
    let without_plan = Dispatch {
        content: Content::default(),
        ..whole
    };
    assert!(create_call::form(&without_urls).is_none() && create_call::form(&without_plan).is_none());
}

#[test]
fn verifies_handshake_over_complete_url() {
    crate::tests::install_tls();
    let credentials = VENDOR.simulated_credentials("http://127.0.0.1:1");
    let token = credentials.get("TWILIO_AUTH_TOKEN").unwrap().clone();
    let credentials = credentials
        .with("TWILIO_AUTH_TOKEN_SECONDARY", "the other")
        .with("TWILIO_SUBACCOUNT_TOKENS", "AC1:third");
    let connected = (VENDOR.connect)(&credentials, &http::client().unwrap(), crate::tests::harness::DEADLINE).unwrap();
    let voice = connected.voice.unwrap();
    let url = "wss://bd.example.com/prefix/relay/t0ken";
    let check = |token: &Secret, signed: &str| {
        let signature = webhook::sign(token, signed, Payload::Form(&[]));
        let headers = HeaderMap::from_iter([("x-twilio-signature".parse().unwrap(), signature.parse().unwrap())]);
        voice.verify_socket(url, &headers)
    };
    for token in [&token, &Secret::new("the other"), &Secret::new("third")] {
        assert_eq!(check(token, url), Ok(()));
    }
    let wrong = Err(VerificationError::WrongSignature);
    assert_eq!(check(&Secret::new("wrong"), url), wrong);
    for other in [
        "https://bd.example.com/prefix/relay/t0ken",
        "ws://bd.example.com/prefix/relay/t0ken",
        "wss://bd.example.com/relay/t0ken",
        "wss://bd.example.com/prefix/relay/t0ken?a=b",
        "wss://bd.example.com/prefix/relay/other",
    ] {
        assert_eq!(check(&token, other), wrong, "{other}");
    }
    assert_eq!(
        voice.verify_socket(url, &HeaderMap::new()),
        Err(VerificationError::Unsigned)
    );
}
