//! Fetches an attachment from where the carrier says. Believes neither the address nor the size, and gives the carrier's
//! credentials to nobody else.

#[cfg(test)]
mod tests;

use std::time::Duration;

use butt_dial_domain::ports::webhook::MediaRequest;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http::{HeaderMap, StatusCode};
use url::Url;

use crate::egress::Egress;

const MAX_REDIRECTS: usize = 3;

#[derive(Debug, PartialEq, Eq)]
pub struct Fetched {
    pub bytes: Bytes,
    pub content_type: Option<String>,
}

/// Why it is not there, for whoever waits for it.
#[derive(Debug, PartialEq, Eq)]
pub enum Unfetched {
    /// It may be there later.
    ForNow(&'static str),
    ForGood(&'static str),
}

#[derive(Clone, Copy)]
pub struct Limits {
    /// Bytes.
    pub size: usize,
    /// For all of it, with its redirects.
    pub deadline: Duration,
}

/// `carrier_http` reaches the carriers' own addresses, `egress` all others. Neither follows redirects by itself.
pub async fn download(
    carrier_http: &reqwest::Client,
    egress: &Egress,
    request: MediaRequest,
    limits: Limits,
) -> Result<Fetched, Unfetched> {
    let following = follow(carrier_http, egress, request, limits.size);
    let fetched = tokio::time::timeout(limits.deadline, following).await;
    fetched.unwrap_or(Err(Unfetched::ForNow("took too long")))
}

async fn follow(
    carrier_http: &reqwest::Client,
    egress: &Egress,
    request: MediaRequest,
    most: usize,
) -> Result<Fetched, Unfetched> {
    let MediaRequest {
        mut url,
        mut headers,
        mut is_carrier,
    } = request;
    for _ in 0..=MAX_REDIRECTS {
        let (client, target) = if is_carrier {
            let target = Url::parse(&url).map_err(|_| Unfetched::ForGood("no URL"))?;
            (carrier_http, target)
        } else {
            let target = egress
                .check(&url)
                .map_err(|_| Unfetched::ForGood("an address that is not called"))?;
            let client = egress.client().ok_or(Unfetched::ForNow("no client"))?;
            (client, target)
        };
        let answer = client.get(target.clone()).headers(headers).send().await;
        let answer = answer.map_err(|_| Unfetched::ForNow("does not answer"))?;
        let status = answer.status();
        if !status.is_redirection() {
            return if status == StatusCode::OK {
                body(answer, most).await
            } else {
                Err(refusal(status))
            };
        }
        let next = answer
            .headers()
            .get(http::header::LOCATION)
            .and_then(|to| target.join(to.to_str().ok()?).ok())
            .ok_or(Unfetched::ForGood("leads nowhere"))?;
        // What opens the carrier's door is nobody else's.
        headers = HeaderMap::new();
        is_carrier = is_carrier && next.origin() == target.origin();
        url = next.into();
    }
    Err(Unfetched::ForGood("too many redirects"))
}

fn refusal(status: StatusCode) -> Unfetched {
    match status.as_u16() {
        404 | 410 => Unfetched::ForGood("no longer there"),
        // Too slow, too early, too many.
        408 | 425 | 429 => Unfetched::ForNow("asks to be asked later"),
        400..=499 => Unfetched::ForGood("refused"),
        _ => Unfetched::ForNow("does not answer as it should"),
    }
}

async fn body(answer: reqwest::Response, most: usize) -> Result<Fetched, Unfetched> {
    if answer.content_length().is_some_and(|length| length > most as u64) {
        return Err(Unfetched::ForGood("too large"));
    }
    let content_type = answer.headers().get(http::header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut bytes = BytesMut::new();
    let mut chunks = answer.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Unfetched::ForNow("broke off"))?;
        if bytes.len() + chunk.len() > most {
            return Err(Unfetched::ForGood("too large"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Fetched {
        bytes: bytes.freeze(),
        content_type,
    })
}
