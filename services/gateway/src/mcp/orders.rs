//! Reaching a stream wherever its socket is: a message for it, a change to what is known of it, or its end.

use std::time::Duration;

use butt_dial_domain::{
    AgentId,
    ports::bus::{Headers, Message},
    subjects,
};
use butt_dial_runtime::{platform::StartError, telemetry::trace};
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use tracing::Instrument;

use super::{
    connection::{Change, Connection},
    streams::Streams,
};

/// What a replica has to bring to another replica's socket.
const DEADLINE: Duration = Duration::from_secs(5);

/// Travels to the replica that holds the socket.
#[derive(Serialize, Deserialize)]
struct Order {
    connection: String,
    agent: AgentId,
    what: What,
}

#[derive(Serialize, Deserialize)]
enum What {
    Message(String),
    Close,
    Change(Change),
}

impl Streams {
    /// Brings a message to the socket, wherever it is. False when the stream is gone.
    pub async fn push(&self, connection: &Connection, message: String) -> bool {
        self.reach(connection, What::Message(message)).await
    }

    /// Closes the stream, wherever it is: its client learns that something went wrong instead of waiting.
    pub async fn close(&self, connection: &Connection) {
        self.reach(connection, What::Close).await;
    }

    /// Notes what a client's message says about its stream. Only the replica that holds the socket writes the entry.
    pub async fn note(&self, connection: &Connection, change: Change) {
        let is_new = connection.clone().apply(&change);
        if is_new && !self.reach(connection, What::Change(change)).await {
            tracing::info!(
                "what a client said could not be noted: its stream is gone, or the registry does not answer"
            );
        }
    }

    /// Like `note`, for a stream of this replica's own.
    pub async fn note_here(&self, id: &str, agent: &AgentId, change: &Change) -> bool {
        match self.apply(id, agent, change) {
            Some(true) => {
                let is_saved = self.save(id).await;
                if matches!(change, Change::Initialized(_)) {
                    self.announce(id).await;
                }
                is_saved
            }
            Some(false) => true,
            None => false,
        }
    }

    async fn reach(&self, connection: &Connection, what: What) -> bool {
        if &connection.replica == self.replica() {
            return self.carry_out(&connection.id, &connection.agent, what).await;
        }
        let order = Order {
            connection: connection.id.clone(),
            agent: connection.agent.clone(),
            what,
        };
        let Ok(payload) = serde_json::to_vec(&order) else {
            return false;
        };
        let subject = subjects::push(&connection.replica);
        match self
            .comms
            .bus
            .request(&subject, trace::headers(), payload.into(), DEADLINE)
            .await
        {
            Ok(answer) => answer.payload.as_ref() == b"1",
            Err(error) => {
                tracing::info!(%error, "the replica that holds a stream is gone");
                false
            }
        }
    }

    async fn carry_out(&self, id: &str, agent: &AgentId, what: What) -> bool {
        match what {
            What::Change(change) => self.note_here(id, agent, &change).await,
            What::Message(message) => self.push_here(id, agent, message),
            What::Close => {
                let open = self.locked();
                let stream = open.get(id).filter(|stream| &stream.connection.agent == agent);
                stream.inspect(|stream| stream.end.cancel()).is_some()
            }
        }
    }

    pub(super) fn push_here(&self, id: &str, agent: &AgentId, message: String) -> bool {
        let mut open = self.locked();
        let Some(stream) = open.get(id).filter(|stream| &stream.connection.agent == agent) else {
            return false;
        };
        match stream.messages.try_send(message) {
            Ok(()) => true,
            Err(error) => {
                tracing::info!(%error, "a push stream is closed: its reader does not keep up, or is gone");
                stream.end.cancel();
                open.remove(id);
                false
            }
        }
    }

    pub(super) async fn take_orders(&self) -> Result<(), StartError> {
        let orders = self.comms.bus.subscribe(&subjects::push(self.replica())).await;
        let mut orders = orders.map_err(|error| StartError::Bus(error.to_string()))?;
        let (streams, drain) = (self.clone(), self.lifecycle.draining().clone());
        self.lifecycle.spawn(async move {
            while let Some(Some(message)) = drain.run_until_cancelled(orders.next()).await {
                let span = tracing::debug_span!("push");
                trace::continue_from(&span, |name| message.headers.get(name).map(String::as_str));
                streams.take_order(message).instrument(span).await;
            }
        });
        Ok(())
    }

    async fn take_order(&self, message: Message) {
        let order: Option<Order> = serde_json::from_slice(&message.payload).ok();
        let Some(order) = order else {
            return self.confirm(message.reply_to.as_deref(), false).await;
        };
        let Order {
            connection,
            agent,
            what,
        } = order;
        let What::Change(change) = what else {
            let done = self.carry_out(&connection, &agent, what).await;
            return self.confirm(message.reply_to.as_deref(), done).await;
        };
        // In order into the table; writing the entry must not hold up what comes next.
        let applied = self.apply(&connection, &agent, &change);
        let streams = self.clone();
        self.lifecycle.work().spawn(async move {
            let done = match applied {
                Some(true) => streams.save(&connection).await,
                Some(false) => true,
                None => false,
            };
            streams.confirm(message.reply_to.as_deref(), done).await;
        });
    }

    pub(super) async fn confirm(&self, reply_to: Option<&str>, done: bool) {
        let Some(reply_to) = reply_to else { return };
        let answer = if done { "1" } else { "0" };
        if let Err(error) = self.comms.bus.publish(reply_to, Headers::new(), answer.into()).await {
            tracing::warn!(%error, "a push could not be confirmed");
        }
    }
}
