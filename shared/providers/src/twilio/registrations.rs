//! Messaging services, A2P brands and campaigns, and toll-free verifications (Twilio, Messaging API v1: Services, PhoneNumbers, Usa2p,
//! BrandRegistrations and Tollfree Verifications resources). None has an idempotency key, so a creation without an answer is found
//! again in the list. On that host only the account's own credentials work.

use async_trait::async_trait;
use butt_dial_domain::ports::{
    carrier::Outcome,
    numbers::NumberError,
    registrations::{
        NumberRegistrations, RegistrationKey, RegistrationKind, RegistrationRequest, ReviewState, VendorRegistration,
    },
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use url::Url;

use super::{
    client::Client,
    numbers::{error_of, failure, read},
    registration_forms, wire,
};
use crate::http::Response;

/// The number is in this service already (Twilio, error 21710).
const ALREADY_THERE: &str = "21710";
const PAGE_SIZE: &str = "PageSize=100";
/// Pages that a search reads. An account has far fewer resources.
const MAX_PAGES: usize = 20;
const MAX_FAILURE: usize = 500;

#[derive(Deserialize)]
struct Service {
    sid: String,
    #[serde(default)]
    friendly_name: String,
}

#[derive(Deserialize)]
struct ServiceNumber {
    sid: String,
}

/// A brand, a campaign or a verification: their names of the status differ.
#[derive(Deserialize)]
struct Registered {
    sid: String,
    #[serde(alias = "campaign_status")]
    status: String,
    #[serde(default)]
    failure_reason: Option<String>,
    #[serde(default)]
    rejection_reason: Option<String>,
    #[serde(default)]
    errors: Option<Vec<Value>>,
    #[serde(default)]
    customer_profile_bundle_sid: Option<String>,
    #[serde(default)]
    a2p_profile_bundle_sid: Option<String>,
    #[serde(default)]
    brand_registration_sid: Option<String>,
    #[serde(default)]
    tollfree_phone_number_sid: Option<String>,
}

impl Registered {
    /// Returns whether this is the result of a request.
    fn is_of(&self, request: RegistrationRequest<'_>) -> bool {
        match request {
            RegistrationRequest::Brand(data) => {
                self.customer_profile_bundle_sid.as_deref() == Some(&data.customer_profile_id)
                    && self.a2p_profile_bundle_sid.as_deref() == Some(&data.a2p_profile_id)
            }
            RegistrationRequest::Campaign { brand, .. } => self.brand_registration_sid.as_deref() == Some(brand),
            RegistrationRequest::Tollfree { number, .. } => self.tollfree_phone_number_sid.as_deref() == Some(number),
        }
    }

    /// The vendor's reason, of which each resource has another form.
    fn reason(&self) -> Option<String> {
        let texts = [&self.failure_reason, &self.rejection_reason];
        let text = texts.into_iter().flatten().find(|text| !text.is_empty()).cloned();
        let of_error = |error: &Value| {
            let text = ["description", "error_message", "error_code"].map(|name| &error[name]);
            text.into_iter()
                .find(|text| !text.is_null())
                .map(|text| text.to_string().trim_matches('"').to_owned())
        };
        let listed = self.errors.as_ref().and_then(|errors| errors.iter().find_map(of_error));
        let reason = text.or(listed)?;
        Some(reason.chars().filter(|c| !c.is_control()).take(MAX_FAILURE).collect())
    }
}

impl From<Registered> for VendorRegistration {
    fn from(registered: Registered) -> Self {
        let state = match registered.status.as_str() {
            "APPROVED" | "VERIFIED" | "TWILIO_APPROVED" => ReviewState::Approved,
            "FAILED" | "TWILIO_REJECTED" | "SUSPENDED" | "DELETION_PENDING" => ReviewState::Failed,
            "IN_REVIEW" | "IN_PROGRESS" => ReviewState::InReview,
            _ => ReviewState::Pending,
        };
        let failure = match state {
            ReviewState::Failed => Some(registered.reason().unwrap_or(registered.status)),
            _ => None,
        };
        Self {
            id: registered.sid,
            state,
            failure,
        }
    }
}

#[async_trait]
impl NumberRegistrations for Client {
    async fn service(&self, label: &str) -> Result<String, NumberError> {
        let path = "/v1/Services";
        let known = self.search(path, "services", |service: &Service| service.friendly_name == label);
        if let Some(known) = known.await? {
            return Ok(known.sid);
        }
        let fields = [("FriendlyName", label), ("UseInboundWebhookOnNumber", "true")];
        let fields = fields.map(|(name, value)| (name, value.to_owned()));
        Ok(self.submit::<Service>(path, &fields).await?.sid)
    }

    async fn add_number(&self, service: &str, number: &str) -> Result<(), NumberError> {
        let path = format!("{}/PhoneNumbers", service_path(service)?);
        let fields = [("PhoneNumberSid", number.to_owned())];
        match self.submit::<ServiceNumber>(&path, &fields).await {
            Ok(_) => Ok(()),
            Err(NumberError::Refused(code)) if code == ALREADY_THERE => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn numbers_of(&self, service: &str) -> Result<Vec<String>, NumberError> {
        let path = format!("{}/PhoneNumbers", service_path(service)?);
        let mut found = Vec::new();
        self.search(&path, "phone_numbers", |number: &ServiceNumber| {
            found.push(number.sid.clone());
            false
        })
        .await?;
        Ok(found)
    }

    async fn create(&self, request: RegistrationRequest<'_>) -> Result<VendorRegistration, NumberError> {
        let fields = registration_forms::of(request);
        self.submit::<Registered>(&list_path(request)?, &fields)
            .await
            .map(VendorRegistration::from)
    }

    async fn find(&self, request: RegistrationRequest<'_>) -> Result<Option<VendorRegistration>, NumberError> {
        let key = match request {
            RegistrationRequest::Brand(_) => "data",
            RegistrationRequest::Campaign { .. } => "compliance",
            RegistrationRequest::Tollfree { .. } => "verifications",
        };
        let path = list_path(request)?;
        let found = self.search(&path, key, |registered: &Registered| registered.is_of(request));
        Ok(found.await?.map(VendorRegistration::from))
    }

    async fn fetch(&self, key: RegistrationKey<'_>) -> Result<VendorRegistration, NumberError> {
        let response = self.get(&self.messaging_url(&path_of(key)?)).await;
        read::<Registered>(&response.map_err(|outcome| error_of(&outcome))?).map(VendorRegistration::from)
    }

    async fn resubmit(&self, id: &str, request: RegistrationRequest<'_>) -> Result<VendorRegistration, NumberError> {
        let (kind, mut fields) = match request {
            // The changed profiles are at the vendor.
            RegistrationRequest::Brand(_) => (RegistrationKind::Brand, Vec::new()),
            RegistrationRequest::Tollfree { .. } => (RegistrationKind::Tollfree, registration_forms::of(request)),
            RegistrationRequest::Campaign { .. } => return Err(NumberError::Refused("campaign".to_owned())),
        };
        fields.retain(|(name, _)| *name != registration_forms::TOLLFREE_NUMBER);
        let key = RegistrationKey {
            kind,
            id,
            service: None,
        };
        self.submit::<Registered>(&path_of(key)?, &fields)
            .await
            .map(VendorRegistration::from)
    }

    async fn remove(&self, key: RegistrationKey<'_>) -> Result<(), NumberError> {
        let response = self.delete_url(&self.messaging_url(&path_of(key)?)).await;
        let response = response.map_err(|outcome| error_of(&outcome))?;
        match response.status.is_success() {
            true => Ok(()),
            false => Err(failure(&response)),
        }
    }
}

impl Client {
    fn messaging_url(&self, path: &str) -> String {
        format!("{}{path}", self.messaging_endpoint())
    }

    async fn submit<T: DeserializeOwned>(&self, path: &str, fields: &[(&str, String)]) -> Result<T, NumberError> {
        let form: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let response: Result<Response, Outcome> = self.post_to(&self.messaging_url(path), &form).await;
        read(&response.map_err(|outcome| error_of(&outcome))?)
    }

    /// Reads a list, page by page, until an entry fits.
    async fn search<T: DeserializeOwned>(
        &self,
        path: &str,
        key: &str,
        mut fits: impl FnMut(&T) -> bool + Send,
    ) -> Result<Option<T>, NumberError> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let mut url = self.messaging_url(&format!("{path}{separator}{PAGE_SIZE}"));
        for _ in 0..MAX_PAGES {
            let response = self.get(&url).await.map_err(|outcome| error_of(&outcome))?;
            let mut page: Value = read(&response)?;
            let entries: Vec<T> = serde_json::from_value(page[key].take()).map_err(|_| NumberError::Unknown)?;
            if let Some(found) = entries.into_iter().find(|entry| fits(entry)) {
                return Ok(Some(found));
            }
            match page["meta"]["next_page_url"].as_str() {
                None => return Ok(None),
                Some(next) => url = self.same_host(next)?,
            }
        }
        // The list was not read to its end, so "not in the list" would be a guess.
        Err(NumberError::Unknown)
    }

    /// Returns the path of a next page on the known host, so that the credentials go nowhere else.
    fn same_host(&self, next: &str) -> Result<String, NumberError> {
        let next = Url::parse(next).map_err(|_| NumberError::Unknown)?;
        let query = next.query().unwrap_or_default();
        Ok(self.messaging_url(&format!("{}?{query}", next.path())))
    }
}

fn service_path(service: &str) -> Result<String, NumberError> {
    match wire::is_sid(service, "MG") {
        true => Ok(format!("/v1/Services/{service}")),
        false => Err(NumberError::NotFound),
    }
}

fn list_path(request: RegistrationRequest<'_>) -> Result<String, NumberError> {
    match request {
        RegistrationRequest::Brand(_) => Ok("/v1/a2p/BrandRegistrations".to_owned()),
        RegistrationRequest::Campaign { service, .. } => Ok(format!("{}/Compliance/Usa2p", service_path(service)?)),
        RegistrationRequest::Tollfree { .. } => Ok("/v1/Tollfree/Verifications".to_owned()),
    }
}

fn path_of(key: RegistrationKey<'_>) -> Result<String, NumberError> {
    let (prefix, list) = match key.kind {
        RegistrationKind::Brand => ("BN", "/v1/a2p/BrandRegistrations".to_owned()),
        RegistrationKind::Campaign => {
            let service = service_path(key.service.unwrap_or_default())?;
            ("QE", format!("{service}/Compliance/Usa2p"))
        }
        RegistrationKind::Tollfree => ("HH", "/v1/Tollfree/Verifications".to_owned()),
    };
    match wire::is_sid(key.id, prefix) {
        true => Ok(format!("{list}/{}", key.id)),
        false => Err(NumberError::NotFound),
    }
}
