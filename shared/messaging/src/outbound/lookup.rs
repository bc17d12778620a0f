//! Looking up an agent's messages, sent and scheduled.

use butt_dial_domain::{AgentId, Code, Failure, MessageId};
use butt_dial_store::{Cancellation, Message, ScheduledSend, ScheduledState};

use super::{Outbound, fall_back};

/// The failure of a message that its agent cancelled.
pub(super) const CANCELLED: &str = "CANCELLED";

impl Outbound {
    /// Finds a message of the agent, by its id or by the carrier's id.
    pub async fn find_message(&self, agent: &AgentId, id: &str) -> Result<Option<Message>, Failure> {
        if has_control_character(id) {
            return Ok(None);
        }
        if let Some(message) = self.store.find_agent_message(agent, id).await? {
            return Ok(Some(message));
        }
        // A scheduled message that was retried left under another id.
        match self.store.find_scheduled(agent, id).await? {
            Some(scheduled) if scheduled.state == ScheduledState::Sent => {
                fall_back::find_sent(self, agent, &scheduled.idempotency_key).await
            }
            _ => Ok(None),
        }
    }

    /// Finds a scheduled message of the agent, sent or not.
    pub async fn find_scheduled(&self, agent: &AgentId, id: &str) -> Result<Option<ScheduledSend>, Failure> {
        if has_control_character(id) {
            return Ok(None);
        }
        Ok(self.store.find_scheduled(agent, id).await?)
    }

    /// Lists the agent's scheduled messages, the next ones first, after the given one.
    pub async fn list_scheduled(
        &self,
        agent: &AgentId,
        after: Option<&MessageId>,
        limit: u32,
    ) -> Result<Vec<ScheduledSend>, Failure> {
        Ok(self.store.list_scheduled(agent, after, limit).await?)
    }

    /// Cancels a scheduled message. Fails with `MessageNotFound`, or with `NotCancellable` if it is too late.
    pub async fn cancel_scheduled(&self, agent: &AgentId, id: &str) -> Result<(), Failure> {
        let unknown = || Failure::new(Code::MessageNotFound, "there is no scheduled message with this id");
        if has_control_character(id) {
            return Err(unknown());
        }
        let id = MessageId::from(id);
        let now = self.clock.now();
        match self.store.cancel_scheduled(agent, &id, CANCELLED, now).await? {
            Cancellation::Cancelled => {
                tracing::info!(message_id = %id, "scheduled message cancelled");
                Ok(())
            }
            Cancellation::Unknown => Err(unknown()),
            Cancellation::TooLate => Err(Failure::new(
                Code::NotCancellable,
                "this message can't be cancelled: it has left, has failed, or is being sent",
            )
            .hint("comms_get_message_status shows what has become of it")),
        }
    }

    /// Returns whether the agent has a message with this idempotency key.
    pub async fn has_idempotency_key(&self, agent: &AgentId, key: &str) -> Result<bool, Failure> {
        if has_control_character(key) {
            return Ok(false);
        }
        Ok(self.store.find_message_by_key(agent, key).await?.is_some())
    }
}

/// No id or key contains one, and Postgres refuses some of them as text.
fn has_control_character(text: &str) -> bool {
    text.chars().any(char::is_control)
}
