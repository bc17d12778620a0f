//! A request to send, as the caller made it.

use std::{collections::BTreeMap, sync::Arc};

use butt_dial_domain::{
    Channel, MessageId, SendPurpose, TokenId, call::CallOptions, clock::Timestamp, message::ThreadRef, rich::Rich,
};
use butt_dial_identity::Caller;

use super::mail_options::MailRequest;

/// Bytes of an idempotency key. The limit of Stripe, Knock and Resend, within a byte.
pub(super) const MAX_KEY: usize = butt_dial_domain::bounds::IDEMPOTENCY_KEY;

/// A request to send a message or to place a call. Only `caller` is trusted.
#[derive(Clone)]
pub struct SendRequest {
    pub caller: Arc<Caller>,
    /// The agent to send as, for administrators. An agent may name itself only.
    pub agent: Option<String>,
    pub channel: Channel,
    /// An address on the channel, or the id of an agent of the same organization.
    pub to: String,
    /// The id of the agent behind the address, if the caller has named the agent.
    pub colleague: Option<String>,
    pub body: Option<String>,
    /// E-mail only.
    pub subject: Option<String>,
    /// E-mail only.
    pub html: Option<String>,
    /// E-mail only.
    pub mail: MailRequest,
    /// URLs of attachments.
    pub media: Vec<String>,
    pub template_id: Option<String>,
    pub template_variables: BTreeMap<String, String>,
    pub sender_name: Option<String>,
    /// The address to send from. It must belong to the agent.
    pub sender: Option<String>,
    pub thread: ThreadRef,
    /// Why the message is sent. `None`: it is inferred.
    pub purpose: Option<SendPurpose>,
    /// The author of a message that was scheduled. `None`: the caller.
    pub author: Option<TokenId>,
    /// A person has approved the message.
    pub is_approved: bool,
    /// Requests with the same key are one request: a repeat returns the result of the first.
    pub idempotency_key: Option<String>,
    /// The message's id, if it has been assigned already, as for a scheduled send.
    pub id: Option<MessageId>,
    /// The time to send at. `None`: now.
    pub scheduled_at: Option<Timestamp>,
    /// Retries later if the failure is retryable, instead of returning it to the caller.
    pub retry_later: bool,
    /// A text that is too long for one message is sent as several, instead of refused.
    pub splits: bool,
    /// Channels to try, in order, if the one before cannot reach the recipient.
    pub fallbacks: Vec<Channel>,
    /// A failure keeps the idempotency key, because the request continues on another channel.
    pub keeps_key: bool,
    /// Which limits the send takes from.
    pub allowance: Allowance,
    /// WhatsApp only, and only what its carrier supports: buttons, a place or a contact card.
    pub rich: Option<Rich>,
    /// Calls only.
    pub call: Option<CallOptions>,
}

/// The limits that a send takes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Allowance {
    /// Those of the agent and its organization.
    #[default]
    Agent,
    /// None: the action was taken when the message was scheduled.
    Taken,
    /// A separate limit, and no budget: an automatic reply, which the agent has not asked for.
    Automatic,
}

impl SendRequest {
    /// A request without content.
    pub fn new(caller: Arc<Caller>, channel: Channel, to: &str) -> Self {
        Self {
            caller,
            agent: None,
            channel,
            to: to.to_owned(),
            colleague: None,
            body: None,
            subject: None,
            html: None,
            mail: MailRequest::default(),
            media: Vec::new(),
            template_id: None,
            template_variables: BTreeMap::new(),
            sender_name: None,
            sender: None,
            thread: ThreadRef::default(),
            purpose: None,
            author: None,
            is_approved: false,
            idempotency_key: None,
            id: None,
            scheduled_at: None,
            retry_later: false,
            splits: false,
            fallbacks: Vec::new(),
            keeps_key: false,
            allowance: Allowance::Agent,
            rich: None,
            call: None,
        }
    }
}
