//! Responses of calls that wait: headers and comments while there is no result yet, so that clients and proxies, which give
//! up on a silent connection, see that the server works.

use std::{convert::Infallible, pin::Pin, time::Duration};

use axum::{
    body::{Body, to_bytes},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use butt_dial_domain::Failure;
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use rmcp::model::{RequestId, ServerJsonRpcMessage};
use serde_json::Value;
use tokio::time::{Interval, interval, timeout};

use super::{
    accept::{event, is_event_stream},
    event_stream::error_of,
    state::KEEP_ALIVE,
};

/// A response within this time is sent as it is. Shorter than the read timeouts of clients and proxies.
const PROMPT: Duration = Duration::from_secs(5);

type Pending = Pin<Box<dyn Future<Output = Response> + Send>>;

/// Returns the response, or, if it takes long, an event stream that ends with it. Dropping the stream drops `pending`.
pub async fn respond(pending: impl Future<Output = Response> + Send + 'static, id: Option<RequestId>) -> Response {
    let mut pending: Pending = Box::pin(pending);
    if let Ok(response) = timeout(PROMPT, &mut pending).await {
        return response;
    }
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (
            header::HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    (headers, Body::from_stream(events(pending, id).map(Ok::<_, Infallible>))).into_response()
}

enum State {
    Waiting(Pending, Interval, Option<RequestId>),
    Forwarding(axum::body::BodyDataStream),
}

fn events(pending: Pending, id: Option<RequestId>) -> impl Stream<Item = Bytes> + Send {
    // The first tick is immediate: the first comment follows the headers.
    let state = State::Waiting(pending, interval(KEEP_ALIVE), id);
    stream::unfold(Some(state), async |state| match state? {
        State::Waiting(mut pending, mut ticks, id) => tokio::select! {
            response = &mut pending => {
                if is_event_stream(&response) {
                    let mut body = response.into_body().into_data_stream();
                    let first = body.next().await?.ok()?;
                    return Some((first, Some(State::Forwarding(body))));
                }
                Some((event(&message(response, id).await), None))
            }
            _ = ticks.tick() => Some((Bytes::from_static(b": waiting\n\n"), Some(State::Waiting(pending, ticks, id)))),
        },
        State::Forwarding(mut body) => {
            let next = body.next().await?.ok()?;
            Some((next, Some(State::Forwarding(body))))
        }
    })
}

/// Returns the JSON-RPC message of a response. The status has been sent, so that a refusal becomes an error message.
async fn message(response: Response, id: Option<RequestId>) -> Bytes {
    // The response is our own.
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap_or_default();
    let is_message = serde_json::from_slice::<Value>(&body).is_ok_and(|body| body.get("jsonrpc").is_some());
    if is_message {
        return body;
    }
    let error = ServerJsonRpcMessage::error(error_of(&Failure::internal()), id);
    serde_json::to_vec(&error).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn late_response_follows_headers_and_comments() {
        let json = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        let pending = async move {
            tokio::time::sleep(Duration::from_secs(40)).await; // not a synchronisation: the time is paused
            ([(header::CONTENT_TYPE, "application/json")], json).into_response()
        };
        let response = respond(pending, None).await;
        assert!(is_event_stream(&response));
        let body = to_bytes(response.into_body(), 1000).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert_eq!(text.matches(": waiting\n\n").count(), 3, "{text}");
        assert!(text.ends_with(&format!("event: message\ndata: {json}\n\n")), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn prompt_response_stays_as_it_is() {
        let response = respond(async { "x".into_response() }, None).await;
        assert!(!is_event_stream(&response));
    }
}
