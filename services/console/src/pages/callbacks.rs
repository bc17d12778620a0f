//! Callbacks: where the events of each agent go, and what waits.

use axum::{
    extract::{Query as UrlQuery, State},
    response::{IntoResponse, Redirect, Response},
};
use butt_dial_domain::{Failure, clock::Timestamp};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    format::{count, list, text, time},
    member::Member,
    page::{self, Place},
    parts::{self, Tone},
    rights,
    session::Posted,
};

const PAGE: usize = 25;

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Query {
    after: String,
    replayed: Option<i64>,
    /// Requests of this event only.
    event: String,
    /// Requests without success only.
    failed: bool,
    /// The last request of the page before.
    before: String,
}

/// An agent with its callback.
struct Row {
    agent: Value,
    url: Option<String>,
}

/// `GET /callbacks`
pub async fn show(State(app): State<App>, member: Member, UrlQuery(query): UrlQuery<Query>) -> Response {
    render(&app, &member, &query, None).await
}

/// `POST /callbacks`: tries the waiting events of an agent again, now.
pub async fn act(State(app): State<App>, posted: Posted) -> Response {
    let agent = posted.get("agent");
    match app
        .call_as_agent(&posted.member, agent, "replay_callback", json!({}))
        .await
    {
        Ok(replayed) => {
            let waiting = replayed["waiting"].as_i64().unwrap_or_default();
            Redirect::to(&app.path(&format!("/callbacks?replayed={waiting}"))).into_response()
        }
        Err(failure) => render(&app, &posted.member, &Query::default(), Some(&failure)).await,
    }
}

async fn render(app: &App, member: &Member, query: &Query, failure: Option<&Failure>) -> Response {
    let rows = read(app, member, query).await;
    let attempts = app.call(member, "list_callback_attempts", attempts_args(query)).await;
    let body = html! {
        (parts::head("Callbacks", "Events go to a listening session, else to the agent's callback, else they wait.", &html! {}))
        @if let Some(waiting) = query.replayed {
            (parts::note(Tone::Ok, &html! { p role="status" { (count(waiting)) " waiting events are delivered again now, in order." } }))
        }
        @if let Some(failure) = failure { (parts::failure(failure)) }
        @match &rows { Ok(rows) => (table(app, member, query, rows)), Err(failure) => (parts::failure(failure)) }
        @match &attempts { Ok(found) => (attempts_table(app, query, found, rows.as_deref().unwrap_or_default())), Err(failure) => (parts::failure(failure)) }
        @if member.session().is_operator { p class="small" { a href=(app.path("/dead-letters")) { "Dead letters of the installation" } } }
    };
    page::member(app, member, Place::Callbacks, "Callbacks", &body)
}

async fn read(app: &App, member: &Member, query: &Query) -> Result<Vec<Row>, Failure> {
    let mut args = json!({ "limit": PAGE });
    if !query.after.is_empty() {
        args["after"] = json!(query.after);
    }
    let found = app.call(member, "list_agents", args).await?;
    let mut rows = Vec::new();
    for agent in list(&found, "agents") {
        let full = app
            .call(member, "get_agent", json!({ "agentId": text(agent, "agentId") }))
            .await?;
        rows.push(Row {
            url: full["callbackUrl"].as_str().map(str::to_owned),
            agent: full,
        });
    }
    Ok(rows)
}

/// Returns the arguments of the operation that lists requests.
fn attempts_args(query: &Query) -> Value {
    let mut args = json!({ "limit": PAGE, "failed": query.failed });
    for (name, value) in [("eventId", &query.event), ("before", &query.before)] {
        if !value.is_empty() {
            args[name] = json!(value);
        }
    }
    args
}

fn attempts_url(app: &App, query: &Query, before: &str) -> String {
    let mut url = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in [("event", query.event.as_str()), ("before", before)] {
        if !value.is_empty() {
            url.append_pair(name, value);
        }
    }
    url.append_pair("failed", &query.failed.to_string());
    app.path(&format!("/callbacks?{}", url.finish()))
}

/// Renders the requests to callbacks, newest first.
fn attempts_table(app: &App, query: &Query, found: &Value, agents: &[Row]) -> Markup {
    let (rows, now) = (list(found, "attempts"), app.clock().now());
    let next = found["nextCursor"].as_str().map(|next| attempts_url(app, query, next));
    let is_filtered = query.failed || !query.event.is_empty();
    html! {
        section class="card flush" aria-labelledby="requests" {
            div class="card-head" {
                h2 id="requests" { "Requests" }
                div class="row small" {
                    @if !query.event.is_empty() { span { "Of the event " code { (query.event) } } }
                    @if query.failed { a href=(app.path("/callbacks")) { "All" } } @else { a href=(app.path("/callbacks?failed=true")) { "Without success only" } }
                    @if !query.event.is_empty() { a href=(app.path("/callbacks")) { "Of all events" } }
                }
            }
            @if rows.is_empty() {
                @if is_filtered {
                    (parts::empty("No such request", "Requests are kept for two weeks, the newest twenty of each event.", Some((&app.path("/callbacks"), "All requests"))))
                } @else {
                    (parts::empty("No requests yet", "Each request to a callback appears here, with its answer and its duration, as soon as an agent with a callback gets an event.", None))
                }
            } @else {
                div class="scroll" tabindex="0" role="region" aria-label="List of requests" {
                    table class="cards" {
                        thead { tr {
                            th scope="col" { "Time" } th scope="col" { "Result" } th scope="col" { "Answer" } th scope="col" { "Event" }
                            th scope="col" { "Agent" } th scope="col" class="num" { "Took" } th scope="col" { "Next" }
                        } }
                        tbody { @for row in rows { (attempt_row(app, row, agents, now)) } }
                    }
                }
                (parts::pager(next.as_deref(), query.before.is_empty(), &attempts_url(app, query, "")))
            }
        }
    }
}

fn attempt_row(app: &App, row: &Value, agents: &[Row], now: Timestamp) -> Markup {
    let (outcome, event) = (text(row, "outcome"), text(row, "eventId"));
    let agent = agents
        .iter()
        .find(|agent| text(&agent.agent, "agentId") == text(row, "agentId"));
    let name = agent.map_or(text(row, "agentId"), |agent| text(&agent.agent, "displayName"));
    let tone = match outcome {
        "delivered" => Tone::Ok,
        "gone" => Tone::Warn,
        _ => Tone::Bad,
    };
    html! {
        tr {
            td data-label="Time" { (time(text(row, "at"), now)) }
            td data-label="Result" { (parts::badge(tone, outcome)) }
            td data-label="Answer" { @match row["httpStatus"].as_i64() { Some(status) => code { (status) }, None => span class="small" { (text(row, "error")) } } }
            td data-label="Event" { a href=(app.path(&format!("/callbacks?event={event}"))) { (text(row, "eventType")) } }
            td data-label="Agent" { a class="cut" href=(app.path(&format!("/agents/{}", text(row, "agentId")))) { (name) } }
            td data-label="Took" class="num" { (row["milliseconds"].as_i64().unwrap_or_default()) " ms" }
            td data-label="Next" {
                @match (outcome, row["retryAt"].as_str()) {
                    ("failed", Some(at)) => (time(at, now)),
                    ("failed", None) => span class="muted" { "waits for the agent or a replay" },
                    ("gone", _) => span class="muted" { "the callback was removed" },
                    _ => span class="muted" { "–" },
                }
            }
        }
    }
}

fn table(app: &App, member: &Member, query: &Query, rows: &[Row]) -> Markup {
    let last = rows.last().filter(|_| rows.len() >= PAGE);
    let next = last.map(|row| app.path(&format!("/callbacks?after={}", text(&row.agent, "agentId"))));
    html! {
        section class="card flush" aria-label="Callbacks" {
            @if rows.is_empty() {
                (parts::empty("No agents yet", "An agent has one callback address for its events.", Some((&app.path("/agents"), "Agents"))))
            } @else {
                div class="scroll" tabindex="0" role="region" aria-label="List of callbacks" {
                    table class="cards" {
                        thead { tr { th scope="col" { "Agent" } th scope="col" { "Callback" } th scope="col" { span class="hidden" { "Actions" } } } }
                        tbody {
                            @for row in rows {
                                @let id = text(&row.agent, "agentId");
                                tr {
                                    td data-label="Agent" { a href=(app.path(&format!("/agents/{id}?tab=callback"))) { (text(&row.agent, "displayName")) } }
                                    td data-label="Callback" { @match &row.url { Some(url) => span class="mono" { (url) }, None => span class="muted" { "none: events wait for a session" } } }
                                    td {
                                        @if row.url.is_some() && rights::operates(member.role()) {
                                            form method="post" action=(app.path("/callbacks")) {
                                                (page::token(member))
                                                input type="hidden" name="agent" value=(id);
                                                button class="slim" { "Deliver again now" }
                                            }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
                (parts::pager(next.as_deref(), query.after.is_empty(), &app.path("/callbacks")))
            }
        }
    }
}
