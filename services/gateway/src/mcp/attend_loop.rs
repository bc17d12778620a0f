//! `comms_attend_call` for clients of the stateless revision that have a model: one tool call holds a conversation. Each turn
//! is a round (SEP-2322): the client is asked for a completion and repeats its request with it; what it says is spoken, and
//! the same request waits for the next turn. Nothing is kept here between two rounds.

use butt_dial_comms::calls::{
    continuation::ContinuationToken,
    known,
    commands::{self, CallCommand, CompletedCommand},
    sampling,
    notifications::{CallSubscription, CallNotification},
};
use butt_dial_domain::{AgentId, CallId, Code, Failure, Scope};
use rmcp::{
    RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, InputRequest, InputRequests, InputRequiredResult, InputResponses,
    },
    service::RequestContext,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{handler::is_stateless, tools::answer};
use crate::operations::{
    Context, Definition, Operation,
    calls::{
        Next,
        attend_call::{Args, AttendCall, Output, arrive},
        next_turn, open_ear, patience,
    },
    read_args,
};

/// Clients end a call that has more.
const ROUNDS: u32 = 8;
/// Of one answer: half a minute of speech.
const MAX_TOKENS: u32 = 300;

pub fn is_wanted(definition: &Definition, context: &RequestContext<RoleServer>) -> bool {
    definition.name == AttendCall::NAME && is_stateless(context) && can_sample(context)
}

fn can_sample(context: &RequestContext<RoleServer>) -> bool {
    let capabilities = context.client_capabilities();
    capabilities.is_some_and(|capabilities| capabilities.sampling.is_some())
}

pub async fn attend(context: &Context, request: CallToolRequestParams) -> CallToolResponse {
    match run(context, request).await {
        Ok(Round::Ask(question)) => CallToolResponse::InputRequired(*question),
        Ok(Round::Over(output)) => {
            let text = serde_json::to_string(&output).map_err(|error| {
                tracing::error!(%error, "a result could not be written");
                Failure::internal()
            });
            answer(text).into()
        }
        Err(failure) => answer(Err(failure)).into(),
    }
}

enum Round {
    Ask(Box<InputRequiredResult>),
    Over(Box<Output>),
}

fn over(status: &'static str, call: Option<CallId>) -> Round {
    Round::Over(Box::new(Output {
        status,
        call_id: call.map(CallId::into_string),
        next: None,
    }))
}

async fn run(context: &Context, request: CallToolRequestParams) -> Result<Round, Failure> {
    context.caller.require(Scope::Agent)?;
    let (comms, profile) = (&context.comms, context.caller.agent()?);
    let (agent, org) = (&profile.agent.id, &profile.agent.org_id);
    let args: Args = read_args(request.arguments.unwrap_or_default())?;
    let attendance = match &request.request_state {
        Some(sealed) => {
            let opened = ContinuationToken::open(&comms.vault, org, agent, sealed);
            Some(opened.ok_or_else(|| {
                Failure::new(
                    Code::InvalidArgument,
                    "requestState is not one that was handed out to you",
                )
            })?)
        }
        None => None,
    };
    let call = match (&attendance, &args.call_id) {
        (Some(attendance), _) => Some(attendance.call.clone()),
        (None, Some(id)) => Some(lookup::resolve(comms, agent, id).await?),
        (None, None) => None,
    };
    // Before anything is said, so that no answer to it is missed.
    let mut ear = open_ear(comms, agent, call.as_ref()).await?;
    let mut attending = Attending {
        context,
        agent,
        call,
        round: attendance.as_ref().map_or(0, |attendance| attendance.round),
        until: Instant::now() + patience(args.wait_ms),
    };
    let pending = match attendance {
        Some(attendance) => match attending.speak(&attendance, request.input_responses).await? {
            Spoken::Yes(pending) if attending.round < ROUNDS => pending,
            Spoken::Over => return Ok(over("ended", attending.call)),
            Spoken::Yes(_) | Spoken::Nothing => return Ok(over("continue", attending.call)),
        },
        None => arrive(comms, agent, attending.call.as_ref(), &mut ear)
            .await?
            .map(Box::new),
    };
    attending.next_round(&mut ear, pending).await
}

/// One tool call's part in a telephone call.
struct Attending<'a> {
    context: &'a Context,
    agent: &'a AgentId,
    /// `None`: whichever is next.
    call: Option<CallId>,
    /// How many there were.
    round: u32,
    until: Instant,
}

enum Spoken {
    /// With the turn that waits already.
    Yes(Option<Box<CallNotification>>),
    /// The client's model had nothing to say.
    Nothing,
    Over,
}

impl Attending<'_> {
    async fn give(&self, call: &CallId, order: CallCommand) -> Result<CompletedCommand, Failure> {
        commands::send(&self.context.comms, self.agent, call, order).await
    }

    async fn speak(&self, attendance: &ContinuationToken, responses: Option<InputResponses>) -> Result<Spoken, Failure> {
        let name = name(attendance.turn);
        let text = responses.and_then(|mut responses| sampling::text_of(&responses.remove(&name)?));
        let Some(text) = text else {
            return Ok(Spoken::Nothing);
        };
        let order = CallCommand::Answer {
            turn: Some(attendance.turn),
            text,
            is_last: true,
            ends: false,
            // A request that is repeated says it once.
            key: Some(name),
        };
        match self.give(&attendance.call, order).await {
            Ok(done) => Ok(Spoken::Yes(done.pending.map(Box::new))),
            // The caller has spoken again meanwhile, or somebody else has answered.
            Err(failure) if failure.code == Code::TurnSuperseded => {
                let done = self.give(&attendance.call, CallCommand::Attend).await?;
                Ok(Spoken::Yes(done.pending.map(Box::new)))
            }
            Err(failure) if failure.code == Code::CallOver => Ok(Spoken::Over),
            Err(failure) => Err(failure),
        }
    }

    async fn next_round(&mut self, ear: &mut CallSubscription, pending: Option<Box<CallNotification>>) -> Result<Round, Failure> {
        let what = match pending {
            Some(pending) => Next::Turn(pending),
            None => next_turn(self.context, self.agent, ear, &mut self.call, self.until).await?,
        };
        match what {
            Next::Turn(signal) => self.ask(*signal).await,
            Next::Ended(_) => Ok(over("ended", self.call.take())),
            Next::Nothing(_) => Ok(over("continue", self.call.take())),
        }
    }

    async fn ask(&self, signal: CallNotification) -> Result<Round, Failure> {
        let (comms, org) = (&self.context.comms, &self.context.caller.agent()?.agent.org_id);
        let mut state = commands::find_owned_call(comms, self.agent, &signal.call_id).await?;
        // The relay writes the state down behind what it tells.
        state.history = signal.history;
        let turn = signal.turn_id.and_then(|turn| turn.parse().ok());
        state.turn = turn.unwrap_or(state.turn);
        let params = sampling::sampling_params(&state, MAX_TOKENS);
        let question = question(params)?;
        let attendance = ContinuationToken {
            call: signal.call_id,
            turn: state.turn,
            round: self.round + 1,
        };
        let requests: InputRequests = [(name(state.turn), question)].into();
        let sealed = attendance.seal(&comms.vault, org, self.agent);
        let result = InputRequiredResult::new(Some(requests), Some(sealed));
        Ok(Round::Ask(Box::new(result)))
    }
}

fn question(params: Value) -> Result<InputRequest, Failure> {
    let question = json!({ "method": "sampling/createMessage", "params": params });
    serde_json::from_value(question).map_err(|error| {
        tracing::error!(%error, "a question to a client's model could not be written");
        Failure::internal()
    })
}

fn name(turn: u64) -> String {
    format!("turn-{turn}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_asked_as_it_was_meant() {
        let params = json!({
            "messages": [{ "role": "user", "content": { "type": "text", "text": "Hi" } }],
            "systemPrompt": "Be brief.", "maxTokens": 300, "metadata": { "callId": "call_1", "turnId": "1" },
        });
        let asked = question(params.clone()).unwrap();
        let requests: InputRequests = [(name(1), asked)].into();
        let result = json!(InputRequiredResult::new(Some(requests), Some("sealed".into())));
        assert_eq!(result["resultType"], "input_required");
        let sent = &result["inputRequests"]["turn-1"];
        assert_eq!(
            (&sent["method"], &sent["params"]),
            (&json!("sampling/createMessage"), &params)
        );
    }
}
