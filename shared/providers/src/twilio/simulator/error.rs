//! Error responses in Twilio's format (Twilio, API responses; error dictionary).

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};

use crate::twilio::wire::ErrorBody;

pub struct ApiError {
    status: StatusCode,
    code: u32,
    message: String,
}

impl ApiError {
    pub fn new(status: StatusCode, code: u32, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    pub fn bad(code: u32, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, 20404, "The requested resource was not found")
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody {
            code: self.code,
            message: self.message,
            more_info: format!("https://www.twilio.com/docs/errors/{}", self.code),
            status: self.status.as_u16(),
        };
        (self.status, Json(body)).into_response()
    }
}

/// Returns an injected error. Without a numeric code, it is the plain-text error of a proxy.
pub fn injected(status: StatusCode, code: Option<&str>) -> Response {
    match code.and_then(|code| code.parse().ok()) {
        Some(20429) => ApiError::new(status, 20429, "Too Many Requests").into_response(),
        Some(code) => ApiError::new(status, code, "Simulated error").into_response(),
        None => (status, format!("upstream connect error: {status}")).into_response(),
    }
}
