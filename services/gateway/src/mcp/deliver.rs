//! Events for a listener: they go to its socket with a ping behind them, and are confirmed when the client answers that.
//! A client that is slow to answer holds up nobody: only its own stream keeps an order.

use butt_dial_comms::delivery::live::{PING_DEADLINE, Push};
use butt_dial_domain::{AgentId, ports::bus::Headers, subjects};
use butt_dial_runtime::platform::StartError;
use futures::StreamExt;
use rmcp::model::{ClientJsonRpcMessage, JsonRpcMessage, RequestId};
use serde_json::Value;

use super::{
    requests::{Answered, Coming, Question, parse_id},
    sampling::fitting,
    streams::Streams,
};

impl Streams {
    pub(super) async fn take_deliveries(&self) -> Result<(), StartError> {
        let pushes = self.comms.bus.subscribe(&subjects::deliver(self.replica())).await;
        let mut pushes = pushes.map_err(|error| StartError::Bus(error.to_string()))?;
        let (streams, drain) = (self.clone(), self.lifecycle.draining().clone());
        self.lifecycle.spawn(async move {
            while let Some(Some(message)) = drain.run_until_cancelled(pushes.next()).await {
                let push: Option<Push> = serde_json::from_slice(&message.payload).ok();
                let pong = push.and_then(|push| streams.hand_over(push));
                let answering = streams.clone();
                streams.lifecycle.work().spawn(async move {
                    let done = arrives(pong).await;
                    answering.confirm(message.reply_to.as_deref(), done).await;
                });
            }
        });
        Ok(())
    }

    /// Queues all of the messages with a ping, or nothing: when the stream is gone, not initialized, or too far behind.
    fn hand_over(&self, push: Push) -> Option<Coming> {
        let open = self.locked();
        let stream = open.get(&push.connection)?;
        let connection = &stream.connection;
        if connection.agent != push.agent || connection.marks.initialized_at.is_none() {
            return None;
        }
        let permits = stream.messages.try_reserve_many(push.messages.len() + 1);
        let permits = permits
            .inspect_err(|error| tracing::info!(%error, "a listener does not keep up"))
            .ok()?;
        let (ping, pong) = self.requests.ask(&push.agent, &push.connection, &Question::PING);
        for (permit, message) in permits.zip(push.messages.into_iter().chain([ping])) {
            permit.send(message);
        }
        Some(pong)
    }

    pub(super) async fn take_answers(&self) -> Result<(), StartError> {
        let answers = self.comms.bus.subscribe(&subjects::answers(self.replica())).await;
        let mut answers = answers.map_err(|error| StartError::Bus(error.to_string()))?;
        let (streams, drain) = (self.clone(), self.lifecycle.draining().clone());
        self.lifecycle.spawn(async move {
            while let Some(Some(message)) = drain.run_until_cancelled(answers.next()).await {
                if let Ok(answered) = serde_json::from_slice::<Answered>(&message.payload) {
                    streams.requests.answered(answered);
                }
            }
        });
        Ok(())
    }

    /// Brings a client's answer, where the message is one, to the replica that waits for it.
    pub async fn bring_answer(&self, agent: &AgentId, message: ClientJsonRpcMessage) {
        let Some((id, result)) = read_answer(message) else {
            return;
        };
        let Some((replica, number)) = parse_id(&id) else {
            tracing::debug!("a client answered what nobody asked");
            return;
        };
        let answered = Answered {
            agent: agent.clone(),
            number,
            answer: fitting(result),
        };
        if &replica == self.replica() {
            return self.requests.answered(answered);
        }
        let Ok(payload) = serde_json::to_vec(&answered) else {
            return;
        };
        let subject = subjects::answers(&replica);
        if let Err(error) = self.comms.bus.publish(&subject, Headers::new(), payload.into()).await {
            tracing::warn!(%error, "a client's answer is lost; what it confirms is delivered again");
        }
    }
}

async fn arrives(pong: Option<Coming>) -> bool {
    match pong {
        // An error is an answer too: the client has read what came before.
        Some(pong) => pong.within(PING_DEADLINE).await.is_ok(),
        None => false,
    }
}

/// A result or an error, and what it answers.
fn read_answer(message: ClientJsonRpcMessage) -> Option<(RequestId, Result<Value, String>)> {
    match message {
        JsonRpcMessage::Response(response) => {
            let result = serde_json::to_value(&response.result).map_err(|error| error.to_string());
            Some((response.id, result))
        }
        JsonRpcMessage::Error(error) => Some((error.id?, Err(error.error.message.into_owned()))),
        _ => None,
    }
}
