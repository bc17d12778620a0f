//! `comms_wait_events`: the agent's next events, as soon as there are any.

use std::time::Duration;

use butt_dial_comms::delivery::log::{self, Wanted};
use butt_dial_domain::{Failure, Scope};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::{Instant, interval_at};

use super::{
    Call, Context, Hints, Operation, Route,
    pages::{Cursor, PageView, kinds},
};

const DEFAULT_MS: u64 = 25_000;
/// Proxies and clients give up on longer calls.
const MAX_MS: u64 = 50_000;
/// Below the shortest patience of a client that counts from the last progress.
const PROGRESS: Duration = Duration::from_secs(10);
const LIMIT: u32 = 100;

pub struct WaitEvents;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// Of the last result. Everything up to it counts as received: it is not delivered again, and what was said in it is
    /// forgotten. Without a cursor: from the first event that you do not have.
    #[serde(default)]
    cursor: Option<Cursor>,
    /// Only these kinds, such as message.received and message.status; others are passed over. Empty: all.
    #[serde(default)]
    types: Vec<String>,
    /// How long to wait for the first event: 25000 where nothing is said, at most 50000. 0 does not wait.
    #[serde(default, alias = "timeout_ms")]
    timeout_ms: Option<u64>,
}

impl Operation for WaitEvents {
    const NAME: &'static str = "comms_wait_events";
    const TITLE: &'static str = "Wait for events";
    const DESCRIPTION: &'static str = "Waits for what happens next (messages from people, what became of yours) and returns it at \
        once: events, cursor, hasMore; no events when nothing came in time. Call it again with the cursor of the result: passing \
        a cursor acknowledges everything up to it, so do it only when you have dealt with those events. [scope: agent]";
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
        let wanted = Wanted {
            after: Some(after),
            kinds: kinds(args.types),
            limit: LIMIT,
        };
        let patience = Duration::from_millis(args.timeout_ms.unwrap_or(DEFAULT_MS).min(MAX_MS));
        tokio::select! {
            page = log::wait(comms, org, agent, &wanted, patience) => Ok(page?.into()),
            () = call.draining.cancelled() => Ok(PageView::empty(after, Some("draining"))),
            () = call.gone.cancelled() => Ok(PageView::empty(after, None)),
            () = tell_progress(call) => Ok(PageView::empty(after, None)),
        }
    }
}

/// Tells the client now and then that the call goes on. Never ends.
async fn tell_progress(call: &Call) {
    let Some(progress) = &call.progress else {
        return std::future::pending().await;
    };
    let begun = Instant::now();
    let mut ticks = interval_at(begun + PROGRESS, PROGRESS);
    loop {
        ticks.tick().await;
        progress.tell(begun.elapsed().as_secs_f64(), "nothing yet").await;
    }
}
