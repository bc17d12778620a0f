//! Alerts: causes that need a person, and the routes over which people get notifications.

use axum::{
    extract::{Query as UrlQuery, State},
    response::{Html, IntoResponse, Redirect, Response},
};
use butt_dial_domain::{Code, Failure};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::confirm;
use crate::{
    app::App,
    format::{count, list, text, time},
    member::Member,
    page::{self, Place},
    parts::{self, Field, Tone},
    rights,
    session::Posted,
};

const PAGE: usize = 50;
const KINDS: [(&str, &str); 7] = [
    ("email", "E-mail"),
    ("sms", "SMS"),
    ("whatsapp", "WhatsApp"),
    ("voice", "Voice call"),
    ("webhook", "Webhook"),
    ("slack", "Slack"),
    ("pagerduty", "PagerDuty"),
];
const SEVERITIES: [(&str, &str); 4] = [
    ("medium", "Medium and above"),
    ("high", "High and above"),
    ("critical", "Critical only"),
    ("low", "All"),
];

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Query {
    all: bool,
    before: String,
    tested: bool,
}

/// `GET /alerts`
pub async fn show(State(app): State<App>, member: Member, UrlQuery(query): UrlQuery<Query>) -> Response {
    render(&app, &member, &query, None).await
}

/// `POST /alerts`
pub async fn act(State(app): State<App>, posted: Posted) -> Response {
    let (member, here) = (&posted.member, app.path("/alerts"));
    let (alert, route) = (
        json!({ "alertId": posted.get("alert") }),
        json!({ "routeId": posted.get("route") }),
    );
    let outcome = match posted.get("do") {
        "acknowledge" => app.call(member, "acknowledge_alert", alert).await,
        "resolve" => app.call(member, "resolve_alert", alert).await,
        "test" => app.call(member, "test_alert_route", route).await,
        "delete" => app.call(member, "delete_alert_route", route).await,
        "route" => {
            if let Some(page) = confirm::required(&app, &posted, &here, "add a route of alerts") {
                return page;
            }
            app.call(member, "create_alert_route", settings(&posted)).await
        }
        _ => Err(Failure::new(Code::InvalidArgument, "the form is not known")),
    };
    match outcome {
        Ok(created) if created["secret"].is_string() => shown_once(&app, &here, text(&created, "secret")),
        Ok(_) if posted.get("do") == "test" => Redirect::to(&format!("{here}?tested=true")).into_response(),
        Ok(_) => Redirect::to(&here).into_response(),
        Err(failure) => render(&app, member, &Query::default(), Some(&failure)).await,
    }
}

/// Reads the form of a route. The target is an address, a URL or a key, as the kind needs.
fn settings(posted: &Posted) -> Value {
    let kind = posted.get("kind");
    let target = match kind {
        "email" | "sms" | "whatsapp" | "voice" => "address",
        "pagerduty" => "key",
        _ => "url",
    };
    let mut settings = json!({
        "kind": kind, target: posted.get("target"), "severity": posted.get("severity"),
        "escalation": posted.get("escalation") == "true",
    });
    for (name, field) in [("quietFrom", "from"), ("quietUntil", "until")] {
        if let Some(at) = posted.optional(field) {
            settings[name] = json!(at);
        }
    }
    settings
}

fn shown_once(app: &App, here: &str, secret: &str) -> Response {
    let body = html! {
        div class="card" {
            h1 { "Secret of the webhook" }
            p { "It signs the alerts. It is shown once." }
            (parts::copyable("secret", secret))
            div class="row" { a class="button primary" href=(here) { "I have kept it" } }
        }
    };
    Html(page::open(app, "Secret of the webhook", &body).into_string()).into_response()
}

async fn render(app: &App, member: &Member, query: &Query, failure: Option<&Failure>) -> Response {
    let mut args = json!({ "all": query.all, "limit": PAGE });
    if !query.before.is_empty() {
        args["before"] = json!(query.before);
    }
    let found = app.call(member, "list_alerts", args).await;
    let routes = app.call(member, "list_alert_routes", json!({})).await;
    let body = html! {
        (parts::head("Alerts", "Causes that need a person. One cause is one alert, however often it is seen.", &html! {
            @if query.all { a class="button" href=(app.path("/alerts")) { "Open ones only" } }
            @else { a class="button" href=(app.path("/alerts?all=true")) { "Resolved ones too" } }
        }))
        @if query.tested { (parts::note(Tone::Ok, &html! { p role="status" { "A test alert has left." } })) }
        @if let Some(failure) = failure { (parts::failure(failure)) }
        @match &found { Ok(found) => (alerts(app, member, query, list(found, "alerts"))), Err(failure) => (parts::failure(failure)) }
        @match &routes { Ok(routes) => (routes_table(app, member, list(routes, "routes"))), Err(failure) => (parts::failure(failure)) }
        @if rights::administers(member.role()) { (new_route(app, member, failure)) }
    };
    page::member(app, member, Place::Alerts, "Alerts", &body)
}

fn alerts(app: &App, member: &Member, query: &Query, rows: &[Value]) -> Markup {
    let now = app.clock().now();
    let last = rows.last().filter(|_| rows.len() >= PAGE);
    let next = last.map(|last| app.path(&format!("/alerts?all={}&before={}", query.all, text(last, "id"))));
    html! {
        section class="card flush" aria-label="Alerts" {
            @if rows.is_empty() {
                (parts::empty("All is well", "No cause needs you. Failing providers, stuck orders, dead letters and budgets appear here.", None))
            } @else {
                div class="scroll" tabindex="0" role="region" aria-label="List of alerts" {
                    table class="cards" {
                        thead { tr { th scope="col" { "Severity" } th scope="col" { "Cause" } th scope="col" class="num" { "Seen" } th scope="col" { "Last" } th scope="col" { "State" } th scope="col" { span class="hidden" { "Actions" } } } }
                        tbody {
                            @for row in rows {
                                @let severity = text(row, "severity");
                                tr {
                                    td data-label="Severity" { (parts::badge(match severity { "critical" | "high" => Tone::Bad, "medium" => Tone::Warn, _ => Tone::Plain }, severity)) }
                                    td data-label="Cause" {
                                        p { (text(row, "title")) }
                                        details class="small" { summary { code { (text(row, "kind")) } } p class="mono" { (row["evidence"]) } }
                                    }
                                    td data-label="Seen" class="num" { (count(row["count"].as_i64().unwrap_or_default())) }
                                    td data-label="Last" { (time(text(row, "lastSeen"), now)) }
                                    td data-label="State" { (parts::badge(if text(row, "state") == "resolved" { Tone::Ok } else { Tone::Plain }, text(row, "state"))) }
                                    td {
                                        @if rights::operates(member.role()) && text(row, "state") != "resolved" {
                                            form class="row" method="post" action=(app.path("/alerts")) {
                                                (page::token(member))
                                                input type="hidden" name="alert" value=(text(row, "id"));
                                                @if text(row, "state") == "open" { button class="slim" name="do" value="acknowledge" { "Acknowledge" } }
                                                button class="slim" name="do" value="resolve" { "Resolve" }
                                            }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
                (parts::pager(next.as_deref(), query.before.is_empty(), &app.path(&format!("/alerts?all={}", query.all))))
            }
        }
    }
}

fn routes_table(app: &App, member: &Member, rows: &[Value]) -> Markup {
    html! {
        section class="card flush" aria-labelledby="routes" {
            div class="card-head" { h2 id="routes" { "Routes" } }
            @if rows.is_empty() {
                (parts::empty("No routes yet", "Without a route, alerts are on this page only.", None))
            } @else {
                div class="scroll" tabindex="0" role="region" aria-label="List of routes" {
                    table class="cards" {
                        thead { tr { th scope="col" { "Kind" } th scope="col" { "To" } th scope="col" { "From severity" } th scope="col" { "Quiet" } th scope="col" { span class="hidden" { "Actions" } } } }
                        tbody {
                            @for row in rows {
                                tr {
                                    td data-label="Kind" { (text(row, "kind")) @if row["escalation"] == true { ", escalation" } }
                                    td data-label="To" class="mono" { (text(row, "hint")) }
                                    td data-label="From severity" { (text(row, "severity")) }
                                    td data-label="Quiet" { @match row["quietFrom"].as_str() { Some(from) => { (from) "–" (text(row, "quietUntil")) " UTC" }, None => span class="muted" { "never" } } }
                                    td {
                                        @if rights::administers(member.role()) {
                                            form class="row" method="post" action=(app.path("/alerts")) {
                                                (page::token(member))
                                                input type="hidden" name="route" value=(text(row, "id"));
                                                button class="slim" name="do" value="test" { "Test" }
                                                button class="slim danger" name="do" value="delete" { "Delete" }
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

fn new_route(app: &App, member: &Member, failure: Option<&Failure>) -> Markup {
    html! {
        section class="card" aria-labelledby="new" {
            h2 id="new" { "New route" }
            form class="form" method="post" action=(app.path("/alerts")) {
                (page::token(member))
                (parts::select("kind", "Kind", &KINDS, "email"))
                (Field::new("target", "To").required().checked_by(failure).hint("A mail address, a number, the URL of a webhook or of Slack, or the routing key of PagerDuty.").render())
                (parts::select("severity", "Severity", &SEVERITIES, "medium"))
                div class="check" {
                    input type="checkbox" id="escalation" name="escalation" value="true";
                    label for="escalation" { "Only critical and high alerts that were not acknowledged within 15 minutes" }
                }
                div class="pair" {
                    (Field::new("from", "Quiet from, UTC").kind("time").render())
                    (Field::new("until", "until").kind("time").render())
                }
                div class="row" { button class="primary" name="do" value="route" { "Add" } }
            }
        }
    }
}
