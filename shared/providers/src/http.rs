//! The HTTP client for vendors, and how its errors classify a send. It never repeats a request that may have left the
//! machine.

use std::time::Duration;

use butt_dial_domain::ports::carrier::{AmbiguityReason, Outcome, Refusal, RefusalClass};
use bytes::{Bytes, BytesMut};
use reqwest::{StatusCode, header};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Shorter than the keep-alive of the vendors' load balancers, so that a request seldom uses a closing connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const IDLE_CONNECTIONS: usize = 64;
/// Responses to a send have a few kilobytes; a larger one is not the vendor's.
const MAX_RESPONSE_BYTES: usize = 4 * 1024 * 1024;

/// Builds the client for vendors. It honours the proxy settings of the environment. Fails without a process-wide
/// rustls provider, which `main` installs.
///
/// Three layers could repeat a POST:
/// - redirects: switched off;
/// - reqwest 0.13's `retry`, which by default repeats after HTTP/2 refusals (GOAWAY, REFUSED_STREAM): switched off;
/// - hyper-util's `retry_canceled_requests`, which reqwest enables without an option. It repeats only when hyper
///   returns the request unserialized (`TrySendError::message` is set) and the connection came from the pool: the peer
///   had closed it before the first byte was written. Once hyper starts to write, the error is final. So a request that
///   the vendor could have read is never repeated.
pub fn client() -> Result<reqwest::Client, String> {
    build(reqwest::Client::builder())
}

/// Builds the same client for simulators on this machine, without TLS. Loading the system's certificates would take a
/// fifth of the start-up time.
pub fn loopback_client() -> Result<reqwest::Client, String> {
    build(reqwest::Client::builder().tls_certs_only([]))
}

fn build(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, String> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // reqwest panics without a provider.
        return Err("no TLS provider is installed in this process".to_owned());
    }
    builder
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        // One request per connection at a time: a broken connection makes one send ambiguous, not a hundred.
        .http1_only()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .tcp_nodelay(true)
        .referer(false)
        .user_agent(concat!("butt-dial/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| format!("the HTTP client can't be built: {}", error.without_url()))
}

/// A response with its body read.
pub struct Response {
    pub status: StatusCode,
    pub headers: header::HeaderMap,
    /// Whole seconds. The date form of `Retry-After` is ignored: no vendor here uses it.
    pub retry_after_seconds: Option<u64>,
    pub body: Bytes,
}

/// Sends one request. An error is already the outcome of the send.
pub async fn exchange(request: reqwest::RequestBuilder) -> Result<Response, Outcome> {
    exchange_with_limit(MAX_RESPONSE_BYTES, request).await
}

/// Sends one request with a response of up to `max_bytes`.
pub async fn exchange_with_limit(max_bytes: usize, request: reqwest::RequestBuilder) -> Result<Response, Outcome> {
    let response = request.send().await.map_err(|error| outcome_of(&error))?;
    match read_response(response, max_bytes).await {
        // The status line alone means a refusal; only the reason is missing.
        (response, Some(_)) if response.status.is_client_error() => Ok(response),
        (_, Some(ambiguity)) => Err(Outcome::Unknown(ambiguity)),
        (response, None) => Ok(response),
    }
}

/// Reads the response. When the body can't be read, returns it empty with the reason.
pub async fn read_response(response: reqwest::Response, max_bytes: usize) -> (Response, Option<AmbiguityReason>) {
    let status = response.status();
    let headers = response.headers().clone();
    let retry_after_seconds = headers
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let (body, ambiguity) = match read(response, max_bytes).await {
        Ok(body) => (body, None),
        Err(ambiguity) => (Bytes::new(), Some(ambiguity)),
    };
    let response = Response {
        status,
        headers,
        retry_after_seconds,
        body,
    };
    (response, ambiguity)
}

/// Sends one request without side effects, such as a listing or a credential check.
pub async fn lookup(request: reqwest::RequestBuilder, deadline: Duration) -> Result<Response, Outcome> {
    exchange(request.timeout(deadline)).await
}

async fn read(mut response: reqwest::Response, max_bytes: usize) -> Result<Bytes, AmbiguityReason> {
    let mut body = BytesMut::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= max_bytes => body.extend_from_slice(&chunk),
            Ok(Some(_)) => return Err(AmbiguityReason::CarrierFault),
            Ok(None) => return Ok(body.freeze()),
            Err(error) => return Err(ambiguity_of(&error)),
        }
    }
}

/// Maps a transport error. Only an error before the first byte is a refusal. A pooled connection that breaks during
/// the request is `SendRequest` in hyper-util, not `Connect`, so the outcome stays unknown.
fn outcome_of(error: &reqwest::Error) -> Outcome {
    if error.is_connect() {
        refused(RefusalClass::Unreachable)
    } else if error.is_builder() {
        refused(RefusalClass::Configuration)
    } else {
        Outcome::Unknown(ambiguity_of(error))
    }
}

fn ambiguity_of(error: &reqwest::Error) -> AmbiguityReason {
    if error.is_timeout() {
        AmbiguityReason::TimedOut
    } else {
        AmbiguityReason::ConnectionLost
    }
}

/// Returns a refusal without a carrier code, for a request that was not sent.
pub fn refused(class: RefusalClass) -> Outcome {
    Outcome::Refused(Refusal {
        class,
        carrier_code: None,
        retry_after_seconds: None,
    })
}

/// Reduces text from a vendor to characters that are safe in logs and errors.
pub fn label(text: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '_' || *c == '-';
    text.chars().filter(plain).take(64).collect()
}

/// Describes a failed credential check for the operator.
pub fn explain(outcome: &Outcome, vendor: &str, endpoint_env: &str) -> String {
    match outcome {
        Outcome::Refused(_) => format!("{vendor} can't be reached: check the network, DNS and {endpoint_env}"),
        _ => format!("{vendor} did not respond in time: try again, then check {endpoint_env}"),
    }
}
