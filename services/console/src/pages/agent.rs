//! One agent: profile, addresses, tokens, limits, callback. One form a tab.

use axum::{
    extract::{Path, Query as UrlQuery, State},
    response::{Html, IntoResponse, Redirect, Response},
};
use butt_dial_domain::{Code, Failure};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    agent_edits, confirm, conflict,
    limit_forms::{LIMITS, limit_fields, limits, wrong},
};
use crate::{
    app::App,
    format::{self, count, list, money, text, time},
    member::Member,
    page::{self, Place},
    parts::{self, Field, Tone},
    rights,
    session::Posted,
};

const TABS: [(&str, &str); 5] = [
    ("", "Profile"),
    ("addresses", "Addresses"),
    ("tokens", "Tokens"),
    ("limits", "Limits"),
    ("callback", "Callback"),
];
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Query {
    tab: String,
    saved: bool,
}

/// `GET /agents/{id}`
pub async fn show(
    State(app): State<App>,
    member: Member,
    Path(id): Path<String>,
    UrlQuery(query): UrlQuery<Query>,
) -> Response {
    render(&app, &member, &id, &query, None).await
}

/// `POST /agents/{id}`
pub async fn act(State(app): State<App>, Path(id): Path<String>, posted: Posted) -> Response {
    let here = app.path(&format!("/agents/{id}"));
    let dangerous = match posted.get("do") {
        "suspend" => Some("suspend this agent"),
        "revoke" => Some("revoke a token"),
        "token" => Some("create a token"),
        "rotate" => Some("replace the secret of a callback"),
        _ => None,
    };
    if let Some(page) = dangerous.and_then(|what| confirm::required(&app, &posted, &here, what)) {
        return page;
    }
    let (member, tab) = (&posted.member, posted.get("tab").to_owned());
    match agent_edits::changed_meanwhile(&app, &posted, &id).await {
        Ok(None) => {}
        Ok(Some(page)) => return page,
        Err(failure) => return render(&app, member, &id, &Query { tab, saved: false }, Some(&failure)).await,
    }
    match change(&app, &posted, &id).await {
        Ok(Some(secret)) => shown_once(&app, &format!("{here}?tab={tab}"), &secret),
        Ok(None) => Redirect::to(&format!("{here}?tab={tab}&saved=true")).into_response(),
        Err(failure) => render(&app, member, &id, &Query { tab, saved: false }, Some(&failure)).await,
    }
}

/// Makes the change of a form. Returns a secret that is shown once.
async fn change(app: &App, posted: &Posted, id: &str) -> Result<Option<String>, Failure> {
    let member = &posted.member;
    match posted.get("do") {
        "suspend" | "activate" => {
            let status = if posted.get("do") == "suspend" {
                "suspended"
            } else {
                "active"
            };
            app.call(
                member,
                "comms_set_agent_status",
                json!({ "agentId": id, "status": status }),
            )
            .await?;
        }
        "token" => {
            let mut args = json!({ "agentId": id, "label": posted.optional("label") });
            if let Some(days) = posted.optional("days") {
                let days = days
                    .parse::<u32>()
                    .map_err(|_| wrong("days", "give whole days, such as 90"))?;
                args["expiresInDays"] = json!(days);
            }
            let created = app.call(member, "create_agent_token", args).await?;
            return Ok(Some(text(&created, "token").to_owned()));
        }
        "revoke" => {
            app.call(
                member,
                "revoke_agent_token",
                json!({ "agentId": id, "tokenId": posted.get("token") }),
            )
            .await?;
        }
        "limits" => {
            let args = json!({ "agentId": id, "limits": limits(posted)?, "confirm": true });
            app.call(member, "comms_set_client_limits", args).await?;
        }
        "callback" => {
            let args = json!({ "callbackUrl": posted.get("url") });
            app.call_as_agent(member, id, "set_callback_url", args).await?;
        }
        "rotate" => {
            let rotated = app
                .call_as_agent(member, id, "rotate_callback_secret", json!({}))
                .await?;
            app.note(member, "callback.rotate", id, json!({})).await;
            return Ok(Some(text(&rotated, "signingSecret").to_owned()));
        }
        "address" => {
            let args =
                json!({ "agentId": id, "channel_type": posted.get("kind"), "identifier": posted.optional("address") });
            app.call(member, "add_comm_channel", args).await?;
        }
        _ => return Err(Failure::new(Code::InvalidArgument, "the form is not known")),
    }
    Ok(None)
}

fn shown_once(app: &App, back: &str, secret: &str) -> Response {
    let body = html! {
        div class="card" {
            h1 { "New secret" }
            (parts::note(Tone::Warn, &html! { p { "It is shown once. Keep it where you keep passwords." } }))
            (parts::copyable("token", secret))
            div class="row" { a class="button primary" href=(back) { "I have kept it" } }
        }
    };
    Html(page::open(app, "New secret", &body).into_string()).into_response()
}

async fn render(app: &App, member: &Member, id: &str, query: &Query, failure: Option<&Failure>) -> Response {
    let agent = match app.call(member, "get_agent", json!({ "agentId": id })).await {
        Ok(agent) => agent,
        Err(failure) => return page::member_failed(app, member, Place::Agents, &failure),
    };
    let name = text(&agent, "displayName");
    let part = match query.tab.as_str() {
        "addresses" => addresses(app, member, id).await,
        "tokens" => tokens(app, member, id).await,
        "limits" => limits_tab(app, member, id, failure).await,
        "callback" => Ok(callback(app, member, &agent, failure)),
        _ => profile(app, member, &agent).await,
    };
    let body = html! {
        div {
            p class="crumbs" { a href=(app.path("/agents")) { "Agents" } " / " (id) }
            (parts::head(name, "", &parts::status(text(&agent, "status"))))
        }
        nav class="tabs" aria-label="Parts of the agent" {
            @for (tab, label) in TABS {
                a href=(app.path(&format!("/agents/{id}?tab={tab}"))) aria-current=[(query.tab == tab).then_some("page")] { (label) }
            }
        }
        @if query.saved { (parts::note(Tone::Ok, &html! { p role="status" { "Saved." } })) }
        @if let Some(failure) = failure { (parts::failure(failure)) }
        @match part { Ok(part) => (part), Err(failure) => (parts::failure(&failure)) }
    };
    page::member(app, member, Place::Agents, name, &body)
}

async fn profile(app: &App, member: &Member, agent: &Value) -> Result<Markup, Failure> {
    let id = text(agent, "agentId");
    let usage = app
        .call_as_agent(member, id, "comms_get_usage_dashboard", json!({ "period": "month" }))
        .await?;
    let is_active = text(agent, "status") == "active";
    let channels = agent["channels"].as_object();
    Ok(html! {
        div class="grid wide" {
            section class="card" aria-labelledby="facts" {
                h2 id="facts" { "Profile" }
                dl class="facts" {
                    dt { "Id" } dd class="mono" { (id) }
                    dt { "Created" } dd { (time(text(agent, "createdAt"), app.clock().now())) }
                    @for (channel, address) in channels.into_iter().flatten() {
                        dt { (format::channel(channel)) } dd class="mono" { (address.as_str().unwrap_or_default()) }
                    }
                }
                @if channels.is_none_or(|all| all.is_empty()) { p class="muted" { "It has no address yet, so it can't send." } }
                p { a href=(app.path(&format!("/messages?agent={id}"))) { "Its messages" } " · " a href=(app.path(&format!("/calls?agent={id}"))) { "Its calls" } }
            }
            section class="card" aria-labelledby="usage" {
                h2 id="usage" { "This month" }
                dl class="facts" {
                    dt { "Messages and calls" } dd { (count(usage["totalActions"].as_i64().unwrap_or_default())) }
                    dt { "Spent" } dd { (money(usage["currentUsage"]["spendMonth"].as_f64().unwrap_or_default())) }
                    dt { "Spent today" } dd { (money(usage["currentUsage"]["spendToday"].as_f64().unwrap_or_default())) }
                }
            }
        }
        @if rights::operates(member.role()) {
            section class="card" aria-labelledby="status" {
                h2 id="status" { @if is_active { "Suspend" } @else { "Activate" } }
                p class="muted" {
                    @if is_active { "A suspended agent sends and receives nothing, and its scheduled messages are cancelled. Its tokens stay." }
                    @else { "It may send and receive again." }
                }
                form method="post" action=(app.path(&format!("/agents/{id}"))) {
                    (page::token(member))
                    @if is_active { button class="danger" name="do" value="suspend" { "Suspend this agent" } }
                    @else { button name="do" value="activate" { "Activate this agent" } }
                }
            }
        }
    })
}

async fn addresses(app: &App, member: &Member, id: &str) -> Result<Markup, Failure> {
    let found = app.call(member, "list_comm_channels", json!({ "agentId": id })).await?;
    let rows = list(&found, "records");
    let kinds = [
        ("phone", "Phone: texts and calls"),
        ("whatsapp", "WhatsApp"),
        ("email", "E-mail"),
        ("line", "LINE"),
    ];
    Ok(html! {
        section class="card flush" aria-label="Addresses" {
            @if rows.is_empty() {
                (parts::empty("No addresses yet", "Add one that you own at your carrier.", None))
            } @else {
                div class="scroll" tabindex="0" role="region" aria-label="List of addresses" {
                    table class="cards" {
                        thead { tr { th scope="col" { "Channel" } th scope="col" { "Address" } th scope="col" { "Can" } th scope="col" { "State" } } }
                        tbody {
                            @for row in rows {
                                tr {
                                    td data-label="Channel" { (format::channel(text(row, "channelType"))) }
                                    td data-label="Address" class="mono" { (text(row, "identifier")) }
                                    td data-label="Can" { (list(row, "capabilities").iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")) }
                                    td data-label="State" {
                                        @if row["paused"] == true { (parts::badge(Tone::Warn, "paused")) } @else { (parts::badge(Tone::Ok, "in use")) }
                                        @if let Some(state) = row["registration"].as_str() { " " (parts::badge(if state == "done" { Tone::Ok } else { Tone::Warn }, &format!("registration {state}"))) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
        @if rights::administers(member.role()) {
            section class="card" aria-labelledby="add" {
                h2 id="add" { "Add an address" }
                form class="form" method="post" action=(app.path(&format!("/agents/{id}"))) {
                    (page::token(member))
                    input type="hidden" name="tab" value="addresses";
                    (parts::select("kind", "Channel", &kinds, "phone"))
                    (Field::new("address", "Address").required().hint("A number in international form, or a mail address.").render())
                    div class="row" { button class="primary" name="do" value="address" { "Add" } a class="button" href=(app.path("/numbers")) { "Find a new number" } }
                }
            }
        }
    })
}

async fn tokens(app: &App, member: &Member, id: &str) -> Result<Markup, Failure> {
    let found = app.call(member, "list_agent_tokens", json!({ "agentId": id })).await?;
    let action = app.path(&format!("/agents/{id}"));
    Ok(html! {
        (super::keys::table(app, member, list(&found, "tokens"), &action, "tokens"))
        @if rights::administers(member.role()) {
            section class="card" aria-labelledby="new" {
                h2 id="new" { "New token" }
                form class="form" method="post" action=(action) {
                    (page::token(member))
                    input type="hidden" name="tab" value="tokens";
                    (Field::new("label", "Purpose").required().hint("So that you know it later, such as: assistant on the web site.").render())
                    (Field::new("days", "Expires after days").kind("number").value("365").render())
                    div class="row" { button class="primary" name="do" value="token" { "Create" } }
                }
            }
        }
    })
}

async fn limits_tab(app: &App, member: &Member, id: &str, failure: Option<&Failure>) -> Result<Markup, Failure> {
    let usage = app
        .call_as_agent(member, id, "comms_get_usage_dashboard", json!({}))
        .await?;
    Ok(html! {
        section class="card" aria-labelledby="limits" {
            h2 id="limits" { "Limits of this agent" }
            p class="muted" { "They count besides those of the organization. An empty field removes a limit." }
            @if rights::bills(member.role()) {
                form class="form" method="post" action=(app.path(&format!("/agents/{id}"))) {
                    (page::token(member))
                    input type="hidden" name="tab" value="limits";
                    (conflict::seen(&usage["limits"]))
                    (limit_fields(&usage["limits"], failure, &[]))
                    div class="row" { button class="primary" name="do" value="limits" { "Save" } }
                }
            } @else {
                dl class="facts" { @for (name, label) in LIMITS { dt { (label) } dd { (usage["limits"][name].as_f64().map_or_else(|| "none".to_owned(), |limit| limit.to_string())) } } }
            }
        }
    })
}

fn callback(app: &App, member: &Member, agent: &Value, failure: Option<&Failure>) -> Markup {
    let (id, url) = (text(agent, "agentId"), text(agent, "callbackUrl"));
    html! {
        section class="card" aria-labelledby="callback" {
            h2 id="callback" { "Callback" }
            p class="muted" { "Events go to this address by signed POST when no session listens. Without one, they wait." }
            @if rights::operates(member.role()) {
                form class="form" method="post" action=(app.path(&format!("/agents/{id}"))) {
                    (page::token(member))
                    input type="hidden" name="tab" value="callback";
                    (conflict::seen(&agent["callbackUrl"]))
                    (Field::new("url", "Address").kind("url").value(url).checked_by(failure).hint("https. Empty removes it.").render())
                    div class="row" { button class="primary" name="do" value="callback" { "Save" } }
                }
                @if rights::administers(member.role()) && !url.is_empty() {
                    form class="tight" method="post" action=(app.path(&format!("/agents/{id}"))) {
                        (page::token(member))
                        input type="hidden" name="tab" value="callback";
                        p class="hint" { "The requests are signed with a secret. The old one still signs for a day after it was replaced." }
                        div class="row" { button name="do" value="rotate" { "Replace the secret" } }
                    }
                }
            } @else { p class="mono" { @if url.is_empty() { "none" } @else { (url) } } }
        }
    }
}
