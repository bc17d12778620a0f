//! The playground: one operation of agents with a form made from its schema, run as a chosen agent, with the same call for programs.

use std::time::Instant;

use axum::{
    extract::{Query as UrlQuery, State},
    response::Response,
};
use butt_dial_domain::{Failure, Scope};
use butt_dial_operations::{self as operations, Definition};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{playground_call as call, playground_form as form};
use crate::{
    app::App,
    format::{list, text},
    member::Member,
    page::{self, Place},
    parts::{self, Tone},
    rights,
    session::Posted,
};

/// The operation of a first visit.
const FIRST: &str = "comms_send_message";

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Query {
    tool: String,
    agent: String,
}

/// How a run ended.
struct Run {
    args: Map<String, Value>,
    result: Result<Value, Failure>,
    milliseconds: u128,
}

/// `GET /playground`
pub async fn show(State(app): State<App>, member: Member, UrlQuery(query): UrlQuery<Query>) -> Response {
    render(&app, &member, &query, None).await
}

/// `POST /playground`: runs the operation.
pub async fn run(State(app): State<App>, posted: Posted) -> Response {
    let query = Query {
        tool: posted.get("tool").to_owned(),
        agent: posted.get("agent").to_owned(),
    };
    let member = &posted.member;
    let outcome = match find(member, &query.tool) {
        Some(definition) => start(&app, &posted, definition, &query.agent).await,
        None => Run {
            args: Map::new(),
            result: Err(rights::refusal(member.role())),
            milliseconds: 0,
        },
    };
    render(&app, member, &query, Some((&posted, &outcome))).await
}

async fn start(app: &App, posted: &Posted, definition: &'static Definition, agent: &str) -> Run {
    let member = &posted.member;
    let args = match form::read(&definition.tool_schema, &posted.fields) {
        Ok(args) => args,
        Err(failure) => {
            return Run {
                args: Map::new(),
                result: Err(failure),
                milliseconds: 0,
            };
        }
    };
    let started = Instant::now();
    let result = app
        .call_as_agent(member, agent, definition.name, Value::Object(args.clone()))
        .await;
    let milliseconds = started.elapsed().as_millis();
    let code = result.as_ref().err().map(|failure| failure.code.as_str());
    app.note(
        member,
        "playground.run",
        definition.name,
        json!({ "agent": agent, "code": code }),
    )
    .await;
    Run {
        args,
        result,
        milliseconds,
    }
}

/// Lists the operations that the member may run as an agent.
fn offered(member: &Member) -> impl Iterator<Item = &'static Definition> {
    let role = member.role();
    let may_run = rights::operates(role);
    operations::all().iter().filter(move |definition| {
        let is_tool = definition.scope == Scope::Agent && definition.hints.is_some();
        may_run && is_tool && rights::permits(role, definition)
    })
}

fn find(member: &Member, name: &str) -> Option<&'static Definition> {
    offered(member).find(|definition| definition.name == name)
}

async fn render(app: &App, member: &Member, query: &Query, ran: Option<(&Posted, &Run)>) -> Response {
    let agents = match app.call(member, "list_agents", json!({ "limit": 200 })).await {
        Ok(agents) => list(&agents, "agents").to_vec(),
        Err(failure) => return page::member_failed(app, member, Place::Playground, &failure),
    };
    let name = if query.tool.is_empty() { FIRST } else { &query.tool };
    let body = html! {
        (parts::head("Playground", "Run an operation as one of your agents, and see the call that a program makes. It really runs, with the agent's rules, limits and budget.", &html! {}))
        @if !rights::operates(member.role()) {
            (parts::failure(&rights::refusal(member.role())))
        } @else if agents.is_empty() {
            section class="card flush" aria-label="Playground" {
                (parts::empty("No agents yet", "An operation runs as an agent.", Some((&app.path("/agents"), "Create an agent"))))
            }
        } @else {
            (chooser(app, member, query, name, &agents))
            @match find(member, name) {
                Some(definition) => (one(app, member, query, definition, &agents, ran)),
                None => (parts::note(Tone::Warn, &html! { p { "No operation of agents that your role includes has this name." } })),
            }
        }
    };
    page::member(app, member, Place::Playground, "Playground", &body)
}

/// Renders the choice of the operation.
fn chooser(app: &App, member: &Member, query: &Query, name: &str, agents: &[Value]) -> Markup {
    let names = agent_names(agents);
    html! {
        form class="card" method="get" action=(app.path("/playground")) aria-label="Choose an operation" {
            div class="filters" {
                div class="field grow" {
                    label for="tool" { "Operation" }
                    select id="tool" name="tool" {
                        @for (title, reads) in [("Read only", true), ("With effects", false)] {
                            optgroup label=(title) {
                                @for definition in offered(member).filter(|definition| definition.is_read_only() == reads) {
                                    option value=(definition.name) selected[definition.name == name] { (definition.title) " (" (definition.name) ")" }
                                }
                            }
                        }
                    }
                }
                (parts::select("agent", "As agent", &names, &query.agent))
                button { "Choose" }
            }
        }
    }
}

fn agent_names(agents: &[Value]) -> Vec<(&str, &str)> {
    let active = agents.iter().filter(|agent| text(agent, "status") == "active");
    active
        .map(|agent| (text(agent, "agentId"), text(agent, "displayName")))
        .collect()
}

fn one(
    app: &App,
    member: &Member,
    query: &Query,
    definition: &'static Definition,
    agents: &[Value],
    ran: Option<(&Posted, &Run)>,
) -> Markup {
    let names = agent_names(agents);
    let agent = match query.agent.as_str() {
        "" => names.first().map_or("", |(id, _)| id),
        chosen => chosen,
    };
    let shown = names
        .iter()
        .find(|(id, _)| *id == agent)
        .map_or(agent, |(_, name)| name);
    let posted = ran.map(|(posted, _)| posted);
    let failure = ran.and_then(|(_, run)| run.result.as_ref().err());
    let args = ran.map(|(_, run)| &run.args);
    html! {
        div class="beside" {
            section class="card" aria-labelledby="form-title" {
                div class="card-head" {
                    h2 id="form-title" { (definition.title) }
                    @if definition.is_read_only() { (parts::badge(Tone::Ok, "reads only")) } @else { (parts::badge(Tone::Warn, "has effects")) }
                }
                p class="muted small" { (definition.description) }
                form class="form" method="post" action=(app.path("/playground")) {
                    (page::token(member))
                    input type="hidden" name="tool" value=(definition.name);
                    input type="hidden" name="agent" value=(agent);
                    (form::fields(&definition.tool_schema, posted.map(|posted| &posted.fields), failure))
                    div class="row" { button class="primary" { "Run as " (shown) } }
                    p class="hint" { "The audit log names you." }
                }
            }
            section class="card follows" aria-labelledby="result" {
                div class="card-head" {
                    h2 id="result" { "Result" }
                    @if let Some((_, run)) = ran { span class="small muted" role="status" { (run.milliseconds) " ms" } }
                }
                @match ran.map(|(_, run)| &run.result) {
                    Some(Ok(value)) => (parts::code_block("result-json", "JSON", &shown_result(value))),
                    Some(Err(failure)) => (parts::failure(failure)),
                    None => p class="muted" { "Fill in the form and run it. The answer and its duration appear here." },
                }
                h3 { "The same for programs" }
                (call::examples(&app.public_url(), definition, args))
            }
        }
    }
}

fn shown_result(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => format!("{value:#}"),
    }
}
