//! One call: who speaks, what was heard, and how long each turn took; live while it lasts.

use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
};
use butt_dial_domain::{Failure, clock::Timestamp};
use maud::{Markup, html};
use serde_json::{Value, json};

use super::{
    calls::{length, person, status},
    confirm,
};
use crate::{
    app::App,
    chart::{self, Bar},
    format::{clock_time, exact_time, list, masked, money, text},
    member::Member,
    page::{self, Place},
    parts::{self, Field},
    rights,
    session::Posted,
};

/// Seconds without a word that a live call shows.
const SILENT: i64 = 3;

/// `GET /calls/{id}`
pub async fn show(State(app): State<App>, member: Member, Path(id): Path<String>) -> Response {
    render(&app, &member, &id, None).await
}

/// `POST /calls/{id}`: speaks, transfers or ends the call.
pub async fn act(State(app): State<App>, Path(id): Path<String>, posted: Posted) -> Response {
    let (member, agent) = (&posted.member, posted.get("agent"));
    let here = app.path(&format!("/calls/{id}"));
    let outcome = match posted.get("do") {
        "end" => {
            if let Some(page) = confirm::required(&app, &posted, &here, "end this call") {
                return page;
            }
            app.call_as_agent(member, agent, "comms_end_call", json!({ "callId": id }))
                .await
        }
        "transfer" => {
            if let Some(page) = confirm::required(&app, &posted, &here, "transfer this call") {
                return page;
            }
            let mut args = json!({ "callId": id, "to": posted.get("to") });
            if let Some(words) = posted.optional("announcement") {
                args["announcementText"] = json!(words);
            }
            app.call_as_agent(member, agent, "comms_transfer_call", args).await
        }
        _ => {
            app.call_as_agent(
                member,
                agent,
                "comms_say",
                json!({ "callId": id, "text": posted.get("text") }),
            )
            .await
        }
    };
    match outcome {
        Ok(_) => {
            let action = match posted.get("do") {
                "end" => "call.end",
                "transfer" => "call.transfer",
                _ => "call.say",
            };
            if let Err(failure) = app.console().note_action(&member.inner, action, &id, json!({})).await {
                tracing::warn!(code = failure.code.as_str(), "audit entry not written");
            }
            Redirect::to(&here).into_response()
        }
        Err(failure) => render(&app, member, &id, Some(&failure)).await,
    }
}

async fn find(app: &App, member: &Member, id: &str) -> Result<Value, Failure> {
    app.call(member, "get_organization_call", json!({ "callId": id })).await
}

async fn render(app: &App, member: &Member, id: &str, failure: Option<&Failure>) -> Response {
    let call = match find(app, member, id).await {
        Ok(call) => call,
        Err(failure) => return page::member_failed(app, member, Place::Calls, &failure),
    };
    let id = text(&call, "callId");
    let title = match text(&call, "direction") {
        "inbound" => format!("Call from {}", masked(person(&call))),
        _ => format!("Call to {}", masked(person(&call))),
    };
    let body = html! {
        div {
            p class="crumbs" { a href=(app.path("/calls")) { "Calls" } " / " (id) }
            (parts::head(&title, "", &html! {}))
        }
        @if let Some(failure) = failure { (parts::failure(failure)) }
        div hx-sse:connect=(app.path(&format!("/live/calls/{id}"))) hx-swap="innerHTML" { (conversation(&call, app.clock().now())) }
        @if is_live(&call) && rights::operates(member.role()) { (commands(app, member, &call)) }
        div class="grid wide" { (facts(app, &call)) (latency(&call)) }
    };
    page::member(app, member, Place::Calls, &title, &body)
}

/// Renders the part that is live.
pub async fn live_part(app: &App, member: &Member, id: &str) -> Result<Markup, Failure> {
    Ok(conversation(&find(app, member, id).await?, app.clock().now()))
}

fn is_live(call: &Value) -> bool {
    !call["live"].is_null()
}

fn commands(app: &App, member: &Member, call: &Value) -> Markup {
    let action = app.path(&format!("/calls/{}", text(call, "callId")));
    html! {
        section class="card" aria-labelledby="commands" {
            h2 id="commands" { "Take part" }
            form class="form" method="post" action=(action) {
                (page::token(member))
                input type="hidden" name="agent" value=(text(call, "agentId"));
                (Field::new("text", "Say to the person").hint("Spoken as soon as the line is free.").render())
                div class="row" {
                    button class="primary" name="do" value="say" { "Say" }
                    button class="danger" name="do" value="end" { "End the call" }
                }
            }
            details {
                summary { "Transfer the person to a telephone number" }
                form class="form" method="post" action=(action) {
                    (page::token(member))
                    input type="hidden" name="agent" value=(text(call, "agentId"));
                    (Field::new("to", "Number").required().hint("Such as +14155550188. The agent leaves the call.").render())
                    (Field::new("announcement", "What the person hears first").render())
                    div class="row" { button name="do" value="transfer" { "Transfer" } }
                }
            }
        }
    }
}

fn conversation(call: &Value, now: Timestamp) -> Markup {
    let live = &call["live"];
    html! {
        section class="card" aria-labelledby="talk" data-turns {
            div class="card-head" {
                h2 id="talk" { @if is_live(call) { "Live" } @else { "What was heard" } }
                (status(call))
            }
            @if is_live(call) {
                p class="muted small" {
                    @match text(live, "handledBy") { "machine" => "The voicemail speaks for the agent.", _ => "The agent speaks." }
                    @if live["isPending"] == true { " The person waits for a reply." }
                    @if let Some(seconds) = silence(list(live, "history"), now) { " Silent for " (seconds) " s." }
                }
                @let history = list(live, "history");
                @if history.is_empty() { p class="muted" { "Nothing was said yet." } }
                ol class="talk" {
                    @for entry in history {
                        li class=(if text(entry, "by") == "caller" { "them" } else { "us" }) {
                            span class="who" { (speaker(text(entry, "by"))) " " (clock_time(text(entry, "at")).get(..8).unwrap_or_default().to_owned()) }
                            p class="words" {
                                (text(entry, "text"))
                                (unheard(entry["unheard"].as_str()))
                                @if entry["isCut"] == true { span class="muted" title="The person interrupted" { " — interrupted" } }
                            }
                        }
                    }
                }
            } @else if let Some(transcript) = call["transcript"].as_str() {
                ol class="talk" {
                    @for line in transcript.lines().filter(|line| !line.trim().is_empty()) {
                        @let (who, words) = line.split_once(": ").unwrap_or(("", line));
                        @let is_caller = who.to_lowercase().contains("caller");
                        @let (words, rest) = if is_caller { (words, None) } else { heard_and_unheard(words) };
                        li class=(if is_caller { "them" } else { "us" }) tabindex="0" {
                            @if !who.is_empty() { span class="who" { (who) } }
                            p class="words" { (words) (unheard(rest)) }
                        }
                    }
                }
                p class="muted small" { "Struck words were planned, and the person interrupted before. In this list, " kbd { "j" } " and " kbd { "k" } " go to the next and the last turn." }
            } @else {
                p class="muted" { "No words are kept: the call had none, or their retention has ended." }
            }
        }
    }
}

/// Returns how many seconds ago the last words were said, if that is long.
fn silence(history: &[Value], now: Timestamp) -> Option<i64> {
    let last = text(history.last()?, "at").parse::<Timestamp>().ok()?;
    Some((now - last).num_seconds()).filter(|seconds| *seconds >= SILENT)
}

/// Splits a line of a transcript into what was heard and the rest of a reply that was cut.
fn heard_and_unheard(words: &str) -> (&str, Option<&str>) {
    let split = words
        .strip_suffix(']')
        .and_then(|line| line.split_once(" [not heard: "));
    split.map_or((words, None), |(heard, rest)| (heard, Some(rest)))
}

/// Renders the words of a reply that were not heard.
fn unheard(rest: Option<&str>) -> Markup {
    html! {
        @if let Some(rest) = rest {
            " " span class="hidden" { "Not heard: " } s class="unheard" title="Planned, and not heard" { (rest) }
        }
    }
}

fn speaker(by: &str) -> &'static str {
    match by {
        "caller" => "Person",
        "machine" => "Voicemail",
        _ => "Agent",
    }
}

fn facts(app: &App, call: &Value) -> Markup {
    let optional = |label: &str, field: &str| {
        html! {
            @if let Some(value) = call[field].as_str() { dt { (label) } dd { (value) } }
        }
    };
    html! {
        section class="card" aria-labelledby="facts" {
            h2 id="facts" { "Facts" }
            dl class="facts" {
                dt { "Agent" } dd { a href=(app.path(&format!("/agents/{}", text(call, "agentId")))) { (text(call, "agentId")) } }
                dt { "Person" } dd class="mono" { (masked(person(call))) }
                dt { "Started" } dd { (exact_time(text(call, "startedAt"))) }
                @if let Some(at) = call["answeredAt"].as_str() { dt { "Answered" } dd { (exact_time(at)) } }
                @if let Some(at) = call["endedAt"].as_str() { dt { "Ended" } dd { (exact_time(at)) } }
                dt { "Length" } dd { (length(call)) }
                (optional("Answered by", "answeredBy"))
                (optional("Spoke for us", "handledBy"))
                (optional("End", "endReason"))
                (optional("Error of the carrier", "errorCode"))
                dt { "Cost" } dd { @match call["cost"].as_f64() { Some(cost) => (money(cost)), None => "not known yet" } }
                (optional("Carrier", "provider"))
                (optional("Id at the carrier", "callSid"))
            }
        }
    }
}

fn latency(call: &Value) -> Markup {
    let latency = &call["latency"];
    let turns: Vec<Bar> = list(latency, "turnsMs")
        .iter()
        .filter_map(Value::as_f64)
        .enumerate()
        .map(|(turn, ms)| Bar {
            label: format!("{}", turn + 1),
            value: ms,
            text: format!("{ms} ms"),
        })
        .collect();
    html! {
        section class="card" aria-labelledby="turns" {
            h2 id="turns" { "Time to the first word, by turn" }
            @if turns.is_empty() {
                p class="muted" { "No turn was answered." }
            } @else {
                p class="muted small" {
                    "Median " (latency["p50Ms"].as_i64().unwrap_or_default()) " ms, 95th percentile " (latency["p95Ms"].as_i64().unwrap_or_default()) " ms. From the last word of the person to the first of the reply."
                }
                (chart::bars("Time to the first word by turn", "Milliseconds", &turns))
            }
        }
    }
}
