//! Transfers a live call to another number. The callee is called as well, so the transfer passes the same checks as an
//! outbound call: the compliance rules, the rate limits, and the budget for its first minute.

use butt_dial_billing::EffectiveLimits;
use butt_dial_domain::{
    Address, CallId, Channel, Code, Failure, MessageId,
    call::{CallInfo, Direction},
};
use butt_dial_identity::Caller;
use butt_dial_store::StoreError;

use super::{
    commands::{self, CallCommand},
    digits::parse_digits,
    handle::Calls,
    legs, originate,
};

pub struct TransferRequest {
    pub to: String,
    /// Spoken to the caller before the transfer.
    pub announcement: Option<String>,
    /// Spoken to the callee before the two are connected.
    pub whisper: Option<String>,
    /// Keys that are pressed when the callee answers.
    pub digits: Option<String>,
}

/// Transfers a call. Returns the normalized number.
pub async fn transfer(
    calls: &Calls,
    caller: &Caller,
    call: &CallId,
    request: TransferRequest,
) -> Result<String, Failure> {
    let agent = &caller.agent()?.agent.id;
    let state = commands::find_owned_call(calls, agent, call).await?;
    if !state.is_live() {
        return Err(commands::call_over());
    }
    let digits = request.digits.as_deref().map(parse_digits).transpose()?;
    let to = originate::check_callee(calls, caller, &request.to).await?;
    charge(calls, caller, &state.info, &to).await?;
    let command = CallCommand::Transfer {
        to: to.as_str().to_owned(),
        announcement: request.announcement,
        whisper: request.whisper,
        digits,
    };
    commands::send(calls, agent, call, command).await?;
    Ok(to.as_str().to_owned())
}

/// Takes the rate limits and charges the first minute. Both remain if the transfer fails afterwards: the next attempt takes
/// its own, and the end of the call settles its cost.
pub(crate) async fn charge(calls: &Calls, caller: &Caller, info: &CallInfo, to: &Address) -> Result<(), Failure> {
    let profile = caller.agent()?;
    let limits = calls.billing.limits_of(profile).with_token(caller.token_budget());
    check_budget(calls, &limits, info).await?;
    calls.billing.take_actions(profile, &limits).await?;
    let price = calls.billing.prices().leg_minute(to);
    let charged = match info.direction {
        Direction::Inbound => legs::charge_inbound(calls, info, &limits, to, price).await,
        Direction::Outbound => {
            let message = MessageId::from(info.call.as_str());
            let now = calls.clock.now();
            calls
                .store
                .extend_cost(&message, price, price, limits.agent, limits.org, now)
                .await
        }
    };
    match charged {
        Ok(()) => Ok(()),
        Err(StoreError::OverBudget) => {
            let payer = calls.store.find_payer(&MessageId::from(info.call.as_str())).await?;
            let limits = limits.with_task(payer.and_then(|payer| payer.task_id));
            let refusal = calls.billing.explain_over_budget(&profile.agent, &limits, price).await;
            Err(refusal.on(Channel::Voice))
        }
        Err(error) => Err(Failure::from(error).on(Channel::Voice)),
    }
}

/// Fails if another token pays for the call: its later minutes would not be charged to the budget of this one.
async fn check_budget(calls: &Calls, limits: &EffectiveLimits, info: &CallInfo) -> Result<(), Failure> {
    let Some(budget) = &limits.token else {
        return Ok(());
    };
    let message = MessageId::from(info.call.as_str());
    match calls.store.find_payer(&message).await? {
        Some(payer) if payer.budget_id.as_ref() != Some(&budget.id) => Err(Failure::new(
            Code::AuthForbidden,
            "the budget of this token does not pay for this call",
        )
        .on(Channel::Voice)
        .hint("transfer calls that you have placed with this token, or use a token without a budget")),
        _ => Ok(()),
    }
}
