//! The media types that a client accepts, and responses converted to them. MCP wants clients to accept JSON and event
//! streams; many accept anything, name nothing, or want one of both.

use std::convert::Infallible;

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use butt_dial_domain::Failure;
use butt_dial_runtime::http::failure;
use bytes::{BufMut, Bytes, BytesMut};
use futures::StreamExt;
use serde_json::Value;
use sse_stream::SseStream;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub json: bool,
    pub events: bool,
}

impl Accepted {
    /// Reads the header `Accept` (RFC 9110 12.5.1). Without it, everything is accepted.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut accepted = Self {
            json: false,
            events: false,
        };
        let mut is_absent = true;
        for value in headers.get_all(header::ACCEPT) {
            for range in value.to_str().unwrap_or_default().split(',') {
                let mut parts = range.split(';').map(str::trim);
                let Some(media_type) = parts.next().filter(|name| !name.is_empty()) else {
                    continue;
                };
                is_absent = false;
                if parts.any(is_zero_quality) {
                    continue;
                }
                let is = |name: &str| media_type.eq_ignore_ascii_case(name);
                accepted.json |= is("*/*") || is("application/*") || is("application/json");
                accepted.events |= is("*/*") || is("text/*") || is("text/event-stream");
            }
        }
        if is_absent {
            return Self {
                json: true,
                events: true,
            };
        }
        accepted
    }

    /// Writes the header that rmcp requires of a client that accepts at least one of the types.
    pub fn widen(self, headers: &mut HeaderMap) {
        if self.json || self.events {
            headers.insert(header::ACCEPT, BOTH);
        }
    }

    /// Converts a response to a type that the client accepts.
    pub async fn convert(self, response: Response) -> Response {
        if self.json && !self.events && has_type(&response, &EVENTS) {
            return only_response(response).await;
        }
        if self.events && !self.json && has_type(&response, &JSON) && response.status().is_success() {
            return as_event(response).await;
        }
        response
    }
}

fn is_zero_quality(parameter: &str) -> bool {
    let quality = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="));
    quality.is_some_and(|quality| quality.trim().parse::<f32>() == Ok(0.0))
}

pub fn has_type(response: &Response, media_type: &HeaderValue) -> bool {
    let found = response.headers().get(header::CONTENT_TYPE);
    found.is_some_and(|value| value.as_bytes().starts_with(media_type.as_bytes()))
}

pub fn is_event_stream(response: &Response) -> bool {
    has_type(response, &EVENTS)
}

/// Returns a message as an event of a stream.
pub fn event(message: &[u8]) -> Bytes {
    let mut event = BytesMut::with_capacity(message.len() + 32);
    event.put_slice(b"event: message\n");
    // JSON has line breaks only between its tokens.
    for line in message.split(|byte| *byte == b'\n') {
        event.put_slice(b"data: ");
        event.put_slice(line);
        event.put_u8(b'\n');
    }
    event.put_u8(b'\n');
    event.freeze()
}

/// Reads a stream to the response in it. Its notifications have no place in a JSON body.
async fn only_response(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let mut events = SseStream::from_bytes_stream(body.into_data_stream());
    while let Some(Ok(event)) = events.next().await {
        let data = event.data.unwrap_or_default();
        let message: Option<Value> = serde_json::from_str(&data).ok();
        if message.is_some_and(|message| message.get("result").is_some() || message.get("error").is_some()) {
            parts.headers.insert(header::CONTENT_TYPE, JSON);
            return Response::from_parts(parts, Body::from(data));
        }
    }
    failure(&Failure::internal())
}

async fn as_event(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    // The response is our own.
    let Ok(message) = to_bytes(body, usize::MAX).await else {
        return failure(&Failure::internal());
    };
    parts.headers.insert(header::CONTENT_TYPE, EVENTS);
    parts.headers.remove(header::CONTENT_LENGTH);
    let events = futures::stream::iter([Ok::<_, Infallible>(event(&message))]);
    Response::from_parts(parts, Body::from_stream(events))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(values: &[&'static str]) -> (bool, bool) {
        let headers = values
            .iter()
            .map(|value| (header::ACCEPT, HeaderValue::from_static(value)))
            .collect();
        let accepted = Accepted::of(&headers);
        (accepted.json, accepted.events)
    }

    #[test]
    fn reads_ranges_of_media_types() {
        for (values, expected) in [
            (&[][..], (true, true)),
            (&[""], (true, true)),
            (&["*/*"], (true, true)),
            (&["application/*, text/*"], (true, true)),
            (&["application/json", "text/event-stream"], (true, true)),
            (&["application/json;charset=utf-8"], (true, false)),
            (&["text/event-stream; q=0.5"], (false, true)),
            (&["application/json, text/event-stream;q=0"], (true, false)),
            (&["text/html"], (false, false)),
        ] {
            assert_eq!(accepted(values), expected, "{values:?}");
        }
    }

    #[tokio::test]
    async fn json_client_gets_only_the_response_of_a_stream() {
        let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{}}"#;
        let result = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        let stream = [
            ": waiting\n\n".into(),
            event(progress.as_bytes()),
            event(result.as_bytes()),
        ];
        let body = Body::from_stream(futures::stream::iter(stream.map(Ok::<Bytes, Infallible>)));
        let response = Response::builder()
            .header(header::CONTENT_TYPE, EVENTS)
            .body(body)
            .unwrap();
        let json_only = Accepted {
            json: true,
            events: false,
        };
        let converted = json_only.convert(response).await;
        assert!(has_type(&converted, &JSON));
        assert_eq!(to_bytes(converted.into_body(), 1000).await.unwrap(), result);
    }
}
