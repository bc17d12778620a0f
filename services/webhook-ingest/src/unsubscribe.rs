//! The page behind the link to unsubscribe. Only POST acts, because mail scanners open all links (RFC 8058). It has no login:
//! the token in the link is the proof.

use axum::{
    extract::{Path, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use butt_dial_messaging::inbound::WebhookRefusal;

use crate::{Ingest, responses};

/// The page posts to itself and loads nothing.
const POLICY: (HeaderName, HeaderValue) = (
    header::CONTENT_SECURITY_POLICY,
    HeaderValue::from_static(
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
    ),
);
const NO_STORE: (HeaderName, HeaderValue) = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
const STYLE: &str = "body{max-width:32rem;margin:4rem auto;padding:0 1rem;font:1.1rem/1.5 system-ui,sans-serif;color-scheme:light dark}\
    button{font:inherit;padding:.6rem 1.4rem;border-radius:.4rem;border:1px solid #8888;cursor:pointer}";

/// Shows the page with the button.
pub async fn show(State(ingest): State<Ingest>, Path(token): Path<String>) -> Response {
    if !ingest.product.inbound.is_unsubscribe_token(&token) {
        return invalid_link();
    }
    page(
        StatusCode::OK,
        "Unsubscribe",
        "<p>You get no more mails from this sender after you confirm.</p>\
         <form method=\"post\"><button name=\"List-Unsubscribe\" value=\"One-Click\">Unsubscribe</button></form>",
    )
}

/// Unsubscribes. A mail program posts here without showing the page.
pub async fn confirm(State(ingest): State<Ingest>, Path(token): Path<String>) -> Response {
    let inbound = &ingest.product.inbound;
    match inbound.unsubscribe(&ingest.routes, &token, ingest.clock.now()).await {
        Ok(()) => page(
            StatusCode::OK,
            "You are unsubscribed",
            "<p>This sender sends you no more mails.</p>",
        ),
        Err(WebhookRefusal::Unavailable) => responses::unavailable(),
        Err(_) => invalid_link(),
    }
}

fn invalid_link() -> Response {
    page(
        StatusCode::NOT_FOUND,
        "This link is not valid",
        "<p>Open the link of the mail again, or answer the mail with the word unsubscribe.</p>",
    )
}

fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style><h1>{title}</h1>{body}</html>"
    );
    (status, [POLICY, NO_STORE], Html(html)).into_response()
}
