//! The messages of all agents: a list with filters, and a form to send one as an agent.

use axum::{
    extract::{Query as UrlQuery, State},
    response::{IntoResponse, Redirect, Response},
};
use butt_dial_domain::{Channel, Failure, ids};
use maud::{Markup, html};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::saved_filters;
use crate::{
    app::App,
    format::{self, list, masked, money, text, time},
    member::Member,
    page::{self, Place},
    parts::{self, Field, Tone},
    rights,
    session::Posted,
};

const STATUSES: [(&str, &str); 8] = [
    ("", "Any status"),
    ("pending", "Pending"),
    ("accepted", "Accepted"),
    ("sent", "Sent"),
    ("delivered", "Delivered"),
    ("read", "Read"),
    ("failed", "Failed"),
    ("unconfirmed", "Unconfirmed"),
];

/// The filters of the list, as they are in the URL.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Query {
    agent: String,
    channel: String,
    status: String,
    contact: String,
    rule: String,
    code: String,
    thread: String,
    /// The carrier's id.
    carrier: String,
    before: String,
    /// The newest message of the page, for its live part.
    #[serde(skip_serializing)]
    newest: String,
}

impl Query {
    fn fields(&self) -> [(&'static str, &str); 9] {
        [
            ("agent", self.agent.trim()),
            ("channel", self.channel.trim()),
            ("status", self.status.trim()),
            ("contact", self.contact.trim()),
            ("rule", self.rule.trim()),
            ("code", self.code.trim()),
            ("thread", self.thread.trim()),
            ("carrier", self.carrier.trim()),
            ("before", self.before.trim()),
        ]
    }

    /// Returns the query of a URL, with a changed field.
    fn url_with(&self, changed: (&str, &str)) -> String {
        let mut url = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in self.fields() {
            let value = if name == changed.0 { changed.1 } else { value };
            if !value.is_empty() {
                url.append_pair(name, value);
            }
        }
        if !self.fields().iter().any(|(name, _)| *name == changed.0) {
            url.append_pair(changed.0, changed.1);
        }
        url.finish()
    }

    /// Returns the query of the filters that can be saved: those without an address, and without a place in the list.
    fn savable(&self) -> String {
        let kept = ["agent", "channel", "status", "rule", "code"];
        let mut url = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in self.fields() {
            if kept.contains(&name) && !value.is_empty() {
                url.append_pair(name, value);
            }
        }
        url.finish()
    }

    fn is_filtered(&self) -> bool {
        self.fields()[..8].iter().any(|(_, value)| !value.is_empty())
    }

    /// Returns the arguments of the operation.
    fn args(&self) -> Value {
        let names = [
            "agentId",
            "channel",
            "status",
            "contact",
            "rule",
            "code",
            "threadId",
            "providerMessageId",
            "before",
        ];
        let pairs = names.into_iter().zip(self.fields());
        let given = pairs.filter(|(_, (_, value))| !value.is_empty());
        given
            .map(|(name, (_, value))| (name.to_owned(), json!(value)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

/// `GET /messages`
pub async fn show(State(app): State<App>, member: Member, UrlQuery(query): UrlQuery<Query>) -> Response {
    render(&app, &member, &query, None).await
}

/// `POST /messages`: sends a message as an agent.
pub async fn send(State(app): State<App>, posted: Posted) -> Response {
    let member = &posted.member;
    if !posted.get("do").is_empty() {
        return saved_filters::act(&app, &posted).await;
    }
    let mut args = json!({
        "to": posted.get("to"), "channel": posted.get("channel"), "body": posted.get("body"),
        "idempotencyKey": posted.get("key"),
    });
    if let Some(subject) = posted.optional("subject") {
        args["subject"] = json!(subject);
    }
    match app
        .call_as_agent(member, posted.get("agent"), "comms_send_message", args)
        .await
    {
        Ok(sent) => {
            let id = text(&sent, "messageId").to_owned();
            let detail = json!({ "agent": posted.get("agent") });
            if let Err(failure) = app
                .console()
                .note_action(&member.inner, "message.send", &id, detail)
                .await
            {
                tracing::warn!(code = failure.code.as_str(), "audit entry not written");
            }
            Redirect::to(&app.path(&format!("/messages/{id}"))).into_response()
        }
        Err(failure) => render(&app, member, &Query::default(), Some((&posted, &failure))).await,
    }
}

/// Renders the number of messages that came after those of the page.
pub async fn newer(app: &App, member: &Member, query: &Query) -> Result<Markup, Failure> {
    if query.newest.is_empty() {
        return Ok(html! {});
    }
    let args = json!({ "newerThan": query.newest, "limit": 1 });
    let found = app.call(member, "list_messages", args).await?;
    let count = found["newer"].as_i64().unwrap_or_default();
    let url = app.path(&format!("/messages?{}", query.url_with(("before", ""))));
    Ok(html! {
        @if count > 0 {
            a class="button slim" href=(url) {
                (if count >= 100 { "100 or more".to_owned() } else { count.to_string() }) " new since this page"
                @if query.is_filtered() { " (all kinds)" }
            }
        } @else { span class="muted small" { "Up to date" } }
    })
}

async fn render(app: &App, member: &Member, query: &Query, failed: Option<(&Posted, &Failure)>) -> Response {
    let agents = match app.call(member, "list_agents", json!({ "limit": 200 })).await {
        Ok(agents) => list(&agents, "agents").to_vec(),
        Err(failure) => return page::member_failed(app, member, Place::Messages, &failure),
    };
    let found = app.call(member, "list_messages", query.args()).await;
    let body = html! {
        (parts::head("Messages", "What your agents have sent, newest first. Addresses of people are masked.", &html! {
            a class="button" href=(app.path("/causes")) { "What went wrong" }
            @if rights::operates(member.role()) && !agents.is_empty() { a class="button primary" href="#new" { "New message" } }
        }))
        (filters(app, query, &agents))
        (saved_filters::show(app, member, &query.savable()).await)
        @match &found {
            Ok(found) => (table(app, query, found, &agents)),
            Err(failure) => (parts::failure(failure)),
        }
        @if rights::operates(member.role()) && !agents.is_empty() { (new_message(app, member, &agents, failed)) }
        @else if let Some((_, failure)) = failed { (parts::failure(failure)) }
    };
    page::member(app, member, Place::Messages, "Messages", &body)
}

fn filters(app: &App, query: &Query, agents: &[Value]) -> Markup {
    let mut names: Vec<(&str, &str)> = vec![("", "All agents")];
    names.extend(
        agents
            .iter()
            .map(|agent| (text(agent, "agentId"), text(agent, "displayName"))),
    );
    let mut channels: Vec<(&str, &str)> = vec![("", "All channels")];
    channels.extend(
        Channel::ALL
            .iter()
            .map(|channel| (channel.as_str(), format::channel(channel.as_str()))),
    );
    html! {
        form class="card" method="get" action=(app.path("/messages")) role="search" aria-label="Filter messages" {
            div class="filters" {
                (parts::select("agent", "Agent", &names, &query.agent))
                (parts::select("channel", "Channel", &channels, &query.channel))
                (parts::select("status", "Status", &STATUSES, &query.status))
                (Field::new("contact", "Recipient").value(&query.contact).filter())
                (Field::new("code", "Error code").value(&query.code).filter())
                button { "Filter" }
                @if query.is_filtered() { a class="button" href=(app.path("/messages")) { "Clear" } }
            }
            details class="small" open[[&query.rule, &query.thread, &query.carrier].iter().any(|value| !value.is_empty())] {
                summary { "Rule, thread, id at the carrier" }
                div class="filters" {
                    (Field::new("rule", "Rule").value(&query.rule).filter())
                    (Field::new("thread", "Thread").value(&query.thread).filter())
                    (Field::new("carrier", "Id at the carrier").value(&query.carrier).filter())
                }
            }
        }
    }
}

fn table(app: &App, query: &Query, found: &Value, agents: &[Value]) -> Markup {
    let (rows, now) = (list(found, "messages"), app.clock().now());
    let newest = rows.first().map_or("", |row| text(row, "messageId"));
    let is_first = query.before.is_empty();
    let next = found["nextCursor"].as_str();
    let next = next.map(|cursor| app.path(&format!("/messages?{}", query.url_with(("before", cursor)))));
    let first = app.path(&format!("/messages?{}", query.url_with(("before", ""))));
    html! {
        section class="card flush" aria-label="Messages" {
            div class="card-head" {
                span class="small muted" { @if is_first { "Newest first" } @else { "Older messages" } }
                @if is_first && !newest.is_empty() {
                    div aria-live="polite" hx-sse:connect=(app.path(&format!("/live/messages?{}", query.url_with(("newest", newest))))) hx-swap="innerHTML" {}
                }
            }
            @if rows.is_empty() {
                @if next.is_some() {
                    (parts::empty("None among the newest 5,000", &format!("No message since {} fits these filters. Older ones may.", searched(found)), next.as_deref().map(|next| (next, "Search further back"))))
                } @else if query.is_filtered() {
                    (parts::empty("No message fits these filters", "All messages of the organization were searched.", Some((&app.path("/messages"), "Clear the filters"))))
                } @else {
                    (parts::empty("No messages yet", "A message appears here as soon as an agent sends one, with every step of its way.", Some((&app.path("/setup"), "Send the first one in the set-up"))))
                }
            } @else {
                div class="scroll" tabindex="0" role="region" aria-label="List of messages" {
                    table class="cards" {
                        thead { tr {
                            th scope="col" { "Sent" } th scope="col" { "Status" } th scope="col" { "Channel" } th scope="col" { "To" }
                            th scope="col" { "Agent" } th scope="col" { "Reason" } th scope="col" class="num" { "Cost" }
                        } }
                        tbody { @for row in rows { (message_row(app, row, agents, now)) } }
                    }
                }
                @if query.is_filtered() { @if next.is_some() { p class="card-foot small muted" { "Searched back to " (searched(found)) "." } } }
            }
            @if !rows.is_empty() { (parts::pager(next.as_deref(), is_first, &first)) }
        }
    }
}

fn searched(found: &Value) -> String {
    text(found, "searchedTo")
        .get(..16)
        .unwrap_or_default()
        .replace('T', " ")
        + " UTC"
}

fn message_row(app: &App, row: &Value, agents: &[Value], now: butt_dial_domain::clock::Timestamp) -> Markup {
    let href = app.path(&format!("/messages/{}", text(row, "messageId")));
    let reason = [text(row, "code"), text(row, "providerCode"), text(row, "rule")];
    let reason = reason.into_iter().find(|reason| !reason.is_empty()).unwrap_or_default();
    let cost = row["cost"].as_f64();
    html! {
        tr {
            td data-label="Sent" { a href=(href) { (time(text(row, "createdAt"), now)) } }
            td data-label="Status" { (parts::status(text(row, "status"))) }
            td data-label="Channel" { (format::channel(text(row, "channel"))) }
            td data-label="To" class="nowrap" { (masked(text(row, "to"))) }
            td data-label="Agent" { a class="cut" href=(app.path(&format!("/agents/{}", text(row, "agentId")))) { (agent_name(agents, text(row, "agentId"))) } }
            td data-label="Reason" { @if !reason.is_empty() { code { (reason) } } @else { span class="muted" { "–" } } }
            td data-label="Cost" class="num" { @match cost {
                Some(cost) => (money(cost)),
                None => span class="muted" title="Reserved; not settled yet" { (money(row["estimate"].as_f64().unwrap_or_default())) "?" },
            } }
        }
    }
}

/// Returns the name of an agent; its id if it is not in the list.
pub fn agent_name<'a>(agents: &'a [Value], id: &'a str) -> &'a str {
    let known = agents.iter().find(|agent| text(agent, "agentId") == id);
    known.map_or(id, |agent| text(agent, "displayName"))
}

fn new_message(app: &App, member: &Member, agents: &[Value], failed: Option<(&Posted, &Failure)>) -> Markup {
    let names: Vec<(&str, &str)> = agents
        .iter()
        .filter(|agent| text(agent, "status") == "active")
        .map(|agent| (text(agent, "agentId"), text(agent, "displayName")))
        .collect();
    let (posted, failure) = (failed.map(|(posted, _)| posted), failed.map(|(_, failure)| failure));
    let old = |name: &str| posted.map_or("", |posted| posted.get(name)).to_owned();
    let key = posted.map_or_else(ids::unique, |posted| posted.get("key").to_owned());
    let channels = [
        ("sms", "SMS"),
        ("whatsapp", "WhatsApp"),
        ("email", "E-mail"),
        ("line", "LINE"),
    ];
    html! {
        section class="card" id="new" aria-labelledby="new-title" {
            h2 id="new-title" { "Send a message as an agent" }
            @if let Some(failure) = failure { (parts::failure(failure)) }
            @if app.is_simulated() { (parts::note(Tone::Plain, &html! { p { "The carriers are simulated: the message does not leave this machine." } })) }
            form class="form" method="post" action=(app.path("/messages")) {
                (page::token(member))
                input type="hidden" name="key" value=(key);
                (parts::select("agent", "From agent", &names, &old("agent")))
                (parts::select("channel", "Channel", &channels, &old("channel")))
                (Field::new("to", "To").value(&old("to")).required().checked_by(failure).hint("A number such as +14155550123, or an e-mail address.").render())
                (Field::new("subject", "Subject").value(&old("subject")).hint("E-mail only.").render())
                div class="field" {
                    label for="body" { "Text" }
                    textarea id="body" name="body" required { (old("body")) }
                }
                p class="hint" { "It passes the same rules, limits and budgets as a message of the agent, and the audit log names you." }
                div class="row" { button class="primary" { "Send" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_keep_all_filters() {
        let query = Query {
            status: "failed".into(),
            contact: "+1 & more".into(),
            ..Query::default()
        };
        assert_eq!(
            query.url_with(("before", "msg_1")),
            "status=failed&contact=%2B1+%26+more&before=msg_1"
        );
        assert_eq!(query.args(), json!({ "status": "failed", "contact": "+1 & more" }));
        assert_eq!(query.savable(), "status=failed", "no address");
        assert!(query.is_filtered() && !Query::default().is_filtered());
    }
}
