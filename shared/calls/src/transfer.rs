//! A call is handed to somebody else. Whoever that is gets called as well, so what stands before every call of an agent's
//! stands before this one: the rules, the limits, and the money for its first minute.

use butt_dial_domain::{Address, CallId, Channel, Failure, MessageId, call::Direction};
use butt_dial_store::StoreError;

use super::{
    commands::{self, CallCommand},
    originate,
};
use crate::{
    Comms,
    billing::{budget, limits, prices},
    identity::Caller,
    outbound::admit,
};

pub struct TransferRequest {
    pub to: String,
    /// What the caller hears before.
    pub announcement: Option<String>,
    /// What the one who is called hears first.
    pub whisper: Option<String>,
}

/// Returns the number that is called, normalized.
pub async fn transfer(
    comms: &Comms,
    caller: &Caller,
    call: &CallId,
    wanted: TransferRequest,
) -> Result<String, Failure> {
    let agent = &caller.agent()?.agent.id;
    let state = commands::find_owned_call(comms, agent, call).await?;
    if !commands::is_live(&state) {
        return Err(commands::call_over());
    }
    let to = originate::check_callee(comms, caller, &wanted.to).await?;
    reserve(comms, caller, call, state.info.direction, &to).await?;
    let command = CallCommand::Transfer {
        to: to.as_str().to_owned(),
        announcement: wanted.announcement,
        whisper: wanted.whisper,
    };
    commands::send(comms, agent, call, command).await?;
    Ok(to.as_str().to_owned())
}

/// The limits of every action, and the first minute. What was taken and booked stays so if the call is not handed over after
/// all: the next try takes its own, and the end of the call puts its money right.
async fn reserve(
    comms: &Comms,
    caller: &Caller,
    call: &CallId,
    direction: Direction,
    to: &Address,
) -> Result<(), Failure> {
    let profile = caller.agent()?;
    let own = profile.agent_limits.unwrap_or(comms.settings.default_limits);
    let org = profile.org_limits.unwrap_or_default();
    admit::take(comms, &limits::quotas(profile, &own, &org)).await?;
    let need = prices::leg_minute(to);
    let checked = match direction {
        // There is no message that it could be booked on.
        Direction::Inbound => budget::check(comms, &profile.agent, (own, org), need).await,
        Direction::Outbound => {
            let message = MessageId::from(call.as_str());
            let now = comms.clock.now();
            match comms.store.extend_cost(&message, need, own, org, now).await {
                Ok(()) => Ok(()),
                Err(StoreError::OverBudget) => Err(budget::refusal(comms, &profile.agent, (own, org), need).await),
                Err(error) => Err(Failure::from(error)),
            }
        }
    };
    checked.map_err(|failure| failure.on(Channel::Voice))
}
