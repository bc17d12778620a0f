//! The adapter: one request per send, each response classified. It never retries and keeps no state. A template that Meta does
//! not have in a language is requested in the next one.

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
    rich::{ChatAction, ChatRequest, GroupMember},
};
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::{
    ACCESS_TOKEN, ENDPOINT, PHONE_NUMBER_ID,
    addressed::group_id,
    errors, rich,
    wire::{self, Created, Number},
};
use crate::{
    Secret,
    http::{self, Response},
    vendor::Credentials,
};

const DEADLINE: Duration = Duration::from_secs(10);

pub struct Client {
    http: reqwest::Client,
    /// Without a trailing slash.
    endpoint: String,
    /// The URL of the sender's phone number resource.
    number: String,
    token: Secret,
    deadline: Duration,
}

impl Client {
    /// Checks the form of the credentials. Makes no request.
    pub fn new(credentials: &Credentials, http: reqwest::Client) -> Result<Self, String> {
        let endpoint = credentials.checked_endpoint(ENDPOINT)?;
        let number = credentials.get(PHONE_NUMBER_ID)?.expose();
        if !wire::is_id(number) {
            return Err(format!(
                "{PHONE_NUMBER_ID} must be digits; it is the id of the number, not the number"
            ));
        }
        let token = credentials.get(ACCESS_TOKEN)?.clone();
        if !token.expose().bytes().all(|b| b.is_ascii_graphic()) {
            return Err(format!("{ACCESS_TOKEN} has characters that a token can't have"));
        }
        Ok(Self {
            http,
            number: format!("{endpoint}/{number}"),
            endpoint: endpoint.to_owned(),
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

impl Client {
    /// Makes one request to send a message, until `end`.
    async fn create(&self, message: &Value, end: Instant) -> Outcome {
        let request = self
            .http
            .post(format!("{}/messages", self.number))
            .bearer_auth(self.token.expose())
            .timeout(end.saturating_duration_since(Instant::now()))
            .json(message);
        match http::exchange(request).await {
            Ok(response) if response.status.is_success() => accepted(&response),
            Ok(response) => errors::outcome(&response),
            Err(outcome) => outcome,
        }
    }
}

#[async_trait]
impl Messaging for Client {
    async fn send(&self, dispatch: &Dispatch) -> Outcome {
        let mut message = match wire::message(dispatch) {
            Ok(message) => message,
            Err(class) => return http::refused(class),
        };
        let end = Instant::now() + self.deadline;
        let mut outcome = self.create(&message, end).await;
        let languages = dispatch.content.template.as_ref().map(wire::languages);
        for language in languages.iter().flatten().skip(1) {
            // Only after a refusal that proves that nothing was sent, so it is no repetition.
            if !errors::lacks_translation(&outcome) {
                break;
            }
            wire::set_language(&mut message, language);
            outcome = self.create(&message, end).await;
        }
        outcome
    }

    fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Cloud API, Messages: a text has at most 4,096 characters; a caption and the text above buttons have 1,024.
    fn text_limit(&self, content: &Content) -> TextLimit {
        match content.media.is_empty() && content.rich.is_none() {
            true => TextLimit::Characters(4_096),
            false => TextLimit::Characters(1_024),
        }
    }

    fn reconciliation(&self) -> Reconciliation {
        Reconciliation::None
    }

    async fn list(
        &self,
        _: Channel,
        _: &Address,
        _: &Address,
        _: Timestamp,
    ) -> Result<Vec<ListedMessage>, LookupError> {
        Err(LookupError::NoResponse)
    }

    fn supports(&self, action: &str) -> bool {
        rich::SUPPORTED.contains(&action)
    }

    async fn act(&self, request: &ChatRequest) -> Outcome {
        let body = match rich::action(request) {
            Ok(body) => body,
            Err(class) => return http::refused(class),
        };
        let sent = self
            .http
            .post(format!("{}/messages", self.number))
            .bearer_auth(self.token.expose())
            .timeout(self.deadline)
            .json(&body);
        match http::exchange(sent).await {
            Ok(response) if response.status.is_success() => match request.action {
                ChatAction::React { .. } => accepted(&response),
                ChatAction::Typing | ChatAction::MarkRead => rich::done(&response),
            },
            Ok(response) => errors::outcome(&response),
            Err(outcome) => outcome,
        }
    }

    async fn group_members(&self, group: &Address) -> Result<Vec<GroupMember>, LookupError> {
        let id = group_id(group.as_str());
        let mut url = Url::parse(&self.endpoint).map_err(|_| LookupError::NoResponse)?;
        url.path_segments_mut().map_err(|()| LookupError::NoResponse)?.push(id);
        let request = self.http.get(url).bearer_auth(self.token.expose());
        let response = http::lookup(request, self.deadline).await;
        let response = response.map_err(|_| LookupError::NoResponse)?;
        if response.status.is_success() {
            return rich::members(&response).ok_or(LookupError::NoResponse);
        }
        Err(match response.status.is_client_error() {
            true => LookupError::NotFound,
            false => LookupError::NoResponse,
        })
    }

    async fn check(&self) -> Result<(), String> {
        let request = self.http.get(&self.number).bearer_auth(self.token.expose());
        let response = http::lookup(request, self.deadline).await;
        let response = response.map_err(|outcome| http::explain(&outcome, "Meta", ENDPOINT))?;
        match response.status.as_u16() {
            200 if serde_json::from_slice::<Number>(&response.body).is_ok() => Ok(()),
            200 => Err(format!("the server is not Meta: check {ENDPOINT}")),
            429 => Err("Meta's rate limit is exceeded: try again later".to_owned()),
            400..=499 => match errors::class_of_answer(&response) {
                Some(RefusalClass::Content) => Err(format!(
                    "this phone number id does not exist at Meta: check {PHONE_NUMBER_ID}"
                )),
                _ => Err(format!(
                    "Meta rejects the token: create a new one and set {ACCESS_TOKEN}"
                )),
            },
            status => Err(format!("Meta returned {status}: try again later")),
        }
    }
}

fn accepted(response: &Response) -> Outcome {
    let created = serde_json::from_slice::<Created>(&response.body).ok();
    match created.and_then(|created| created.messages.into_iter().next()) {
        Some(message) if !message.id.is_empty() => Outcome::Accepted(CarrierAcceptance {
            carrier_id: message.id,
            carrier_status: message.message_status.unwrap_or_else(|| "accepted".to_owned()),
            segments: None,
            price: None,
        }),
        // A 2xx of a proxy or a captive portal: the fate of the request is unknown.
        _ => Outcome::Unknown(AmbiguityReason::CarrierFault),
    }
}
