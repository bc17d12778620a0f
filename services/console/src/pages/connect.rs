//! How programs connect: commands for common clients, and who has connected.

use axum::{extract::State, response::Response};
use maud::{Markup, html};
use serde_json::{Value, json};

use crate::{
    app::App,
    format::{field, list, text, time},
    member::Member,
    page::{self, Place},
    parts::{self, Tone},
};

/// Agents in the list.
const AGENTS: usize = 25;

/// `GET /connect`
pub async fn show(State(app): State<App>, member: Member) -> Response {
    let agents = match app.call(&member, "list_agents", json!({ "limit": AGENTS })).await {
        Ok(agents) => list(&agents, "agents").to_vec(),
        Err(failure) => return page::member_failed(&app, &member, Place::Connect, &failure),
    };
    app.flush_last_used().await;
    let mut rows = Vec::new();
    for agent in agents {
        let id = text(&agent, "agentId");
        let tokens = app.call(&member, "list_agent_tokens", json!({ "agentId": id })).await;
        let tokens = tokens
            .map(|tokens| list(&tokens, "tokens").to_vec())
            .unwrap_or_default();
        let last = tokens
            .iter()
            .filter_map(|token| field(token, "lastUsedAt").as_str())
            .max()
            .map(str::to_owned);
        rows.push((agent, last));
    }
    let base = app.public_url();
    let body = html! {
        (parts::head("Connect", "Commands for common clients. Put a token of an agent in the place of TOKEN.", &html! { a class="button" href=(app.path("/agents")) { "Agents and their tokens" } }))
        section class="card" aria-labelledby="clients" {
            h2 id="clients" { "Clients" }
            (clients(&base, "TOKEN"))
        }
        section class="card" aria-labelledby="python" {
            h2 id="python" { "Python" }
            (parts::code_block("python-code", "The package butt-dial-sdk", &format!("pip install butt-dial-sdk\n\nfrom buttdial import Agent\nagent = Agent(\"{base}\", agent_token=\"TOKEN\")")))
            p class="small" { a href=(format!("{}/docs", app.platform().config.base_path)) { "All operations, with working examples" } }
        }
        (connected(&app, &rows))
    };
    page::member(&app, &member, Place::Connect, "Connect", &body)
}

/// Renders the commands with a token.
pub fn clients(base: &str, token: &str) -> Markup {
    let cursor = format!(
        "{{ \"mcpServers\": {{ \"butt-dial\": {{ \"url\": \"{base}/mcp\", \"headers\": {{ \"Authorization\": \"Bearer {token}\" }} }} }} }}"
    );
    let curl = format!(
        "curl -s {base}/api/v1/send-message -H 'Authorization: Bearer {token}' \\\n  -H 'Content-Type: application/json' \
         -d '{{\"to\": \"+14155550123\", \"channel\": \"sms\", \"body\": \"Hello!\"}}'"
    );
    html! {
        (parts::code_block("claude", "Claude Code", &format!("claude mcp add --transport http butt-dial {base}/mcp --header \"Authorization: Bearer {token}\"")))
        (parts::code_block("cursor", "Cursor, in .cursor/mcp.json", &cursor))
        (parts::code_block("curl", "Any program, over REST", &curl))
    }
}

fn connected(app: &App, rows: &[(Value, Option<String>)]) -> Markup {
    let now = app.clock().now();
    html! {
        section class="card flush" aria-labelledby="connected" {
            div class="card-head" { h2 id="connected" { "Connected" } }
            @if rows.is_empty() {
                (parts::empty("No agents yet", "An agent's program connects with a token of the agent.", Some((&app.path("/agents"), "Create an agent"))))
            } @else {
                div class="scroll" tabindex="0" role="region" aria-label="Agents and their last requests" {
                    table class="cards" {
                        thead { tr { th scope="col" { "Agent" } th scope="col" { "Program" } th scope="col" { "Last request" } } }
                        tbody {
                            @for (agent, last) in rows {
                                tr {
                                    td data-label="Agent" { a class="cut" href=(app.path(&format!("/agents/{}?tab=tokens", text(agent, "agentId")))) { (text(agent, "displayName")) } }
                                    td data-label="Program" { @if last.is_some() { (parts::badge(Tone::Ok, "has connected")) } @else { (parts::badge(Tone::Plain, "waits for the first request")) } }
                                    td data-label="Last request" { @match last { Some(at) => (time(at, now)), None => span class="muted" { "–" } } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
