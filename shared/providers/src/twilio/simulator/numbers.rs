//! Numbers for sale and numbers of an account (Twilio, AvailablePhoneNumber and IncomingPhoneNumber resources). The numbers for
//! sale are reserved for fiction, as far as a country has such numbers.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::error::ApiError;
use crate::{
    simulator::{SimulatedNumber, SimulatorState},
    twilio::wire::VERSION,
};

const DEFAULT_PAGE: usize = 30;
/// The fields that a request can set.
const FIELDS: [&str; 8] = [
    "FriendlyName",
    "SmsUrl",
    "SmsMethod",
    "VoiceUrl",
    "VoiceMethod",
    "StatusCallback",
    "StatusCallbackMethod",
    "AddressSid",
];

/// The numbers of a country and kind: a prefix, the number of further digits, how many there are, and the address that a buyer needs.
struct Range {
    country: &'static str,
    kind: &'static str,
    prefix: &'static str,
    digits: usize,
    count: usize,
    address_requirements: &'static str,
}

const fn range(country: &'static str, kind: &'static str, prefix: &'static str, digits: usize, count: usize) -> Range {
    Range {
        country,
        kind,
        prefix,
        digits,
        count,
        address_requirements: "none",
    }
}

const RANGES: &[Range] = &[
    range("US", "Local", "+141555501", 2, 100),
    range("US", "Local", "+121255501", 2, 100),
    range("US", "Local", "+131255501", 2, 100),
    range("US", "Mobile", "+165055501", 2, 100),
    range("US", "TollFree", "+180055501", 2, 100),
    range("CA", "Local", "+141655501", 2, 100),
    range("CA", "Local", "+160455501", 2, 100),
    range("GB", "Local", "+442079460", 3, 1_000),
    range("GB", "Mobile", "+447700900", 3, 1_000),
    range("AU", "Mobile", "+61491570", 3, 999),
    range("IL", "Local", "+97235550", 3, 1_000),
    range("FR", "Local", "+3319900", 4, 1_000),
    Range {
        address_requirements: "local",
        ..range("DE", "Local", "+49305550", 4, 1_000)
    },
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Search {
    area_code: Option<String>,
    contains: Option<String>,
    page_size: Option<usize>,
}

pub async fn search(
    State(simulator): State<SimulatorState>,
    Path((account, country, file)): Path<(String, String, String)>,
    Query(search): Query<Search>,
) -> Response {
    let kind = file.trim_end_matches(".json");
    let ranges: Vec<&Range> = RANGES
        .iter()
        .filter(|range| range.country == country && range.kind == kind)
        .collect();
    if ranges.is_empty() {
        return ApiError::not_found().into_response();
    }
    // Neighbouring numbers of one area, then those of the next one.
    let numbers = ranges.iter().flat_map(|range| {
        (0..range.count).map(move |n| (*range, format!("{}{n:0digits$}", range.prefix, digits = range.digits)))
    });
    let fits = |number: &str| {
        let area = search.area_code.as_ref();
        area.is_none_or(|area| number.starts_with(&format!("+1{area}")))
            && search.contains.as_ref().is_none_or(|pattern| contains(number, pattern))
            && is_for_sale(&simulator, number)
    };
    let found: Vec<Value> = numbers
        .filter(|(_, number)| fits(number))
        .take(search.page_size.unwrap_or(DEFAULT_PAGE))
        .map(|(range, number)| shown_available(range, &number))
        .collect();
    Json(json!({
        "available_phone_numbers": found,
        "uri": format!("/{VERSION}/Accounts/{account}/AvailablePhoneNumbers/{country}/{kind}.json"),
    }))
    .into_response()
}

/// The first numbers are those of the simulated installation.
fn is_for_sale(simulator: &SimulatorState, number: &str) -> bool {
    number != "+14155550100" && number != "+14155550123" && simulator.account_book().find_number(number).is_none()
}

/// Returns whether a number contains the digits, where `*` stands for any digit.
fn contains(number: &str, pattern: &str) -> bool {
    let pattern: Vec<u8> = pattern.bytes().filter(|b| b.is_ascii_digit() || *b == b'*').collect();
    let digits: Vec<u8> = number.bytes().filter(u8::is_ascii_digit).collect();
    let fits = |window: &[u8]| {
        window
            .iter()
            .zip(&pattern)
            .all(|(digit, wanted)| *wanted == b'*' || digit == wanted)
    };
    pattern.is_empty() || digits.windows(pattern.len()).any(fits)
}

fn shown_available(range: &Range, number: &str) -> Value {
    let has_texts = range.kind != "TollFree" || range.country == "US";
    json!({
        "phone_number": number,
        "friendly_name": number,
        "iso_country": range.country,
        "locality": null,
        "region": null,
        "postal_code": null,
        "beta": false,
        "address_requirements": range.address_requirements,
        "capabilities": { "voice": true, "SMS": has_texts, "MMS": range.country == "US" },
    })
}

pub async fn buy(State(simulator): State<SimulatorState>, Path(account): Path<String>, body: Bytes) -> Response {
    let fields: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
    let find = |name: &str| {
        fields
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    };
    let Some(wanted) = find("PhoneNumber") else {
        return ApiError::bad(21421, "PhoneNumber is invalid").into_response();
    };
    let range = RANGES.iter().find(|range| {
        let rest = wanted.strip_prefix(range.prefix);
        rest.is_some_and(|rest| rest.len() == range.digits && rest.bytes().all(|b| b.is_ascii_digit()))
    });
    let Some(range) = range else {
        return ApiError::bad(21404, "PhoneNumber is not available").into_response();
    };
    if range.address_requirements != "none" && find("AddressSid").is_none_or(str::is_empty) {
        let text = "Phone Number Requires an Address but the 'AddressSid' parameter was empty.";
        return ApiError::bad(21631, text).into_response();
    }
    if let Some(error) = invalid_url(&fields) {
        return error.into_response();
    }
    let number = SimulatedNumber {
        id: format!("PN{}", uuid::Uuid::new_v4().simple()),
        number: wanted.to_owned(),
        account,
        fields: known_fields(&fields).collect(),
        created_at: simulator.now(),
    };
    if !is_for_sale(&simulator, wanted) || !simulator.account_book().add_number(number.clone()) {
        let text = format!("PhoneNumber {wanted} is not available");
        return ApiError::bad(21422, text).into_response();
    }
    (StatusCode::CREATED, Json(shown(&number))).into_response()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Listing {
    phone_number: Option<String>,
    friendly_name: Option<String>,
}

pub async fn list(
    State(simulator): State<SimulatorState>,
    Path(account): Path<String>,
    Query(listing): Query<Listing>,
) -> Response {
    let numbers = simulator.account_book().numbers_of(&account);
    let fits = |number: &&SimulatedNumber| {
        let part = listing.phone_number.as_ref();
        part.is_none_or(|part| contains(&number.number, part))
            && listing
                .friendly_name
                .as_ref()
                .is_none_or(|name| number.field("FriendlyName") == name)
    };
    let found: Vec<Value> = numbers.iter().filter(fits).map(shown).collect();
    Json(json!({ "incoming_phone_numbers": found, "page": 0, "next_page_uri": null })).into_response()
}

pub async fn fetch(State(simulator): State<SimulatorState>, Path((account, file)): Path<(String, String)>) -> Response {
    let id = file.trim_end_matches(".json");
    let numbers = simulator.account_book().numbers_of(&account);
    match numbers.iter().find(|number| number.id == id) {
        Some(number) => Json(shown(number)).into_response(),
        None => ApiError::not_found().into_response(),
    }
}

pub async fn update(
    State(simulator): State<SimulatorState>,
    Path((account, file)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let fields: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
    if let Some(error) = invalid_url(&fields) {
        return error.into_response();
    }
    let fields: Vec<_> = known_fields(&fields).collect();
    let changed = simulator
        .account_book()
        .change_number(&account, file.trim_end_matches(".json"), &fields);
    match changed {
        Some(number) => Json(shown(&number)).into_response(),
        None => ApiError::not_found().into_response(),
    }
}

pub async fn release(
    State(simulator): State<SimulatorState>,
    Path((account, file)): Path<(String, String)>,
) -> Response {
    match simulator
        .account_book()
        .remove_number(&account, file.trim_end_matches(".json"))
    {
        true => StatusCode::NO_CONTENT.into_response(),
        false => ApiError::not_found().into_response(),
    }
}

fn known_fields(fields: &[(String, String)]) -> impl Iterator<Item = (String, String)> {
    fields
        .iter()
        .filter(|(name, _)| FIELDS.contains(&name.as_str()))
        .cloned()
}

fn invalid_url(fields: &[(String, String)]) -> Option<ApiError> {
    let is_web =
        |text: &str| url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let urls = fields
        .iter()
        .filter(|(name, value)| name.ends_with("Url") && !value.is_empty());
    let mut wrong = urls.filter(|(_, value)| !is_web(value));
    wrong
        .next()
        .map(|(name, _)| ApiError::bad(21502, format!("Invalid {name}")))
}

/// Renders the IncomingPhoneNumber resource.
fn shown(number: &SimulatedNumber) -> Value {
    json!({
        "sid": number.id,
        "account_sid": number.account,
        "phone_number": number.number,
        "friendly_name": number.field("FriendlyName"),
        "capabilities": { "voice": true, "sms": true, "mms": number.number.starts_with("+1"), "fax": false },
        "sms_url": number.field("SmsUrl"),
        "sms_method": number.field("SmsMethod"),
        "voice_url": number.field("VoiceUrl"),
        "voice_method": number.field("VoiceMethod"),
        "status_callback": number.field("StatusCallback"),
        "status": "in-use",
        "origin": "twilio",
        "date_created": number.created_at.to_rfc2822(),
        "uri": format!("/{VERSION}/Accounts/{}/IncomingPhoneNumbers/{}.json", number.account, number.id),
    })
}
