//! The page with simulated phones and inboxes, and a form to write messages. It shows bodies, because no message here
//! goes to a real person.

use std::{collections::HashMap, sync::Arc};

use butt_dial_domain::Channel;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{message::SimulatedMessage, state::SimulatorState};

/// How many messages are read, and how many conversations and messages are shown.
const MAX_MESSAGES: usize = 1_000;
const MAX_CONVERSATIONS: usize = 60;
const MAX_LINES: usize = 30;

const STYLE: &str = "
:root{color-scheme:light dark;--line:#8884;--soft:#8882;--me:#2f6fed}
body{font:15px/1.45 system-ui,sans-serif;margin:0;padding:1.5rem;max-width:1400px;margin-inline:auto}
header{display:flex;gap:1.5rem;align-items:baseline;flex-wrap:wrap;margin-bottom:1rem}
h1{font-size:1.3rem;margin:0}
.totals{opacity:.75}
main{display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:1rem;align-items:start}
section{border:1px solid var(--line);border-radius:14px;overflow:hidden}
h2{font-size:.95rem;margin:0;padding:.6rem .9rem;background:var(--soft);display:flex;justify-content:space-between;gap:.5rem}
h2 small{font-weight:400;opacity:.7}
ol{list-style:none;margin:0;padding:.7rem .9rem;max-height:420px;overflow:auto;display:flex;flex-direction:column;gap:.6rem}
.who{font-size:.75rem;opacity:.7}
.text{white-space:pre-wrap;overflow-wrap:anywhere;background:var(--soft);border-radius:12px;padding:.45rem .7rem}
.email .text{border-radius:4px}
.failed .text{outline:1px solid #c33}
.status{font-size:.75rem;opacity:.7;text-align:right}
.empty{opacity:.7}
.theirs .text{background:var(--me);color:#fff;margin-left:2rem}
.theirs .who{text-align:right}
form{display:flex;flex-wrap:wrap;gap:.5rem;margin:0 0 1rem;align-items:center}
form input,form select,form button{font:inherit;padding:.35rem .6rem;border:1px solid var(--line);border-radius:8px}
form [name=body]{flex:1 1 16rem}
";

const SCRIPT: &str = "
const shown = document.getElementById('shown');
new EventSource('events').onmessage = async () => {
  const answer = await fetch('conversations');
  if (answer.ok) shown.innerHTML = await answer.text();
};
const form = document.getElementById('write');
const outcome = document.getElementById('outcome');
form.onsubmit = async (event) => {
  event.preventDefault();
  const fields = Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ''));
  if (fields.picture) { fields.media = ['picture']; delete fields.picture; }
  const answer = await fetch('person-writes', {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(fields),
  });
  const result = await answer.json().catch(() => ({ error: `unexpected response: ${answer.status}` }));
  outcome.textContent = result.error ?? `webhook response: ${result.status ?? 'none'}`;
  if (answer.ok) form.elements.body.value = '';
};
";

pub fn render(simulator: &SimulatorState) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Simulated phones and inboxes" }
                style { (PreEscaped(STYLE)) }
                noscript { meta http-equiv="refresh" content="3"; }
            }
            body {
                (compose_form())
                div id="shown" { (conversations(simulator)) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

/// Renders the form that sends a message as a person.
fn compose_form() -> Markup {
    html! {
        form id="write" {
            select name="channel" aria-label="Channel" {
                @for channel in Channel::MESSAGES { option { (channel) } }
            }
            input name="from" aria-label="From" placeholder="from" value="+14155550123" required;
            input name="to" aria-label="To" placeholder="to our address" value="+14155550100" required;
            input name="subject" aria-label="Subject" placeholder="subject (e-mail)";
            input name="body" aria-label="Text" placeholder="write as this person";
            label { input name="picture" type="checkbox"; " picture" }
            button { "Send" }
            output id="outcome" {}
        }
    }
}

pub fn conversations(simulator: &SimulatorState) -> Markup {
    let people = people(&lines(simulator));
    html! {
        header {
            h1 { "Simulated phones and inboxes" }
            span.totals {
                @for vendor in simulator.vendors() {
                    (vendor) ": " b { (simulator.accepted_total(vendor)) } " taken  "
                }
            }
        }
        @if people.is_empty() {
            p.empty { "No messages yet." }
        }
        main {
            @for (channel, address, messages) in &people {
                section class=(channel.as_str()) {
                    h2 { span { (address) } small { (channel) } }
                    ol {
                        @for (writer, message) in messages.iter().rev() { (line(*writer, message)) }
                    }
                }
            }
        }
    }
}

fn line(writer: Writer, message: &SimulatedMessage) -> Markup {
    let class = match writer {
        Writer::Person => Some("theirs"),
        Writer::Us => message.error_code.map(|_| "failed"),
    };
    html! {
        li class=[class] {
            div.who {
                @if let Some(name) = &message.from_name { (name) " " }
                (message.from) " · " (message.at.format("%H:%M:%S")) " UTC"
            }
            div.text {
                @if let Some(subject) = &message.subject { b { (subject) } br; }
                (message.body)
                @for url in &message.media { br; (url) }
            }
            div.status {
                (message.vendor) " · " (message.status)
                @if let Some(code) = message.error_code { " " (code) }
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Writer {
    Us,
    Person,
}

type Line = (Writer, Arc<SimulatedMessage>);
type Conversation = (Channel, String, Vec<Line>);

/// Returns the messages of both directions, newest first.
fn lines(simulator: &SimulatorState) -> Vec<Line> {
    let outbound = simulator
        .newest(None, MAX_MESSAGES)
        .into_iter()
        .map(|message| (Writer::Us, message));
    let inbound = simulator
        .person_messages()
        .into_iter()
        .map(|message| (Writer::Person, message));
    let mut lines: Vec<Line> = outbound.chain(inbound).collect();
    lines.sort_by_key(|(_, message)| std::cmp::Reverse(message.sequence));
    lines
}

/// Groups the messages into conversations, the most recent first, each with its newest messages first.
fn people(newest_first: &[Line]) -> Vec<Conversation> {
    let mut places: HashMap<(Channel, &str), usize> = HashMap::new();
    let mut people: Vec<Conversation> = Vec::new();
    for line in newest_first {
        let (writer, message) = line;
        let person = match writer {
            Writer::Us => message.to.as_str(),
            Writer::Person => message.from.as_str(),
        };
        let key = (message.channel, person);
        let place = match places.get(&key) {
            Some(place) => *place,
            None if people.len() == MAX_CONVERSATIONS => continue,
            None => {
                people.push((message.channel, person.to_owned(), Vec::new()));
                places.insert(key, people.len() - 1);
                people.len() - 1
            }
        };
        if people[place].2.len() < MAX_LINES {
            people[place].2.push(line.clone());
        }
    }
    people
}
