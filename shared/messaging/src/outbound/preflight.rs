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
    disclose, length, mail_headers, parts, reserve, validate,
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
    /// How many messages the text would be.
    pub messages: usize,
    /// The rules demand a wait, and the message can't wait: it is a call, or the organization refuses what would wait.
    pub cannot_wait: bool,
}

impl Preflight {
    /// Returns whether the message would be sent, now or at its allowed time.
    pub fn is_allowed(&self) -> bool {
        self.ruling.decision.verdict != Verdict::Block && self.content.is_none() && !self.cannot_wait
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
    /// Applies every check of a send that has no effect: authorization, fields, lengths, rules, content. A text that would be sent in
    /// parts is checked part by part. Sends, reserves and stores nothing. Limits, budgets and fallback channels are not part of it.
    /// Fails like `send` if the request itself is refused.
    pub async fn preflight(&self, request: SendRequest) -> Result<Preflight, Failure> {
        let parts = match request.splits {
            true => parts::requests(self, &request).await?,
            false => Vec::new(),
        };
        let Some((first, others)) = parts.split_first() else {
            return Ok(self.check_one(request, None).await?.0);
        };
        let (mut whole, is_sent_now) = self.check_one(first.clone(), None).await?;
        whole.messages = parts.len();
        for (index, part) in others.iter().enumerate() {
            // Parts that wait are not counted before they leave.
            let earlier = if is_sent_now { index + 1 } else { 0 };
            let (part, _) = self.check_one(part.clone(), Some(earlier)).await?;
            whole.estimate = Micros(whole.estimate.0.saturating_add(part.estimate.0));
            if whole.is_allowed() && !part.is_allowed() {
                whole = Preflight {
                    messages: whole.messages,
                    estimate: whole.estimate,
                    ..part
                };
            }
        }
        Ok(whole)
    }

    /// Checks one message; a further part with the number of those before it. Returns also whether it would leave at once.
    async fn check_one(&self, request: SendRequest, earlier: Option<usize>) -> Result<(Preflight, bool), Failure> {
        let authorized: Authorized = authorize::authorize(self, request, Binding::Keep).await?;
        let message = validate::validate(&self.vault, self.clock.now(), authorized)?;
        let agent = &message.profile.agent;
        let channel = (&message.sender.id, message.channel);
        let key = &message.idempotency_key;
        let contact = self
            .store
            .find_contact_state(&agent.org_id, &agent.id, channel, message.to.as_str(), key)
            .await?;
        // The send returns the result of the earlier request.
        let is_repeated = contact.prior_request.is_some();
        let mut is_answer = false;
        if !is_repeated {
            length::check_early(self, &message, &contact).await?;
            is_answer = comply::check_pause(self, &message, &contact).await?;
        }
        let sent = u32::try_from(earlier.unwrap_or_default()).unwrap_or(u32::MAX);
        let ruling = comply::rule_on(self, &message, &contact, sent).await?;
        let is_colleague = contact.recipient_agent.is_some();
        let verdict = ruling.decision.verdict;
        let waits = matches!(verdict, Verdict::Defer(_) | Verdict::Hold);
        let is_sent_now = !waits && verdict != Verdict::Block && message.scheduled_at.is_none() && !is_repeated;
        let cannot_wait = waits && !comply::can_wait(&message, &ruling);
        let mut compliant = CompliantMessage {
            is_colleague,
            is_internal: is_colleague && message.content.call.is_none(),
            message,
            ruling,
            approval: None,
            is_answer,
        };
        // A message that waits is checked again when it is due.
        if is_sent_now {
            if earlier.is_none() {
                disclose::disclose(self, &mut compliant)?;
            }
            mail_headers::add_headers(self, &mut compliant).await?;
            let carrier = reserve::carrier_of(self, &compliant).await?;
            length::check(&carrier, &compliant.message)?;
        }
        let estimate = reserve::estimate(self, &compliant, None);
        let message = compliant.message;
        let preflight = Preflight {
            content: self.compliance.find_blocked_content(&message.content),
            sender_advice: (!is_colleague)
                .then(|| choose_sender::advise(&message.sender, &message.to))
                .flatten(),
            ruling: compliant.ruling,
            from: message.from,
            channel: message.channel,
            estimate,
            prior: contact.prior_request,
            messages: 1,
            cannot_wait,
        };
        Ok((preflight, is_sent_now))
    }
}
