//! The rent of bought numbers after their first month. A number stays when its rent exceeds a budget, and the rent is charged beyond
//! the budget, because the vendor bills it in any case; the organization and the agent receive a report.

use butt_dial_domain::{Failure, Micros};
use butt_dial_messaging::delivery::RENT_OVER_BUDGET;
use butt_dial_store::{DueRent, EventReason, NewEvent, StoreError};
use serde_json::json;

use super::Senders;
use crate::{
    notices::{id_of_hash, store_notice, time},
    secrets,
};

const BATCH: u32 = 100;

impl Senders {
    /// Charges the months that have begun. Returns how many were charged by this process.
    pub async fn charge_rents(&self) -> Result<usize, Failure> {
        let mut charged = 0;
        loop {
            let due = self.store.list_due_rents(self.clock.now(), BATCH).await?;
            let mut progress = 0;
            for rent in &due {
                progress += usize::from(self.charge_rent(rent).await?);
            }
            charged += progress;
            // Without progress another process charges the same numbers.
            if due.is_empty() || progress == 0 {
                return Ok(charged);
            }
        }
    }

    async fn charge_rent(&self, due: &DueRent) -> Result<bool, Failure> {
        let now = self.clock.now();
        // Before the charge, so that a process that dies between both leaves the report to the next one.
        if due.rent_paid_until.is_some() && self.billing.exceeds_budget(due, now).await? {
            self.report_over_budget(due).await?;
        }
        self.billing.charge_month(due, now).await
    }

    /// Reports a rent beyond a budget. A repeated report has the same ids, so that it is stored once.
    async fn report_over_budget(&self, due: &DueRent) -> Result<(), Failure> {
        let now = self.clock.now();
        let month = due.rent_paid_until.unwrap_or(now);
        let hash = secrets::hash(&format!("rent {} {}", due.id, time(month)));
        let agent = due.agent();
        let mut data = json!({
            "type": RENT_OVER_BUDGET, "event": RENT_OVER_BUDGET, "channelId": due.id, "number": due.address,
            "rent": Micros(due.monthly_price).as_units(), "currency": "USD", "monthFrom": time(month),
            "orgId": due.org_id, "timestamp": time(now),
        });
        if let Some(agent) = &agent {
            data["agentId"] = json!(agent.host_id());
            let id = format!("evt_{}", &hash[..32]);
            let event = NewEvent {
                agent,
                id: &id,
                kind: RENT_OVER_BUDGET,
                channel: None,
                reason: EventReason::AgentOffline,
                data: &data,
            };
            self.store.append_event(&event, now).await?;
        }
        let (org, id) = (&due.org_id, id_of_hash(&hash));
        match store_notice(&self.store, org, RENT_OVER_BUDGET, &data, &id, now).await {
            Ok(_) | Err(StoreError::Conflict) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
