//! `comms_make_call`: somebody is called, and talked with.

use butt_dial_comms::calls::place::{self, PlaceRequest};
use butt_dial_domain::{Failure, Scope, call::Purpose};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::views::PlacedView;
use crate::operations::{Context, Hints, Operation, Route};

pub struct MakeCall;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// A telephone number in E.164 form (+14155550123), or the id of an agent of your organization.
    to: String,
    /// What you want to know of this call with each turn of it: what it is about, and how you want to speak.
    #[serde(default, alias = "system_prompt")]
    system_prompt: Option<String>,
    /// Your first words. Before them the person is told that an AI calls, and for whom.
    #[serde(default)]
    greeting: Option<String>,
    /// The carrier's name of a voice.
    #[serde(default)]
    voice: Option<String>,
    /// What is spoken, as in en-US.
    #[serde(default)]
    language: Option<String>,
    /// How long the call may last: 30 to 3600, which is also what counts where nothing is said.
    #[serde(default, alias = "time_limit_seconds")]
    time_limit_seconds: Option<u32>,
    /// How long it may ring: 5 to 120, 30 where nothing is said.
    #[serde(default, alias = "ring_seconds")]
    ring_seconds: Option<u32>,
    /// true: the carrier finds out whether a machine answers, which is then left your greeting.
    #[serde(default, alias = "machine_detection")]
    machine_detection: bool,
    /// The same key calls once: a repeat returns the first call. Use a new one for every new call.
    #[serde(default, alias = "idempotency_key")]
    idempotency_key: Option<String>,
    /// For administrators: the agent to call as.
    #[serde(default, alias = "agent_id")]
    agent_id: Option<String>,
    /// Taken, and not used.
    #[serde(default, alias = "recipient_timezone")]
    #[expect(dead_code, reason = "clients send it")]
    recipient_timezone: Option<String>,
    /// Taken, and not used: name a voice instead.
    #[serde(default, alias = "target_gender")]
    #[expect(dead_code, reason = "clients send it")]
    target_gender: Option<String>,
    /// Taken, and not used: you are the one who talks.
    #[serde(default)]
    orchestrator: Option<Value>,
}

impl Operation for MakeCall {
    const NAME: &'static str = "comms_make_call";
    const TITLE: &'static str = "Call somebody";
    const DESCRIPTION: &'static str = "Calls a person from your own number. You are the one who talks: what the person says comes \
        to you as turns. Right after this call comms_attend_call with the callId, and answer each turn with comms_call_reply, \
        which returns the next one. Returns callId and status. Give an idempotencyKey, and repeat it when you are not sure \
        whether a call went through: the person is called once. [scope: agent]";
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

    type Args = Args;
    type Output = PlacedView;

    async fn run(context: Context, args: Args) -> Result<PlacedView, Failure> {
        let request = PlaceRequest {
            agent: args.agent_id,
            greeting: args.greeting,
            system_prompt: args.system_prompt,
            voice: args.voice,
            language: args.language,
            limit_seconds: args.time_limit_seconds,
            ring_seconds: args.ring_seconds,
            detects_machine: args.machine_detection,
            idempotency_key: args.idempotency_key,
            ..PlaceRequest::new(context.caller, args.to, Purpose::Converse)
        };
        let mut placed = PlacedView::from(place::place(&context.comms, request).await?);
        if args.orchestrator.is_some_and(|orchestrator| !orchestrator.is_null()) {
            placed
                .advisories
                .push("orchestrator is not used: what is said in the call comes to you");
        }
        Ok(placed)
    }
}
