//! The simulator: a telephone for each simulated person, and the conditions under which carriers act. It exists where carriers are
//! simulated, so the page shows texts and whole addresses: no message here reaches a person.

use axum::{
    extract::{Query as UrlQuery, State},
    response::{IntoResponse, Redirect, Response},
};
use butt_dial_accounts::Sender;
use butt_dial_domain::{Channel, Code, Failure};
use butt_dial_runtime::phones::{OwnAddress, PersonText, PhoneAction, Phones};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    simulator_faults::conditions,
    simulator_views::{self as views, Scene},
};
use crate::{
    app::App,
    format::list,
    member::Member,
    page::{self, Place},
    parts::{self, Tone},
    rights,
    session::Posted,
};

/// A number that is reserved for fiction, for the first person.
pub const FIRST_PERSON: &str = "+14155550123";

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    pub person: String,
    /// The channel and our address that the person wrote to last.
    pub to: String,
}

/// `GET /simulator`
pub async fn show(State(app): State<App>, member: Member, UrlQuery(query): UrlQuery<Query>) -> Response {
    render(&app, &member, &query, None).await
}

/// `POST /simulator`: acts as the person, or changes the conditions.
pub async fn act(State(app): State<App>, posted: Posted) -> Response {
    let member = &posted.member;
    let query = Query {
        person: posted.get("person").to_owned(),
        to: posted.get("to").to_owned(),
    };
    match change(&app, &posted).await {
        Ok(()) => {
            let mut url = url::form_urlencoded::Serializer::new(String::new());
            url.append_pair("person", &query.person).append_pair("to", &query.to);
            Redirect::to(&app.path(&format!("/simulator?{}#phone", url.finish()))).into_response()
        }
        Err(failure) => render(&app, member, &query, Some((&posted, &failure))).await,
    }
}

async fn change(app: &App, posted: &Posted) -> Result<(), Failure> {
    let member = &posted.member;
    if !rights::operates(member.role()) {
        return Err(rights::refusal(member.role()));
    }
    let phones = app.phones().ok_or_else(elsewhere)?;
    let own = own(&app.recent_senders(member).await?);
    let (person, text) = (posted.get("person"), posted.get("text"));
    match posted.get("do") {
        "write" => {
            let (channel, to) = choice(posted.get("to"))?;
            let written = PersonText {
                channel,
                from: person,
                to,
                subject: posted.optional("subject"),
                body: posted.get("text"),
            };
            phones.write(&own, written).await
        }
        "call" => phones.dial(&own, person, posted.get("number")),
        "say" => phones.act(&own, person, &PhoneAction::Say(required(text)?)),
        "interrupt" => phones.act(&own, person, &PhoneAction::Interrupt(required(text)?)),
        "press" => phones.act(&own, person, &PhoneAction::Press(posted.get("keys"))),
        "hang-up" => phones.act(&own, person, &PhoneAction::HangUp),
        _ => change_conditions(app, posted, phones).await,
    }
}

/// Changes the conditions of all organizations, which an operator of the installation may.
async fn change_conditions(app: &App, posted: &Posted, phones: &Phones) -> Result<(), Failure> {
    let member = &posted.member;
    if !member.session().is_operator {
        return Err(Failure::new(
            Code::AuthForbidden,
            "faults of carriers are for operators of the installation",
        ));
    }
    let (action, carrier) = (posted.get("do"), posted.get("carrier"));
    let number = |name: &str| posted.get(name).parse::<u32>().unwrap_or(1);
    match action {
        "fault" => phones.inject_fault(carrier, posted.get("kind"), number("times"))?,
        "clear" => phones.clear_faults(carrier)?,
        "receipts" => {
            phones.set_receipts(carrier, number("copies"), posted.get("order") == "reversed")?;
            phones.set_receipt_delay(std::time::Duration::from_secs(number("delay").into()));
        }
        "manner" => phones.set_manner(posted.get("person"), posted.get("manner"))?,
        _ => return Err(Failure::new(Code::InvalidArgument, "the form is not known")),
    }
    app.note(
        member,
        "simulator.change",
        action,
        json!({ "carrier": carrier, "kind": posted.get("kind") }),
    )
    .await;
    Ok(())
}

pub fn required(text: &str) -> Result<&str, Failure> {
    match text.is_empty() {
        true => Err(Failure::new(Code::InvalidArgument, "type the words to say").detail("fields", vec!["text"])),
        false => Ok(text),
    }
}

/// Reads a channel and our address on it, such as `sms +14155550100`.
fn choice(text: &str) -> Result<(Channel, &str), Failure> {
    let parts = text.split_once(' ');
    let read = parts.and_then(|(channel, address)| Some((Channel::parse(channel)?, address)));
    read.ok_or_else(|| {
        Failure::new(Code::InvalidArgument, "choose an address of an agent").detail("fields", vec!["to"])
    })
}

pub fn elsewhere() -> Failure {
    Failure::new(Code::Conflict, "the simulator does not run in this program")
}

/// Returns the addresses of senders.
pub fn own(senders: &[Sender]) -> Vec<OwnAddress> {
    let address = |sender: &Sender| OwnAddress {
        channel: sender.channel,
        address: sender.address.clone(),
        since: sender.created_at,
    };
    senders.iter().map(address).collect()
}

/// Renders the conversation of a person, which is live.
pub async fn live_thread(app: &App, member: &Member, person: &str) -> Result<Markup, Failure> {
    let phones = app.phones().ok_or_else(elsewhere)?;
    let own = own(&app.recent_senders(member).await?);
    Ok(views::thread(&phones.thread(&own, person), &phones.calls(&own, person)))
}

/// Renders the list of people, which is live.
pub async fn live_people(app: &App, member: &Member, person: &str) -> Result<Markup, Failure> {
    let phones = app.phones().ok_or_else(elsewhere)?;
    let own = own(&app.recent_senders(member).await?);
    Ok(views::people(app, &phones.people(&own), person))
}

async fn render(app: &App, member: &Member, query: &Query, failed: Option<(&Posted, &Failure)>) -> Response {
    let Some(phones) = app.phones() else {
        let body = absent(app);
        return page::member(app, member, Place::Simulator, "Simulator", &body);
    };
    let (senders, agents) = match read(app, member).await {
        Ok(read) => read,
        Err(failure) => return page::member_failed(app, member, Place::Simulator, &failure),
    };
    let own = own(&senders);
    let newest = phones.people(&own).into_iter().next().map(|owner| owner.address);
    let person = match query.person.trim() {
        "" => newest.unwrap_or_else(|| FIRST_PERSON.to_owned()),
        given => normalized(given),
    };
    let scene = Scene {
        app,
        member,
        phones,
        senders: &senders,
        own,
        agents: &agents,
        person: &person,
        to: &query.to,
        failed,
    };
    let body = html! {
        (parts::head("Simulator", "A telephone for each simulated person. No message or call here leaves this machine.", &html! {
            @if rights::operates(member.role()) { a class="button" href=(app.path("/scenarios")) { "Scenarios" } }
        }))
        @if senders.is_empty() {
            section class="card flush" aria-label="Telephone" {
                (parts::empty("No agent has an address yet", "A person can write to an agent as soon as it has a number or a mail address.", Some((&app.path("/agents"), "Give an agent an address"))))
            }
        } @else {
            (views::telephones(&scene))
        }
        @if member.session().is_operator { (conditions(&scene)) }
    };
    page::member(app, member, Place::Simulator, "Simulator", &body)
}

async fn read(app: &App, member: &Member) -> Result<(std::sync::Arc<[Sender]>, Vec<Value>), Failure> {
    let senders = app.recent_senders(member).await?;
    let agents = app.call(member, "list_agents", json!({ "limit": 200 })).await?;
    Ok((senders, list(&agents, "agents").to_vec()))
}

/// Returns a number or a mail address as messages have it; other texts unchanged.
fn normalized(text: &str) -> String {
    let channel = if text.contains('@') {
        Channel::Email
    } else {
        Channel::Sms
    };
    let parsed = butt_dial_domain::Address::parse(channel, text);
    parsed.map_or_else(|_| text.to_owned(), |address| address.as_str().to_owned())
}

pub fn absent(app: &App) -> Markup {
    html! {
        (parts::head("Simulator", "A telephone for each simulated person.", &html! {}))
        @if app.is_simulated() {
            (parts::note(Tone::Warn, &html! {
                p { strong { "The simulator runs in another program." } }
                p { "This console can't act as simulated people. Open the simulator's own page: it is at the address that the carriers' endpoints have, such as http://127.0.0.1:3101/." }
            }))
        } @else {
            (parts::note(Tone::Plain, &html! {
                p { strong { "The carriers of this installation are real." } }
                p { "The simulator runs in a program without credentials of carriers, which listens on its own machine only: " code { "butt-dial serve" } "." }
            }))
        }
        p { a href=(app.path("/messages")) { "To the messages" } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_channel_and_address_of_a_choice() {
        assert_eq!(choice("sms +14155550100").unwrap(), (Channel::Sms, "+14155550100"));
        for wrong in ["", "sms", "fax +1", "+14155550100"] {
            assert!(choice(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn typed_numbers_become_those_of_messages() {
        assert_eq!(normalized("+1 (415) 555-0123"), "+14155550123");
        assert_eq!(normalized("ada@EXAMPLE.com"), "ada@example.com");
        assert_eq!(normalized("<b>"), "<b>");
    }
}
