//! Requests to simulated language models and their streamed replies. The record of a request ends when the reply was
//! sent or the client disconnected, which measures cancellation.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::header,
    middleware::Next,
    response::{IntoResponse, Response, Sse, sse::Event},
};
use butt_dial_domain::clock::Timestamp;
use futures::stream;

use super::{
    injected_fault::InjectedFault,
    model_request::{ModelRequest, RequestEnd},
    socket::Connection,
    state::SimulatorState,
};

impl SimulatorState {
    /// Returns the newest thousand requests, oldest first.
    pub fn model_requests(&self) -> Vec<ModelRequest> {
        self.model_request_log().all()
    }

    /// Waits for the first request that matches, including existing ones.
    pub async fn wait_for_model_request(
        &self,
        fits: impl Fn(&ModelRequest) -> bool,
        timeout: Duration,
    ) -> Option<ModelRequest> {
        let mut changes = self.model_request_log().changes();
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

/// Keeps the record of a request open while a clone exists. Cheap to clone.
#[derive(Clone)]
pub struct RequestGuard(Arc<OpenRequest>);

struct OpenRequest {
    simulator: SimulatorState,
    number: u64,
    connection: Option<Connection>,
}

impl RequestGuard {
    fn first_piece(&self) {
        let now = self.0.simulator.now();
        let set = |request: &mut ModelRequest| _ = request.first_piece_at.get_or_insert(now);
        self.0.simulator.model_request_log().update(self.0.number, set);
    }

    fn finish(&self) {
        self.0.end(RequestEnd::Finished);
    }
}

impl OpenRequest {
    fn end(&self, end: fn(Timestamp) -> RequestEnd) {
        let now = self.simulator.now();
        let set = |request: &mut ModelRequest| _ = request.ended.get_or_insert(end(now));
        self.simulator.model_request_log().update(self.number, set);
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        // Dropped without `finish`: the client disconnected.
        self.end(RequestEnd::Cancelled);
    }
}

/// Records the requests to a model. Wraps all layers that can take time.
pub async fn record_requests(
    State((simulator, vendor)): State<(SimulatorState, &'static str)>,
    mut request: Request,
    next: Next,
) -> Response {
    let number = simulator.model_request_log().push(ModelRequest {
        vendor,
        started_at: simulator.now(),
        first_piece_at: None,
        ended: None,
    });
    let connection = request.extensions().get::<ConnectInfo<Connection>>();
    let connection = connection.map(|ConnectInfo(connection)| connection.clone());
    let guard = RequestGuard(Arc::new(OpenRequest {
        simulator,
        number,
        connection,
    }));
    request.extensions_mut().insert(guard.clone());
    let response = next.run(request).await;
    let kind = response.headers().get(header::CONTENT_TYPE);
    if kind.is_none_or(|kind| !kind.as_bytes().starts_with(b"text/event-stream")) {
        guard.finish();
    }
    response
}

/// A reply as stream events.
pub struct StreamedAnswer {
    /// Before the first text.
    pub opening: Vec<Event>,
    pub pieces: Vec<Event>,
    pub closing: Vec<Event>,
    /// Renders an error in the middle of the stream.
    pub error: fn(&str) -> Event,
}

enum StreamStep {
    Send(Event),
    Piece(Event),
    Pause(Duration),
    Finish,
    Stall,
    Reset,
}

impl StreamedAnswer {
    /// Streams the events, changed by the fault.
    pub fn into_response_with(self, guard: RequestGuard, fault: Option<&InjectedFault>) -> Response {
        let steps = self.steps(fault);
        let events = stream::unfold((steps, guard), |(mut steps, guard)| async move {
            loop {
                let event = match steps.pop_front()? {
                    StreamStep::Send(event) => event,
                    StreamStep::Piece(event) => {
                        guard.first_piece();
                        event
                    }
                    StreamStep::Pause(pause) => {
                        tokio::time::sleep(pause).await;
                        continue;
                    }
                    StreamStep::Finish => {
                        guard.finish();
                        continue;
                    }
                    StreamStep::Stall => {
                        guard.0.simulator.stopped().await;
                        return None;
                    }
                    StreamStep::Reset => {
                        guard.finish();
                        if let Some(connection) = &guard.0.connection {
                            connection.abort();
                        }
                        return Some((Err(io::Error::from(io::ErrorKind::ConnectionReset)), (steps, guard)));
                    }
                };
                return Some((Ok(event), (steps, guard)));
            }
        });
        Sse::new(events).into_response()
    }

    fn steps(self, fault: Option<&InjectedFault>) -> VecDeque<StreamStep> {
        let mut steps: VecDeque<StreamStep> = self.opening.into_iter().map(StreamStep::Send).collect();
        let cut = match fault {
            Some(InjectedFault::StallMidStream) => vec![StreamStep::Stall],
            Some(InjectedFault::EndMidStream) => vec![StreamStep::Finish],
            Some(InjectedFault::ResetMidStream) => vec![StreamStep::Reset],
            Some(InjectedFault::ErrorMidStream { code }) => vec![StreamStep::Send((self.error)(code))],
            _ => Vec::new(),
        };
        let pause = match fault {
            Some(InjectedFault::Trickle { delay_ms }) => Some(Duration::from_millis(*delay_ms)),
            _ => None,
        };
        let whole = self.pieces.len();
        let kept = if cut.is_empty() { whole } else { whole.div_ceil(2) };
        for piece in self.pieces.into_iter().take(kept) {
            steps.extend(pause.map(StreamStep::Pause));
            steps.push_back(StreamStep::Piece(piece));
        }
        if cut.is_empty() {
            steps.extend(self.closing.into_iter().map(StreamStep::Send));
        } else {
            steps.extend(cut);
        }
        // A client can disconnect after the last event, which must not count as a cancellation.
        let last = steps.len().saturating_sub(1);
        if matches!(steps.back(), Some(StreamStep::Send(_))) {
            steps.insert(last, StreamStep::Finish);
        }
        steps
    }
}

/// Sets the data of an event to this JSON.
pub fn with_json(event: Event, value: &serde_json::Value) -> Event {
    event.data(value.to_string())
}
