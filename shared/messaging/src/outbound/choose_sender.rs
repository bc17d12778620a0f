//! The choice of the sender of a message, from the agent's own senders and from the pool of its organization. The pool costs a
//! query, so it is read only where the agent's mode, or the sender that the request names, needs it.

use butt_dial_domain::{
    Address, Channel, Code, Failure,
    senders::{Candidate, IdentityMode, NoSender, US, country_of, select_sender},
};
use butt_dial_store::{AccountRef, OwnedChannel, Profile};

use super::{Outbound, SendRequest};

/// The effect of the choice of a sender of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binding {
    /// The sender is bound to the contact, so that replies reach the agent.
    Bind,
    /// No change.
    Keep,
}

/// Chooses the sender. Fails with
/// `NoChannelAssigned`, `ChannelUnavailable` or `PoolExhaustedForContact`, and lists the channels that can be used.
pub(super) async fn choose(
    outbound: &Outbound,
    profile: &Profile,
    request: &SendRequest,
    binding: Binding,
) -> Result<OwnedChannel, Failure> {
    let (channel, named) = (request.channel, request.sender.as_deref());
    let mode = profile.identity.unwrap_or(outbound.settings.identity);
    // The numbering plans are asked only where they can make a difference.
    let has_choice = mode != IdentityMode::Dedicated || profile.senders(channel).nth(1).is_some();
    let own: Vec<Candidate> = profile
        .senders(channel)
        .map(|owned| candidate(owned, has_choice))
        .collect();
    let country = has_choice.then(|| country_of_contact(channel, &request.to)).flatten();
    let is_own = named.is_none_or(|named| own.iter().any(|candidate| candidate.address == named));
    let is_usable = |candidate: &Candidate| !candidate.is_paused && candidate.may_send_to(country.as_deref());
    let has_usable = own.iter().any(is_usable);
    let needs_pool = match mode {
        IdentityMode::Dedicated => !is_own,
        IdentityMode::Hybrid => !is_own || !has_usable,
        IdentityMode::Shared => true,
    };
    let contact = Address::parse(channel, &request.to).map(|address| address.contact_key());
    let (true, Ok(contact)) = (needs_pool, contact) else {
        // The recipient is checked later.
        let chosen = select_sender(&profile.agent.id, mode, &own, country.as_deref(), named);
        let (chosen, _) = chosen.map_err(|reason| refuse(profile, channel, reason))?;
        return find_own(profile, channel, chosen);
    };
    let now = outbound.clock.now();
    let expired = now - outbound.settings.pool_binding;
    let agent = &profile.agent;
    let pool = outbound
        .store
        .list_pool(&agent.org_id, channel, &contact, expired)
        .await?;
    let mut candidates = own;
    candidates.extend(pool);
    loop {
        let chosen = select_sender(&agent.id, mode, &candidates, country.as_deref(), named);
        let (chosen, reason) = chosen.map_err(|reason| refuse(profile, channel, reason))?;
        if !chosen.is_pooled {
            return find_own(profile, channel, chosen);
        }
        let owner = (&agent.org_id, &agent.id);
        if binding == Binding::Keep
            || outbound
                .store
                .bind_sender(&chosen.id, &contact, owner, now, expired)
                .await?
        {
            tracing::debug!(sender = %chosen.id, reason = <&str>::from(reason), "sender of the pool chosen");
            return Ok(pooled(channel, chosen));
        }
        // Another agent was faster: the next sender of the pool is tried.
        let taken = chosen.id.clone();
        candidates.retain(|candidate| candidate.id != taken);
    }
}

/// Returns the advice for a text from a number that carriers in the recipient's country block.
pub(super) fn advise(sender: &OwnedChannel, to: &Address) -> Option<&'static str> {
    let is_blocked = sender.channel == Channel::Sms && !sender.is_registered && is_in_us(to);
    is_blocked.then_some(
        "the sender is not registered for texts in the US, so carriers may block this message; an administrator registers it with \
         comms_register_number",
    )
}

fn is_in_us(to: &Address) -> bool {
    country_of(to.as_str()).as_deref() == Some(US)
}

/// Returns the agent's own sender on a channel, the one with the address `named` if given. Fails with `NoChannelAssigned` or
/// `ChannelUnavailable`.
pub fn find_own_sender(profile: &Profile, channel: Channel, named: Option<&str>) -> Result<OwnedChannel, Failure> {
    let own: Vec<Candidate> = profile.senders(channel).map(|owned| candidate(owned, false)).collect();
    let chosen = select_sender(&profile.agent.id, IdentityMode::Dedicated, &own, None, named);
    let (chosen, _) = chosen.map_err(|reason| refuse(profile, channel, reason))?;
    find_own(profile, channel, chosen)
}

fn candidate(owned: &OwnedChannel, with_country: bool) -> Candidate {
    Candidate {
        id: owned.id.clone(),
        address: owned.address.clone(),
        country: match (&owned.country, with_country) {
            (Some(country), _) => Some(country.clone()),
            (None, true) => country_of_contact(owned.channel, &owned.address),
            (None, false) => None,
        },
        account: owned
            .account
            .as_ref()
            .map(|account| (account.id.clone(), account.version)),
        is_pooled: false,
        is_primary: owned.is_primary,
        is_paused: owned.paused,
        is_registered: owned.is_registered,
        bound_to: None,
    }
}

fn find_own(profile: &Profile, channel: Channel, chosen: &Candidate) -> Result<OwnedChannel, Failure> {
    let mut own = profile.senders(channel);
    own.find(|owned| owned.id == chosen.id)
        .cloned()
        .ok_or_else(Failure::internal)
}

fn pooled(channel: Channel, chosen: &Candidate) -> OwnedChannel {
    OwnedChannel {
        id: chosen.id.clone(),
        channel,
        address: chosen.address.clone(),
        account: chosen.account.clone().map(|(id, version)| AccountRef { id, version }),
        is_primary: false,
        country: chosen.country.clone(),
        is_registered: chosen.is_registered,
        paused: false,
        blocks_inbound: false,
        blocks_outbound: false,
    }
}

fn country_of_contact(channel: Channel, address: &str) -> Option<String> {
    match channel {
        Channel::Sms | Channel::Whatsapp | Channel::Voice => country_of(address),
        Channel::Email | Channel::Line => None,
    }
}

fn refuse(profile: &Profile, channel: Channel, reason: NoSender) -> Failure {
    let mut available: Vec<&str> = profile
        .channels
        .iter()
        // A phone line is no alternative for a message.
        .filter(|owned| !owned.paused && (channel == Channel::Voice || owned.channel != Channel::Voice))
        .map(|owned| owned.channel.as_str())
        .collect();
    available.dedup();
    match reason {
        NoSender::NotUsable => {
            let own = profile.channel(channel);
            let hint = match own {
                Some(own) => format!("leave senderSid out: messages go out from {}", own.address),
                None => "leave senderSid out".to_owned(),
            };
            Failure::new(
                Code::ChannelUnavailable,
                "senderSid is not one of your addresses on this channel",
            )
            .on(channel)
            .hint(hint)
        }
        NoSender::Paused => Failure::new(
            Code::ChannelUnavailable,
            format!("{channel} is paused or blocked for this agent"),
        )
        .on(channel)
        .hint("use another channel, or have an administrator resume this one")
        .detail("availableChannels", available),
        NoSender::PoolExhausted => Failure::new(
            Code::PoolExhaustedForContact,
            format!("every shared {channel} sender serves another agent for this contact"),
        )
        .on(channel)
        .hint("have an administrator add a sender to the pool, or give this agent its own"),
        NoSender::Missing => Failure::new(
            Code::NoChannelAssigned,
            format!("not provisioned: this agent has no {channel} sender"),
        )
        .on(channel)
        .hint("use one of availableChannels, or have an administrator assign a sender")
        .detail("availableChannels", available),
    }
}
