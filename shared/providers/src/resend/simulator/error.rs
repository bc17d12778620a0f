//! Error responses in Resend's format (Resend, API reference: Errors).

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};

use crate::resend::wire::ErrorBody;

pub struct ApiError {
    status: StatusCode,
    name: String,
    message: String,
}

impl ApiError {
    pub fn new(status: StatusCode, name: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            status,
            name: name.into(),
            message: message.into(),
        }
    }

    pub fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "The requested endpoint does not exist",
        )
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody {
            status_code: Some(self.status.as_u16()),
            message: self.message,
            name: self.name,
        };
        (self.status, Json(body)).into_response()
    }
}

pub fn injected(status: StatusCode, name: Option<&str>) -> Response {
    match name {
        Some(name) => ApiError::new(status, name, "Simulated error").into_response(),
        None => ApiError::new(status, "application_error", "An unexpected error occurred.").into_response(),
    }
}
