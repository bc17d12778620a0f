//! The installation: this process, its backends, and what is stuck. For operators of the installation.

use axum::{extract::State, response::Response};
use butt_dial_domain::{Code, Failure};
use butt_dial_runtime::health;
use maud::{Markup, html};
use serde_json::{Value, json};

use crate::{
    app::App,
    format::{count, list, text},
    member::Member,
    page::{self, Place},
    parts::{self, Tone},
};

/// `GET /system`
pub async fn show(State(app): State<App>, member: Member) -> Response {
    if !member.session().is_operator {
        let refusal = Failure::new(Code::AuthForbidden, "this page is for operators of the installation");
        return page::member_failed(&app, &member, Place::System, &refusal);
    }
    let backends = health::check(app.platform(), health::WATCH_TIMEOUT).await;
    let teams = app.call_as_operator(&member, "comms_list_teams", json!({})).await;
    let letters = app
        .call_as_operator(&member, "list_dead_letters", json!({ "limit": 1 }))
        .await;
    let orders = app.call_as_operator(&member, "list_stuck_orders", json!({})).await;
    let has_entries =
        |found: &Result<Value, Failure>, field: &str| found.as_ref().is_ok_and(|found| !list(found, field).is_empty());
    let body = html! {
        (parts::head("System", "This installation, as the replica that answers you sees it.", &html! {}))
        div class="grid wide" {
            (process(&app))
            section class="card" aria-labelledby="backends" {
                h2 id="backends" { "Backends" }
                dl class="facts" {
                    @for (backend, is_well) in &backends {
                        dt { (backend.name()) }
                        dd { @if *is_well { (parts::badge(Tone::Ok, "works")) } @else { (parts::badge(Tone::Bad, "does not answer")) } }
                    }
                }
                p class="muted small" { "The cause of a failure is in the log of the process." }
            }
        }
        section class="card" aria-labelledby="open" {
            h2 id="open" { "Needs a person" }
            ul {
                li { a href=(app.path("/dead-letters")) { "Dead letters" } ": " @if has_entries(&letters, "deadLetters") { (parts::badge(Tone::Bad, "there are some")) } @else { "none" } }
                li { "Stuck orders of numbers: " @if has_entries(&orders, "orders") { (parts::badge(Tone::Bad, "there are some")) } @else { "none" } }
            }
        }
        @match &teams { Ok(teams) => (organizations(teams)), Err(failure) => (parts::failure(failure)) }
    };
    page::member(&app, &member, Place::System, "System", &body)
}

fn process(app: &App) -> Markup {
    let config = &app.platform().config;
    html! {
        section class="card" aria-labelledby="process" {
            h2 id="process" { "Process" }
            dl class="facts" {
                dt { "Version" } dd { (env!("CARGO_PKG_VERSION")) }
                dt { "Replica" } dd class="mono" { (app.platform().replica.as_str()) }
                dt { "Database" } dd { @if config.is_postgres() { "Postgres" } @else { "SQLite" } }
                dt { "Public address" } dd class="mono" { (app.public_url()) }
                dt { "Carriers" } dd { @if app.is_simulated() { "simulated" } @else { "real" } }
            }
            p class="small" { a href=(format!("{}/docs", config.base_path)) { "Documentation and API" } }
        }
    }
}

fn organizations(teams: &Value) -> Markup {
    let rows = list(teams, "teams");
    html! {
        section class="card flush" aria-labelledby="organizations" {
            div class="card-head" { h2 id="organizations" { "Organizations" } span class="muted small" { (count(rows.len() as i64)) } }
            @if rows.is_empty() { (parts::empty("No organizations", "They appear here when they register.", None)) }
            @else {
                div class="scroll" tabindex="0" role="region" aria-label="List of organizations" {
                    table class="cards" {
                        thead { tr { th scope="col" { "Name" } th scope="col" { "Id" } th scope="col" { "Mode" } th scope="col" class="num" { "Agents" } th scope="col" { "Status" } } }
                        tbody {
                            @for row in rows {
                                tr {
                                    td data-label="Name" { (text(row, "name")) }
                                    td data-label="Id" class="mono" { (text(row, "orgId")) }
                                    td data-label="Mode" { (text(row, "mode")) }
                                    td data-label="Agents" class="num" { (row["agentCount"].as_i64().unwrap_or_default()) }
                                    td data-label="Status" { (parts::status(text(row, "status"))) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
