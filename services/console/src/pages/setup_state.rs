//! The steps of the set-up. A step is done by facts, or because a person has left it out.

use butt_dial_domain::Failure;
use serde_json::{Value, json};

use crate::{
    app::App,
    format::{field, list, text},
    member::Member,
};

/// A step after key and owner, which are done when the page is seen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Carriers,
    Agent,
    Limits,
    Connect,
    Message,
}

pub const STEPS: [Step; 5] = [Step::Carriers, Step::Agent, Step::Limits, Step::Connect, Step::Message];

impl Step {
    /// The name in the path and in the mark.
    pub fn name(self) -> &'static str {
        match self {
            Self::Carriers => "carriers",
            Self::Agent => "agent",
            Self::Limits => "limits",
            Self::Connect => "connect",
            Self::Message => "message",
        }
    }

    pub fn label(self) -> &'static str {
        match self {
            Self::Carriers => "Choose the carriers",
            Self::Agent => "Create the first agent",
            Self::Limits => "Limit what it may spend",
            Self::Connect => "Connect a client",
            Self::Message => "Send the first message",
        }
    }
}

/// The state of the steps, and the facts that they need.
pub struct Steps {
    done: Vec<Step>,
    marks: Vec<String>,
    /// The first agent.
    pub agent: Option<Value>,
    pub last_message: Option<Value>,
    /// The organization's accounts at vendors.
    pub providers: Vec<Value>,
}

impl Steps {
    pub fn is_done(&self, step: Step) -> bool {
        self.done.contains(&step) || self.marks.iter().any(|mark| mark == step.name())
    }

    pub fn next(&self) -> Option<Step> {
        STEPS.into_iter().find(|step| !self.is_done(*step))
    }

    /// Returns the number of open steps, if there are any.
    pub fn open_count(&self) -> Option<usize> {
        let open = STEPS.iter().filter(|step| !self.is_done(**step)).count();
        (open > 0).then_some(open)
    }

    pub fn next_label(&self) -> String {
        self.next()
            .map_or_else(String::new, |step| format!("Next: {}.", step.label().to_lowercase()))
    }

    /// Returns whether no step was touched and nothing was sent.
    pub fn is_untouched(&self) -> bool {
        self.marks.is_empty() && self.last_message.is_none()
    }
}

/// Reads the state of the steps. `overview` is the result of `get_overview`.
pub async fn read(app: &App, member: &Member, overview: &Value) -> Result<Steps, Failure> {
    let marks = app.console().list_marks(&member.inner.org).await?;
    let agents = app.call(member, "list_agents", json!({ "limit": 1 })).await?;
    let agent = match list(&agents, "agents").first() {
        Some(agent) => Some(
            app.call(member, "get_agent", json!({ "agentId": text(agent, "agentId") }))
                .await?,
        ),
        None => None,
    };
    let messages = app.call(member, "list_messages", json!({ "limit": 1 })).await?;
    let providers = app.call(member, "list_providers", json!({})).await?;
    app.flush_last_used().await;
    let tokens = match &agent {
        Some(agent) => {
            app.call(
                member,
                "list_agent_tokens",
                json!({ "agentId": text(agent, "agentId") }),
            )
            .await?
        }
        None => Value::Null,
    };
    let mut done = Vec::new();
    if list(&providers, "providers")
        .iter()
        .any(|provider| provider["verified"] == true)
    {
        done.push(Step::Carriers);
    }
    let has_address = agent
        .as_ref()
        .and_then(|agent| agent["channels"].as_object())
        .is_some_and(|all| !all.is_empty());
    if has_address {
        done.push(Step::Agent);
    }
    let limits = overview["spend"]["limits"].as_object();
    if limits.is_some_and(|limits| limits.contains_key("maxSpendPerDay") || limits.contains_key("maxSpendPerMonth")) {
        done.push(Step::Limits);
    }
    if list(&tokens, "tokens")
        .iter()
        .any(|token| !field(token, "lastUsedAt").is_null())
    {
        done.push(Step::Connect);
    }
    let last_message = list(&messages, "messages").first().cloned();
    if last_message
        .as_ref()
        .is_some_and(|message| matches!(text(message, "status"), "delivered" | "read"))
    {
        done.push(Step::Message);
    }
    Ok(Steps {
        done,
        marks,
        agent,
        last_message,
        providers: list(&providers, "providers").to_vec(),
    })
}
