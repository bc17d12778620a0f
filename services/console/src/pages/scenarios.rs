//! Scripted scenarios of the simulator: each step is a real operation of the chosen agent or a real act of a simulated person, with its
//! result. The page keeps nothing: what a step needs of the steps before it is in its form.

use std::time::Instant;

use axum::{
    extract::{Query as UrlQuery, State},
    response::Response,
};
use butt_dial_accounts::Sender;
use butt_dial_domain::{Channel, Code, Failure};
use butt_dial_operations as operations;
use butt_dial_runtime::phones::{PersonText, PhoneAction};
use maud::html;
use serde_json::{Value, json};

use super::{
    playground_form as form,
    scenario_steps::{Act, SCENARIOS, Scenario, Step},
    scenario_views::{self as views, Query, Ran, Scene},
    simulator,
};
use crate::{
    app::App,
    format::{list, text},
    member::Member,
    page::{self, Place},
    parts, rights,
    session::Posted,
};

/// `GET /scenarios`
pub async fn show(State(app): State<App>, member: Member, UrlQuery(query): UrlQuery<Query>) -> Response {
    render(&app, &member, query, None).await
}

/// `POST /scenarios`: runs a step.
pub async fn run(State(app): State<App>, posted: Posted) -> Response {
    let mut query = Query {
        name: posted.get("name").to_owned(),
        agent: posted.get("agent").to_owned(),
        person: posted.get("person").to_owned(),
        step: posted.get("step").parse().unwrap_or_default(),
        message: posted.get("message").to_owned(),
        call: posted.get("call").to_owned(),
    };
    let started = Instant::now();
    let result = act(&app, &posted, &query).await;
    if let Ok(value) = &result {
        for (found, name) in [(&mut query.message, "messageId"), (&mut query.call, "callId")] {
            if let Some(id) = value[name].as_str() {
                id.clone_into(found);
            }
        }
    }
    let milliseconds = started.elapsed().as_millis();
    let ran = Ran {
        posted: &posted,
        result,
        milliseconds,
    };
    render(&app, &posted.member, query, Some(ran)).await
}

fn find(query: &Query) -> Option<(&'static Scenario, &'static Step)> {
    let scenario = SCENARIOS.iter().find(|scenario| scenario.id == query.name)?;
    Some((scenario, scenario.steps.get(query.step)?))
}

async fn act(app: &App, posted: &Posted, query: &Query) -> Result<Value, Failure> {
    let member = &posted.member;
    if !rights::operates(member.role()) {
        return Err(rights::refusal(member.role()));
    }
    let phones = app.phones().ok_or_else(simulator::elsewhere)?;
    let (scenario, step) = find(query).ok_or_else(|| Failure::new(Code::NotFound, "there is no such step"))?;
    let senders = app.recent_senders(member).await?;
    let own = simulator::own(&senders);
    let (person, value) = (query.person.as_str(), |name: &str| posted.get(&format!("arg-{name}")));
    let spoken = simulator::required(value("text"));
    let result = match step.act {
        Act::Tool(name) => tool(app, posted, &query.agent, name).await,
        Act::Write(channel) => {
            let channel = Channel::parse(channel).ok_or_else(Failure::internal)?;
            let written = PersonText {
                channel,
                from: person,
                to: address(&senders, &query.agent, channel)?,
                subject: None,
                body: value("text"),
            };
            phones.write(&own, written).await.map(|()| Value::Null)
        }
        Act::Dial => {
            let to = address(&senders, &query.agent, Channel::Voice)?;
            phones.dial(&own, person, to).map(|()| Value::Null)
        }
        Act::Say => phones
            .act(&own, person, &PhoneAction::Say(spoken?))
            .map(|()| Value::Null),
        Act::Interrupt => {
            let action = PhoneAction::Interrupt(spoken?);
            phones.act(&own, person, &action).map(|()| Value::Null)
        }
        Act::HangUp => phones.act(&own, person, &PhoneAction::HangUp).map(|()| Value::Null),
        Act::Fault if !member.session().is_operator => Err(Failure::new(
            Code::AuthForbidden,
            "faults of carriers are for operators of the installation",
        )),
        Act::Fault => phones
            .inject_fault(value("carrier"), value("kind"), 1)
            .map(|()| Value::Null),
    };
    let code = result.as_ref().err().map(|failure| failure.code.as_str());
    let detail = json!({ "scenario": scenario.id, "step": query.step, "agent": query.agent, "code": code });
    app.note(member, "scenario.run", step.title, detail).await;
    result
}

async fn tool(app: &App, posted: &Posted, agent: &str, name: &str) -> Result<Value, Failure> {
    let definition = operations::all().iter().find(|definition| definition.name == name);
    let definition = definition.ok_or_else(Failure::internal)?;
    let args = form::read(&definition.tool_schema, &posted.fields)?;
    app.call_as_agent(&posted.member, agent, name, Value::Object(args))
        .await
}

/// Returns the agent's address on a channel.
fn address<'a>(senders: &'a [Sender], agent: &str, channel: Channel) -> Result<&'a str, Failure> {
    let is_own = |sender: &&Sender| sender.agent.as_ref().is_some_and(|own| own.host_id() == agent);
    let mut own = senders.iter().filter(is_own);
    let found = own.find(|sender| sender.channel == channel);
    found.map(|sender| sender.address.as_str()).ok_or_else(|| {
        Failure::new(
            Code::NoChannelAssigned,
            format!("this agent has no address on {channel}"),
        )
        .hint("give the agent one, or choose another agent")
    })
}

async fn render(app: &App, member: &Member, mut query: Query, ran: Option<Ran<'_>>) -> Response {
    let Some(phones) = app.phones() else {
        return page::member(app, member, Place::Simulator, "Scenarios", &simulator::absent(app));
    };
    let read = tokio::try_join!(
        app.recent_senders(member),
        app.call(member, "list_agents", json!({ "limit": 200 }))
    );
    let (senders, agents) = match read {
        Ok(read) => read,
        Err(failure) => return page::member_failed(app, member, Place::Simulator, &failure),
    };
    let agents = list(&agents, "agents");
    if query.person.is_empty() {
        simulator::FIRST_PERSON.clone_into(&mut query.person);
    }
    let reachable = |agent: &&Value| {
        let id = text(agent, "agentId");
        text(agent, "status") == "active"
            && owners(&senders).any(|(owner, channel)| owner == id && channel == Channel::Sms)
    };
    if query.agent.is_empty() {
        let first = agents.iter().find(reachable).or(agents.first());
        first
            .map_or("", |agent| text(agent, "agentId"))
            .clone_into(&mut query.agent);
    }
    let own = simulator::own(&senders);
    let scene = Scene {
        app,
        member,
        phones,
        own: &own,
        agents,
        query: &query,
    };
    let body = html! {
        div {
            p class="crumbs" { a href=(app.path("/simulator")) { "Simulator" } " / Scenarios" }
            (parts::head("Scenarios", "Typical exchanges, step by step. Each step really happens: the agent's rules, limits and budget apply, and nothing leaves this machine.", &html! {}))
        }
        @if agents.is_empty() {
            section class="card flush" aria-label="Scenarios" {
                (parts::empty("No agents yet", "A scenario runs with one of your agents.", Some((&app.path("/agents"), "Create an agent"))))
            }
        } @else if !rights::operates(member.role()) {
            (parts::failure(&rights::refusal(member.role())))
        } @else {
            (views::chooser(&scene))
            @if let Some((scenario, step)) = find(&query) { (views::one(&scene, scenario, step, ran.as_ref())) }
            @else { (views::overview(&scene)) }
        }
    };
    page::member(app, member, Place::Simulator, "Scenarios", &body)
}

/// Returns the owners of addresses, with the channels.
fn owners(senders: &[Sender]) -> impl Iterator<Item = (&str, Channel)> {
    let owned = senders
        .iter()
        .filter_map(|sender| Some((sender.agent.as_ref()?, sender.channel)));
    owned.map(|(agent, channel)| (agent.host_id(), channel))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_found_within_their_scenario_only() {
        let query = |name: &str, step: usize| Query {
            name: name.to_owned(),
            step,
            ..Query::default()
        };
        assert!(find(&query("text", 0)).is_some() && find(&query("text", 4)).is_none());
        assert!(find(&query("none", 0)).is_none());
    }
}
