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
    loop {
        let events = comms
            .store
            .list_events(agent, page.cursor, limit)
            .await
            .map_err(store_failure)?;
        let is_last = events.len() < limit as usize;
        for event in &events {
            if page.events.len() == limit as usize {
                page.has_more = true;
                return Ok(page);
            }
            if wanted.kinds.is_empty() || wanted.kinds.contains(&event.kind) {
                page.events.push(view(comms, org, event));
            }
            page.cursor = event.seq;
        }
        if is_last {
            return Ok(page);
        }
        if page.events.len() == limit as usize {
            page.has_more = true;
            return Ok(page);
        }
    }
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

/// Before the first event that the agent does not have, by whichever way it got the others; at the end of the log when it has
/// them all.
pub async fn unread(comms: &Comms, agent: &AgentId) -> Result<i64, Failure> {
    let Some(ends) = comms.store.find_log_ends(agent).await.map_err(store_failure)? else {
        return Ok(0);
    };
    // Asked after the log's end: what is appended in between lies behind it.
    if comms.store.count_waiting_events(agent).await.map_err(store_failure)? == 0 {
        return Ok(ends.event_seq);
    }
    let mut position = ends.event_cursor;
    loop {
        let events = comms
            .store
            .list_events(agent, position, MAX_PAGE)
            .await
            .map_err(store_failure)?;
        for event in &events {
            if event.state == "waiting" {
                return Ok(position);
            }
            position = event.seq;
        }
        if events.len() < MAX_PAGE as usize {
            return Ok(position);
        }
    }
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
