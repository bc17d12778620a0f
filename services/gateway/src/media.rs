//! Attachments, for any client that has a link. They are served as downloads of harmless types, so that a browser never runs
//! content that a person sent.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};
use butt_dial_domain::{Code, Failure};
use butt_dial_messaging::{Media, media::LinkError};
use butt_dial_runtime::http::failure;
use tokio::{sync::Semaphore, time::timeout};

use crate::http_errors::method_not_allowed;

/// Attachments that are read concurrently. Each is held in memory twice, encrypted and decrypted.
const MAX_CONCURRENT_READS: usize = 8;
/// How long a request waits for a permit.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(2);
/// Seconds after which a refused request may be repeated.
const RETRY_AFTER: u64 = 2;

/// Types that a browser displays without running code. Other types, such as HTML and SVG, are served as bytes.
const DISPLAYED: [&str; 4] = ["image/", "audio/", "video/", "application/pdf"];

#[derive(Clone)]
struct MediaState {
    media: Arc<Media>,
    read_permits: Arc<Semaphore>,
}

pub fn router(media: Arc<Media>) -> Router {
    let state = MediaState {
        media,
        read_permits: Arc::new(Semaphore::new(MAX_CONCURRENT_READS)),
    };
    Router::new()
        .route("/media/{token}", get(serve))
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(state)
}

async fn serve(State(state): State<MediaState>, token: Result<Path<String>, PathRejection>) -> Response {
    let Ok(Path(token)) = token else {
        return failure(&invalid_link());
    };
    let Ok(permit) = timeout(PERMIT_TIMEOUT, state.read_permits.acquire()).await else {
        return failure(&Failure::unavailable("too many attachments are being read").retry_after(RETRY_AFTER));
    };
    let opened = state.media.open_link(&token).await;
    drop(permit);
    let blob = match opened {
        Ok(blob) => blob,
        Err(LinkError::Forged) => return failure(&invalid_link()),
        Err(LinkError::Gone) => return failure(&Failure::new(Code::LinkExpired, "this link has expired")),
        Err(LinkError::Unavailable) => {
            return failure(&Failure::unavailable("attachments are not available right now"));
        }
    };
    let kind = blob.meta.content_type.as_str();
    let is_displayed = DISPLAYED.iter().any(|displayed| kind.starts_with(displayed)) && !kind.contains("svg");
    let kind = is_displayed.then(|| HeaderValue::from_str(kind).ok()).flatten();
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

fn invalid_link() -> Failure {
    Failure::new(Code::NotFound, "this link is not valid")
}

/// Returns the Content-Disposition. The name has no characters with a meaning for a file system or a header.
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
    fn replaces_unsafe_characters_in_names() {
        for (name, expected) in [
            (None, "attachment"),
            (Some("invoice 7.pdf"), "invoice 7.pdf"),
            (Some("../../etc/passwd"), "_.._etc_passwd"),
            (Some("a\"; x=\"b\r\nSet-Cookie: c"), "a__ x__b__Set-Cookie_ c"),
            (Some("日本.png"), "__.png"),
        ] {
            assert_eq!(
                disposition(name),
                format!("attachment; filename=\"{expected}\"").as_str()
            );
        }
    }
}
