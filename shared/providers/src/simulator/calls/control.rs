//! Control routes for calls, for scripts outside the process.

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Call, CalleeBehavior, PhoneCall, SocketDrop};
use crate::simulator::SimulatorState;

pub fn router() -> Router<SimulatorState> {
    Router::new()
        .route("/phone-calls", post(start).get(list))
        .route("/phone-calls/{id}", get(show))
        .route("/phone-calls/{id}/do", post(send_command))
        .route("/phone-numbers", post(set_callee_behavior))
        .route("/pace", post(set_pace))
}

async fn start(State(simulator): State<SimulatorState>, Json(request): Json<PhoneCall>) -> Response {
    match simulator.start_call(request) {
        Ok(call) => (StatusCode::CREATED, Json(call_json(&call))).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response(),
    }
}

async fn list(State(simulator): State<SimulatorState>) -> Json<Value> {
    let calls: Vec<_> = simulator.calls().iter().map(call_json).collect();
    Json(json!({ "calls": calls }))
}

async fn show(State(simulator): State<SimulatorState>, Path(id): Path<String>) -> Response {
    match simulator.find_call(&id) {
        Some(call) => Json(call_json(&call)).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// One action on a live call. The response does not wait for it.
#[derive(Deserialize)]
#[serde(untagged)]
enum CallAction {
    Drop { drop_socket: SocketDrop },
    Step(super::CallerStep),
}

async fn send_command(
    State(simulator): State<SimulatorState>,
    Path(id): Path<String>,
    Json(action): Json<CallAction>,
) -> StatusCode {
    let Some(call) = simulator.find_call(&id) else {
        return StatusCode::NOT_FOUND;
    };
    match action {
        CallAction::Step(step) => simulator.run_caller_script(&call, vec![step]),
        CallAction::Drop { drop_socket } => simulator.spawn(async move {
            call.drop_socket(drop_socket).await;
        }),
    }
    StatusCode::ACCEPTED
}

fn call_json(call: &Call) -> Value {
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
    behavior: CalleeBehavior,
}

async fn set_callee_behavior(State(simulator): State<SimulatorState>, Json(request): Json<Number>) -> StatusCode {
    simulator.set_callee_behavior(request.number.trim(), request.behavior);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct Pace {
    factor: f64,
}

async fn set_pace(State(simulator): State<SimulatorState>, Json(request): Json<Pace>) -> StatusCode {
    simulator.set_pace(request.factor);
    StatusCode::NO_CONTENT
}
