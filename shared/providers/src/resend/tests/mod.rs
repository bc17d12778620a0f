//! The Resend adapter against its simulator, over real HTTP.

use std::{sync::Arc, time::Duration};

use butt_dial_domain::{
    Channel,
    message::Content,
    ports::carrier::{AmbiguityReason, Messaging, Outcome, RefusalClass},
};
use butt_dial_testkit::conformance::messaging::TestVendor;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{API_KEY, Client, VENDOR, simulator};
use crate::{
    Credentials, http,
    tests::{
        conforms,
        harness::{CarrierHarness, DEADLINE, address, refused},
        install_tls,
    },
};

mod inbound;

conforms!(Channel::Email);

const WAIT: Duration = Duration::from_secs(10);

async fn open(channel: Channel) -> CarrierHarness {
    CarrierHarness::start(&VENDOR, connect, channel).await
}

fn connect(credentials: &Credentials, http: reqwest::Client, deadline: Duration) -> Arc<dyn Messaging> {
    Arc::new(Client::new(credentials, http).unwrap().with_deadline(deadline))
}

#[tokio::test]
async fn sends_all_fields_of_a_mail() {
    let harness = open(Channel::Email).await;
    let mut mail = harness.dispatch(Content {
        body: Some("Plain text".to_owned()),
        subject: Some("Your table\r\nBcc: x@y.zz".to_owned()),
        html: Some("<p>Marked up</p>".to_owned()),
        media: vec!["https://x.test/menu.pdf".to_owned()],
        ..Content::default()
    });
    mail.sender_name = Some("Lee, \"Ann\"\r\nX: y".to_owned());
    let Outcome::Accepted(receipt) = harness.send(&mail).await else {
        panic!("not accepted");
    };
    let messages = harness.state().messages();
    let [mail] = messages.as_slice() else {
        panic!("{messages:?}")
    };
    assert_eq!(mail.carrier_id, receipt.carrier_id);
    assert_eq!(
        (mail.from.as_str(), mail.to.as_str()),
        ("agent@example.com", "ann@example.org")
    );
    assert_eq!(mail.from_name.as_deref(), Some("Lee, \"Ann\"  X: y"));
    assert_eq!(mail.subject.as_deref(), Some("Your table  Bcc: x@y.zz"));
    assert_eq!(
        (mail.body.as_str(), mail.html.as_deref()),
        ("Plain text", Some("<p>Marked up</p>"))
    );
    assert_eq!(mail.media, ["https://x.test/menu.pdf"]);
    let delivered = harness.state().wait_for(|m| m.status == "delivered", WAIT).await;
    assert!(delivered.is_some());
}

#[tokio::test]
async fn repeats_same_key_without_second_mail() {
    let harness = open(Channel::Email).await;
    let mail = harness.text("hello");
    let (first, again) = (harness.send(&mail).await, harness.send(&mail).await);
    assert_eq!(first, again);
    assert!(matches!(first, Outcome::Accepted(_)));

    let mut changed = mail.clone();
    changed.content.body = Some("something else".to_owned());
    assert_eq!(
        harness.send(&changed).await,
        Outcome::Unknown(AmbiguityReason::CarrierFault),
        "this message went out already, so it was not refused"
    );
    assert_eq!((harness.requests(), harness.taken()), (3, 1));
}

/// The rows of Resend's error reference.
#[tokio::test]
async fn maps_error_names_to_refusal_classes() {
    use RefusalClass::{Configuration, Content, Throttled};

    let harness = open(Channel::Email).await;
    for (status, name, class) in [
        (400, "validation_error", Content),
        (400, "invalid_idempotency_key", Configuration),
        (401, "missing_api_key", Configuration),
        (401, "restricted_api_key", Configuration),
        (403, "invalid_api_key", Configuration),
        (403, "validation_error", Configuration),
        (404, "not_found", Configuration),
        (405, "method_not_allowed", Configuration),
        (422, "missing_required_field", Content),
        (422, "invalid_from_address", Configuration),
        (422, "invalid_attachment", Content),
        (422, "invalid_parameter", Content),
        (422, "invalid_region", Configuration),
        (429, "rate_limit_exceeded", Throttled),
        (429, "daily_quota_exceeded", Configuration),
        (429, "monthly_quota_exceeded", Configuration),
        (451, "security_error", Content),
        // Unknown names: the status decides.
        (400, "something_new", Content),
        (403, "something_new", Configuration),
        (429, "something_new", Throttled),
    ] {
        assert_eq!(
            harness.send_refused(status, name).await,
            refused(class, name),
            "{status} {name}"
        );
    }
    for (status, name) in [
        (409, "concurrent_idempotent_requests"),
        (409, "invalid_idempotent_request"),
        (409, "something_new"),
        (408, "something_new"),
        (500, "application_error"),
        (500, "internal_server_error"),
        (503, "something_new"),
        (302, "something_new"),
    ] {
        let outcome = harness.send_refused(status, name).await;
        assert_eq!(
            outcome,
            Outcome::Unknown(AmbiguityReason::CarrierFault),
            "{status} {name}"
        );
    }
    assert_eq!(harness.taken(), 0);
}

/// Resend checks these fields, so the simulator does.
#[tokio::test]
async fn maps_refusals_of_invalid_mails() {
    let harness = open(Channel::Email).await;
    let mut bare = harness.text("hello");
    bare.content.subject = None;
    assert_eq!(
        harness.send(&bare).await,
        refused(RefusalClass::Content, "missing_required_field")
    );
    let empty = harness.dispatch(Content {
        subject: Some("Hello".to_owned()),
        ..Content::default()
    });
    assert_eq!(
        harness.send(&empty).await,
        refused(RefusalClass::Content, "missing_required_field")
    );

    let mut invalid_recipient = harness.text("hello");
    invalid_recipient.to = butt_dial_domain::Address::Email("ann".to_owned());
    assert_eq!(
        harness.send(&invalid_recipient).await,
        refused(RefusalClass::Recipient, "validation_error")
    );
    let mut invalid_sender = harness.text("hello");
    invalid_sender.from = butt_dial_domain::Address::Email("agent".to_owned());
    assert_eq!(
        harness.send(&invalid_sender).await,
        refused(RefusalClass::Configuration, "invalid_from_address")
    );

    let mut text = harness.text("hello");
    text.content.media = vec!["file:///etc/passwd".to_owned()];
    assert_eq!(
        harness.send(&text).await,
        refused(RefusalClass::Content, "invalid_attachment")
    );
    text.channel = Channel::Sms;
    let requests = harness.requests();
    assert!(matches!(harness.send(&text).await, Outcome::Refused(r) if r.class == RefusalClass::Configuration));
    assert_eq!(
        harness.requests(),
        requests,
        "nothing leaves for a channel that Resend has not got"
    );
    assert_eq!(harness.taken(), 0);
}

#[tokio::test]
async fn accepts_sending_only_key() {
    let harness = open(Channel::Email).await;
    let carrier = harness.connect(&harness.credentials().with(API_KEY, simulator::SENDING_KEY));
    assert_eq!(carrier.check().await, Ok(()));
    assert!(matches!(
        carrier.send(&harness.text("hello")).await,
        Outcome::Accepted(_)
    ));
}

#[tokio::test]
async fn suppresses_opted_out_recipient_after_acceptance() {
    let harness = open(Channel::Email).await;
    harness.state().set_delivery_delay(Duration::ZERO);
    harness.state().opt_out("ann@example.org");
    assert!(matches!(
        harness.send(&harness.text("hello")).await,
        Outcome::Accepted(_)
    ));
    assert!(
        harness
            .state()
            .wait_for(|m| m.status == "suppressed", WAIT)
            .await
            .is_some()
    );
}

#[tokio::test]
async fn checks_idempotency_keys_and_returns_sent_mail() {
    let harness = open(Channel::Email).await;
    let http = http::client().unwrap();
    let url = format!("{}/resend/emails", harness.simulator.base_url());
    let mail =
        json!({ "from": "Agent <a@example.com>", "to": ["ann@example.org"], "subject": "Hi", "html": "<p>Hi</p>" });
    let post = |key: &str| {
        let request = http.post(&url).bearer_auth(simulator::API_KEY).json(&mail);
        request.header("Idempotency-Key", key.to_owned()).send()
    };
    for bad in [String::new(), "k".repeat(257)] {
        let answer = post(&bad).await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        assert_eq!(answer.json::<Value>().await.unwrap()["name"], "invalid_idempotency_key");
    }
    let created: Value = post("one").await.unwrap().json().await.unwrap();
    let id = created["id"].as_str().unwrap();
    let get = |path: String| http.get(path).bearer_auth(simulator::API_KEY).send();
    let read: Value = get(format!("{url}/{id}")).await.unwrap().json().await.unwrap();
    assert_eq!(read["from"], "\"Agent\" <a@example.com>");
    assert_eq!(
        (&read["to"], &read["html"]),
        (&json!(["ann@example.org"]), &json!("<p>Hi</p>"))
    );
    assert_eq!(
        get(format!("{url}/other")).await.unwrap().status(),
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        http.post(&url).json(&mail).send().await.unwrap().status(),
        StatusCode::UNAUTHORIZED
    );
}

#[test]
fn rejects_invalid_settings_without_request() {
    install_tls();
    let http = http::client().unwrap();
    let good = VENDOR.simulated_credentials("https://x.test");
    assert!(Client::new(&good.clone().with(API_KEY, "re_\r\nX: y"), http.clone()).is_err());
    assert!(Client::new(&Credentials::new("x"), http.clone()).is_err());
    assert!(!format!("{good:?}").contains(simulator::API_KEY));
    assert!(Client::new(&good, http).is_ok());
    assert_eq!(address(Channel::Email, "a@b.de").as_str(), "a@b.de");
}
