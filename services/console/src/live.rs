//! Live parts of pages, as server-sent events. A stream sends a part again when it has changed, and ends with its session.
//! Streams read the shared state, so they show what other replicas do.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::{Path, Query, State},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures::{Stream, stream};
use maud::Markup;
use tokio::time::sleep;

use crate::{
    app::App,
    member::Member,
    open_sessions::Watching,
    pages::{call, inbox, message, messages, overview, simulator},
};

/// How often a part is looked at. Below the 300 ms within which a page shows a fact.
const INTERVAL: Duration = Duration::from_millis(250);
/// The same for parts that cost more.
const SLOW_INTERVAL: Duration = Duration::from_secs(2);
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The part of a page that a stream renders.
enum Part {
    Overview,
    Newer(messages::Query),
    Message(String),
    /// Of a message that is on its way: the page is loaded again when it has arrived.
    Arrival(String),
    Call(String),
    Inbox(inbox::Query),
    /// The telephone of a simulated person.
    Phone(String),
    /// The list of simulated people, with the chosen one.
    Phones(String),
}

impl Part {
    fn interval(&self) -> Duration {
        match self {
            Self::Overview | Self::Newer(_) | Self::Inbox(_) => SLOW_INTERVAL,
            Self::Message(_) | Self::Arrival(_) | Self::Call(_) | Self::Phone(_) | Self::Phones(_) => INTERVAL,
        }
    }

    /// Renders the part. `None`: it can't be read right now.
    async fn render(&self, app: &App, member: &Member) -> Option<Arc<str>> {
        if let Self::Overview = self {
            return overview::live_part(app, member).await.ok();
        }
        let markup = self.render_own(app, member).await?;
        Some(markup.into_string().into())
    }

    /// Renders a part that no other page shares.
    async fn render_own(&self, app: &App, member: &Member) -> Option<Markup> {
        match self {
            Self::Overview => None,
            Self::Newer(query) => messages::newer(app, member, query).await.ok(),
            Self::Message(id) => message::live_part(app, member, id).await.ok(),
            Self::Arrival(id) => message::state(app, member, id).await.ok(),
            Self::Call(id) => call::live_part(app, member, id).await.ok(),
            Self::Inbox(query) => inbox::live_thread(app, member, query).await.ok(),
            Self::Phone(person) => simulator::live_thread(app, member, person).await.ok(),
            Self::Phones(person) => simulator::live_people(app, member, person).await.ok(),
        }
    }
}

struct Watch {
    app: App,
    member: Member,
    part: Part,
    last: Option<Arc<str>>,
    session: Watching,
    is_over: bool,
}

/// `GET /live/overview`
pub async fn overview(State(app): State<App>, member: Member) -> Response {
    stream_of(app, member, Part::Overview)
}

/// `GET /live/messages`
pub async fn messages(State(app): State<App>, member: Member, Query(query): Query<messages::Query>) -> Response {
    stream_of(app, member, Part::Newer(query))
}

/// `GET /live/messages/{id}`
pub async fn message(State(app): State<App>, member: Member, Path(id): Path<String>) -> Response {
    stream_of(app, member, Part::Message(id))
}

/// `GET /live/arrival/{id}`
pub async fn arrival(State(app): State<App>, member: Member, Path(id): Path<String>) -> Response {
    stream_of(app, member, Part::Arrival(id))
}

/// `GET /live/calls/{id}`
pub async fn call(State(app): State<App>, member: Member, Path(id): Path<String>) -> Response {
    stream_of(app, member, Part::Call(id))
}

/// `GET /live/inbox`
pub async fn inbox(State(app): State<App>, member: Member, Query(query): Query<inbox::Query>) -> Response {
    stream_of(app, member, Part::Inbox(query))
}

/// `GET /live/phone`
pub async fn phone(State(app): State<App>, member: Member, Query(query): Query<simulator::Query>) -> Response {
    stream_of(app, member, Part::Phone(query.person))
}

/// `GET /live/phones`
pub async fn phones(State(app): State<App>, member: Member, Query(query): Query<simulator::Query>) -> Response {
    stream_of(app, member, Part::Phones(query.person))
}

fn stream_of(app: App, member: Member, part: Part) -> Response {
    let watch = Watch {
        session: app.watch_session(&member),
        app,
        member,
        part,
        last: None,
        is_over: false,
    };
    Sse::new(events(watch))
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response()
}

fn events(watch: Watch) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(watch, |mut watch| async move {
        let event = watch.next().await?;
        Some((Ok(event), watch))
    })
}

impl Watch {
    /// Waits for the next change. `None` ends the stream: the browser opens it again, on another replica.
    async fn next(&mut self) -> Option<Event> {
        if self.is_over {
            return None;
        }
        loop {
            if self.session.ended().is_cancelled() {
                self.is_over = true;
                return Some(Event::default().event("session-ended").data("sign in again"));
            }
            if let Some(text) = self.part.render(&self.app, &self.member).await {
                if matches!(self.part, Part::Arrival(_)) && message::has_arrived(&text) {
                    self.is_over = true;
                    return Some(Event::default().event("reload-page").data("arrived"));
                }
                if self.last.as_ref() != Some(&text) {
                    self.last = Some(text.clone());
                    return Some(Event::default().data(text));
                }
            }
            tokio::select! {
                () = self.app.draining().cancelled() => return None,
                () = self.session.ended().cancelled() => {}
                () = sleep(self.part.interval()) => {}
            }
        }
    }
}
