//! The length of a text that the carrier of a message takes.

use butt_dial_domain::{Channel, Code, Failure};
use butt_dial_store::ContactState;
use serde_json::json;

use super::{
    Outbound,
    find_carrier::find_carrier,
    validate::{MAX_TEXT, ValidMessage},
};
use crate::Carrier;

/// Refuses a text that its carrier does not take, before the rules are applied. No carrier takes less than `MAX_TEXT` characters of
/// text without files, so most messages need no look at theirs. No carrier is involved in a message to an agent of the organization.
pub(super) async fn check_early(
    outbound: &Outbound,
    message: &ValidMessage,
    contact: &ContactState,
) -> Result<(), Failure> {
    let length = message.content.body.as_ref().map_or(0, String::len);
    if length <= MAX_TEXT || matches!(message.channel, Channel::Email | Channel::Voice) {
        return Ok(());
    }
    if contact.recipient_agent.is_some() {
        return check(&outbound.internal_carrier, message);
    }
    let carrier = find_carrier(outbound, message.channel, message.sender.account.as_ref()).await?;
    check(&carrier, message)
}

/// Fails with `InvalidContent` if the carrier does not take so long a text.
pub(super) fn check(carrier: &Carrier, message: &ValidMessage) -> Result<(), Failure> {
    let (channel, content) = (message.channel, &message.content);
    if channel == Channel::Voice || content.template.is_some() {
        return Ok(());
    }
    let body = content.body.as_deref().unwrap_or_default();
    let limit = carrier.messaging.text_limit(content);
    // A text has at least as many bytes as characters.
    if body.len() <= limit.max() || limit.allows(body) {
        return Ok(());
    }
    let (length, max) = (limit.length_of(body), limit.max());
    Err(Failure::new(
        Code::InvalidContent,
        format!("body has {length} characters; this carrier takes {max}"),
    )
    .on(channel)
    .detail("maxLength", max)
    .detail("fields", json!(["body"]))
    .hint("shorten the text, or set ifTooLong to split"))
}
