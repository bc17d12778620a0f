//! The calls of all agents, newest first.

use axum::{
    extract::{Query as UrlQuery, State},
    response::Response,
};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::messages::agent_name;
use crate::{
    app::App,
    format::{list, masked, money, text, time},
    member::Member,
    page::{self, Place},
    parts,
};

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Query {
    agent: String,
    live: bool,
    before: String,
}

/// `GET /calls`
pub async fn show(State(app): State<App>, member: Member, UrlQuery(query): UrlQuery<Query>) -> Response {
    let mut args = json!({ "live": query.live });
    for (name, value) in [("agentId", &query.agent), ("before", &query.before)] {
        if !value.is_empty() {
            args[name] = json!(value);
        }
    }
    let agents = app.call(&member, "list_agents", json!({ "limit": 200 })).await;
    let agents = agents
        .map(|agents| list(&agents, "agents").to_vec())
        .unwrap_or_default();
    let found = app.call(&member, "list_organization_calls", args).await;
    let body = html! {
        (parts::head("Calls", "Live calls can be watched while they are spoken; ended ones keep what was heard until the retention of calls ends.", &html! {}))
        (filters(&app, &query, &agents))
        @match &found {
            Ok(found) => (table(&app, &query, found, &agents)),
            Err(failure) => (parts::failure(failure)),
        }
    };
    page::member(&app, &member, Place::Calls, "Calls", &body)
}

fn filters(app: &App, query: &Query, agents: &[Value]) -> Markup {
    let mut names: Vec<(&str, &str)> = vec![("", "All agents")];
    names.extend(
        agents
            .iter()
            .map(|agent| (text(agent, "agentId"), text(agent, "displayName"))),
    );
    let live = [("false", "All calls"), ("true", "Live now")];
    html! {
        form class="card" method="get" action=(app.path("/calls")) role="search" aria-label="Filter calls" {
            div class="filters" {
                (parts::select("agent", "Agent", &names, &query.agent))
                (parts::select("live", "State", &live, if query.live { "true" } else { "false" }))
                button { "Filter" }
            }
        }
    }
}

fn table(app: &App, query: &Query, found: &Value, agents: &[Value]) -> Markup {
    let (rows, now) = (list(found, "calls"), app.clock().now());
    let url = |before: &str| {
        let mut url = url::form_urlencoded::Serializer::new(String::new());
        url.append_pair("agent", &query.agent)
            .append_pair("live", &query.live.to_string());
        if !before.is_empty() {
            url.append_pair("before", before);
        }
        app.path(&format!("/calls?{}", url.finish()))
    };
    let next = found["nextCursor"].as_str().map(url);
    html! {
        section class="card flush" aria-label="Calls" {
            @if rows.is_empty() {
                @if query.live {
                    (parts::empty("No calls right now", "A call appears here when it rings.", Some((&app.path("/calls"), "All calls"))))
                } @else {
                    (parts::empty("No calls yet", "Call a number of an agent, or let an agent place a call with comms_make_call. With simulated carriers, the telephone in your browser can call too.", app.is_simulated().then(|| app.path("/simulator")).as_deref().map(|url| (url, "Open the simulated telephone"))))
                }
            } @else {
                div class="scroll" tabindex="0" role="region" aria-label="List of calls" {
                    table class="cards" {
                        thead { tr {
                            th scope="col" { "Started" } th scope="col" { "Status" } th scope="col" { "Direction" } th scope="col" { "Person" }
                            th scope="col" { "Agent" } th scope="col" class="num" { "Length" } th scope="col" class="num" { "Turn, median" } th scope="col" class="num" { "Cost" }
                        } }
                        tbody {
                            @for call in rows {
                                tr {
                                    td data-label="Started" { a href=(app.path(&format!("/calls/{}", text(call, "callId")))) { (time(text(call, "startedAt"), now)) } }
                                    td data-label="Status" { (status(call)) }
                                    td data-label="Direction" { (text(call, "direction")) }
                                    td data-label="Person" class="nowrap" { (masked(person(call))) }
                                    td data-label="Agent" { a class="cut" href=(app.path(&format!("/agents/{}", text(call, "agentId")))) { (agent_name(agents, text(call, "agentId"))) } }
                                    td data-label="Length" class="num" { (length(call)) }
                                    td data-label="Turn, median" class="num" { @match call["latency"]["p50Ms"].as_i64() { Some(ms) => { (ms) " ms" }, None => span class="muted" { "–" } } }
                                    td data-label="Cost" class="num" { @match call["cost"].as_f64() { Some(cost) => (money(cost)), None => span class="muted" { "–" } } }
                                }
                            }
                        }
                    }
                }
                (parts::pager(next.as_deref(), query.before.is_empty(), &url("")))
            }
        }
    }
}

/// The status of a call; a live one pulses.
pub fn status(call: &Value) -> Markup {
    let is_live =
        call["endedAt"].is_null() && matches!(text(call, "status"), "in-progress" | "ringing" | "queued" | "initiated");
    html! {
        span class="row" {
            @if is_live { span class="live-dot" aria-hidden="true" {} }
            (parts::status(text(call, "status")))
        }
    }
}

/// Returns the number of the person, who is not us.
pub fn person(call: &Value) -> &str {
    match text(call, "direction") {
        "inbound" => text(call, "from"),
        _ => text(call, "to"),
    }
}

/// Writes minutes and seconds.
pub fn length(call: &Value) -> String {
    match call["durationSeconds"].as_i64() {
        Some(seconds) => format!("{}:{:02}", seconds / 60, seconds % 60),
        None => "–".into(),
    }
}
