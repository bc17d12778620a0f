//! What an agent wants to have pushed, what is to be kept from it, and which of its channels are shut.

use butt_dial_domain::{Address, AgentId, Channel, Code, Failure, Scope, ids, ports::bus::Headers, subjects};
use butt_dial_store::AuditEntry;
pub use butt_dial_store::{InboundFilter, Subscription};
use serde_json::json;

use super::filters::{Action, Kind};
use crate::{Comms, identity::Caller, provisioning::agents, store_failure};

/// Of channels or contacts in a subscription, and of filters. Each message is held against all of them.
const MAX: usize = 100;
/// Characters.
const MAX_PATTERN: usize = 256;

pub async fn find_subscription(comms: &Comms, agent: &AgentId) -> Result<Option<Subscription>, Failure> {
    let recipient = comms.store.find_recipient(agent).await.map_err(store_failure)?;
    Ok(recipient.and_then(|recipient| recipient.subscription()))
}

/// In place of an earlier one. Empty lists stand for everything.
pub async fn subscribe(
    comms: &Comms,
    agent: &AgentId,
    channels: &[String],
    contacts: &[String],
) -> Result<Subscription, Failure> {
    if channels.len() > MAX || contacts.len() > MAX {
        return Err(invalid(format!("at most {MAX} channels and {MAX} contacts")));
    }
    let channels = channels
        .iter()
        .map(|text| channel(text).map(|channel| channel.as_str().to_owned()));
    let subscription = Subscription {
        channels: channels.collect::<Result<_, _>>()?,
        contacts: contacts.iter().map(|text| contact(text)).collect::<Result<_, _>>()?,
    };
    comms
        .store
        .set_subscription(agent, &subscription, comms.clock.now())
        .await
        .map_err(store_failure)?;
    Ok(subscription)
}

pub async fn unsubscribe(comms: &Comms, agent: &AgentId) -> Result<(), Failure> {
    comms.store.delete_subscription(agent).await.map_err(store_failure)
}

/// A filter as its agent writes it.
pub struct NewFilter {
    /// sender, keyword or channel.
    pub kind: String,
    pub pattern: String,
    /// drop, tag or mute.
    pub action: String,
    pub tag: Option<String>,
}

pub async fn add_filter(comms: &Comms, agent: &AgentId, filter: NewFilter) -> Result<InboundFilter, Failure> {
    let kind = Kind::parse(&filter.kind).ok_or_else(|| invalid("filterType is one of sender, keyword, channel"))?;
    let action = Action::parse(&filter.action).ok_or_else(|| invalid("action is one of drop, tag, mute"))?;
    let tag = filter.tag.map(|tag| line("tag", &tag)).transpose()?;
    if action == Action::Tag && tag.is_none() {
        return Err(invalid("tag is required for the action tag"));
    }
    let pattern = line("pattern", &filter.pattern)?;
    let pattern = match kind {
        Kind::Sender if pattern.ends_with('*') => pattern,
        Kind::Sender => contact(&pattern)?,
        Kind::Keyword => pattern,
        Kind::Channel => channel(&pattern)?.as_str().to_owned(),
    };
    if list_filters(comms, agent).await?.len() >= MAX {
        return Err(invalid(format!("you have {MAX} filters, and that is the most")));
    }
    let filter = InboundFilter {
        id: format!("flt_{}", ids::unique()),
        kind: filter.kind,
        pattern,
        action: filter.action,
        tag: tag.filter(|_| action == Action::Tag),
        created_at: comms.clock.now(),
    };
    comms.store.add_filter(agent, &filter).await.map_err(store_failure)?;
    Ok(filter)
}

/// Oldest first.
pub async fn list_filters(comms: &Comms, agent: &AgentId) -> Result<Vec<InboundFilter>, Failure> {
    comms.store.list_filters(agent).await.map_err(store_failure)
}

pub async fn delete_filter(comms: &Comms, agent: &AgentId, id: &str) -> Result<(), Failure> {
    let known =
        !id.chars().any(char::is_control) && comms.store.delete_filter(agent, id).await.map_err(store_failure)?;
    if known {
        return Ok(());
    }
    Err(Failure::new(Code::NotFound, "you have no filter with this filterId").remedy("the operation list shows them"))
}

/// Shuts or opens a channel, each direction by itself; `None` leaves one as it is. An agent does it for itself, an
/// administrator for any agent of the organization. Returns whose channel it is.
pub async fn block_channel(
    comms: &Comms,
    caller: &Caller,
    agent: Option<&AgentId>,
    channel: Channel,
    inbound: Option<bool>,
    outbound: Option<bool>,
) -> Result<AgentId, Failure> {
    let itself = caller.principal.agent.as_ref();
    let agent = match agent.or(itself) {
        Some(agent) => agent,
        None => return Err(invalid("agentId is required: this token is not an agent's")),
    };
    if itself != Some(agent) {
        caller.require(Scope::OrgAdmin)?;
    }
    let profile = agents::get(comms, caller, agent).await?;
    let owned = profile.channel(channel).ok_or_else(|| {
        Failure::new(Code::NoChannelAssigned, format!("the agent has no sender on {channel}")).on(channel)
    })?;
    comms
        .store
        .set_channel_block(agent, channel, inbound, outbound)
        .await
        .map_err(store_failure)?;
    let entry = AuditEntry {
        org_id: Some(profile.agent.org_id.to_string()),
        actor: caller.principal.token.to_string(),
        action: "channel.block".into(),
        target: agent.to_string(),
        detail: json!({ "channel": channel, "inbound": inbound, "outbound": outbound }),
        at: comms.clock.now(),
    };
    comms.store.append_audit(&entry).await.map_err(store_failure)?;
    let payload = format!("{channel} {}", owned.address).into();
    if let Err(error) = comms
        .bus
        .publish(subjects::ROUTE_CHANGED, Headers::new(), payload)
        .await
    {
        tracing::warn!(%error, "a channel's block is in force only when the routes are read again");
    }
    Ok(agent.clone())
}

fn channel(text: &str) -> Result<Channel, Failure> {
    Channel::parse(text.trim()).ok_or_else(|| invalid("channel is one of sms, whatsapp, email, line"))
}

/// Normalized where it is an address; otherwise it may be a carrier's id of a group.
fn contact(text: &str) -> Result<String, Failure> {
    let text = line("contact", text)?;
    let address = [Channel::Whatsapp, Channel::Email, Channel::Line]
        .into_iter()
        .find_map(|channel| Address::parse(channel, &text).ok());
    Ok(address.map_or(text, |address| address.as_str().to_owned()))
}

/// One line of visible text.
fn line(what: &str, text: &str) -> Result<String, Failure> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > MAX_PATTERN || text.chars().any(char::is_control) {
        return Err(invalid(format!("{what} is one line of 1 to {MAX_PATTERN} characters")));
    }
    Ok(text.to_owned())
}

fn invalid(text: impl Into<std::borrow::Cow<'static, str>>) -> Failure {
    Failure::new(Code::InvalidArgument, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contacts_are_normalized_where_they_are_addresses() {
        for (written, kept) in [
            ("+1 (415) 555-0123", "+14155550123"),
            ("whatsapp:+14155550123", "+14155550123"),
            ("Ann@Example.COM", "Ann@example.com"),
            (" group-7 ", "group-7"),
        ] {
            assert_eq!(contact(written), Ok(kept.to_owned()));
        }
        assert!(contact("a\nb").is_err() && contact("  ").is_err());
    }
}
