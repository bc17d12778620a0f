//! Anomalies: unusual traffic and signs of abuse, with the numbers that tripped the detectors, what the program has done, and what
//! people can do about it.

use axum::{
    extract::{Query as UrlQuery, State},
    response::{IntoResponse, Redirect, Response},
};
use butt_dial_domain::{Code, Failure};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::messages::agent_name;
use crate::{
    app::App,
    format::{list, masked, text, time},
    member::Member,
    page::{self, Place},
    parts::{self, Tone},
    rights,
    session::Posted,
};

const PAGE: usize = 50;
const STATES: [(&str, &str); 4] = [
    ("", "Not ended"),
    ("open", "Open"),
    ("dismissed", "Dismissed"),
    ("ended", "Ended"),
];

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Query {
    agent: String,
    kind: String,
    state: String,
    before: String,
}

/// `GET /anomalies`
pub async fn show(State(app): State<App>, member: Member, UrlQuery(query): UrlQuery<Query>) -> Response {
    render(&app, &member, &query, None).await
}

/// `POST /anomalies`
pub async fn act(State(app): State<App>, posted: Posted) -> Response {
    let member = &posted.member;
    let outcome = match posted.get("do") {
        "dismiss" => {
            let args = json!({ "anomalyId": posted.get("anomaly") });
            app.call(member, "dismiss_anomaly", args).await
        }
        "activate" => {
            let args = json!({ "agentId": posted.get("agent"), "status": "active" });
            app.call(member, "comms_set_agent_status", args).await
        }
        "resume" => {
            let args = json!({ "pauseId": posted.get("pause") });
            app.call(member, "end_contact_pause", args).await
        }
        _ => Err(Failure::new(Code::InvalidArgument, "the form is not known")),
    };
    match outcome {
        Ok(_) => Redirect::to(&app.path("/anomalies")).into_response(),
        Err(failure) => render(&app, member, &Query::default(), Some(&failure)).await,
    }
}

async fn render(app: &App, member: &Member, query: &Query, failure: Option<&Failure>) -> Response {
    let mut args = json!({ "limit": PAGE });
    for (name, value) in [
        ("agentId", &query.agent),
        ("detector", &query.kind),
        ("state", &query.state),
        ("before", &query.before),
    ] {
        if !value.is_empty() {
            args[name] = json!(value);
        }
    }
    let found = app.call(member, "list_anomalies", args).await;
    let pauses = app.call(member, "list_contact_pauses", json!({})).await;
    let agents = app.call(member, "list_agents", json!({ "limit": 200 })).await;
    let agents = agents
        .map(|agents| list(&agents, "agents").to_vec())
        .unwrap_or_default();
    let kinds = app.call(member, "list_anomaly_detectors", json!({})).await;
    let kinds = kinds
        .map(|kinds| list(&kinds, "detectors").to_vec())
        .unwrap_or_default();
    let body = html! {
        (parts::head("Anomalies", "Unusual traffic and signs of abuse. A cause that lasts is one anomaly.", &html! {}))
        @if let Some(failure) = failure { (parts::failure(failure)) }
        (filters(app, query, &agents, &kinds))
        @match &found { Ok(found) => (table(app, member, query, list(found, "anomalies"), &agents)), Err(failure) => (parts::failure(failure)) }
        @match &pauses { Ok(found) => (paused(app, member, list(found, "pauses"), &agents)), Err(failure) => (parts::failure(failure)) }
    };
    page::member(app, member, Place::Anomalies, "Anomalies", &body)
}

fn filters(app: &App, query: &Query, agents: &[Value], kinds: &[Value]) -> Markup {
    let mut names = vec![("", "All agents")];
    names.extend(
        agents
            .iter()
            .map(|agent| (text(agent, "agentId"), text(agent, "displayName"))),
    );
    let mut detectors = vec![("", "All kinds")];
    detectors.extend(kinds.iter().map(|kind| (text(kind, "name"), text(kind, "title"))));
    html! {
        form class="card" method="get" action=(app.path("/anomalies")) role="search" aria-label="Filter anomalies" {
            div class="filters" {
                (parts::select("kind", "Kind", &detectors, &query.kind))
                (parts::select("state", "State", &STATES, &query.state))
                (parts::select("agent", "Agent", &names, &query.agent))
                button { "Filter" }
            }
        }
    }
}

fn url(app: &App, query: &Query, before: &str) -> String {
    let mut url = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in [
        ("kind", query.kind.as_str()),
        ("state", &query.state),
        ("agent", &query.agent),
        ("before", before),
    ] {
        if !value.is_empty() {
            url.append_pair(name, value);
        }
    }
    app.path(&format!("/anomalies?{}", url.finish()))
}

fn table(app: &App, member: &Member, query: &Query, rows: &[Value], agents: &[Value]) -> Markup {
    let now = app.clock().now();
    let last = rows.last().filter(|_| rows.len() >= PAGE);
    let next = last.map(|last| url(app, query, text(last, "id")));
    html! {
        section class="card flush" aria-label="Anomalies" {
            @if rows.is_empty() {
                (parts::empty("Nothing unusual", "Spikes, pumped texts, guessed codes and loops between programs appear here, with the numbers that show them.", None))
            } @else {
                div class="scroll" tabindex="0" role="region" aria-label="List of anomalies" {
                    table class="cards" {
                        thead { tr { th scope="col" { "Severity" } th scope="col" { "Cause" } th scope="col" { "Agent" } th scope="col" { "Done" } th scope="col" { "Last" } th scope="col" { "State" } th scope="col" { span class="hidden" { "Actions" } } } }
                        tbody { @for row in rows { (line(app, member, row, agents, now)) } }
                    }
                }
                (parts::pager(next.as_deref(), query.before.is_empty(), &url(app, query, "")))
            }
        }
    }
}

fn line(app: &App, member: &Member, row: &Value, agents: &[Value], now: butt_dial_domain::clock::Timestamp) -> Markup {
    let (severity, state, agent) = (text(row, "severity"), text(row, "state"), text(row, "agentId"));
    let is_suspended = agents
        .iter()
        .any(|known| text(known, "agentId") == agent && text(known, "status") == "suspended");
    html! {
        tr {
            td data-label="Severity" { (parts::badge(match severity { "critical" | "high" => Tone::Bad, "medium" => Tone::Warn, _ => Tone::Plain }, severity)) }
            td data-label="Cause" {
                p { (text(row, "explanation")) }
                details class="small" { summary { code { (text(row, "detector")) } } (numbers(&row["numbers"])) }
            }
            td data-label="Agent" { @if agent.is_empty() { span class="muted" { "–" } } @else { a class="cut" href=(app.path(&format!("/agents/{agent}"))) { (agent_name(agents, agent)) } } }
            td data-label="Done" { (done(row, now)) }
            td data-label="Last" { (time(text(row, "lastSeen"), now)) }
            td data-label="State" { (parts::badge(if state == "open" { Tone::Warn } else { Tone::Plain }, state)) }
            td {
                @if rights::operates(member.role()) && (state == "open" || is_suspended) {
                    form class="row" method="post" action=(app.path("/anomalies")) {
                        (page::token(member))
                        input type="hidden" name="anomaly" value=(text(row, "id"));
                        input type="hidden" name="agent" value=(agent);
                        @if state == "open" { button class="slim" name="do" value="dismiss" { "Dismiss" } }
                        @if is_suspended { button class="slim" name="do" value="activate" aria-label="Reactivate the agent" { "Reactivate" } }
                    }
                }
            }
        }
    }
}

/// The numbers that have tripped the detector: the observed, the expected, and the time that they cover.
fn numbers(numbers: &Value) -> Markup {
    html! {
        dl class="facts" {
            @for (name, value) in numbers.as_object().into_iter().flatten() {
                dt { (name) }
                dd class="mono" { @match value.as_str() { Some(text) => (text), None => (value) } }
            }
        }
    }
}

fn done(row: &Value, now: butt_dial_domain::clock::Timestamp) -> Markup {
    let deed = match text(row, "reaction") {
        "throttle" => "Lower limit",
        "confirm" => "Messages wait for approval",
        "suspend" => "Agent suspended",
        _ => "Alert",
    };
    html! {
        @match row["reactedAt"].as_str() {
            Some(at) => { (deed) " " (time(at, now)) },
            None => span class="muted" { "Alert only" },
        }
    }
}

fn paused(app: &App, member: &Member, rows: &[Value], agents: &[Value]) -> Markup {
    let now = app.clock().now();
    html! {
        @if !rows.is_empty() {
            section class="card flush" aria-labelledby="pauses" {
                div class="card-head" { h2 id="pauses" { "Paused contacts" } }
                div class="scroll" tabindex="0" role="region" aria-label="List of paused contacts" {
                    table class="cards" {
                        thead { tr { th scope="col" { "Contact" } th scope="col" { "Agent" } th scope="col" { "Until" } th scope="col" { span class="hidden" { "Actions" } } } }
                        tbody {
                            @for row in rows {
                                tr {
                                    td data-label="Contact" { (masked(text(row, "contact"))) }
                                    td data-label="Agent" { (agent_name(agents, text(row, "agentId"))) }
                                    td data-label="Until" { (time(text(row, "pausedUntil"), now)) }
                                    td {
                                        @if rights::operates(member.role()) {
                                            form class="row" method="post" action=(app.path("/anomalies")) {
                                                (page::token(member))
                                                input type="hidden" name="pause" value=(text(row, "pauseId"));
                                                button class="slim" name="do" value="resume" { "End the pause" }
                                            }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
