//! Messages that a rule holds until a person approves them.

use axum::{
    extract::{Query as UrlQuery, State},
    response::{IntoResponse, Redirect, Response},
};
use butt_dial_domain::Failure;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    format::{self, list, text, time},
    member::Member,
    page::{self, Place},
    parts, rights,
    session::Posted,
};

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Query {
    after: String,
}

/// `GET /approvals`
pub async fn show(State(app): State<App>, member: Member, UrlQuery(query): UrlQuery<Query>) -> Response {
    render(&app, &member, &query, None).await
}

/// `POST /approvals`
pub async fn act(State(app): State<App>, posted: Posted) -> Response {
    let args = json!({ "messageId": posted.get("message"), "decision": posted.get("do") });
    match app.call(&posted.member, "comms_decide_approval", args).await {
        Ok(_) => Redirect::to(&app.path("/approvals")).into_response(),
        Err(failure) => render(&app, &posted.member, &Query::default(), Some(&failure)).await,
    }
}

async fn render(app: &App, member: &Member, query: &Query, failure: Option<&Failure>) -> Response {
    let mut args = json!({ "limit": 50 });
    if !query.after.is_empty() {
        args["after"] = json!(query.after);
    }
    let found = app.call(member, "list_approvals", args).await;
    let body = html! {
        (parts::head("Approvals", "Messages that a rule holds until a person has read them. One that is not approved in time fails.", &html! {}))
        @if let Some(failure) = failure { (parts::failure(failure)) }
        @match &found {
            Ok(found) => (held(app, member, query, found)),
            Err(failure) => (parts::failure(failure)),
        }
    };
    page::member(app, member, Place::Approvals, "Approvals", &body)
}

fn held(app: &App, member: &Member, query: &Query, found: &Value) -> Markup {
    let (rows, now) = (list(found, "messages"), app.clock().now());
    let next = found["nextCursor"]
        .as_str()
        .map(|next| app.path(&format!("/approvals?after={next}")));
    html! {
        @if rows.is_empty() {
            section class="card flush" aria-label="Held messages" {
                (parts::empty("Nothing waits for you", "A message appears here when a rule demands that a person reads it first.", None))
            }
        }
        @for row in rows {
            section class="card" aria-label=(format!("Message {}", text(row, "messageId"))) {
                div class="card-head" {
                    h2 { (format::channel(text(row, "channel"))) " to " (text(row, "to")) }
                    span class="small muted" { "held " (time(text(row, "createdAt"), now)) ", fails " (time(text(row, "expiresAt"), now)) }
                }
                @if let Some(subject) = row["subject"].as_str() { p { strong { (subject) } } }
                @match row["body"].as_str() { Some(body) => p class="words" { (body) }, None => p class="muted" { "No text." } }
                @for media in list(row, "media") { p class="mono small" { (media.as_str().unwrap_or_default()) } }
                p class="small muted" { "From agent " a href=(app.path(&format!("/agents/{}", text(row, "agentId")))) { (text(row, "agentId")) } ". The rule " code { (text(row, "rule")) } " demands it." }
                @if rights::operates(member.role()) {
                    form class="row" method="post" action=(app.path("/approvals")) {
                        (page::token(member))
                        input type="hidden" name="message" value=(text(row, "messageId"));
                        button class="primary" name="do" value="approve" { "Approve and send" }
                        button class="danger" name="do" value="reject" { "Reject" }
                    }
                }
            }
        }
        @if !rows.is_empty() { (parts::pager(next.as_deref(), query.after.is_empty(), &app.path("/approvals"))) }
    }
}
