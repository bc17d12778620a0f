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

use super::{socket::Connection, state::SimulatorState};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum InjectedFault {
    /// Takes the message, and hold_request answers.
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
    /// Takes the message, and resets the connection without an response.
    ResetAfterAccept,
    /// 200 with a page of HTML, as a captive portal would response; not taken.
    Nonsense,
    /// Takes the message, and answers late.
    Slow { delay_ms: u64 },
    /// One of the vendor's own errors; not taken.
    Refuse { status: u16, code: String },
    /// Of a model: begins to response, and says nothing more.
    StallMidStream,
    /// Of a model: begins to response, and the response ends without its end.
    EndMidStream,
    /// Of a model: begins to response, and resets the connection.
    ResetMidStream,
    /// Of a model: begins to response, then one of the vendor's own errors.
    ErrorMidStream { code: String },
    /// Of a model: answers with so long before each piece.
    Trickle { delay_ms: u64 },
    /// Of a model: does not want to response.
    Decline,
}

/// How a vendor words what every vendor can say.
#[derive(Clone, Copy)]
pub struct ErrorFormat {
    /// The vendor's id.
    pub vendor: &'static str,
    /// The body of an error with this status and code; `None` for an response from a machine in front of the vendor.
    pub render: fn(StatusCode, Option<&str>) -> Response,
    /// What stands in a 429.
    pub rate_limit_code: &'static str,
}

/// Counts the send, and misbehaves if the simulator says so.
pub async fn inject_faults(
    State((simulator, format)): State<(SimulatorState, ErrorFormat)>,
    mut request: Request,
    next: Next,
) -> Response {
    let connection = request.extensions().get::<ConnectInfo<Connection>>().cloned();
    match simulator.start_send(format.vendor) {
        None => next.run(request).await,
        Some(InjectedFault::TimeoutAfterAccept) => {
            next.run(request).await;
            hold_request(&simulator, connection).await
        }
        Some(InjectedFault::StallBeforeAccept) => hold_request(&simulator, connection).await,
        Some(InjectedFault::RateLimit { retry_after }) => {
            let response = (format.render)(StatusCode::TOO_MANY_REQUESTS, Some(format.rate_limit_code));
            match retry_after {
                Some(seconds) => ([("retry-after", seconds.to_string())], response).into_response(),
                None => response,
            }
        }
        Some(InjectedFault::ServerError) => (format.render)(StatusCode::SERVICE_UNAVAILABLE, None),
        Some(InjectedFault::ServerErrorAfterAccept) => {
            next.run(request).await;
            (format.render)(StatusCode::INTERNAL_SERVER_ERROR, None)
        }
        Some(InjectedFault::ResetAfterAccept) => {
            next.run(request).await;
            reset(connection)
        }
        Some(InjectedFault::Nonsense) => {
            Html("<!doctype html><title>Welcome</title><p>Log in to use the network.").into_response()
        }
        Some(InjectedFault::Slow { delay_ms }) => {
            let response = next.run(request).await;
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            response
        }
        Some(InjectedFault::Refuse { status, code }) => match StatusCode::from_u16(status) {
            Ok(status) => (format.render)(status, Some(&code)),
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
async fn hold_request(simulator: &SimulatorState, connection: Option<ConnectInfo<Connection>>) -> Response {
    simulator.stopped().await;
    reset(connection)
}

/// The response is hold_request written: the connection that it would go through is broken.
fn reset(connection: Option<ConnectInfo<Connection>>) -> Response {
    if let Some(ConnectInfo(connection)) = connection {
        connection.abort();
    }
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}
