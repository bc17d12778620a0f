//! The inbox: conversations with people over all channels, with the texts that the organization keeps. Addresses are masked; links name a
//! person by a reference that is valid in one session only.

use axum::{
    extract::{Query as UrlQuery, State},
    response::{IntoResponse, Redirect, Response},
};
use butt_dial_domain::{Code, Failure, address::contact_key};
use maud::{Markup, html};
use serde_json::{Value, json};

pub use super::inbox_views::Query;
use super::{
    confirm, contact_card, inbox_takeover,
    inbox_views::{self as views, Conversation, reference},
};
use crate::{
    app::App,
    format::{list, masked, text},
    member::Member,
    page::{self, Place},
    parts, rights,
    session::Posted,
};

/// Requests to callbacks that are matched with the messages of a conversation.
const ATTEMPTS: usize = 200;
/// Entries of a page of the consent ledger, oldest first, and the newest of all that a card shows.
const CONSENTS: usize = 1_000;
const SHOWN_CONSENTS: usize = 20;
/// Conversations that members answer, which the list marks.
const TAKEOVERS: usize = 200;

/// The state of the page besides its query.
#[derive(Default)]
struct Shown<'a> {
    is_revealed: bool,
    saved: Option<&'a str>,
    failed: Option<(&'a Posted, &'a Failure)>,
    /// The places that an erasure of the person would cover, or the job that does it.
    erasure: Option<Value>,
}

/// `GET /inbox`
pub async fn show(State(app): State<App>, member: Member, UrlQuery(query): UrlQuery<Query>) -> Response {
    render(&app, &member, &query, Shown::default()).await
}

/// `POST /inbox`: writes as an agent, shows the address, or sets for how long texts are kept.
pub async fn act(State(app): State<App>, posted: Posted) -> Response {
    let member = &posted.member;
    let query = Query {
        person: posted.get("person").to_owned(),
        contact: posted.get("contact").to_owned(),
        agent: posted.get("filter").to_owned(),
    };
    let here = app.path("/inbox");
    match posted.get("do") {
        "keep" => {
            if let Some(page) = confirm::required(&app, &posted, &here, "change for how long texts are kept") {
                return page;
            }
            let kept =
                match posted.get("days").parse::<u32>() {
                    Ok(days) => app.call(member, "set_text_retention", json!({ "days": days })).await,
                    Err(_) => Err(Failure::new(Code::InvalidArgument, "give whole days, such as 30")
                        .detail("fields", vec!["days"])),
                };
            match kept {
                Ok(_) => Redirect::to(&format!("{here}#keep")).into_response(),
                Err(failure) => failed(&app, &posted, &query, &failure).await,
            }
        }
        "reveal" => {
            if !rights::operates(member.role()) {
                return failed(&app, &posted, &query, &rights::refusal(member.role())).await;
            }
            app.note(member, "contact.reveal", posted.get("person"), json!({}))
                .await;
            let shown = Shown {
                is_revealed: true,
                ..Shown::default()
            };
            render(&app, member, &query, shown).await
        }
        step @ ("erase" | "erase-now") => {
            if let Some(page) = confirm::required(&app, &posted, &here, "erase a person") {
                return page;
            }
            match erase(&app, &posted, step == "erase-now").await {
                Ok(erasure) => {
                    let shown = Shown {
                        erasure: Some(erasure),
                        ..Shown::default()
                    };
                    render(&app, member, &query, shown).await
                }
                Err(failure) => failed(&app, &posted, &query, &failure).await,
            }
        }
        step @ ("take-over" | "give-back") => match take(&app, &posted, step == "take-over").await {
            Ok(()) => Redirect::to(&format!("{here}?{}#conversation", address_of(&query))).into_response(),
            Err(failure) => failed(&app, &posted, &query, &failure).await,
        },
        _ => match send(&app, &posted).await {
            Ok(()) => Redirect::to(&format!("{here}?{}#conversation", address_of(&query))).into_response(),
            Err(failure) => failed(&app, &posted, &query, &failure).await,
        },
    }
}

async fn failed(app: &App, posted: &Posted, query: &Query, failure: &Failure) -> Response {
    let shown = Shown {
        failed: Some((posted, failure)),
        ..Shown::default()
    };
    render(app, &posted.member, query, shown).await
}

/// Returns the query of a page of a person.
fn address_of(query: &Query) -> String {
    let mut url = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in [
        ("person", &query.person),
        ("contact", &query.contact),
        ("agent", &query.agent),
    ] {
        if !value.is_empty() {
            url.append_pair(name, value);
        }
    }
    url.finish()
}

async fn send(app: &App, posted: &Posted) -> Result<(), Failure> {
    let (member, agent) = (&posted.member, posted.get("agent"));
    let contact = find_posted(app, posted).await?;
    let channel = posted.get("channel");
    let mut args =
        json!({ "to": contact, "channel": channel, "body": posted.get("text"), "idempotencyKey": posted.get("key") });
    if let Some(subject) = posted.optional("subject") {
        args["subject"] = json!(subject);
    }
    let sent = app.call_as_agent(member, agent, "comms_send_message", args).await?;
    app.note(
        member,
        "message.send",
        text(&sent, "messageId"),
        json!({ "agent": agent }),
    )
    .await;
    Ok(())
}

/// Takes a conversation over, or gives it back. The operations write the audit entries.
async fn take(app: &App, posted: &Posted, takes: bool) -> Result<(), Failure> {
    let member = &posted.member;
    if !takes {
        let args = json!({ "takeoverId": posted.get("takeover") });
        return app.call(member, "return_conversation", args).await.map(drop);
    }
    let contact = find_posted(app, posted).await?;
    let hours: u64 = posted.get("hours").parse().unwrap_or_default();
    let args = json!({ "agentId": posted.get("agent"), "contact": contact, "hours": hours });
    app.call(member, "take_over_conversation", args).await.map(drop)
}

/// Finds the address of the person of a form.
async fn find_posted(app: &App, posted: &Posted) -> Result<String, Failure> {
    let member = &posted.member;
    let query = Query {
        person: posted.get("person").to_owned(),
        contact: posted.get("contact").to_owned(),
        ..Query::default()
    };
    let inbox = app.call(member, "list_inbox", json!({})).await?;
    find(member, &inbox, &query).ok_or_else(gone)
}

/// Returns what an erasure of the person would delete, or starts it.
async fn erase(app: &App, posted: &Posted, is_decided: bool) -> Result<Value, Failure> {
    let member = &posted.member;
    let contact = find_posted(app, posted).await?;
    let args = json!({ "contact": contact, "confirm": is_decided });
    app.call(member, "start_subject_erasure", args).await
}

fn gone() -> Failure {
    Failure::new(
        Code::NotFound,
        "this conversation is not among the newest ones any more",
    )
    .hint("search for the address of the person")
}

/// Finds the address of the person of a page.
fn find(member: &Member, inbox: &Value, query: &Query) -> Option<String> {
    match query.contact.trim() {
        "" => {
            let mut contacts = list(inbox, "contacts").iter().map(|contact| text(contact, "contact"));
            contacts
                .find(|contact| reference(member, contact) == query.person)
                .map(str::to_owned)
        }
        typed => Some(typed.to_owned()),
    }
}

async fn render(app: &App, member: &Member, query: &Query, shown: Shown<'_>) -> Response {
    match body(app, member, query, &shown).await {
        Ok(body) => page::member(app, member, Place::Inbox, "Inbox", &body),
        Err(failure) => page::member_failed(app, member, Place::Inbox, &failure),
    }
}

async fn body(app: &App, member: &Member, query: &Query, shown: &Shown<'_>) -> Result<Markup, Failure> {
    let agents = app.call(member, "list_agents", json!({ "limit": 200 })).await?;
    let agents = list(&agents, "agents");
    let inbox = app.call(member, "list_inbox", of_agent(query)).await?;
    let contact = find(member, &inbox, query);
    let takeovers = app
        .call(member, "list_takeovers", json!({ "limit": TAKEOVERS }))
        .await?;
    let takeovers = list(&takeovers, "takeovers");
    let conversation = match &contact {
        Some(contact) => Some(Conversation {
            // Not part of the live thread, which is read often.
            consents: newest_consents(app, member, contact).await?,
            takeovers: of_person(takeovers, contact),
            ..read(app, member, query, contact).await?
        }),
        None => None,
    };
    if let Some(conversation) = &conversation
        && conversation.entries.iter().any(|entry| entry["text"].is_string())
    {
        app.note(member, "inbox.read", &masked(&conversation.contact), json!({}))
            .await;
    }
    let days = inbox["keepTextsDays"].as_u64().unwrap_or_default();
    Ok(html! {
        (parts::head("Inbox", "Conversations with people over all channels, the newest first.", &html! {}))
        @if let Some(saved) = shown.saved { p role="status" { (saved) } }
        (views::filters(app, query, agents))
        div class="phones" {
            (views::people(app, member, query, &inbox, takeovers, contact.as_deref()))
            @match &conversation {
                Some(conversation) => {
                    @let card = contact_card::render(app, member, query, conversation, shown.is_revealed, shown.erasure.as_ref());
                    @let taken = inbox_takeover::render(app, member, query, conversation, agents);
                    (views::conversation(app, member, query, conversation, agents, shown.failed, (&taken, &card)))
                }
                None => {
                    section class="card flush" aria-label="Conversation" {
                        (parts::empty("No conversation is open", "Choose a person of the list, or give an address above.", None))
                    }
                }
            }
        }
        (views::keep(app, member, days, shown.failed.map(|(_, failure)| failure)))
    })
}

/// Returns the takeovers of the conversations with a person.
fn of_person(takeovers: &[Value], contact: &str) -> Vec<Value> {
    let key = contact_key(contact);
    let of = takeovers.iter().filter(|takeover| text(takeover, "contact") == key);
    of.cloned().collect()
}

/// Returns the arguments that narrow an operation to the agent of a page.
fn of_agent(query: &Query) -> Value {
    match query.agent.is_empty() {
        true => json!({}),
        false => json!({ "agentId": query.agent }),
    }
}

async fn read(app: &App, member: &Member, query: &Query, contact: &str) -> Result<Conversation, Failure> {
    let mut args = of_agent(query);
    args["contact"] = json!(contact);
    let thread = app.call(member, "get_inbox_thread", args).await?;
    let attempts = app
        .call(member, "list_callback_attempts", json!({ "limit": ATTEMPTS }))
        .await?;
    Ok(Conversation {
        consents: Vec::new(),
        takeovers: Vec::new(),
        card: card(app, member, contact, list(&thread, "entries")).await,
        entries: list(&thread, "entries").to_vec(),
        attempts: list(&attempts, "attempts").to_vec(),
        keeps_texts: thread["keepTextsDays"].as_u64().unwrap_or_default() > 0,
        contact: contact.to_owned(),
    })
}

/// Reads the newest entries of the consent ledger about the person, newest first.
async fn newest_consents(app: &App, member: &Member, contact: &str) -> Result<Vec<Value>, Failure> {
    let mut args = json!({ "contact": contact, "limit": CONSENTS });
    let mut newest = Vec::new();
    loop {
        let page = match app.call(member, "list_consents", args.clone()).await {
            Ok(page) => page,
            // A name is no address, and has no ledger.
            Err(failure) if failure.code == Code::InvalidRecipient => return Ok(newest),
            Err(failure) => return Err(failure),
        };
        let later = list(&page, "entries").iter().rev().cloned();
        newest = later.chain(newest).take(SHOWN_CONSENTS).collect();
        match page["nextCursor"].as_str() {
            Some(next) => args["after"] = json!(next),
            None => return Ok(newest),
        }
    }
}

/// Reads what is known of the person, as the agent of the newest message sees it.
async fn card(app: &App, member: &Member, contact: &str, entries: &[Value]) -> Option<Value> {
    let agent = text(entries.last()?, "agentId").to_owned();
    let known = app.call_as_agent(
        member,
        &agent,
        "comms_get_contact_profile",
        json!({ "contact": contact }),
    );
    known.await.ok()
}

/// Renders the messages of a conversation, which are live.
pub async fn live_thread(app: &App, member: &Member, query: &Query) -> Result<Markup, Failure> {
    let contact = match query.contact.is_empty() {
        true => {
            let inbox = app.call(member, "list_inbox", json!({})).await?;
            find(member, &inbox, query).ok_or_else(gone)?
        }
        false => query.contact.clone(),
    };
    let conversation = read(app, member, query, &contact).await?;
    Ok(views::thread(app, &conversation))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_of_a_person_leaves_empty_fields_out() {
        let query = Query {
            person: "ab".into(),
            agent: "a & b".into(),
            ..Query::default()
        };
        assert_eq!(address_of(&query), "person=ab&agent=a+%26+b");
        assert_eq!(of_agent(&Query::default()), json!({}));
    }
}
