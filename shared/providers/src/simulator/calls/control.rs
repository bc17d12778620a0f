//! The routes by which scripts outside the process make telephone calls and look at them.

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Behaviour, Call, Drop, PhoneCall};
use crate::simulator::World;

pub fn router() -> Router<World> {
    Router::new()
        .route("/phone-calls", post(begin).get(list))
        .route("/phone-calls/{id}", get(show))
        .route("/phone-calls/{id}/do", post(act))
        .route("/phone-numbers", post(set_number))
        .route("/pace", post(set_pace))
}

async fn begin(State(world): State<World>, Json(order): Json<PhoneCall>) -> Response {
    match world.call(order) {
        Ok(call) => (StatusCode::CREATED, Json(shown(&call))).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response(),
    }
}

async fn list(State(world): State<World>) -> Json<Value> {
    let calls: Vec<_> = world.calls().iter().map(shown).collect();
    Json(json!({ "calls": calls }))
}

async fn show(State(world): State<World>, Path(id): Path<String>) -> Response {
    match world.find_call(&id) {
        Some(call) => Json(shown(&call)).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// One thing more on a call that is under way; answered at once.
#[derive(Deserialize)]
#[serde(untagged)]
enum Deed {
    Lose { drop_socket: Drop },
    Act(super::Act),
}

async fn act(State(world): State<World>, Path(id): Path<String>, Json(deed): Json<Deed>) -> StatusCode {
    let Some(call) = world.find_call(&id) else {
        return StatusCode::NOT_FOUND;
    };
    match deed {
        Deed::Act(act) => world.act_on(&call, vec![act]),
        Deed::Lose { drop_socket } => world.run(async move {
            call.drop_socket(drop_socket).await;
        }),
    }
    StatusCode::ACCEPTED
}

fn shown(call: &Call) -> Value {
    let state = call.state();
    json!({
        "id": call.id(),
        "vendor": call.vendor(),
        "direction": call.direction(),
        "from": call.from(),
        "to": call.to(),
        "status": state.status,
        "created_at": call.created_at(),
        "answered_ms": state.answered_ms,
        "ended_ms": state.ended_ms,
        "answered_by": state.answered_by,
        "heard": state.heard,
        "transcript": state.transcript,
        "sessions": state.sessions,
        "recordings": state.recordings,
        "alerts": state.alerts,
        "conferences": state.conferences,
    })
}

#[derive(Deserialize)]
struct Number {
    number: String,
    #[serde(flatten)]
    behaviour: Behaviour,
}

async fn set_number(State(world): State<World>, Json(order): Json<Number>) -> StatusCode {
    world.set_number(order.number.trim(), order.behaviour);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct Pace {
    factor: f64,
}

async fn set_pace(State(world): State<World>, Json(order): Json<Pace>) -> StatusCode {
    world.set_pace(order.factor);
    StatusCode::NO_CONTENT
}
