//! The page behind the link of an alert about a held message. It has no login: the token in the link is the proof. Only POST
//! decides, because mail scanners open all links.

use std::sync::{Arc, LazyLock};

use axum::{
    Form, Router,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use butt_dial_domain::{Code, Failure};
use butt_dial_messaging::{Outbound, outbound::HeldMessage};
use butt_dial_runtime::http::failure;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Deserialize;

use crate::{
    http_errors::method_not_allowed,
    page_style::{STYLE, source_of},
};

/// The page posts to itself and loads nothing.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; style-src {}; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        source_of(STYLE)
    )
});

#[derive(Deserialize)]
struct Decided {
    decision: Decision,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Decision {
    Approve,
    Reject,
}

pub fn router(outbound: Arc<Outbound>) -> Router {
    Router::new()
        .route("/approvals/{token}", get(show).post(decide))
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(outbound)
}

/// Shows the message with the buttons.
async fn show(State(outbound): State<Arc<Outbound>>, Path(token): Path<String>) -> Response {
    match outbound.find_held_by_link(&token).await {
        Ok(held) => page(StatusCode::OK, "A message waits for your approval", &question(&held)),
        Err(refusal) => refused(&refusal),
    }
}

/// Approves or rejects the message.
async fn decide(
    State(outbound): State<Arc<Outbound>>,
    Path(token): Path<String>,
    Form(Decided { decision }): Form<Decided>,
) -> Response {
    if let Err(refusal) = outbound.decide_by_link(&token, decision == Decision::Approve).await {
        return refused(&refusal);
    }
    match decision {
        Decision::Approve => page(
            StatusCode::OK,
            "Approved",
            &html! { p { "The rules decide once more, and then the message is sent." } },
        ),
        Decision::Reject => page(StatusCode::OK, "Rejected", &html! { p { "The message is not sent." } }),
    }
}

fn question(held: &HeldMessage) -> Markup {
    html! {
        p { "Agent " code { (held.agent) } " wants to send this to " code { (held.to) } " (" (held.channel) "):" }
        @match &held.content {
            Some(content) => {
                @if let Some(subject) = &content.subject { p { strong { (subject) } } }
                @if let Some(body) = &content.body { blockquote { (body) } }
                @for link in &content.media { p { "Attachment: " code { (link) } } }
                @if let Some(template) = &content.template { p { "Template: " code { (template.id) } } }
            }
            None => p { "The text cannot be shown." },
        }
        p { "The rule " code { (held.rule) } " demands an approval, until " (held.expires_at.format("%Y-%m-%d %H:%M UTC")) "." }
        form method="post" {
            button name="decision" value="approve" { "Approve" }
            button name="decision" value="reject" { "Reject" }
        }
    }
}

/// An invalid, used and expired link have the same answer.
fn refused(refusal: &Failure) -> Response {
    if refusal.code != Code::MessageNotFound {
        return failure(refusal);
    }
    page(
        StatusCode::NOT_FOUND,
        "No message waits for this approval",
        &html! { p { "It was decided, or its time is over, or the link is not complete." } },
    )
}

fn page(status: StatusCode, title: &str, body: &Markup) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width";
            title { (title) }
            style { (PreEscaped(STYLE)) }
            h1 { (title) }
            (body)
        }
    };
    let policy = HeaderValue::from_str(&POLICY).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    let headers = [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
    ];
    (status, headers, page.into_string()).into_response()
}
