//! How a message leaves: auth, sanitize, compliance, rate limit, provider, usage, result. One path for every way in.
//!
//! Each stage takes what the stage before made, so none can be skipped or moved:
//! `SendRequest -> Authorized -> CleanMessage -> ClearedMessage -> AdmittedMessage -> Dispatched -> SendReceipt`.

pub(crate) mod admit;
pub mod announce;
mod authorize;
mod clean;
mod clear;
mod dispatch;
mod fall_back;
pub mod follow_up;
pub mod help;
pub mod inside;
mod receipt;
pub mod reconcile;
mod record;
pub mod schedule;

use std::{sync::Arc, time::Instant};

use butt_dial_domain::{AgentId, Channel, Failure, MessageId, call::Placing, clock::Timestamp, ids};
pub use butt_dial_store::{Message, Scheduled};
use futures::future::BoxFuture;
use tracing::Instrument;

use crate::{Comms, identity::Caller, store_failure};

pub(crate) use authorize::sender;
pub(crate) use clean::recipient;
pub use receipt::{SendReceipt, describe};
pub use record::{code, explain, remedy_afterwards};

/// What a caller asks for, as it came. Nothing in it is trusted but `caller`.
#[derive(Clone)]
pub struct SendRequest {
    pub caller: Arc<Caller>,
    /// For administrators: the agent to send as. Anybody else may only name themselves.
    pub agent: Option<String>,
    pub channel: Channel,
    pub to: String,
    pub body: Option<String>,
    pub subject: Option<String>,
    pub html: Option<String>,
    pub media: Vec<String>,
    pub template_id: Option<String>,
    pub template_variables: std::collections::BTreeMap<String, String>,
    pub sender_name: Option<String>,
    /// The address to send from, where the caller names one: it has to be the agent's own.
    pub sender: Option<String>,
    pub thread_id: Option<String>,
    pub entity_id: Option<String>,
    pub reply_msg_id: Option<String>,
    /// Two requests with the same key are one: the second gets the first one's result.
    pub idempotency_key: Option<String>,
    /// The id that the message has been given before, where it was scheduled.
    pub id: Option<MessageId>,
    /// When it is to leave, if not now.
    pub scheduled_at: Option<Timestamp>,
    /// What a carrier or a limit refuses for now is tried again later, instead of being the caller's to repeat.
    pub keeps_trying: bool,
    /// Channels to be tried, in order, when the one before can't reach the person.
    pub fallbacks: Vec<Channel>,
    /// Calls only.
    pub call: Option<Placing>,
}

impl SendRequest {
    /// With nothing in it yet.
    pub fn new(caller: Arc<Caller>, channel: Channel, to: &str) -> Self {
        Self {
            caller,
            agent: None,
            channel,
            to: to.to_owned(),
            body: None,
            subject: None,
            html: None,
            media: Vec::new(),
            template_id: None,
            template_variables: Default::default(),
            sender_name: None,
            sender: None,
            thread_id: None,
            entity_id: None,
            reply_msg_id: None,
            idempotency_key: None,
            id: None,
            scheduled_at: None,
            keeps_trying: false,
            fallbacks: Vec::new(),
            call: None,
        }
    }
}

impl Comms {
    /// Sends a message, exactly once. It ends as accepted, as refused (the error says by what), or as pending: then it is
    /// being found out, and the outcome follows as an event.
    pub async fn send(&self, request: SendRequest) -> Result<SendReceipt, Failure> {
        if request.fallbacks.is_empty() {
            return self.send_on_one_channel(request).await;
        }
        let wanted = request.channel;
        let mut request = match fall_back::find_answered(self, &request).await? {
            Some(answered) => answered,
            None => request,
        };
        loop {
            let next = fall_back::next(&request);
            let channel = request.channel;
            match (self.send_on_one_channel(request).await, next) {
                (Err(failure), Some(next)) if fall_back::may_help(&failure) => {
                    tracing::info!(%failure, instead = %next.channel, "falling back to another channel");
                    request = next;
                }
                (Ok(receipt), _) if channel != wanted => {
                    return Ok(SendReceipt {
                        instead_of: Some(wanted),
                        ..receipt
                    });
                }
                (result, _) => return result,
            }
        }
    }

    async fn send_on_one_channel(&self, mut request: SendRequest) -> Result<SendReceipt, Failure> {
        if !request.keeps_trying || request.scheduled_at.is_some() {
            return self.send_now(request).await;
        }
        // Both tries are one request.
        request
            .idempotency_key
            .get_or_insert_with(|| format!("auto-{}", ids::unique()));
        match self.send_now(request.clone()).await {
            Err(failure) if failure.code.is_retryable() => {
                tracing::info!(%failure, "a send is put off");
                request.scheduled_at = Some(schedule::next_try(self.clock.now(), &failure));
                self.send_now(request).await
            }
            result => result,
        }
    }

    async fn send_now(&self, request: SendRequest) -> Result<SendReceipt, Failure> {
        let channel = request.channel.as_str();
        let comms = self.clone();
        // From here on the caller may go away, the message may not: the work is the program's own.
        let work = self
            .tasks
            .spawn(async move { comms.run_stages(request).await }.in_current_span());
        let result = work.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a send ended without a result; the reconciler will find out");
            Err(Failure::internal())
        });
        let answer = result
            .as_ref()
            .map_or_else(|failure| failure.code.as_str(), |receipt| receipt.status.for_agent());
        self.metrics.send(channel, answer);
        result
    }

    /// One of the agent's messages, by our id or by the carrier's.
    pub async fn find_message(&self, agent: &AgentId, id: &str) -> Result<Option<Message>, Failure> {
        // No id of anybody's holds these, and Postgres refuses some of them as text.
        if id.chars().any(char::is_control) {
            return Ok(None);
        }
        if let Some(message) = self.store.find_agent_message(agent, id).await.map_err(store_failure)? {
            return Ok(Some(message));
        }
        // A scheduled message that was refused for now has left under another id.
        match self.store.find_scheduled(agent, id).await.map_err(store_failure)? {
            Some(scheduled) if scheduled.state == "sent" => {
                fall_back::find_sent(self, agent, &scheduled.idempotency_key).await
            }
            _ => Ok(None),
        }
    }

    /// One of the agent's messages that was to leave later; the message itself, once it has left, under whichever id.
    pub async fn find_scheduled(&self, agent: &AgentId, id: &str) -> Result<Option<Scheduled>, Failure> {
        if id.chars().any(char::is_control) {
            return Ok(None);
        }
        self.store.find_scheduled(agent, id).await.map_err(store_failure)
    }

    #[tracing::instrument(level = "debug", name = "send", skip_all, fields(channel = %request.channel))]
    async fn run_stages(&self, request: SendRequest) -> Result<SendReceipt, Failure> {
        let authorized = self
            .timed("authorize", Box::pin(authorize::authorize(self, request)))
            .await?;
        let clean = async { clean::clean(&self.vault, self.clock.now(), authorized) };
        let clean = self.timed("clean", Box::pin(clean)).await?;
        let cleared = match self.timed("clear", Box::pin(clear::clear(self, clean))).await? {
            clear::Clearance::Cleared(message) => message,
            clear::Clearance::Earlier(earlier) => return receipt::replay(self, earlier).await,
        };
        if let Some(at) = cleared.message.scheduled_at {
            let schedule = schedule::schedule(self, *cleared, at);
            return self.timed("schedule", Box::pin(schedule)).await;
        }
        let admitted = match self.timed("admit", Box::pin(admit::admit(self, *cleared))).await? {
            admit::Admission::Admitted(message) => message,
            admit::Admission::Earlier(earlier) => return receipt::replay(self, earlier).await,
        };
        let dispatched = self
            .timed("dispatch", Box::pin(dispatch::dispatch(self, *admitted)))
            .await;
        self.timed("record", Box::pin(record::record(self, dispatched))).await
    }

    /// `work` comes in a box: the pipeline's own future stays small, and a stage's, which is not, is moved once.
    async fn timed<T>(&self, stage: &'static str, work: BoxFuture<'_, T>) -> T {
        let begun = Instant::now();
        let result = work.instrument(tracing::debug_span!("stage", stage)).await;
        self.metrics.stage(stage, begun.elapsed());
        result
    }
}
