//! Actions in a chat of WhatsApp that are no messages: typing, read marks, reactions. They apply to messages of the agent only,
//! take from its rate limits, and show nothing to a person that has opted out.

use std::sync::Arc;

use butt_dial_compliance::ConsentStatus;
use butt_dial_domain::{
    Address, AgentId, Channel, Code, Failure,
    ports::carrier::{LookupError, Outcome},
    rich::{ChatAction, ChatRequest, GroupMember},
};
use butt_dial_identity::Caller;
use butt_dial_store::{AgentStatus, Profile};
use serde_json::Value;

use super::{
    Outbound,
    choose_sender::find_own_sender,
    fields::parse_recipient,
    find_carrier::find_carrier,
    refusals::{error_code, explain},
};
use crate::{Carrier, takeovers};

const CHANNEL: Channel = Channel::Whatsapp;

/// The message that an action is about.
pub enum ChatTarget {
    /// A message of the agent: an event's `messageId`, or the id of a sent message.
    Message(String),
    /// The last message of a contact.
    Contact(String),
}

/// An action in a chat.
pub struct ChatCommand {
    /// The name of the action in the API.
    pub name: &'static str,
    pub action: ChatAction,
    pub target: ChatTarget,
    /// One of the agent's addresses.
    pub sender: Option<String>,
}

/// An action that the carrier has performed.
#[derive(Debug)]
pub struct PerformedAction {
    pub provider: &'static str,
    /// The carrier's id of the reaction.
    pub provider_message_id: Option<String>,
    pub contact: String,
}

/// A message in a chat.
struct FoundMessage {
    to: Address,
    carrier_id: String,
    is_received: bool,
}

impl Outbound {
    /// Returns the carrier of the agent's WhatsApp sender if it has the action. Fails with `ProviderUnsupported`, which names
    /// both. An agent without its own sender uses the installation's carrier.
    pub async fn require_action(
        &self,
        profile: &Profile,
        sender: Option<&str>,
        action: &str,
    ) -> Result<Carrier, Failure> {
        let own = find_own_sender(profile, CHANNEL, sender).ok();
        let carrier = find_carrier(self, CHANNEL, own.and_then(|own| own.account).as_ref()).await?;
        if carrier.messaging.supports(action) {
            return Ok(carrier);
        }
        Err(Failure::new(
            Code::ProviderUnsupported,
            format!("{} does not have {action} on WhatsApp", carrier.id),
        )
        .on(CHANNEL)
        .hint("send a message instead")
        .detail("provider", carrier.id)
        .detail("action", action))
    }

    /// Performs an action in a chat, once.
    pub async fn act(self: &Arc<Self>, caller: &Caller, command: ChatCommand) -> Result<PerformedAction, Failure> {
        let profile = caller.agent()?;
        let agent = &profile.agent;
        if agent.status != AgentStatus::Active {
            return Err(
                Failure::new(Code::AuthForbidden, format!("this agent is {}", agent.status.as_str()))
                    .hint("an administrator has to set it active"),
            );
        }
        let sender = find_own_sender(profile, CHANNEL, command.sender.as_deref())?;
        let found = self.find_chat_message(&agent.id, &command.target).await?;
        caller.require_recipient(CHANNEL, &found.to, None)?;
        let carrier = self
            .require_action(profile, command.sender.as_deref(), command.name)
            .await?;
        if !found.is_received && !matches!(command.action, ChatAction::React { .. }) {
            return Err(Failure::new(
                Code::InvalidArgument,
                "this is a message that you have sent; the action is for messages that you have received",
            ));
        }
        // A read mark shows the person nothing new.
        if command.action != ChatAction::MarkRead {
            let consent = self
                .store
                .find_consent(&agent.org_id, CHANNEL, found.to.as_str())
                .await?;
            if consent.is_some_and(|consent| consent.status == ConsentStatus::Revoked) {
                return Err(self.compliance.refuse_opted_out(&agent.id, CHANNEL));
            }
            let (key, now) = (found.to.contact_key(), self.clock.now());
            if let Some(takeover) = self.store.find_takeover_of(&agent.id, &key, now).await?
                && takeover.taken_by != caller.principal.token.as_str()
            {
                return Err(takeovers::refusal(&takeover, now).on(CHANNEL));
            }
        }
        let limits = self.billing.limits_of(profile);
        let taken = self.billing.take_actions(profile, &limits).await?;
        let request = ChatRequest {
            channel: CHANNEL,
            from: Address::known(CHANNEL, &sender.address),
            to: found.to,
            message: found.carrier_id,
            action: command.action,
        };
        let outcome = carrier.messaging.act(&request).await;
        tracing::info!(agent = %agent.id, carrier = carrier.id, action = command.name, "chat action requested");
        match outcome {
            Outcome::Accepted(done) => Ok(PerformedAction {
                provider: carrier.id,
                provider_message_id: Some(done.carrier_id).filter(|id| !id.is_empty()),
                contact: request.to.as_str().to_owned(),
            }),
            Outcome::Refused(refusal) => {
                self.billing.give_back(&taken).await;
                let failure = explain(error_code(refusal.class)).on(CHANNEL);
                Err(match refusal.retry_after_seconds {
                    Some(seconds) => failure.retry_after(seconds),
                    None => failure,
                })
            }
            Outcome::Unknown(_) => Err(Failure::unavailable(
                "the carrier did not confirm the action; it may have been performed",
            )
            .on(CHANNEL)),
        }
    }

    /// Lists the members of a group that has written to the agent. Other groups are unknown.
    pub async fn list_group_members(
        &self,
        caller: &Caller,
        group: &str,
    ) -> Result<(&'static str, Vec<GroupMember>), Failure> {
        let unknown = || Failure::new(Code::NotFound, "there is no such group").on(CHANNEL);
        let profile = caller.agent()?;
        let carrier = self.require_action(profile, None, "group_members").await?;
        let address = Address::parse(CHANNEL, group).map_err(|_| unknown())?;
        if !matches!(address, Address::WhatsappGroup(_)) {
            return Err(unknown());
        }
        let agent = &profile.agent;
        let facts = self
            .store
            .find_contact_facts(&agent.org_id, &agent.id, address.as_str())
            .await?;
        if facts.last_inbound.is_empty() {
            return Err(unknown());
        }
        match carrier.messaging.group_members(&address).await {
            Ok(members) => Ok((carrier.id, members)),
            Err(LookupError::NotFound) => Err(unknown()),
            Err(LookupError::NoResponse) => {
                Err(Failure::unavailable("the carrier does not answer right now").on(CHANNEL))
            }
        }
    }

    async fn find_chat_message(&self, agent: &AgentId, target: &ChatTarget) -> Result<FoundMessage, Failure> {
        let event = match target {
            ChatTarget::Message(id) => {
                if let Some(sent) = self.find_message(agent, id).await? {
                    let carrier_id = sent.carrier_id.filter(|_| sent.channel == CHANNEL);
                    return Ok(FoundMessage {
                        to: Address::known(CHANNEL, &sent.recipient),
                        carrier_id: carrier_id.ok_or_else(no_message)?,
                        is_received: false,
                    });
                }
                match id.chars().any(char::is_control) {
                    true => None,
                    false => self.store.find_event(agent, id).await?,
                }
            }
            ChatTarget::Contact(contact) => {
                let address = parse_recipient(CHANNEL, contact)?;
                self.store
                    .find_last_message_event(agent, CHANNEL, address.as_str())
                    .await?
            }
        };
        let event = event.filter(|event| event.channel.as_deref() == Some(CHANNEL.as_str()));
        let event = event.ok_or_else(no_message)?;
        let text = |key: &str| event.data.get(key).and_then(Value::as_str);
        let (Some(to), Some(carrier_id)) = (text("groupId").or_else(|| text("from")), text("providerMessageId")) else {
            return Err(no_message());
        };
        Ok(FoundMessage {
            to: Address::known(CHANNEL, to),
            carrier_id: carrier_id.to_owned(),
            is_received: true,
        })
    }
}

fn no_message() -> Failure {
    Failure::new(
        Code::MessageNotFound,
        "you have no WhatsApp message with this id, or of this contact",
    )
    .on(CHANNEL)
    .hint("give the messageId of an event, or of a message that you have sent")
}
