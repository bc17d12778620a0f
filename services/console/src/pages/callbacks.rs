//! Callbacks: where the events of each agent go, and what waits.

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
    format::{count, list, text},
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
        .call_as_agent(&posted.member, agent, "comms_replay_callback", json!({}))
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
    let body = html! {
        (parts::head("Callbacks", "Events go to a listening session, else to the agent's callback, else they wait.", &html! {}))
        @if let Some(waiting) = query.replayed {
            (parts::note(Tone::Ok, &html! { p role="status" { (count(waiting)) " waiting events are delivered again now, in order." } }))
        }
        @if let Some(failure) = failure { (parts::failure(failure)) }
        @match &rows { Ok(rows) => (table(app, member, query, rows)), Err(failure) => (parts::failure(failure)) }
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
