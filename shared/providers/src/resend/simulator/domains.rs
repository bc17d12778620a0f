//! Mail domains (Resend, API reference: Domains). A domain is verified by the first request for it.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{AppState, error::ApiError};
use crate::simulator::SimulatedDomain;

pub async fn list(State(app): State<AppState>) -> Response {
    let domains = app.simulator.account_book().domains();
    let shown: Vec<Value> = domains.iter().map(shown).collect();
    Json(json!({ "object": "list", "has_more": false, "data": shown })).into_response()
}

pub async fn create(State(app): State<AppState>, Json(body): Json<Value>) -> Response {
    let name = body["name"].as_str().unwrap_or_default().to_lowercase();
    if !name.contains('.') {
        return invalid("The domain is invalid");
    }
    let domain = SimulatedDomain {
        id: uuid::Uuid::new_v4().to_string(),
        name,
        is_verified: false,
    };
    match app.simulator.account_book().add_domain(domain.clone()) {
        true => (StatusCode::CREATED, Json(shown(&domain))).into_response(),
        false => invalid("The domain has been registered already"),
    }
}

pub async fn fetch(State(app): State<AppState>, Path(id): Path<String>) -> Response {
    let domains = app.simulator.account_book().domains();
    match domains.iter().find(|domain| domain.id == id) {
        Some(domain) => Json(shown(domain)).into_response(),
        None => ApiError::not_found().into_response(),
    }
}

pub async fn verify(State(app): State<AppState>, Path(id): Path<String>) -> Response {
    match app.simulator.account_book().verify_domain(&id) {
        true => Json(json!({ "object": "domain", "id": id })).into_response(),
        false => ApiError::not_found().into_response(),
    }
}

pub async fn remove(State(app): State<AppState>, Path(id): Path<String>) -> Response {
    match app.simulator.account_book().remove_domain(&id) {
        true => Json(json!({ "object": "domain", "id": id, "deleted": true })).into_response(),
        false => ApiError::not_found().into_response(),
    }
}

fn invalid(message: &str) -> Response {
    ApiError::new(StatusCode::FORBIDDEN, "validation_error", message).into_response()
}

fn shown(domain: &SimulatedDomain) -> Value {
    json!({
        "object": "domain",
        "id": domain.id,
        "name": domain.name,
        "status": if domain.is_verified { "verified" } else { "not_started" },
        "records": [
            {
                "record": "SPF", "type": "MX", "name": "send", "ttl": "Auto", "priority": 10,
                "value": "feedback-smtp.simulated.example", "status": "not_started",
            },
            {
                "record": "SPF", "type": "TXT", "name": "send", "ttl": "Auto",
                "value": "v=spf1 include:simulated.example ~all", "status": "not_started",
            },
            {
                "record": "DKIM", "type": "TXT", "name": "resend._domainkey", "ttl": "Auto",
                "value": "p=simulated", "status": "not_started",
            },
        ],
    })
}
