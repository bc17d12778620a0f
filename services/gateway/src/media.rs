//! Attachments, for any client that has a link. They are served as downloads of harmless types, so that a browser never runs
//! content that a person sent.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};
use butt_dial_domain::{Code, Failure};
use butt_dial_messaging::{
    Media,
    media::{LinkError, OpenBlob},
};
use butt_dial_runtime::http::failure;
use bytes::Bytes;
use futures::stream::{self, Stream};

use crate::http_errors::method_not_allowed;

/// An attachment is sent in pieces of this size. A piece is a copy, so that a slow reader holds a few pieces at the end and not
/// the whole attachment.
const PIECE_BYTES: usize = 64 * 1024;
/// The time for an attachment, and for each further piece of it: a reader of less than 32 KiB/s is given up on.
const BASE_TIMEOUT: Duration = Duration::from_secs(30);
const PIECE_TIMEOUT: Duration = Duration::from_secs(2);
/// Seconds after which a refused request may be repeated.
const RETRY_AFTER: u64 = 2;

/// Types that a browser displays without running code. Other types, such as HTML and SVG, are served as bytes.
const DISPLAYED: [&str; 4] = ["image/", "audio/", "video/", "application/pdf"];

pub fn router(media: Arc<Media>) -> Router {
    Router::new()
        .route("/media/{token}", get(serve))
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(media)
}

async fn serve(State(media): State<Arc<Media>>, token: Result<Path<String>, PathRejection>) -> Response {
    let Ok(Path(token)) = token else {
        return failure(&invalid_link());
    };
    let blob = match media.open_link(&token).await {
        Ok(blob) => blob,
        Err(LinkError::Forged) => return failure(&invalid_link()),
        Err(LinkError::Gone) => return failure(&Failure::new(Code::LinkExpired, "this link has expired")),
        Err(LinkError::Unavailable) => {
            let failed = Failure::unavailable("attachments are not available right now");
            return failure(&failed.retry_after(RETRY_AFTER));
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
    let length = [(header::CONTENT_LENGTH, HeaderValue::from(blob.bytes.len()))];
    (headers, length, Body::from_stream(pieces(blob))).into_response()
}

/// The reader was too slow.
#[derive(Debug, thiserror::Error)]
#[error("the attachment was not read in time")]
struct TooSlow;

/// Sends the blob in pieces, and holds its memory until the last one. The connection has a deadline for each piece besides.
fn pieces(blob: OpenBlob) -> impl Stream<Item = Result<Bytes, TooSlow>> {
    let count = u32::try_from(blob.bytes.len().div_ceil(PIECE_BYTES)).unwrap_or(u32::MAX);
    let deadline = Instant::now() + BASE_TIMEOUT + PIECE_TIMEOUT.saturating_mul(count);
    let piece = move |index: usize| {
        let start = index * PIECE_BYTES;
        let rest = blob.bytes.get(start..).filter(|rest| !rest.is_empty())?;
        if Instant::now() > deadline {
            return Some(Err(TooSlow));
        }
        Some(Ok(Bytes::copy_from_slice(&rest[..rest.len().min(PIECE_BYTES)])))
    };
    stream::iter((0..).map_while(piece))
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
