//! Questions to a client's model (sampling), for whoever holds a call: asked over the client's push stream, wherever the
//! answer is posted. What is not wanted any more is withdrawn at the client.

use std::time::Duration;

use butt_dial_comms::calls::sampling::{Ask, Asked};
use butt_dial_domain::{ports::bus::Headers, subjects};
use butt_dial_runtime::platform::StartError;
use futures::StreamExt;
use serde_json::Value;

use super::{
    requests::{Coming, Missing, Question, Withdrawn},
    streams::Streams,
};

/// Bytes of an answer on the bus, which takes 1 MiB. Nobody listens to so much.
const MAX_ANSWER: usize = 512 * 1024;

impl Streams {
    pub(super) async fn take_asks(&self) -> Result<(), StartError> {
        let (asks, unasks) = (subjects::ask(self.replica()), subjects::unask(self.replica()));
        let asks = self.comms.bus.subscribe(&asks).await;
        let mut asks = asks.map_err(|error| StartError::Bus(error.to_string()))?;
        let unasks = self.comms.bus.subscribe(&unasks).await;
        let mut unasks = unasks.map_err(|error| StartError::Bus(error.to_string()))?;
        let (streams, drain) = (self.clone(), self.lifecycle.draining().clone());
        self.lifecycle.spawn(async move {
            loop {
                tokio::select! {
                    // What is asked first, so that nothing is withdrawn before it was asked.
                    biased;
                    () = drain.cancelled() => return,
                    Some(message) = asks.next() => {
                        let ask: Option<Ask> = serde_json::from_slice(&message.payload).ok();
                        streams.take_ask(ask, message.reply_to);
                    }
                    Some(message) = unasks.next() => {
                        let name = String::from_utf8_lossy(&message.payload);
                        if let Some(withdrawn) = streams.requests.withdraw(&name) {
                            streams.tell_withdrawn(&withdrawn, "the answer is not needed any more");
                        }
                    }
                    else => return,
                }
            }
        });
        Ok(())
    }

    fn take_ask(&self, ask: Option<Ask>, reply_to: Option<String>) {
        let deadline = ask.as_ref().map_or(0, |ask| ask.deadline_ms);
        let coming = ask.and_then(|ask| self.put(&ask));
        let streams = self.clone();
        self.lifecycle.work().spawn(async move {
            let answer = match coming {
                Some(coming) => streams.await_answer(coming, Duration::from_millis(deadline)).await,
                None => Asked::Failed("the client's stream is gone, or too far behind".into()),
            };
            streams.reply(reply_to.as_deref(), &answer).await;
        });
    }

    /// Queues the question for the client. `None` when it can't be asked.
    fn put(&self, ask: &Ask) -> Option<Coming> {
        let open = self.locked();
        let stream = open.get(&ask.connection)?;
        let connection = &stream.connection;
        if connection.agent != ask.agent || connection.marks.initialized_at.is_none() {
            return None;
        }
        let permit = stream.messages.try_reserve().ok()?;
        let question = Question {
            method: &ask.method,
            params: Some(&ask.params),
            name: Some(&ask.id),
        };
        let (request, coming) = self.requests.ask(&ask.agent, &ask.connection, &question);
        permit.send(request);
        Some(coming)
    }

    async fn await_answer(&self, coming: Coming, deadline: Duration) -> Asked {
        let drain = self.lifecycle.draining().clone();
        match drain.run_until_cancelled(coming.within(deadline)).await {
            Some(Ok(answer)) => answer,
            Some(Err(Missing::Gone)) => Asked::Failed("the client is gone, or is not asked any more".into()),
            Some(Err(Missing::Late(withdrawn))) => {
                if let Some(withdrawn) = withdrawn {
                    self.tell_withdrawn(&withdrawn, "the answer takes too long");
                }
                Asked::Failed("the client has not answered in time".into())
            }
            // Its stream is closed too: the client comes back elsewhere.
            None => Asked::Failed("the client's gateway is stopping".into()),
        }
    }

    fn tell_withdrawn(&self, withdrawn: &Withdrawn, reason: &str) {
        self.push_here(&withdrawn.connection, &withdrawn.agent, withdrawn.notification(reason));
    }

    async fn reply(&self, reply_to: Option<&str>, answer: &Asked) {
        let Some((reply_to, payload)) = reply_to.zip(serde_json::to_vec(answer).ok()) else {
            return;
        };
        if let Err(error) = self.comms.bus.publish(reply_to, Headers::new(), payload.into()).await {
            tracing::warn!(%error, "a client's answer can't be brought to who asked");
        }
    }
}

/// What a client answered, small enough for the bus.
pub fn fitting(result: Result<Value, String>) -> Asked {
    match result {
        Ok(value) if value.to_string().len() > MAX_ANSWER => Asked::Failed("the client's answer is too long".into()),
        Ok(value) => Asked::Result(value),
        Err(reason) => Asked::Failed(reason.chars().take(200).collect()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_does_not_fit_on_the_bus_is_no_answer() {
        assert!(matches!(fitting(Ok(json!({ "a": 1 }))), Asked::Result(_)));
        let long = json!({ "text": "\u{1}".repeat(MAX_ANSWER / 4) });
        assert!(matches!(fitting(Ok(long)), Asked::Failed(_)), "counted as it travels");
        let Asked::Failed(reason) = fitting(Err("x".repeat(900))) else {
            panic!("an error");
        };
        assert_eq!(reason.len(), 200);
    }
}
