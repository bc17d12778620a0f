//! The forms of the set-up, one for each step.

use butt_dial_domain::ids;
use maud::{Markup, html};
use serde_json::Value;

use super::{
    connect::clients,
    setup_state::{Step, Steps},
};
use crate::{
    app::App,
    format::{self, text},
    member::Member,
    page,
    parts::{self, Field, Tone},
};

/// A number that is reserved for fiction.
const EXAMPLE: &str = "+14155550123";

pub fn finished(title: &str, text: &str) -> Markup {
    html! {
        li class="done" {
            span class="mark" aria-hidden="true" { "✓" }
            div class="body" { h2 { (title) span class="hidden" { " (done)" } } p class="muted" { (text) } }
        }
    }
}

pub fn summary(app: &App, steps: &Steps, step: Step) -> Markup {
    let agent = steps.agent.as_ref();
    html! {
        @match step {
            Step::Carriers => {
                @if app.is_simulated() { "Simulated: no message leaves this machine. Set the credentials of a carrier when you are ready." }
                @else { "Configured." }
            }
            Step::Agent => { @if let Some(agent) = agent { (text(agent, "displayName")) ": " (addresses(agent)) } }
            Step::Limits => { a href=(app.path("/spend")) { "Spend and limits" } }
            Step::Connect => { a href=(app.path("/keys")) { "Keys" } }
            Step::Message => { @if let Some(message) = &steps.last_message { a href=(app.path(&format!("/messages/{}", text(message, "messageId")))) { "See its way" } } }
        }
    }
}

fn addresses(agent: &Value) -> String {
    let channels = agent["channels"].as_object().into_iter().flatten();
    let all: Vec<String> = channels
        .map(|(channel, address)| format!("{} {}", format::channel(channel), address.as_str().unwrap_or_default()))
        .collect();
    all.join(", ")
}

pub fn step_body(app: &App, member: &Member, steps: &Steps, step: Step, secret: Option<&str>) -> Markup {
    let action = app.path(&format!("/setup/{}", step.name()));
    match step {
        Step::Carriers => carriers(app, member, steps, &action),
        Step::Agent => html! {
            p class="muted" { "An agent has addresses of its own and a token. Give it addresses that you own at your carrier; you can add more later." }
            form class="form" method="post" action=(action) {
                (page::token(member))
                (Field::new("name", "Name").value("My first agent").required().render())
                (Field::new("phone", "Phone number").kind("tel").hint("In international form, such as +14155550100. For texts and calls.").render())
                (Field::new("email", "E-mail address").kind("email").hint("On a domain that is verified at your carrier.").render())
                div class="row" { button class="primary" { "Create the agent" } }
            }
        },
        Step::Limits => html! {
            p class="muted" { "All agents of the organization together stop at these limits. A budget is a rule of the database: it can't be overspent." }
            form class="form" method="post" action=(action) {
                (page::token(member))
                (Field::new("maxSpendPerDay", "US dollars a day").value("10").render())
                (Field::new("maxSpendPerMonth", "US dollars a month").value("100").render())
                div class="row" {
                    button class="primary" { "Set the limits" }
                    button name="do" value="skip" { "Without limits" }
                }
            }
        },
        Step::Connect => connect(app, member, steps, &action, secret),
        Step::Message => first_message(app, member, steps, &action),
    }
}

fn carriers(app: &App, member: &Member, steps: &Steps, action: &str) -> Markup {
    html! {
        @if app.is_simulated() {
            p { "All carriers are simulated now: texts, mails and calls arrive at a telephone in your browser, and cost nothing. That is the best way to look around." }
            @if app.is_simulated() { p { a href=(app.path("/simulator")) { "Open the simulated telephone" } } }
            p class="muted" { "For real messages, set the credentials of a carrier in the environment and start the program again. " code { "butt-dial doctor" } " checks each of them and says what is missing." }
        } @else {
            p class="muted" { "The carriers are configured by the environment of the program. " code { "butt-dial doctor" } " checks each of them. An organization can have accounts of its own as well." }
            @if !steps.providers.is_empty() {
                ul { @for provider in &steps.providers { li { (text(provider, "provider")) " " (parts::status(text(provider, "status"))) } } }
            }
        }
        form class="row" method="post" action=(action) {
            (page::token(member))
            button class="primary" name="do" value="skip" { @if app.is_simulated() { "Stay simulated" } @else { "Continue" } }
            a class="button" href=(app.path("/providers")) { "Provider accounts" }
        }
    }
}

fn connect(app: &App, member: &Member, steps: &Steps, action: &str, secret: Option<&str>) -> Markup {
    let Some(agent) = &steps.agent else {
        return html! { p class="muted" { "Create the agent first." } };
    };
    html! {
        @if let Some(secret) = secret {
            (parts::note(Tone::Warn, &html! { p { "This token is shown once. Keep it where you keep passwords." } }))
            (parts::copyable("token", secret))
            (clients(&app.public_url(), secret))
            p class="muted" { "This step is done when the first request with a token arrives. " a href=(app.path("/setup")) { "Check again" } }
        } @else {
            p class="muted" { "Your agent's program uses a token. You get the commands for common clients with it." }
        }
        form class="row" method="post" action=(action) {
            (page::token(member))
            input type="hidden" name="agent" value=(text(agent, "agentId"));
            @if secret.is_none() { button class="primary" { "Create a token for " (text(agent, "displayName")) } }
            button name="do" value="skip" { "Later" }
        }
    }
}

fn first_message(app: &App, member: &Member, steps: &Steps, action: &str) -> Markup {
    let Some(agent) = &steps.agent else {
        return html! { p class="muted" { "Create the agent first." } };
    };
    let channels: Vec<(&str, &str)> = agent["channels"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, _)| match name.as_str() {
            "phone" => Some(("sms", "SMS")),
            "whatsapp" => Some(("whatsapp", "WhatsApp")),
            "email" => Some(("email", "E-mail")),
            _ => None,
        })
        .collect();
    html! {
        @if let Some(message) = &steps.last_message {
            @let id = text(message, "messageId");
            div hx-sse:connect=(app.path(&format!("/live/arrival/{id}"))) hx-swap="innerHTML" {
                p { "Your message is " (parts::status(text(message, "status"))) ". " a href=(app.path(&format!("/messages/{id}"))) { "See its way" } }
            }
            p class="muted small" { "This step is done when a message is delivered. " a href=(app.path("/setup#next")) { "Check again" } }
        }
        form class="form" method="post" action=(action) {
            (page::token(member))
            input type="hidden" name="agent" value=(text(agent, "agentId"));
            input type="hidden" name="key" value=(ids::unique());
            (parts::select("channel", "Channel", &channels, "sms"))
            (Field::new("to", "To").value(if app.is_simulated() { EXAMPLE } else { "" }).required()
                .hint(if app.is_simulated() { "Any number: it rings at the simulated telephone." } else { "Your own number, so that you see it arrive." }).render())
            (Field::new("body", "Text").value("Hello from Butt-Dial!").required().render())
            div class="row" { button class="primary" { "Send" } }
        }
    }
}
