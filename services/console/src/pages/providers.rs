//! The accounts at vendors: those of the installation, and the organization's own.

use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use butt_dial_domain::Failure;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::confirm;
use crate::{
    app::App,
    format::{list, text},
    member::Member,
    page::{self, Place},
    parts::{self, Tone},
    rights,
    session::Posted,
};

/// `GET /providers`
pub async fn show(State(app): State<App>, member: Member) -> Response {
    render(&app, &member, None).await
}

/// `POST /providers`: removes an account of the organization.
pub async fn act(State(app): State<App>, posted: Posted) -> Response {
    let here = app.path("/providers");
    if let Some(page) = confirm::required(&app, &posted, &here, "remove a provider account") {
        return page;
    }
    let args = json!({ "providerId": posted.get("provider") });
    match app.call(&posted.member, "remove_provider", args).await {
        Ok(_) => Redirect::to(&here).into_response(),
        Err(failure) => render(&app, &posted.member, Some(&failure)).await,
    }
}

async fn render(app: &App, member: &Member, failure: Option<&Failure>) -> Response {
    let found = app.call(member, "list_providers", json!({})).await;
    let body = html! {
        (parts::head("Providers", "Accounts at carriers and other vendors. Secrets are masked for good.", &html! {}))
        @if let Some(failure) = failure { (parts::failure(failure)) }
        (installation(app))
        @match &found {
            Ok(found) => (own(app, member, list(found, "providers"))),
            Err(failure) => (parts::failure(failure)),
        }
    };
    page::member(app, member, Place::Providers, "Providers", &body)
}

fn installation(app: &App) -> Markup {
    html! {
        section class="card" aria-labelledby="installation" {
            div class="card-head" {
                h2 id="installation" { "Of the installation" }
                @if app.is_simulated() { (parts::badge(Tone::Plain, "simulated")) } @else { (parts::badge(Tone::Ok, "real carriers")) }
            }
            @if app.is_simulated() {
                p { "All carriers are simulators of this program. Messages arrive at a telephone in your browser." }
                p { a href=(app.path("/simulator")) { "Open the simulated telephone" } }
            } @else {
                p class="muted" { "Its credentials are in the environment of the program and shown nowhere. " code { "butt-dial doctor" } " checks each of them with the vendor's own words." }
            }
        }
    }
}

fn own(app: &App, member: &Member, rows: &[Value]) -> Markup {
    html! {
        @if rows.is_empty() {
            section class="card flush" aria-label="Own accounts" {
                (parts::empty("No accounts of its own", "The organization uses those of the installation. To bring your own, register it with comms_register_provider, which checks the credentials before it stores them.", None))
            }
        } @else {
            div class="grid wide" {
                @for row in rows {
                    section class="card" aria-label=(text(row, "label")) {
                        div class="card-head" { h2 { (text(row, "provider")) } (parts::status(text(row, "status"))) }
                        @if let Some(reason) = row["failure"].as_str() { (parts::note(Tone::Bad, &html! { p { (parts::sentence(reason)) } })) }
                        dl class="facts" {
                            dt { "Label" } dd { (text(row, "label")) }
                            dt { "Account" } dd class="mono" { (text(row, "account")) }
                            @for (name, value) in row["credentials"].as_object().into_iter().flatten() { dt { (name) } dd class="mono" { (value.as_str().unwrap_or_default()) } }
                        }
                        @if rights::administers(member.role()) {
                            form method="post" action=(app.path("/providers")) {
                                (page::token(member))
                                input type="hidden" name="provider" value=(text(row, "id"));
                                button class="slim danger" { "Remove" }
                            }
                        }
                    }
                }
            }
        }
    }
}
