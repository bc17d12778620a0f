//! The Twilio adapter against its simulator, over real HTTP.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use butt_dial_domain::{
    Channel, Clock, Micros,
    message::{Content, Template},
    money::Rates,
    ports::carrier::{AmbiguityReason, Deletion, Messaging, Outcome, RefusalClass, VendorResourceKind},
};
use butt_dial_testkit::conformance::messaging::TestVendor;

use super::{Client, MESSAGING_SERVICE_SID, VENDOR, errors, simulator, wire};
use crate::{
    Credentials, http,
    simulator::InjectedFault,
    tests::{
        conforms,
        harness::{CarrierHarness, address, refused},
        install_tls,
    },
};

mod inbound;
mod voice;

conforms!(Channel::Sms);
conforms!(Channel::Whatsapp);
conforms!(Channel::Voice);

const WAIT: Duration = Duration::from_secs(10);
const SERVICE: &str = "MG0123456789abcdef0123456789abcdef";
const TEMPLATE: &str = "HX0123456789abcdef0123456789abcdef";

async fn open(channel: Channel) -> CarrierHarness {
    CarrierHarness::start(&VENDOR, connect, channel).await
}

fn connect(credentials: &Credentials, http: reqwest::Client, deadline: Duration) -> Arc<dyn Messaging> {
    Arc::new(Client::new(credentials, http).unwrap().with_deadline(deadline))
}

fn booking() -> Template {
    Template {
        id: TEMPLATE.to_owned(),
        variables: BTreeMap::from([("1".to_owned(), "Ann \"A\"".to_owned())]),
        is_for_codes: false,
    }
}

#[tokio::test]
async fn sends_text_and_returns_segments() {
    let harness = open(Channel::Sms).await;
    let Outcome::Accepted(receipt) = harness.send(&harness.text(&"é".repeat(161))).await else {
        panic!("not accepted");
    };
    assert!(receipt.carrier_id.starts_with("SM"));
    assert_eq!((receipt.carrier_status.as_str(), receipt.segments), ("queued", Some(2)));
    assert_eq!(receipt.price, None, "Twilio tells the price later");

    let messages = harness.state().messages();
    let [message] = messages.as_slice() else {
        panic!("{messages:?}")
    };
    assert_eq!(
        (message.from.as_str(), message.to.as_str()),
        ("+14155550100", "+14155550123")
    );
    assert_eq!(message.body, "é".repeat(161));
}

#[tokio::test]
async fn sends_media_in_order() {
    let harness = open(Channel::Sms).await;
    let media = vec![
        "https://x.test/a.png".to_owned(),
        "https://x.test/b.png?c=d&e".to_owned(),
    ];
    let outcome = harness
        .send(&harness.dispatch(Content {
            media: media.clone(),
            ..Content::default()
        }))
        .await;
    assert!(matches!(outcome, Outcome::Accepted(receipt) if receipt.carrier_id.starts_with("MM")));
    assert_eq!(harness.state().messages()[0].media, media);
}

#[tokio::test]
async fn sends_template_without_body() {
    let harness = open(Channel::Whatsapp).await;
    let content = Content {
        body: Some("not sent".to_owned()),
        template: Some(booking()),
        ..Content::default()
    };
    assert!(matches!(
        harness.send(&harness.dispatch(content)).await,
        Outcome::Accepted(_)
    ));
    let message = &harness.state().messages()[0];
    assert_eq!(message.channel, Channel::Whatsapp);
    assert_eq!(message.body, format!(r#"[{TEMPLATE}] {{"1":"Ann \"A\""}}"#));
}

#[tokio::test]
async fn uses_messaging_service_for_sms_only() {
    for (channel, pool, status) in [
        (Channel::Sms, Some(SERVICE), "accepted"),
        (Channel::Whatsapp, None, "queued"),
    ] {
        let harness = open(channel).await;
        let carrier = harness.connect(&harness.credentials().with(MESSAGING_SERVICE_SID, SERVICE));
        let Outcome::Accepted(receipt) = carrier.send(&harness.text("hello")).await else {
            panic!("not accepted");
        };
        assert_eq!(receipt.carrier_status, status);
        let message = &harness.state().messages()[0];
        assert_eq!(
            (message.sender_pool.as_deref(), message.from.as_str()),
            (pool, "+14155550100")
        );
    }
}

#[test]
fn rejects_invalid_settings_without_request() {
    let good = VENDOR.simulated_credentials("https://x.test");
    install_tls();
    let http = http::client().unwrap();
    let wrong = [
        good.clone().with("TWILIO_ACCOUNT_SID", "AC1/../AC2"),
        good.clone().with("TWILIO_ACCOUNT_SID", format!("SK{}", "0".repeat(32))),
        good.clone().with(MESSAGING_SERVICE_SID, "a name"),
        VENDOR.simulated_credentials("not a url"),
    ];
    for credentials in wrong {
        assert!(Client::new(&credentials, http.clone()).is_err(), "{credentials:?}");
    }
    assert!(!format!("{good:?}").contains(simulator::AUTH_TOKEN));
    assert!(Client::new(&good, http).is_ok());
}

/// Twilio checks these fields, so the simulator does.
#[tokio::test]
async fn maps_refusals_of_invalid_messages() {
    let harness = open(Channel::Sms).await;
    let empty = harness.dispatch(Content::default());
    assert_eq!(harness.send(&empty).await, refused(RefusalClass::Content, "21602"));
    let long = harness.text(&"x".repeat(1_601));
    assert_eq!(harness.send(&long).await, refused(RefusalClass::Content, "21617"));

    let mut invalid_recipient = harness.text("hello");
    invalid_recipient.to = butt_dial_domain::Address::Phone("+0".to_owned());
    assert_eq!(
        harness.send(&invalid_recipient).await,
        refused(RefusalClass::Recipient, "21211")
    );

    harness.state().opt_out("+14155550123");
    assert_eq!(
        harness.send(&harness.text("hello")).await,
        refused(RefusalClass::OptedOut, "21610")
    );
    harness.state().opt_in("+14155550123");

    harness.state().own_sender("+14155550199");
    assert_eq!(
        harness.send(&harness.text("hello")).await,
        refused(RefusalClass::Configuration, "21606")
    );
    assert_eq!(harness.state().accepted_total("twilio"), 0);

    let mut mail = harness.text("hello");
    mail.channel = Channel::Email;
    let requests = harness.requests();
    assert!(matches!(harness.send(&mail).await, Outcome::Refused(r) if r.class == RefusalClass::Configuration));
    assert_eq!(
        harness.requests(),
        requests,
        "nothing leaves for a channel that Twilio has not got"
    );
}

#[tokio::test]
async fn whatsapp_fails_messages_outside_window_after_accept() {
    let harness = open(Channel::Whatsapp).await;
    harness.state().set_delivery_delay(Duration::ZERO);
    let stranger = "+4917612345678";
    let mut dispatch = harness.text("hello");
    dispatch.to = address(Channel::Whatsapp, stranger);
    for (template, writes_first, expected) in [
        (None, false, ("failed", Some(63016))),
        (Some(booking()), false, ("delivered", None)),
        (None, true, ("delivered", None)),
    ] {
        if writes_first {
            harness.state().open_window(stranger);
        }
        dispatch.content.template = template;
        let Outcome::Accepted(receipt) = harness.send(&dispatch).await else {
            panic!("not accepted");
        };
        let settled = |m: &crate::simulator::SimulatedMessage| {
            m.carrier_id == receipt.carrier_id && (m.status, m.error_code) == expected
        };
        assert!(harness.state().wait_for(settled, WAIT).await.is_some(), "{expected:?}");
    }
}

/// The rows of Twilio's error dictionary.
#[tokio::test]
async fn maps_error_codes_to_refusal_classes() {
    use RefusalClass::{Configuration, Content, OptedOut, Recipient, Throttled, WindowClosed};

    let harness = open(Channel::Sms).await;
    let rows: &[(u16, RefusalClass, &[u32])] = &[
        (429, Throttled, &[20429, 63018]),
        (
            400,
            Recipient,
            &[
                21211, 21214, 21217, 21614, 21612, 21635, 21408, 14101, 30005, 30006, 63003, 63024,
            ],
        ),
        (400, OptedOut, &[21610]),
        (401, Configuration, &[20003]),
        (403, Configuration, &[20403]),
        (404, Configuration, &[20404]),
        (
            400,
            Configuration,
            &[
                21606, 21659, 21660, 21603, 21701, 21703, 21704, 21910, 63007, 63001, 63002, 63051,
            ],
        ),
        (400, Configuration, &[30032, 30034, 30035, 21608, 21219, 20005, 30002]),
        (
            400,
            Content,
            &[
                21602, 21617, 21619, 21620, 21623, 11751, 12300, 30019, 63019, 63021, 63005, 63027, 63028,
            ],
        ),
        (400, Content, &[63030, 63040, 63041, 63042, 30004, 30007, 21656, 21655]),
        (400, WindowClosed, &[63016]),
        (
            400,
            Throttled,
            &[30001, 30003, 30008, 30017, 30410, 63009, 63012, 63036, 30036],
        ),
        (429, Throttled, &[21611, 63038, 30022, 30023, 30027]),
        (429, Configuration, &[30450, 30453]),
        // Unknown codes: the status decides.
        (400, Content, &[99999]),
        (401, Configuration, &[99999]),
        (403, Configuration, &[99999]),
        (404, Configuration, &[99999]),
        (413, Content, &[99999]),
        (429, Throttled, &[99999]),
    ];
    for (status, class, codes) in rows {
        for code in *codes {
            let outcome = harness.send_refused(*status, &code.to_string()).await;
            assert_eq!(outcome, refused(*class, &code.to_string()), "{status} {code}");
        }
    }
    for (status, code) in [
        (500, "20500"),
        (503, "20500"),
        (400, "63010"),
        (502, ""),
        (504, ""),
        (408, ""),
        (307, ""),
    ] {
        let outcome = harness.send_refused(status, code).await;
        assert_eq!(
            outcome,
            Outcome::Unknown(AmbiguityReason::CarrierFault),
            "{status} {code}"
        );
    }
    for (status, class) in [(400, Content), (403, Configuration), (429, Throttled)] {
        let outcome = harness.send_refused(status, "").await;
        let Outcome::Refused(refusal) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(
            (refusal.class, refusal.carrier_code),
            (class, None),
            "a body that is not Twilio's"
        );
    }
    assert_eq!(harness.taken(), 0);
    assert_eq!(errors::class_of(63016), Some(WindowClosed));
    assert_eq!(errors::class_of(63010), None);
}

#[tokio::test]
async fn accepts_slow_response_and_times_out_late_one() {
    let harness = open(Channel::Sms).await;
    harness
        .state()
        .inject_fault("twilio", InjectedFault::Slow { delay_ms: 50 }, 1);
    assert!(matches!(
        harness.send(&harness.text("hello")).await,
        Outcome::Accepted(_)
    ));
    harness
        .state()
        .inject_fault("twilio", InjectedFault::Slow { delay_ms: 60_000 }, 1);
    assert_eq!(
        harness.send(&harness.text("hello")).await,
        Outcome::Unknown(AmbiguityReason::TimedOut)
    );
    assert_eq!((harness.requests(), harness.taken()), (2, 2));
}

#[tokio::test]
async fn lists_messages_over_all_pages() {
    let harness = open(Channel::Sms).await;
    let carrier = harness.carrier();
    let since = Clock::System.now();
    for number in 0..250 {
        assert!(matches!(
            carrier.send(&harness.text(&number.to_string())).await,
            Outcome::Accepted(_)
        ));
    }
    let mut other = harness.text("to somebody else");
    other.to = address(Channel::Sms, "+14155550124");
    carrier.send(&other).await;

    let listed = carrier
        .list(Channel::Sms, &harness.from(), &harness.to(), since)
        .await
        .unwrap();
    let mut bodies: Vec<u32> = listed.iter().map(|m| m.body.parse().unwrap()).collect();
    bodies.sort_unstable();
    assert_eq!(bodies, (0..250).collect::<Vec<_>>());
    assert!(
        listed
            .iter()
            .all(|m| m.created_at.timestamp() >= since.timestamp() && m.price.is_none())
    );

    let whatsapp = carrier
        .list(Channel::Whatsapp, &harness.from(), &harness.to(), since)
        .await
        .unwrap();
    assert!(
        whatsapp.is_empty(),
        "the same numbers on another channel are other addresses"
    );
}

#[tokio::test]
async fn deletes_messages_that_have_arrived() {
    let harness = open(Channel::Sms).await;
    let carrier = harness.carrier();
    let Outcome::Accepted(receipt) = harness.send(&harness.text("a secret")).await else {
        panic!("not accepted");
    };
    let id = receipt.carrier_id.as_str();
    let delete = async |kind, id| carrier.delete(kind, id).await;
    assert_eq!(
        delete(VendorResourceKind::Message, id).await,
        Deletion::Failed,
        "on its way"
    );
    harness.state().set_delivery_delay(Duration::ZERO);
    let Outcome::Accepted(receipt) = harness.send(&harness.text("a secret")).await else {
        panic!("not accepted");
    };
    let id = receipt.carrier_id.as_str();
    let arrived = harness.state().wait_for(
        |message| message.carrier_id == id && message.status == "delivered",
        WAIT,
    );
    assert!(arrived.await.is_some());
    assert_eq!(delete(VendorResourceKind::Message, id).await, Deletion::Deleted);
    assert_eq!(delete(VendorResourceKind::Message, id).await, Deletion::Missing);
    let messages = harness.state().messages();
    let deleted = messages.iter().find(|message| message.carrier_id == id).unwrap();
    assert_eq!((deleted.body.as_str(), deleted.to.as_str()), ("", ""));
    let recording = "RE0123456789abcdef0123456789abcdef";
    assert_eq!(
        delete(VendorResourceKind::Recording, recording).await,
        Deletion::Deleted
    );
    assert_eq!(
        delete(VendorResourceKind::Recording, recording).await,
        Deletion::Missing
    );
    // An id of another kind would be another path.
    assert_eq!(delete(VendorResourceKind::Call, recording).await, Deletion::Unsupported);
    assert_eq!(
        delete(VendorResourceKind::Message, "../Calls").await,
        Deletion::Unsupported
    );
}

#[tokio::test]
async fn fails_listing_that_is_incomplete() {
    let harness = open(Channel::Sms).await;
    let carrier = harness.carrier();
    let since = Clock::System.now();
    let (from, to) = (harness.from(), harness.to());
    assert!(
        harness
            .unreachable()
            .list(Channel::Sms, &from, &to, since)
            .await
            .is_err()
    );
    assert!(
        harness
            .with_wrong_credentials()
            .list(Channel::Sms, &from, &to, since)
            .await
            .is_err()
    );
    for _ in 0..1_001 {
        carrier.send(&harness.text("hello")).await;
    }
    assert!(carrier.list(Channel::Sms, &from, &to, since).await.is_err());
}

#[test]
fn parses_twilio_dates_and_prices() {
    let date = wire::date("Thu, 24 Aug 2023 05:01:45 +0000").unwrap();
    assert_eq!(date.to_rfc3339(), "2023-08-24T05:01:45+00:00");
    assert_eq!(wire::date("2023-08-24T05:01:45Z"), None);
    let price = |amount, currency| wire::price(&Rates::default(), amount, currency);
    assert_eq!(price(Some("-0.00790"), None), Some(Micros(7_900)));
    assert_eq!(price(Some("-0.00790"), Some("USD")), Some(Micros(7_900)));
    assert_eq!(price(Some("free"), None), None);
    for currency in ["JPY", "jpy"] {
        let yen = price(Some("-14.5"), Some(currency));
        assert!(yen.is_some_and(|price| price < Micros(200_000)), "{currency}: {yen:?}");
    }
    assert_eq!(price(Some("-14.5"), Some("XTS")), None);
    assert_eq!([Some("3"), Some("0"), None].map(wire::segments), [Some(3), None, None]);
}
