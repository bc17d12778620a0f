//! Reading an agent's log: at once, or as soon as there is something. Reading changes nothing; acknowledging does.

use std::time::Duration;

use butt_dial_domain::{AgentId, Code, Failure, OrgId, subjects};
use futures::StreamExt;
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};

use super::view::view;
use crate::{Comms, store_failure};

/// The most that one page holds.
pub const MAX_PAGE: u32 = 200;
/// Bytes of the events of one page, as JSON: a client's memory, and ours. One event that is larger is a page.
pub const MAX_BYTES: usize = 2 * 1024 * 1024;
/// Looks into the store for one page: few events of a kind in a long log must not make one call read all of it.
const MAX_LOOKS: u32 = 20;
/// Events of one look when only some kinds are wanted.
const LOOK: u32 = 50;
/// Events seldom come alone: what follows within this time goes into the same page.
const GATHER: Duration = Duration::from_millis(15);

/// A piece of an agent's log.
#[derive(Debug, Default)]
pub struct Page {
    pub events: Vec<Map<String, Value>>,
    /// Where the next page begins: after this number. What the caller passes back.
    pub cursor: i64,
    pub has_more: bool,
}

/// What a reader wants to see.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// `None`: from where the agent has acknowledged.
    pub after: Option<i64>,
    /// Such as `message.received`; empty for all.
    pub kinds: Vec<String>,
    pub limit: u32,
}

/// The log after `wanted.after`, as it stands.
pub async fn list(comms: &Comms, org: &OrgId, agent: &AgentId, wanted: &Wanted) -> Result<Page, Failure> {
    let after = match wanted.after {
        Some(after) => after.max(0),
        None => cursor(comms, agent).await?,
    };
    let limit = wanted.limit.clamp(1, MAX_PAGE);
    let mut page = Page {
        cursor: after,
        ..Page::default()
    };
    // Events of other kinds are passed over, so one page of the store may hold nothing that is wanted.
    let look = if wanted.kinds.is_empty() {
        limit
    } else {
        limit.max(LOOK)
    };
    let mut room = Room::new(limit as usize);
    for _ in 0..MAX_LOOKS {
        let events = comms
            .store
            .list_events(agent, page.cursor, look)
            .await
            .map_err(store_failure)?;
        for event in &events {
            if wanted.kinds.is_empty() || wanted.kinds.contains(&event.kind) {
                let view = view(comms, org, event);
                if !room.takes(&view) {
                    page.has_more = true;
                    return Ok(page);
                }
                page.events.push(view);
            }
            page.cursor = event.seq;
        }
        if events.len() < look as usize {
            return Ok(page);
        }
        if room.is_full() {
            break;
        }
    }
    page.has_more = true;
    Ok(page)
}

/// What is left of a page, in events and in bytes.
pub(crate) struct Room {
    events: usize,
    bytes: usize,
    is_empty: bool,
}

impl Room {
    pub(crate) fn new(events: usize) -> Self {
        Self {
            events,
            bytes: MAX_BYTES,
            is_empty: true,
        }
    }

    /// Whether this one goes into the page as well. The first one always does, or nobody would ever get past it.
    pub(crate) fn takes(&mut self, event: &Map<String, Value>) -> bool {
        let size = size(event);
        if !self.is_empty && (self.events == 0 || size > self.bytes) {
            return false;
        }
        self.is_empty = false;
        self.events = self.events.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(size);
        true
    }

    fn is_full(&self) -> bool {
        self.events == 0 || self.bytes == 0
    }
}

/// Bytes of the event as JSON.
fn size(event: &Map<String, Value>) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Counting does not fail.
    drop(serde_json::to_writer(&mut count, event));
    count.0
}

/// Like `list`, but waits for the first event. An empty page once `patience` is over.
pub async fn wait(
    comms: &Comms,
    org: &OrgId,
    agent: &AgentId,
    wanted: &Wanted,
    patience: Duration,
) -> Result<Page, Failure> {
    let deadline = Instant::now() + patience;
    let mut wanted = wanted.clone();
    // Before the first look, so that nothing can come between the two.
    let mut news = subscribe(comms, agent).await?;
    loop {
        let page = list(comms, org, agent, &wanted).await?;
        if !page.events.is_empty() || Instant::now() >= deadline {
            return Ok(page);
        }
        wanted.after = Some(page.cursor);
        if page.has_more {
            // Nothing that is wanted among so many, and there are more: nobody tells of those.
            continue;
        }
        match timeout_at(deadline, news.next()).await {
            Ok(Some(_)) => {
                // More may follow at once; the look after it takes them all.
                let gather = (Instant::now() + GATHER).min(deadline);
                while let Ok(Some(_)) = timeout_at(gather, news.next()).await {}
            }
            Ok(None) => return Err(Failure::unavailable("events can't be waited for right now")),
            Err(_) => {}
        }
    }
}

/// Told whenever the agent's log has grown. What it says is no more than that.
pub async fn subscribe(
    comms: &Comms,
    agent: &AgentId,
) -> Result<futures::stream::BoxStream<'static, butt_dial_domain::ports::bus::Message>, Failure> {
    comms
        .bus
        .subscribe(&subjects::agent_events(agent))
        .await
        .map_err(|error| {
            tracing::warn!(%error, "nobody can wait for events");
            Failure::unavailable("events can't be waited for right now")
        })
}

/// Up to where the agent has said that it has its events.
pub async fn cursor(comms: &Comms, agent: &AgentId) -> Result<i64, Failure> {
    let ends = comms.store.find_log_ends(agent).await.map_err(store_failure)?;
    Ok(ends.map_or(0, |ends| ends.event_cursor))
}

/// The latest events, oldest first.
pub async fn recent(comms: &Comms, org: &OrgId, agent: &AgentId, limit: u32) -> Result<Page, Failure> {
    let after = end(comms, agent).await? - i64::from(limit);
    let wanted = Wanted {
        after: Some(after.max(0)),
        kinds: Vec::new(),
        limit,
    };
    list(comms, org, agent, &wanted).await
}

/// The number of the latest event.
pub async fn end(comms: &Comms, agent: &AgentId) -> Result<i64, Failure> {
    let ends = comms.store.find_log_ends(agent).await.map_err(store_failure)?;
    Ok(ends.map_or(0, |ends| ends.event_seq))
}

/// Before the first event that the agent does not have, by whichever way it got the others; at the end of the log when it has
/// them all.
pub async fn unread(comms: &Comms, agent: &AgentId) -> Result<i64, Failure> {
    let Some(ends) = comms.store.find_log_ends(agent).await.map_err(store_failure)? else {
        return Ok(0);
    };
    // Asked after the log's end: what is appended in between lies behind it.
    let waiting = comms
        .store
        .find_first_waiting_event(agent)
        .await
        .map_err(store_failure)?;
    Ok(waiting.map_or(ends.event_seq, |first| ends.event_seq.min(first - 1)))
}

/// Refuses a cursor that lies beyond the end of the log: whoever read on from there would miss what comes next.
pub async fn check_cursor(comms: &Comms, agent: &AgentId, cursor: i64) -> Result<(), Failure> {
    let ends = comms.store.find_log_ends(agent).await.map_err(store_failure)?;
    if ends.is_some_and(|ends| cursor <= ends.event_seq) {
        return Ok(());
    }
    Err(
        Failure::new(Code::InvalidArgument, "the cursor is not one that was handed out")
            .remedy("pass the cursor of the last result, or leave it out"),
    )
}

/// The agent has everything up to `cursor`: what was said in it is forgotten. Returns how many events waited until now.
pub async fn acknowledge(comms: &Comms, agent: &AgentId, cursor: i64) -> Result<u64, Failure> {
    comms
        .store
        .ack_events(agent, cursor, comms.clock.now())
        .await
        .map_err(store_failure)
}

/// One event of the agent's, with what is kept of it.
pub async fn find(
    comms: &Comms,
    org: &OrgId,
    agent: &AgentId,
    id: &str,
) -> Result<Option<Map<String, Value>>, Failure> {
    if id.chars().any(char::is_control) {
        return Ok(None);
    }
    let event = comms.store.find_event(agent, id).await.map_err(store_failure)?;
    Ok(event.map(|event| view(comms, org, &event)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        delivery::view::{MESSAGE_RECEIVED, MESSAGE_STATUS},
        inbound::tests::bench::Bench,
    };

    /// Reads the log to its end: how many events each page had.
    async fn pages(bench: &Bench, kinds: &[&str], limit: u32) -> Vec<usize> {
        let (org, agent) = (&bench.agent.org_id, &bench.agent.id);
        let mut wanted = Wanted {
            after: Some(0),
            kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            limit,
        };
        let (mut pages, mut seqs) = (Vec::new(), Vec::new());
        loop {
            let page = list(&bench.comms, org, agent, &wanted).await.unwrap();
            pages.push(page.events.len());
            seqs.extend(page.events.iter().map(|event| event["seq"].as_i64().unwrap()));
            if !page.has_more {
                break;
            }
            assert!(page.cursor > wanted.after.unwrap(), "it goes on");
            wanted.after = Some(page.cursor);
        }
        assert!(seqs.is_sorted_by(|a, b| a < b), "each once, in order: {seqs:?}");
        pages
    }

    #[tokio::test]
    async fn a_page_ends_by_its_bytes_as_well() {
        let bench = Bench::new().await;
        bench.log(MESSAGE_RECEIVED, 7, 600_000).await;
        assert_eq!(pages(&bench, &[], 200).await, [3, 3, 1]);
        assert_eq!(pages(&bench, &[MESSAGE_RECEIVED], 200).await, [3, 3, 1]);
        assert_eq!(pages(&bench, &[], 2).await, [2, 2, 2, 1]);
    }

    #[tokio::test]
    async fn one_that_is_larger_than_a_page_is_a_page() {
        let bench = Bench::new().await;
        bench.log(MESSAGE_RECEIVED, 2, MAX_BYTES + 1).await;
        bench.log(MESSAGE_RECEIVED, 1, 1).await;
        assert_eq!(pages(&bench, &[], 200).await, [1, 1, 1]);
    }

    #[tokio::test]
    async fn one_call_does_not_walk_through_a_long_log_for_a_few_events() {
        let bench = Bench::new().await;
        let looked_at = (MAX_LOOKS * LOOK) as usize;
        bench.log(MESSAGE_STATUS, looked_at + 10, 1).await;
        bench.log(MESSAGE_RECEIVED, 3, 1).await;
        assert_eq!(pages(&bench, &[MESSAGE_RECEIVED], 2).await, [0, 2, 1]);
        // Who waits does not wait for news of what is there.
        let wanted = Wanted {
            after: Some(0),
            kinds: vec![MESSAGE_RECEIVED.to_owned()],
            limit: 9,
        };
        let (org, agent) = (&bench.agent.org_id, &bench.agent.id);
        let begun = Instant::now();
        let page = wait(&bench.comms, org, agent, &wanted, Duration::from_secs(60))
            .await
            .unwrap();
        assert_eq!(page.events.len(), 3);
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
}
