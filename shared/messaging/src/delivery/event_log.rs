//! The event log of an agent: reading it, waiting for new events, and acknowledging.

use std::time::Duration;

use butt_dial_domain::{AgentId, Code, Failure, OrgId, ports::bus::Message, subjects};
use futures::{StreamExt, stream::BoxStream};
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};

use super::{Delivery, event_view::view, page_budget::PageBudget};
use crate::tainted_texts::{self, is_tainted};

/// The maximum number of events in a page.
pub const MAX_PAGE: u32 = butt_dial_domain::bounds::PAGE;
/// Queries for one page: a call for rare kinds of events must not read all of a long log.
const MAX_QUERIES: u32 = 20;
/// Minimum number of events per query if only some kinds are requested.
const QUERY_SIZE: u32 = 50;
/// Events often come in groups: those that follow within this time go into the same page.
const GATHER_TIME: Duration = Duration::from_millis(15);

/// A page of an agent's log.
#[derive(Debug, Default)]
pub struct Page {
    pub events: Vec<Map<String, Value>>,
    /// The sequence number after which the next page begins.
    pub cursor: i64,
    pub has_more: bool,
}

/// Which events to read.
#[derive(Clone, Debug, Default)]
pub struct PageQuery {
    /// `None`: after the last acknowledged event.
    pub after: Option<i64>,
    /// Such as `message.received`. Empty: all kinds.
    pub kinds: Vec<String>,
    pub limit: u32,
}

/// Yields a message whenever the agent's log has grown. The message itself is empty.
pub type EventFeed = BoxStream<'static, Message>;

impl Delivery {
    /// Reads a page of the log.
    pub async fn list_events(&self, org: &OrgId, agent: &AgentId, query: &PageQuery) -> Result<Page, Failure> {
        let page = self.read_page(org, agent, query).await?;
        if page.events.iter().any(is_tainted) {
            tainted_texts::note(&self.store, (org, agent), self.clock.now()).await?;
        }
        Ok(page)
    }

    async fn read_page(&self, org: &OrgId, agent: &AgentId, query: &PageQuery) -> Result<Page, Failure> {
        let after = match query.after {
            Some(after) => after.max(0),
            None => self.acknowledged_cursor(agent).await?,
        };
        let limit = query.limit.clamp(1, MAX_PAGE);
        let mut page = Page {
            cursor: after,
            ..Page::default()
        };
        // Events of other kinds are skipped, so a query may return none of the requested kinds.
        let query_size = if query.kinds.is_empty() {
            limit
        } else {
            limit.max(QUERY_SIZE)
        };
        let mut budget = PageBudget::new(limit as usize);
        for _ in 0..MAX_QUERIES {
            let events = self.store.list_events(agent, page.cursor, query_size).await?;
            for event in &events {
                if query.kinds.is_empty() || query.kinds.contains(&event.kind) {
                    let view = view(&self.vault, org, event);
                    if !budget.take(&view) {
                        page.has_more = true;
                        return Ok(page);
                    }
                    page.events.push(view);
                }
                page.cursor = event.seq;
            }
            if events.len() < query_size as usize {
                return Ok(page);
            }
            if budget.is_full() {
                break;
            }
        }
        page.has_more = true;
        Ok(page)
    }

    /// Like `list_events`, but waits for the first event. Returns an empty page after `timeout`.
    pub async fn wait_events(
        &self,
        org: &OrgId,
        agent: &AgentId,
        query: &PageQuery,
        timeout: Duration,
    ) -> Result<Page, Failure> {
        let deadline = Instant::now() + timeout;
        let mut query = query.clone();
        // Subscribed before the first query, so that no event is missed in between.
        let mut feed = self.subscribe_events(agent).await?;
        loop {
            let page = self.list_events(org, agent, &query).await?;
            if !page.events.is_empty() || Instant::now() >= deadline {
                return Ok(page);
            }
            query.after = Some(page.cursor);
            if page.has_more {
                // The feed does not report events that are already in the log.
                continue;
            }
            match timeout_at(deadline, feed.next()).await {
                Ok(Some(_)) => {
                    // The next query returns those that follow at once as well.
                    let gather_until = (Instant::now() + GATHER_TIME).min(deadline);
                    while let Ok(Some(_)) = timeout_at(gather_until, feed.next()).await {}
                }
                Ok(None) => return Err(feed_unavailable()),
                Err(_) => {}
            }
        }
    }

    /// Subscribes to the growth of the agent's log.
    pub async fn subscribe_events(&self, agent: &AgentId) -> Result<EventFeed, Failure> {
        let subscribed = self.bus.subscribe(&subjects::agent_events(agent)).await;
        subscribed.map_err(|error| {
            tracing::warn!(%error, "event feed unavailable");
            feed_unavailable()
        })
    }

    /// The sequence number up to which the agent has acknowledged its events.
    pub async fn acknowledged_cursor(&self, agent: &AgentId) -> Result<i64, Failure> {
        let positions = self.store.find_event_positions(agent).await?;
        Ok(positions.map_or(0, |positions| positions.event_cursor))
    }

    /// Reads the latest events, oldest first.
    pub async fn recent_events(&self, org: &OrgId, agent: &AgentId, limit: u32) -> Result<Page, Failure> {
        let after = self.last_event(agent).await? - i64::from(limit);
        let query = PageQuery {
            after: Some(after.max(0)),
            kinds: Vec::new(),
            limit,
        };
        self.list_events(org, agent, &query).await
    }

    /// The sequence number of the latest event.
    pub async fn last_event(&self, agent: &AgentId) -> Result<i64, Failure> {
        let positions = self.store.find_event_positions(agent).await?;
        Ok(positions.map_or(0, |positions| positions.event_seq))
    }

    /// The sequence number before the first event of these kinds that the agent does not have yet, however it got the others.
    /// The end of the log if it has all. No kinds: of all.
    pub async fn undelivered_cursor(&self, agent: &AgentId, kinds: &[String]) -> Result<i64, Failure> {
        let Some(positions) = self.store.find_event_positions(agent).await? else {
            return Ok(0);
        };
        // Queried after the end of the log: an event that is appended in between has a higher number.
        let waiting = self.store.find_first_waiting_event(agent, kinds).await?;
        Ok(waiting.map_or(positions.event_seq, |first| positions.event_seq.min(first - 1)))
    }

    /// Refuses a cursor beyond the end of the log: a reader that continued there would miss events.
    pub async fn check_cursor(&self, agent: &AgentId, cursor: i64) -> Result<(), Failure> {
        let positions = self.store.find_event_positions(agent).await?;
        if positions.is_some_and(|positions| cursor <= positions.event_seq) {
            return Ok(());
        }
        Err(
            Failure::new(Code::InvalidArgument, "the cursor was not returned by this API")
                .hint("pass the cursor of the last result, or omit it"),
        )
    }

    /// Acknowledges the events up to `cursor`: their contents are purged. Returns how many were waiting until now.
    pub async fn acknowledge_events(&self, agent: &AgentId, cursor: i64) -> Result<u64, Failure> {
        Ok(self.store.ack_events(agent, cursor, self.clock.now()).await?)
    }

    /// Acknowledges what a reader of these kinds has been given up to `cursor`. The events that it skipped still wait. No kinds:
    /// all events.
    pub async fn acknowledge_kinds(&self, agent: &AgentId, cursor: i64, kinds: &[String]) -> Result<u64, Failure> {
        if kinds.is_empty() {
            return self.acknowledge_events(agent, cursor).await;
        }
        Ok(self.store.ack_events_of(agent, cursor, kinds, self.clock.now()).await?)
    }

    /// Finds one event of the agent, with the content that is still stored.
    pub async fn find_event(
        &self,
        org: &OrgId,
        agent: &AgentId,
        id: &str,
    ) -> Result<Option<Map<String, Value>>, Failure> {
        if id.chars().any(char::is_control) {
            return Ok(None);
        }
        let event = self.store.find_event(agent, id).await?;
        let view = event.map(|event| view(&self.vault, org, &event));
        if view.as_ref().is_some_and(is_tainted) {
            tainted_texts::note(&self.store, (org, agent), self.clock.now()).await?;
        }
        Ok(view)
    }
}

fn feed_unavailable() -> Failure {
    Failure::unavailable("events can't be waited for right now")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        delivery::{MESSAGE_RECEIVED, MESSAGE_STATUS, page_budget::MAX_PAGE_BYTES},
        testing::Bench,
    };

    /// Reads the log to its end. Returns how many events each page had.
    async fn pages(bench: &Bench, kinds: &[&str], limit: u32) -> Vec<usize> {
        let (org, agent) = (&bench.agent.org_id, &bench.agent.id);
        let mut query = PageQuery {
            after: Some(0),
            kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            limit,
        };
        let (mut pages, mut seqs) = (Vec::new(), Vec::new());
        loop {
            let page = bench.delivery.list_events(org, agent, &query).await.unwrap();
            pages.push(page.events.len());
            seqs.extend(page.events.iter().map(|event| event["seq"].as_i64().unwrap()));
            if !page.has_more {
                break;
            }
            assert!(page.cursor > query.after.unwrap(), "the cursor advances");
            query.after = Some(page.cursor);
        }
        assert!(seqs.is_sorted_by(|a, b| a < b), "each once, in order: {seqs:?}");
        pages
    }

    #[tokio::test]
    async fn limits_page_by_bytes() {
        let bench = Bench::new().await;
        bench.log(MESSAGE_RECEIVED, 7, 600_000).await;
        assert_eq!(pages(&bench, &[], 200).await, [3, 3, 1]);
        assert_eq!(pages(&bench, &[MESSAGE_RECEIVED], 200).await, [3, 3, 1]);
        assert_eq!(pages(&bench, &[], 2).await, [2, 2, 2, 1]);
    }

    #[tokio::test]
    async fn returns_oversized_event_as_own_page() {
        let bench = Bench::new().await;
        bench.log(MESSAGE_RECEIVED, 2, MAX_PAGE_BYTES + 1).await;
        bench.log(MESSAGE_RECEIVED, 1, 1).await;
        assert_eq!(pages(&bench, &[], 200).await, [1, 1, 1]);
    }

    #[tokio::test]
    async fn limits_queries_when_kinds_are_rare() {
        let bench = Bench::new().await;
        let skipped = (MAX_QUERIES * QUERY_SIZE) as usize;
        bench.log(MESSAGE_STATUS, skipped + 10, 1).await;
        bench.log(MESSAGE_RECEIVED, 3, 1).await;
        assert_eq!(pages(&bench, &[MESSAGE_RECEIVED], 2).await, [0, 2, 1]);
        // A waiting reader gets an existing event at once.
        let query = PageQuery {
            after: Some(0),
            kinds: vec![MESSAGE_RECEIVED.to_owned()],
            limit: 9,
        };
        let (org, agent) = (&bench.agent.org_id, &bench.agent.id);
        let started = Instant::now();
        let page = bench
            .delivery
            .wait_events(org, agent, &query, Duration::from_secs(60))
            .await
            .unwrap();
        assert_eq!(page.events.len(), 3);
        assert!(started.elapsed() < Duration::from_secs(30));
    }
}
