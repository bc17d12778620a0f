//! The parts of the simulator's page: the list of people, and the telephone of one.

use butt_dial_accounts::Sender;
use butt_dial_domain::{Channel, Failure};
use butt_dial_runtime::phones::{OwnAddress, PhoneCallLine, PhoneCallView, PhoneMessage, PhoneOwner, Phones, Who};
use maud::{Markup, html};
use serde_json::Value;

use super::messages::agent_name;
use crate::{app::App, format, member::Member, page, parts, rights, session::Posted};

const KEYS: [&str; 12] = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "0", "#"];
/// Of a message in the list of people.
const PREVIEW: usize = 60;

/// The values that the parts of the page need.
pub struct Scene<'a> {
    pub app: &'a App,
    pub member: &'a Member,
    pub phones: &'a Phones,
    pub senders: &'a [Sender],
    pub own: Vec<OwnAddress>,
    pub agents: &'a [Value],
    pub person: &'a str,
    /// The channel and our address that the person wrote to last.
    pub to: &'a str,
    /// The form that failed, and why.
    pub failed: Option<(&'a Posted, &'a Failure)>,
}

/// Renders the people and the telephone of the chosen one.
pub fn telephones(scene: &Scene<'_>) -> Markup {
    let app = scene.app;
    html! {
        div class="phones" {
            section class="card flush" aria-labelledby="people" {
                div class="card-head" { h2 id="people" { "People" } }
                div hx-sse:connect=(with_person(app, "/live/phones", scene.person)) hx-swap="innerMorph" { (people(app, &scene.phones.people(&scene.own), scene.person)) }
                form class="card-foot tight" method="get" action=(app.path("/simulator")) {
                    label class="small" for="person" { "Another number or mail address" }
                    div class="row fixed" {
                        input id="person" name="person" autocomplete="off" placeholder="+14155550124" required;
                        button { "Open" }
                    }
                }
            }
            section class="card flush phone" id="phone" aria-labelledby="owner" {
                div class="card-head" {
                    h2 id="owner" class="mono" { (scene.person) }
                    @if can_call(scene) { (call_form(scene)) }
                }
                div class="thread" tabindex="0" role="log" aria-live="off" aria-label="Messages and calls" {
                    div hx-sse:connect=(with_person(app, "/live/phone", scene.person)) hx-swap="innerMorph" {
                        (thread(&scene.phones.thread(&scene.own, scene.person), &scene.phones.calls(&scene.own, scene.person)))
                    }
                }
                div id="outcome" aria-live="polite" {
                    @if let Some((_, failure)) = scene.failed { (parts::failure(failure)) }
                }
                @if rights::operates(scene.member.role()) {
                    (call_controls(scene))
                    (composer(scene))
                }
            }
        }
    }
}

fn with_person(app: &App, path: &str, person: &str) -> String {
    let mut url = url::form_urlencoded::Serializer::new(String::new());
    url.append_pair("person", person);
    app.path(&format!("{path}?{}", url.finish()))
}

fn can_call(scene: &Scene<'_>) -> bool {
    rights::operates(scene.member.role())
        && scene.person.starts_with('+')
        && !addresses(scene, Channel::Voice).is_empty()
}

/// Returns our addresses on a channel, with names of their agents.
fn addresses<'a>(scene: &'a Scene<'_>, channel: Channel) -> Vec<(&'a str, &'a str)> {
    let of_channel = scene.senders.iter().filter(|sender| sender.channel == channel);
    of_channel
        .map(|sender| {
            let agent = sender.agent.as_ref().map(|agent| agent.host_id());
            let name = agent.map_or("pool", |id| agent_name(scene.agents, id));
            (sender.address.as_str(), name)
        })
        .collect()
}

/// Renders the hidden fields that all forms of the telephone have.
pub fn hidden(scene: &Scene<'_>) -> Markup {
    html! {
        (page::token(scene.member))
        input type="hidden" name="person" value=(scene.person);
    }
}

fn call_form(scene: &Scene<'_>) -> Markup {
    let numbers = addresses(scene, Channel::Voice);
    html! {
        form class="row fixed call-form" method="post" action=(scene.app.path("/simulator")) {
            (hidden(scene))
            input type="hidden" name="to" value=(scene.to);
            @if let [(number, _)] = numbers.as_slice() {
                input type="hidden" name="number" value=(number);
            } @else {
                select name="number" aria-label="Number to call" { @for (number, name) in &numbers { option value=(number) { (number) " (" (name) ")" } } }
            }
            button class="slim" name="do" value="call" { "Call" @if let [(_, name)] = numbers.as_slice() { " " (name) } }
        }
    }
}

fn call_controls(scene: &Scene<'_>) -> Markup {
    let action = scene.app.path("/simulator");
    let fields = html! { (hidden(scene)) input type="hidden" name="to" value=(scene.to); };
    html! {
        div class="call-controls card-foot stack" role="group" aria-label="The call" {
            form class="tight" method="post" action=(action) hx-post=(action) hx-target="#outcome" hx-select="#outcome > *" hx-swap="innerHTML" data-clear="spoken" {
                (fields)
                label for="spoken" { "Speak as this person" }
                div class="row fixed" {
                    input id="spoken" name="text" autocomplete="off" maxlength="500";
                    button class="primary" name="do" value="say" { "Say" }
                }
                div class="row" {
                    button class="slim" name="do" value="interrupt" { "Interrupt the agent with it" }
                    button class="slim danger" name="do" value="hang-up" { "Hang up" }
                }
            }
            details {
                summary class="small" { "Keypad" }
                form class="keypad" method="post" action=(action) hx-post=(action) hx-target="#outcome" hx-select="#outcome > *" hx-swap="innerHTML" {
                    (fields)
                    input type="hidden" name="do" value="press";
                    @for key in KEYS { button name="keys" value=(key) aria-label=(key_name(key)) { (key) } }
                }
            }
        }
    }
}

fn key_name(key: &str) -> String {
    match key {
        "*" => "Key star".to_owned(),
        "#" => "Key hash".to_owned(),
        digit => format!("Key {digit}"),
    }
}

fn composer(scene: &Scene<'_>) -> Markup {
    let channels: &[Channel] = match scene.person {
        mail if mail.contains('@') => &[Channel::Email],
        number if number.starts_with('+') => &[Channel::Sms, Channel::Whatsapp],
        _ => &[Channel::Line],
    };
    let mut choices: Vec<(String, String)> = Vec::new();
    for channel in channels {
        for (address, name) in addresses(scene, *channel) {
            let label = format!("{} to {name} ({address})", format::channel(channel.as_str()));
            choices.push((format!("{channel} {address}"), label));
        }
    }
    let choices: Vec<(&str, &str)> = choices
        .iter()
        .map(|(value, label)| (value.as_str(), label.as_str()))
        .collect();
    let action = scene.app.path("/simulator");
    // A message that failed is not lost.
    let failed = scene.failed.filter(|(posted, _)| posted.get("do") == "write");
    let old = failed.map_or("", |(posted, _)| posted.get("text"));
    html! {
        @if choices.is_empty() {
            p class="card-foot muted" { "No agent has an address to which this person can write. " a href=(scene.app.path("/agents")) { "Give an agent one" } "." }
        } @else {
            form class="card-foot tight" method="post" action=(action) hx-post=(action) hx-target="#outcome" hx-select="#outcome > *" hx-swap="innerHTML" data-clear="text" {
                (hidden(scene))
                input type="hidden" name="do" value="write";
                (parts::select("to", "Write as this person", &choices, scene.to))
                @if channels == [Channel::Email] {
                    label class="hidden" for="subject" { "Subject" }
                    input id="subject" name="subject" placeholder="Subject" autocomplete="off";
                }
                label class="hidden" for="text" { "Text" }
                div class="row fixed" {
                    textarea id="text" name="text" class="low" required placeholder="Text" maxlength="5000" { (old) }
                    button class="primary" { "Send" }
                }
            }
        }
    }
}

/// Renders the list of people.
pub fn people(app: &App, people: &[PhoneOwner], chosen: &str) -> Markup {
    let now = app.clock().now();
    html! {
        @if people.is_empty() {
            p class="muted small people-empty" { "A person appears here with the first message or call." }
        } @else {
            ul class="people" {
                @for owner in people {
                    li {
                        a href=(with_person(app, "/simulator", &owner.address)) aria-current=[(owner.address == chosen).then_some("page")] {
                            span class="row" { span class="mono small" { (owner.address) } @if owner.is_on_the_phone { span class="live-dot" role="img" aria-label="on the phone" {} } }
                            @match &owner.last {
                                Some(last) => span class="small muted cut" { @if last.is_ours { "Agent: " } (preview(&last.message.body)) },
                                None => span class="small muted" { "Calls only" },
                            }
                            span class="small muted" { (format::time(&owner.last_at.to_rfc3339(), now)) }
                        }
                    }
                }
            }
        }
    }
}

fn preview(text: &str) -> String {
    text.chars().take(PREVIEW).collect()
}

enum Entry<'a> {
    Message(&'a PhoneMessage),
    Call(&'a PhoneCallView),
}

/// Renders messages and calls in the order in which they began.
pub fn thread(messages: &[PhoneMessage], calls: &[PhoneCallView]) -> Markup {
    let mut entries: Vec<(_, Entry<'_>)> = messages
        .iter()
        .map(|found| (found.message.at, Entry::Message(found)))
        .collect();
    entries.extend(calls.iter().map(|call| (call.created_at, Entry::Call(call))));
    entries.sort_by_key(|(at, _)| *at);
    html! {
        @if entries.is_empty() {
            div class="empty" {
                p { strong { "Nothing was said yet" } }
                p { "Write the first message as this person below, or call. The agent gets it as from a real carrier, and its answer appears here." }
            }
        } @else {
            ol class="talk" {
                @for (_, entry) in &entries {
                    @match entry { Entry::Message(found) => (message(found)), Entry::Call(one) => (call(one)) }
                }
            }
        }
    }
}

fn message(found: &PhoneMessage) -> Markup {
    let message = &found.message;
    let when = message.at.format("%H:%M:%S").to_string();
    html! {
        // The telephone is the person's: its own messages are on the right.
        li class=(if found.is_ours { "them" } else { "us" }) {
            span class="who" { (format::channel(message.channel.as_str())) " " @if found.is_ours { "from " } @else { "to " } (found.ours) " " (when) }
            div class="words" {
                @if let Some(subject) = &message.subject { p { strong { (subject) } } }
                p class="text" { (message.body) }
                @for url in &message.media { p class="small muted" { "Attachment: " (url) } }
            }
            @if found.is_ours {
                span class="row small" { (parts::status(message.status)) @if let Some(code) = message.error_code { span class="muted" { "Code " (code) } } }
            }
        }
    }
}

fn call(call: &PhoneCallView) -> Markup {
    let is_live = !call.status.is_over();
    html! {
        li class={ "call" @if is_live { " call-live" } } {
            div class="row" {
                @if is_live { span class="live-dot" aria-hidden="true" {} }
                strong { @if call.is_inbound { "Call to " } @else { "Call from " } (call.ours) }
                (parts::status(call.status.as_str()))
                span class="small muted" { (call.created_at.format("%H:%M:%S").to_string()) }
            }
            @if call.lines.is_empty() && call.hearing.is_empty() {
                p class="small muted" { @if is_live { "Nothing to hear yet." } @else { "No word was spoken." } }
            } @else {
                ol class="talk" {
                    @for turn in turns(&call.lines) { (spoken(&turn)) }
                    @if !call.hearing.is_empty() {
                        li class="them" { span class="who" { "Agent, now" } p class="words hearing" { (call.hearing) " …" } }
                    }
                }
            }
        }
    }
}

/// Joins the sentences that one party speaks in a row.
fn turns(lines: &[PhoneCallLine]) -> Vec<PhoneCallLine> {
    let mut turns: Vec<PhoneCallLine> = Vec::new();
    for line in lines {
        match turns.last_mut() {
            Some(last) if last.who == line.who && line.who == Who::Agent => {
                last.text.push(' ');
                last.text.push_str(&line.text);
            }
            _ => turns.push(line.clone()),
        }
    }
    turns
}

fn spoken(line: &PhoneCallLine) -> Markup {
    let seconds = line.at_ms / 1_000;
    let at = format!("{}:{:02}", seconds / 60, seconds % 60);
    html! {
        @match line.who {
            Who::Carrier => li class="note-line small muted" { (at) " " (line.text) },
            Who::Person => li class="us" { span class="who" { "Person " (at) } p class="words" { (line.text) } },
            Who::Agent => li class="them" { span class="who" { "Agent " (at) } p class="words" { (line.text) } },
        }
    }
}
