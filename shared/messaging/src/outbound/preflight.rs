//! The preflight of a send: the stages up to the rules, and the price, without effect. It says whether the send would be allowed now,
//! why, and what would change it.

use butt_dial_compliance::{Ruling, Verdict};
use butt_dial_domain::{Address, Channel, Failure, MessageId, Micros, clock::Timestamp};
use serde_json::Value;

use super::{
    Outbound, SendRequest,
    authorize::{self, Authorized},
    choose_sender::{self, Binding},
    comply,
    comply::CompliantMessage,
    disclose, length, reserve, validate,
};

/// The result that a send would have.
#[derive(Clone, Debug)]
pub struct Preflight {
    pub ruling: Ruling,
    /// The finding of the content filter.
    pub content: Option<Value>,
    /// The sender that would be used.
    pub from: Address,
    pub channel: Channel,
    pub estimate: Micros,
    /// The message of the prior request with the same idempotency key: nothing would be sent.
    pub prior: Option<MessageId>,
    /// The advice about a sender that carriers may block.
    pub sender_advice: Option<&'static str>,
}

impl Preflight {
    /// Returns whether the message would be sent, now or at its allowed time.
    pub fn is_allowed(&self) -> bool {
        self.ruling.decision.verdict != Verdict::Block && self.content.is_none()
    }

    /// The time until which the message would wait.
    pub fn allowed_at(&self) -> Option<Timestamp> {
        match self.ruling.decision.verdict {
            Verdict::Defer(at) => Some(at),
            Verdict::Allow | Verdict::Advise | Verdict::Hold | Verdict::Block => None,
        }
    }
}

impl Outbound {
    /// Applies every check of a send that has no effect: authorization, fields, rules, content. Sends, reserves and stores nothing.
    /// Limits and budgets are not part of it. Fails like `send` if the request itself is refused.
    pub async fn preflight(&self, request: SendRequest) -> Result<Preflight, Failure> {
        let authorized: Authorized = authorize::authorize(self, request, Binding::Keep).await?;
        let message = validate::validate(&self.vault, self.clock.now(), authorized)?;
        length::check_early(self, &message).await?;
        let agent = &message.profile.agent;
        let channel = (&message.sender.id, message.channel);
        let key = &message.idempotency_key;
        let contact = self
            .store
            .find_contact_state(&agent.org_id, &agent.id, channel, message.to.as_str(), key)
            .await?;
        comply::check_pause(&message, &contact, self.clock.now())?;
        let ruling = comply::rule_on(self, &message, &contact).await?;
        let is_colleague = contact.recipient_agent.is_some();
        let mut compliant = CompliantMessage {
            is_colleague,
            is_internal: is_colleague && message.content.call.is_none(),
            message,
            ruling,
            approval: None,
        };
        disclose::disclose(self, &mut compliant)?;
        let estimate = reserve::estimate(self, &compliant, None);
        let message = compliant.message;
        Ok(Preflight {
            content: self.compliance.find_blocked_content(&message.content),
            sender_advice: (!is_colleague)
                .then(|| choose_sender::advise(&message.sender, &message.to))
                .flatten(),
            ruling: compliant.ruling,
            from: message.from,
            channel: message.channel,
            estimate,
            prior: contact.prior_request,
        })
    }
}
