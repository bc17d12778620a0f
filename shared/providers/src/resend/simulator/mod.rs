//! Resend's side of the wire: sending with idempotency keys, reading and receiving mails, signed events
//! (Resend, API reference; Idempotency keys). Faithful where an adapter or an operator can tell.

mod error;
mod inbound;
mod intake;

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

pub use self::inbound::{sign, tell};
use self::{error::Complaint, intake::Draft};
use super::wire;
use crate::simulator::{
    Journey, SimulatedMessage, Station, Voice, World,
    keys::{First, Keys},
    misbehaviour, picture,
};

pub const API_KEY: &str = "re_simulated_full_access";
/// May send and nothing else.
pub const SENDING_KEY: &str = "re_simulated_sending_access";
/// The example of Standard Webhooks 1.0.
pub const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

const ID: &str = "resend";
const LONGEST_KEY: usize = 256;

const DELIVERED: &[Station] = &[
    Station {
        status: "sent",
        error_code: None,
    },
    Station {
        status: "delivered",
        error_code: None,
    },
];
const SUPPRESSED: &[Station] = &[Station {
    status: "suppressed",
    error_code: None,
}];

const VOICE: Voice = Voice {
    vendor: ID,
    error: error::any,
    too_fast: "rate_limit_exceeded",
};

#[derive(Clone)]
struct Desk {
    world: World,
    keys: Arc<Mutex<Keys>>,
}

pub fn router(world: World) -> Router {
    let send = middleware::from_fn_with_state((world.clone(), VOICE), misbehaviour::around_a_send);
    Router::new()
        .route("/emails", post(create).layer(send))
        .route("/emails/{id}", get(fetch))
        .route("/emails/receiving/{id}", get(inbound::mail))
        .route(
            "/emails/receiving/{id}/attachments/{attachment}",
            get(inbound::attachment),
        )
        .route("/domains", get(domains))
        .fallback(|| async { Complaint::not_found() })
        .layer(middleware::from_fn(authenticate))
        // Who has the address may read: the real one is signed.
        .route("/download/{id}/{attachment}", get(picture::show))
        .with_state(Desk {
            world,
            keys: Arc::default(),
        })
}

async fn authenticate(request: Request, next: Next) -> Response {
    let headers = request.headers();
    if !headers.contains_key(header::USER_AGENT) {
        return complain(StatusCode::FORBIDDEN, "validation_error", "Missing User-Agent header");
    }
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match given.and_then(|value| value.strip_prefix("Bearer ")) {
        Some(API_KEY) => next.run(request).await,
        Some(SENDING_KEY) if request.uri().path() == "/emails" => next.run(request).await,
        Some(SENDING_KEY) => {
            let text = "This API key is restricted to only send emails";
            complain(StatusCode::UNAUTHORIZED, "restricted_api_key", text)
        }
        Some(_) => complain(StatusCode::FORBIDDEN, "invalid_api_key", "API key is invalid"),
        None => complain(
            StatusCode::UNAUTHORIZED,
            "missing_api_key",
            "Missing API key in the authorization header",
        ),
    }
}

async fn domains() -> Response {
    Json(json!({ "object": "list", "has_more": false, "data": [] })).into_response()
}

async fn fetch(State(desk): State<Desk>, Path(id): Path<String>) -> Response {
    let Some(mail) = desk.world.find(ID, &id) else {
        return Complaint::not_found().into_response();
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
        "bcc": [],
        "cc": [],
        "reply_to": [],
        "last_event": mail.status,
    }))
    .into_response()
}

async fn create(State(desk): State<Desk>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(key) = headers.get("idempotency-key") else {
        return match Draft::read(&body) {
            Ok(draft) => created(&desk.accept(draft)),
            Err(complaint) => complaint.into_response(),
        };
    };
    let Some(key) = key.to_str().ok().filter(|key| (1..=LONGEST_KEY).contains(&key.len())) else {
        let text = "The idempotency key must be between 1 and 256 characters";
        return complain(StatusCode::BAD_REQUEST, "invalid_idempotency_key", text);
    };
    let request: [u8; 32] = Sha256::digest(&body).into();
    let now = desk.world.now();
    // Held until the mail is taken, as it takes no time: two requests under one key can't both pass.
    let mut keys = desk.keys.lock().unwrap_or_else(PoisonError::into_inner);
    match keys.find(key, now) {
        Some(first) if first.request == request => created(&first.id),
        Some(_) => {
            let text = "This idempotency key has been used with a different request body";
            complain(StatusCode::CONFLICT, "invalid_idempotent_request", text)
        }
        None => match Draft::read(&body) {
            Ok(draft) => {
                let id = desk.accept(draft);
                let answer = created(&id);
                keys.remember(key, First { request, id, at: now });
                answer
            }
            // What was refused is not remembered: the same key may come again with a text that passes.
            Err(complaint) => complaint.into_response(),
        },
    }
}

impl Desk {
    /// Takes the mail; its id.
    fn accept(&self, draft: Draft) -> String {
        let id = uuid::Uuid::new_v4().to_string();
        let mut mail = SimulatedMessage::new(ID, Channel::Email, id.clone(), self.world.now());
        mail.from = draft.from;
        mail.from_name = draft.from_name;
        mail.to = draft.to;
        mail.subject = Some(draft.subject);
        mail.body = draft.text;
        mail.html = draft.html;
        mail.media = draft.attachments;
        let stations = if self.world.has_opted_out(&mail.to) {
            SUPPRESSED
        } else {
            DELIVERED
        };
        self.world.take(mail);
        let journey = Journey {
            vendor: ID,
            carrier_id: id.clone(),
            stations,
            reporter: inbound::reporter(&self.world, draft.tags),
        };
        self.world.courier().dispatch(journey, self.world.delivery_delay());
        id
    }
}

fn created(id: &str) -> Response {
    Json(json!({ "id": id })).into_response()
}

fn complain(status: StatusCode, name: &'static str, message: &str) -> Response {
    Complaint::new(status, name, message).into_response()
}
