//! What a call costs while it lasts.

use butt_dial_domain::{Address, Channel, MessageId, Micros};
use butt_dial_store::StoreError;

use super::state::Facts;
use crate::{Comms, billing::prices};

/// Books another minute. False: the budget does not hold it, and nothing is booked.
pub async fn extend(comms: &Comms, facts: &Facts, message: &MessageId) -> Result<bool, StoreError> {
    let Some(profile) = comms.store.find_profile(&facts.agent).await? else {
        return Ok(false);
    };
    let price = Address::parse(Channel::Voice, &facts.remote).map_or(Micros::ZERO, |to| prices::minute(&to));
    let agent_limits = profile.agent_limits.unwrap_or(comms.settings.default_limits);
    let org_limits = profile.org_limits.unwrap_or_default();
    let now = comms.clock.now();
    match comms
        .store
        .extend_cost(message, price, agent_limits, org_limits, now)
        .await
    {
        Ok(_) => Ok(true),
        Err(StoreError::OverBudget) => Ok(false),
        Err(error) => Err(error),
    }
}
