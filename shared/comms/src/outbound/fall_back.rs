//! Another channel, when the first one can't reach the person. Never around a person's own wish, a limit or a rule.

use butt_dial_domain::{Address, Channel, Code};

use super::SendRequest;

/// Whether another channel may do better.
pub fn may_help(code: Code) -> bool {
    matches!(
        code,
        Code::InvalidRecipient
            | Code::NoChannelAssigned
            | Code::ChannelUnavailable
            | Code::WhatsappWindowClosed
            | Code::ProviderRefused
            | Code::ProviderRateLimited
            | Code::ProviderMisconfigured
            | Code::NotSupported
            | Code::ServiceUnavailable
    )
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
        sender: None,
        // What the one carrier has approved, the other does not know.
        template_id: None,
        ..request.clone()
    })
}

fn key_on(key: &str, channel: Channel) -> String {
    format!("{key}:{channel}")
}
