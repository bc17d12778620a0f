//! `list_callback_attempts`: the requests to the callbacks of the organization's agents, newest first.

use butt_dial_domain::{Code, Failure, Scope, bounds};
use butt_dial_messaging::delivery::{CallbackAttempt, CallbackAttemptFilter};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route, time};

const DEFAULT_LIMIT: u32 = 50;

pub struct ListCallbackAttempts;

#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Args {
    /// Only of this agent.
    agent_id: Option<String>,
    /// Only of this event.
    event_id: Option<String>,
    /// true: only those without success.
    failed: bool,
    /// nextCursor of the page before.
    before: Option<String>,
    /// 1 to 200; the default is 50.
    #[schemars(range(min = 1, max = bounds::PAGE))]
    limit: Option<u32>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// Newest first. Of each event the newest twenty are kept, for two weeks.
    attempts: Vec<AttemptView>,
    count: usize,
    /// Pass it as before. Present when there may be more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A request to a callback.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttemptView {
    id: String,
    agent_id: String,
    /// Also the header webhook-id of the request.
    event_id: String,
    event_type: String,
    /// delivered, gone (410: the callback was removed) or failed.
    outcome: String,
    /// The status of the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    http_status: Option<i64>,
    /// Why there was no response.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    milliseconds: i64,
    /// The earliest time of the next request. Absent after a failure: the event waits for the agent, or for a replay.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_at: Option<String>,
    at: String,
}

impl From<CallbackAttempt> for AttemptView {
    fn from(attempt: CallbackAttempt) -> Self {
        Self {
            agent_id: attempt.agent().host_id().to_owned(),
            id: attempt.id,
            event_id: attempt.event_id,
            event_type: attempt.event_type,
            outcome: attempt.outcome,
            http_status: attempt.http_status,
            error: attempt.error,
            milliseconds: attempt.milliseconds,
            retry_at: attempt.retry_at.map(time),
            at: time(attempt.at),
        }
    }
}

impl Operation for ListCallbackAttempts {
    const NAME: &'static str = "list_callback_attempts";
    const TITLE: &'static str = "Requests to callbacks";
    const DESCRIPTION: &'static str = "Lists the requests to the callbacks of your agents, newest first, in pages: when, the response or the error, and how long it took. \
        Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/callback-attempts",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let (product, org) = (&context.product, context.caller.org()?);
        let agent = match args.agent_id.as_deref() {
            Some(id) => Some(product.agents.get(&context.caller, id).await?.agent.id),
            None => None,
        };
        let limit = args.limit.unwrap_or(DEFAULT_LIMIT);
        let filter = CallbackAttemptFilter {
            agent: agent.as_ref(),
            event: args.event_id.as_deref(),
            only_failed: args.failed,
            before: args.before.as_deref(),
        };
        let found = product.delivery.list_callback_attempts(org, &filter, limit).await?;
        let attempts: Vec<AttemptView> = found.into_iter().map(AttemptView::from).collect();
        let last = attempts.last().filter(|_| attempts.len() >= limit as usize);
        Ok(Output {
            next_cursor: last.map(|last| last.id.clone()),
            count: attempts.len(),
            attempts,
        })
    }
}
