//! The files of messages of simulated people: recordings that say the given words, and pictures.

use axum::{
    extract::{Request, State},
    http::header,
    response::{IntoResponse, Response},
};

pub use super::recordings::said;
use super::{audio, picture, state::SimulatorState};

pub const TYPE: &str = "audio/ogg";

/// Returns the content type of an entry of `media`.
pub fn content_type(media: &str) -> &'static str {
    match said(media) {
        Some(_) => TYPE,
        None => picture::TYPE,
    }
}

/// Serves the file that the path names: a kept recording, or a picture.
pub async fn serve(State(simulator): State<SimulatorState>, request: Request) -> Response {
    file(&simulator, request.uri().path()).await
}

/// Returns the file at this path.
pub async fn file(simulator: &SimulatorState, path: &str) -> Response {
    match simulator.recordings().find(path) {
        Some(words) => ([(header::CONTENT_TYPE, TYPE)], audio::recording(&words)).into_response(),
        None => picture::serve().await,
    }
}
