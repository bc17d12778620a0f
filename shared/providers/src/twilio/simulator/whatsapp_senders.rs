//! WhatsApp senders (Twilio, Messaging API v2: Channels Senders resource). A sender is online one look after its creation.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{accounts, error::ApiError};
use crate::{
    simulator::{SimulatedNumber, SimulatorState},
    twilio::wire::WHATSAPP,
};

const SENDER: &str = "WhatsappSender";
const STATUS: &str = "WhatsappStatus";

pub async fn create(State(simulator): State<SimulatorState>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let account = accounts::authentic_user(&simulator, &headers).unwrap_or_default();
    let Some(number) = body["sender_id"].as_str().and_then(|id| id.strip_prefix(WHATSAPP)) else {
        return ApiError::bad(20001, "sender_id is invalid").into_response();
    };
    if body["profile"]["name"].as_str().is_none_or(str::is_empty) {
        return ApiError::bad(20001, "profile.name is required").into_response();
    }
    let known = simulator.account_book().numbers_of(&account);
    let Some(number) = known.iter().find(|known| known.number == number) else {
        return ApiError::bad(63100, "The number does not belong to the account").into_response();
    };
    let fields = [
        (SENDER.to_owned(), format!("XE{}", uuid::Uuid::new_v4().simple())),
        (STATUS.to_owned(), "CREATING".to_owned()),
        (
            "WhatsappUrl".to_owned(),
            body["webhook"]["callback_url"].as_str().unwrap_or_default().to_owned(),
        ),
    ];
    match simulator.account_book().change_number(&account, &number.id, &fields) {
        Some(number) => (StatusCode::ACCEPTED, Json(shown(&number))).into_response(),
        None => ApiError::not_found().into_response(),
    }
}

pub async fn list(State(simulator): State<SimulatorState>, headers: HeaderMap) -> Response {
    let account = accounts::authentic_user(&simulator, &headers).unwrap_or_default();
    let numbers = simulator.account_book().numbers_of(&account);
    let senders: Vec<Value> = numbers
        .iter()
        .filter(|number| !number.field(SENDER).is_empty())
        .map(shown)
        .collect();
    Json(json!({ "senders": senders, "meta": { "next_page_url": null } })).into_response()
}

pub async fn fetch(State(simulator): State<SimulatorState>, headers: HeaderMap, Path(id): Path<String>) -> Response {
    let online = [(STATUS.to_owned(), "ONLINE".to_owned())];
    change(&simulator, &headers, &id, &online).map_or_else(
        || ApiError::not_found().into_response(),
        |number| Json(shown(&number)).into_response(),
    )
}

pub async fn remove(State(simulator): State<SimulatorState>, headers: HeaderMap, Path(id): Path<String>) -> Response {
    match change(&simulator, &headers, &id, &[(SENDER.to_owned(), String::new())]) {
        Some(_) => StatusCode::NO_CONTENT.into_response(),
        None => ApiError::not_found().into_response(),
    }
}

fn change(
    simulator: &SimulatorState,
    headers: &HeaderMap,
    id: &str,
    fields: &[(String, String)],
) -> Option<SimulatedNumber> {
    let account = accounts::authentic_user(simulator, headers)?;
    let numbers = simulator.account_book().numbers_of(&account);
    let number = numbers.iter().find(|number| number.field(SENDER) == id)?;
    simulator.account_book().change_number(&account, &number.id, fields)
}

fn shown(number: &SimulatedNumber) -> Value {
    json!({
        "sid": number.field(SENDER),
        "status": number.field(STATUS),
        "sender_id": format!("{WHATSAPP}{}", number.number),
        "properties": { "quality_rating": null, "messaging_limit": null },
        "offline_reasons": null,
    })
}
