//! Webhooks by hand: signed as their carriers sign them, and then spoilt, repeated or made up as the story goes.

use butt_dial_domain::{Clock, ids};
use butt_dial_providers::{
    Secret, VENDORS,
    resend::webhook as svix,
    twilio::webhook::{self, Payload},
};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{Reply, Replying as _, Stage};

pub const FORM: &str = "application/x-www-form-urlencoded";

#[derive(Clone)]
pub struct Webhook {
    pub path: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

/// A secret that both sides know.
fn shared(vendor: &str, name: &str) -> Secret {
    let vendor = VENDORS
        .iter()
        .find(|known| known.manifest.id == vendor)
        .expect("a vendor");
    let found = vendor.simulated.iter().find(|(known, _)| *known == name);
    Secret::new(found.expect("a credential").1)
}

/// A message's SID, of nobody else's.
pub fn sid() -> String {
    format!("SM{}", ids::random())
}

/// Of a socket that Twilio opens.
pub fn twilio_signature(url: &str) -> String {
    webhook::sign(&shared("twilio", "TWILIO_AUTH_TOKEN"), url, Payload::Form(&[]))
}

impl Webhook {
    /// A form that Twilio signs for this path.
    pub fn twilio(stage: &Stage, path: &str, fields: &[(&str, &str)]) -> Self {
        let fields: Vec<(String, String)> = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let url = format!("{}{path}", stage.public_url);
        let token = shared("twilio", "TWILIO_AUTH_TOKEN");
        let signature = webhook::sign(&token, &url, Payload::Form(&fields));
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&fields)
            .finish();
        Self {
            path: path.to_owned(),
            headers: vec![(webhook::HEADER, signature), ("content-type", FORM.to_owned())],
            body: body.into_bytes(),
        }
    }

    /// A person's SMS, at this path.
    pub fn text(stage: &Stage, path: &str, from: &str, to: &str, body: &str) -> Self {
        let (sid, account) = (sid(), shared("twilio", "TWILIO_ACCOUNT_SID"));
        let fields = [
            ("MessageSid", sid.as_str()),
            ("AccountSid", account.expose()),
            ("From", from),
            ("To", to),
            ("Body", body),
            ("NumMedia", "0"),
            ("SmsStatus", "received"),
        ];
        Self::twilio(stage, path, &fields)
    }

    /// What became of a message of ours: `message` is our id, `sid` the carrier's.
    pub fn status(stage: &Stage, message: &Value, sid: &Value, status: &str) -> Self {
        Self::status_with_code(stage, message, sid, (status, "30008"))
    }

    /// With the code of a failure.
    pub fn status_with_code(stage: &Stage, message: &Value, sid: &Value, (status, code): (&str, &str)) -> Self {
        let (message, sid) = (message.as_str().expect("an id"), sid.as_str().expect("an id"));
        let account = shared("twilio", "TWILIO_ACCOUNT_SID");
        let mut fields = vec![
            ("MessageSid", sid),
            ("AccountSid", account.expose()),
            ("From", stage.account.phone.as_str()),
            ("To", "+14155550123"),
            ("MessageStatus", status),
        ];
        if matches!(status, "failed" | "undelivered") {
            fields.push(("ErrorCode", code));
        }
        Self::twilio(stage, &format!("/webhooks/twilio/status?mid={message}"), &fields)
    }

    /// An event of Resend's, signed so many seconds ago.
    pub fn resend(event: &Value, seconds_ago: i64) -> Self {
        Self::svix(event.to_string().into_bytes(), seconds_ago)
    }

    pub fn svix(body: Vec<u8>, seconds_ago: i64) -> Self {
        let (id, at) = (ids::random(), Clock::System.now().timestamp() - seconds_ago);
        let secret = shared("resend", "RESEND_WEBHOOK_SECRET");
        let signature = svix::sign(&secret, &id, at, &body).expect("a signature");
        let headers = vec![
            ("svix-id", id),
            ("svix-timestamp", at.to_string()),
            (svix::SIGNATURE, signature),
            ("content-type", "application/json".to_owned()),
        ];
        let path = "/webhooks/resend/email".to_owned();
        Self { path, headers, body }
    }

    /// The same without its signature.
    pub fn unsigned(mut self) -> Self {
        self.headers
            .retain(|(name, _)| ![webhook::HEADER, svix::SIGNATURE].contains(name));
        self
    }

    pub async fn post(&self, stage: &Stage) -> Reply {
        self.request(stage, reqwest::Method::POST).reply().await
    }

    pub fn request(&self, stage: &Stage, method: reqwest::Method) -> reqwest::RequestBuilder {
        let url = format!("{}{}", stage.public_url, self.path);
        let request = stage.gateways.http.request(method, url).body(self.body.clone());
        let headers = self.headers.iter();
        headers.fold(request, |request, (name, value)| request.header(*name, value))
    }
}

/// The event that a mail has come.
pub fn mail_event(to: &str) -> Value {
    let id = ids::random();
    json!({
        "type": "email.received",
        "created_at": Clock::System.now().to_rfc3339(),
        "data": {
            "email_id": id, "created_at": Clock::System.now().to_rfc3339(), "from": "ann@example.com",
            "to": [to], "cc": [], "bcc": [], "message_id": format!("<{id}@example.com>"), "subject": "Hello",
            "attachments": [],
        },
    })
}
