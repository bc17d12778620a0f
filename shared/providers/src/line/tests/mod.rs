//! The LINE adapter against its simulator, over real HTTP.

mod inbound;

use std::{sync::Arc, time::Duration};

use butt_dial_domain::{
    Channel,
    message::{Content, Template},
    ports::carrier::{AmbiguityReason, Messaging, Outcome, Refusal, RefusalClass},
};
use butt_dial_testkit::conformance::messaging::TestVendor;

use super::{ACCESS_TOKEN, Client, VENDOR, simulator};
use crate::{
    Credentials, http,
    tests::{conforms, harness::CarrierHarness, install_tls},
};

conforms!(Channel::Line);

async fn open(channel: Channel) -> CarrierHarness {
    CarrierHarness::start(&VENDOR, connect, channel).await
}

fn connect(credentials: &Credentials, http: reqwest::Client, deadline: Duration) -> Arc<dyn Messaging> {
    Arc::new(Client::new(credentials, http).unwrap().with_deadline(deadline))
}

fn refused(class: RefusalClass) -> Outcome {
    Outcome::Refused(Refusal {
        class,
        carrier_code: None,
        retry_after_seconds: None,
    })
}

#[tokio::test]
async fn sends_text_and_image_in_one_push() {
    let harness = open(Channel::Line).await;
    let dispatch = harness.dispatch(Content {
        body: Some("look: é 👍".to_owned()),
        media: vec!["https://x.test/a.png?b=c".to_owned()],
        ..Content::default()
    });
    let Outcome::Accepted(receipt) = harness.send(&dispatch).await else {
        panic!("not accepted")
    };
    let messages = harness.state().messages();
    let [message] = messages.as_slice() else {
        panic!("{messages:?}")
    };
    assert_eq!(message.carrier_id, receipt.carrier_id);
    assert_eq!(message.body, "look: é 👍");
    assert_eq!(message.media, ["https://x.test/a.png?b=c"]);
}

#[tokio::test]
async fn repeats_same_key_without_second_message() {
    let harness = open(Channel::Line).await;
    let dispatch = harness.text("hello");
    let (first, again) = (harness.send(&dispatch).await, harness.send(&dispatch).await);
    assert!(matches!(first, Outcome::Accepted(_)));
    assert_eq!(first, again, "409 with the request that was accepted");
    assert_eq!((harness.requests(), harness.taken()), (2, 1));
}

#[tokio::test]
async fn refuses_content_the_vendor_can_not_carry() {
    let harness = open(Channel::Line).await;
    let long = harness.text(&"x".repeat(5_001));
    assert_eq!(harness.send(&long).await, refused(RefusalClass::Content));
    let mut invalid_recipient = harness.text("hello");
    invalid_recipient.to = butt_dial_domain::Address::Line("Ann".to_owned());
    assert_eq!(harness.send(&invalid_recipient).await, refused(RefusalClass::Recipient));

    let requests = harness.requests();
    let picture = "https://x.test/a.png".to_owned();
    let template = Template {
        id: "t".to_owned(),
        variables: Default::default(),
        is_for_codes: false,
    };
    for content in [
        Content::default(),
        Content {
            media: vec![picture; 6],
            ..Content::default()
        },
        Content {
            media: vec!["https://x.test/a.pdf".to_owned()],
            ..Content::default()
        },
        Content {
            template: Some(template),
            ..Content::default()
        },
    ] {
        assert_eq!(
            harness.send(&harness.dispatch(content)).await,
            refused(RefusalClass::Content)
        );
    }
    let mut sms = harness.text("hello");
    sms.channel = Channel::Sms;
    assert_eq!(harness.send(&sms).await, refused(RefusalClass::Configuration));
    assert_eq!((harness.requests(), harness.taken()), (requests, 0));
}

#[tokio::test]
async fn maps_statuses_to_refusal_classes() {
    use RefusalClass::{Configuration, Content, Recipient, Throttled};

    let harness = open(Channel::Line).await;
    for (status, sentence, class) in [
        (400, "A message (messages[0]) in the request body is invalid", Content),
        (400, "The property, 'to', in the request body is invalid", Recipient),
        (401, "Authentication failed", Configuration),
        (
            403,
            "Access to this API is not available for your account",
            Configuration,
        ),
        (413, "Too large", Content),
        (429, "The API rate limit has been exceeded. Try again later.", Throttled),
        (429, "You have reached your monthly limit.", Configuration),
    ] {
        let outcome = harness.send_refused(status, sentence).await;
        assert_eq!(outcome, refused(class), "{status} {sentence}");
    }
    for status in [302, 408, 409, 500, 503] {
        let outcome = harness.send_refused(status, "odd").await;
        assert_eq!(outcome, Outcome::Unknown(AmbiguityReason::CarrierFault), "{status}");
    }
    assert_eq!(harness.taken(), 0);
}

#[test]
fn rejects_invalid_settings_without_request() {
    install_tls();
    let http = http::client().unwrap();
    let good = VENDOR.simulated_credentials("https://x.test");
    assert!(Client::new(&good.clone().with(ACCESS_TOKEN, "a\nb"), http.clone()).is_err());
    assert!(!format!("{good:?}").contains(simulator::ACCESS_TOKEN));
    assert!(Client::new(&good, http).is_ok());
}
