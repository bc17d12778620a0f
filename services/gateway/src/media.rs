//! Attachments, for whoever has a link to one. Always as a download of a harmless type: what people send is not ours to run.

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use butt_dial_comms::{
    Comms,
    media::{self, Expired},
};
use tokio::{sync::Semaphore, time::timeout};

/// Attachments that are read at once: each is in memory as a whole, encrypted and not.
static READING: Semaphore = Semaphore::const_new(8);
/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(2);
/// Seconds after which it may come again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("2");

/// Types that a browser only shows. Anything else, HTML and SVG first of all, is bytes.
const SHOWN: [&str; 4] = ["image/", "audio/", "video/", "application/pdf"];

pub fn router(comms: Comms) -> Router {
    Router::new().route("/media/{token}", get(serve)).with_state(comms)
}

async fn serve(State(comms): State<Comms>, Path(token): Path<String>) -> Response {
    let Ok(turn) = timeout(PATIENCE, READING.acquire()).await else {
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, RETRY_AFTER)]).into_response();
    };
    let opened = media::open(&comms, &token).await;
    drop(turn);
    let blob = match opened {
        Ok(blob) => blob,
        Err(Expired::Forged) => return StatusCode::NOT_FOUND.into_response(),
        Err(Expired::Gone) => return StatusCode::GONE.into_response(),
        Err(Expired::Unavailable) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
    };
    let kind = blob.meta.content_type.as_str();
    let is_shown = SHOWN.iter().any(|shown| kind.starts_with(shown)) && !kind.contains("svg");
    let kind = is_shown.then(|| HeaderValue::from_str(kind).ok()).flatten();
    let name = disposition(blob.meta.filename.as_deref());
    let headers = [
        (
            header::CONTENT_TYPE,
            kind.unwrap_or(HeaderValue::from_static("application/octet-stream")),
        ),
        (header::CONTENT_DISPOSITION, name),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; sandbox"),
        ),
    ];
    (headers, Body::from(blob.bytes)).into_response()
}

/// The name without anything that could mean something to a file system or a header.
fn disposition(name: Option<&str>) -> HeaderValue {
    let name: String = name
        .unwrap_or("attachment")
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "._- ".contains(c) {
                c
            } else {
                '_'
            }
        })
        .take(100)
        .collect();
    let name = name.trim_start_matches('.');
    HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")).unwrap_or(HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_harmless() {
        for (given, made) in [
            (None, "attachment"),
            (Some("invoice 7.pdf"), "invoice 7.pdf"),
            (Some("../../etc/passwd"), "_.._etc_passwd"),
            (Some("a\"; x=\"b\r\nSet-Cookie: c"), "a__ x__b__Set-Cookie_ c"),
            (Some("日本.png"), "__.png"),
        ] {
            assert_eq!(disposition(given), format!("attachment; filename=\"{made}\"").as_str());
        }
    }
}
