//! What a call costs while it lasts.

use butt_dial_domain::{Address, Channel, MessageId, Micros, call::Direction};
use butt_dial_store::{Call, StoreError};

use super::state::Facts;
use crate::{Comms, billing::prices};

/// Books another minute. False: the budget does not hold it, and nothing is booked.
pub async fn extend(comms: &Comms, facts: &Facts, message: &MessageId) -> Result<bool, StoreError> {
    let Some(profile) = comms.store.find_profile(&facts.agent).await? else {
        return Ok(false);
    };
    let agent_limits = profile.agent_limits.unwrap_or(comms.settings.default_limits);
    let org_limits = profile.org_limits.unwrap_or_default();
    let now = comms.clock.now();
    match comms
        .store
        .extend_cost(message, minute(&facts.remote), agent_limits, org_limits, now)
        .await
    {
        Ok(_) => Ok(true),
        Err(StoreError::OverBudget) => Ok(false),
        Err(error) => Err(error),
    }
}

/// An estimate; a number that can't be read costs what the carrier says afterwards.
fn minute(number: &str) -> Micros {
    Address::parse(Channel::Voice, number).map_or(Micros::ZERO, |to| prices::minute(&to))
}

/// Books what a call of an agent's has cost, now that it is over: begun minutes, or nothing when nobody answered.
pub async fn settle(comms: &Comms, call: &Call) {
    if call.direction != Direction::Outbound {
        return;
    }
    let seconds = call.duration_seconds.unwrap_or(0);
    let estimate = minute(&call.remote_number)
        .0
        .saturating_mul(seconds.saturating_add(59) / 60);
    let cost = Micros(call.cost.unwrap_or(estimate));
    let message = MessageId::from(call.id.as_str());
    if let Err(error) = comms.store.settle_cost(&message, cost, comms.clock.now()).await {
        tracing::warn!(%error, call = %call.id, "what a call has cost stays an estimate");
    }
}
