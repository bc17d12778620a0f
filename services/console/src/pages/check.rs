//! "May I send?": the rules decide on a message without sending it, and sends that they have refused.

use axum::{
    extract::{Query as UrlQuery, State},
    response::Response,
};
use butt_dial_domain::Failure;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::messages::agent_name;
use crate::{
    app::App,
    format::{self, list, masked, money, text, time},
    member::Member,
    page::{self, Place},
    parts::{self, Field, Tone},
    session::Posted,
};

const CHANNELS: [(&str, &str); 5] = [
    ("sms", "SMS"),
    ("whatsapp", "WhatsApp"),
    ("email", "E-mail"),
    ("line", "LINE"),
    ("voice", "Call"),
];
const PURPOSES: [(&str, &str); 6] = [
    ("", "Inferred from the message"),
    ("transactional", "Transactional: an order, a delivery, an appointment"),
    ("informational", "Informational: expected news without an offer"),
    ("marketing", "Marketing: an offer"),
    ("otp", "One-time code"),
    ("emergency", "Emergency: a danger to life, health or property"),
];

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Query {
    rule: String,
    before: String,
}

/// The answer to a form.
type Answer<'a> = (&'a Posted, Result<Value, Failure>);

/// `GET /check`
pub async fn show(State(app): State<App>, member: Member, UrlQuery(query): UrlQuery<Query>) -> Response {
    render(&app, &member, &query, None).await
}

/// `POST /check`: asks the rules. Sends nothing.
pub async fn check(State(app): State<App>, posted: Posted) -> Response {
    let mut args = json!({ "to": posted.get("to"), "channel": posted.get("channel") });
    for (name, field) in [("body", "body"), ("purpose", "purpose")] {
        if let Some(value) = posted.optional(field) {
            args[name] = json!(value);
        }
    }
    let answer = app
        .call_as_agent(&posted.member, posted.get("agent"), "comms_preflight", args)
        .await;
    render(&app, &posted.member, &Query::default(), Some((&posted, answer))).await
}

async fn render(app: &App, member: &Member, query: &Query, answer: Option<Answer<'_>>) -> Response {
    let agents = match app.call(member, "list_agents", json!({ "limit": 200 })).await {
        Ok(agents) => list(&agents, "agents").to_vec(),
        Err(failure) => return page::member_failed(app, member, Place::Check, &failure),
    };
    let mut args = json!({ "limit": 50 });
    for (name, value) in [("rule", &query.rule), ("before", &query.before)] {
        if !value.is_empty() {
            args[name] = json!(value);
        }
    }
    let refusals = app.call(member, "comms_list_refusals", args).await;
    let body = html! {
        (parts::head("May I send?", "The same rules as for a real send decide, and say why. Nothing is sent, reserved or counted.", &html! {}))
        div class="grid wide" {
            (form(app, member, &agents, answer.as_ref().map(|(posted, _)| *posted)))
            section class="card" aria-labelledby="answer" {
                h2 id="answer" { "Answer" }
                div role="status" {
                    @match &answer {
                        Some((_, Ok(answer))) => (verdict(app, answer)),
                        Some((_, Err(failure))) => (parts::failure(failure)),
                        None => p class="muted" { "Fill in the form. You get the verdict, each rule that has something to say with the fact behind it, and what would change it." },
                    }
                }
            }
        }
        @match &refusals {
            Ok(found) => (refused(app, query, found, &agents)),
            Err(failure) => (parts::failure(failure)),
        }
    };
    page::member(app, member, Place::Check, "May I send?", &body)
}

fn form(app: &App, member: &Member, agents: &[Value], posted: Option<&Posted>) -> Markup {
    let old = |name: &str| posted.map_or("", |posted| posted.get(name)).to_owned();
    let names: Vec<(&str, &str)> = agents
        .iter()
        .map(|agent| (text(agent, "agentId"), text(agent, "displayName")))
        .collect();
    html! {
        section class="card" aria-labelledby="question" {
            h2 id="question" { "Question" }
            form class="form" method="post" action=(app.path("/check")) {
                (page::token(member))
                (parts::select("agent", "May agent", &names, &old("agent")))
                (parts::select("channel", "send on", &CHANNELS, &old("channel")))
                (Field::new("to", "to").value(&old("to")).required().hint("A number such as +14155550123, or a mail address.").render())
                (parts::select("purpose", "for the purpose", &PURPOSES, &old("purpose")))
                div class="field" {
                    label for="body" { "with the text" span class="muted" { " (optional)" } }
                    textarea id="body" name="body" { (old("body")) }
                }
                div class="row" { button class="primary" { "Check" } }
            }
        }
    }
}

fn verdict(app: &App, answer: &Value) -> Markup {
    let allowed_at = answer["allowedAt"].as_str();
    let (tone, words) = match (answer["allowed"] == true, allowed_at) {
        (true, None) => (Tone::Ok, "Yes, now.".to_owned()),
        (true, Some(_)) => (Tone::Warn, "Not now, but later.".to_owned()),
        (false, _) => (Tone::Bad, "No.".to_owned()),
    };
    let recipient = &answer["recipient"];
    html! {
        div class="stack" {
            (parts::note(tone, &html! {
                p { strong { (words) } @if let Some(at) = allowed_at { " It would leave " (time(at, app.clock().now())) "." } }
                @if let Some(id) = answer["duplicateOf"].as_str() { p { "A message with this idempotency key exists: " a href=(app.path(&format!("/messages/{id}"))) { (id) } } }
            }))
            (findings(list(answer, "findings")))
            dl class="facts" {
                dt { "Purpose" } dd { (text(answer, "purpose")) @if answer["purposeDeclared"] == false { ", inferred" } }
                dt { "From" } dd class="mono" { (text(answer, "from")) }
                dt { "Cost" } dd { (money(answer["estimatedCost"].as_f64().unwrap_or_default())) ", estimated" }
                dt { "Place of the person" } dd { (join(list(recipient, "jurisdictions"))) @if list(recipient, "jurisdictions").is_empty() { "not known" } }
                @for (zone, at) in recipient["localTimes"].as_object().into_iter().flatten() { dt { (zone) } dd { (at.as_str().unwrap_or_default().get(..16).unwrap_or_default().replace('T', " ")) } }
                dt { "Rules" } dd class="mono" { (text(answer, "ruleSet")) }
            }
        }
    }
}

/// Renders the findings of rules: each with its fact, and what would change it.
pub fn findings(findings: &[Value]) -> Markup {
    html! {
        @if findings.is_empty() { p class="muted" { "No rule has anything to say." } }
        ul class="tight" {
            @for finding in findings {
                @let tone = match text(finding, "severity") { "block" => Tone::Bad, "advise" => Tone::Plain, _ => Tone::Warn };
                li {
                    (parts::badge(tone, text(finding, "severity"))) " " strong { (parts::sentence(text(finding, "fact"))) }
                    @if !text(finding, "remedy").is_empty() { p { (parts::sentence(text(finding, "remedy"))) } }
                    p class="small muted" { "Rule " code { (text(finding, "rule")) } @if !text(finding, "source").is_empty() { ", from " (text(finding, "source")) } }
                }
            }
        }
    }
}

fn refused(app: &App, query: &Query, found: &Value, agents: &[Value]) -> Markup {
    let (rows, now) = (list(found, "refusals"), app.clock().now());
    let url = |before: &str| {
        let mut url = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("rule", query.rule.as_str()), ("before", before)] {
            if !value.is_empty() {
                url.append_pair(name, value);
            }
        }
        app.path(&format!("/check?{}", url.finish()))
    };
    let next = found["nextCursor"].as_str().map(url);
    html! {
        section class="card flush" aria-labelledby="refused" {
            div class="card-head" {
                h2 id="refused" { "Refused sends" }
                @if !query.rule.is_empty() { span { "of the rule " code { (query.rule) } " " a href=(app.path("/check")) { "Show all" } } }
            }
            @if rows.is_empty() {
                (parts::empty("Nothing was refused", "A send that a rule refuses is kept here with the facts that the rule decided on.", None))
            } @else {
                div class="scroll" tabindex="0" role="region" aria-label="List of refused sends" {
                    table class="cards" {
                        thead { tr { th scope="col" { "When" } th scope="col" { "Agent" } th scope="col" { "Channel" } th scope="col" { "To" } th scope="col" { "Why" } } }
                        tbody {
                            @for row in rows {
                                tr {
                                    td data-label="When" { (time(text(row, "at"), now)) }
                                    td data-label="Agent" { a class="cut" href=(app.path(&format!("/agents/{}", text(row, "agentId")))) { (agent_name(agents, text(row, "agentId"))) } }
                                    td data-label="Channel" { (format::channel(text(row, "channel"))) }
                                    td data-label="To" class="nowrap" { (shown(text(row, "to"))) }
                                    td data-label="Why" {
                                        @let first = list(row, "findings").first();
                                        p { (parts::sentence(first.map_or(text(row, "code"), |finding| text(finding, "fact")))) }
                                        p class="small" { a href=(app.path(&format!("/check?rule={}", text(row, "rule")))) { code { (text(row, "rule")) } } }
                                        @if list(row, "findings").len() > 1 || first.is_some_and(|finding| !text(finding, "remedy").is_empty()) {
                                            details class="small" { summary { "More" } (findings(list(row, "findings"))) }
                                        }
                                    }
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

/// Masks an address unless the operation has done so.
fn shown(address: &str) -> String {
    match address.contains(['*', '•', '…']) {
        true => address.to_owned(),
        false => masked(address),
    }
}

fn join(values: &[Value]) -> String {
    values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}
