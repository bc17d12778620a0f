//! LINE's side of the wire: pushes with retry keys, files, and signed webhooks (LINE, Messaging API reference).
//! Faithful where an adapter or an operator can tell.

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

use self::error::{complain, invalid};
pub use self::inbound::{sign, tell};
use crate::{
    line::wire::{MOST_MESSAGES, Sent, SentMessage},
    simulator::{
        Journey, SimulatedMessage, Station, Voice, World,
        keys::{First, Keys},
        misbehaviour, picture,
    },
};

pub const ACCESS_TOKEN: &str = "simulated-line-channel-access-token";
pub const CHANNEL_SECRET: &str = "simulated-line-channel-secret";

const ID: &str = "line";
/// The bot that the token belongs to.
const BOT: &str = "U0000000000000000000000000000000b";
const LONGEST_TEXT: usize = 5_000;

/// LINE tells nobody, but the people see it.
const DELIVERED: &[Station] = &[Station {
    status: "delivered",
    error_code: None,
}];

const VOICE: Voice = Voice {
    vendor: ID,
    error: error::any,
    too_fast: "The API rate limit has been exceeded. Try again later.",
};

#[derive(Clone)]
struct Desk {
    world: World,
    keys: Arc<Mutex<Keys>>,
}

pub fn router(world: World) -> Router {
    let send = middleware::from_fn_with_state((world.clone(), VOICE), misbehaviour::around_a_send);
    Router::new()
        .route("/v2/bot/info", get(info))
        .route("/v2/bot/message/push", post(push).layer(send))
        .route("/v2/bot/message/{id}/content", get(picture::show))
        .fallback(|| async { complain(StatusCode::NOT_FOUND, "Not found") })
        .layer(middleware::from_fn(authenticate))
        .with_state(Desk {
            world,
            keys: Arc::default(),
        })
}

async fn authenticate(request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    if given.and_then(|value| value.strip_prefix("Bearer ")) == Some(ACCESS_TOKEN) {
        next.run(request).await
    } else {
        let text = "Authentication failed. Confirm that the access token in the authorization header is valid.";
        complain(StatusCode::UNAUTHORIZED, text)
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

async fn push(State(desk): State<Desk>, headers: HeaderMap, body: Bytes) -> Response {
    let Ok(push) = serde_json::from_slice::<Push>(&body) else {
        return complain(StatusCode::BAD_REQUEST, "The request body could not be parsed as JSON");
    };
    let key = headers
        .get("x-line-retry-key")
        .map(|key| key.to_str().unwrap_or_default());
    let Some(key) = key else {
        return match desk.take(push) {
            Ok(id) => sent(StatusCode::OK, &id),
            Err(complaint) => complaint,
        };
    };
    if Uuid::parse_str(key).is_err() {
        return complain(StatusCode::BAD_REQUEST, "The retry key is invalid");
    }
    let now = desk.world.now();
    // Held until the message is taken, as it takes no time: two requests under one key can't both pass.
    let mut keys = desk.keys.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(first) = keys.find(key, now) {
        let before = [("x-line-accepted-request-id", first.id.clone())];
        return (before, sent(StatusCode::CONFLICT, &first.id)).into_response();
    }
    match desk.take(push) {
        Ok(id) => {
            let request: [u8; 32] = Sha256::digest(&body).into();
            let answer = sent(StatusCode::OK, &id);
            keys.remember(key, First { request, id, at: now });
            answer
        }
        // What was refused is not remembered.
        Err(complaint) => complaint,
    }
}

impl Desk {
    /// Takes the push as one message; its id.
    #[expect(clippy::result_large_err, reason = "made once a request, and it is the answer")]
    fn take(&self, push: Push) -> Result<String, Response> {
        let Ok(to) = Address::parse(Channel::Line, &push.to) else {
            return Err(invalid("to"));
        };
        if !(1..=MOST_MESSAGES).contains(&push.messages.len()) {
            return Err(invalid("messages"));
        }
        let id = numeric_id();
        let mut message = SimulatedMessage::new(ID, Channel::Line, id.clone(), self.world.now());
        message.from = BOT.to_owned();
        message.to = to.as_str().to_owned();
        for (place, part) in push.messages.iter().enumerate() {
            match (
                part["type"].as_str(),
                part["text"].as_str(),
                part["originalContentUrl"].as_str(),
            ) {
                (Some("text"), Some(text), _) if (1..=LONGEST_TEXT).contains(&text.chars().count()) => {
                    message.body.push_str(text);
                }
                (Some("image"), _, Some(url)) if url.starts_with("https://") => message.media.push(url.to_owned()),
                _ => return Err(invalid(&format!("messages[{place}]"))),
            }
        }
        self.world.take(message);
        let journey = Journey {
            vendor: ID,
            carrier_id: id.clone(),
            stations: DELIVERED,
            reporter: None,
        };
        self.world.courier().dispatch(journey, self.world.delivery_delay());
        Ok(id)
    }
}

fn sent(status: StatusCode, id: &str) -> Response {
    let sent_messages = vec![SentMessage { id: id.to_owned() }];
    (status, Json(Sent { sent_messages })).into_response()
}

/// Eighteen digits.
fn numeric_id() -> String {
    format!("{:018}", Uuid::new_v4().as_u128() % 1_000_000_000_000_000_000)
}
