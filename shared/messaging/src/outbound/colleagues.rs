//! Messages between agents of one organization that share no channel. They pass the limits and the content filter, and become
//! the same event as other messages; a repeated idempotency key gives the same event, which exists once.

use butt_dial_domain::{
    Address, Channel, ChannelId, Code, Failure, MessageId, call::VoiceSettings, ids, inbound::InboundMessage,
    ports::bus::Headers,
};
use butt_dial_identity::Caller;
use butt_dial_store::{AgentStatus, InboundRoute, Profile};

use super::{
    Outbound,
    fields::{text, token},
    internal_carrier,
    request::MAX_KEY,
};
use crate::inbound::envelope::{Envelope, SealedEvent, digest};

/// Characters of a text. The limit of a message on SMS.
const MAX_TEXT: usize = butt_dial_domain::bounds::INTERNAL_TEXT;
/// The channel of the event: hosts know no other for a text.
const CHANNEL: Channel = Channel::Sms;

impl Outbound {
    /// Writes to a colleague without a channel. Returns the id of the message.
    pub async fn write_to_colleague(
        &self,
        caller: &Caller,
        colleague: &Profile,
        body: &str,
        idempotency_key: Option<&str>,
    ) -> Result<MessageId, Failure> {
        let own = caller.agent()?;
        let agent = &own.agent;
        if agent.status != AgentStatus::Active {
            return Err(
                Failure::new(Code::AuthForbidden, format!("this agent is {}", agent.status.as_str()))
                    .hint("an administrator has to set it active"),
            );
        }
        caller.require_channel(CHANNEL)?;
        caller.require_colleague(colleague.agent.id.host_id())?;
        let body = text("body", body, MAX_TEXT)?;
        if body.trim().is_empty() {
            return Err(Failure::new(Code::MissingFields, "body is required"));
        }
        let key = idempotency_key
            .map(|key| token("idempotencyKey", key, MAX_KEY))
            .transpose()?;
        let key = key.unwrap_or_else(ids::unique);
        self.compliance.check_text(&agent.id, CHANNEL, &body)?;
        let limits = self.billing.limits_of(own);
        let taken = self.billing.take_actions(own, &limits).await?;
        let id = digest(&["colleague", agent.id.as_str(), colleague.agent.id.as_str(), &key]);
        let id = MessageId::from(format!("{}{id}", MessageId::PREFIX));
        let message = InboundMessage {
            body: Some(body),
            sender_name: Some(agent.display_name.clone()),
            ..InboundMessage::new(
                id.as_str(),
                CHANNEL,
                &Address::known(CHANNEL, agent.id.host_id()),
                &Address::known(CHANNEL, colleague.agent.id.host_id()),
            )
        };
        let route = InboundRoute {
            channel: CHANNEL,
            address: colleague.agent.id.host_id().to_owned(),
            channel_id: ChannelId::from(""),
            agent: colleague.agent.id.clone(),
            org: colleague.agent.org_id.clone(),
            account: None,
            agent_name: colleague.agent.display_name.clone(),
            blocked: false,
            has_bridges: false,
            voice: VoiceSettings::default(),
        };
        let mut envelope = Envelope::message(&self.vault, internal_carrier::ID, &route, message);
        if let SealedEvent::Message { channel_id, .. } = &mut envelope.event {
            *channel_id = None;
        }
        let subject = self.partitions.subject_of(envelope.partition_key());
        let appended = self
            .bus
            .append(&subject, &envelope.id, Headers::new(), envelope.payload().into())
            .await;
        if let Err(error) = appended {
            tracing::warn!(%error, "message to a colleague not appended");
            self.billing.give_back(&taken).await;
            return Err(Failure::unavailable("the message can't be delivered right now")
                .hint("try again with the same idempotencyKey"));
        }
        Ok(id)
    }
}
