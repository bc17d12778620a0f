//! LINE's API: pushes with retry keys, files, and signed webhooks (LINE, Messaging API reference). It behaves like
//! LINE in all that an adapter or an operator can observe.

mod error;
mod inbound;

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use butt_dial_domain::{Address, Channel};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use self::error::{error_response, invalid};
pub use self::inbound::{inbound_webhook, sign};
use crate::{
    line::wire::{MAX_MESSAGES, Sent, SentMessage},
    simulator::{
        DeliveryPlan, DeliveryStep, ErrorFormat, SimulatedMessage, SimulatorState, faults,
        idempotency::{IdempotencyKeys, PriorRequest},
        voice_note,
    },
};

pub const ACCESS_TOKEN: &str = "simulated-line-channel-access-token";
pub const CHANNEL_SECRET: &str = "simulated-line-channel-secret";

const ID: &str = "line";
/// The bot that owns the token.
const BOT: &str = "U0000000000000000000000000000000b";
const MAX_TEXT_CHARS: usize = 5_000;

/// LINE sends no status webhook; the page shows the status.
const DELIVERED: &[DeliveryStep] = &[DeliveryStep {
    status: "delivered",
    error_code: None,
}];

const ERROR_FORMAT: ErrorFormat = ErrorFormat {
    vendor: ID,
    render: error::injected,
    rate_limit_code: "The API rate limit has been exceeded. Try again later.",
};

#[derive(Clone)]
struct AppState {
    simulator: SimulatorState,
    keys: Arc<Mutex<IdempotencyKeys>>,
}

pub fn router(simulator: SimulatorState) -> Router {
    let send = middleware::from_fn_with_state((simulator.clone(), ERROR_FORMAT), faults::inject_faults);
    Router::new()
        .route("/v2/bot/info", get(info))
        .route("/v2/bot/message/push", post(push).layer(send))
        .route("/v2/bot/message/{id}/content", get(content))
        .fallback(|| async { error_response(StatusCode::NOT_FOUND, "Not found") })
        .layer(middleware::from_fn_with_state(simulator.clone(), authenticate))
        .with_state(AppState {
            simulator,
            keys: Arc::default(),
        })
}

async fn authenticate(State(simulator): State<SimulatorState>, request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    if simulator.accepts(
        super::ACCESS_TOKEN,
        given.and_then(|value| value.strip_prefix("Bearer ")),
    ) {
        next.run(request).await
    } else {
        let text = "Authentication failed. Confirm that the access token in the authorization header is valid.";
        error_response(StatusCode::UNAUTHORIZED, text)
    }
}

async fn info() -> Response {
    Json(json!({ "userId": BOT, "basicId": "@simulated", "displayName": "Simulated" })).into_response()
}

#[derive(Deserialize)]
struct Push {
    to: String,
    messages: Vec<Value>,
}

async fn push(State(app): State<AppState>, headers: HeaderMap, body: Bytes) -> Response {
    let Ok(push) = serde_json::from_slice::<Push>(&body) else {
        return error_response(StatusCode::BAD_REQUEST, "The request body could not be parsed as JSON");
    };
    let key = headers
        .get("x-line-retry-key")
        .map(|key| key.to_str().unwrap_or_default());
    let Some(key) = key else {
        return match app.take(push) {
            Ok(id) => sent(StatusCode::OK, &id),
            Err(error) => error,
        };
    };
    if Uuid::parse_str(key).is_err() {
        return error_response(StatusCode::BAD_REQUEST, "The retry key is invalid");
    }
    let now = app.simulator.now();
    // Held while the message is accepted, so that two requests under one key can't both pass. Takes no time.
    let mut keys = app.keys.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(first) = keys.find(key, now) {
        let before = [("x-line-accepted-request-id", first.id.clone())];
        return (before, sent(StatusCode::CONFLICT, &first.id)).into_response();
    }
    match app.take(push) {
        Ok(id) => {
            let request: [u8; 32] = Sha256::digest(&body).into();
            let answer = sent(StatusCode::OK, &id);
            keys.insert(key, PriorRequest { request, id, at: now });
            answer
        }
        // Refused requests are not remembered.
        Err(error) => error,
    }
}

async fn content(State(app): State<AppState>, request: Request) -> Response {
    voice_note::file(&app.simulator, request.uri().path()).await
}

impl AppState {
    /// Accepts the push as one message and returns its id.
    #[expect(clippy::result_large_err, reason = "created once per request, as its response")]
    fn take(&self, push: Push) -> Result<String, Response> {
        let Ok(to) = Address::parse(Channel::Line, &push.to) else {
            return Err(invalid("to"));
        };
        if !(1..=MAX_MESSAGES).contains(&push.messages.len()) {
            return Err(invalid("messages"));
        }
        let id = numeric_id();
        let mut message = SimulatedMessage::new(ID, Channel::Line, id.clone(), self.simulator.now());
        message.from = BOT.to_owned();
        message.to = to.as_str().to_owned();
        for (place, part) in push.messages.iter().enumerate() {
            match (
                part["type"].as_str(),
                part["text"].as_str(),
                part["originalContentUrl"].as_str(),
            ) {
                (Some("text"), Some(text), _) if (1..=MAX_TEXT_CHARS).contains(&text.chars().count()) => {
                    message.body.push_str(text);
                }
                (Some("image"), _, Some(url)) if url.starts_with("https://") => message.media.push(url.to_owned()),
                _ => return Err(invalid(&format!("messages[{place}]"))),
            }
        }
        self.simulator.accept(message);
        let plan = DeliveryPlan {
            vendor: ID,
            carrier_id: id.clone(),
            steps: DELIVERED,
            status_webhook: None,
        };
        self.simulator
            .deliveries()
            .schedule(plan, self.simulator.delivery_delay());
        Ok(id)
    }
}

fn sent(status: StatusCode, id: &str) -> Response {
    let sent_messages = vec![SentMessage { id: id.to_owned() }];
    (status, Json(Sent { sent_messages })).into_response()
}

/// Returns eighteen digits.
fn numeric_id() -> String {
    format!("{:018}", Uuid::new_v4().as_u128() % 1_000_000_000_000_000_000)
}
