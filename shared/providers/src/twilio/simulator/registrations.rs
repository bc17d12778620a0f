//! Messaging services, and A2P brands and campaigns (Twilio, Messaging API v1; error dictionary). A registration is pending when it
//! is created, in review at the first look, and decided at the second one. A registration with `REJECT` in a field fails.

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};

use super::{
    ERROR_FORMAT,
    error::ApiError,
    resources::{
        BRAND, CAMPAIGN, Form, PARENT, SERVICE, STATUS, TOLLFREE, TOLLFREE_NUMBER, advance, find, listed, shown,
    },
    tollfree,
};
use crate::simulator::{SimulatedResource, SimulatorState, faults};

/// The prefix of bundles, such as customer profiles.
const BUNDLE: &str = "BU";

pub fn router(simulator: &SimulatorState) -> Router<SimulatorState> {
    let send = middleware::from_fn_with_state((simulator.clone(), ERROR_FORMAT), faults::inject_faults);
    Router::new()
        .route(
            "/v1/Services",
            post(create_service).layer(send.clone()).get(list_services),
        )
        .route("/v1/Services/{service}", get(fetch_service))
        .route(
            "/v1/Services/{service}/PhoneNumbers",
            post(add_number).layer(send.clone()).get(list_numbers),
        )
        .route(
            "/v1/Services/{service}/Compliance/Usa2p",
            post(create_campaign).layer(send.clone()).get(list_campaigns),
        )
        .route(
            "/v1/Services/{service}/Compliance/Usa2p/{id}",
            get(fetch_campaign).delete(remove_campaign),
        )
        .route(
            "/v1/a2p/BrandRegistrations",
            post(create_brand).layer(send.clone()).get(list_brands),
        )
        .route("/v1/a2p/BrandRegistrations/{id}", get(fetch_brand).post(update_brand))
        .route(
            "/v1/Tollfree/Verifications",
            post(tollfree::create).layer(send).get(tollfree::list),
        )
        .route(
            "/v1/Tollfree/Verifications/{id}",
            get(tollfree::fetch).post(tollfree::update).delete(tollfree::remove),
        )
}

/// Returns the error of a message from a US number without its registration (Twilio, errors 30034 and 30032). Only numbers that were
/// bought here need one, and only if the simulator checks registrations.
pub fn missing(simulator: &SimulatorState, number: &str) -> Option<u32> {
    if !simulator.checks_registrations() {
        return None;
    }
    let book = simulator.account_book();
    let bought = book.find_number(number)?;
    let area = number.strip_prefix("+1")?.get(..3)?;
    if tollfree::CODES.contains(&area) {
        let approved = |resource: &SimulatedResource| {
            resource.field(TOLLFREE_NUMBER) == bought.id && resource.field(STATUS) == "TWILIO_APPROVED"
        };
        return (!book.resources(TOLLFREE).iter().any(approved)).then_some(30032);
    }
    let verified = |resource: &SimulatedResource| {
        resource.field(PARENT) == bought.field(PARENT) && resource.field(STATUS) == "VERIFIED"
    };
    (!book.resources(CAMPAIGN).iter().any(verified)).then_some(30034)
}

async fn create_service(State(simulator): State<SimulatorState>, headers: HeaderMap, body: Bytes) -> Response {
    let form = Form::of(&simulator, &headers, &body);
    if let Err(error) = form.require(&["FriendlyName"]) {
        return error.into_response();
    }
    let service = form.store(&simulator, SERVICE, &[]);
    (StatusCode::CREATED, Json(shown(&service))).into_response()
}

async fn list_services(State(simulator): State<SimulatorState>, headers: HeaderMap) -> Response {
    listed(&simulator, &headers, (SERVICE, "services"), |_| true)
}

async fn fetch_service(
    State(simulator): State<SimulatorState>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    find(&simulator, &headers, SERVICE, &id).map(|service| Json(shown(&service)).into_response())
}

async fn add_number(
    State(simulator): State<SimulatorState>,
    headers: HeaderMap,
    Path(service): Path<String>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let form = Form::of(&simulator, &headers, &body);
    find(&simulator, &headers, SERVICE, &service)?;
    form.require(&["PhoneNumberSid"])?;
    let numbers = simulator.account_book().numbers_of(&form.account);
    let number = numbers.iter().find(|number| number.id == form.find("PhoneNumberSid"));
    let number = number.ok_or_else(ApiError::not_found)?;
    match number.field(PARENT) {
        "" => {}
        own if own == service => {
            let text = "Phone Number or Short Code is already in the Messaging Service.";
            return Err(ApiError::new(StatusCode::CONFLICT, 21710, text));
        }
        _ => {
            let text = "Phone Number or Short Code is associated with another Messaging Service.";
            return Err(ApiError::new(StatusCode::CONFLICT, 21712, text));
        }
    }
    let fields = [(PARENT.to_owned(), service.clone())];
    simulator
        .account_book()
        .change_number(&form.account, &number.id, &fields);
    let shown = json!({
        "sid": number.id, "account_sid": form.account, "service_sid": service, "phone_number": number.number,
        "country_code": "US", "capabilities": ["SMS", "Voice"],
    });
    Ok((StatusCode::CREATED, Json(shown)).into_response())
}

async fn list_numbers(
    State(simulator): State<SimulatorState>,
    headers: HeaderMap,
    Path(service): Path<String>,
) -> Result<Response, ApiError> {
    let found = find(&simulator, &headers, SERVICE, &service)?;
    let numbers = simulator.account_book().numbers_of(&found.account);
    let in_service = numbers.iter().filter(|number| number.field(PARENT) == service);
    let shown: Vec<Value> = in_service
        .map(|number| json!({ "sid": number.id, "phone_number": number.number }))
        .collect();
    Ok(
        Json(json!({ "phone_numbers": shown, "meta": { "key": "phone_numbers", "next_page_url": null } }))
            .into_response(),
    )
}

async fn create_brand(
    State(simulator): State<SimulatorState>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let form = Form::of(&simulator, &headers, &body);
    let bundles = ["CustomerProfileBundleSid", "A2PProfileBundleSid"];
    form.require(&bundles)?;
    if bundles.iter().any(|name| !form.find(name).starts_with(BUNDLE)) {
        return Err(ApiError::bad(20001, "The bundle SID is invalid"));
    }
    if !matches!(form.find("BrandType"), "" | "STANDARD" | "SOLE_PROPRIETOR") {
        return Err(ApiError::bad(20001, "BrandType is invalid"));
    }
    let brand = form.store(&simulator, BRAND, &[(STATUS, "PENDING")]);
    Ok((StatusCode::CREATED, Json(shown(&brand))).into_response())
}

async fn list_brands(State(simulator): State<SimulatorState>, headers: HeaderMap) -> Response {
    listed(&simulator, &headers, (BRAND, "data"), |_| true)
}

async fn fetch_brand(
    State(simulator): State<SimulatorState>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let brand = find(&simulator, &headers, BRAND, &id)?;
    Ok(Json(shown(&advance(&simulator, brand))).into_response())
}

/// Submits a failed brand again, with the profiles as they are by now.
async fn update_brand(
    State(simulator): State<SimulatorState>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let mut brand = find(&simulator, &headers, BRAND, &id)?;
    if brand.field(STATUS) != "FAILED" {
        return Err(ApiError::bad(20001, "Only a failed brand registration can be updated"));
    }
    brand
        .fields
        .extend([("Rejected", "false"), (STATUS, "PENDING")].map(|(name, value)| (name.into(), value.into())));
    simulator.account_book().put_resource(brand.clone());
    Ok(Json(shown(&brand)).into_response())
}

async fn create_campaign(
    State(simulator): State<SimulatorState>,
    headers: HeaderMap,
    Path(service): Path<String>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let form = Form::of(&simulator, &headers, &body);
    find(&simulator, &headers, SERVICE, &service)?;
    form.require(&[
        "BrandRegistrationSid",
        "Description",
        "MessageFlow",
        "UsAppToPersonUsecase",
    ])?;
    let samples = form.all("MessageSamples");
    let is_sample = |text: &&str| (20..=1_024).contains(&text.chars().count());
    let description = form.find("Description").chars().count();
    if !(40..=4_096).contains(&description) || !(2..=5).contains(&samples.len()) || !samples.iter().all(is_sample) {
        return Err(ApiError::bad(20001, "Description or MessageSamples is invalid"));
    }
    let brand = find(&simulator, &headers, BRAND, form.find("BrandRegistrationSid"));
    if brand.map_or(true, |brand| brand.field(STATUS) != "APPROVED") {
        let text = "Brand Registration SID for US A2P Campaign Use Case is Not Registered or Not Valid";
        return Err(ApiError::bad(21717, text));
    }
    let all = simulator.account_book().resources(CAMPAIGN);
    if all.iter().any(|known| known.field(PARENT) == service) {
        return Err(ApiError::bad(
            20001,
            "The Messaging Service has a US A2P campaign already",
        ));
    }
    let campaign = form.store(&simulator, CAMPAIGN, &[(STATUS, "PENDING"), (PARENT, &service)]);
    Ok((StatusCode::CREATED, Json(shown(&campaign))).into_response())
}

async fn list_campaigns(
    State(simulator): State<SimulatorState>,
    headers: HeaderMap,
    Path(service): Path<String>,
) -> Response {
    listed(&simulator, &headers, (CAMPAIGN, "compliance"), |known| {
        known.field(PARENT) == service
    })
}

async fn fetch_campaign(
    State(simulator): State<SimulatorState>,
    headers: HeaderMap,
    Path((_, id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let campaign = find(&simulator, &headers, CAMPAIGN, &id)?;
    Ok(Json(shown(&advance(&simulator, campaign))).into_response())
}

async fn remove_campaign(
    State(simulator): State<SimulatorState>,
    headers: HeaderMap,
    Path((_, id)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let campaign = find(&simulator, &headers, CAMPAIGN, &id)?;
    simulator.account_book().remove_resource(&campaign.id);
    Ok(StatusCode::NO_CONTENT)
}
