//! Charges for services without a message, such as synthesized speech.

use butt_dial_domain::{
    AgentId, Channel, Micros, OrgId,
    clock::Timestamp,
    limits::{Limits, Period},
};

use crate::{
    Store, StoreError,
    charges::{Account, Charges},
    engine::with_timeout,
};

impl Store {
    /// Charges a service to the agent and its organization, as usage of `channel`. Fails with `OverBudget`, and charges
    /// nothing, when a budget is exceeded.
    pub async fn charge_service(
        &self,
        org: &OrgId,
        agent: &AgentId,
        channel: Channel,
        price: Micros,
        (agent_limits, org_limits): (Limits, Limits),
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let day = Period::Day.key(at);
        let account = Account {
            agent: agent.as_str(),
            org: org.as_str(),
            channel: channel.as_str(),
            day: &day,
        };
        with_timeout(async {
            let mut tx = self.begin().await?;
            let mut charges = Charges::default();
            charges.settle(account, price.0);
            charges.limit(account, &agent_limits, &org_limits);
            charges.write(&mut tx).await?;
            Ok(tx.commit().await?)
        })
        .await
    }
}
