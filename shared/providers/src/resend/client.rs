//! The adapter: one request per send, each response classified. It never retries and keeps no state.

use std::time::Duration;

use async_trait::async_trait;
use butt_dial_domain::{
    Address, Channel,
    clock::Timestamp,
    message::Content,
    ports::carrier::{
        AmbiguityReason, CarrierAcceptance, Dispatch, ListedMessage, LookupError, Messaging, Outcome, Reconciliation,
        RefusalClass, TextLimit,
    },
};
use reqwest::StatusCode;

use super::{
    API_KEY, ENDPOINT, errors,
    wire::{self, Created, ErrorBody},
};
use crate::{
    Secret,
    http::{self, Response},
    vendor::Credentials,
};

const DEADLINE: Duration = Duration::from_secs(10);
/// Resend's retention of idempotency keys (Resend, Idempotency keys).
const KEY_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    /// Without a trailing slash.
    endpoint: String,
    key: Secret,
    deadline: Duration,
}

impl Client {
    /// Checks the form of the credentials. Makes no request.
    pub fn new(credentials: &Credentials, http: reqwest::Client) -> Result<Self, String> {
        let endpoint = credentials.checked_endpoint(ENDPOINT)?.to_owned();
        let key = credentials.get(API_KEY)?.clone();
        if !key.expose().bytes().all(|b| b.is_ascii_graphic()) {
            return Err(format!("{API_KEY} has characters that an API key can't have"));
        }
        Ok(Self {
            http,
            endpoint,
            key,
            deadline: DEADLINE,
        })
    }

    /// Builds a request with the key and the deadline.
    pub(super) fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.endpoint));
        request.bearer_auth(self.key.expose()).timeout(self.deadline)
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
        if dispatch.channel != Channel::Email {
            return http::refused(RefusalClass::Configuration);
        }
        let request = self
            .http
            .post(format!("{}/emails", self.endpoint))
            .bearer_auth(self.key.expose())
            .header("Idempotency-Key", dispatch.message.as_str())
            .timeout(self.deadline)
            .json(&wire::email(dispatch));
        match http::exchange(request).await {
            Ok(response) if response.status.is_success() => accepted(&response),
            Ok(response) => errors::outcome(&response),
            Err(outcome) => outcome,
        }
    }

    fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Resend takes 40 MB per mail; a text beyond one million characters is not a letter.
    fn text_limit(&self, _: &Content) -> TextLimit {
        TextLimit::Characters(1_000_000)
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
        // Resend can't list by recipient; reconciliation repeats the request with its key.
        Err(LookupError::NoResponse)
    }

    async fn check(&self) -> Result<(), String> {
        let request = self
            .http
            .get(format!("{}/domains", self.endpoint))
            .bearer_auth(self.key.expose());
        let response = http::lookup(request, self.deadline).await;
        let response = response.map_err(|outcome| http::explain(&outcome, "Resend", ENDPOINT))?;
        let error: Option<ErrorBody> = serde_json::from_slice(&response.body).ok();
        match (response.status, error.as_ref().map(|error| error.name.as_str())) {
            (StatusCode::OK, _) if wire::is_list(&response.body) => Ok(()),
            (StatusCode::OK, _) => Err(format!("the server is not Resend: check {ENDPOINT}")),
            // A sending-only key can't read the domains. This error proves that the key is valid.
            (StatusCode::UNAUTHORIZED, Some("restricted_api_key")) => Ok(()),
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => Err(format!(
                "Resend rejects the API key: create a new one in the dashboard and set {API_KEY}"
            )),
            (status, _) => Err(format!("Resend returned {}: try again later", status.as_u16())),
        }
    }
}

fn accepted(response: &Response) -> Outcome {
    match serde_json::from_slice::<Created>(&response.body) {
        Ok(created) if !created.id.is_empty() => Outcome::Accepted(CarrierAcceptance {
            carrier_id: created.id,
            // The response holds only the id. `queued` is the first state in Resend's list.
            carrier_status: "queued".to_owned(),
            segments: None,
            price: None,
        }),
        // A 2xx of a proxy or a captive portal: the fate of the request is unknown.
        _ => Outcome::Unknown(AmbiguityReason::CarrierFault),
    }
}
