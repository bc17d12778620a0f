//! `comms_wait_events`: waits for the agent's next events.

use std::{sync::Arc, time::Duration};

use butt_dial_calls::{
    Calls,
    notifications::{CallSubscription, NotificationKind},
};
use butt_dial_domain::{AgentId, Code, Failure, Scope};
use butt_dial_identity::Caller;
use butt_dial_messaging::delivery::PageQuery;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Context, Hints, Operation, Route, WaitOutcome,
    calls::{TurnView, subscribe_to_calls},
    errors,
    pages::{Cursor, PageView, kinds},
};

const DEFAULT_MS: u64 = 25_000;
/// Proxies and clients abort longer calls.
const MAX_MS: u64 = 50_000;
const LIMIT: u32 = 100;
/// A turn is returned again after this time, so that a lost response does not leave the caller without a reply.
const TURN_REPEAT: Duration = Duration::from_secs(4);
const INCOMING_REPEAT: Duration = Duration::from_secs(20);
/// Kinds of events of live calls.
const CALL_KINDS: [&str; 2] = ["call.incoming", "call.turn"];

pub struct WaitEvents;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// The cursor of the last result. It acknowledges the events up to it, with types only those of these kinds: they are not
    /// delivered again, and their contents are deleted. The default is the first event that is not acknowledged.
    #[serde(default)]
    #[schemars(extend("x-brief" = "Of the last result; acknowledges it."))]
    cursor: Option<Cursor>,
    /// Only these kinds, such as message.received, message.status, call.incoming, call.turn and call.ended. Other kinds are
    /// skipped and still wait. Empty: all kinds.
    #[serde(default)]
    #[schemars(extend("examples" = [["message.received", "message.status"]]))]
    types: Vec<String>,
    /// How long to wait for the first event, in milliseconds; the default is 25000. 0 does not wait, and no wait is longer than 50000.
    #[serde(default)]
    timeout_ms: Option<u64>,
}

impl Operation for WaitEvents {
    const NAME: &'static str = "comms_wait_events";
    const TITLE: &'static str = "Wait for events";
    const DESCRIPTION: &'static str = "Waits for your next events (messages from people, status changes of your messages, incoming calls and callers' turns) \
        and returns them at once: events, cursor, hasMore. Call it again with the returned cursor; the cursor acknowledges \
        what was returned up to it, so pass it only after you have processed them. Answer a call.turn at once with \
        comms_call_reply, because the caller waits on the line. [scope: agent]";
    const BRIEF: &'static str = "Waits for your next events: messages, status changes, calls.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = None;
    const ERRORS: &'static [&'static [Code]] = &[errors::WAIT];

    type Args = Args;
    type Output = PageView;

    async fn run(context: Context, args: Args) -> Result<PageView, Failure> {
        let (delivery, calls) = (&context.product.delivery, &context.product.calls);
        let profile = context.caller.agent()?;
        let (agent, org) = (&profile.agent.id, &profile.agent.org_id);
        let kinds = kinds(args.types);
        let after = match args.cursor {
            Some(cursor) => {
                let after = cursor.position()?;
                delivery.check_cursor(agent, after).await?;
                delivery.acknowledge_kinds(agent, after, &kinds).await?;
                after
            }
            None => delivery.undelivered_cursor(agent, &kinds).await?,
        };
        let query = PageQuery {
            after: Some(after),
            kinds,
            limit: LIMIT,
        };
        let timeout = Duration::from_millis(args.timeout_ms.unwrap_or(DEFAULT_MS).min(MAX_MS));
        let mut call_events = CallEvents::subscribe(calls, &context.caller, agent, &query.kinds).await;
        let waited = context.request.wait(async {
            tokio::select! {
                biased;
                turn = call_events.next(calls) => Ok(PageView::of_call(after, turn)),
                page = delivery.wait_events(org, agent, &query, timeout) => page.map(PageView::from),
            }
        });
        match waited.await? {
            WaitOutcome::Done(page) => page,
            WaitOutcome::Draining => Ok(PageView::empty(after, Some("draining"))),
            WaitOutcome::Gone => Ok(PageView::empty(after, None)),
        }
    }
}

/// Events of the agent's live calls. They are not in the log, because the caller waits for the reply.
struct CallEvents {
    /// `None`: the agent does not want events of calls, or the bus is not available.
    subscription: Option<CallSubscription>,
    /// Empty: all kinds.
    kinds: Vec<String>,
}

impl CallEvents {
    async fn subscribe(calls: &Arc<Calls>, caller: &Caller, agent: &AgentId, kinds: &[String]) -> Self {
        // A turn that this caller may not answer is left to others.
        let is_wanted = caller.may_take_any_call()
            && (kinds.is_empty() || kinds.iter().any(|kind| CALL_KINDS.contains(&kind.as_str())));
        if !is_wanted {
            return Self {
                subscription: None,
                kinds: Vec::new(),
            };
        }
        // Without events of calls, the agent still receives those of the log.
        let mut subscription = subscribe_to_calls(calls, agent, None).await.ok();
        if let Some(subscription) = &mut subscription {
            subscription.announce_presence(agent).await;
        }
        Self {
            subscription,
            kinds: kinds.to_vec(),
        }
    }

    /// Waits for the next event. Never returns without a subscription.
    async fn next(&mut self, calls: &Calls) -> TurnView {
        let kinds = &self.kinds;
        let is_wanted = |event: NotificationKind| {
            // The log reports the end of a call.
            event != NotificationKind::Ended && (kinds.is_empty() || kinds.iter().any(|kind| kind == event.as_str()))
        };
        if let Some(subscription) = &mut self.subscription {
            while let Some(offer) = subscription.recv().await {
                let event = offer.notification.event;
                if is_wanted(event)
                    && calls.is_first_within(&offer.notification, repeat_interval(event)).await
                    && let Some(notification) = offer.claim(calls).await
                {
                    return notification.into();
                }
            }
        }
        std::future::pending().await
    }
}

/// Returns the interval at which an unanswered notification is repeated. Relays repeat it whenever the agent waits; an agent
/// that polls in a loop and ignores calls must not receive one in each round.
fn repeat_interval(event: NotificationKind) -> Duration {
    match event {
        NotificationKind::Turn => TURN_REPEAT,
        NotificationKind::Incoming | NotificationKind::Ended => INCOMING_REPEAT,
    }
}
