//! The APIs with hosts of their own: contents with buttons, and typing indicators (Twilio, Content API; Typing indicators).

use axum::{
    Form, Json, Router,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::post,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ACCOUNT_SID, ID, accounts::authentic_user, error::ApiError};
use crate::{simulator::SimulatorState, twilio::wire};

pub fn router(simulator: SimulatorState) -> Router {
    Router::new()
        .route("/v1/Content", post(create_content))
        .route("/v2/Indicators/Typing.json", post(show_typing))
        .layer(middleware::from_fn_with_state(simulator.clone(), authenticate))
        .with_state(simulator)
}

async fn authenticate(State(simulator): State<SimulatorState>, request: Request, next: Next) -> Response {
    match authentic_user(&simulator, request.headers()) {
        Some(_) => next.run(request).await,
        None => {
            let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"Twilio API\"")];
            let error = ApiError::new(StatusCode::UNAUTHORIZED, 20003, "Authenticate");
            (challenge, error).into_response()
        }
    }
}

async fn create_content(State(simulator): State<SimulatorState>, Json(content): Json<Value>) -> Response {
    let reply = &content["types"]["twilio/quick-reply"];
    let titles: Vec<&str> = reply["actions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|action| action["title"].as_str())
        .collect();
    // WhatsApp shows at most three without an approval, each with at most 20 characters.
    let is_valid =
        (1..=3).contains(&titles.len()) && titles.iter().all(|title| (1..=20).contains(&title.chars().count()));
    let Some(body) = reply["body"].as_str().filter(|_| is_valid) else {
        return ApiError::bad(20001, "Invalid content").into_response();
    };
    let sid = format!("HX{}", uuid::Uuid::new_v4().simple());
    simulator.add_content(sid.clone(), format!("{body} [{}]", titles.join("] [")));
    let created = json!({ "sid": sid, "account_sid": ACCOUNT_SID, "friendly_name": content["friendly_name"] });
    (StatusCode::CREATED, Json(created)).into_response()
}

#[derive(Deserialize)]
struct Typing {
    #[serde(rename = "messageId")]
    message_id: String,
    channel: String,
}

async fn show_typing(State(simulator): State<SimulatorState>, Form(typing): Form<Typing>) -> Response {
    if typing.channel != "whatsapp" || !wire::is_message_sid(&typing.message_id) {
        return ApiError::bad(20001, "Invalid messageId or channel").into_response();
    }
    simulator.record_chat_action(ID, "typing", &typing.message_id);
    Json(json!({ "success": true })).into_response()
}
