//! A bus that records what is appended and fails on request.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use butt_dial_domain::{
    clock::Timestamp,
    ports::bus::{Appended, Bus, BusError, Headers, LogPosition, LogReader, Message, StreamSpec},
};
use bytes::Bytes;
use futures::{StreamExt, channel::mpsc, stream::BoxStream};

/// Records what is appended, and passes on what is published.
#[derive(Default)]
pub struct ScriptedBus {
    /// Subject, id, headers and payload.
    pub appended: Mutex<Vec<(String, String, Headers, Bytes)>>,
    pub refuses_appends: AtomicBool,
    /// The number of subscriptions that fail next.
    pub refuses_subscriptions: AtomicU32,
    subscribers: Mutex<Vec<(String, mpsc::UnboundedSender<Message>)>>,
}

impl ScriptedBus {
    /// Ends the streams of all subscribers, as a lost connection does.
    pub fn hang_up(&self) {
        self.subscribers.lock().unwrap().clear();
    }

    pub fn has_subscriber(&self) -> bool {
        !self.subscribers.lock().unwrap().is_empty()
    }
}

fn unavailable<T>() -> Result<T, BusError> {
    Err(BusError::Unavailable("the test makes it fail".into()))
}

#[async_trait]
impl Bus for ScriptedBus {
    async fn publish(&self, subject: &str, headers: Headers, payload: Bytes) -> Result<(), BusError> {
        for (_, sender) in self
            .subscribers
            .lock()
            .unwrap()
            .iter()
            .filter(|(subscribed, _)| subscribed == subject)
        {
            let message = Message {
                subject: subject.to_owned(),
                headers: headers.clone(),
                payload: payload.clone(),
                reply_to: None,
            };
            drop(sender.unbounded_send(message));
        }
        Ok(())
    }

    async fn request(&self, subject: &str, _: Headers, _: Bytes, _: Duration) -> Result<Message, BusError> {
        Err(BusError::NoResponders(subject.to_owned()))
    }

    async fn subscribe(&self, subject: &str) -> Result<BoxStream<'static, Message>, BusError> {
        let less = |left: u32| left.checked_sub(1);
        if self
            .refuses_subscriptions
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
            .is_ok()
        {
            return unavailable();
        }
        let (sender, messages) = mpsc::unbounded();
        self.subscribers.lock().unwrap().push((subject.to_owned(), sender));
        Ok(messages.boxed())
    }

    async fn subscribe_group(&self, subject: &str, _: &str) -> Result<BoxStream<'static, Message>, BusError> {
        self.subscribe(subject).await
    }

    async fn create_stream(&self, _: &StreamSpec) -> Result<(), BusError> {
        Ok(())
    }

    async fn append(&self, subject: &str, id: &str, headers: Headers, payload: Bytes) -> Result<Appended, BusError> {
        if self.refuses_appends.load(Ordering::SeqCst) {
            return unavailable();
        }
        let mut appended = self.appended.lock().unwrap();
        appended.push((subject.to_owned(), id.to_owned(), headers, payload));
        Ok(Appended {
            sequence: appended.len() as u64,
            duplicate: false,
        })
    }

    async fn read_log_after(&self, _: &'static str, _: &str, _: LogPosition) -> Result<Box<dyn LogReader>, BusError> {
        unavailable()
    }

    async fn last_position(&self, _: &'static str, _: &str) -> Result<u64, BusError> {
        Ok(0)
    }

    async fn position_before(&self, _: &'static str, _: Timestamp) -> Result<u64, BusError> {
        Ok(0)
    }

    async fn check(&self) -> Result<(), BusError> {
        Ok(())
    }
}
