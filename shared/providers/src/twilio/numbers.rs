//! Phone numbers and subaccounts (Twilio, API reference: AvailablePhoneNumber, IncomingPhoneNumber and Account resources).

use async_trait::async_trait;
use butt_dial_domain::ports::{
    carrier::{Outcome, RefusalClass},
    numbers::{
        AvailableNumber, NumberCapabilities, NumberError, NumberKey, NumberKind, NumberQuery, NumberUrls, Numbers,
        OwnedNumber, Subaccount, SubaccountStatus, Subaccounts,
    },
};
use serde::{Deserialize, de::DeserializeOwned};
use url::form_urlencoded::Serializer;

use super::{
    client::Client,
    wire::{self, ErrorBody},
};
use crate::http::{self, Response};

/// The number is not for sale, or another account has bought it (Twilio, error dictionary).
const NOT_AVAILABLE: [u32; 3] = [21422, 21404, 21452];
const MAX_RESULTS: u32 = 50;

#[derive(Deserialize)]
struct AvailablePage {
    available_phone_numbers: Vec<Available>,
}

#[derive(Deserialize)]
struct Available {
    phone_number: String,
    #[serde(default)]
    locality: Option<String>,
    #[serde(default)]
    region: Option<String>,
    iso_country: String,
    #[serde(default)]
    address_requirements: Option<String>,
    #[serde(default)]
    capabilities: Capabilities,
}

/// Twilio writes the names in lower case or in upper case.
#[derive(Default, Deserialize)]
struct Capabilities {
    #[serde(default)]
    voice: bool,
    #[serde(default, alias = "SMS")]
    sms: bool,
    #[serde(default, alias = "MMS")]
    mms: bool,
}

impl From<Capabilities> for NumberCapabilities {
    fn from(has: Capabilities) -> Self {
        Self {
            voice: has.voice,
            sms: has.sms,
            mms: has.mms,
        }
    }
}

#[derive(Deserialize)]
struct OwnedPage {
    incoming_phone_numbers: Vec<Owned>,
}

#[derive(Deserialize)]
struct Owned {
    sid: String,
    phone_number: String,
    #[serde(default)]
    friendly_name: String,
    #[serde(default)]
    capabilities: Capabilities,
    #[serde(default)]
    sms_url: Option<String>,
    #[serde(default)]
    voice_url: Option<String>,
    #[serde(default)]
    status_callback: Option<String>,
}

impl From<Owned> for OwnedNumber {
    fn from(owned: Owned) -> Self {
        let url = |url: Option<String>| url.filter(|url| !url.is_empty());
        Self {
            id: owned.sid,
            number: owned.phone_number,
            label: owned.friendly_name,
            capabilities: owned.capabilities.into(),
            urls: NumberUrls {
                sms: url(owned.sms_url),
                voice: url(owned.voice_url),
                status: url(owned.status_callback),
            },
        }
    }
}

#[derive(Deserialize)]
struct AccountPage {
    accounts: Vec<AccountBody>,
}

#[derive(Deserialize)]
struct AccountBody {
    sid: String,
    auth_token: String,
    friendly_name: String,
    status: String,
}

impl From<AccountBody> for Subaccount {
    fn from(account: AccountBody) -> Self {
        Self {
            is_active: account.status == "active",
            id: account.sid,
            token: account.auth_token,
        }
    }
}

#[async_trait]
impl Numbers for Client {
    async fn search(&self, query: &NumberQuery) -> Result<Vec<AvailableNumber>, NumberError> {
        let kind = match query.kind {
            NumberKind::Local => "Local",
            NumberKind::Mobile => "Mobile",
            NumberKind::TollFree => "TollFree",
        };
        if query.country.len() != 2 || !query.country.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(NumberError::Refused("country".to_owned()));
        }
        let path = format!(
            "/AvailablePhoneNumbers/{}/{kind}.json?{}",
            query.country,
            search_parameters(query)
        );
        let response = self
            .get(&self.account_url(&path))
            .await
            .map_err(|outcome| error_of(&outcome))?;
        let page: AvailablePage = read(&response)?;
        let numbers = page.available_phone_numbers.into_iter().take(query.limit as usize);
        Ok(numbers
            .map(|number| AvailableNumber {
                number: number.phone_number,
                locality: number.locality,
                region: number.region,
                country: number.iso_country,
                capabilities: number.capabilities.into(),
                address_requirement: number.address_requirements.filter(|text| text != "none"),
            })
            .collect())
    }

    async fn buy(&self, number: &str, label: &str, urls: &NumberUrls) -> Result<OwnedNumber, NumberError> {
        let mut form = vec![("PhoneNumber", number), ("FriendlyName", label)];
        form.extend(url_fields(urls));
        let response = self.post("/IncomingPhoneNumbers.json", &form).await;
        read::<Owned>(&response.map_err(|outcome| error_of(&outcome))?).map(OwnedNumber::from)
    }

    async fn find(&self, by: NumberKey<'_>) -> Result<Option<OwnedNumber>, NumberError> {
        let (name, value) = match by {
            NumberKey::Number(number) => ("PhoneNumber", number),
            NumberKey::Label(label) => ("FriendlyName", label),
        };
        let query = Serializer::new(String::new()).append_pair(name, value).finish();
        let url = self.account_url(&format!("/IncomingPhoneNumbers.json?{query}"));
        let response = self.get(&url).await.map_err(|outcome| error_of(&outcome))?;
        let page: OwnedPage = read(&response)?;
        // The filter of the number matches parts of it too.
        let is_it = |owned: &Owned| match by {
            NumberKey::Number(number) => owned.phone_number == number,
            NumberKey::Label(label) => owned.friendly_name == label,
        };
        Ok(page
            .incoming_phone_numbers
            .into_iter()
            .find(is_it)
            .map(OwnedNumber::from))
    }

    async fn configure(&self, id: &str, urls: &NumberUrls) -> Result<OwnedNumber, NumberError> {
        let path = number_path(id)?;
        let response = self.post(&path, &url_fields(urls)).await;
        read::<Owned>(&response.map_err(|outcome| error_of(&outcome))?).map(OwnedNumber::from)
    }

    async fn release(&self, id: &str) -> Result<(), NumberError> {
        let response = self
            .delete_below(&number_path(id)?)
            .await
            .map_err(|outcome| error_of(&outcome))?;
        match response.status.is_success() {
            true => Ok(()),
            false => Err(failure(&response)),
        }
    }
}

#[async_trait]
impl Subaccounts for Client {
    async fn create(&self, label: &str) -> Result<Subaccount, NumberError> {
        // Accounts have no idempotency key: the one with this name is the result of an earlier request.
        let query = Serializer::new(String::new())
            .append_pair("FriendlyName", label)
            .finish();
        let response = self.get(&self.accounts_url(&format!("?{query}"))).await;
        let page: AccountPage = read(&response.map_err(|outcome| error_of(&outcome))?)?;
        if let Some(found) = page.accounts.into_iter().find(|account| account.friendly_name == label) {
            return Ok(found.into());
        }
        let response = self.post_to(&self.accounts_url(""), &[("FriendlyName", label)]).await;
        read::<AccountBody>(&response.map_err(|outcome| error_of(&outcome))?).map(Subaccount::from)
    }

    async fn set_status(&self, id: &str, status: SubaccountStatus) -> Result<(), NumberError> {
        if !wire::is_sid(id, "AC") {
            return Err(NumberError::NotFound);
        }
        let url = self.subaccount_url(id);
        let response = self.post_to(&url, &[("Status", status.into())]).await;
        let response = response.map_err(|outcome| error_of(&outcome))?;
        match response.status.is_success() {
            true => Ok(()),
            false => Err(failure(&response)),
        }
    }
}

fn search_parameters(query: &NumberQuery) -> String {
    let mut parameters = Serializer::new(String::new());
    parameters.append_pair("PageSize", &query.limit.clamp(1, MAX_RESULTS).to_string());
    for (name, value) in [("AreaCode", &query.area_code), ("Contains", &query.contains)] {
        if let Some(value) = value {
            parameters.append_pair(name, value);
        }
    }
    parameters.finish()
}

fn number_path(id: &str) -> Result<String, NumberError> {
    match wire::is_sid(id, "PN") {
        true => Ok(format!("/IncomingPhoneNumbers/{id}.json")),
        false => Err(NumberError::NotFound),
    }
}

fn url_fields(urls: &NumberUrls) -> Vec<(&'static str, &str)> {
    let mut fields = Vec::new();
    let all = [
        ("SmsUrl", "SmsMethod", &urls.sms),
        ("VoiceUrl", "VoiceMethod", &urls.voice),
        ("StatusCallback", "StatusCallbackMethod", &urls.status),
    ];
    for (name, method, url) in all {
        if let Some(url) = url {
            fields.extend([(name, url.as_str()), (method, "POST")]);
        }
    }
    fields
}

pub(super) fn read<T: DeserializeOwned>(response: &Response) -> Result<T, NumberError> {
    if !response.status.is_success() {
        return Err(failure(response));
    }
    serde_json::from_slice(&response.body).map_err(|_| NumberError::Unknown)
}

pub(super) fn failure(response: &Response) -> NumberError {
    let body: Option<ErrorBody> = serde_json::from_slice(&response.body).ok();
    let code = body.map(|body| body.code);
    match (response.status.as_u16(), code) {
        (401 | 403, _) => NumberError::Unauthorized,
        (429, _) => NumberError::Unreachable,
        (_, Some(code)) if NOT_AVAILABLE.contains(&code) => NumberError::Unavailable,
        (404, _) => NumberError::NotFound,
        (400..=499, Some(code)) => NumberError::Refused(code.to_string()),
        (400..=499, None) => NumberError::Refused(response.status.as_u16().to_string()),
        _ => NumberError::Unknown,
    }
}

/// Maps a request without a response.
pub(super) fn error_of(outcome: &Outcome) -> NumberError {
    match outcome {
        Outcome::Refused(refusal) if refusal.class == RefusalClass::Unreachable => NumberError::Unreachable,
        Outcome::Refused(refusal) => {
            let code = refusal.carrier_code.as_deref();
            NumberError::Refused(code.map_or_else(|| refusal.class.as_str().to_owned(), http::label))
        }
        Outcome::Accepted(_) | Outcome::Unknown(_) => NumberError::Unknown,
    }
}
