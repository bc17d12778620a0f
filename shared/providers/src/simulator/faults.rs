//! Fault injection: the middleware on a vendor's send route that applies the injected faults. Only sends fail, so that
//! reconciliation can find the truth.

use std::time::Duration;

use axum::{
    extract::{ConnectInfo, Request, State},
    http::StatusCode,
    middleware::Next,
    response::{Html, IntoResponse, Response},
};

use super::{injected_fault::InjectedFault, socket::Connection, state::SimulatorState};

/// How a vendor formats errors that all vendors have.
#[derive(Clone, Copy)]
pub struct ErrorFormat {
    /// The vendor's id.
    pub vendor: &'static str,
    /// Renders an error with this status and code; `None` for the response of a proxy.
    pub render: fn(StatusCode, Option<&str>) -> Response,
    /// The code in a 429.
    pub rate_limit_code: &'static str,
}

/// Counts the send and applies the next fault.
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
            Err(_) => (StatusCode::BAD_REQUEST, "the fault has an invalid HTTP status").into_response(),
        },
        // Only a streaming handler can apply it.
        Some(fault) => {
            request.extensions_mut().insert(fault);
            next.run(request).await
        }
    }
}

/// Holds the request until the client gives up (which drops this future) or the simulator stops.
async fn hold_request(simulator: &SimulatorState, connection: Option<ConnectInfo<Connection>>) -> Response {
    simulator.stopped().await;
    reset(connection)
}

/// Breaks the connection, so that the response is never written.
fn reset(connection: Option<ConnectInfo<Connection>>) -> Response {
    if let Some(ConnectInfo(connection)) = connection {
        connection.abort();
    }
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}
