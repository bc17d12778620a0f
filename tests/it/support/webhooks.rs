//! Handmade webhooks: signed as the carriers sign them, then altered, repeated or forged as the test needs.

use butt_dial_domain::{Clock, ids};
use butt_dial_providers::{
    Secret,
    meta::webhook as meta,
    resend::webhook as svix,
    twilio::webhook::{self, Payload},
};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{Reply, RequestExt as _, TestContext};

pub const FORM: &str = "application/x-www-form-urlencoded";

#[derive(Clone)]
pub struct Webhook {
    pub path: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

/// Returns a secret that the simulators and the programs know.
fn shared_secret(context: &TestContext, name: &str) -> Secret {
    let secret = context.carriers.setting(name);
    assert!(!secret.is_empty(), "{name}");
    Secret::new(secret)
}

/// Returns a new message SID.
pub fn message_sid() -> String {
    format!("SM{}", ids::random())
}

/// Signs the URL of a socket as Twilio does.
pub fn twilio_signature(context: &TestContext, url: &str) -> String {
    webhook::sign(&shared_secret(context, "TWILIO_AUTH_TOKEN"), url, Payload::Form(&[]))
}

impl Webhook {
    /// Builds a form that Twilio signs for this path.
    pub fn twilio(context: &TestContext, path: &str, fields: &[(&str, &str)]) -> Self {
        let fields: Vec<(String, String)> = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let url = format!("{}{path}", context.public_url);
        let token = shared_secret(context, "TWILIO_AUTH_TOKEN");
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

    /// Builds the webhook of a person's SMS at this path.
    pub fn text(context: &TestContext, path: &str, from: &str, to: &str, body: &str) -> Self {
        let (sid, account) = (message_sid(), shared_secret(context, "TWILIO_ACCOUNT_SID"));
        let fields = [
            ("MessageSid", sid.as_str()),
            ("AccountSid", account.expose()),
            ("From", from),
            ("To", to),
            ("Body", body),
            ("NumMedia", "0"),
            ("SmsStatus", "received"),
        ];
        Self::twilio(context, path, &fields)
    }

    /// Builds a delivery receipt: `message` is the product's id, `sid` the carrier's.
    pub fn status(context: &TestContext, message: &Value, sid: &Value, status: &str) -> Self {
        Self::status_with_code(context, message, sid, (status, "30008"))
    }

    /// Builds a delivery receipt with an error code.
    pub fn status_with_code(context: &TestContext, message: &Value, sid: &Value, (status, code): (&str, &str)) -> Self {
        let (message, sid) = (message.as_str().expect("an id"), sid.as_str().expect("an id"));
        let account = shared_secret(context, "TWILIO_ACCOUNT_SID");
        let mut fields = vec![
            ("MessageSid", sid),
            ("AccountSid", account.expose()),
            ("From", context.account.phone.as_str()),
            ("To", "+14155550123"),
            ("MessageStatus", status),
        ];
        if matches!(status, "failed" | "undelivered") {
            fields.push(("ErrorCode", code));
        }
        Self::twilio(context, &format!("/webhooks/twilio/status?mid={message}"), &fields)
    }

    /// Builds a webhook of Meta with this value of a field, such as `messages`. The value gets our number.
    pub fn meta(context: &TestContext, field: &str, mut value: Value) -> Self {
        value["metadata"] = json!({ "display_phone_number": context.account.phone.trim_start_matches('+') });
        let change = json!({ "field": field, "value": value });
        Self::meta_body(context, json!({ "entry": [{ "changes": [change] }] }).to_string())
    }

    /// Builds a webhook of Meta with this body.
    pub fn meta_body(context: &TestContext, body: String) -> Self {
        let body = body.into_bytes();
        let signature = meta::sign(&shared_secret(context, "META_APP_SECRET"), &body);
        Self {
            path: "/webhooks/meta/whatsapp".to_owned(),
            headers: vec![
                (meta::HEADER, signature),
                ("content-type", "application/json".to_owned()),
            ],
            body,
        }
    }

    /// Builds the webhook of a message to the account's agent with these fields of Twilio, on SMS or on WhatsApp.
    pub fn message(context: &TestContext, channel: &str, fields: &[(&str, &str)]) -> Self {
        let prefix = if channel == "whatsapp" { "whatsapp:" } else { "" };
        let (sid, account) = (message_sid(), shared_secret(context, "TWILIO_ACCOUNT_SID"));
        let to = format!("{prefix}{}", context.account.phone);
        let always = [
            ("MessageSid", sid.as_str()),
            ("AccountSid", account.expose()),
            ("To", to.as_str()),
            ("NumMedia", "0"),
            ("SmsStatus", "received"),
        ];
        Self::twilio(
            context,
            &format!("/webhooks/twilio/{channel}"),
            &[&always, fields].concat(),
        )
    }

    /// Builds an event of Resend, signed this many seconds ago.
    pub fn resend(context: &TestContext, event: &Value, seconds_ago: i64) -> Self {
        Self::svix(context, event.to_string().into_bytes(), seconds_ago)
    }

    pub fn svix(context: &TestContext, body: Vec<u8>, seconds_ago: i64) -> Self {
        let (id, at) = (ids::random(), Clock::System.now().timestamp() - seconds_ago);
        let secret = shared_secret(context, "RESEND_WEBHOOK_SECRET");
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

    /// Removes the signature.
    pub fn unsigned(mut self) -> Self {
        self.headers
            .retain(|(name, _)| ![webhook::HEADER, svix::SIGNATURE].contains(name));
        self
    }

    pub async fn post(&self, context: &TestContext) -> Reply {
        self.request(context, reqwest::Method::POST).reply().await
    }

    pub fn request(&self, context: &TestContext, method: reqwest::Method) -> reqwest::RequestBuilder {
        let url = format!("{}{}", context.public_url, self.path);
        let request = context.gateways.http.request(method, url).body(self.body.clone());
        let headers = self.headers.iter();
        headers.fold(request, |request, (name, value)| request.header(*name, value))
    }
}

/// Builds the event of a received mail.
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
