//! `comms_wait_events`: the agent's next events, as soon as there are any.

use std::time::Duration;

use butt_dial_comms::{
    Comms,
    calls::signal::{Ear, Event, Signal},
    delivery::log,
};
use butt_dial_domain::{AgentId, Failure, Scope, keys};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Context, Hints, Operation, Route,
    call::Wanted,
    calls::{self, TurnView},
    pages::{Cursor, PageView, kinds},
};

const DEFAULT_MS: u64 = 25_000;
/// Proxies and clients give up on longer calls.
const MAX_MS: u64 = 50_000;
const LIMIT: u32 = 100;
/// A turn whose answer was lost is told again before the caller has given up.
const TURN_AGAIN: Duration = Duration::from_secs(4);
const INCOMING_AGAIN: Duration = Duration::from_secs(20);
/// What is told of calls that last.
const KINDS: [&str; 2] = ["call.incoming", "call.turn"];

pub struct WaitEvents;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// Of the last result. Everything up to it counts as received: it is not delivered again, and what was said in it is
    /// forgotten. Without a cursor: from the first event that you do not have.
    #[serde(default)]
    cursor: Option<Cursor>,
    /// Only these kinds, such as message.received, message.status, call.incoming, call.turn and call.ended; others are
    /// passed over. Empty: all.
    #[serde(default)]
    types: Vec<String>,
    /// How long to wait for the first event: 25000 where nothing is said, at most 50000. 0 does not wait.
    #[serde(default, alias = "timeout_ms")]
    timeout_ms: Option<u64>,
}

impl Operation for WaitEvents {
    const NAME: &'static str = "comms_wait_events";
    const TITLE: &'static str = "Wait for events";
    const DESCRIPTION: &'static str = "Waits for what happens next (messages from people, what became of yours, somebody who calls \
        you or has said something in a call) and returns it at once: events, cursor, hasMore; no events when nothing came in time. Call it again with the cursor of the result: passing \
        a cursor acknowledges everything up to it, so do it only when you have dealt with those events. Answer a call.turn at \
        once with comms_call_reply: the caller waits on the line. [scope: agent]";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = None;

    type Args = Args;
    type Output = PageView;

    async fn run(context: Context, args: Args) -> Result<PageView, Failure> {
        let (comms, call) = (&context.comms, &context.call);
        let profile = context.caller.agent()?;
        let (agent, org) = (&profile.agent.id, &profile.agent.org_id);
        let after = match args.cursor {
            Some(cursor) => {
                let after = cursor.position()?;
                log::check_cursor(comms, agent, after).await?;
                log::acknowledge(comms, agent, after).await?;
                after
            }
            None => log::unread(comms, agent).await?,
        };
        let wanted = log::Wanted {
            after: Some(after),
            kinds: kinds(args.types),
            limit: LIMIT,
        };
        let patience = Duration::from_millis(args.timeout_ms.unwrap_or(DEFAULT_MS).min(MAX_MS));
        let mut calls = Calls::open(comms, agent, &wanted.kinds).await;
        let waited = call.while_wanted(async {
            tokio::select! {
                biased;
                turn = calls.next(comms) => Ok(PageView::of_call(after, turn)),
                page = log::wait(comms, org, agent, &wanted, patience) => page.map(PageView::from),
            }
        });
        match waited.await? {
            Wanted::Done(page) => page,
            Wanted::Draining => Ok(PageView::empty(after, Some("draining"))),
            Wanted::Gone => Ok(PageView::empty(after, None)),
        }
    }
}

/// What the agent's calls have to say, as long as it waits. It stands in no log: a caller waits for the answer.
struct Calls {
    ear: Option<Ear>,
    /// Empty: all.
    kinds: Vec<String>,
}

impl Calls {
    async fn open(comms: &Comms, agent: &AgentId, kinds: &[String]) -> Self {
        let wants = kinds.is_empty() || kinds.iter().any(|kind| KINDS.contains(&kind.as_str()));
        if !wants {
            return Self {
                ear: None,
                kinds: Vec::new(),
            };
        }
        // Events can be waited for all the same.
        let mut ear = calls::open_ear(comms, agent, None).await.ok();
        if let Some(ear) = &mut ear {
            ear.announce(agent).await;
        }
        Self {
            ear,
            kinds: kinds.to_vec(),
        }
    }

    /// Pends for ever where nothing is said.
    async fn next(&mut self, comms: &Comms) -> TurnView {
        let kinds = &self.kinds;
        let is_wanted = |signal: &Signal| {
            // That a call is over stands in the log.
            signal.event != Event::Ended && (kinds.is_empty() || kinds.iter().any(|kind| kind == signal.event.as_str()))
        };
        if let Some(ear) = &mut self.ear {
            while let Some(offered) = ear.hear().await {
                if is_wanted(&offered.signal)
                    && is_news(comms, &offered.signal).await
                    && let Some(signal) = offered.take(comms).await
                {
                    return signal.into();
                }
            }
        }
        std::future::pending().await
    }
}

/// Relays say again what is not answered whenever the agent waits. Whoever waits in a loop and does not care for calls must not
/// be told of one in each round.
async fn is_news(comms: &Comms, signal: &Signal) -> bool {
    let what = signal.turn_id.as_deref().unwrap_or("incoming");
    let again_after = match signal.event {
        Event::Turn => TURN_AGAIN,
        Event::Incoming | Event::Ended => INCOMING_AGAIN,
    };
    let told = comms
        .kv
        .once(&keys::call_told(&signal.call_id, what), again_after)
        .await;
    // Better twice than never.
    told.unwrap_or(true)
}
