//! The permanent data of a message event, and the effects of the message on its sender.

use butt_dial_domain::{Address, Channel, inbound::InboundMessage, parts::Part};
use butt_dial_store::ContactEffects;
use chrono::SecondsFormat;
use serde_json::{Map, Value, json};

use super::Inbound;
use crate::{mail, provenance};

/// The data of a message that is stored permanently: sender, recipient and time, without content.
pub(super) fn permanent_data(
    inbound: &Inbound,
    id: &str,
    carrier: &str,
    message: &InboundMessage,
) -> Map<String, Value> {
    let mut data = Map::new();
    let mut put = |key: &str, value: Value| {
        data.insert(key.to_owned(), value);
    };
    put("type", json!("message"));
    put("messageId", json!(id));
    put("channel", json!(message.channel));
    put("from", json!(message.from));
    put("to", json!(message.to));
    put("senderSid", json!(format!("{}:{}", message.channel, message.from)));
    put("providerMessageId", json!(message.carrier_id));
    if let Some(name) = &message.sender_name {
        put("senderName", json!(name));
    }
    if let Some(account) = &message.account {
        put("account", json!(account));
    }
    put("isGroup", json!(message.group.is_some()));
    if let Some(group) = &message.group {
        put("groupId", json!(group.id));
        if let Some(name) = &group.name {
            put("groupName", json!(name));
        }
    }
    let user_id = [&message.from].into_iter().chain(&message.aliases);
    let mut user_id = user_id.filter(|address| is_user_id(message.channel, address));
    if let Some(user_id) = user_id.next() {
        put("userId", json!(user_id));
    }
    let reply_to = reply_to(message);
    put("replyTo", json!(reply_to));
    if Address::parse_reply(message.channel, reply_to).is_err() {
        put("canReply", json!(false));
    }
    for part in &message.parts {
        match part {
            Part::Edit { edits } => put("edits", json!(edits)),
            Part::Deletion { message_id } => put("deletes", json!(message_id)),
            Part::Reaction { .. } => put("isReaction", json!(true)),
            _ => {}
        }
    }
    if message.channel != Channel::Email
        && let Some(replied) = &message.in_reply_to
    {
        put("inReplyTo", json!(replied));
    }
    mail::add_facts(&mut data, message);
    let mut put = |key: &str, value: Value| {
        data.insert(key.to_owned(), value);
    };
    let at = message.sent_at.unwrap_or_else(|| inbound.clock.now());
    put("timestamp", json!(at.to_rfc3339_opts(SecondsFormat::Millis, true)));
    put("provider", json!(carrier));
    put("provenance", provenance::of(carrier, message));
    data
}

fn is_user_id(channel: Channel, address: &str) -> bool {
    matches!(Address::known(channel, address), Address::WhatsappUser(_))
}

/// Returns the address for an answer: the group, the person's new address, or the sender.
fn reply_to(message: &InboundMessage) -> &str {
    let group = message.group.as_ref().map(|group| &group.id);
    let has_moved = message.former_addresses.contains(&message.from);
    let new = message.aliases.first().filter(|_| has_moved);
    group.or(new).unwrap_or(&message.from)
}

/// Returns the effects of a message on its sender, besides consent.
pub(super) fn contact_effects(message: &InboundMessage) -> ContactEffects {
    let is_notice = |part: &Part| matches!(part, Part::System { .. });
    ContactEffects {
        wrote_at: message.sent_at,
        opens_no_window: message.marketing.is_some() || message.parts.iter().any(is_notice),
        group: message.group.as_ref().map(|group| group.id.clone()),
        aliases: message.aliases.clone(),
        former_addresses: message.former_addresses.clone(),
        marketing: message.marketing,
    }
}
