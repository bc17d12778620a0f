//! The agents of the organization.

use axum::{
    extract::{Query as UrlQuery, State},
    response::{Html, IntoResponse, Response},
};
use butt_dial_domain::Failure;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    format::{list, text, time},
    member::Member,
    page::{self, Place},
    parts::{self, Field, Tone},
    rights,
    session::Posted,
};

const PAGE: usize = 50;

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Query {
    after: String,
}

/// `GET /agents`
pub async fn show(State(app): State<App>, member: Member, UrlQuery(query): UrlQuery<Query>) -> Response {
    render(&app, &member, &query, None).await
}

/// `POST /agents`: creates an agent and shows its token once.
pub async fn create(State(app): State<App>, posted: Posted) -> Response {
    let mut args = json!({ "displayName": posted.get("name") });
    if let Some(id) = posted.optional("id") {
        args["agentId"] = json!(id);
    }
    let created = match app.call(&posted.member, "register_agent", args).await {
        Ok(created) => created,
        Err(failure) => return render(&app, &posted.member, &Query::default(), Some((&posted, &failure))).await,
    };
    let id = text(&created, "agentId");
    let body = html! {
        div class="card" {
            h1 { (text(&created, "displayName")) " was created" }
            (parts::note(Tone::Warn, &html! { p { "This token is shown once. Keep it where you keep passwords." } }))
            (parts::copyable("token", text(&created, "token")))
            div class="row" { a class="button primary" href=(app.path(&format!("/agents/{id}"))) { "I have kept it" } }
        }
    };
    Html(page::open(&app, "New agent", &body).into_string()).into_response()
}

async fn render(app: &App, member: &Member, query: &Query, failed: Option<(&Posted, &Failure)>) -> Response {
    let mut args = json!({ "limit": PAGE });
    if !query.after.is_empty() {
        args["after"] = json!(query.after);
    }
    let found = app.call(member, "list_agents", args).await;
    let body = html! {
        (parts::head("Agents", "An agent has addresses, tokens and limits of its own.", &html! {
            @if rights::administers(member.role()) { a class="button primary" href="#new" { "New agent" } }
        }))
        @match &found {
            Ok(found) => (table(app, query, found)),
            Err(failure) => (parts::failure(failure)),
        }
        @if rights::administers(member.role()) { (new_agent(app, member, failed)) }
        @else if let Some((_, failure)) = failed { (parts::failure(failure)) }
    };
    page::member(app, member, Place::Agents, "Agents", &body)
}

fn table(app: &App, query: &Query, found: &Value) -> Markup {
    let (rows, now) = (list(found, "agents"), app.clock().now());
    let last = rows.last().filter(|_| rows.len() >= PAGE);
    let next = last.map(|last| app.path(&format!("/agents?after={}", text(last, "agentId"))));
    html! {
        section class="card flush" aria-label="Agents" {
            @if rows.is_empty() {
                (parts::empty("No agents yet", "Create one below. It gets a token for its program; addresses come next.", None))
            } @else {
                div class="scroll" tabindex="0" role="region" aria-label="List of agents" {
                    table class="cards" {
                        thead { tr { th scope="col" { "Name" } th scope="col" { "Id" } th scope="col" { "Status" } th scope="col" { "Created" } } }
                        tbody {
                            @for agent in rows {
                                tr {
                                    td data-label="Name" { a href=(app.path(&format!("/agents/{}", text(agent, "agentId")))) { (text(agent, "displayName")) } }
                                    td data-label="Id" class="mono" { (text(agent, "agentId")) }
                                    td data-label="Status" { (parts::status(text(agent, "status"))) }
                                    td data-label="Created" { (time(text(agent, "createdAt"), now)) }
                                }
                            }
                        }
                    }
                }
                (parts::pager(next.as_deref(), query.after.is_empty(), &app.path("/agents")))
            }
        }
    }
}

fn new_agent(app: &App, member: &Member, failed: Option<(&Posted, &Failure)>) -> Markup {
    let failure = failed.map(|(_, failure)| failure);
    let old = |name: &str| failed.map_or("", |(posted, _)| posted.get(name)).to_owned();
    html! {
        section class="card" id="new" aria-labelledby="new-title" {
            h2 id="new-title" { "New agent" }
            @if let Some(failure) = failure { (parts::failure(failure)) }
            form class="form" method="post" action=(app.path("/agents")) {
                (page::token(member))
                (Field::new("name", "Name").value(&old("name")).required().checked_by(failure).render())
                (Field::new("id", "Id").value(&old("id")).checked_by(failure).hint("Your own id for it, such as a UUID. Without one, an id is generated.").render())
                div class="row" { button class="primary" { "Create" } }
            }
        }
    }
}
