//! The sweep that sends due messages. A route is claimed by one dispatcher at a time, sends one message for all that is due, and
//! pauses afterwards.

use std::collections::HashMap;

use butt_dial_domain::{Failure, MessageId, OrgId, clock::Timestamp};
use butt_dial_messaging::outbound::ApprovalLink;
use butt_dial_store::{AlertRoute, Notification};
use chrono::TimeDelta;
use futures::future::join_all;

use crate::{
    Alerts,
    message::{Message, SHOWN},
    observe::APPROVAL,
    schedule::{MAX_PER_HOUR, RESOLVED, next_free},
};

const BATCH: u32 = 500;
/// Longer than a message takes.
const CLAIM: TimeDelta = TimeDelta::seconds(30);
/// Alerts of the last second may belong to transactions that are not committed yet: the next sweep sends them.
const SETTLED: TimeDelta = TimeDelta::seconds(1);
/// Tries of a message before it is given up.
const MAX_TRIES: i64 = 5;
const RETRY_AFTER: TimeDelta = TimeDelta::seconds(30);
const HOUR: TimeDelta = TimeDelta::hours(1);

impl Alerts {
    /// Sends the messages that are due. Returns how many were accepted.
    pub async fn send_due(&self) -> Result<usize, Failure> {
        let now = self.clock.now();
        let routes = self.store.list_due_routes(now - SETTLED, BATCH).await?;
        let mut claimed = Vec::new();
        for id in routes {
            claimed.extend(self.store.claim_alert_route(&id, now, now + CLAIM).await?);
        }
        let told = join_all(claimed.iter().map(|route| self.send_to(route, now))).await;
        let mut count = 0;
        for told in told {
            count += usize::from(told?);
        }
        Ok(count)
    }

    /// Returns the links that decide about held messages, by alert. The token is in the message only.
    fn links(&self, route: &AlertRoute, notifications: &[Notification]) -> HashMap<String, String> {
        let link = |notification: &Notification| {
            let alert = &notification.alert;
            let org = alert.org_id.as_deref().map(OrgId::from)?;
            let link = ApprovalLink {
                message: MessageId::from(alert.fingerprint.as_str()),
                route: route.id.clone(),
            };
            Some((alert.id.clone(), link.url(&self.vault, &self.public_urls, &org)?))
        };
        notifications
            .iter()
            .filter(|notification| notification.alert.kind == APPROVAL && notification.reason != RESOLVED)
            .filter_map(link)
            .collect()
    }

    async fn send_to(&self, route: &AlertRoute, now: Timestamp) -> Result<bool, Failure> {
        let due = now - SETTLED;
        let window = route.window_at.filter(|begin| now - *begin < HOUR);
        let (window, sent) = window.map_or((now, 0), |begin| (begin, route.window_count));
        if sent >= MAX_PER_HOUR {
            self.store.release_alert_route(&route.id, window + HOUR, None).await?;
            return Ok(false);
        }
        let (notifications, count) = self.store.list_notifications(&route.id, due, SHOWN).await?;
        let tries = notifications
            .iter()
            .map(|notification| notification.tries)
            .max()
            .unwrap_or_default();
        if notifications.is_empty() {
            // Their alerts are gone.
            self.store.delete_notifications(&route.id, due).await?;
            self.store.release_alert_route(&route.id, now, None).await?;
            return Ok(false);
        }
        let key = format!("alert-{}-{}", route.id, due.timestamp_millis());
        let message = Message {
            links: self.links(route, &notifications),
            notifications,
            count,
            is_last_of_hour: sent + 1 == MAX_PER_HOUR,
            is_test: false,
        };
        match self.send_over(route, &message, &key).await {
            Ok(()) => {
                let sent = sent + 1;
                self.store.delete_notifications(&route.id, due).await?;
                let free_at = next_free(sent, window, now);
                self.store
                    .release_alert_route(&route.id, free_at, Some((window, sent)))
                    .await?;
                Ok(true)
            }
            // No alert about this: it would take the same way.
            Err(reason) if tries + 1 >= MAX_TRIES => {
                tracing::error!(route = route.id, kind = route.kind, count, reason, "alerts given up");
                self.store.delete_notifications(&route.id, due).await?;
                self.store.release_alert_route(&route.id, now, None).await?;
                Ok(false)
            }
            Err(reason) => {
                tracing::warn!(
                    route = route.id,
                    kind = route.kind,
                    count,
                    reason,
                    "alerts not delivered yet"
                );
                let until = now + RETRY_AFTER * (1 << tries.min(6));
                self.store.postpone_notifications(&route.id, due, until, true).await?;
                self.store.release_alert_route(&route.id, now, None).await?;
                Ok(false)
            }
        }
    }
}
