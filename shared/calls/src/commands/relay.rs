//! The relay's side of commands: receives them and replies.

use std::sync::Arc;

use butt_dial_domain::{
    AgentId, CallId,
    ports::bus::{BusError, Headers, Message},
    subjects,
};
use futures::{StreamExt, stream::BoxStream};

use super::types::{CallCommand, CommandEnvelope, CommandOutcome};
use crate::Calls;

/// The commands for one call.
pub struct CommandStream {
    calls: Arc<Calls>,
    messages: BoxStream<'static, Message>,
}

/// A command and the sender that waits for its outcome.
pub struct ReceivedCommand {
    calls: Arc<Calls>,
    pub agent: AgentId,
    pub command: CallCommand,
    /// `None`: no reply is expected.
    reply_to: Option<String>,
}

/// Subscribes to the commands for a call. Commands that are sent after this returns are received.
pub async fn subscribe(calls: &Arc<Calls>, call: &CallId) -> Result<CommandStream, BusError> {
    Ok(CommandStream {
        messages: calls.bus.subscribe(&subjects::call_commands(call)).await?,
        calls: calls.clone(),
    })
}

impl CommandStream {
    /// Receives the next command. Skips unreadable ones. `None`: the bus is closed.
    pub async fn recv(&mut self) -> Option<ReceivedCommand> {
        loop {
            let message = self.messages.next().await?;
            match serde_json::from_slice(&message.payload) {
                Ok(CommandEnvelope { agent, command }) => {
                    return Some(ReceivedCommand {
                        calls: self.calls.clone(),
                        agent,
                        command,
                        reply_to: message.reply_to,
                    });
                }
                Err(error) => tracing::warn!(%error, "call command unreadable"),
            }
        }
    }
}

/// Replies with the outcome of a command.
pub struct CommandReplier {
    calls: Arc<Calls>,
    reply_to: Option<String>,
}

impl ReceivedCommand {
    /// Separates the command from the way to reply to it.
    pub fn split(self) -> (AgentId, CallCommand, CommandReplier) {
        let replier = CommandReplier {
            calls: self.calls,
            reply_to: self.reply_to,
        };
        (self.agent, self.command, replier)
    }
}

impl CommandReplier {
    pub async fn reply(self, outcome: &CommandOutcome) {
        if let (Some(reply_to), Ok(payload)) = (self.reply_to, serde_json::to_vec(outcome)) {
            let replied = self.calls.bus.publish(&reply_to, Headers::new(), payload.into()).await;
            replied
                .inspect_err(|error| tracing::info!(%error, "call command reply failed"))
                .ok();
        }
    }
}

/// Publishes a command without waiting for an outcome.
pub(crate) async fn publish(calls: &Calls, agent: &AgentId, call: &CallId, command: CallCommand) {
    let envelope = CommandEnvelope {
        agent: agent.clone(),
        command,
    };
    let Ok(payload) = serde_json::to_vec(&envelope) else {
        return;
    };
    let subject = subjects::call_commands(call);
    let published = calls.bus.publish(&subject, Headers::new(), payload.into()).await;
    published
        .inspect_err(|error| tracing::info!(%error, %call, "call command publish failed"))
        .ok();
}
