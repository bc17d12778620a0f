//! Failures by cause: failed and unconfirmed messages and refused sends, each with the list that it counts. Refused sends and
//! failed messages are not repeated from here: their texts are deleted, so only the agent can send them again.

use std::collections::BTreeMap;

use axum::{extract::State, response::Response};
use butt_dial_domain::Failure;
use maud::{Markup, html};
use serde_json::{Value, json};

use crate::{
    app::App,
    format::{list, text, time},
    member::Member,
    page::{self, Place},
    parts::{self, Tone},
};

/// Rows of a request, and requests of each kind: a page of messages looks at 5,000.
const PAGE: usize = 200;
const PAGES: usize = 5;

/// Messages or refusals with the same cause.
struct Cause {
    kind: &'static str,
    code: String,
    /// The rule, or the code of the carrier.
    detail: String,
    count: usize,
    newest: String,
    href: String,
}

/// `GET /causes`
pub async fn show(State(app): State<App>, member: Member) -> Response {
    let body = match read(&app, &member).await {
        Ok(causes) => table(&app, &causes),
        Err(failure) => parts::failure(&failure),
    };
    let body = html! {
        div {
            p class="crumbs" { a href=(app.path("/messages")) { "Messages" } " / By cause" }
            (parts::head("What went wrong, by cause", "The newest failed and unconfirmed messages and refused sends, at most 1,000 of each.", &html! {}))
        }
        (body)
    };
    page::member(&app, &member, Place::Messages, "By cause", &body)
}

async fn read(app: &App, member: &Member) -> Result<Vec<Cause>, Failure> {
    let mut causes: BTreeMap<(&'static str, String, String), Cause> = BTreeMap::new();
    for (kind, status) in [("failed", "failed"), ("unconfirmed", "unconfirmed")] {
        let args = json!({ "status": status, "limit": PAGE });
        for row in pages(app, member, "list_messages", args, "messages").await? {
            let detail = text(&row, "providerCode");
            let wanted = [text(&row, "code"), detail].into_iter().find(|code| !code.is_empty());
            let mut url = url::form_urlencoded::Serializer::new(String::new());
            url.append_pair("status", status);
            if let Some(code) = wanted {
                url.append_pair("code", code);
            }
            let href = app.path(&format!("/messages?{}", url.finish()));
            count(
                &mut causes,
                kind,
                (text(&row, "code"), detail),
                text(&row, "createdAt"),
                &href,
            );
        }
    }
    let refused = pages(app, member, "comms_list_refusals", json!({ "limit": PAGE }), "refusals").await?;
    for row in refused {
        let rule = text(&row, "rule");
        let query: String = url::form_urlencoded::byte_serialize(rule.as_bytes()).collect();
        let href = app.path(&format!("/check?rule={query}#refused"));
        count(
            &mut causes,
            "refused",
            (text(&row, "code"), rule),
            text(&row, "at"),
            &href,
        );
    }
    let mut causes: Vec<Cause> = causes.into_values().collect();
    causes.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| b.newest.cmp(&a.newest)));
    Ok(causes)
}

/// Reads pages of a list, as far as there are any.
async fn pages(app: &App, member: &Member, name: &str, mut args: Value, field: &str) -> Result<Vec<Value>, Failure> {
    let mut rows = Vec::new();
    for _ in 0..PAGES {
        let found = app.call(member, name, args.clone()).await?;
        rows.extend(list(&found, field).iter().cloned());
        match found["nextCursor"].as_str() {
            Some(next) => args["before"] = json!(next),
            None => break,
        }
    }
    Ok(rows)
}

fn count(
    causes: &mut BTreeMap<(&'static str, String, String), Cause>,
    kind: &'static str,
    (code, detail): (&str, &str),
    at: &str,
    href: &str,
) {
    // The newest one comes first.
    let cause = causes
        .entry((kind, code.to_owned(), detail.to_owned()))
        .or_insert_with(|| Cause {
            kind,
            code: code.to_owned(),
            detail: detail.to_owned(),
            count: 0,
            newest: at.to_owned(),
            href: href.to_owned(),
        });
    cause.count += 1;
}

fn table(app: &App, causes: &[Cause]) -> Markup {
    let now = app.clock().now();
    html! {
        section class="card flush" aria-label="Causes" {
            @if causes.is_empty() {
                (parts::empty("Nothing went wrong", "A failed or unconfirmed message and a refused send appear here, with all others of the same cause.", None))
            } @else {
                div class="scroll" tabindex="0" role="region" aria-label="List of causes" {
                    table class="cards" {
                        thead { tr { th scope="col" { "Kind" } th scope="col" { "Code" } th scope="col" { "Rule, or code of the carrier" } th scope="col" class="num" { "Number" } th scope="col" { "Newest" } } }
                        tbody {
                            @for cause in causes {
                                tr {
                                    td data-label="Kind" { (parts::badge(if cause.kind == "refused" { Tone::Plain } else if cause.kind == "failed" { Tone::Bad } else { Tone::Warn }, cause.kind)) }
                                    td data-label="Code" { a href=(cause.href) { @if cause.code.is_empty() { "no code" } @else { code { (cause.code) } } } }
                                    td data-label="Detail" { @if cause.detail.is_empty() { span class="muted" { "–" } } @else { code { (cause.detail) } } }
                                    td data-label="Number" class="num" { (cause.count) }
                                    td data-label="Newest" { (time(&cause.newest, now)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
