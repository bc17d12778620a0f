//! The Meta adapter against its simulator, over real HTTP.

mod inbound;

use std::{sync::Arc, time::Duration};

use butt_dial_domain::{
    Channel,
    message::{Content, Template},
    ports::carrier::{AmbiguityReason, Messaging, Outcome, RefusalClass},
};
use butt_dial_testkit::conformance::messaging::TestVendor;

use super::{Client, PHONE_NUMBER_ID, VENDOR, errors, simulator};
use crate::{
    Credentials, http,
    simulator::InjectedFault,
    tests::{
        conforms,
        harness::{CarrierHarness, refused},
        install_tls,
    },
};

conforms!(Channel::Whatsapp);

async fn open(channel: Channel) -> CarrierHarness {
    CarrierHarness::start(&VENDOR, connect, channel).await
}

fn connect(credentials: &Credentials, http: reqwest::Client, deadline: Duration) -> Arc<dyn Messaging> {
    Arc::new(Client::new(credentials, http).unwrap().with_deadline(deadline))
}

#[tokio::test]
async fn sends_texts_files_and_templates() {
    let harness = open(Channel::Whatsapp).await;
    let text = harness.text("8 o'clock? é 👍");
    let file = harness.dispatch(Content {
        body: Some("the menu".to_owned()),
        media: vec!["https://x.test/menu.pdf".to_owned()],
        ..Content::default()
    });
    let template = harness.dispatch(Content {
        template: Some(Template {
            id: "booking:de".to_owned(),
            variables: [("1".to_owned(), "Ann".to_owned())].into(),
            is_for_codes: false,
        }),
        ..Content::default()
    });
    for dispatch in [&text, &file, &template] {
        let Outcome::Accepted(receipt) = harness.send(dispatch).await else {
            panic!("not accepted")
        };
        assert!(receipt.carrier_id.starts_with("wamid."));
        assert_eq!(receipt.carrier_status, "accepted");
    }
    let messages = harness.state().messages_to("+14155550123");
    let bodies: Vec<_> = messages.iter().map(|message| message.body.as_str()).collect();
    assert_eq!(bodies, ["8 o'clock? é 👍", "the menu", "[booking:de] Ann"]);
    assert_eq!(messages[1].media, ["https://x.test/menu.pdf"]);
}

#[tokio::test]
async fn tries_the_languages_of_a_template_in_order() {
    let harness = open(Channel::Whatsapp).await;
    let template = |id: &str| {
        harness.dispatch(Content {
            template: Some(Template {
                id: id.to_owned(),
                variables: [("1".to_owned(), "Ann".to_owned())].into(),
                is_for_codes: false,
            }),
            ..Content::default()
        })
    };
    let before = harness.requests();
    assert!(matches!(
        harness.send(&template("booking:qaa,qab,de,en")).await,
        Outcome::Accepted(_)
    ));
    assert_eq!(harness.requests() - before, 3);
    let messages = harness.state().messages_to("+14155550123");
    let bodies: Vec<_> = messages.iter().map(|message| message.body.as_str()).collect();
    assert_eq!(bodies, ["[booking:de] Ann"]);
    let outcome = harness.send(&template("booking:qaa,qab")).await;
    assert_eq!(outcome, refused(RefusalClass::Content, "132001"));
    // Another refusal, or an outcome that is not known, ends the attempts.
    for (status, code) in [(400, "132000"), (500, "2")] {
        let refusal = InjectedFault::Refuse {
            status,
            code: code.to_owned(),
        };
        harness.state().inject_fault(VENDOR.manifest.id, refusal, 1);
        let before = harness.requests();
        assert!(!matches!(
            harness.send(&template("booking:de,en")).await,
            Outcome::Accepted(_)
        ));
        assert_eq!(harness.requests() - before, 1, "{code}");
    }
}

/// The simulator refuses the first two; the adapter refuses the others before a request.
#[tokio::test]
async fn refuses_content_the_vendor_can_not_carry() {
    let harness = open(Channel::Whatsapp).await;
    let long = harness.text(&"x".repeat(4_097));
    assert_eq!(harness.send(&long).await, refused(RefusalClass::Content, "131009"));
    let mut invalid_recipient = harness.text("hello");
    invalid_recipient.to = butt_dial_domain::Address::Phone("+0".to_owned());
    assert_eq!(
        harness.send(&invalid_recipient).await,
        refused(RefusalClass::Recipient, "131026")
    );

    let requests = harness.requests();
    let mut sms = harness.text("hello");
    sms.channel = Channel::Sms;
    assert!(matches!(harness.send(&sms).await, Outcome::Refused(r) if r.class == RefusalClass::Configuration));
    let url = "https://x.test/a.png".to_owned();
    for media in [vec![], vec![url.clone(), url]] {
        let dispatch = harness.dispatch(Content {
            media,
            ..Content::default()
        });
        assert!(matches!(harness.send(&dispatch).await, Outcome::Refused(r) if r.class == RefusalClass::Content));
    }
    assert_eq!((harness.requests(), harness.taken()), (requests, 0));
}

#[tokio::test]
async fn maps_error_codes_to_refusal_classes() {
    use RefusalClass::{Configuration, Content, Recipient, Throttled, WindowClosed};

    let harness = open(Channel::Whatsapp).await;
    let rows: &[(u16, RefusalClass, &[u32])] = &[
        (400, Throttled, &[4, 80_007, 130_429, 131_056]),
        (401, Configuration, &[0, 190]),
        (403, Configuration, &[3, 10, 200, 299, 368, 131_031, 130_497]),
        (
            400,
            Configuration,
            &[131_030, 131_042, 131_048, 132_015, 132_016, 133_000, 133_010, 133_016],
        ),
        (400, WindowClosed, &[131_047]),
        (400, Recipient, &[131_026]),
        (
            400,
            Content,
            &[100, 131_008, 131_009, 131_052, 131_053, 130_472, 131_049],
        ),
        (400, Content, &[132_000, 132_001, 132_005, 132_007, 132_008, 132_012]),
        // Unknown codes: the status decides.
        (400, Content, &[999_999]),
        (403, Configuration, &[999_999]),
        (429, Throttled, &[999_999]),
    ];
    for (status, class, codes) in rows {
        for code in *codes {
            let outcome = harness.send_refused(*status, &code.to_string()).await;
            assert_eq!(outcome, refused(*class, &code.to_string()), "{status} {code}");
        }
    }
    for (status, code) in [
        (400, "1"),
        (400, "131000"),
        (400, "131016"),
        (500, "2"),
        (503, ""),
        (408, ""),
        (302, ""),
    ] {
        let outcome = harness.send_refused(status, code).await;
        assert_eq!(
            outcome,
            Outcome::Unknown(AmbiguityReason::CarrierFault),
            "{status} {code}"
        );
    }
    assert_eq!(harness.taken(), 0);
    assert_eq!(errors::class_of(131_000), None);
}

#[test]
fn rejects_invalid_settings_without_request() {
    install_tls();
    let http = http::client().unwrap();
    let good = VENDOR.simulated_credentials("https://x.test");
    for number in ["+14155550100", "1/2", ""] {
        let wrong = good.clone().with(PHONE_NUMBER_ID, number);
        assert!(Client::new(&wrong, http.clone()).is_err(), "{number}");
    }
    assert!(!format!("{good:?}").contains(simulator::ACCESS_TOKEN));
    assert!(Client::new(&good, http).is_ok());
}
