//! `comms_get_session`: a conversation with its last messages.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::views::{EntryView, SessionView};
use crate::{Context, Hints, Operation, Route};

const DEFAULT_HISTORY: u32 = 20;

pub struct GetSession;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    session_id: String,
    /// Messages to return. The default is 20; more than 100 count as 100.
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    history_limit: Option<u32>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    #[serde(flatten)]
    session: SessionView,
    /// In the order of time.
    history: Vec<EntryView>,
}

impl Operation for GetSession {
    const NAME: &'static str = "comms_get_session";
    const TITLE: &'static str = "Read a session";
    const DESCRIPTION: &'static str = "Returns a conversation with its last messages, on whatever channel. Texts are part of it only until they are delivered. \
        [scope: agent]";
    const BRIEF: &'static str = "Returns a conversation with its last messages.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: true,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = None;
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let limit = args.history_limit.unwrap_or(DEFAULT_HISTORY);
        let conversations = &context.product.conversations;
        let opened = conversations.find(&context.caller, &args.session_id, limit).await?;
        let (session, history) = SessionView::split(opened);
        Ok(Output { session, history })
    }
}
