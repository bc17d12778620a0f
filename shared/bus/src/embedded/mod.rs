//! The bus of a single process: live traffic in memory, durable streams in the SQLite file of the program. Appended
//! messages survive a kill, because the file is in WAL mode. Live messages do not, as on NATS.

mod group_commit;
mod live;
mod log;
mod log_reader;
mod pending_group;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use butt_dial_domain::{
    Clock,
    clock::Timestamp,
    ports::bus::{Appended, Bus, BusError, Headers, LogPosition, LogReader, Message, StreamSpec},
};
use bytes::Bytes;
use futures::{StreamExt as _, stream::BoxStream};
use sqlx::SqlitePool;
use tokio::time::timeout;

use self::{live::Live, log::Log, log_reader::Reader, pending_group::Append};
use crate::validation::{check_message, check_pattern};

pub struct EmbeddedBus {
    live: Arc<Live>,
    log: Arc<Log>,
}

impl EmbeddedBus {
    /// Creates the tables `bus_*` in the database of the program. One process at a time: readers in another process
    /// would not be woken by an append.
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
        let mut replies = self.live.subscribe(&inbox, None);
        let request = Message {
            subject: subject.to_owned(),
            headers,
            payload,
            reply_to: Some(inbox),
        };
        if !self.live.publish(&request) {
            return Err(BusError::NoResponders(subject.to_owned()));
        }
        match timeout(deadline, replies.next()).await {
            Ok(Some(reply)) => Ok(reply),
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
        self.log.create_stream(spec).await
    }

    async fn append(&self, subject: &str, id: &str, headers: Headers, payload: Bytes) -> Result<Appended, BusError> {
        check_message(subject, &headers, &payload)?;
        let append = Append {
            subject: subject.to_owned(),
            id: id.to_owned(),
            headers,
            payload,
        };
        self.log.append(append).await
    }

    async fn read_log_after(
        &self,
        stream: &'static str,
        filter: &str,
        after: LogPosition,
    ) -> Result<Box<dyn LogReader>, BusError> {
        check_pattern(filter)?;
        let reader = Reader::open(self.log.clone(), stream, filter, after.sequence).await?;
        Ok(Box::new(reader))
    }

    async fn last_position(&self, stream: &'static str, subject: &str) -> Result<u64, BusError> {
        self.log.last_position(stream, subject).await
    }

    async fn position_before(&self, _: &'static str, _: Timestamp) -> Result<u64, BusError> {
        Ok(0)
    }

    async fn check(&self) -> Result<(), BusError> {
        self.log.check().await
    }
}

#[cfg(test)]
mod tests;
