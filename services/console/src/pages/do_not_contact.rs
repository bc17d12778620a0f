//! The do-not-contact list of the organization: addresses that no agent may write to or call.

use axum::{
    extract::{Query as UrlQuery, State},
    response::{IntoResponse, Redirect, Response},
};
use butt_dial_domain::{Code, Failure};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::confirm;
use crate::{
    app::App,
    format::{self, count, list, text, time},
    member::Member,
    page::{self, Place},
    parts::{self, Field, Tone},
    rights,
    session::Posted,
};

const CHANNELS: [(&str, &str); 6] = [
    ("", "All channels"),
    ("sms", "SMS"),
    ("whatsapp", "WhatsApp"),
    ("email", "E-mail"),
    ("line", "LINE"),
    ("voice", "Call"),
];

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Query {
    after: String,
    added: Option<i64>,
    invalid: Option<i64>,
}

/// `GET /do-not-contact`
pub async fn show(State(app): State<App>, member: Member, UrlQuery(query): UrlQuery<Query>) -> Response {
    render(&app, &member, &query, None).await
}

/// `POST /do-not-contact`: adds or removes entries.
pub async fn act(State(app): State<App>, posted: Posted) -> Response {
    let (member, here) = (&posted.member, app.path("/do-not-contact"));
    let outcome = match posted.get("do") {
        "add" => {
            let mut entry = json!({ "address": posted.get("address"), "reason": posted.optional("reason") });
            if let Some(channel) = posted.optional("channel") {
                entry["channel"] = json!(channel);
            }
            app.call(member, "add_suppressions", json!({ "entries": [entry] }))
                .await
        }
        "import" => {
            app.call(member, "add_suppressions", json!({ "csv": posted.get("csv") }))
                .await
        }
        "remove" => {
            if let Some(page) = confirm::required(&app, &posted, &here, "let agents write to a person again") {
                return page;
            }
            let mut args = json!({ "address": posted.get("address") });
            if let Some(channel) = posted.optional("channel") {
                args["channel"] = json!(channel);
            }
            app.call(member, "remove_suppression", args).await
        }
        _ => Err(Failure::new(Code::InvalidArgument, "the form is not known")),
    };
    match outcome {
        Ok(done) => {
            let (added, invalid) = (done["added"].as_i64(), done["invalid"].as_i64());
            let query = match (added, invalid) {
                (Some(added), Some(invalid)) => format!("?added={added}&invalid={invalid}"),
                _ => String::new(),
            };
            Redirect::to(&format!("{here}{query}")).into_response()
        }
        Err(failure) => render(&app, member, &Query::default(), Some(&failure)).await,
    }
}

async fn render(app: &App, member: &Member, query: &Query, failure: Option<&Failure>) -> Response {
    let mut args = json!({ "limit": 100 });
    if !query.after.is_empty() {
        args["after"] = json!(query.after);
    }
    let found = app.call(member, "list_suppressions", args).await;
    let body = html! {
        (parts::head("Do not contact", "No agent may write to or call these addresses. People who write STOP are refused as well, without an entry here.", &html! {}))
        @if let Some(added) = query.added {
            (parts::note(if query.invalid == Some(0) { Tone::Ok } else { Tone::Warn }, &html! {
                p role="status" { (count(added)) " added." @if let Some(invalid) = query.invalid { @if invalid > 0 { " " (count(invalid)) " rows were left out, because their address can't be read." } } }
            }))
        }
        @if let Some(failure) = failure { (parts::failure(failure)) }
        @match &found {
            Ok(found) => (table(app, member, query, found)),
            Err(failure) => (parts::failure(failure)),
        }
        @if rights::operates(member.role()) { (forms(app, member, failure)) }
    };
    page::member(app, member, Place::DoNotContact, "Do not contact", &body)
}

fn table(app: &App, member: &Member, query: &Query, found: &Value) -> Markup {
    let (rows, now) = (list(found, "entries"), app.clock().now());
    let next = found["nextCursor"].as_str().map(|next| {
        let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        app.path(&format!("/do-not-contact?after={next}"))
    });
    html! {
        section class="card flush" aria-label="Entries" {
            @if rows.is_empty() {
                (parts::empty("The list is empty", "Add the address of a person below, or paste a table.", None))
            } @else {
                div class="scroll" tabindex="0" role="region" aria-label="List of addresses" {
                    table class="cards" {
                        thead { tr { th scope="col" { "Address" } th scope="col" { "Channel" } th scope="col" { "Reason" } th scope="col" { "Since" } th scope="col" { span class="hidden" { "Actions" } } } }
                        tbody {
                            @for row in rows {
                                tr {
                                    td data-label="Address" class="mono" { (text(row, "address")) }
                                    td data-label="Channel" { @match row["channel"].as_str() { Some(channel) => (format::channel(channel)), None => "all" } }
                                    td data-label="Reason" { (text(row, "reason")) }
                                    td data-label="Since" { (time(text(row, "createdAt"), now)) }
                                    td {
                                        @if rights::administers(member.role()) {
                                            form method="post" action=(app.path("/do-not-contact")) {
                                                (page::token(member))
                                                input type="hidden" name="address" value=(text(row, "address"));
                                                input type="hidden" name="channel" value=(text(row, "channel"));
                                                button class="slim danger" name="do" value="remove" aria-label=(format!("Remove {}", text(row, "address"))) { "Remove" }
                                            }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
                (parts::pager(next.as_deref(), query.after.is_empty(), &app.path("/do-not-contact")))
            }
        }
    }
}

fn forms(app: &App, member: &Member, failure: Option<&Failure>) -> Markup {
    let action = app.path("/do-not-contact");
    html! {
        div class="grid wide" {
            section class="card" aria-labelledby="one" {
                h2 id="one" { "Add an address" }
                form class="form" method="post" action=(action) {
                    (page::token(member))
                    (Field::new("address", "Address").required().checked_by(failure).hint("A number such as +14155550123, or a mail address.").render())
                    (parts::select("channel", "Channel", &CHANNELS, ""))
                    (Field::new("reason", "Reason").render())
                    div class="row" { button class="primary" name="do" value="add" { "Add" } }
                }
            }
            section class="card" aria-labelledby="many" {
                h2 id="many" { "Paste a table" }
                form class="form" method="post" action=(action) {
                    (page::token(member))
                    div class="field" {
                        label for="csv" { "Rows" }
                        textarea id="csv" name="csv" required aria-describedby="csv-hint" {}
                        p class="hint" id="csv-hint" { "With a first row of names: address,channel,reason. Only the address is needed. Up to 60 kB; longer ones over REST." }
                    }
                    div class="row" { button class="primary" name="do" value="import" { "Add all" } }
                }
            }
        }
    }
}
