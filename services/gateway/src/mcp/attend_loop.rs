//! `comms_attend_call` for clients of the stateless revision that support sampling: one tool call is a conversation. Each
//! turn is a round (SEP-2322). The response requests a completion, and the client repeats its request with it; the text is
//! spoken, and the request waits for the next turn. No state is kept between two rounds.

use butt_dial_calls::{
    commands::{self, CallCommand, CompletedCommand},
    continuation::ContinuationToken,
    lookup,
    notifications::{CallNotification, CallSubscription},
    sampling, speech,
};
use butt_dial_domain::{AgentId, CallId, Code, Failure};
use butt_dial_operations::{
    Context, Definition, Operation,
    calls::{
        NextEvent,
        attend_call::{Args, AttendCall, Output, start_attending},
        subscribe_to_calls, wait_timeout, wait_turn,
    },
    granted,
};
use rmcp::{
    RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, InputRequest, InputRequests, InputRequiredResult, InputResponses,
    },
    service::RequestContext,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    protocol::is_stateless,
    tools::{ToolCall, tool_result},
};

/// Clients abort a tool call with more rounds.
const MAX_ROUNDS: u32 = 8;
/// Tokens of one reply: half a minute of speech.
const MAX_TOKENS: u32 = 300;

/// Returns whether a tool call is answered in rounds.
pub fn applies(definition: &Definition, context: &RequestContext<RoleServer>) -> bool {
    definition.name == AttendCall::NAME && is_stateless(context) && can_sample(context)
}

fn can_sample(context: &RequestContext<RoleServer>) -> bool {
    let capabilities = context.client_capabilities();
    capabilities.is_some_and(|capabilities| capabilities.sampling.is_some())
}

/// Runs one round.
pub async fn run(call: &ToolCall, request: CallToolRequestParams) -> CallToolResponse {
    match run_round(&call.operation, call.definition, request).await {
        Ok(Round::Sample(request)) => CallToolResponse::InputRequired(*request),
        Ok(Round::Done(output)) => {
            let text = serde_json::to_string(&output).map_err(|error| {
                tracing::error!(%error, "result not serializable");
                Failure::internal()
            });
            tool_result(text, call.is_structured).into()
        }
        Err(failure) => {
            call.definition.check_declared(&failure);
            tool_result(Err(failure), call.is_structured).into()
        }
    }
}

enum Round {
    /// The client's model has to reply.
    Sample(Box<InputRequiredResult>),
    Done(Box<Output>),
}

fn done(status: &'static str, call: Option<CallId>) -> Round {
    Round::Done(Box::new(Output {
        status,
        call_id: call.map(CallId::into_string),
        next: None,
    }))
}

async fn run_round(
    context: &Context,
    definition: &Definition,
    request: CallToolRequestParams,
) -> Result<Round, Failure> {
    definition.authorize(&context.caller)?;
    let (calls, profile) = (&context.product.calls, context.caller.agent()?);
    let (agent, org) = (&profile.agent.id, &profile.agent.org_id);
    let (args, _): (Args, _) = definition.read_args(request.arguments.unwrap_or_default())?;
    let continuation = match &request.request_state {
        Some(sealed) => {
            let opened = ContinuationToken::open(calls, org, agent, sealed);
            Some(opened.ok_or_else(|| {
                Failure::new(Code::InvalidArgument, "requestState is invalid")
                    .hint("pass the requestState of the last result unchanged")
            })?)
        }
        None => None,
    };
    let call = match (&continuation, &args.call_id) {
        (Some(continuation), _) => {
            Some(lookup::resolve_granted(calls, &context.caller, continuation.call.as_str()).await?)
        }
        (None, Some(id)) => Some(lookup::resolve_granted(calls, &context.caller, id).await?),
        (None, None) => {
            granted::require_any_call(&context.caller)?;
            None
        }
    };
    // Subscribes before the reply is spoken, so that the caller's answer is not missed.
    let mut subscription = subscribe_to_calls(calls, agent, call.as_ref()).await?;
    let mut attending = Attending {
        context,
        agent,
        call,
        round: continuation.as_ref().map_or(0, |continuation| continuation.round),
        deadline: Instant::now() + wait_timeout(args.wait_ms),
    };
    let pending = match continuation {
        Some(continuation) => match attending.speak(&continuation, request.input_responses).await? {
            SpeakOutcome::Spoken(pending) if attending.round < MAX_ROUNDS => pending,
            SpeakOutcome::CallEnded => return Ok(done("ended", attending.call)),
            SpeakOutcome::Spoken(_) | SpeakOutcome::NoText => return Ok(done("continue", attending.call)),
        },
        None => start_attending(calls, agent, attending.call.as_ref(), &mut subscription)
            .await?
            .map(Box::new),
    };
    attending.next_round(&mut subscription, pending).await
}

/// The state of one tool call.
struct Attending<'a> {
    context: &'a Context,
    agent: &'a AgentId,
    /// `None`: the agent's next call.
    call: Option<CallId>,
    /// Number of completed rounds.
    round: u32,
    deadline: Instant,
}

enum SpeakOutcome {
    /// Holds the turn that is already pending.
    Spoken(Option<Box<CallNotification>>),
    /// The client's model returned no text.
    NoText,
    CallEnded,
}

impl Attending<'_> {
    async fn send(&self, call: &CallId, command: CallCommand) -> Result<CompletedCommand, Failure> {
        commands::send(&self.context.product.calls, self.agent, call, command).await
    }

    async fn speak(
        &self,
        continuation: &ContinuationToken,
        responses: Option<InputResponses>,
    ) -> Result<SpeakOutcome, Failure> {
        let name = input_name(continuation.turn);
        let text = responses.and_then(|mut responses| sampling::text_of(&responses.remove(&name)?));
        let Some(text) = text.and_then(|text| speech::model_reply(&text, &Default::default())) else {
            return Ok(SpeakOutcome::NoText);
        };
        let answer = CallCommand::Answer {
            turn: Some(continuation.turn),
            text,
            is_last: true,
            ends: false,
            // A repeated request is spoken once.
            key: Some(name),
            language: None,
            voice: None,
        };
        match self.send(&continuation.call, answer).await {
            Ok(completed) => Ok(SpeakOutcome::Spoken(completed.pending.map(Box::new))),
            // The caller has spoken again, or another client of the agent has replied.
            Err(failure) if failure.code == Code::TurnSuperseded => {
                let completed = self.send(&continuation.call, CallCommand::Attend).await?;
                Ok(SpeakOutcome::Spoken(completed.pending.map(Box::new)))
            }
            Err(failure) if failure.code == Code::CallOver => Ok(SpeakOutcome::CallEnded),
            Err(failure) => Err(failure),
        }
    }

    async fn next_round(
        &mut self,
        subscription: &mut CallSubscription,
        pending: Option<Box<CallNotification>>,
    ) -> Result<Round, Failure> {
        let event = match pending {
            Some(pending) => NextEvent::Turn(pending),
            None => wait_turn(self.context, self.agent, subscription, &mut self.call, self.deadline).await?,
        };
        match event {
            NextEvent::Turn(turn) => self.request_reply(*turn).await,
            NextEvent::Ended(_) => Ok(done("ended", self.call.take())),
            NextEvent::None(_) => Ok(done("continue", self.call.take())),
        }
    }

    /// Requests a reply to the turn from the client's model.
    async fn request_reply(&self, notification: CallNotification) -> Result<Round, Failure> {
        let (calls, org) = (&self.context.product.calls, &self.context.caller.agent()?.agent.org_id);
        let mut state = commands::find_owned_call(calls, self.agent, &notification.call_id).await?;
        // The relay persists the state after it sends the notification.
        state.history = notification.history;
        let turn = notification.turn_id.and_then(|turn| turn.parse().ok());
        state.turn = turn.unwrap_or(state.turn);
        let params = sampling::sampling_params(&state, MAX_TOKENS);
        let sampling = sampling_request(params)?;
        let continuation = ContinuationToken {
            call: notification.call_id,
            turn: state.turn,
            round: self.round + 1,
        };
        let requests: InputRequests = [(input_name(state.turn), sampling)].into();
        let sealed = continuation.seal(calls, org, self.agent);
        let result = InputRequiredResult::new(Some(requests), Some(sealed));
        Ok(Round::Sample(Box::new(result)))
    }
}

fn sampling_request(params: Value) -> Result<InputRequest, Failure> {
    let request = json!({ "method": "sampling/createMessage", "params": params });
    serde_json::from_value(request).map_err(|error| {
        tracing::error!(%error, "sampling request not valid");
        Failure::internal()
    })
}

fn input_name(turn: u64) -> String {
    format!("turn-{turn}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sampling_request_keeps_its_parameters() {
        let params = json!({
            "messages": [{ "role": "user", "content": { "type": "text", "text": "Hi" } }],
            "systemPrompt": "Be brief.", "maxTokens": 300, "metadata": { "callId": "call_1", "turnId": "1" },
        });
        let request = sampling_request(params.clone()).unwrap();
        let requests: InputRequests = [(input_name(1), request)].into();
        let result = json!(InputRequiredResult::new(Some(requests), Some("sealed".into())));
        assert_eq!(result["resultType"], "input_required");
        let sent = &result["inputRequests"]["turn-1"];
        assert_eq!(
            (&sent["method"], &sent["params"]),
            (&json!("sampling/createMessage"), &params)
        );
    }
}
