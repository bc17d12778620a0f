//! Another channel, when the first one can't reach the person: at once, or when a receipt says so later. Never around a
//! person's own wish, a limit or a rule, and never because something of ours is away: then nobody knows what became of the
//! first try.

use butt_dial_domain::{Address, AgentId, Channel, Code, Failure, message::Status};
use butt_dial_store::Message;

use super::{SendRequest, follow_up::Later};
use crate::{Comms, store_failure};

/// Whether another channel may do better.
pub fn may_help(failure: &Failure) -> bool {
    match failure.code {
        Code::InvalidRecipient
        | Code::NoChannelAssigned
        | Code::ChannelUnavailable
        | Code::WhatsappWindowClosed
        | Code::ProviderRefused
        | Code::ProviderRateLimited
        | Code::ProviderMisconfigured
        | Code::NotSupported => true,
        // The carrier's word, and not that our own database is away.
        Code::ServiceUnavailable => failure.details.contains_key("failedMessageId"),
        _ => false,
    }
}

/// The same message on the next channel that the recipient's address makes sense on. Its key is made from the first one's,
/// so that a repeat of the whole finds what was sent on which channel.
pub fn next(request: &SendRequest) -> Option<SendRequest> {
    let mut fallbacks = request.fallbacks.iter().copied();
    let channel =
        fallbacks.find(|channel| *channel != request.channel && Address::parse(*channel, &request.to).is_ok())?;
    Some(SendRequest {
        channel,
        fallbacks: fallbacks.collect(),
        idempotency_key: request.idempotency_key.as_ref().map(|key| key_on(key, channel)),
        // An id names one message; this is another one.
        id: None,
        sender: None,
        // What the one carrier has approved, the other does not know.
        template_id: None,
        ..request.clone()
    })
}

/// The same on the next channel, for when the carrier takes the message under this key and fails it later.
pub fn later(request: &SendRequest, key: &str) -> Option<Later> {
    if request.fallbacks.is_empty() {
        return None;
    }
    let request = SendRequest {
        idempotency_key: Some(key.to_owned()),
        ..request.clone()
    };
    Later::of(&next(&request)?)
}

/// Where this request has been answered before, if that was not on its first channel: whatever has changed since, it must not
/// be sent there too.
pub async fn find_answered(comms: &Comms, request: &SendRequest) -> Result<Option<SendRequest>, Failure> {
    let agent = request.agent.as_deref().map(AgentId::from);
    let Some(agent) = agent.as_ref().or(request.caller.principal.agent.as_ref()) else {
        return Ok(None);
    };
    let mut candidate = next(request);
    while let Some(request) = candidate {
        if let Some(key) = &request.idempotency_key
            && let Some(message) = comms
                .store
                .find_message_by_key(agent, key)
                .await
                .map_err(store_failure)?
            && message.status != Status::Failed
        {
            return Ok(Some(request));
        }
        candidate = next(&request);
    }
    Ok(None)
}

/// What left under this key, on whichever channel.
pub async fn find_sent(comms: &Comms, agent: &AgentId, key: &str) -> Result<Option<Message>, Failure> {
    let on_others = |key: &str| Channel::MESSAGES.map(|channel| key_on(key, channel));
    let second = on_others(key).into_iter();
    let third = on_others(key).into_iter().flat_map(|key| on_others(&key));
    let mut found = None;
    for key in std::iter::once(key.to_owned()).chain(second).chain(third) {
        let message = comms
            .store
            .find_message_by_key(agent, &key)
            .await
            .map_err(store_failure)?;
        let Some(message) = message else { continue };
        if message.status != Status::Failed {
            return Ok(Some(message));
        }
        found = Some(message);
    }
    Ok(found)
}

fn key_on(key: &str, channel: Channel) -> String {
    format!("{key}:{channel}")
}
