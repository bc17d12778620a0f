//! Numbers: what the organization's agents own, and the search for new ones, with their price before they are bought.

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
    format::{self, field, list, money, text},
    member::Member,
    page::{self, Place},
    parts::{self, Field, Tone},
    rights,
    session::Posted,
};

/// The number of agents with addresses in the list.
const AGENTS: usize = 50;

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Query {
    country: String,
    kind: String,
    contains: String,
    agent: String,
    search: bool,
}

/// `GET /numbers`
pub async fn show(State(app): State<App>, member: Member, UrlQuery(query): UrlQuery<Query>) -> Response {
    render(&app, &member, &query, None).await
}

/// `POST /numbers`: buys a number. The person types it again, because it costs money.
pub async fn act(State(app): State<App>, posted: Posted) -> Response {
    let (member, here, number) = (&posted.member, app.path("/numbers"), posted.get("number"));
    if let Some(page) = confirm::required(&app, &posted, &here, "buy a number") {
        return page;
    }
    let outcome = match posted.get("again") == number {
        true => {
            let args = json!({ "agentId": posted.get("agent"), "channel_type": "phone", "identifier": number, "country": posted.optional("country") });
            app.call(member, "add_comm_channel", args).await
        }
        false => Err(Failure::new(
            Code::InvalidArgument,
            "type the number exactly as it is shown, to buy it",
        )
        .detail("fields", vec!["again"])),
    };
    match outcome {
        Ok(_) => Redirect::to(&app.path(&format!("/agents/{}?tab=addresses", posted.get("agent")))).into_response(),
        Err(failure) => render(&app, member, &Query::default(), Some(&failure)).await,
    }
}

async fn render(app: &App, member: &Member, query: &Query, failure: Option<&Failure>) -> Response {
    let agents = match app.call(member, "list_agents", json!({ "limit": 200 })).await {
        Ok(agents) => list(&agents, "agents").to_vec(),
        Err(failure) => return page::member_failed(app, member, Place::Numbers, &failure),
    };
    let owned = owned(app, member, &agents).await;
    let found = match query.search {
        true => Some(search(app, member, query).await),
        false => None,
    };
    let body = html! {
        (parts::head("Numbers and senders", "The addresses that your agents send from, and new ones to buy.", &html! {}))
        @if let Some(failure) = failure { (parts::failure(failure)) }
        @match &owned {
            Ok(rows) => (owned_table(app, rows, agents.len())),
            Err(failure) => (parts::failure(failure)),
        }
        @if rights::administers(member.role()) {
            (search_form(app, query, &agents))
            @match &found {
                Some(Ok(found)) => (results(app, member, query, found)),
                Some(Err(failure)) => (parts::failure(failure)),
                None => {},
            }
        }
    };
    page::member(app, member, Place::Numbers, "Numbers and senders", &body)
}

async fn owned(app: &App, member: &Member, agents: &[Value]) -> Result<Vec<(Value, Value)>, Failure> {
    let mut rows = Vec::new();
    for agent in agents.iter().take(AGENTS) {
        let found = app
            .call(
                member,
                "list_comm_channels",
                json!({ "agentId": text(agent, "agentId") }),
            )
            .await?;
        rows.extend(
            list(&found, "records")
                .iter()
                .map(|record| (agent.clone(), record.clone())),
        );
    }
    Ok(rows)
}

async fn search(app: &App, member: &Member, query: &Query) -> Result<Value, Failure> {
    let mut args = json!({ "limit": 20 });
    for (name, value) in [
        ("country", &query.country),
        ("type", &query.kind),
        ("contains", &query.contains),
    ] {
        if !value.trim().is_empty() {
            args[name] = json!(value.trim());
        }
    }
    app.call(member, "comms_list_available_numbers", args).await
}

fn owned_table(app: &App, rows: &[(Value, Value)], agents: usize) -> Markup {
    html! {
        section class="card flush" aria-label="Owned addresses" {
            @if rows.is_empty() {
                (parts::empty("No addresses yet", "An agent needs an address to send from. Search for a number below, or add one that you own on the page of the agent.", Some((&app.path("/agents"), "Agents"))))
            } @else {
                div class="scroll" tabindex="0" role="region" aria-label="List of addresses" {
                    table class="cards" {
                        thead { tr { th scope="col" { "Address" } th scope="col" { "Channel" } th scope="col" { "Agent" } th scope="col" { "Can" } th scope="col" { "State" } } }
                        tbody {
                            @for (agent, record) in rows {
                                tr {
                                    td data-label="Address" class="mono" { (text(record, "identifier")) }
                                    td data-label="Channel" { (format::channel(text(record, "channelType"))) }
                                    td data-label="Agent" { a href=(app.path(&format!("/agents/{}?tab=addresses", text(agent, "agentId")))) { (text(agent, "displayName")) } }
                                    td data-label="Can" { (list(record, "capabilities").iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")) }
                                    td data-label="State" {
                                        @if record["paused"] == true { (parts::badge(Tone::Warn, "paused")) } @else { (parts::badge(Tone::Ok, "in use")) }
                                        @if *field(record, "usRegistered") == false { " " (parts::badge(Tone::Warn, "not registered for US texts")) }
                                        @if let Some(state) = record["registration"].as_str() { " " (parts::badge(if state == "done" { Tone::Ok } else { Tone::Warn }, &format!("registration {state}"))) }
                                        @if !list(record, "dnsRecords").is_empty() {
                                            details class="small" {
                                                summary { "DNS records" }
                                                ul { @for dns in list(record, "dnsRecords") { li class="mono" { (text(dns, "type")) " " (text(dns, "name")) " → " (text(dns, "value")) } } }
                                            }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
                @if agents > AGENTS { p class="card-foot small muted" { "Addresses of the first " (AGENTS) " agents. The others are on the page of each agent." } }
            }
        }
    }
}

fn search_form(app: &App, query: &Query, agents: &[Value]) -> Markup {
    let kinds = [("local", "Local"), ("mobile", "Mobile"), ("toll_free", "Toll-free")];
    let names: Vec<(&str, &str)> = agents
        .iter()
        .map(|agent| (text(agent, "agentId"), text(agent, "displayName")))
        .collect();
    html! {
        form class="card" method="get" action=(app.path("/numbers#found")) role="search" aria-label="Search numbers" {
            h2 { "Find a number" }
            input type="hidden" name="search" value="true";
            div class="filters" {
                (parts::select("agent", "For agent", &names, &query.agent))
                (Field::new("country", "Country").value(if query.country.is_empty() { "US" } else { &query.country }).required().render())
                (parts::select("kind", "Kind", &kinds, &query.kind))
                div class="field" {
                    label for="contains" { "Contains digits" }
                    input type="text" id="contains" name="contains" value=(query.contains) autocomplete="off";
                }
                button { "Search" }
            }
        }
    }
}

fn results(app: &App, member: &Member, query: &Query, found: &Value) -> Markup {
    let rows = list(found, "numbers");
    html! {
        section class="card flush" id="found" aria-label="Available numbers" {
            @if rows.is_empty() {
                (parts::empty("No number fits", "Ask for fewer digits, or another kind or country.", None))
            } @else {
                @for need in list(found, "requirements") {
                    div class="card-head" { (parts::note(Tone::Warn, &html! { p { strong { "Before they may send texts: " } (text(need, "title")) ". " (parts::sentence(text(need, "duration"))) } })) }
                }
                div class="scroll" tabindex="0" role="region" aria-label="List of available numbers" {
                    table class="cards" {
                        thead { tr { th scope="col" { "Number" } th scope="col" { "Place" } th scope="col" { "Can" } th scope="col" class="num" { "A month" } th scope="col" { "Buy: type it again" } } }
                        tbody {
                            @for row in rows {
                                @let number = text(row, "phoneNumber");
                                tr {
                                    td data-label="Number" class="mono" { (number) }
                                    td data-label="Place" { (text(row, "locality")) " " (text(row, "region")) }
                                    td data-label="Can" { (list(row, "capabilities").iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "))
                                        @if let Some(need) = row["addressRequirement"].as_str() { " " (parts::badge(Tone::Warn, &format!("needs an address: {need}"))) } }
                                    td data-label="A month" class="num" { (money(row["monthlyPrice"].as_f64().unwrap_or_default())) }
                                    td data-label="Buy" {
                                        form class="row" method="post" action=(app.path("/numbers")) {
                                            (page::token(member))
                                            input type="hidden" name="agent" value=(query.agent);
                                            input type="hidden" name="country" value=(query.country);
                                            input type="hidden" name="number" value=(number);
                                            input type="text" name="again" aria-label=(format!("Type {number} to buy it")) autocomplete="off" required;
                                            button class="slim" { "Buy" }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
