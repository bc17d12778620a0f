//! The part of a conversation that says who answers it: an agent, or a person in its place.

use maud::{Markup, html};
use serde_json::Value;

use super::inbox_views::{Conversation, Query, is_own, reference};
use crate::{
    app::App,
    format::{text, time},
    member::Member,
    page, rights,
};

/// Agents of a conversation that a person can take it over from.
const TAKEN_FROM: usize = 5;

/// Renders who answers in place of the agents of a conversation, with the forms to take it over and to give it back.
pub fn render(app: &App, member: &Member, query: &Query, conversation: &Conversation, agents: &[Value]) -> Markup {
    let may = rights::operates(member.role());
    let now = app.clock().now();
    let name = |id: &str| {
        let known = agents.iter().find(|agent| text(agent, "agentId") == id);
        known.map_or_else(|| id.to_owned(), |agent| text(agent, "displayName").to_owned())
    };
    let is_taken = |agent: &str| {
        let mut takeovers = conversation.takeovers.iter();
        takeovers.any(|takeover| text(takeover, "agentId") == agent)
    };
    let mut free: Vec<&str> = Vec::new();
    for entry in conversation.entries.iter().rev() {
        let agent = text(entry, "agentId");
        if !free.contains(&agent) && !is_taken(agent) && free.len() < TAKEN_FROM {
            free.push(agent);
        }
    }
    html! {
        @for takeover in &conversation.takeovers {
            div class="strip warn" role="status" {
                p {
                    @if is_own(member, takeover) { strong { "You answer" } } @else {
                        strong { (takeover["takenOverByName"].as_str().unwrap_or("A token")) " answers" }
                    }
                    " in place of " (name(text(takeover, "agentId"))) " "
                    (time(text(takeover, "takenOverAt"), now)) ". The agent sends nothing, and answers again "
                    (time(text(takeover, "takenOverUntil"), now)) "."
                }
                @if may {
                    (person_form(app, member, query, conversation, &html! {
                        input type="hidden" name="takeover" value=(text(takeover, "takeoverId"));
                        button class="slim" name="do" value="give-back" { "Give it back" }
                    }))
                }
            }
        }
        @if may && !free.is_empty() {
            div class="strip" {
                p class="small muted" { "Answer yourself: the agent still sees the messages, and sends nothing to this person meanwhile." }
                (person_form(app, member, query, conversation, &html! {
                    @if let [agent] = free.as_slice() {
                        input type="hidden" name="agent" value=(agent);
                    } @else {
                        label class="hidden" for="take-from" { "Agent" }
                        select id="take-from" name="agent" class="slim" { @for agent in &free { option value=(agent) { (name(agent)) } } }
                    }
                    label class="hidden" for="take-hours" { "For how long" }
                    select id="take-hours" name="hours" class="slim" {
                        @for (hours, label) in [("1", "for 1 hour"), ("8", "for 8 hours"), ("24", "for 24 hours"), ("72", "for 3 days")] {
                            option value=(hours) selected[hours == "24"] { (label) }
                        }
                    }
                    button class="slim" name="do" value="take-over" { "Take over" }
                }))
            }
        }
    }
}

/// A form about the person of the page.
fn person_form(app: &App, member: &Member, query: &Query, conversation: &Conversation, fields: &Markup) -> Markup {
    html! {
        form class="row" method="post" action=(app.path("/inbox")) {
            (page::token(member))
            input type="hidden" name="person" value=(reference(member, &conversation.contact));
            input type="hidden" name="contact" value=(query.contact);
            input type="hidden" name="filter" value=(query.agent);
            (fields)
        }
    }
}
