//! Meta's side of the wire: one business number that sends, receives and serves media (WhatsApp Cloud API, reference).
//! Faithful where an adapter or an operator can tell. Any of our numbers may be the one behind the number's id.

mod error;
mod inbound;
mod intake;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use butt_dial_domain::Channel;
use serde_json::json;

pub use self::inbound::{sign, tell};
use self::intake::Draft;
use crate::{
    meta::wire,
    simulator::{Journey, SimulatedMessage, Station, Voice, World, misbehaviour, picture},
};

pub const ACCESS_TOKEN: &str = "EAAsimulated";
pub const PHONE_NUMBER_ID: &str = "106540352242922";
pub const APP_SECRET: &str = "simulated-meta-app-secret";
pub const VERIFY_TOKEN: &str = "simulated-meta-verify-token";

const ID: &str = "meta";
const WABA: &str = "102290129340398";
/// The number behind the id; Meta puts it into every message.
const NUMBER: &str = "+14155550100";

const DELIVERED: &[Station] = &[station("sent", None), station("delivered", None)];
const OUTSIDE_WINDOW: &[Station] = &[station("failed", Some(131_047))];

const fn station(status: &'static str, error_code: Option<u32>) -> Station {
    Station { status, error_code }
}

const VOICE: Voice = Voice {
    vendor: ID,
    error: error::any,
    too_fast: "130429",
};

pub fn router(world: World) -> Router {
    let send = middleware::from_fn_with_state((world.clone(), VOICE), misbehaviour::around_a_send);
    Router::new()
        .route("/{id}", get(object))
        .route("/{id}/messages", post(create).layer(send))
        .route("/{id}/content", get(picture::show))
        .fallback(|| async { error::not_found() })
        .layer(middleware::from_fn(authenticate))
        .with_state(world)
}

async fn authenticate(request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    if given.and_then(|value| value.strip_prefix("Bearer ")) == Some(ACCESS_TOKEN) {
        next.run(request).await
    } else {
        error::complain(StatusCode::UNAUTHORIZED, 190, "Invalid OAuth access token")
    }
}

/// A number or a file, as its id says.
async fn object(State(world): State<World>, Path(id): Path<String>) -> Response {
    if id == PHONE_NUMBER_ID {
        return Json(json!({ "id": id, "display_phone_number": NUMBER, "verified_name": "Simulated" })).into_response();
    }
    if !wire::is_id(&id) {
        return error::not_found();
    }
    Json(json!({
        "messaging_product": "whatsapp",
        "id": id,
        "url": format!("{}/{ID}/{id}/content", world.base_url()),
        "mime_type": picture::TYPE,
        "file_size": picture::bytes().len(),
    }))
    .into_response()
}

async fn create(State(world): State<World>, Path(id): Path<String>, body: Bytes) -> Response {
    if id != PHONE_NUMBER_ID {
        return error::not_found();
    }
    let draft = match Draft::read(&body) {
        Ok(draft) => draft,
        Err(complaint) => return complaint,
    };
    // It is taken all the same, and fails afterwards.
    let stations = if draft.is_template || world.window_is_open(&draft.to) {
        DELIVERED
    } else {
        OUTSIDE_WINDOW
    };
    let mut message = SimulatedMessage::new(ID, Channel::Whatsapp, wamid(), world.now());
    message.status = "accepted";
    message.from = NUMBER.to_owned();
    message.to = draft.to;
    message.body = draft.body;
    message.media = draft.media;
    let message = world.take(message);
    let journey = Journey {
        vendor: ID,
        carrier_id: message.carrier_id.clone(),
        stations,
        reporter: inbound::reporter(&world, draft.data),
    };
    world.courier().dispatch(journey, world.delivery_delay());
    let digits = message.to.trim_start_matches('+');
    Json(json!({
        "messaging_product": "whatsapp",
        "contacts": [{ "input": digits, "wa_id": digits }],
        "messages": [{ "id": message.carrier_id, "message_status": "accepted" }],
    }))
    .into_response()
}

fn wamid() -> String {
    format!("wamid.{}", uuid::Uuid::new_v4().simple())
}
