//! Fallback channels: the same message on the next channel if the first one cannot reach the recipient, at once or after a
//! receipt. Never after an opt-out, a limit or a rule, and never because a backend is unavailable: then the outcome of
//! the first attempt is not known.

use butt_dial_domain::{Address, AgentId, Channel, Code, Failure, message::Status};
use butt_dial_store::Message;

use super::{Outbound, SendRequest, authorize::find_sending_id, deferred::DeferredSend, request::MAX_KEY};
use crate::inbound::envelope::digest;

/// Returns whether another channel may succeed after this failure.
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
        // Only if the carrier is unavailable, not our own database.
        Code::ServiceUnavailable => failure.details.contains_key("failedMessageId"),
        _ => false,
    }
}

/// Returns the request for the next channel on which the recipient's address is valid. Its key is derived from the first
/// one's, so that a repeat finds the channel that was used.
pub fn next_channel(request: &SendRequest) -> Option<SendRequest> {
    let mut fallbacks = request.fallbacks.iter().copied();
    let channel =
        fallbacks.find(|channel| *channel != request.channel && Address::parse(*channel, &request.to).is_ok())?;
    Some(SendRequest {
        channel,
        fallbacks: fallbacks.collect(),
        idempotency_key: request.idempotency_key.as_ref().map(|key| key_on(key, channel)),
        // It is another message, so it gets another id.
        id: None,
        sender: None,
        // A template is approved by one carrier only.
        template_id: None,
        ..request.clone()
    })
}

/// Returns the send for the next channel, stored for the case that the carrier accepts this message and fails it later.
pub fn deferred_fallback(request: &SendRequest, key: &str) -> Option<DeferredSend> {
    if request.fallbacks.is_empty() {
        return None;
    }
    let request = SendRequest {
        idempotency_key: Some(key.to_owned()),
        ..request.clone()
    };
    DeferredSend::from_request(&next_channel(&request)?)
}

/// Finds the fallback channel on which a prior request with the same key was sent. It must not be sent on the first channel as
/// well, whatever has changed since.
pub async fn find_prior(outbound: &Outbound, request: &SendRequest) -> Result<Option<SendRequest>, Failure> {
    let Some(mut candidate) = next_channel(request).map(Some) else {
        return Ok(None);
    };
    let Some(agent) = find_sending_id(outbound, request).await? else {
        return Ok(None);
    };
    while let Some(request) = candidate {
        if let Some(key) = &request.idempotency_key
            && let Some(message) = outbound.store.find_message_by_key(&agent, key).await?
            && message.status != Status::Failed
        {
            return Ok(Some(request));
        }
        candidate = next_channel(&request);
    }
    Ok(None)
}

/// Finds the message that was sent with this key, on any channel.
pub async fn find_sent(outbound: &Outbound, agent: &AgentId, key: &str) -> Result<Option<Message>, Failure> {
    let on_others = |key: &str| Channel::MESSAGES.map(|channel| key_on(key, channel));
    let second = on_others(key).into_iter();
    let third = on_others(key).into_iter().flat_map(|key| on_others(&key));
    let mut found = None;
    for key in std::iter::once(key.to_owned()).chain(second).chain(third) {
        let message = outbound.store.find_message_by_key(agent, &key).await?;
        let Some(message) = message else { continue };
        if message.status != Status::Failed {
            return Ok(Some(message));
        }
        found = Some(message);
    }
    Ok(found)
}

/// Derives the key on the next channel. It is a valid key too, so a long one is shortened to its hash.
pub(super) fn key_on(key: &str, channel: Channel) -> String {
    let derived = format!("{key}:{channel}");
    if derived.len() <= MAX_KEY {
        return derived;
    }
    format!("fallback-{}:{channel}", digest(&[key]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_keys_are_valid_and_differ() {
        assert_eq!(key_on("order-7", Channel::Sms), "order-7:sms");
        let keys = ["ä".repeat(127), "a".repeat(255), "b".repeat(255)];
        let derived: std::collections::HashSet<_> = keys
            .iter()
            .flat_map(|key| {
                [
                    key_on(key, Channel::Sms),
                    key_on(&key_on(key, Channel::Sms), Channel::Email),
                ]
            })
            .collect();
        assert_eq!(derived.len(), 6);
        assert!(derived.iter().all(|key| key.len() <= MAX_KEY));
    }
}
