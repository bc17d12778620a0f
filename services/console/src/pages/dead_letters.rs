//! Dead letters: webhook events that could not be applied. For operators of the installation.

use axum::{
    extract::{Query as UrlQuery, State},
    response::{IntoResponse, Redirect, Response},
};
use butt_dial_domain::{Code, Failure};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{confirm, dead_letter_groups as groups};
use crate::{
    app::App,
    format::{field, list, text, time},
    member::Member,
    page::{self, Place},
    parts::{self, Tone},
    session::Posted,
};

const PAGE: usize = 50;

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Query {
    after: String,
}

/// `GET /dead-letters`
pub async fn show(State(app): State<App>, member: Member, UrlQuery(query): UrlQuery<Query>) -> Response {
    render(&app, &member, &query, &html! {}).await
}

/// `POST /dead-letters`: replays or drops one, or all of a group after a preview.
pub async fn act(State(app): State<App>, posted: Posted) -> Response {
    let (member, here) = (&posted.member, app.path("/dead-letters"));
    if posted.get("do").ends_with("-group") {
        return of_group(&app, &posted).await;
    }
    let args = json!({ "deadLetterId": posted.get("id") });
    let outcome = match posted.get("do") {
        "replay" => app.call_as_operator(member, "replay_dead_letter", args).await,
        "drop" => {
            if let Some(page) = confirm::required(&app, &posted, &here, "drop an event for good") {
                return page;
            }
            app.call_as_operator(member, "drop_dead_letter", args).await
        }
        _ => Err(Failure::new(Code::InvalidArgument, "the form is not known")),
    };
    match outcome {
        Ok(_) => Redirect::to(&here).into_response(),
        Err(failure) => render(&app, member, &Query::default(), &failed(&failure)).await,
    }
}

/// Shows what a step with a group would do, or does it.
async fn of_group(app: &App, posted: &Posted) -> Response {
    let (member, here) = (&posted.member, app.path("/dead-letters"));
    let (is_drop, is_decided) = (posted.get("step") == "drop", posted.get("do") == "do-group");
    if is_drop
        && is_decided
        && let Some(page) = confirm::required(app, posted, &here, "drop events for good")
    {
        return page;
    }
    let chosen = match groups::read(app, member).await {
        Ok(found) => groups::choose(found, posted),
        Err(failure) => return render(app, member, &Query::default(), &failed(&failure)).await,
    };
    let shown = match (chosen, is_decided) {
        (None, _) => failed(&Failure::new(Code::NotFound, "none of these is left")),
        (Some(group), false) => groups::preview(app, member, &group, is_drop),
        (Some(group), true) => groups::apply(app, member, &group, is_drop).await,
    };
    render(app, member, &Query::default(), &shown).await
}

fn failed(failure: &Failure) -> Markup {
    parts::failure(failure)
}

/// `outcome`: what an action has done, or why not.
async fn render(app: &App, member: &Member, query: &Query, outcome: &Markup) -> Response {
    let mut args = json!({ "limit": PAGE });
    if !query.after.is_empty() {
        args["after"] = json!(query.after);
    }
    let found = match app.call_as_operator(member, "list_dead_letters", args).await {
        Ok(found) => found,
        Err(failure) => return page::member_failed(app, member, Place::DeadLetters, &failure),
    };
    let body = html! {
        (parts::head("Dead letters", "Reports of carriers that could not be applied, the oldest first. Nothing is lost while they are here.", &html! {}))
        (outcome)
        @if query.after.is_empty() {
            @match groups::read(app, member).await {
                Ok(found) => (groups::table(app, member, &found)),
                Err(failure) => (parts::failure(&failure)),
            }
        }
        (table(app, member, query, list(&found, "deadLetters")))
    };
    page::member(app, member, Place::DeadLetters, "Dead letters", &body)
}

fn table(app: &App, member: &Member, query: &Query, rows: &[Value]) -> Markup {
    let now = app.clock().now();
    let last = rows.last().filter(|_| rows.len() >= PAGE);
    let next = last.map(|row| app.path(&format!("/dead-letters?after={}", text(row, "id"))));
    html! {
        section class="card flush" aria-label="Dead letters" {
            @if rows.is_empty() {
                (parts::empty("No dead letters", "Every report of the carriers was applied. One that can't be is kept here until it is replayed or dropped.", None))
            } @else {
                div class="scroll" tabindex="0" role="region" aria-label="List of dead letters" {
                    table class="cards" {
                        thead { tr { th scope="col" { "Arrived" } th scope="col" { "Reason" } th scope="col" { "Carrier" } th scope="col" { "Kind" } th scope="col" { "Agent" } th scope="col" class="num" { "Bytes" } th scope="col" { span class="hidden" { "Actions" } } } }
                        tbody {
                            @for row in rows {
                                tr {
                                    td data-label="Arrived" { (time(text(row, "createdAt"), now)) }
                                    td data-label="Reason" { (parts::badge(Tone::Bad, text(row, "reason"))) @if *field(row, "replayRequested") == true { " " (parts::badge(Tone::Plain, "is replayed")) } }
                                    td data-label="Carrier" { (text(row, "carrier")) }
                                    td data-label="Kind" { (text(row, "kind")) }
                                    td data-label="Agent" class="mono" { (text(row, "agentId")) }
                                    td data-label="Bytes" class="num" { (field(row, "sizeBytes").as_i64().unwrap_or_default()) }
                                    td {
                                        form class="row" method="post" action=(app.path("/dead-letters")) {
                                            (page::token(member))
                                            input type="hidden" name="id" value=(text(row, "id"));
                                            button class="slim" name="do" value="replay" { "Replay" }
                                            button class="slim danger" name="do" value="drop" { "Drop" }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
                (parts::pager(next.as_deref(), query.after.is_empty(), &app.path("/dead-letters")))
            }
        }
    }
}
