//! The adapter: one request per send, each response classified. It never retries and keeps no state.

use std::time::Duration;

use async_trait::async_trait;
use butt_dial_domain::{
    Address, Channel,
    clock::Timestamp,
    message::Content,
    money::Rates,
    ports::carrier::{
        AmbiguityReason, CarrierAcceptance, Deletion, Dispatch, ListedMessage, LookupError, Messaging, Outcome,
        Reconciliation, RefusalClass, TextLimit, VendorResourceKind,
    },
    rich::{Button, ChatRequest, Rich},
};
use chrono::SubsecRound;
use serde::de::DeserializeOwned;
use url::Url;

use super::{
    ACCOUNT_SID, AUTH_TOKEN, DEFAULT_ENDPOINT, ENDPOINT, EXCHANGE_RATES, MESSAGING_SERVICE_SID, errors, rich,
    voice::create_call,
    wire::{self, Account, Created, Page},
};
use crate::{
    Secret,
    http::{self, Response},
    vendor::Credentials,
};

const DEADLINE: Duration = Duration::from_secs(10);
const PAGE_SIZE: usize = 100;
/// More than a thousand messages between two addresses since one send exceed any carrier's rate.
const MAX_PAGES: usize = 10;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    /// Without a trailing slash.
    endpoint: String,
    account: String,
    /// The URLs that create messages and calls; parsed once.
    messages: Url,
    calls: Url,
    token: Secret,
    messaging_service: Option<String>,
    /// The value of the account's currency.
    rates: Rates,
    deadline: Duration,
}

impl Client {
    /// Checks the form of the credentials. Makes no request.
    pub fn new(credentials: &Credentials, http: reqwest::Client) -> Result<Self, String> {
        let endpoint = credentials.checked_endpoint(ENDPOINT)?.to_owned();
        let account = credentials.get(ACCOUNT_SID)?.expose().to_owned();
        if !wire::is_sid(&account, "AC") {
            return Err(format!("{ACCOUNT_SID} must be AC followed by letters or digits"));
        }
        let messaging_service = credentials
            .find(MESSAGING_SERVICE_SID)
            .map(|sid| sid.expose().to_owned());
        if messaging_service.as_ref().is_some_and(|sid| !wire::is_sid(sid, "MG")) {
            return Err(format!(
                "{MESSAGING_SERVICE_SID} must be MG followed by letters or digits"
            ));
        }
        let rates = credentials.find(EXCHANGE_RATES);
        let rates = rates.map_or_else(|| Ok(Rates::default()), |rates| Rates::parse(rates.expose()));
        let rates = rates.map_err(|error| format!("{EXCHANGE_RATES}: {error}"))?;
        let resource = |name| {
            let url = format!("{endpoint}/{}/Accounts/{account}/{name}.json", wire::VERSION);
            Url::parse(&url).map_err(|_| format!("{ENDPOINT} is not a URL"))
        };
        Ok(Self {
            http,
            messages: resource("Messages")?,
            calls: resource("Calls")?,
            endpoint,
            account,
            token: credentials.get(AUTH_TOKEN)?.clone(),
            messaging_service,
            rates,
            deadline: DEADLINE,
        })
    }

    /// Limits each request, from DNS resolution to the last byte of the response.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    pub(super) fn rates(&self) -> &Rates {
        &self.rates
    }

    pub(super) fn account(&self) -> &str {
        &self.account
    }

    pub(super) fn account_url(&self, rest: &str) -> String {
        format!("{}/{}/Accounts/{}{rest}", self.endpoint, wire::VERSION, self.account)
    }

    pub(super) async fn get(&self, url: &str) -> Result<Response, Outcome> {
        let request = self.http.get(url).basic_auth(&self.account, Some(self.token.expose()));
        http::lookup(request, self.deadline).await
    }

    /// Returns the URL of an API with a separate host, such as `content`. A simulator has one host.
    fn service_url(&self, service: &str, path: &str) -> String {
        match self.endpoint.as_str() {
            DEFAULT_ENDPOINT => format!("https://{service}.twilio.com{path}"),
            endpoint => format!("{endpoint}{path}"),
        }
    }

    /// Adds the credentials and the deadline.
    fn authorized(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        request
            .basic_auth(&self.account, Some(self.token.expose()))
            .timeout(self.deadline)
    }

    /// Creates the content of a message with buttons, and returns the message that refers to it. Creating it sends nothing, so a
    /// failure is a refusal.
    async fn create_content(&self, dispatch: &Dispatch, buttons: &[Button]) -> Result<Dispatch, Outcome> {
        let request = self.http.post(self.service_url("content", "/v1/Content"));
        let request = self.authorized(request).json(&rich::content(dispatch, buttons));
        let response = http::exchange(request).await;
        let response = response.map_err(|_| http::refused(RefusalClass::Unreachable))?;
        if !response.status.is_success() {
            return Err(match errors::outcome(&response) {
                Outcome::Unknown(_) | Outcome::Accepted(_) => http::refused(RefusalClass::Unreachable),
                refused @ Outcome::Refused(_) => refused,
            });
        }
        rich::with_content(dispatch, &response).ok_or_else(|| http::refused(RefusalClass::Unreachable))
    }

    /// Posts a form below the account's path.
    pub(super) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Result<Response, Outcome> {
        let request = self.http.post(self.account_url(path));
        let request = request.basic_auth(&self.account, Some(self.token.expose()));
        http::exchange(request.timeout(self.deadline).form(form)).await
    }

    /// Deletes a resource below the account's path.
    pub(super) async fn delete_below(&self, path: &str) -> Result<Response, Outcome> {
        self.delete_url(&self.account_url(path)).await
    }

    pub(super) async fn delete_url(&self, url: &str) -> Result<Response, Outcome> {
        let request = self
            .http
            .delete(url)
            .basic_auth(&self.account, Some(self.token.expose()));
        http::exchange(request.timeout(self.deadline)).await
    }

    pub(super) async fn post_json(&self, url: &str, body: &serde_json::Value) -> Result<Response, Outcome> {
        let request = self.http.post(url).basic_auth(&self.account, Some(self.token.expose()));
        http::exchange(request.timeout(self.deadline).json(body)).await
    }

    /// The host of the messaging API; another endpoint than Twilio's own serves all APIs.
    pub(super) fn messaging_endpoint(&self) -> String {
        self.endpoint
            .replacen("://api.twilio.com", "://messaging.twilio.com", 1)
    }

    /// Posts a form to a URL of the API outside of the account's path.
    pub(super) async fn post_to(&self, url: &str, form: &[(&str, &str)]) -> Result<Response, Outcome> {
        let request = self.http.post(url).basic_auth(&self.account, Some(self.token.expose()));
        http::exchange(request.timeout(self.deadline).form(form)).await
    }

    /// The URL of the list of accounts.
    pub(super) fn accounts_url(&self, query: &str) -> String {
        format!("{}/{}/Accounts.json{query}", self.endpoint, wire::VERSION)
    }

    pub(super) fn subaccount_url(&self, id: &str) -> String {
        format!("{}/{}/Accounts/{id}.json", self.endpoint, wire::VERSION)
    }

    async fn page<P: DeserializeOwned>(&self, url: &str) -> Result<P, LookupError> {
        let response = self.get(url).await.map_err(|_| LookupError::NoResponse)?;
        if !response.status.is_success() {
            return Err(LookupError::NoResponse);
        }
        serde_json::from_slice(&response.body).map_err(|_| LookupError::NoResponse)
    }
}

#[async_trait]
impl Messaging for Client {
    async fn send(&self, dispatch: &Dispatch) -> Outcome {
        let with_content;
        let dispatch = match dispatch.content.rich.as_deref() {
            Some(Rich::Buttons { buttons }) => match self.create_content(dispatch, buttons).await {
                Ok(created) => {
                    with_content = created;
                    &with_content
                }
                Err(outcome) => return outcome,
            },
            _ => dispatch,
        };
        let (resource, form) = match dispatch.channel {
            Channel::Voice => (&self.calls, create_call::form(dispatch)),
            _ => (&self.messages, wire::form(dispatch, self.messaging_service.as_deref())),
        };
        let Some(form) = form else {
            return http::refused(RefusalClass::Configuration);
        };
        let request = self
            .http
            .post(resource.clone())
            .basic_auth(&self.account, Some(self.token.expose()))
            .timeout(self.deadline)
            .form(&form);
        match http::exchange(request).await {
            Ok(response) if response.status.is_success() => accepted(&response, &self.rates),
            Ok(response) => errors::outcome(&response),
            Err(outcome) => outcome,
        }
    }

    fn deadline(&self) -> Duration {
        self.deadline
    }

    async fn delete(&self, kind: VendorResourceKind, id: &str) -> Deletion {
        self.delete_resource(kind, id).await
    }

    /// Messages resource: Body is at most 1,600 characters, for WhatsApp too.
    fn text_limit(&self, _: &Content) -> TextLimit {
        TextLimit::Characters(1_600)
    }

    fn reconciliation(&self) -> Reconciliation {
        Reconciliation::Listing
    }

    async fn list(
        &self,
        channel: Channel,
        from: &Address,
        to: &Address,
        since: Timestamp,
    ) -> Result<Vec<ListedMessage>, LookupError> {
        // Twilio's dates have whole seconds, so a message of the same second can be ours.
        let since = since.trunc_subsecs(0);
        if channel == Channel::Voice {
            return self.list_calls(from, to, since).await;
        }
        let query = wire::list_query(channel, from, to, since, PAGE_SIZE);
        let mut url = self.account_url(&format!("/Messages.json?{query}"));
        let mut found = Vec::new();
        for _ in 0..MAX_PAGES {
            let page: Page = self.page(&url).await?;
            found.extend(
                page.messages
                    .into_iter()
                    .filter_map(|message| message.listed(&self.rates))
                    .filter(|m| m.created_at >= since),
            );
            match page.next_page_uri {
                None => return Ok(found),
                Some(next) => url = self.next_url(&next)?,
            }
        }
        // The list was not read to its end, so "not in the list" would be a guess.
        Err(LookupError::NoResponse)
    }

    fn supports(&self, action: &str) -> bool {
        rich::SUPPORTED.contains(&action)
    }

    async fn act(&self, request: &ChatRequest) -> Outcome {
        let Some(form) = rich::typing(request) else {
            return http::refused(RefusalClass::Content);
        };
        let url = self.service_url("messaging", "/v2/Indicators/Typing.json");
        let sent = self.authorized(self.http.post(url)).form(&form);
        match http::exchange(sent).await {
            Ok(response) if response.status.is_success() => rich::done(&response),
            Ok(response) => errors::outcome(&response),
            Err(outcome) => outcome,
        }
    }

    async fn check(&self) -> Result<(), String> {
        let response = self.get(&self.account_url(".json")).await;
        let response = response.map_err(|outcome| http::explain(&outcome, "Twilio", ENDPOINT))?;
        match response.status.as_u16() {
            200 => match serde_json::from_slice::<Account>(&response.body) {
                Ok(account) if account.status == "active" => Ok(()),
                Ok(account) => Err(format!(
                    "the Twilio account is {}: reactivate it in the console",
                    http::label(&account.status)
                )),
                Err(_) => Err(format!("the server is not Twilio: check {ENDPOINT}")),
            },
            401 | 403 => Err(format!(
                "Twilio rejects the credentials: copy {ACCOUNT_SID} and {AUTH_TOKEN} from the console"
            )),
            404 => Err(format!(
                "this Twilio account does not exist: check {ACCOUNT_SID} and {ENDPOINT}"
            )),
            status => Err(format!("Twilio returned {status}: try again later")),
        }
    }
}

impl Client {
    async fn list_calls(
        &self,
        from: &Address,
        to: &Address,
        since: Timestamp,
    ) -> Result<Vec<ListedMessage>, LookupError> {
        let mut url = self.account_url(&format!("/Calls.json?{}", create_call::list_query(from, to, PAGE_SIZE)));
        let mut found = Vec::new();
        for _ in 0..MAX_PAGES {
            let page: create_call::Page = self.page(&url).await?;
            let listed = page.calls.into_iter().filter_map(|call| call.listed(&self.rates));
            let calls: Vec<ListedMessage> = listed.collect();
            // The list is newest first, by times that can differ from the creation by minutes.
            let is_past = !calls.is_empty() && calls.iter().all(|call| call.created_at < since - DAY);
            found.extend(calls.into_iter().filter(|call| call.created_at >= since));
            match page.next_page_uri.filter(|_| !is_past) {
                None => return Ok(found),
                Some(next) => url = self.next_url(&next)?,
            }
        }
        Err(LookupError::NoResponse)
    }

    /// Returns the URL of the next page, which Twilio gives without a host. Rejects other paths, so that the
    /// credentials go nowhere else.
    fn next_url(&self, uri: &str) -> Result<String, LookupError> {
        let prefix = format!("/{}/Accounts/{}/", wire::VERSION, self.account);
        if uri.starts_with(&prefix) {
            Ok(format!("{}{uri}", self.endpoint))
        } else {
            Err(LookupError::NoResponse)
        }
    }
}

fn accepted(response: &Response, rates: &Rates) -> Outcome {
    match serde_json::from_slice::<Created>(&response.body) {
        Ok(created) if wire::is_message_sid(&created.sid) || create_call::is_call_sid(&created.sid) => {
            Outcome::Accepted(CarrierAcceptance {
                carrier_id: created.sid,
                carrier_status: created.status,
                segments: wire::segments(created.num_segments.as_deref()),
                price: wire::price(rates, created.price.as_deref(), created.price_unit.as_deref()),
            })
        }
        // A 2xx of a proxy or a captive portal: the fate of the request is unknown.
        _ => Outcome::Unknown(AmbiguityReason::CarrierFault),
    }
}
