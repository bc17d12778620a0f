//! The parts of the inbox: the list of people, one conversation with the card of its person, and the setting that keeps texts.

use butt_dial_domain::{Failure, ids};
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::calls::length;
use crate::{
    app::App,
    format::{self, list, masked, text, time},
    member::Member,
    page,
    parts::{self, Field, Tone},
    rights,
    session::Posted,
};

const PREVIEW: usize = 60;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    /// A person of the list.
    pub person: String,
    /// An address that a person has typed.
    pub contact: String,
    pub agent: String,
}

/// Returns the reference of a person in the links of a session. The address does not follow from it.
pub fn reference(member: &Member, contact: &str) -> String {
    let digest = Sha256::digest(format!("{} {contact}", member.token));
    hex::encode(&digest[..12])
}

/// A conversation with one person.
pub struct Conversation {
    pub contact: String,
    /// Oldest first.
    pub entries: Vec<Value>,
    /// Requests to callbacks, newest first.
    pub attempts: Vec<Value>,
    pub card: Option<Value>,
    /// The entries of the consent ledger, newest first.
    pub consents: Vec<Value>,
    pub keeps_texts: bool,
    /// Takeovers: a person answers in place of an agent.
    pub takeovers: Vec<Value>,
}

pub fn filters(app: &App, query: &Query, agents: &[Value]) -> Markup {
    let mut names: Vec<(&str, &str)> = vec![("", "All agents")];
    names.extend(
        agents
            .iter()
            .map(|agent| (text(agent, "agentId"), text(agent, "displayName"))),
    );
    html! {
        form class="card" method="get" action=(app.path("/inbox")) role="search" aria-label="Conversations" {
            div class="filters" {
                (parts::select("agent", "Agent", &names, &query.agent))
                (Field::new("contact", "Number or mail address of a person").value(&query.contact).filter())
                button { "Show" }
                @if !query.agent.is_empty() || !query.contact.is_empty() { a class="button" href=(app.path("/inbox")) { "Clear" } }
            }
        }
    }
}

/// Renders the list of people.
pub fn people(
    app: &App,
    member: &Member,
    query: &Query,
    inbox: &Value,
    takeovers: &[Value],
    chosen: Option<&str>,
) -> Markup {
    let (contacts, now) = (list(inbox, "contacts"), app.clock().now());
    html! {
        section class="card flush" aria-labelledby="people" {
            div class="card-head" { h2 id="people" { "People" } }
            @if contacts.is_empty() {
                (parts::empty("No conversations yet", "A person appears here with the first message or call to or from an agent.", app.is_simulated().then(|| app.path("/simulator")).as_deref().map(|url| (url, "Write as a simulated person"))))
            } @else {
                ul class="people" {
                    @for contact in contacts {
                        @let (key, last) = (text(contact, "contact"), &contact["last"]);
                        @let waiting = contact["waiting"].as_u64().unwrap_or_default();
                        li {
                            a href=(app.path(&format!("/inbox?{}#conversation", link(member, query, key)))) aria-current=[(chosen == Some(key)).then_some("page")] {
                                span class="row" {
                                    span class="small" { @match contact["name"].as_str() { Some(name) => strong { (name) }, None => span class="mono" { (masked(key)) } } }
                                    @if let Some(takeover) = takeovers.iter().find(|one| text(one, "contact") == key) {
                                        (parts::badge(Tone::Plain, if is_own(member, takeover) { "you answer" } else { "taken over" }))
                                    }
                                    @if waiting > 0 { (parts::badge(Tone::Warn, &format!("{waiting} waiting"))) }
                                }
                                span class="small muted cut" {
                                    @if text(last, "direction") == "outbound" && text(last, "kind") != "call" { "Agent: " }
                                    @if text(last, "kind") == "call" { "Call " (outcome(last)) } @else { @match last["text"].as_str() { Some(words) => (words.chars().take(PREVIEW).collect::<String>()), None => i { "text not kept" } } }
                                }
                                span class="small muted" { (channels(list(contact, "channels"))) " · " (time(text(last, "at"), now)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn link(member: &Member, query: &Query, contact: &str) -> String {
    let mut url = url::form_urlencoded::Serializer::new(String::new());
    url.append_pair("person", &reference(member, contact));
    if !query.agent.is_empty() {
        url.append_pair("agent", &query.agent);
    }
    url.finish()
}

fn channels(names: &[Value]) -> String {
    let names: Vec<&str> = names.iter().filter_map(Value::as_str).map(format::channel).collect();
    names.join(", ")
}

/// Renders a conversation with the form to write as an agent, `taken`: who answers it, and the card of the person.
pub fn conversation(
    app: &App,
    member: &Member,
    query: &Query,
    conversation: &Conversation,
    agents: &[Value],
    failed: Option<(&Posted, &Failure)>,
    (taken, card): (&Markup, &Markup),
) -> Markup {
    let person = reference(member, &conversation.contact);
    let name = conversation.card.as_ref().and_then(|card| card["name"].as_str());
    let mut live = url::form_urlencoded::Serializer::new(String::new());
    live.append_pair("person", &person)
        .append_pair("agent", &query.agent)
        .append_pair("contact", &query.contact);
    let live = live.finish();
    html! {
        div class="stack" id="conversation" {
            section class="card flush phone" aria-labelledby="person" {
                div class="card-head" {
                    h2 id="person" { @match name { Some(name) => (name), None => span class="mono" { (masked(&conversation.contact)) } } }
                }
                (taken)
                @if let Some((_, failure)) = failed.filter(|(posted, _)| ["take-over", "give-back"].contains(&posted.get("do"))) {
                    div id="takeover-failed" class="pad" { (parts::failure(failure)) }
                }
                div class="thread" tabindex="0" role="log" aria-live="off" aria-label="Messages and calls" {
                    div hx-sse:connect=(app.path(&format!("/live/inbox?{live}"))) hx-swap="innerMorph" { (thread(app, conversation)) }
                }
                @if let Some((posted, failure)) = failed.filter(|(posted, _)| posted.get("do").is_empty()) {
                    div id="outcome" { (parts::failure(failure)) }
                    (composer(app, member, query, conversation, agents, Some(posted)))
                } @else {
                    (composer(app, member, query, conversation, agents, None))
                }
            }
            (card)
        }
    }
}

/// Returns whether the member has taken the conversation over.
pub fn is_own(member: &Member, takeover: &Value) -> bool {
    text(takeover, "takenOverBy") == member.session().user_id
}

/// Renders the messages and calls of a conversation.
pub fn thread(app: &App, conversation: &Conversation) -> Markup {
    html! {
        @if conversation.entries.is_empty() {
            (parts::empty("No messages", "There is none between this person and your agents among the newest ones.", None))
        } @else {
            ol class="talk" { @for entry in &conversation.entries { (entry_line(app, conversation, entry)) } }
        }
    }
}

fn entry_line(app: &App, conversation: &Conversation, entry: &Value) -> Markup {
    if text(entry, "kind") == "call" {
        return call_line(app, entry);
    }
    let is_inbound = text(entry, "direction") == "inbound";
    let files = entry["attachments"].as_u64().unwrap_or_default();
    html! {
        li class=(if is_inbound { "them" } else { "us" }) {
            span class="who" {
                (format::channel(text(entry, "channel"))) " " @if is_inbound { "to " } @else { "from " } (text(entry, "ownAddress")) " "
                (format::time(text(entry, "at"), app.clock().now()))
            }
            div class="words" {
                @if let Some(subject) = entry["subject"].as_str() { p { strong { (subject) } } }
                @match entry["text"].as_str() {
                    Some(words) => p class="text" { (words) },
                    None => p class="muted" { i { "Text not kept" } @if !conversation.keeps_texts { ". " a href="#keep" { "Keep texts" } } },
                }
                @if files > 0 { p class="small muted" { (files) (if files == 1 { " attachment" } else { " attachments" }) } }
            }
            @if is_inbound {
                (told(app, conversation, entry))
            } @else {
                span class="row small" {
                    a href=(app.path(&format!("/messages/{}", text(entry, "id")))) { (parts::status(text(entry, "status"))) }
                    @if let Some(code) = entry["code"].as_str() { code { (code) } }
                }
            }
        }
    }
}

/// Renders a call of a conversation.
fn call_line(app: &App, entry: &Value) -> Markup {
    let is_inbound = text(entry, "direction") == "inbound";
    html! {
        li class="call" {
            span class="row" {
                strong { @if is_inbound { "Call to " } @else { "Call from " } (text(entry, "ownAddress")) }
                span class="small muted" { (time(text(entry, "at"), app.clock().now())) }
            }
            span class="row small" {
                (outcome(entry))
                @if entry["durationSeconds"].as_i64().is_some_and(|seconds| seconds > 0) { span { (length(entry)) " min" } }
                @if let Some(code) = entry["code"].as_str() { code { (code) } }
                a href=(app.path(&format!("/calls/{}", text(entry, "id")))) { "See the call" }
            }
        }
    }
}

/// Writes how a call ended, or that it lasts.
fn outcome(entry: &Value) -> Markup {
    let (tone, words) = match (text(entry, "status"), text(entry, "handledBy")) {
        ("completed", "machine") => (Tone::Warn, "voicemail answered"),
        ("completed", _) => (Tone::Ok, "answered"),
        ("no-answer" | "canceled", _) => (Tone::Bad, "missed"),
        ("busy", _) => (Tone::Bad, "busy"),
        ("failed", _) => (Tone::Bad, "failed"),
        ("in-progress", _) => (Tone::Plain, "live"),
        (other, _) => (Tone::Plain, other),
    };
    parts::badge(tone, words)
}

/// Writes how the agent was told of a message.
fn told(app: &App, conversation: &Conversation, entry: &Value) -> Markup {
    let id = text(entry, "id");
    let mut attempts = conversation
        .attempts
        .iter()
        .filter(|attempt| text(attempt, "eventId") == id);
    let answered = attempts.find(|attempt| text(attempt, "outcome") == "delivered");
    let failures = entry["failedCallbacks"].as_u64().unwrap_or_default();
    let requests = app.path(&format!("/callbacks?event={id}"));
    html! {
        span class="row small muted" {
            @if text(entry, "status") == "waiting" {
                (parts::badge(Tone::Warn, "waits for the agent"))
                @if failures > 0 { a href=(requests) { (failures) (if failures == 1 { " failed request" } else { " failed requests" }) " to the callback" } }
            } @else if let Some(attempt) = answered {
                "Told by " a href=(requests) { "callback" } " in " (attempt["milliseconds"].as_i64().unwrap_or_default()) " ms"
            } @else {
                "Told by a session or a poll"
                @if let Some(at) = entry["toldAt"].as_str() { (after(text(entry, "at"), at)) }
            }
        }
    }
}

/// Writes how long after a time another one is.
fn after(from: &str, to: &str) -> String {
    let parse = |text: &str| text.parse::<DateTime<Utc>>().ok();
    match parse(from).zip(parse(to)) {
        Some((from, to)) => match (to - from).num_milliseconds().max(0) {
            ms @ 0..10_000 => format!(" after {ms} ms"),
            ms => format!(" after {} s", ms / 1_000),
        },
        None => String::new(),
    }
}

fn composer(
    app: &App,
    member: &Member,
    query: &Query,
    conversation: &Conversation,
    agents: &[Value],
    posted: Option<&Posted>,
) -> Markup {
    let active = agents.iter().filter(|agent| text(agent, "status") == "active");
    let names: Vec<(&str, &str)> = active
        .map(|agent| (text(agent, "agentId"), text(agent, "displayName")))
        .collect();
    let mut messages = conversation.entries.iter().rev();
    let last = messages.find(|entry| text(entry, "kind") != "call");
    let newest = conversation.entries.last();
    let old = |name: &str| posted.map(|posted| posted.get(name).to_owned());
    let agent = old("agent")
        .or_else(|| newest.map(|newest| text(newest, "agentId").to_owned()))
        .unwrap_or_default();
    let channel = old("channel")
        .or_else(|| last.map(|last| text(last, "channel").to_owned()))
        .unwrap_or_default();
    let channels: &[(&str, &str)] = match conversation.contact.as_str() {
        mail if mail.contains('@') => &[("email", "E-mail")],
        number if number.starts_with('+') => &[("sms", "SMS"), ("whatsapp", "WhatsApp")],
        _ => &[("line", "LINE"), ("whatsapp", "WhatsApp")],
    };
    let key = old("key").unwrap_or_else(ids::unique);
    html! {
        @if rights::operates(member.role()) && !conversation.entries.is_empty() {
            form class="card-foot tight" method="post" action=(app.path("/inbox")) {
                (page::token(member))
                input type="hidden" name="person" value=(reference(member, &conversation.contact));
                input type="hidden" name="contact" value=(query.contact);
                input type="hidden" name="filter" value=(query.agent);
                input type="hidden" name="key" value=(key);
                div class="filters" {
                    (select("write-as", "agent", "Write as", &names, &agent))
                    (select("write-on", "channel", "on", channels, &channel))
                }
                @if channels.len() == 1 && channels[0].0 == "email" {
                    label class="hidden" for="subject" { "Subject" }
                    input id="subject" name="subject" placeholder="Subject" autocomplete="off";
                }
                label class="hidden" for="text" { "Text" }
                div class="row fixed" {
                    textarea id="text" name="text" class="low" required placeholder="Text" maxlength="5000" { (old("text").unwrap_or_default()) }
                    button class="primary" { "Send" }
                }
                p class="hint" { "It passes the same rules, limits and budgets as a message of the agent, and the audit log names you." }
            }
        }
    }
}

fn select(id: &str, name: &str, label: &str, options: &[(&str, &str)], chosen: &str) -> Markup {
    html! {
        div class="field" {
            label for=(id) { (label) }
            select id=(id) name=(name) { @for (value, shown) in options { option value=(value) selected[*value == chosen] { (shown) } } }
        }
    }
}

/// Renders the setting that keeps texts.
pub fn keep(app: &App, member: &Member, days: u64, failure: Option<&Failure>) -> Markup {
    let failure = failure.filter(|failure| {
        failure
            .details
            .get("fields")
            .is_some_and(|fields| fields.to_string().contains("days"))
    });
    html! {
        section class="card" id="keep" aria-labelledby="keep-title" {
            div class="card-head" {
                h2 id="keep-title" { "Texts of messages" }
                @if days > 0 { (parts::badge(Tone::Warn, &format!("kept for {days} days"))) } @else { (parts::badge(Tone::Ok, "not kept")) }
            }
            p class="muted small" {
                "Without this setting a text is deleted as soon as a message is settled or its agent has it, and the inbox shows no texts. With it, texts are kept, encrypted, \
                 for the days that you choose, and are deleted with their person. One-time codes are never kept. It holds for new messages."
            }
            @if let Some(failure) = failure { (parts::failure(failure)) }
            @if rights::administers(member.role()) {
                form class="form" method="post" action=(app.path("/inbox")) {
                    (page::token(member))
                    input type="hidden" name="do" value="keep";
                    (Field::new("days", "Days, 1 to 90; 0 keeps no texts").value(&days.to_string()).required().checked_by(failure).render())
                    div class="row" { button { "Save" } }
                }
            } @else {
                p class="small muted" { "Owners and administrators can change it." }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_how_late_an_agent_was_told() {
        let from = "2026-11-30T02:00:00Z";
        for (to, expected) in [
            ("2026-11-30T02:00:00.250Z", " after 250 ms"),
            ("2026-11-30T02:01:00Z", " after 60 s"),
            ("2026-11-30T01:00:00Z", " after 0 ms"),
            ("soon", ""),
        ] {
            assert_eq!(after(from, to), expected);
        }
    }
}
