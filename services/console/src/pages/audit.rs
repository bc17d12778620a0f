//! The audit log: administrative changes with their actors, and the proof that no row was changed.

use axum::{
    extract::{Query as UrlQuery, State},
    response::Response,
};
use butt_dial_domain::Failure;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    format::{count, list, text, time},
    member::Member,
    page::{self, Place},
    parts::{self, Field, Tone},
    session::Posted,
};

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Query {
    actor: String,
    action: String,
    target: String,
    cursor: String,
}

impl Query {
    fn fields(&self) -> [(&'static str, &str); 4] {
        [
            ("actor", self.actor.trim()),
            ("action", self.action.trim()),
            ("target", self.target.trim()),
            ("cursor", self.cursor.trim()),
        ]
    }

    fn url(&self, cursor: &str) -> String {
        let mut url = url::form_urlencoded::Serializer::new(String::new());
        let kept = self.fields().into_iter().take(3).chain([("cursor", cursor)]);
        for (name, value) in kept.filter(|(_, value)| !value.is_empty()) {
            url.append_pair(name, value);
        }
        url.finish()
    }
}

/// `GET /audit`
pub async fn show(State(app): State<App>, member: Member, UrlQuery(query): UrlQuery<Query>) -> Response {
    render(&app, &member, &query, None).await
}

/// `POST /audit`: verifies the log.
pub async fn verify(State(app): State<App>, posted: Posted) -> Response {
    let verified = app.call(&posted.member, "comms_verify_audit", json!({})).await;
    render(&app, &posted.member, &Query::default(), Some(verified)).await
}

async fn render(app: &App, member: &Member, query: &Query, verified: Option<Result<Value, Failure>>) -> Response {
    let given = query.fields().into_iter().filter(|(_, value)| !value.is_empty());
    let mut args: serde_json::Map<String, Value> = given.map(|(name, value)| (name.to_owned(), json!(value))).collect();
    args.insert("limit".into(), json!(50));
    let found = app.call(member, "list_audit", Value::Object(args)).await;
    let body = html! {
        (parts::head("Audit log", "Every administrative change, with its actor. Rows are chained by hashes and signed, so a change of the log itself shows.", &html! {
            form method="post" action=(app.path("/audit")) { (page::token(member)) button { "Verify the log" } }
        }))
        @match &verified { Some(Ok(verified)) => (proof(verified)), Some(Err(failure)) => (parts::failure(failure)), None => {}, }
        form class="card" method="get" action=(app.path("/audit")) role="search" aria-label="Filter the log" {
            div class="filters" {
                (Field::new("actor", "Actor").value(&query.actor).filter())
                (Field::new("action", "Action").value(&query.action).filter())
                (Field::new("target", "Target").value(&query.target).filter())
                button { "Filter" }
            }
        }
        @match &found { Ok(found) => (table(app, query, found)), Err(failure) => (parts::failure(failure)) }
    };
    page::member(app, member, Place::Audit, "Audit log", &body)
}

fn proof(verified: &Value) -> Markup {
    let number = |field: &str| count(verified[field].as_i64().unwrap_or_default());
    html! {
        @if verified["ok"] == true {
            (parts::note(Tone::Ok, &html! {
                p role="status" { strong { "The log is whole." } " " (number("verified")) " of " (number("size")) " rows were computed again; " (number("signedSize")) " are signed."
                    @if verified["expired"].as_i64().unwrap_or_default() > 0 { " Of " (number("expired")) " old ones only the hash is left." } }
                p class="small muted mono" { "Root " (text(verified, "root")) }
            }))
        } @else {
            @let broken = &verified["broken"];
            (parts::note(Tone::Bad, &html! {
                p { strong { "The log was changed." } " The first wrong row is number " (broken["seq"].as_i64().unwrap_or_default()) @if let Some(id) = broken["id"].as_str() { " (" code { (id) } ")" } ": " (parts::sentence(text(broken, "reason"))) }
            }))
        }
    }
}

fn table(app: &App, query: &Query, found: &Value) -> Markup {
    let (rows, now) = (list(found, "entries"), app.clock().now());
    let url = |cursor: &str| app.path(&format!("/audit?{}", query.url(cursor)));
    let next = found["cursor"].as_str().map(url);
    html! {
        section class="card flush" aria-label="Entries" {
            @if rows.is_empty() {
                (parts::empty("No entry fits", "Entries appear with the first administrative change.", None))
            } @else {
                div class="scroll" tabindex="0" role="region" aria-label="List of entries" {
                    table class="cards" {
                        thead { tr { th scope="col" { "When" } th scope="col" { "Actor" } th scope="col" { "Action" } th scope="col" { "Target" } th scope="col" { "From where" } th scope="col" { "Change" } } }
                        tbody {
                            @for row in rows {
                                tr {
                                    td data-label="When" { (time(text(row, "at"), now)) }
                                    td data-label="Actor" { span class="cut id mono" title=(text(row, "actor")) { (text(row, "actor")) } }
                                    td data-label="Action" { code class="nowrap" { (text(row, "action")) } }
                                    td data-label="Target" { span class="cut id mono" title=(text(row, "target")) { (text(row, "target")) } }
                                    td data-label="From where" { (origin(row)) }
                                    td data-label="Change" { (change(row)) }
                                }
                            }
                        }
                    }
                }
                (parts::pager(next.as_deref(), query.cursor.is_empty(), &url("")))
            }
        }
    }
}

/// Renders where the request of a change came from: the interface, and the network as a hash.
fn origin(row: &Value) -> Markup {
    let (via, source) = (row["detail"]["via"].as_str(), row["source"].as_str());
    let is_own = matches!(text(row, "actorKind"), "system");
    html! {
        @if via == Some("console") { span class="nowrap" { "Console" } }
        @if let Some(source) = source {
            p class="small muted mono nowrap" title=(format!("The network, as a hash that stays the same: {source}")) { "net " (source.get(..8).unwrap_or(source)) }
        } @else if via.is_none() {
            span class="muted" { (if is_own { "the program" } else { "not known" }) }
        }
    }
}

fn change(row: &Value) -> Markup {
    // The interface has a column.
    let detail = row["detail"].as_object().map(|fields| {
        let kept = fields.iter().filter(|(name, _)| *name != "via");
        kept.map(|(name, value)| (name.clone(), value.clone()))
            .collect::<serde_json::Map<_, _>>()
    });
    let detail = detail.map_or_else(|| row["detail"].clone(), Value::Object);
    let is_empty = |value: &Value| value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
    html! {
        @if !is_empty(&row["before"]) || !is_empty(&row["after"]) { p class="small mono" { (row["before"]) " → " (row["after"]) } }
        @if !is_empty(&detail) { p class="small mono" { (detail) } }
        @match row["seq"].as_i64() { Some(seq) => span class="small muted" { "row " (seq) }, None => span class="small muted" { "not sealed yet" } }
    }
}
