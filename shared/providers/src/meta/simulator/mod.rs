//! Meta's API: one business number that sends, receives and serves media (WhatsApp Cloud API, reference). It behaves
//! like Meta in all that an adapter or an operator can observe. The number id stands for each of our numbers.

mod actions;
mod error;
mod inbound;
mod validation;

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

pub use self::inbound::{inbound_webhook, sign};
use self::validation::ValidMessage;
use crate::{
    meta::wire,
    simulator::{
        DeliveryPlan, DeliveryStep, ErrorFormat, SimulatedMessage, SimulatorState, faults, picture, voice_note,
    },
};

pub const ACCESS_TOKEN: &str = "EAAsimulated";
pub const PHONE_NUMBER_ID: &str = "106540352242922";
pub const APP_SECRET: &str = "simulated-meta-app-secret";
pub const VERIFY_TOKEN: &str = "simulated-meta-verify-token";

const ID: &str = "meta";
const WABA: &str = "102290129340398";
/// The ids of groups begin with it. Every group has the same members.
const GROUP_IDS: &str = "Y2FwaV9ncm91cDo";
const MEMBERS: [&str; 2] = ["14155550123", "14155550124"];
/// The number of the id, which Meta adds to each message.
const NUMBER: &str = "+14155550100";

const DELIVERED: &[DeliveryStep] = &[step("sent", None), step("delivered", None)];
const OUTSIDE_WINDOW: &[DeliveryStep] = &[step("failed", Some(131_047))];

const fn step(status: &'static str, error_code: Option<u32>) -> DeliveryStep {
    DeliveryStep { status, error_code }
}

const ERROR_FORMAT: ErrorFormat = ErrorFormat {
    vendor: ID,
    render: error::injected,
    rate_limit_code: "130429",
};

pub fn router(simulator: SimulatorState) -> Router {
    let send = middleware::from_fn_with_state((simulator.clone(), ERROR_FORMAT), faults::inject_faults);
    Router::new()
        .route("/{id}", get(object))
        .route("/{id}/messages", post(create).layer(send))
        .route("/{id}/content", get(voice_note::serve))
        .fallback(|| async { error::not_found() })
        .layer(middleware::from_fn_with_state(simulator.clone(), authenticate))
        .with_state(simulator)
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
        error::error_response(StatusCode::UNAUTHORIZED, 190, "Invalid OAuth access token")
    }
}

/// Returns a number or a file, by its id.
async fn object(State(simulator): State<SimulatorState>, Path(id): Path<String>) -> Response {
    if id == PHONE_NUMBER_ID {
        return Json(json!({ "id": id, "display_phone_number": NUMBER, "verified_name": "Simulated" })).into_response();
    }
    if id.starts_with(GROUP_IDS) {
        return Json(json!({ "id": id, "participants": MEMBERS.map(|wa_id| json!({ "wa_id": wa_id })) }))
            .into_response();
    }
    if !wire::is_id(&id) {
        return error::not_found();
    }
    Json(json!({
        "messaging_product": "whatsapp",
        "id": id,
        "url": format!("{}/{ID}/{id}/content", simulator.base_url()),
        "mime_type": picture::TYPE,
        "file_size": picture::bytes().len(),
    }))
    .into_response()
}

async fn create(State(simulator): State<SimulatorState>, Path(id): Path<String>, body: Bytes) -> Response {
    if id != PHONE_NUMBER_ID {
        return error::not_found();
    }
    if let Some(response) = actions::answer(&simulator, &body) {
        return response;
    }
    let draft = match ValidMessage::parse(&body) {
        Ok(draft) => draft,
        Err(error) => return error,
    };
    // Accepted in any case; outside the window it fails afterwards.
    let steps = if draft.is_template || simulator.window_is_open(&draft.to) {
        DELIVERED
    } else {
        OUTSIDE_WINDOW
    };
    let mut message = SimulatedMessage::new(ID, Channel::Whatsapp, wamid(), simulator.now());
    message.status = "accepted";
    message.from = NUMBER.to_owned();
    message.to = draft.to;
    message.body = draft.body;
    message.media = draft.media;
    let message = simulator.accept(message);
    let plan = DeliveryPlan {
        vendor: ID,
        carrier_id: message.carrier_id.clone(),
        steps,
        status_webhook: inbound::status_webhook(&simulator, draft.data, draft.is_template),
    };
    simulator.deliveries().schedule(plan, simulator.delivery_delay());
    let digits = message.to.trim_start_matches('+');
    Json(json!({
        "messaging_product": "whatsapp",
        "contacts": [if message.to.starts_with('+') {
            json!({ "input": digits, "wa_id": digits })
        } else {
            json!({ "input": digits, "user_id": digits })
        }],
        "messages": [{ "id": message.carrier_id, "message_status": "accepted" }],
    }))
    .into_response()
}

fn wamid() -> String {
    format!("wamid.{}", uuid::Uuid::new_v4().simple())
}
