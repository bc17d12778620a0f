//! `comms_list_sessions`: the agent's conversations.

use butt_dial_domain::{Code, Failure, Scope};
use butt_dial_messaging::ConversationStatus;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::views::SessionView;
use crate::{Context, Hints, Operation, Route};

const DEFAULT_LIMIT: u32 = 50;

pub struct ListSessions;

#[derive(Deserialize, JsonSchema)]
pub struct Args {
    /// active (the default), paused or closed.
    #[serde(default)]
    #[schemars(extend("enum" = ["active", "paused", "closed"]))]
    status: Option<String>,
    /// The default is 50. More than 200 count as 200.
    #[serde(default)]
    limit: Option<u32>,
}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    /// Newest first.
    sessions: Vec<SessionView>,
    count: usize,
}

impl Operation for ListSessions {
    const NAME: &'static str = "comms_list_sessions";
    const TITLE: &'static str = "List sessions";
    const DESCRIPTION: &'static str = "Lists your conversations in one state, newest first. [scope: agent]";
    const BRIEF: &'static str = "Lists your conversations.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: true,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = None;
    const ERRORS: &'static [&'static [Code]] = &[];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let status: ConversationStatus = match args.status.as_deref() {
            None => ConversationStatus::Active,
            Some(text) => text
                .parse()
                .map_err(|_| Failure::new(Code::InvalidArgument, "status is one of active, paused, closed"))?,
        };
        let limit = args.limit.unwrap_or(DEFAULT_LIMIT);
        let found = context
            .product
            .conversations
            .list(&context.caller, status, limit)
            .await?;
        let sessions: Vec<SessionView> = found.into_iter().map(|opened| SessionView::split(opened).0).collect();
        Ok(Output {
            count: sessions.len(),
            sessions,
        })
    }
}
