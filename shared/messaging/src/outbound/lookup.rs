//! Looking up an agent's messages, sent and scheduled.

use butt_dial_domain::{AgentId, Failure};
use butt_dial_store::{Message, ScheduledSend, ScheduledState};

use super::{Outbound, fall_back};

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
