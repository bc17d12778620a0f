//! The bus of the one program: live traffic in memory, durable streams in the program's own SQLite file. What `append`
//! returned survives a kill, because the file is in WAL mode; live traffic survives nothing, as on NATS.

mod appending;
mod consumer;
mod live;
mod log;
mod tail;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use butt_dial_domain::{
    Clock,
    ports::bus::{Appended, Bus, BusError, Consumer, ConsumerSpec, Headers, LogReader, Message, StreamSpec},
};
use bytes::Bytes;
use futures::{StreamExt as _, stream::BoxStream};
use sqlx::SqlitePool;
use tokio::time::timeout;

use self::{appending::Appending, consumer::Reader, live::Live, log::Log, tail::Tail};
use crate::{
    dead::DEAD_LETTERS,
    rules::{check_message, check_pattern},
};

pub struct EmbeddedBus {
    live: Arc<Live>,
    log: Arc<Log>,
}

impl EmbeddedBus {
    /// Takes the pool of the program's database and adds its tables `bus_*` to it. One process at a time: others would
    /// not be woken by what is appended here.
    pub async fn open(pool: SqlitePool, clock: Clock) -> Result<Self, BusError> {
        Ok(Self {
            live: Arc::default(),
            log: Arc::new(Log::open(pool, clock).await?),
        })
    }
}

#[async_trait]
impl Bus for EmbeddedBus {
    async fn publish(&self, subject: &str, headers: Headers, payload: Bytes) -> Result<(), BusError> {
        check_message(subject, &headers, &payload)?;
        self.live.publish(&Message {
            subject: subject.to_owned(),
            headers,
            payload,
            reply_to: None,
        });
        Ok(())
    }

    async fn request(
        &self,
        subject: &str,
        headers: Headers,
        payload: Bytes,
        deadline: Duration,
    ) -> Result<Message, BusError> {
        check_message(subject, &headers, &payload)?;
        let inbox = format!("_INBOX.{}", uuid::Uuid::new_v4().simple());
        let mut answers = self.live.subscribe(&inbox, None);
        let request = Message {
            subject: subject.to_owned(),
            headers,
            payload,
            reply_to: Some(inbox),
        };
        if !self.live.publish(&request) {
            return Err(BusError::NoResponders(subject.to_owned()));
        }
        match timeout(deadline, answers.next()).await {
            Ok(Some(answer)) => Ok(answer),
            _ => Err(BusError::TimedOut(subject.to_owned())),
        }
    }

    async fn subscribe(&self, subject: &str) -> Result<BoxStream<'static, Message>, BusError> {
        check_pattern(subject)?;
        Ok(self.live.subscribe(subject, None).boxed())
    }

    async fn subscribe_group(&self, subject: &str, group: &str) -> Result<BoxStream<'static, Message>, BusError> {
        check_pattern(subject)?;
        Ok(self.live.subscribe(subject, Some(group)).boxed())
    }

    async fn create_stream(&self, spec: &StreamSpec) -> Result<(), BusError> {
        self.log.create(spec, true).await
    }

    async fn append(&self, subject: &str, id: &str, headers: Headers, payload: Bytes) -> Result<Appended, BusError> {
        check_message(subject, &headers, &payload)?;
        let append = Appending {
            subject: subject.to_owned(),
            id: id.to_owned(),
            headers,
            payload,
        };
        self.log.append(append).await
    }

    async fn consumer(&self, spec: &ConsumerSpec) -> Result<Box<dyn Consumer>, BusError> {
        check_pattern(spec.filter)?;
        self.log.create(&DEAD_LETTERS, false).await?;
        Ok(Box::new(Reader::open(self.log.clone(), spec.clone()).await?))
    }

    async fn read_log(&self, stream: &'static str, filter: &str, after: u64) -> Result<Box<dyn LogReader>, BusError> {
        check_pattern(filter)?;
        Ok(Box::new(Tail::open(self.log.clone(), stream, filter, after).await?))
    }

    async fn check(&self) -> Result<(), BusError> {
        self.log.check().await
    }
}

#[cfg(test)]
mod tests;
