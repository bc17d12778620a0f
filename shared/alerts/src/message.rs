//! The texts of messages about alerts.

use std::collections::HashMap;

use butt_dial_store::{Alert, Notification, Severity};
use serde_json::{Value, json};

use crate::schedule::{ESCALATED, RESOLVED};

/// Alerts that one message lists.
pub const SHOWN: u32 = 20;
/// Characters of a text message.
const SMS_LENGTH: usize = 300;

/// Alerts of one message.
pub struct Message {
    pub notifications: Vec<Notification>,
    /// Links to decide, by the id of the alert.
    pub links: HashMap<String, String>,
    /// Of all that is due.
    pub count: i64,
    /// The budget of the route is used up with this message.
    pub is_last_of_hour: bool,
    /// A person tries a route out.
    pub is_test: bool,
}

impl Message {
    /// The link that decides about the cause of an alert.
    pub fn link(&self, alert: &Alert) -> Option<&str> {
        self.links.get(&alert.id).map(String::as_str)
    }

    pub fn severity(&self) -> Severity {
        let severities = self
            .notifications
            .iter()
            .map(|notification| notification.alert.severity);
        severities.max().unwrap_or(Severity::Low)
    }

    /// One line.
    pub fn subject(&self) -> String {
        if self.is_test {
            return "Test of an alert route".into();
        }
        match self.notifications.as_slice() {
            [one] if self.count <= 1 => line(one),
            _ => format!("{} alerts, the most urgent one is {}", self.count, self.severity()),
        }
    }

    pub fn text(&self) -> String {
        if self.is_test {
            return "This route gets alerts of Butt-Dial.".into();
        }
        let mut lines: Vec<String> = self
            .notifications
            .iter()
            .map(|notification| {
                let Alert {
                    first_at, occurrences, ..
                } = &notification.alert;
                let since = first_at.format("%Y-%m-%d %H:%M UTC");
                let text = format!("- {} (since {since}, seen {occurrences} times)", line(notification));
                match self.link(&notification.alert) {
                    Some(link) => format!("{text}\n  Approve or reject: {link}"),
                    None => text,
                }
            })
            .collect();
        let more = self.count - i64::try_from(self.notifications.len()).unwrap_or(i64::MAX);
        if more > 0 {
            lines.push(format!("- and {more} more: GET /api/v1/alerts lists them"));
        }
        if self.is_last_of_hour {
            lines.push("Further alerts of this hour will follow in one message when the hour is over.".into());
        }
        lines.join("\n")
    }

    /// A text message.
    pub fn short(&self) -> String {
        let text = match self.notifications.as_slice() {
            [] => self.subject(),
            [one] => match self.link(&one.alert) {
                Some(link) => return format!("{} {link}", self.subject()),
                None => self.subject(),
            },
            _ => format!(
                "{}: {}",
                self.subject(),
                self.notifications.first().map(line).unwrap_or_default()
            ),
        };
        text.chars().take(SMS_LENGTH).collect()
    }

    /// The words of a call. A link can't be spoken.
    pub fn spoken(&self) -> String {
        let text = match self.notifications.as_slice() {
            [first, _, ..] => format!("{}: {}", self.subject(), line(first)),
            _ => self.subject(),
        };
        let text: String = text.chars().take(SMS_LENGTH).collect();
        let decide = match self.links.is_empty() {
            true => "",
            false => " A message waits for your approval.",
        };
        format!(
            "This is Butt-Dial. {}.{decide} The console lists all alerts.",
            text.trim_end_matches('.')
        )
    }

    pub fn json(&self) -> Value {
        let alerts = self.notifications.iter().map(|notification| {
            let alert = &notification.alert;
            let mut view = json!({
                "id": alert.id, "reason": notification.reason, "kind": alert.kind, "severity": alert.severity.to_string(),
                "title": alert.title, "evidence": alert.evidence, "state": alert.state.to_string(),
                "count": alert.occurrences, "firstSeen": alert.first_at, "lastSeen": alert.last_at, "orgId": alert.org_id,
            });
            if let Some(link) = self.link(alert) {
                view["link"] = json!(link);
            }
            view
        });
        let kind = if self.is_test { "alerts.test" } else { "alerts" };
        json!({ "type": kind, "count": self.count, "subject": self.subject(), "alerts": alerts.collect::<Vec<_>>() })
    }
}

fn line(notification: &Notification) -> String {
    let alert = &notification.alert;
    let prefix = match notification.reason.as_str() {
        ESCALATED => "not acknowledged: ",
        RESOLVED => "resolved: ",
        _ => "",
    };
    format!("{prefix}[{}] {}", alert.severity, alert.title)
}
