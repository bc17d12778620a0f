//! A load generator: many people write concurrently, each one message after the other. Checks what has arrived in the
//! end.

use std::collections::{HashMap, HashSet};

use butt_dial_domain::Channel;
use butt_dial_providers::PersonMessage;
use futures::future::join_all;
use tokio::sync::{Semaphore, watch};

use super::{TestContext, within_timeout};

/// Sends as many messages as were released.
pub struct LoadGenerator {
    people: usize,
    each: usize,
    released: Semaphore,
    sent: watch::Sender<usize>,
}

/// A message that a person sent.
#[derive(Debug)]
pub struct SentMessage {
    pub carrier_id: String,
    /// The webhook accepted the message.
    pub is_accepted: bool,
}

/// A message as the agent received it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedMessage {
    pub event: String,
    pub carrier_id: String,
    pub text: String,
}

impl LoadGenerator {
    pub fn new(people: usize, each: usize) -> Self {
        Self {
            people,
            each,
            released: Semaphore::new(0),
            sent: watch::Sender::new(0),
        }
    }

    pub fn total(&self) -> usize {
        self.people * self.each
    }

    pub fn sent(&self) -> usize {
        *self.sent.borrow()
    }

    /// Waits until this many messages have been sent.
    pub async fn wait_for_sent(&self, messages: usize) {
        let mut sent = self.sent.subscribe();
        let reached = within_timeout("messages are sent", sent.wait_for(|sent| *sent >= messages)).await;
        drop(reached.expect("a load generator"));
    }

    /// Releases this many more messages.
    pub fn release(&self, messages: usize) {
        self.released.add_permits(messages);
    }

    /// Sends all messages of all people to the account's agent.
    pub async fn run(&self, context: &TestContext) -> Vec<SentMessage> {
        let people = (0..self.people).map(async |person| {
            let from = format!("+141655501{person:02}");
            let mut messages = Vec::new();
            for number in 0..self.each {
                self.released.acquire().await.expect("a permit").forget();
                let text = format!("{person}: {number}");
                let written = context
                    .deliver(PersonMessage::new(Channel::Sms, &from, &context.account.phone, &text))
                    .await;
                self.sent.send_modify(|sent| *sent += 1);
                messages.push(SentMessage {
                    carrier_id: written.carrier_id,
                    is_accepted: written.status == Some(200),
                });
            }
            messages
        });
        join_all(people).await.into_iter().flatten().collect()
    }
}

/// Removes repetitions of events. Returns the first occurrences and the number of repetitions.
pub fn deduplicate(received: &[ReceivedMessage]) -> (Vec<ReceivedMessage>, usize) {
    let mut known = HashSet::new();
    let first: Vec<ReceivedMessage> = received
        .iter()
        .filter(|message| known.insert(&message.event))
        .cloned()
        .collect();
    let repetitions = received.len() - first.len();
    (first, repetitions)
}

/// Returns whether all accepted messages were received.
pub fn received_all(sent: &[SentMessage], received: &[ReceivedMessage]) -> bool {
    let ids: HashSet<&str> = received.iter().map(|message| message.carrier_id.as_str()).collect();
    let mut accepted = sent.iter().filter(|message| message.is_accepted);
    accepted.all(|message| ids.contains(message.carrier_id.as_str()))
}

/// Proves that each accepted message was received exactly once, no unknown message was received, and the messages of
/// each person are in order.
pub fn expect_exactly_once_in_order(sent: &[SentMessage], received: &[ReceivedMessage]) {
    let mut times: HashMap<&str, usize> = HashMap::new();
    for message in received {
        *times.entry(message.carrier_id.as_str()).or_default() += 1;
    }
    for message in sent {
        let times = times.remove(message.carrier_id.as_str()).unwrap_or(0);
        let fits = if message.is_accepted { times == 1 } else { times <= 1 };
        assert!(fits, "received {times} times: {message:?}");
    }
    assert!(times.is_empty(), "received but never sent: {times:?}");
    let mut last: HashMap<&str, usize> = HashMap::new();
    for message in received {
        let (person, number) = message.text.split_once(": ").expect("a person and a number");
        let number: usize = number.parse().expect("a number");
        if let Some(before) = last.insert(person, number) {
            assert!(before < number, "{person}: {number} arrived after {before}");
        }
    }
}
