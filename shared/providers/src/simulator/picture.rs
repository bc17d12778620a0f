//! The image of simulated media.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};

/// One pixel, PNG.
const PICTURE: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";

pub const TYPE: &str = "image/png";

pub fn bytes() -> Vec<u8> {
    STANDARD.decode(PICTURE).unwrap_or_default()
}

pub async fn serve() -> Response {
    ([(header::CONTENT_TYPE, TYPE)], bytes()).into_response()
}
