//! One message: its way as a timeline, what the carrier said, what it costs, and how to repeat it outside of the console.

use axum::{
    extract::{Path, State},
    response::Response,
};
use butt_dial_domain::Failure;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::message_stages;
use crate::{
    app::App,
    format::{self, clock_time, exact_time, list, masked, money, text, time},
    member::Member,
    page::{self, Place},
    parts::{self, Tone},
    rights,
    session::Posted,
};

/// `GET /messages/{id}`
pub async fn show(State(app): State<App>, member: Member, Path(id): Path<String>) -> Response {
    render(&app, &member, &id, false).await
}

/// `POST /messages/{id}`: shows the whole address once, and writes that down.
pub async fn reveal(State(app): State<App>, Path(id): Path<String>, posted: Posted) -> Response {
    let member = &posted.member;
    if !rights::operates(member.role()) {
        return page::member_failed(&app, member, Place::Messages, &rights::refusal(member.role()));
    }
    if let Err(failure) = app
        .console()
        .note_action(&member.inner, "message.reveal", &id, json!({}))
        .await
    {
        return page::member_failed(&app, member, Place::Messages, &failure);
    }
    render(&app, member, &id, true).await
}

async fn find(app: &App, member: &Member, id: &str) -> Result<Value, Failure> {
    app.call(member, "get_message_timeline", json!({ "externalId": id }))
        .await
}

async fn render(app: &App, member: &Member, id: &str, is_revealed: bool) -> Response {
    let message = match find(app, member, id).await {
        Ok(message) => message,
        Err(failure) => return page::member_failed(app, member, Place::Messages, &failure),
    };
    let id = text(&message, "messageId");
    let body = html! {
        div {
            p class="crumbs" { a href=(app.path("/messages")) { "Messages" } " / " (id) }
            (parts::head(&format!("{} to {}", format::channel(text(&message, "channel")), masked(text(&message, "to"))), "", &html! {}))
        }
        div hx-sse:connect=(app.path(&format!("/live/messages/{id}"))) hx-swap="innerHTML" { (way(app, &message)) }
        div class="grid wide" {
            (facts(app, member, &message, is_revealed))
            section class="card" aria-labelledby="outside" {
                h2 id="outside" { "Outside of the console" }
                (parts::code_block("curl-status", "This page over REST", &format!("curl -s {}/api/v1/messages/{id}/timeline -H 'Authorization: Bearer $TEAM_TOKEN'", app.public_url())))
                details {
                    summary { "JSON" }
                    (parts::code_block("json", "What the operation returns", &shown_json(&message, is_revealed)))
                }
            }
        }
    };
    page::member(app, member, Place::Messages, "Message", &body)
}

/// Renders the part that is live.
pub async fn live_part(app: &App, member: &Member, id: &str) -> Result<Markup, Failure> {
    Ok(way(app, &find(app, member, id).await?))
}

/// Renders the status in one line, for the set-up.
pub async fn state(app: &App, member: &Member, id: &str) -> Result<Markup, Failure> {
    let message = find(app, member, id).await?;
    let href = app.path(&format!("/messages/{}", text(&message, "messageId")));
    Ok(
        html! { p { "Your message is " (parts::status(text(&message, "status"))) ". " a href=(href) { "See its way" } } },
    )
}

/// Returns whether the line of `state` says that the message has arrived.
pub fn has_arrived(state: &str) -> bool {
    state.contains(">delivered<") || state.contains(">read<")
}

fn way(app: &App, message: &Value) -> Markup {
    let steps = list(message, "timeline");
    let explanation = &message["explanation"];
    html! {
        section class="card" aria-labelledby="way" {
            div class="card-head" {
                h2 id="way" { "Its way" }
                div class="row" role="status" { (parts::status(text(message, "status"))) }
            }
            @if let Some(said) = explanation["text"].as_str() {
                (parts::note(Tone::Bad, &html! {
                    p { strong { (parts::sentence(said)) } }
                    @if let Some(hint) = explanation["remediation"].as_str() { p { (parts::sentence(hint)) } }
                    @if let Some(detail) = message["codeDetail"].as_str() { p { "In the words of " (text(message, "provider")) ": " q { (detail) } } }
                    p class="small muted" { "Code " code { (text(message, "code")) } @if let Some(code) = message["providerCode"].as_str() { ", of the carrier " code { (code) } } }
                }))
            }
            (message_stages::render(list(message, "stages")))
            ol class="timeline" {
                @for step in steps { (timeline_step(app, message, step)) }
                @if let Some(at) = message["nextCheckAt"].as_str() {
                    li class="warn" {
                        span class="when small muted" { (time(at, app.clock().now())) }
                        span class="dot" aria-hidden="true" {}
                        div { strong { "Next look at the carrier" } p class="muted small" { "Looked " (message["checks"].as_i64().unwrap_or_default()) " times so far. The message is never sent twice." } }
                    }
                }
            }
        }
    }
}

fn timeline_step(app: &App, message: &Value, step: &Value) -> Markup {
    let outcome = text(step, "outcome");
    let tone = match outcome {
        "accepted" | "delivered" | "read" | "sent" | "allow" => Tone::Ok,
        "failed" | "refused" | "undelivered" => Tone::Bad,
        "unknown" | "unconfirmed" | "advise" | "nothing" | "no_answer" => Tone::Warn,
        "outcome" => Tone::Ok,
        _ => Tone::Plain,
    };
    let title = match text(step, "kind") {
        "stored" => "Allowed and stored".to_owned(),
        "attempt" => format!(
            "Request {} to {}",
            step["number"].as_i64().unwrap_or(1),
            text(message, "provider")
        ),
        "look" => format!("Looked at {}", text(message, "provider")),
        "fallback" => format!("Sent by {} instead", format::channel(outcome)),
        "report" => format!("{} reports: {outcome}", text(message, "provider")),
        _ => format!("The agent was told: {outcome}"),
    };
    html! {
        li class=(tone.class()) {
            span class="when small muted mono" { (clock_time(text(step, "at"))) }
            span class="dot" aria-hidden="true" {}
            div {
                strong { (title) }
                @match text(step, "kind") {
                    "stored" => {
                        p class="muted small" { "Rules, limits and content passed; " (money(message["estimate"].as_f64().unwrap_or_default())) " reserved."
                            @if let Some(rule) = step["detail"].as_str() { " Advice of the rule " code { (rule) } "." } }
                    }
                    "attempt" => {
                        p class="muted small" {
                            @if outcome.is_empty() { "No answer yet." } @else { "Outcome: " (outcome) "." }
                            @if let Some(took) = step["milliseconds"].as_i64() { " Took " (took) " ms." }
                            " By " (text(step, "replica")) "."
                        }
                        @if let Some(detail) = step["detail"].as_str() { p class="small" { q { (detail) } } }
                    }
                    "look" => {
                        p class="muted small" {
                            (match outcome { "outcome" => "The carrier knows the outcome.", "nothing" => "The carrier does not have the message (yet).", _ => "The carrier did not answer." })
                            " Took " (step["milliseconds"].as_i64().unwrap_or_default()) " ms."
                        }
                    }
                    "fallback" => {
                        p class="small" { a href=(app.path(&format!("/messages/{}", text(step, "messageId")))) { "See that message" } }
                    }
                    "told" => {
                        p class="muted small" { @if step["isDelivered"] == true { "Received by the agent." } @else { "Waits for the agent." } }
                    }
                    _ => { @if let Some(detail) = step["detail"].as_str() { p class="muted small" { "Code " code { (detail) } } } }
                }
            }
        }
    }
}

fn facts(app: &App, member: &Member, message: &Value, is_revealed: bool) -> Markup {
    let id = text(message, "messageId");
    let optional = |label: &str, field: &str| {
        html! {
            @if let Some(value) = message[field].as_str() { dt { (label) } dd class="mono" { (value) } }
        }
    };
    html! {
        section class="card" aria-labelledby="facts" {
            h2 id="facts" { "Facts" }
            dl class="facts" {
                dt { "To" }
                dd {
                    @if is_revealed { span class="mono" { (text(message, "to")) } }
                    @else {
                        span class="mono" { (masked(text(message, "to"))) }
                        @if rights::operates(member.role()) {
                            form method="post" action=(app.path(&format!("/messages/{id}"))) {
                                (page::token(member))
                                button class="link small" { "Show (is written to the audit log)" }
                            }
                        }
                    }
                }
                dt { "From" } dd class="mono" { (text(message, "from")) }
                dt { "Agent" } dd { a href=(app.path(&format!("/agents/{}", text(message, "agentId")))) { (text(message, "agentId")) } }
                dt { "Sent" } dd { (exact_time(text(message, "createdAt"))) }
                dt { "Cost" }
                dd {
                    @match message["cost"].as_f64() {
                        Some(cost) => { (money(cost)) " settled, " (money(message["estimate"].as_f64().unwrap_or_default())) " reserved before" }
                        None => { (money(message["estimate"].as_f64().unwrap_or_default())) " reserved, not settled yet" }
                    }
                }
                @if let Some(segments) = message["segments"].as_i64() { dt { "Segments" } dd { (segments) } }
                dt { "Carrier" } dd { (text(message, "provider")) }
                (optional("Id at the carrier", "providerMessageId"))
                (optional("Status at the carrier", "providerStatus"))
                (optional("Thread", "threadId"))
                (optional("Task", "taskId"))
                dt { "Idempotency key" } dd class="mono" { (text(message, "idempotencyKey")) }
                dt { "Text" } dd class="muted" { "Not kept: the content is deleted when a message is settled." }
            }
        }
    }
}

/// Writes the result with the address of the person masked, as the rest of the page.
fn shown_json(message: &Value, is_revealed: bool) -> String {
    let mut shown = message.clone();
    if !is_revealed {
        shown["to"] = json!(masked(text(message, "to")));
    }
    format!("{shown:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_of_page_masks_the_person() {
        let message = json!({ "to": "+14155550123", "status": "sent" });
        assert!(!shown_json(&message, false).contains("+14155550123"));
        assert!(shown_json(&message, true).contains("+14155550123"));
    }

    #[test]
    fn arrival_is_read_from_the_status() {
        let line = |status| parts::status(status).into_string();
        assert!(has_arrived(&line("delivered")) && has_arrived(&line("read")) && !has_arrived(&line("sent")));
    }
}
