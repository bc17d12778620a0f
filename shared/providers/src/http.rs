//! The HTTP client that carriers are reached through, and what its errors mean for a send.
//! The client repeats no request that may have left; who asks for a send asks once.

use std::time::Duration;

use butt_dial_domain::ports::carrier::{AmbiguityReason, Outcome, Refusal, RefusalClass};
use bytes::{Bytes, BytesMut};
use reqwest::{StatusCode, header};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Below the keep-alive of the load balancers that carriers use, so that a request seldom meets a dying connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const IDLE_CONNECTIONS: usize = 64;
/// Answers to a send are a few kilobytes; what is larger is not an answer.
const MAX_RESPONSE_BYTES: usize = 4 * 1024 * 1024;

/// The client for carriers. It honours the proxy settings of the environment, as operators behind one expect. Needs a process-wide rustls provider, which `main` installs.
///
/// Three layers could repeat a POST on their own:
/// - redirects: switched off;
/// - reqwest 0.13's `retry`: by default it repeats after HTTP/2 refusals (GOAWAY, REFUSED_STREAM); switched off;
/// - hyper-util's `retry_canceled_requests`, which reqwest leaves on and offers no switch for. It repeats only when
///   hyper hands the request back unserialized (`TrySendError::message` is set) and the connection came from the pool:
///   the peer had closed before the first byte was written. Once hyper has begun to write, the request is gone
///   and the error is final. So nothing that a carrier could have read is ever repeated.
pub fn client() -> Result<reqwest::Client, String> {
    build(reqwest::Client::builder())
}

/// The same client for carriers on this machine, which are spoken to without TLS: reading the system's certificates would
/// take a fifth of the program's start.
pub fn loopback_client() -> Result<reqwest::Client, String> {
    build(reqwest::Client::builder().tls_certs_only([]))
}

fn build(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, String> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // reqwest would panic.
        return Err("no TLS provider is installed in this process".to_owned());
    }
    builder
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        // One request on a connection at a time: a connection that breaks puts one send in doubt and not a hundred.
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

/// What a carrier answered.
pub struct Response {
    pub status: StatusCode,
    pub headers: header::HeaderMap,
    /// Whole seconds, where the carrier named them. The date form of `Retry-After` is left out: no carrier here uses it.
    pub retry_after_seconds: Option<u64>,
    pub body: Bytes,
}

/// Makes one request. An error is already an outcome.
pub async fn exchange(request: reqwest::RequestBuilder) -> Result<Response, Outcome> {
    exchange_with_limit(MAX_RESPONSE_BYTES, request).await
}

/// The same, for answers that may be larger: so many bytes.
pub async fn exchange_with_limit(max_bytes: usize, request: reqwest::RequestBuilder) -> Result<Response, Outcome> {
    let response = request.send().await.map_err(|error| outcome_of(&error))?;
    match read_response(response, max_bytes).await {
        // The status line alone says that it was refused; the body would only have said why.
        (answer, Some(_)) if answer.status.is_client_error() => Ok(answer),
        (_, Some(ambiguity)) => Err(Outcome::Unknown(ambiguity)),
        (answer, None) => Ok(answer),
    }
}

/// The whole answer; without its body, and with the reason, where that could not be read.
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
    let answer = Response {
        status,
        headers,
        retry_after_seconds,
        body,
    };
    (answer, ambiguity)
}

/// Makes one request that changes nothing, such as a listing or a credential check.
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

/// Only an error from before the first byte refuses. A connection from the pool that dies under the request is
/// `SendRequest` and not `Connect` in hyper-util, so it stays in doubt.
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

/// Nothing was sent, and there is no code of the carrier's to tell.
pub fn refused(class: RefusalClass) -> Outcome {
    Outcome::Refused(Refusal {
        class,
        carrier_code: None,
        retry_after_seconds: None,
    })
}

/// A word from the far end, made safe for a log and for people.
pub fn label(text: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '_' || *c == '-';
    text.chars().filter(plain).take(64).collect()
}

/// What an operator reads when a credential check got no answer.
pub fn explain(outcome: &Outcome, vendor: &str, endpoint_env: &str) -> String {
    match outcome {
        Outcome::Refused(_) => format!("{vendor} can't be reached: check the network, DNS and {endpoint_env}"),
        _ => format!("{vendor} did not answer in time: try again, and check {endpoint_env} if it stays so"),
    }
}
