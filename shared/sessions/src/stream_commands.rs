//! Commands for a stream on any replica: send a message, change its flags, close it. Commands for another replica's stream
//! travel over the bus and are confirmed.

use std::time::Duration;

use butt_dial_domain::{
    AgentId,
    ports::bus::{BusError, Message},
    subjects,
};
use futures::{StreamExt, future::BoxFuture};
use serde::{Deserialize, Serialize};
use tracing::Instrument;

use crate::{
    connection::{ClientChange, Connection},
    local_streams::LocalStreams,
    open_streams::StreamGone,
};

const COMMAND_TIMEOUT: Duration = Duration::from_secs(5);

/// A command on its way to the replica that holds the socket. Field and variant names are part of the wire.
#[derive(Serialize, Deserialize)]
struct CommandEnvelope {
    connection: String,
    agent: AgentId,
    #[serde(rename = "what")]
    command: StreamCommand,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum StreamCommand {
    Message(String),
    Close,
    Change(ClientChange),
}

/// Runs a command on the stream, wherever its socket is. Returns false when the stream is gone.
pub(crate) async fn send(streams: &LocalStreams, connection: &Connection, command: StreamCommand) -> bool {
    let ports = &streams.ports;
    if connection.replica == ports.replica {
        return execute(streams, &connection.id, &connection.agent, command).await;
    }
    let envelope = CommandEnvelope {
        connection: connection.id.clone(),
        agent: connection.agent.clone(),
        command,
    };
    let Ok(payload) = serde_json::to_vec(&envelope) else {
        return false;
    };
    let subject = subjects::push(&connection.replica);
    let (headers, payload) = ((ports.trace.inject)(), payload.into());
    match ports.bus.request(&subject, headers, payload, COMMAND_TIMEOUT).await {
        Ok(reply) => reply.payload.as_ref() == b"1",
        Err(error) => {
            tracing::info!(%error, "stream command failed: replica unreachable");
            false
        }
    }
}

async fn execute(streams: &LocalStreams, id: &str, agent: &AgentId, command: StreamCommand) -> bool {
    match command {
        StreamCommand::Change(change) => streams.update(id, agent, &change).await,
        StreamCommand::Message(message) => streams.open.push(id, agent, message),
        StreamCommand::Close => streams.open.end(id, agent),
    }
}

/// Subscribes to the commands for this replica. The future executes them until the process drains.
pub(crate) async fn listen(streams: LocalStreams) -> Result<BoxFuture<'static, ()>, BusError> {
    let ports = streams.ports.clone();
    let mut commands = ports.bus.subscribe(&subjects::push(&ports.replica)).await?;
    Ok(Box::pin(async move {
        while let Some(Some(message)) = ports.draining.run_until_cancelled(commands.next()).await {
            let span = tracing::debug_span!("push");
            (ports.trace.extract)(&span, &message.headers);
            receive(&streams, message).instrument(span).await;
        }
    }))
}

async fn receive(streams: &LocalStreams, message: Message) {
    let ports = &streams.ports;
    let Ok(envelope) = serde_json::from_slice::<CommandEnvelope>(&message.payload) else {
        return ports.confirm(message.reply_to.as_deref(), false).await;
    };
    let CommandEnvelope {
        connection,
        agent,
        command,
    } = envelope;
    let StreamCommand::Change(change) = command else {
        let done = execute(streams, &connection, &agent, command).await;
        return ports.confirm(message.reply_to.as_deref(), done).await;
    };
    // The table keeps the order of commands; writing the entry must not delay the next command.
    let applied = streams.apply(&connection, &agent, &change);
    let streams = streams.clone();
    ports.tasks.spawn(async move {
        let done = match applied {
            Ok(true) => streams.save(&connection).await,
            Ok(false) => true,
            Err(StreamGone) => false,
        };
        streams.ports.confirm(message.reply_to.as_deref(), done).await;
    });
}
