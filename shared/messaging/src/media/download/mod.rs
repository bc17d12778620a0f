//! Downloads an attachment from the address that the carrier gives. The address and the size are not trusted; the carrier's
//! credentials are sent to the carrier only.

#[cfg(test)]
mod tests;

use std::time::Duration;

use butt_dial_domain::ports::webhook::MediaRequest;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http::{HeaderMap, StatusCode};
use url::Url;

use crate::egress::Egress;

/// For one attachment, with its redirects.
pub(super) const FETCH_TIMEOUT: Duration = Duration::from_secs(20);
const MAX_REDIRECTS: usize = 3;

#[derive(Debug, PartialEq, Eq)]
pub struct Fetched {
    pub bytes: Bytes,
    pub content_type: Option<String>,
}

/// Why an attachment could not be fetched. The text is shown to the agent.
#[derive(Debug, PartialEq, Eq)]
pub enum FetchError {
    /// A later attempt may succeed.
    Temporary(&'static str),
    Permanent(&'static str),
}

#[derive(Clone, Copy)]
pub struct DownloadLimits {
    pub bytes: usize,
    /// For the whole download, with its redirects.
    pub timeout: Duration,
}

/// Downloads within the limits. `carrier_http` reaches the carriers' own addresses, `egress` all others. Neither follows
/// redirects automatically.
pub async fn download(
    carrier_http: &reqwest::Client,
    egress: &Egress,
    request: MediaRequest,
    limits: DownloadLimits,
) -> Result<Fetched, FetchError> {
    let following = follow(carrier_http, egress, request, limits.bytes);
    let fetched = tokio::time::timeout(limits.timeout, following).await;
    fetched.unwrap_or(Err(FetchError::Temporary("took too long")))
}

async fn follow(
    carrier_http: &reqwest::Client,
    egress: &Egress,
    request: MediaRequest,
    max_bytes: usize,
) -> Result<Fetched, FetchError> {
    let MediaRequest {
        mut url,
        mut headers,
        mut is_carrier,
    } = request;
    for _ in 0..=MAX_REDIRECTS {
        let (client, target) = if is_carrier {
            let target = Url::parse(&url).map_err(|_| FetchError::Permanent("no URL"))?;
            (carrier_http, target)
        } else {
            let target = egress
                .check(&url)
                .map_err(|_| FetchError::Permanent("an address that is not allowed"))?;
            let client = egress.client().ok_or(FetchError::Temporary("no client"))?;
            (client, target)
        };
        let response = client.get(target.clone()).headers(headers).send().await;
        let response = response.map_err(|_| FetchError::Temporary("does not answer"))?;
        let status = response.status();
        if !status.is_redirection() {
            return if status == StatusCode::OK {
                body(response, max_bytes).await
            } else {
                Err(refusal(status))
            };
        }
        let next = response
            .headers()
            .get(http::header::LOCATION)
            .and_then(|to| target.join(to.to_str().ok()?).ok())
            .ok_or(FetchError::Permanent("leads nowhere"))?;
        // Credentials must not follow a redirect.
        headers = HeaderMap::new();
        is_carrier = is_carrier && next.origin() == target.origin();
        url = next.into();
    }
    Err(FetchError::Permanent("too many redirects"))
}

fn refusal(status: StatusCode) -> FetchError {
    match status.as_u16() {
        404 | 410 => FetchError::Permanent("no longer there"),
        // Timeout, too early, too many requests.
        408 | 425 | 429 => FetchError::Temporary("asks to retry later"),
        400..=499 => FetchError::Permanent("refused"),
        _ => FetchError::Temporary("answers with an error"),
    }
}

async fn body(response: reqwest::Response, max_bytes: usize) -> Result<Fetched, FetchError> {
    if response
        .content_length()
        .is_some_and(|length| length > max_bytes as u64)
    {
        return Err(FetchError::Permanent("too large"));
    }
    let content_type = response.headers().get(http::header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut bytes = BytesMut::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| FetchError::Temporary("broke off"))?;
        if bytes.len() + chunk.len() > max_bytes {
            return Err(FetchError::Permanent("too large"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Fetched {
        bytes: bytes.freeze(),
        content_type,
    })
}
