//! Reading a durable stream of the embedded bus. A claim and the burial of what is used up are one transaction, so a
//! kill at any moment neither loses a message nor hands it to two readers.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use butt_dial_domain::ports::bus::{BusError, Consumer, ConsumerSpec, Delivery, Message};
use sqlx::SqliteConnection;
use tokio::time::{Instant, timeout};

use super::{
    appending::Appending,
    log::{Log, micros, unavailable},
};
use crate::{
    dead::{self, DEAD_LETTERS},
    rules::no_stream,
    subject::matches,
};

/// How many subjects are looked at in one query for those that the filter lets through.
const PAGE: i64 = 256;

pub(super) struct Reader {
    log: Arc<Log>,
    spec: ConsumerSpec,
}

/// A message that is due, with the number of its deliveries so far.
#[derive(sqlx::FromRow)]
struct Due {
    sequence: i64,
    attempts: i64,
    subject: String,
    headers: String,
    payload: Vec<u8>,
}

impl Reader {
    pub(super) async fn open(log: Arc<Log>, spec: ConsumerSpec) -> Result<Self, BusError> {
        log.stream(spec.stream)?;
        sqlx::query(
            "INSERT INTO bus_consumers (stream, name, filter, position) VALUES ($1, $2, $3, 0)
             ON CONFLICT (stream, name) DO UPDATE SET filter = excluded.filter",
        )
        .bind(spec.stream)
        .bind(spec.name)
        .bind(spec.filter)
        .execute(log.pool())
        .await
        .map_err(unavailable)?;
        Ok(Self { log, spec })
    }

    /// How long there is certainly nothing to deliver unless something is appended; `None` if there may be something.
    async fn idle_for(&self, max_age: i64) -> Result<Option<Duration>, BusError> {
        let now = self.log.now();
        let (last, position, due_at): (i64, i64, Option<i64>) = sqlx::query_as(
            "SELECT s.last_sequence, c.position,
                (SELECT MIN(p.due_at) FROM bus_pending p
                 JOIN bus_messages m ON m.stream = p.stream AND m.sequence = p.sequence
                 WHERE p.stream = c.stream AND p.consumer = c.name AND m.appended_at > $3)
             FROM bus_consumers c JOIN bus_streams s ON s.name = c.stream WHERE c.stream = $1 AND c.name = $2",
        )
        .bind(self.spec.stream)
        .bind(self.spec.name)
        .bind(now - max_age)
        .fetch_optional(self.log.pool())
        .await
        .map_err(unavailable)?
        .ok_or_else(|| no_stream(self.spec.stream))?;
        if last > position {
            return Ok(None);
        }
        Ok(match due_at {
            None => Some(Duration::MAX),
            Some(due_at) if due_at > now => Some(Duration::from_micros(due_at.abs_diff(now))),
            Some(_) => None,
        })
    }

    async fn claim(&self, max: usize, max_age: i64) -> Result<Vec<Box<dyn Delivery>>, BusError> {
        let now = self.log.now();
        let oldest = now - max_age;
        let mut write = self.log.write().await?;
        let mut claimed = Vec::new();
        let mut buried = false;
        for due in self.unanswered(&mut write.sql, max, now, oldest).await? {
            let used_up = due.attempts >= i64::from(self.spec.max_deliver.max(1));
            let claim = self.delivery(due)?;
            if used_up {
                claim
                    .bury_in(&mut write.sql, &dead::used_up(self.spec.max_deliver))
                    .await?;
                buried = true;
            } else {
                claimed.push(claim);
            }
        }
        let room = max.saturating_sub(claimed.len());
        for due in self.unseen(&mut write.sql, room, oldest).await? {
            claimed.push(self.delivery(due)?);
        }
        for claim in &claimed {
            sqlx::query(
                "INSERT INTO bus_pending (stream, consumer, sequence, attempts, due_at) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (stream, consumer, sequence) DO UPDATE
                 SET attempts = excluded.attempts, due_at = excluded.due_at",
            )
            .bind(self.spec.stream)
            .bind(self.spec.name)
            .bind(claim.sequence)
            .bind(i64::from(claim.attempt))
            .bind(now + micros(self.spec.ack_wait))
            .execute(&mut *write.sql)
            .await
            .map_err(unavailable)?;
        }
        write.commit().await?;
        if buried {
            self.log.announce(DEAD_LETTERS.name);
        }
        Ok(claimed
            .into_iter()
            .map(|claim| Box::new(claim) as Box<dyn Delivery>)
            .collect())
    }

    async fn unanswered(
        &self,
        sql: &mut SqliteConnection,
        max: usize,
        now: i64,
        oldest: i64,
    ) -> Result<Vec<Due>, BusError> {
        sqlx::query_as(
            "SELECT m.sequence, p.attempts, m.subject, m.headers, m.payload FROM bus_pending p
             JOIN bus_messages m ON m.stream = p.stream AND m.sequence = p.sequence
             WHERE p.stream = $1 AND p.consumer = $2 AND p.due_at <= $3 AND m.appended_at > $4
             ORDER BY p.sequence LIMIT $5",
        )
        .bind(self.spec.stream)
        .bind(self.spec.name)
        .bind(now)
        .bind(oldest)
        .bind(i64::try_from(max).unwrap_or(i64::MAX))
        .fetch_all(sql)
        .await
        .map_err(unavailable)
    }

    /// What was never delivered and passes the filter; moves the consumer's position past all it looked at.
    async fn unseen(&self, sql: &mut SqliteConnection, max: usize, oldest: i64) -> Result<Vec<Due>, BusError> {
        let start: i64 = sqlx::query_scalar("SELECT position FROM bus_consumers WHERE stream = $1 AND name = $2")
            .bind(self.spec.stream)
            .bind(self.spec.name)
            .fetch_one(&mut *sql)
            .await
            .map_err(unavailable)?;
        let (mut position, mut found) = (start, Vec::new());
        while found.len() < max {
            let page: Vec<(i64, String)> = sqlx::query_as(
                "SELECT sequence, subject FROM bus_messages WHERE stream = $1 AND sequence > $2 AND appended_at > $3
                 ORDER BY sequence LIMIT $4",
            )
            .bind(self.spec.stream)
            .bind(position)
            .bind(oldest)
            .bind(PAGE)
            .fetch_all(&mut *sql)
            .await
            .map_err(unavailable)?;
            if page.is_empty() {
                // Those that are too old count as looked at, too.
                position = self.last_sequence(sql).await?;
                break;
            }
            for (sequence, subject) in page {
                if found.len() == max {
                    break;
                }
                position = sequence;
                if matches(self.spec.filter, &subject) {
                    found.push(sequence);
                }
            }
        }
        if position > start {
            sqlx::query("UPDATE bus_consumers SET position = $3 WHERE stream = $1 AND name = $2")
                .bind(self.spec.stream)
                .bind(self.spec.name)
                .bind(position)
                .execute(&mut *sql)
                .await
                .map_err(unavailable)?;
        }
        let mut messages = Vec::with_capacity(found.len());
        for sequence in found {
            let message = sqlx::query_as(
                "SELECT sequence, 0 AS attempts, subject, headers, payload FROM bus_messages
                 WHERE stream = $1 AND sequence = $2",
            )
            .bind(self.spec.stream)
            .bind(sequence)
            .fetch_one(&mut *sql)
            .await
            .map_err(unavailable)?;
            messages.push(message);
        }
        Ok(messages)
    }

    async fn last_sequence(&self, sql: &mut SqliteConnection) -> Result<i64, BusError> {
        sqlx::query_scalar("SELECT last_sequence FROM bus_streams WHERE name = $1")
            .bind(self.spec.stream)
            .fetch_one(sql)
            .await
            .map_err(unavailable)
    }

    fn delivery(&self, due: Due) -> Result<Claim, BusError> {
        let headers = serde_json::from_str(&due.headers).map_err(|error| {
            unavailable(format!(
                "bus_messages {} {}: headers: {error}",
                self.spec.stream, due.sequence
            ))
        })?;
        Ok(Claim {
            log: self.log.clone(),
            spec: self.spec.clone(),
            sequence: due.sequence,
            attempt: u32::try_from(due.attempts + 1).unwrap_or(u32::MAX),
            message: Message {
                subject: due.subject,
                headers,
                payload: due.payload.into(),
                reply_to: None,
            },
        })
    }
}

#[async_trait]
impl Consumer for Reader {
    async fn fetch(&self, max: usize, wait: Duration) -> Result<Vec<Box<dyn Delivery>>, BusError> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let deadline = Instant::now() + wait;
        loop {
            let stream = self.log.stream(self.spec.stream)?;
            // Before looking, so that nothing can be appended unnoticed between the look and the wait.
            let mut changes = stream.changes.subscribe();
            let idle = match self.idle_for(stream.max_age).await? {
                Some(idle) => idle,
                None => {
                    let claimed = self.claim(max, stream.max_age).await?;
                    if !claimed.is_empty() {
                        return Ok(claimed);
                    }
                    Duration::ZERO
                }
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Vec::new());
            }
            let _ = timeout(idle.min(left), changes.changed()).await;
        }
    }
}

struct Claim {
    log: Arc<Log>,
    spec: ConsumerSpec,
    sequence: i64,
    attempt: u32,
    message: Message,
}

impl Claim {
    /// Ends the delivery for good and keeps the message as a dead letter.
    async fn bury_in(&self, sql: &mut SqliteConnection, reason: &str) -> Result<(), BusError> {
        let ConsumerSpec { stream, name, .. } = self.spec;
        if let Some(letter) = dead::letter(stream, name, self.sequence(), self.attempt, &self.message, reason) {
            let append = Appending {
                subject: letter.subject,
                id: letter.id,
                headers: letter.headers,
                payload: letter.payload,
            };
            self.log.append_in(sql, &append).await?;
        }
        self.forget(sql).await
    }

    async fn bury(&self, reason: &str) -> Result<(), BusError> {
        let mut write = self.log.write().await?;
        self.bury_in(&mut write.sql, reason).await?;
        write.commit().await?;
        self.log.announce(DEAD_LETTERS.name);
        Ok(())
    }

    async fn forget(&self, sql: &mut SqliteConnection) -> Result<(), BusError> {
        sqlx::query("DELETE FROM bus_pending WHERE stream = $1 AND consumer = $2 AND sequence = $3")
            .bind(self.spec.stream)
            .bind(self.spec.name)
            .bind(self.sequence)
            .execute(sql)
            .await
            .map_err(unavailable)?;
        Ok(())
    }

    /// Only while this is the latest delivery: a later one has its own time.
    async fn due_in(&self, delay: Duration) -> Result<(), BusError> {
        let mut write = self.log.write().await?;
        sqlx::query(
            "UPDATE bus_pending SET due_at = $5
             WHERE stream = $1 AND consumer = $2 AND sequence = $3 AND attempts = $4",
        )
        .bind(self.spec.stream)
        .bind(self.spec.name)
        .bind(self.sequence)
        .bind(i64::from(self.attempt))
        .bind(self.log.now() + micros(delay))
        .execute(&mut *write.sql)
        .await
        .map_err(unavailable)?;
        write.commit().await
    }
}

#[async_trait]
impl Delivery for Claim {
    fn message(&self) -> &Message {
        &self.message
    }

    fn sequence(&self) -> u64 {
        self.sequence.unsigned_abs()
    }

    fn attempt(&self) -> u32 {
        self.attempt
    }

    async fn ack(self: Box<Self>) -> Result<(), BusError> {
        let mut write = self.log.write().await?;
        self.forget(&mut write.sql).await?;
        write.commit().await
    }

    async fn nak(self: Box<Self>, delay: Duration) -> Result<(), BusError> {
        if self.attempt >= self.spec.max_deliver {
            return self.bury(&dead::used_up(self.spec.max_deliver)).await;
        }
        self.due_in(delay).await?;
        // It may be due sooner than those who wait for it believe.
        self.log.announce(self.spec.stream);
        Ok(())
    }

    async fn in_progress(&self) -> Result<(), BusError> {
        self.due_in(self.spec.ack_wait).await
    }

    async fn dead_letter(self: Box<Self>, reason: &str) -> Result<(), BusError> {
        self.bury(reason).await
    }
}
