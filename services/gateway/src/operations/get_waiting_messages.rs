//! `comms_get_waiting_messages`: what happened while the agent was away. Reading it takes it.

use butt_dial_comms::waiting;
use butt_dial_domain::{Channel, Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Context, Hints, Operation, Route, views::time};

pub struct GetWaitingMessages;

#[derive(Deserialize, JsonSchema)]
pub struct Args {
    /// 1 to 200; 50 where nothing is said.
    #[serde(default)]
    limit: Option<u32>,
    /// Only this channel.
    #[serde(default)]
    channel: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    messages: Vec<Map<String, Value>>,
    count: usize,
}

impl Operation for GetWaitingMessages {
    const NAME: &'static str = "comms_get_waiting_messages";
    const TITLE: &'static str = "Waiting messages";
    const DESCRIPTION: &'static str = "Hands out, oldest first, what waits for you: outcomes of messages that were pending. Each \
        is handed out once. [scope: agent]";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: false,
        open_world: false,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/waiting-messages",
        status: 200,
    });

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let agent = &context.caller.agent()?.agent.id;
        // The Python client may ask for channels that nothing can wait on yet.
        let channel = match args.channel.as_deref() {
            None => None,
            Some("voice" | "line" | "telegram") => {
                return Ok(Output {
                    messages: Vec::new(),
                    count: 0,
                });
            }
            Some(text) => Some(Channel::parse(text).ok_or_else(|| {
                Failure::new(
                    Code::InvalidArgument,
                    "channel is one of sms, whatsapp, email, voice, line",
                )
            })?),
        };
        let events = waiting::take(&context.comms, agent, channel, args.limit.unwrap_or(50)).await?;
        let messages: Vec<_> = events
            .into_iter()
            .map(|event| {
                let mut message = match event.data {
                    Value::Object(fields) => fields,
                    other => Map::from_iter([("data".to_owned(), other)]),
                };
                message.insert("id".into(), json!(event.id));
                message.insert("seq".into(), json!(event.seq));
                message.insert("event".into(), json!(event.kind));
                message.insert("reason".into(), json!(event.reason));
                message
                    .entry("timestamp")
                    .or_insert_with(|| json!(time(event.created_at)));
                message
            })
            .collect();
        Ok(Output {
            count: messages.len(),
            messages,
        })
    }
}
