//! Alerts of the organization, and the routes to people. The orchestrator administers those of the installation.

pub mod acknowledge_alert;
pub mod create_alert_route;
pub mod delete_alert_route;
pub mod list_alert_routes;
pub mod list_alerts;
pub mod resolve_alert;
pub mod test_alert_route;
pub mod update_alert_route;

use butt_dial_alerts::{Alert, AlertRoute, NewRoute, RouteKind, Severity};
use butt_dial_domain::{Code, Failure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::views::time;

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertView {
    id: String,
    /// Such as provider.failing, order.stuck, dead_letters, budget, audit.broken or anomaly.volume_spike.
    kind: String,
    /// critical, high, medium or low.
    severity: String,
    title: String,
    /// The facts that tripped it.
    evidence: Value,
    /// open, acknowledged or resolved.
    state: String,
    /// How often the cause was seen.
    count: i64,
    first_seen: String,
    last_seen: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    changed_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changed_at: Option<String>,
}

impl From<Alert> for AlertView {
    fn from(alert: Alert) -> Self {
        Self {
            id: alert.id,
            kind: alert.kind,
            severity: alert.severity.to_string(),
            title: alert.title,
            evidence: alert.evidence,
            state: alert.state.to_string(),
            count: alert.occurrences,
            first_seen: time(alert.first_at),
            last_seen: time(alert.last_at),
            changed_by: alert.changed_by,
            changed_at: alert.changed_at.map(time),
        }
    }
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteItem {
    id: String,
    kind: String,
    /// The last characters of the address, or the host of the URL.
    hint: String,
    /// The lowest severity that the route takes.
    severity: String,
    escalation: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    quiet_from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quiet_until: Option<String>,
    created_at: String,
}

impl From<AlertRoute> for RouteItem {
    fn from(route: AlertRoute) -> Self {
        let clock = |minutes: i64| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        Self {
            id: route.id,
            kind: route.kind,
            hint: route.hint,
            severity: route.severity.to_string(),
            escalation: route.is_escalation,
            quiet_from: route.quiet_from.map(clock),
            quiet_until: route.quiet_until.map(clock),
            created_at: time(route.created_at),
        }
    }
}

/// The settings of a route.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteSettings {
    #[schemars(extend("enum" = ["email", "sms", "whatsapp", "voice", "webhook", "pagerduty", "slack"]))]
    kind: String,
    /// Of the kinds email, sms, whatsapp and voice (a call that speaks the alert).
    #[serde(default)]
    address: Option<String>,
    /// Of the kinds webhook and slack. At PagerDuty: the URL of another region.
    #[serde(default)]
    url: Option<String>,
    /// The routing key of PagerDuty.
    #[serde(default)]
    key: Option<String>,
    /// The lowest severity that the route takes: critical, high, medium (the default) or low.
    #[serde(default)]
    severity: Option<String>,
    /// The route receives critical and high alerts that were not acknowledged within 15 minutes, and no others.
    #[serde(default)]
    escalation: bool,
    /// The beginning of the quiet hours in UTC, such as 22:00. Only critical alerts pass.
    #[serde(default)]
    quiet_from: Option<String>,
    /// Their end.
    #[serde(default)]
    quiet_until: Option<String>,
}

impl RouteSettings {
    fn parse(&self) -> Result<NewRoute<'_>, Failure> {
        let invalid = |field: &str, text: &str| {
            Failure::new(Code::InvalidArgument, text.to_owned()).detail("fields", json!([field]))
        };
        let kind: RouteKind = self.kind.parse().map_err(|_| {
            invalid(
                "kind",
                "kind is email, sms, whatsapp, voice, webhook, pagerduty or slack",
            )
        })?;
        let severity: Severity = self
            .severity
            .as_deref()
            .unwrap_or("medium")
            .parse()
            .map_err(|_| invalid("severity", "severity is critical, high, medium or low"))?;
        let quiet = match (&self.quiet_from, &self.quiet_until) {
            (None, None) => None,
            (Some(from), Some(until)) => Some((minutes(from), minutes(until))),
            _ => return Err(invalid("quietFrom", "quiet hours need quietFrom and quietUntil")),
        };
        let quiet = quiet
            .map(|(from, until)| {
                from.zip(until)
                    .ok_or_else(|| invalid("quietFrom", "quiet hours are times such as 22:00"))
            })
            .transpose()?;
        Ok(NewRoute {
            kind,
            address: self.address.as_deref(),
            url: self.url.as_deref(),
            key: self.key.as_deref(),
            severity,
            is_escalation: self.escalation,
            quiet,
        })
    }
}

/// Reads a time of day as minutes after midnight.
fn minutes(text: &str) -> Option<u32> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamedAlert {
    alert_id: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamedRoute {
    route_id: String,
}

#[derive(Serialize, JsonSchema)]
pub struct Done {
    success: bool,
}
