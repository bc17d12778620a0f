//! Resend's API: sending with idempotency keys, reading and receiving mails, signed events (Resend, API reference;
//! Idempotency keys). It behaves like Resend in all that an adapter or an operator can observe.

mod domains;
mod error;
mod inbound;
mod validation;

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use butt_dial_domain::Channel;
use serde_json::json;
use sha2::{Digest, Sha256};

pub use self::inbound::{inbound_webhook, sign};
use self::{error::ApiError, validation::ValidMessage};
use super::wire;
use crate::simulator::{
    DeliveryPlan, DeliveryStep, ErrorFormat, SimulatedMessage, SimulatorState, faults,
    idempotency::{IdempotencyKeys, PriorRequest},
    picture,
};

pub const API_KEY: &str = "re_simulated_full_access";
/// Allows sending only.
pub const SENDING_KEY: &str = "re_simulated_sending_access";
/// The example secret of Standard Webhooks 1.0.
pub const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

const ID: &str = "resend";
const MAX_KEY_LENGTH: usize = 256;

const DELIVERED: &[DeliveryStep] = &[
    DeliveryStep {
        status: "sent",
        error_code: None,
    },
    DeliveryStep {
        status: "delivered",
        error_code: None,
    },
];
const SUPPRESSED: &[DeliveryStep] = &[DeliveryStep {
    status: "suppressed",
    error_code: None,
}];

const ERROR_FORMAT: ErrorFormat = ErrorFormat {
    vendor: ID,
    render: error::injected,
    rate_limit_code: "rate_limit_exceeded",
};

#[derive(Clone)]
struct AppState {
    simulator: SimulatorState,
    keys: Arc<Mutex<IdempotencyKeys>>,
}

pub fn router(simulator: SimulatorState) -> Router {
    let send = middleware::from_fn_with_state((simulator.clone(), ERROR_FORMAT), faults::inject_faults);
    Router::new()
        .route("/emails", post(create).layer(send))
        .route("/emails/{id}", get(fetch))
        .route("/emails/receiving/{id}", get(inbound::mail))
        .route(
            "/emails/receiving/{id}/attachments/{attachment}",
            get(inbound::attachment),
        )
        .route("/domains", get(domains::list).post(domains::create))
        .route("/domains/{id}", get(domains::fetch).delete(domains::remove))
        .route("/domains/{id}/verify", post(domains::verify))
        .fallback(|| async { ApiError::not_found() })
        .layer(middleware::from_fn_with_state(simulator.clone(), authenticate))
        // Without authentication: Resend's download URLs are signed.
        .route("/download/{id}/{attachment}", get(picture::serve))
        .with_state(AppState {
            simulator,
            keys: Arc::default(),
        })
}

async fn authenticate(State(simulator): State<SimulatorState>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    if !headers.contains_key(header::USER_AGENT) {
        return error_response(StatusCode::FORBIDDEN, "validation_error", "Missing User-Agent header");
    }
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match given.and_then(|value| value.strip_prefix("Bearer ")) {
        Some(key) if key == simulator.setting(super::API_KEY) => next.run(request).await,
        Some(SENDING_KEY) if request.uri().path() == "/emails" => next.run(request).await,
        Some(SENDING_KEY) => {
            let text = "This API key is restricted to only send emails";
            error_response(StatusCode::UNAUTHORIZED, "restricted_api_key", text)
        }
        Some(_) => error_response(StatusCode::FORBIDDEN, "invalid_api_key", "API key is invalid"),
        None => error_response(
            StatusCode::UNAUTHORIZED,
            "missing_api_key",
            "Missing API key in the authorization header",
        ),
    }
}

async fn fetch(State(app): State<AppState>, Path(id): Path<String>) -> Response {
    let Some(mail) = app.simulator.find(ID, &id) else {
        return ApiError::not_found().into_response();
    };
    Json(json!({
        "object": "email",
        "id": mail.carrier_id,
        "from": wire::mailbox(mail.from_name.as_deref(), &mail.from),
        "to": [mail.to],
        "created_at": mail.at.to_rfc3339(),
        "subject": mail.subject,
        "text": (!mail.body.is_empty()).then_some(&mail.body),
        "html": mail.html,
        "bcc": mail.mail.bcc,
        "cc": mail.mail.cc,
        "reply_to": mail.mail.reply_to,
        "last_event": mail.status,
    }))
    .into_response()
}

async fn create(State(app): State<AppState>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(key) = headers.get("idempotency-key") else {
        return match ValidMessage::parse(&body) {
            Ok(draft) => created(&app.accept(draft)),
            Err(error) => error.into_response(),
        };
    };
    let Some(key) = key
        .to_str()
        .ok()
        .filter(|key| (1..=MAX_KEY_LENGTH).contains(&key.len()))
    else {
        let text = "The idempotency key must be between 1 and 256 characters";
        return error_response(StatusCode::BAD_REQUEST, "invalid_idempotency_key", text);
    };
    let request: [u8; 32] = Sha256::digest(&body).into();
    let now = app.simulator.now();
    // Held while the mail is accepted, so that two requests under one key can't both pass. Takes no time.
    let mut keys = app.keys.lock().unwrap_or_else(PoisonError::into_inner);
    match keys.find(key, now) {
        Some(first) if first.request == request => created(&first.id),
        Some(_) => {
            let text = "This idempotency key has been used with a different request body";
            error_response(StatusCode::CONFLICT, "invalid_idempotent_request", text)
        }
        None => match ValidMessage::parse(&body) {
            Ok(draft) => {
                let id = app.accept(draft);
                let answer = created(&id);
                keys.insert(key, PriorRequest { request, id, at: now });
                answer
            }
            // Refused requests are not remembered, so the key can be used again with a valid body.
            Err(error) => error.into_response(),
        },
    }
}

impl AppState {
    /// Accepts the mail and returns its id.
    fn accept(&self, draft: ValidMessage) -> String {
        let id = uuid::Uuid::new_v4().to_string();
        let mut mail = SimulatedMessage::new(ID, Channel::Email, id.clone(), self.simulator.now());
        mail.from = draft.from;
        mail.from_name = draft.from_name;
        mail.to = draft.to;
        mail.subject = Some(draft.subject);
        mail.body = draft.text;
        mail.html = draft.html;
        mail.media = draft.attachments;
        mail.mail = draft.mail;
        let steps = if self.simulator.has_opted_out(&mail.to) {
            SUPPRESSED
        } else {
            DELIVERED
        };
        self.simulator.accept(mail);
        let plan = DeliveryPlan {
            vendor: ID,
            carrier_id: id.clone(),
            steps,
            status_webhook: inbound::status_webhook(&self.simulator, draft.tags),
        };
        self.simulator
            .deliveries()
            .schedule(plan, self.simulator.delivery_delay());
        id
    }
}

fn created(id: &str) -> Response {
    Json(json!({ "id": id })).into_response()
}

fn error_response(status: StatusCode, name: &'static str, message: &str) -> Response {
    ApiError::new(status, name, message).into_response()
}
