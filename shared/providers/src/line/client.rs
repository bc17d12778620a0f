//! The adapter: one request per send, each response classified. It never retries and keeps no state.

use std::time::Duration;

use async_trait::async_trait;
use butt_dial_domain::{
    Address, Channel,
    clock::Timestamp,
    message::Content,
    ports::carrier::{
        AmbiguityReason, CarrierAcceptance, Dispatch, ListedMessage, LookupError, Messaging, Outcome, Reconciliation,
        TextLimit,
    },
};
use reqwest::StatusCode;

use super::{
    ACCESS_TOKEN, ENDPOINT, errors,
    wire::{self, Bot, Sent},
};
use crate::{
    Secret,
    http::{self, Response},
    vendor::Credentials,
};

const DEADLINE: Duration = Duration::from_secs(10);
/// LINE's retention of retry keys (LINE, Retrying a failed API request).
const KEY_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);
const RETRY_KEY: &str = "X-Line-Retry-Key";
/// The header that names the request accepted earlier under the same key.
const ACCEPTED_BEFORE: &str = "x-line-accepted-request-id";

pub struct Client {
    http: reqwest::Client,
    /// Without a trailing slash.
    endpoint: String,
    token: Secret,
    deadline: Duration,
}

impl Client {
    /// Checks the form of the credentials. Makes no request.
    pub fn new(credentials: &Credentials, http: reqwest::Client) -> Result<Self, String> {
        let endpoint = credentials.checked_endpoint(ENDPOINT)?.to_owned();
        let token = credentials.get(ACCESS_TOKEN)?.clone();
        if !token.expose().bytes().all(|b| b.is_ascii_graphic()) {
            return Err(format!("{ACCESS_TOKEN} has characters that a token can't have"));
        }
        Ok(Self {
            http,
            endpoint,
            token,
            deadline: DEADLINE,
        })
    }

    /// Limits each request, from DNS resolution to the last byte of the response.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }
}

#[async_trait]
impl Messaging for Client {
    async fn send(&self, dispatch: &Dispatch) -> Outcome {
        let push = match wire::push(dispatch) {
            Ok(push) => push,
            Err(class) => return http::refused(class),
        };
        let request = self
            .http
            .post(format!("{}/v2/bot/message/push", self.endpoint))
            .bearer_auth(self.token.expose())
            .header(RETRY_KEY, wire::retry_key(&dispatch.message).to_string())
            .timeout(self.deadline)
            .json(&push);
        match http::exchange(request).await {
            Ok(response) if response.status.is_success() => accepted(&response),
            Ok(response) if response.status == StatusCode::CONFLICT => accepted_before(&response),
            Ok(response) => errors::outcome(&response),
            Err(outcome) => outcome,
        }
    }

    fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Messaging API, Text message: at most 5,000 units of UTF-16.
    fn text_limit(&self, _: &Content) -> TextLimit {
        TextLimit::Utf16Units(5_000)
    }

    fn reconciliation(&self) -> Reconciliation {
        Reconciliation::RepeatWithKey {
            window_seconds: KEY_WINDOW.as_secs(),
        }
    }

    async fn list(
        &self,
        _: Channel,
        _: &Address,
        _: &Address,
        _: Timestamp,
    ) -> Result<Vec<ListedMessage>, LookupError> {
        // LINE has no listing; reconciliation repeats the request with its key.
        Err(LookupError::NoResponse)
    }

    async fn check(&self) -> Result<(), String> {
        let request = self
            .http
            .get(format!("{}/v2/bot/info", self.endpoint))
            .bearer_auth(self.token.expose());
        let response = http::lookup(request, self.deadline).await;
        let response = response.map_err(|outcome| http::explain(&outcome, "LINE", ENDPOINT))?;
        match response.status.as_u16() {
            200 if serde_json::from_slice::<Bot>(&response.body).is_ok() => Ok(()),
            200 => Err(format!("the server is not LINE: check {ENDPOINT}")),
            401 | 403 => Err(format!(
                "LINE rejects the token: issue a new one in the console and set {ACCESS_TOKEN}"
            )),
            status => Err(format!("LINE returned {status}: try again later")),
        }
    }
}

fn accepted(response: &Response) -> Outcome {
    let sent = serde_json::from_slice::<Sent>(&response.body).ok();
    match sent.and_then(Sent::first_id) {
        Some(id) => accepted_as(id),
        // A 2xx of a proxy or a captive portal: the fate of the request is unknown.
        None => Outcome::Unknown(AmbiguityReason::CarrierFault),
    }
}

/// Maps a 409: the key was accepted before, so the message was sent. Trusted only with the header that names the
/// earlier request.
fn accepted_before(response: &Response) -> Outcome {
    let Some(request) = response.headers.get(ACCEPTED_BEFORE).and_then(|id| id.to_str().ok()) else {
        return Outcome::Unknown(AmbiguityReason::CarrierFault);
    };
    let sent = serde_json::from_slice::<Sent>(&response.body).ok();
    accepted_as(sent.and_then(Sent::first_id).unwrap_or_else(|| http::label(request)))
}

/// A push can hold several messages; the id of the first identifies it.
fn accepted_as(carrier_id: String) -> Outcome {
    Outcome::Accepted(CarrierAcceptance {
        carrier_id,
        // LINE's response has no status.
        carrier_status: "accepted".to_owned(),
        segments: None,
        price: None,
    })
}
