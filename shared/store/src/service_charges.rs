//! Charges for services without a message, such as synthesized speech and numbers.

use butt_dial_domain::{
    AgentId, Micros, OrgId, TokenBudget,
    clock::Timestamp,
    limits::{Limits, Period},
};

use crate::{
    Store, StoreError,
    charges::{Account, Caps, Charges},
    engine::{Tx, with_timeout},
};

/// A charge for a service without a message.
#[derive(Clone, Copy, Debug)]
pub struct ServiceCharge<'a> {
    pub org: &'a OrgId,
    pub agent: &'a AgentId,
    /// A channel, or [`crate::NUMBERS`].
    pub service: &'a str,
    /// Negative: a refund.
    pub price: Micros,
    /// Of the agent and of its organization.
    pub limits: (Limits, Limits),
    /// Of a restricted token.
    pub budget: Option<&'a TokenBudget>,
    pub at: Timestamp,
}

impl ServiceCharge<'_> {
    /// Writes the charge. Fails with `OverBudget` when a budget is exceeded.
    pub(crate) async fn write(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let day = Period::Day.key(self.at);
        let account = Account {
            agent: self.agent.as_str(),
            org: self.org.as_str(),
            channel: self.service,
            day: &day,
            budget: self.budget.map(|budget| budget.id.as_str()),
            task: None,
        };
        let caps = Caps {
            agent: self.limits.0,
            org: self.limits.1,
            token: self
                .budget
                .map_or((None, None), |budget| (budget.max_spend, budget.max_spend_per_day)),
            task: None,
        };
        let mut charges = Charges::default();
        charges.settle(account, self.price.0);
        charges.limit(account, &caps);
        charges.write(tx).await
    }
}

impl Store {
    /// Charges a service to the agent, its organization and the budget of a restricted token. Fails with `OverBudget`, and charges
    /// nothing, when a budget is exceeded.
    pub async fn charge_service(&self, charge: &ServiceCharge<'_>) -> Result<(), StoreError> {
        with_timeout(async {
            let mut tx = self.begin().await?;
            charge.write(&mut tx).await?;
            Ok(tx.commit().await?)
        })
        .await
    }
}
