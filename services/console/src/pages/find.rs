//! The search of the navigation: ids, addresses and names of pages lead to their page.

use axum::{
    extract::{Query as UrlQuery, State},
    response::{IntoResponse, Redirect, Response},
};
use maud::html;
use serde::Deserialize;
use serde_json::json;

use crate::{
    app::App,
    format::{list, text},
    member::Member,
    page::{self, Place},
    parts,
};

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Query {
    q: String,
}

/// `GET /find`
pub async fn show(State(app): State<App>, member: Member, UrlQuery(query): UrlQuery<Query>) -> Response {
    let wanted = query.q.trim();
    if let Some(path) = target(wanted) {
        return Redirect::to(&app.path(&path)).into_response();
    }
    // A carrier's id is of a message or of a call.
    for (operation, argument, page) in [
        ("get_message_timeline", "externalId", "messages"),
        ("get_organization_call", "callId", "calls"),
    ] {
        if !wanted.is_empty() && app.call(&member, operation, json!({ argument: wanted })).await.is_ok() {
            return Redirect::to(&app.path(&format!("/{page}/{}", encoded(wanted)))).into_response();
        }
    }
    let agents = app.call(&member, "list_agents", json!({ "limit": 200 })).await;
    let lower = wanted.to_lowercase();
    let found: Vec<(String, String)> = agents
        .iter()
        .flat_map(|agents| list(agents, "agents"))
        .map(|agent| (text(agent, "agentId").to_owned(), text(agent, "displayName").to_owned()))
        .filter(|(id, name)| !lower.is_empty() && (*id == wanted || name.to_lowercase().contains(&lower)))
        .collect();
    if let [(id, _)] = found.as_slice() {
        return Redirect::to(&app.path(&format!("/agents/{}", encoded(id)))).into_response();
    }
    let body = html! {
        (parts::head("Search", "Ids of messages, calls and agents, ids at carriers, numbers and mail addresses, names of agents and pages.", &html! {}))
        section class="card flush" aria-label="Results" {
            @if found.is_empty() {
                (parts::empty("No result", &format!("No page belongs to “{wanted}”. A part of a number finds nothing: give it in whole."), None))
            } @else {
                div class="card-head" { ul { @for (id, name) in &found { li { a href=(app.path(&format!("/agents/{}", encoded(id)))) { (name) } } } } }
            }
        }
    };
    page::member(&app, &member, Place::Overview, "Search", &body)
}

/// Returns the page of an id, an address or a name of a page, as far as its form shows it.
fn target(wanted: &str) -> Option<String> {
    if wanted.starts_with("msg_") {
        return Some(format!("/messages/{}", encoded(wanted)));
    }
    if wanted.starts_with("call_") {
        return Some(format!("/calls/{}", encoded(wanted)));
    }
    let digits = wanted.chars().filter(char::is_ascii_digit).count();
    let is_number = digits >= 7 && wanted.chars().all(|c| c.is_ascii_digit() || " +-()".contains(c));
    if is_number {
        let kept: String = wanted.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect();
        return Some(format!("/messages?contact={}", encoded(&kept)));
    }
    if wanted.contains('@') {
        return Some(format!("/messages?contact={}", encoded(wanted)));
    }
    page::find_place(wanted).map(str::to_owned)
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leads_to_the_page_of_an_id_or_address() {
        for (wanted, path) in [
            ("msg_1", "/messages/msg_1"),
            ("call_1", "/calls/call_1"),
            ("+1 415 555-0123", "/messages?contact=%2B14155550123"),
            ("ada@example.com", "/messages?contact=ada%40example.com"),
            ("spend", "/spend"),
        ] {
            assert_eq!(target(wanted).as_deref(), Some(path), "{wanted}");
        }
        assert_eq!(target("Ada"), None);
        assert_eq!(target("msg_/../x"), Some("/messages/msg_%2F..%2Fx".into()));
    }
}
