//! The parts of the page of scenarios: the choice, the steps, and the telephone beside them.

use butt_dial_domain::Failure;
use butt_dial_runtime::phones::{OwnAddress, Phones};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::{
    scenario_steps::{Act, Input, SCENARIOS, Scenario, Step},
    simulator_views,
};
use crate::{
    app::App,
    format::{self, text},
    member::Member,
    page,
    parts::{self, Tone},
    session::Posted,
};

/// Digits of a one-time code.
const CODE: usize = 6;

/// A place in a scenario, and what its steps have found so far.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    pub name: String,
    pub agent: String,
    pub person: String,
    pub step: usize,
    pub message: String,
    pub call: String,
}

impl Query {
    fn url(&self, app: &App, name: &str, step: usize) -> String {
        let mut url = url::form_urlencoded::Serializer::new(String::new());
        url.append_pair("name", name).append_pair("step", &step.to_string());
        for (name, value) in self.kept() {
            url.append_pair(name, value);
        }
        app.path(&format!("/scenarios?{}#step", url.finish()))
    }

    /// Returns the fields that each step passes on.
    fn kept(&self) -> [(&'static str, &str); 4] {
        [
            ("agent", &self.agent),
            ("person", &self.person),
            ("message", &self.message),
            ("call", &self.call),
        ]
    }
}

/// A step that has run.
pub struct Ran<'a> {
    pub posted: &'a Posted,
    pub result: Result<Value, Failure>,
    pub milliseconds: u128,
}

/// The values that the parts of the page need.
pub struct Scene<'a> {
    pub app: &'a App,
    pub member: &'a Member,
    pub phones: &'a Phones,
    pub own: &'a [OwnAddress],
    pub agents: &'a [Value],
    pub query: &'a Query,
}

/// Renders the choice of scenario, agent and person.
pub fn chooser(scene: &Scene<'_>) -> Markup {
    let query = scene.query;
    let mut names: Vec<(&str, &str)> = vec![("", "All scenarios")];
    names.extend(SCENARIOS.iter().map(|scenario| (scenario.id, scenario.title)));
    let active = scene.agents.iter().filter(|agent| text(agent, "status") == "active");
    let agents: Vec<(&str, &str)> = active
        .map(|agent| (text(agent, "agentId"), text(agent, "displayName")))
        .collect();
    html! {
        form class="card" method="get" action=(scene.app.path("/scenarios")) aria-label="Choose a scenario" {
            div class="filters" {
                div class="field grow" {
                    label for="name" { "Scenario" }
                    select id="name" name="name" {
                        @for (id, title) in &names { option value=(id) selected[*id == query.name] { (title) } }
                    }
                }
                (parts::select("agent", "Agent", &agents, &query.agent))
                (parts::Field::new("person", "Person").value(&query.person).filter())
                button { "Begin" }
            }
        }
    }
}

/// Renders all scenarios.
pub fn overview(scene: &Scene<'_>) -> Markup {
    html! {
        div class="grid wide" {
            @for scenario in SCENARIOS {
                section class="card" aria-labelledby=(scenario.id) {
                    h2 id=(scenario.id) { (scenario.title) }
                    p class="muted" { (scenario.text) }
                    div class="row" {
                        a class="button" href=(scene.query.url(scene.app, scenario.id, 0)) aria-label=(format!("Begin: {}", scenario.title)) { "Begin" }
                        span class="small muted" { (scenario.steps.len()) " steps" }
                    }
                }
            }
        }
    }
}

/// Renders a scenario at one of its steps, beside the telephone of the person.
pub fn one(scene: &Scene<'_>, scenario: &'static Scenario, step: &'static Step, ran: Option<&Ran<'_>>) -> Markup {
    let (app, query) = (scene.app, scene.query);
    let mut live = url::form_urlencoded::Serializer::new(String::new());
    live.append_pair("person", &query.person);
    let (messages, calls) = (
        scene.phones.thread(scene.own, &query.person),
        scene.phones.calls(scene.own, &query.person),
    );
    html! {
        div class="beside" {
            section class="card flush" aria-labelledby="scenario" {
                div class="card-head" {
                    h2 id="scenario" { (scenario.title) }
                    span class="small muted" { "Step " (query.step + 1) " of " (scenario.steps.len()) }
                }
                ol class="steps" {
                    @for (place, other) in scenario.steps.iter().enumerate() {
                        @let is_now = place == query.step;
                        li class=(if place < query.step { "done" } else if is_now { "now" } else { "" }) id=[is_now.then_some("step")] aria-current=[is_now.then_some("step")] {
                            span class="mark" aria-hidden="true" { @if place < query.step { "✓" } @else { (place + 1) } }
                            div class="body" {
                                h3 { (other.title) }
                                @if is_now { (current(scene, scenario, step, ran)) }
                            }
                        }
                    }
                }
            }
            section class="card flush phone follows" aria-labelledby="owner" {
                div class="card-head" {
                    h2 id="owner" class="mono" { (query.person) }
                    a class="small" href=(app.path(&format!("/simulator?{}", live.finish()))) { "Open the telephone" }
                }
                div class="thread" tabindex="0" role="log" aria-live="off" aria-label="Messages and calls of the person" {
                    div hx-sse:connect=(live_url(app, &query.person)) hx-swap="innerMorph" { (simulator_views::thread(&messages, &calls)) }
                }
            }
        }
    }
}

fn live_url(app: &App, person: &str) -> String {
    let mut url = url::form_urlencoded::Serializer::new(String::new());
    url.append_pair("person", person);
    app.path(&format!("/live/phone?{}", url.finish()))
}

/// Renders the step that is next, or that has just run, with its result.
fn current(scene: &Scene<'_>, scenario: &Scenario, step: &Step, ran: Option<&Ran<'_>>) -> Markup {
    let (app, query) = (scene.app, scene.query);
    let is_last = query.step + 1 >= scenario.steps.len();
    let run = if ran.is_some() { "Run again" } else { "Run" };
    html! {
        p class="muted small" { (step.hint) }
        form class="tight" method="post" action=(app.path("/scenarios#step")) {
            (page::token(scene.member))
            input type="hidden" name="name" value=(scenario.id);
            input type="hidden" name="step" value=(query.step);
            @for (name, value) in query.kept() { input type="hidden" name=(name) value=(value); }
            p class="small" { (actor(step.act)) }
            @for input in step.inputs { (field(scene, input, ran)) }
            div class="row" { button class=(if ran.is_some() { "" } else { "primary" }) { (run) } }
        }
        @if let Some(ran) = ran {
            div class="tight" role="status" {
                @match &ran.result {
                    Ok(Value::Null) => (parts::note(Tone::Ok, &html! { p { "Done in " (ran.milliseconds) " ms." } })),
                    Ok(value) => {
                        p class="small muted" { "Answered in " (ran.milliseconds) " ms." }
                        (parts::code_block("step-result", "Result", &format!("{value:#}")))
                    }
                    Err(failure) => (parts::failure(failure)),
                }
            }
            div class="row" {
                @if is_last { a class="button primary" href=(app.path("/scenarios")) { "All scenarios" } }
                @else { a class="button primary" href=(query.url(app, scenario.id, query.step + 1)) { "Next step" } }
                @if !query.message.is_empty() { a href=(app.path(&format!("/messages/{}", query.message))) { "The message" } }
                @if !query.call.is_empty() { a href=(app.path(&format!("/calls/{}", query.call))) { "The call" } }
            }
        }
    }
}

/// Says who acts.
fn actor(act: Act) -> Markup {
    html! {
        @match act {
            Act::Tool(name) => { "The agent calls " code { (name) } },
            Act::Write(channel) => { "The person writes by " (format::channel(channel)) },
            Act::Dial | Act::Say | Act::Interrupt | Act::HangUp => "The person acts",
            Act::Fault => "The carrier is told to fail",
        }
    }
}

fn field(scene: &Scene<'_>, input: &Input, ran: Option<&Ran<'_>>) -> Markup {
    let (name, query) = (format!("arg-{}", input.name), scene.query);
    let value = match (ran, input.value) {
        (Some(ran), _) => ran.posted.get(&name).to_owned(),
        (None, "$person") => query.person.clone(),
        (None, "$message") => query.message.clone(),
        (None, "$call") => query.call.clone(),
        (None, "$code") => newest_code(scene).unwrap_or_default(),
        (None, value) => value.to_owned(),
    };
    html! {
        div class="field" {
            label for=(name) { (input.label) }
            @if value.len() > 60 { textarea id=(name) name=(name) class="low" { (value) } }
            @else { input id=(name) name=(name) value=(value) autocomplete="off"; }
        }
    }
}

/// Returns the newest code on the person's telephone.
fn newest_code(scene: &Scene<'_>) -> Option<String> {
    let messages = scene.phones.thread(scene.own, &scene.query.person);
    let mut ours = messages.iter().rev().filter(|message| message.is_ours);
    ours.find_map(|message| code_in(&message.message.body))
}

fn code_in(text: &str) -> Option<String> {
    let mut numbers = text.split(|letter: char| !letter.is_ascii_digit());
    numbers.find(|digits| digits.len() == CODE).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_code_of_a_text() {
        assert_eq!(
            code_in("Acme: 482910 is your code, for 10 minutes.").as_deref(),
            Some("482910")
        );
        assert_eq!(code_in("Call +14155550100, not 12345 or 1234567."), None);
    }
}
