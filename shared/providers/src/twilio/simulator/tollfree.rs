//! Toll-free verifications (Twilio, Messaging API v1: Tollfree Verifications resource).

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::{
    error::ApiError,
    resources::{Form, STATUS, TOLLFREE, TOLLFREE_NUMBER, advance, find, listed, shown},
};
use crate::simulator::SimulatorState;

/// The digits after +1 of toll-free numbers.
pub const CODES: [&str; 7] = ["800", "833", "844", "855", "866", "877", "888"];

const REQUIRED: [&str; 9] = [
    "BusinessName",
    "BusinessWebsite",
    "NotificationEmail",
    "UseCaseCategories",
    "UseCaseSummary",
    "ProductionMessageSample",
    "OptInImageUrls",
    "OptInType",
    "MessageVolume",
];

pub async fn create(
    State(simulator): State<SimulatorState>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let form = Form::of(&simulator, &headers, &body);
    form.require(&REQUIRED)?;
    form.require(&[TOLLFREE_NUMBER])?;
    let id = form.find(TOLLFREE_NUMBER);
    let numbers = simulator.account_book().numbers_of(&form.account);
    let number = numbers.iter().find(|number| number.id == id);
    let is_tollfree =
        number.is_some_and(|number| CODES.iter().any(|code| number.number.starts_with(&format!("+1{code}"))));
    if !is_tollfree {
        return Err(ApiError::bad(20001, "TollfreePhoneNumberSid is invalid"));
    }
    let all = simulator.account_book().resources(TOLLFREE);
    if all.iter().any(|known| known.field(TOLLFREE_NUMBER) == id) {
        return Err(ApiError::bad(20001, "The number has a verification already"));
    }
    let verification = form.store(&simulator, TOLLFREE, &[(STATUS, "PENDING_REVIEW")]);
    Ok((StatusCode::CREATED, Json(shown(&verification))).into_response())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Listing {
    tollfree_phone_number_sid: Option<String>,
}

pub async fn list(
    State(simulator): State<SimulatorState>,
    headers: HeaderMap,
    Query(listing): Query<Listing>,
) -> Response {
    listed(&simulator, &headers, (TOLLFREE, "verifications"), |known| {
        let number = listing.tollfree_phone_number_sid.as_deref();
        number.is_none_or(|number| known.field(TOLLFREE_NUMBER) == number)
    })
}

pub async fn fetch(
    State(simulator): State<SimulatorState>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let verification = find(&simulator, &headers, TOLLFREE, &id)?;
    Ok(Json(shown(&advance(&simulator, verification))).into_response())
}

pub async fn update(
    State(simulator): State<SimulatorState>,
    headers: HeaderMap,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let form = Form::of(&simulator, &headers, &body);
    let mut verification = find(&simulator, &headers, TOLLFREE, &id)?;
    if verification.field(STATUS) != "TWILIO_REJECTED" {
        return Err(ApiError::bad(20001, "Only a rejected verification can be edited"));
    }
    verification
        .fields
        .insert("Rejected".to_owned(), form.is_rejected().to_string());
    verification
        .fields
        .insert(STATUS.to_owned(), "PENDING_REVIEW".to_owned());
    verification.fields.extend(form.fields);
    simulator.account_book().put_resource(verification.clone());
    Ok((StatusCode::ACCEPTED, Json(shown(&verification))).into_response())
}

pub async fn remove(
    State(simulator): State<SimulatorState>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let verification = find(&simulator, &headers, TOLLFREE, &id)?;
    simulator.account_book().remove_resource(&verification.id);
    Ok(StatusCode::NO_CONTENT)
}
