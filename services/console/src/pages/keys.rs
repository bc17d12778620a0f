//! The keys of the organization's programs: team tokens here, tokens of agents with their agent.

use axum::{
    extract::State,
    response::{Html, IntoResponse, Redirect, Response},
};
use butt_dial_domain::{Code, Failure};
use maud::{Markup, html};
use serde_json::{Value, json};

use super::confirm;
use crate::{
    app::App,
    format::{field, list, text, time},
    member::Member,
    page::{self, Place},
    parts::{self, Field, Tone},
    rights,
    session::Posted,
};

/// `GET /keys`
pub async fn show(State(app): State<App>, member: Member) -> Response {
    render(&app, &member, None).await
}

/// `POST /keys`: creates or revokes a team token.
pub async fn act(State(app): State<App>, posted: Posted) -> Response {
    let (member, here) = (&posted.member, app.path("/keys"));
    if let Some(page) = confirm::required(&app, &posted, &here, "change the keys") {
        return page;
    }
    let outcome = match posted.get("do") {
        "revoke" => {
            let args = json!({ "tokenId": posted.get("token") });
            app.call(member, "revoke_team_token", args).await.map(|_| None)
        }
        "token" => create(&app, &posted).await.map(Some),
        _ => Err(Failure::new(Code::InvalidArgument, "the form is not known")),
    };
    match outcome {
        Ok(None) => Redirect::to(&here).into_response(),
        Ok(Some(secret)) => {
            let body = html! {
                div class="card" {
                    h1 { "New team token" }
                    (parts::note(Tone::Warn, &html! { p { "It is shown once, and it may change everything in this organization. Keep it where you keep passwords." } }))
                    (parts::copyable("token", &secret))
                    div class="row" { a class="button primary" href=(here) { "I have kept it" } }
                }
            };
            Html(page::open(&app, "New token", &body).into_string()).into_response()
        }
        Err(failure) => render(&app, member, Some(&failure)).await,
    }
}

async fn create(app: &App, posted: &Posted) -> Result<String, Failure> {
    let mut args = json!({ "label": posted.optional("label") });
    if let Some(days) = posted.optional("days") {
        let days = days.parse::<u32>();
        let wrong =
            |_| Failure::new(Code::InvalidArgument, "give whole days, such as 90").detail("fields", vec!["days"]);
        args["expiresInDays"] = json!(days.map_err(wrong)?);
    }
    let created = app.call(&posted.member, "create_team_token", args).await?;
    Ok(text(&created, "token").to_owned())
}

async fn render(app: &App, member: &Member, failure: Option<&Failure>) -> Response {
    let found = app.call(member, "list_team_tokens", json!({})).await;
    let action = app.path("/keys");
    let body = html! {
        (parts::head("Keys", "Team tokens administer the organization over REST. Tokens of agents are with each agent.", &html! { a class="button" href=(app.path("/agents")) { "Agents" } }))
        @if let Some(failure) = failure { (parts::failure(failure)) }
        @match &found {
            Ok(found) => (table(app, member, list(found, "tokens"), &action, "")),
            Err(failure) => (parts::failure(failure)),
        }
        @if rights::administers(member.role()) {
            section class="card" aria-labelledby="new" {
                h2 id="new" { "New team token" }
                form class="form" method="post" action=(action) {
                    (page::token(member))
                    (Field::new("label", "Purpose").required().hint("So that you know it later, such as: deployment.").render())
                    (Field::new("days", "Expires after days").kind("number").value("365").render())
                    div class="row" { button class="primary" name="do" value="token" { "Create" } }
                }
            }
        }
    };
    page::member(app, member, Place::Keys, "Keys", &body)
}

/// Renders tokens with a button to revoke each.
pub fn table(app: &App, member: &Member, tokens: &[Value], action: &str, tab: &str) -> Markup {
    let now = app.clock().now();
    let optional_time = |value: &Value, none: &str| match value.as_str() {
        Some(at) => time(at, now),
        None => html! { span class="muted" { (none) } },
    };
    html! {
        section class="card flush" aria-label="Tokens" {
            @if tokens.is_empty() {
                (parts::empty("No tokens", "Create one below. It is shown once; afterwards only its last four letters are.", None))
            } @else {
                div class="scroll" tabindex="0" role="region" aria-label="List of tokens" {
                    table class="cards" {
                        thead { tr { th scope="col" { "Purpose" } th scope="col" { "Ends with" } th scope="col" { "Scope" } th scope="col" { "Created" } th scope="col" { "Last used" } th scope="col" { "Expires" } th scope="col" { span class="hidden" { "Actions" } } } }
                        tbody {
                            @for token in tokens {
                                tr {
                                    td data-label="Purpose" { @match token["label"].as_str() { Some(label) => (label), None => span class="muted" { "none given" } } }
                                    td data-label="Ends with" class="mono" { "…" (text(token, "lastFour")) }
                                    td data-label="Scope" { (text(token, "scope")) @if !token["grants"].is_null() { ", restricted" } }
                                    td data-label="Created" { (time(text(token, "createdAt"), now)) }
                                    td data-label="Last used" { (optional_time(field(token, "lastUsedAt"), "never")) }
                                    td data-label="Expires" { (optional_time(field(token, "expiresAt"), "never")) }
                                    td {
                                        @if rights::administers(member.role()) {
                                            form method="post" action=(action) {
                                                (page::token(member))
                                                input type="hidden" name="tab" value=(tab);
                                                input type="hidden" name="token" value=(text(token, "id"));
                                                button class="slim danger" name="do" value="revoke" aria-label=(format!("Revoke the token that ends with {}", text(token, "lastFour"))) { "Revoke" }
                                            }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
                p class="card-foot small muted" { "A revoked token is refused everywhere within a second." }
            }
        }
    }
}
