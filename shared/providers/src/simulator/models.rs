//! What simulated language models were asked, and how their answers leave: event by event, as the script says.
//! A record ends when the answer has left, or when the client is gone: that is how cancelling is measured.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::header,
    middleware::Next,
    response::{IntoResponse, Response, Sse, sse::Event},
};
use butt_dial_domain::clock::Timestamp;
use futures::stream;
use serde::Serialize;
use tokio::sync::watch;

use super::{misbehaviour::Misbehaviour, socket::Connection, world::World};

const KEPT: usize = 1_000;

/// One request to a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelRequest {
    pub vendor: &'static str,
    pub started_at: Timestamp,
    /// When the first words left.
    pub first_piece_at: Option<Timestamp>,
    /// `None`: it goes on.
    pub ended: Option<Ended>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "how", content = "at", rename_all = "snake_case")]
pub enum Ended {
    Finished(Timestamp),
    /// The client went away before the end.
    Cancelled(Timestamp),
}

#[derive(Default)]
pub struct Models {
    state: Mutex<Kept>,
    /// Told of every change.
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Kept {
    requests: VecDeque<ModelRequest>,
    /// The number of the oldest that is kept.
    oldest: u64,
}

impl Models {
    fn state(&self) -> MutexGuard<'_, Kept> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, request: ModelRequest) -> u64 {
        let number = {
            let mut state = self.state();
            if state.requests.len() == KEPT {
                state.requests.pop_front();
                state.oldest += 1;
            }
            state.requests.push_back(request);
            state.oldest + state.requests.len() as u64 - 1
        };
        self.changed.send_replace(());
        number
    }

    fn update(&self, number: u64, change: impl FnOnce(&mut ModelRequest)) {
        {
            let mut state = self.state();
            let place = number.checked_sub(state.oldest).and_then(|n| usize::try_from(n).ok());
            if let Some(request) = place.and_then(|place| state.requests.get_mut(place)) {
                change(request);
            }
        }
        self.changed.send_replace(());
    }
}

impl World {
    /// What models were asked, oldest first: the newest thousand.
    pub fn model_requests(&self) -> Vec<ModelRequest> {
        self.models().state().requests.iter().cloned().collect()
    }

    /// The first request to a model that fits, whether it does already or comes to fit in time.
    pub async fn wait_for_model_request(
        &self,
        fits: impl Fn(&ModelRequest) -> bool,
        timeout: Duration,
    ) -> Option<ModelRequest> {
        let mut changes = self.models().changed.subscribe();
        let search = async {
            loop {
                if let Some(found) = self.model_requests().into_iter().find(&fits) {
                    return Some(found);
                }
                changes.changed().await.ok()?;
            }
        };
        tokio::time::timeout(timeout, search).await.ok().flatten()
    }
}

/// A hold on a request's record, for as long as anybody works on the answer. Cheap to clone.
#[derive(Clone)]
pub struct Record(Arc<Open>);

struct Open {
    world: World,
    number: u64,
    connection: Option<Connection>,
}

impl Record {
    fn first_piece(&self) {
        let now = self.0.world.now();
        let note = |request: &mut ModelRequest| _ = request.first_piece_at.get_or_insert(now);
        self.0.world.models().update(self.0.number, note);
    }

    fn finish(&self) {
        self.0.end(Ended::Finished);
    }
}

impl Open {
    fn end(&self, how: fn(Timestamp) -> Ended) {
        let now = self.world.now();
        let note = |request: &mut ModelRequest| _ = request.ended.get_or_insert(how(now));
        self.world.models().update(self.number, note);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // Nobody had said that it is finished, so the server let go of it: the client is gone.
        self.end(Ended::Cancelled);
    }
}

/// Records what a model is asked. Stands around everything that may take time.
pub async fn around_a_request(
    State((world, vendor)): State<(World, &'static str)>,
    mut request: Request,
    next: Next,
) -> Response {
    let number = world.models().begin(ModelRequest {
        vendor,
        started_at: world.now(),
        first_piece_at: None,
        ended: None,
    });
    let connection = request.extensions().get::<ConnectInfo<Connection>>();
    let connection = connection.map(|ConnectInfo(connection)| connection.clone());
    let record = Record(Arc::new(Open {
        world,
        number,
        connection,
    }));
    request.extensions_mut().insert(record.clone());
    let response = next.run(request).await;
    let kind = response.headers().get(header::CONTENT_TYPE);
    if kind.is_none_or(|kind| !kind.as_bytes().starts_with(b"text/event-stream")) {
        record.finish();
    }
    response
}

/// An answer in events.
pub struct Script {
    /// Before the first words.
    pub opening: Vec<Event>,
    pub pieces: Vec<Event>,
    pub closing: Vec<Event>,
    /// How the vendor says that something went wrong after all.
    pub error: fn(&str) -> Event,
}

enum Step {
    Send(Event),
    Piece(Event),
    Pause(Duration),
    Finish,
    Stall,
    Reset,
}

impl Script {
    /// Streams it, in the way that was ordered.
    pub fn play(self, record: Record, fault: Option<&Misbehaviour>) -> Response {
        let steps = self.steps(fault);
        let events = stream::unfold((steps, record), |(mut steps, record)| async move {
            loop {
                let event = match steps.pop_front()? {
                    Step::Send(event) => event,
                    Step::Piece(event) => {
                        record.first_piece();
                        event
                    }
                    Step::Pause(pause) => {
                        tokio::time::sleep(pause).await;
                        continue;
                    }
                    Step::Finish => {
                        record.finish();
                        continue;
                    }
                    Step::Stall => {
                        record.0.world.stopped().await;
                        return None;
                    }
                    Step::Reset => {
                        record.finish();
                        if let Some(connection) = &record.0.connection {
                            connection.abort();
                        }
                        return Some((Err(io::Error::from(io::ErrorKind::ConnectionReset)), (steps, record)));
                    }
                };
                return Some((Ok(event), (steps, record)));
            }
        });
        Sse::new(events).into_response()
    }

    fn steps(self, fault: Option<&Misbehaviour>) -> VecDeque<Step> {
        let mut steps: VecDeque<Step> = self.opening.into_iter().map(Step::Send).collect();
        let cut = match fault {
            Some(Misbehaviour::StallMidStream) => vec![Step::Stall],
            Some(Misbehaviour::EndMidStream) => vec![Step::Finish],
            Some(Misbehaviour::ResetMidStream) => vec![Step::Reset],
            Some(Misbehaviour::ErrorMidStream { code }) => vec![Step::Send((self.error)(code))],
            _ => Vec::new(),
        };
        let pause = match fault {
            Some(Misbehaviour::Trickle { delay_ms }) => Some(Duration::from_millis(*delay_ms)),
            _ => None,
        };
        let whole = self.pieces.len();
        let kept = if cut.is_empty() { whole } else { whole.div_ceil(2) };
        for piece in self.pieces.into_iter().take(kept) {
            steps.extend(pause.map(Step::Pause));
            steps.push_back(Step::Piece(piece));
        }
        if cut.is_empty() {
            steps.extend(self.closing.into_iter().map(Step::Send));
        } else {
            steps.extend(cut);
        }
        // A client may go as soon as it has the last event, which must not count as a cancellation.
        let last = steps.len().saturating_sub(1);
        if matches!(steps.back(), Some(Step::Send(_))) {
            steps.insert(last, Step::Finish);
        }
        steps
    }
}

/// The JSON of an event.
pub fn data(event: Event, data: &serde_json::Value) -> Event {
    event.data(data.to_string())
}
