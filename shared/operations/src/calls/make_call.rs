//! `comms_make_call`: places a call in which the agent talks with the person.

use butt_dial_calls::originate::{self, OriginateRequest};
use butt_dial_domain::{
    Code, Failure, Scope, SendPurpose, bounds,
    call::{InterruptSensitivity, Purpose},
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{require_storage, views::PlacedView};
use crate::{Context, Hints, Operation, Route, compliance::parse_purpose, errors};

pub struct MakeCall;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// A telephone number in E.164 form (+14155550123), or the id of an agent of your organization.
    #[schemars(extend("examples" = ["+14155550123"]))]
    to: String,
    /// Instructions that you receive with each turn of this call: its purpose, and how to speak.
    #[serde(default)]
    #[schemars(extend("x-brief" = "Returned to you with each turn."))]
    #[schemars(length(max = bounds::PROMPT))]
    #[schemars(extend("x-error" = "INVALID_CONTENT"))]
    system_prompt: Option<String>,
    /// Spoken first. A disclosure that an AI calls, and on behalf of which person, precedes it.
    #[serde(default)]
    #[schemars(extend("examples" = ["Hello, it is about your table."]))]
    #[schemars(length(max = bounds::GREETING))]
    #[schemars(extend("x-error" = "INVALID_CONTENT"))]
    greeting: Option<String>,
    /// The carrier's name for a voice.
    #[serde(default)]
    #[schemars(length(max = bounds::VOICE))]
    voice: Option<String>,
    /// The spoken language, such as en-US.
    #[serde(default)]
    #[schemars(extend("examples" = ["en-US"]))]
    language: Option<String>,
    /// The maximum duration of the call: 30 to 3600; the default is 3600.
    #[serde(default)]
    time_limit_seconds: Option<u32>,
    /// How long the call may ring: 5 to 120; the default is 30.
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    ring_seconds: Option<u32>,
    /// true: the carrier detects answering machines, which receive your greeting as a message.
    #[serde(default)]
    machine_detection: bool,
    /// Likely words, such as names and products, for speech recognition.
    #[serde(default)]
    #[schemars(extend("examples" = [["Bücher", "Acme"]]))]
    #[schemars(length(max = bounds::HINTS), inner(length(max = bounds::HINT)))]
    #[schemars(extend("x-brief" = false))]
    hints: Option<Vec<String>>,
    /// Speech that ends yours. high: any word. medium (the default), low: not acknowledgements such as uh-huh.
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    interrupt_sensitivity: Option<InterruptSensitivity>,
    /// The key that ends the input of digits; the default is #. none: no key does.
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    finish_on_key: Option<String>,
    /// true: numbers, prices, dates and addresses are read the way people say them.
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    spoken_forms: Option<bool>,
    /// true: the call is recorded, after an announcement. The default is your setting recordCalls.
    #[serde(default)]
    record: Option<bool>,
    /// A repeated request with the same key places no second call and returns the first one. Use a new key for every call.
    #[serde(default)]
    #[schemars(length(max = bounds::IDEMPOTENCY_KEY))]
    idempotency_key: Option<String>,
    /// The task that this is charged to, besides your account: 1 to 64 letters, digits, -, _, . or :.
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    #[schemars(length(max = bounds::TASK))]
    task_id: Option<String>,
    /// Why you call. The laws about hours and consent depend on it. The default is inferred.
    #[serde(default)]
    #[schemars(with = "Option<SendPurpose>")]
    purpose: Option<String>,
    /// For administrators: the agent to call as.
    #[serde(default)]
    agent_id: Option<String>,
}

impl Operation for MakeCall {
    const NAME: &'static str = "comms_make_call";
    const TITLE: &'static str = "Call a person";
    const DESCRIPTION: &'static str = "Calls a person from your own number; you talk with the person in turns. Then call comms_attend_call with the callId, and \
        answer each turn with comms_call_reply, which returns the next one. Give an idempotencyKey, and repeat the call with \
        the same key when you don't know its outcome: the person is called once. Returns callId and status. [scope: agent]";
    const BRIEF: &'static str = "Calls a person; then use comms_attend_call with the callId.";
    const EXAMPLE: Option<&'static str> =
        Some(r#"{ "to": "+14155550123", "greeting": "Hello, your table is ready." }"#);
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: false,
        open_world: true,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/calls",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[errors::SEND];
    // The Python client sends a time zone and a gender, among others.
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = PlacedView;

    async fn run(context: Context, args: Args) -> Result<PlacedView, Failure> {
        require_storage(&context, args.record)?;
        let request = OriginateRequest {
            agent: args.agent_id,
            send_purpose: parse_purpose(args.purpose.as_deref())?,
            greeting: args.greeting,
            system_prompt: args.system_prompt,
            voice: args.voice,
            language: args.language,
            limit_seconds: args.time_limit_seconds,
            ring_seconds: args.ring_seconds,
            detects_machine: args.machine_detection,
            hints: args.hints.unwrap_or_default(),
            interrupt_sensitivity: args.interrupt_sensitivity,
            finish_on_key: args.finish_on_key,
            spoken_forms: args.spoken_forms,
            is_recorded: args.record,
            idempotency_key: args.idempotency_key,
            task: args.task_id,
            ..OriginateRequest::new(context.caller, args.to, Purpose::Converse)
        };
        Ok(originate::originate(&context.product.calls, request).await?.into())
    }
}
