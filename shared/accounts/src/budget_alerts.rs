//! Alerts about budgets, at 50, 80 and 100 percent: an event in the log of the agent, and a notice to the organization's webhook.

use std::{sync::Arc, time::Duration};

use butt_dial_domain::{AgentId, Failure, Micros, keys, limits::Period};
use butt_dial_messaging::delivery::BUDGET_ALERT;
use butt_dial_store::{BudgetAlert, EventReason, NewEvent, StoreError};
use serde_json::json;

use crate::{
    Accounts,
    limits::unavailable,
    notices::{id_of_hash, time},
    secrets,
};

const AGENT: &str = "agt:";
const INTERVAL: Duration = Duration::from_secs(55);

impl Accounts {
    /// Sends the alerts that are due, on one process per minute: the query reads all budgets of the day.
    pub async fn sweep_budget_alerts(self: &Arc<Self>) -> Result<usize, Failure> {
        let is_first = self.kv.once(keys::BUDGET_ALERTS, INTERVAL).await.map_err(unavailable)?;
        if is_first {
            self.send_budget_alerts().await
        } else {
            Ok(0)
        }
    }

    /// Sends the alerts that are due. Returns how many. A repeated alert has the same ids, so that each is sent once.
    pub async fn send_budget_alerts(self: &Arc<Self>) -> Result<usize, Failure> {
        let now = self.clock.now();
        let due = self
            .store
            .list_budget_alerts(
                &Period::Day.key(now),
                &Period::Month.key(now),
                &self.settings.default_limits,
            )
            .await?;
        let mut last: Option<&BudgetAlert> = None;
        for alert in &due {
            // A budget that has passed several percentages at once is reported with the highest one, which is the first.
            let is_lower = last.is_some_and(|last| last.scope == alert.scope && last.period == alert.period);
            if !is_lower {
                self.send_budget_alert(alert).await?;
            }
            self.store.record_budget_alert(alert, now).await?;
            last = Some(alert);
        }
        Ok(due.len())
    }

    async fn send_budget_alert(self: &Arc<Self>, alert: &BudgetAlert) -> Result<(), Failure> {
        let now = self.clock.now();
        let hash = secrets::hash(&format!("{} {} {}", alert.scope, alert.period, alert.threshold));
        let agent = alert.scope.strip_prefix(AGENT).map(AgentId::from);
        let period = if alert.period.len() > "2026-11".len() {
            "day"
        } else {
            "month"
        };
        let mut data = json!({
            "type": BUDGET_ALERT, "event": BUDGET_ALERT, "percent": alert.threshold, "period": period,
            "periodKey": alert.period, "spent": Micros(alert.used).as_units(), "limit": Micros(alert.cap).as_units(),
            "currency": "USD", "orgId": alert.org_id, "timestamp": time(now),
        });
        if let Some(agent) = &agent {
            data["agentId"] = json!(agent.host_id());
            let event = NewEvent {
                agent,
                id: &format!("evt_{}", &hash[..32]),
                kind: BUDGET_ALERT,
                channel: None,
                reason: EventReason::AgentOffline,
                data: &data,
            };
            self.store.append_event(&event, now).await?;
        }
        let id = id_of_hash(&hash);
        match self.store_notice(&alert.org_id, BUDGET_ALERT, &data, &id).await {
            // Another dispatcher has stored it.
            Err(StoreError::Conflict) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
