//! The messages to people and programs. Requests never reach a private network.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use butt_dial_domain::Channel;
use butt_dial_store::{AlertRoute, Severity};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    Alerts,
    message::Message,
    routes::{RouteKind, Target},
    schedule::RESOLVED,
};

const TIMEOUT: Duration = Duration::from_secs(10);
/// Alerts that PagerDuty gets one by one; more become one incident.
const MAX_INCIDENTS: usize = 5;

impl Alerts {
    /// Sends a message over a route. `key` identifies the message. The error is for the operator, without addresses.
    pub(crate) async fn send_over(&self, route: &AlertRoute, message: &Message, key: &str) -> Result<(), String> {
        let target = self
            .open_target(route)
            .map_err(|failure| failure.message.into_owned())?;
        let kind: RouteKind = route.kind.parse().map_err(|_| "unknown kind of route".to_owned())?;
        match kind {
            RouteKind::Email => {
                self.mail(Channel::Email, &target, &message.subject(), &message.text(), key)
                    .await
            }
            RouteKind::Sms => self.mail(Channel::Sms, &target, "", &message.short(), key).await,
            RouteKind::Whatsapp => self.mail(Channel::Whatsapp, &target, "", &message.short(), key).await,
            RouteKind::Voice => self.mail(Channel::Voice, &target, "", &message.spoken(), key).await,
            RouteKind::Webhook => {
                let body = message.json().to_string();
                let headers = self.signature(route, key, &body);
                self.post(&target.url, body, headers).await
            }
            RouteKind::Slack => {
                let text = format!("*{}*\n{}", message.subject(), message.text());
                self.post(&target.url, json!({ "text": text }).to_string(), Vec::new())
                    .await
            }
            RouteKind::Pagerduty => {
                for body in incidents(message, &target.key, &route.id) {
                    self.post(&target.url, body.to_string(), Vec::new()).await?;
                }
                Ok(())
            }
        }
    }

    async fn mail(
        &self,
        channel: Channel,
        target: &Target,
        subject: &str,
        text: &str,
        key: &str,
    ) -> Result<(), String> {
        let sent = self.mailer.send(channel, &target.address, subject, text, key).await;
        sent.map_err(|failure| failure.code.to_string())
    }

    /// Signs as Standard Webhooks describe.
    fn signature(&self, route: &AlertRoute, id: &str, body: &str) -> Vec<(&'static str, String)> {
        let timestamp = self.clock.now().timestamp().to_string();
        // HMAC accepts keys of any length (RFC 2104), so the fallback to an empty key is never taken.
        let key = self.webhook_key(&route.id);
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap_or_else(|_| Hmac::new(&Default::default()));
        for part in [id, ".", &timestamp, ".", body] {
            mac.update(part.as_bytes());
        }
        let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
        vec![
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", timestamp),
            ("webhook-signature", format!("v1,{signature}")),
        ]
    }

    async fn post(&self, url: &str, body: String, headers: Vec<(&'static str, String)>) -> Result<(), String> {
        let target = self.egress.check(url).map_err(|error| error.to_string())?;
        let client = self.egress.client().ok_or("no HTTP client")?;
        let request = client
            .post(target)
            .timeout(TIMEOUT)
            .header("content-type", "application/json");
        let request = headers
            .into_iter()
            .fold(request, |request, (name, value)| request.header(name, value));
        match request.body(body).send().await.map(|response| response.status()) {
            Ok(status) if status.is_success() => Ok(()),
            Ok(status) => Err(format!("HTTP status {}", status.as_u16())),
            Err(error) if error.is_timeout() => Err("no answer within 10 seconds".into()),
            Err(_) => Err("no connection".into()),
        }
    }
}

/// Builds events for PagerDuty (Events API v2): one for each alert, or one for many.
fn incidents(message: &Message, key: &str, route: &str) -> Vec<Value> {
    let severity = |severity: Severity| match severity {
        Severity::Critical => "critical",
        Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low => "info",
    };
    if message.is_test || message.count > i64::try_from(MAX_INCIDENTS).unwrap_or_default() {
        return vec![json!({
            "routing_key": key, "event_action": "trigger", "dedup_key": format!("butt-dial {route}"),
            "payload": {
                "summary": message.subject(), "source": "butt-dial", "severity": severity(message.severity()),
                "custom_details": message.json(),
            },
        })];
    }
    let one = message.notifications.iter().map(|notification| {
        let alert = &notification.alert;
        if notification.reason == RESOLVED {
            return json!({ "routing_key": key, "event_action": "resolve", "dedup_key": alert.id });
        }
        let links = message
            .link(alert)
            .map(|link| json!({ "href": link, "text": "Approve or reject" }));
        json!({
            "routing_key": key, "event_action": "trigger", "dedup_key": alert.id, "links": Vec::from_iter(links),
            "payload": {
                "summary": alert.title, "source": "butt-dial", "severity": severity(alert.severity),
                "timestamp": alert.first_at, "class": alert.kind, "custom_details": alert.evidence,
            },
        })
    });
    one.collect()
}
