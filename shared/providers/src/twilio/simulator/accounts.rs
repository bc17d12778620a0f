//! The main account and its subaccounts (Twilio, Account resource). The main account's credentials reach the resources of its
//! subaccounts; a subaccount's reach only its own.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{ACCOUNT_SID, error::ApiError};
use crate::{
    Secret,
    simulator::{SimulatedAccount, SimulatorState},
    twilio::{AUTH_TOKEN, wire::VERSION},
};

/// Checks basic auth with an account SID and its token. The path must name the same account or one of its subaccounts.
pub async fn authenticate(State(simulator): State<SimulatorState>, request: Request, next: Next) -> Response {
    let Some(user) = authentic_user(&simulator, request.headers()) else {
        let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"Twilio API\"")];
        let error = ApiError::new(StatusCode::UNAUTHORIZED, 20003, "Authenticate");
        return (challenge, error).into_response();
    };
    let prefix = format!("/{VERSION}/Accounts/");
    let below = request.uri().path().strip_prefix(&prefix);
    let account = below.and_then(|rest| rest.split('/').next());
    let account = account.map(|part| part.trim_end_matches(".json"));
    let book = simulator.account_book();
    let is_reachable = match account {
        // The list of accounts, and other APIs.
        None => true,
        Some(account) => account == user || (user == ACCOUNT_SID && book.find_account(account).is_some()),
    };
    if !is_reachable {
        return ApiError::not_found().into_response();
    }
    let is_suspended = book
        .find_account(&user)
        .is_some_and(|account| account.status != "active");
    if is_suspended {
        return ApiError::new(StatusCode::FORBIDDEN, 20005, "Account not active").into_response();
    }
    next.run(request).await
}

/// Returns the account of the token in the request.
pub fn authentic_user(simulator: &SimulatorState, headers: &HeaderMap) -> Option<String> {
    let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let given = String::from_utf8(STANDARD.decode(given.strip_prefix("Basic ")?).ok()?).ok()?;
    let (user, token) = given.split_once(':')?;
    (token == token_of(simulator, user).expose() && !token.is_empty()).then(|| user.to_owned())
}

/// Returns the token of an account; empty for an unknown account.
pub fn token_of(simulator: &SimulatorState, account: &str) -> Secret {
    if account == ACCOUNT_SID {
        return simulator.secret(AUTH_TOKEN);
    }
    let found = simulator.account_book().find_account(account);
    Secret::new(found.map(|account| account.token).unwrap_or_default())
}

/// Returns the account that has a number. Other numbers belong to the main account.
pub fn owner_of(simulator: &SimulatorState, number: &str) -> String {
    let found = simulator.account_book().find_number(number);
    found.map_or_else(|| ACCOUNT_SID.to_owned(), |number| number.account)
}

/// Returns whether an account may send from a number.
pub fn may_send_from(simulator: &SimulatorState, account: &str, number: &str) -> bool {
    match simulator.account_book().find_number(number) {
        Some(number) => number.account == account,
        None => account == ACCOUNT_SID && simulator.owns_sender(number),
    }
}

pub async fn fetch(State(simulator): State<SimulatorState>, Path(file): Path<String>) -> Response {
    let id = file.trim_end_matches(".json");
    match simulator.account_book().find_account(id) {
        Some(account) => Json(shown(&account)).into_response(),
        None if id == ACCOUNT_SID => Json(shown_main(&simulator)).into_response(),
        None => ApiError::not_found().into_response(),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Listing {
    friendly_name: Option<String>,
    status: Option<String>,
}

pub async fn list(State(simulator): State<SimulatorState>, Query(listing): Query<Listing>) -> Response {
    let accounts = simulator.account_book().accounts();
    let fits = |account: &&SimulatedAccount| {
        listing.friendly_name.as_ref().is_none_or(|name| account.label == *name)
            && listing.status.as_ref().is_none_or(|status| account.status == *status)
    };
    let found: Vec<Value> = accounts.iter().filter(fits).map(shown).collect();
    Json(json!({ "accounts": found, "page": 0, "next_page_uri": null })).into_response()
}

pub async fn create(State(simulator): State<SimulatorState>, body: Bytes) -> Response {
    let label = field(&body, "FriendlyName").unwrap_or_else(|| "SubAccount".to_owned());
    let account = SimulatedAccount {
        id: format!("AC{}", uuid::Uuid::new_v4().simple()),
        token: uuid::Uuid::new_v4().simple().to_string(),
        label,
        status: "active".to_owned(),
        created_at: simulator.now(),
    };
    simulator.account_book().add_account(account.clone());
    (StatusCode::CREATED, Json(shown(&account))).into_response()
}

pub async fn update(State(simulator): State<SimulatorState>, Path(file): Path<String>, body: Bytes) -> Response {
    let id = file.trim_end_matches(".json");
    if id == ACCOUNT_SID {
        return ApiError::bad(20001, "The main account can't be suspended or closed").into_response();
    }
    let status = field(&body, "Status").filter(|status| matches!(status.as_str(), "active" | "suspended" | "closed"));
    let Some(status) = status else {
        return ApiError::bad(20001, "Status is invalid").into_response();
    };
    match simulator.account_book().set_status(id, &status) {
        Some(account) => Json(shown(&account)).into_response(),
        None => ApiError::not_found().into_response(),
    }
}

fn field(body: &[u8], name: &str) -> Option<String> {
    let found = form_urlencoded::parse(body).find(|(known, _)| known == name);
    found
        .map(|(_, value)| value.into_owned())
        .filter(|value| !value.is_empty())
}

fn shown_main(simulator: &SimulatorState) -> Value {
    json!({
        "sid": ACCOUNT_SID,
        "auth_token": simulator.setting(AUTH_TOKEN),
        "friendly_name": "Simulated account",
        "status": "active",
        "type": "Full",
        "owner_account_sid": ACCOUNT_SID,
        "uri": format!("/{VERSION}/Accounts/{ACCOUNT_SID}.json"),
    })
}

fn shown(account: &SimulatedAccount) -> Value {
    json!({
        "sid": account.id,
        "auth_token": account.token,
        "friendly_name": account.label,
        "status": account.status,
        "type": "Full",
        "owner_account_sid": ACCOUNT_SID,
        "date_created": account.created_at.to_rfc2822(),
        "uri": format!("/{VERSION}/Accounts/{}.json", account.id),
    })
}
