//! Preferences of an agent: its subscription, its inbound filters, and blocked channels.

use butt_dial_domain::{Address, AgentId, Channel, Code, Failure, Scope, ids, ports::bus::Headers, subjects};
use butt_dial_identity::{Caller, find_visible_agent};
use butt_dial_store::AuditEntry;
pub use butt_dial_store::{InboundFilter, Subscription};
use serde_json::json;

use super::{
    Delivery,
    filters::{Action, Kind},
};

/// Channels or contacts of a subscription, and filters. Every message is matched against all of them.
const MAX_ENTRIES: usize = butt_dial_domain::bounds::SUBSCRIPTIONS;
/// Characters.
const MAX_PATTERN_LENGTH: usize = butt_dial_domain::bounds::PATTERN;

/// A filter as its agent submits it.
pub struct NewFilter {
    /// `sender`, `keyword` or `channel`.
    pub kind: String,
    pub pattern: String,
    /// `drop`, `tag` or `mute`.
    pub action: String,
    pub tag: Option<String>,
}

/// A request to block or unblock a channel. `None` leaves a direction unchanged.
pub struct BlockChannel {
    pub channel: Channel,
    pub inbound: Option<bool>,
    pub outbound: Option<bool>,
}

impl Delivery {
    pub async fn find_subscription(&self, agent: &AgentId) -> Result<Option<Subscription>, Failure> {
        let recipient = self.store.find_recipient(agent).await?;
        Ok(recipient.and_then(|recipient| recipient.subscription()))
    }

    /// Replaces the agent's subscription. An empty list means everything.
    pub async fn subscribe_inbound(
        &self,
        agent: &AgentId,
        channels: &[String],
        contacts: &[String],
    ) -> Result<Subscription, Failure> {
        if channels.len() > MAX_ENTRIES || contacts.len() > MAX_ENTRIES {
            return Err(invalid(format!(
                "at most {MAX_ENTRIES} channels and {MAX_ENTRIES} contacts"
            )));
        }
        let channels = channels
            .iter()
            .map(|text| channel(text).map(|channel| channel.as_str().to_owned()));
        let subscription = Subscription {
            channels: channels.collect::<Result<_, _>>()?,
            contacts: contacts.iter().map(|text| contact(text)).collect::<Result<_, _>>()?,
        };
        self.store
            .set_subscription(agent, &subscription, self.clock.now())
            .await?;
        Ok(subscription)
    }

    pub async fn unsubscribe_inbound(&self, agent: &AgentId) -> Result<(), Failure> {
        Ok(self.store.delete_subscription(agent).await?)
    }

    /// Adds an inbound filter. Fails with `InvalidArgument` for an unknown kind or action, or beyond the maximum number.
    pub async fn add_filter(&self, agent: &AgentId, filter: NewFilter) -> Result<InboundFilter, Failure> {
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
        if self.list_filters(agent).await?.len() >= MAX_ENTRIES {
            return Err(invalid(format!("you have {MAX_ENTRIES} filters, the maximum")));
        }
        let filter = InboundFilter {
            id: format!("flt_{}", ids::unique()),
            kind: filter.kind,
            pattern,
            action: filter.action,
            tag: tag.filter(|_| action == Action::Tag),
            created_at: self.clock.now(),
        };
        self.store.add_filter(agent, &filter).await?;
        Ok(filter)
    }

    /// Lists the agent's filters, oldest first.
    pub async fn list_filters(&self, agent: &AgentId) -> Result<Vec<InboundFilter>, Failure> {
        Ok(self.store.list_filters(agent).await?)
    }

    pub async fn delete_filter(&self, agent: &AgentId, id: &str) -> Result<(), Failure> {
        let is_deleted = !id.chars().any(char::is_control) && self.store.delete_filter(agent, id).await?;
        if is_deleted {
            return Ok(());
        }
        Err(Failure::new(Code::NotFound, "you have no filter with this filterId").hint("the operation list shows them"))
    }

    /// Blocks or unblocks a channel. An agent does it for itself, an administrator for any agent of the organization. Returns
    /// the agent.
    pub async fn block_channel(
        &self,
        caller: &Caller,
        agent: Option<&str>,
        request: &BlockChannel,
    ) -> Result<AgentId, Failure> {
        let own = caller.principal.agent.as_ref().map(AgentId::host_id);
        let Some(agent) = agent.or(own) else {
            return Err(invalid("agentId is required: this token is not an agent's"));
        };
        if own != Some(agent) {
            caller.require(Scope::OrgAdmin)?;
        }
        let &BlockChannel {
            channel,
            inbound,
            outbound,
        } = request;
        let profile = find_visible_agent(&self.store, caller, agent).await?;
        let agent = &profile.agent.id;
        let sender = profile.channel(channel).ok_or_else(|| {
            Failure::new(Code::NoChannelAssigned, format!("the agent has no sender on {channel}")).on(channel)
        })?;
        let (org, actor) = (&profile.agent.org_id, caller.principal.token.as_str());
        let entry = AuditEntry::new(Some(org), actor, "channel.block", agent.as_str(), self.clock.now());
        let detail = json!({ "channel": channel, "inbound": inbound, "outbound": outbound });
        let change = self.store.change(entry.with_detail(detail));
        change.set_channel_block(agent, channel, inbound, outbound).await?;
        let payload = format!("{channel} {}", sender.address).into();
        let published = self.bus.publish(subjects::ROUTE_CHANGED, Headers::new(), payload);
        if let Err(error) = published.await {
            tracing::warn!(%error, "route change not published; it takes effect with the next refresh");
        }
        Ok(agent.clone())
    }
}

fn channel(text: &str) -> Result<Channel, Failure> {
    let names = || Channel::MESSAGES.map(Channel::as_str).join(", ");
    Channel::parse(text.trim()).ok_or_else(|| invalid(format!("channel is one of {}", names())))
}

/// Normalizes an address. Other text is kept: it may be a carrier's id of a group.
fn contact(text: &str) -> Result<String, Failure> {
    let text = line("contact", text)?;
    let address = Channel::MESSAGES
        .into_iter()
        .find_map(|channel| Address::parse(channel, &text).ok());
    Ok(address.map_or(text, |address| address.as_str().to_owned()))
}

/// Checks that the text is one line, and trims it.
fn line(what: &str, text: &str) -> Result<String, Failure> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > MAX_PATTERN_LENGTH || text.chars().any(char::is_control) {
        return Err(invalid(format!(
            "{what} is one line of 1 to {MAX_PATTERN_LENGTH} characters"
        )));
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
    fn normalizes_contacts_that_are_addresses() {
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
