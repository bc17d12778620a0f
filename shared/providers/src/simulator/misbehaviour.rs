//! How a simulated vendor can be told to behave badly, and the layer around its send route that does so.
//! Only sends misbehave: what looks for the truth afterwards must be able to find it.

use std::time::Duration;

use axum::{
    extract::{ConnectInfo, Request, State},
    http::StatusCode,
    middleware::Next,
    response::{Html, IntoResponse, Response},
};
use serde::{Deserialize, Serialize};

use super::{socket::Connection, world::World};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Misbehaviour {
    /// Takes the message, and never answers.
    TimeoutAfterAccept,
    /// Neither takes the message nor answers.
    StallBeforeAccept,
    /// 429; not taken.
    RateLimit {
        /// Seconds, for `Retry-After`.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// 503; not taken.
    ServerError,
    /// 500, although the message was taken.
    ServerErrorAfterAccept,
    /// Takes the message, and resets the connection without an answer.
    ResetAfterAccept,
    /// 200 with a page of HTML, as a captive portal would answer; not taken.
    Nonsense,
    /// Takes the message, and answers late.
    Slow { delay_ms: u64 },
    /// One of the vendor's own errors; not taken.
    Refuse { status: u16, code: String },
    /// Of a model: begins to answer, and says nothing more.
    StallMidStream,
    /// Of a model: begins to answer, and the answer ends without its end.
    EndMidStream,
    /// Of a model: begins to answer, and resets the connection.
    ResetMidStream,
    /// Of a model: begins to answer, then one of the vendor's own errors.
    ErrorMidStream { code: String },
    /// Of a model: answers with so long before each piece.
    Trickle { delay_ms: u64 },
    /// Of a model: does not want to answer.
    Decline,
}

/// How a vendor words what every vendor can say.
#[derive(Clone, Copy)]
pub struct Voice {
    /// The vendor's id.
    pub vendor: &'static str,
    /// The body of an error with this status and code; `None` for an answer from a machine in front of the vendor.
    pub error: fn(StatusCode, Option<&str>) -> Response,
    /// What stands in a 429.
    pub too_fast: &'static str,
}

/// Counts the send, and misbehaves if the world says so.
pub async fn around_a_send(State((world, voice)): State<(World, Voice)>, mut request: Request, next: Next) -> Response {
    let connection = request.extensions().get::<ConnectInfo<Connection>>().cloned();
    match world.begin_send(voice.vendor) {
        None => next.run(request).await,
        Some(Misbehaviour::TimeoutAfterAccept) => {
            next.run(request).await;
            never(&world, connection).await
        }
        Some(Misbehaviour::StallBeforeAccept) => never(&world, connection).await,
        Some(Misbehaviour::RateLimit { retry_after }) => {
            let answer = (voice.error)(StatusCode::TOO_MANY_REQUESTS, Some(voice.too_fast));
            match retry_after {
                Some(seconds) => ([("retry-after", seconds.to_string())], answer).into_response(),
                None => answer,
            }
        }
        Some(Misbehaviour::ServerError) => (voice.error)(StatusCode::SERVICE_UNAVAILABLE, None),
        Some(Misbehaviour::ServerErrorAfterAccept) => {
            next.run(request).await;
            (voice.error)(StatusCode::INTERNAL_SERVER_ERROR, None)
        }
        Some(Misbehaviour::ResetAfterAccept) => {
            next.run(request).await;
            reset(connection)
        }
        Some(Misbehaviour::Nonsense) => {
            Html("<!doctype html><title>Welcome</title><p>Log in to use the network.").into_response()
        }
        Some(Misbehaviour::Slow { delay_ms }) => {
            let answer = next.run(request).await;
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            answer
        }
        Some(Misbehaviour::Refuse { status, code }) => match StatusCode::from_u16(status) {
            Ok(status) => (voice.error)(status, Some(&code)),
            Err(_) => (StatusCode::BAD_REQUEST, "no such HTTP status").into_response(),
        },
        // Only who streams can do it.
        Some(fault) => {
            request.extensions_mut().insert(fault);
            next.run(request).await
        }
    }
}

/// Holds the request until the client gives up (its future is dropped then) or the simulator stops.
async fn never(world: &World, connection: Option<ConnectInfo<Connection>>) -> Response {
    world.stopped().await;
    reset(connection)
}

/// The answer is never written: the connection that it would go through is broken.
fn reset(connection: Option<ConnectInfo<Connection>>) -> Response {
    if let Some(ConnectInfo(connection)) = connection {
        connection.abort();
    }
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}
