//! The grants of a restricted token: the people that a message or a call reaches, and its channel. Every send passes here, also a
//! scheduled one at its time, and each further channel that it falls back to.

use butt_dial_domain::{Address, Channel, Failure, call::Purpose, message::Content};

use super::SendRequest;

/// Fails with `AuthForbidden` if a caller's token is not granted a recipient, before anything is done for it. A recipient that is no
/// address is checked later.
pub(super) fn check_early(request: &SendRequest) -> Result<(), Failure> {
    if request.caller.grants().is_none() {
        return Ok(());
    }
    match Address::parse(request.channel, &request.to) {
        Ok(to) => request
            .caller
            .require_recipient(request.channel, &to, request.colleague.as_deref()),
        Err(_) => Ok(()),
    }
}

/// Fails with `AuthForbidden` if the message would reach a person, or use a channel, that the caller's token is not granted.
pub(super) fn check(request: &SendRequest, to: &Address, content: &Content) -> Result<(), Failure> {
    let caller = &request.caller;
    if caller.grants().is_none() {
        return Ok(());
    }
    caller.require_recipient(request.channel, to, request.colleague.as_deref())?;
    for fallback in &request.fallbacks {
        caller.require_channel(*fallback)?;
    }
    if let Some(mail) = &content.mail {
        for further in mail.cc.iter().chain(&mail.bcc) {
            caller.require_recipient(Channel::Email, &Address::known(Channel::Email, further), None)?;
        }
    }
    if let Some(call) = &content.call
        && let Purpose::Connect { to } = &call.plan.purpose
    {
        caller.require_recipient(Channel::Voice, &Address::known(Channel::Voice, to), None)?;
    }
    Ok(())
}
