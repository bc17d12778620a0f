//! Error responses of requests that reach no operation. Every body is the error envelope with a `code`.

use axum::response::Response;
use butt_dial_domain::{Code, Failure};
use butt_dial_runtime::http::failure;

pub async fn method_not_allowed() -> Response {
    let refusal = Failure::new(
        Code::MethodNotAllowed,
        "this route does not support the request's method",
    );
    failure(&refusal.hint("GET /docs lists routes and their methods"))
}

pub async fn route_not_found() -> Response {
    let refusal = Failure::new(Code::NotFound, "there is no such route");
    failure(&refusal.hint("GET /docs lists all routes"))
}
