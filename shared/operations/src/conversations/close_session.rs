//! `comms_close_session`: closes a conversation.

use butt_dial_domain::{Code, Failure, Scope, bounds};
use butt_dial_messaging::ConversationStatus;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};

pub struct CloseSession;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    session_id: String,
    /// false: nothing changes, and the result says what would.
    #[serde(default)]
    confirm: bool,
    /// The result of the conversation, for later readers.
    #[serde(default)]
    #[schemars(length(max = bounds::CONTEXT))]
    summary: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    preview: bool,
    /// Present in a preview.
    #[serde(skip_serializing_if = "Option::is_none")]
    would_close: Option<bool>,
    /// Present without a preview: false, when it was closed already.
    #[serde(skip_serializing_if = "Option::is_none")]
    closed: Option<bool>,
    session_id: String,
    status: &'static str,
    message: &'static str,
}

impl Operation for CloseSession {
    const NAME: &'static str = "comms_close_session";
    const TITLE: &'static str = "Close a session";
    const DESCRIPTION: &'static str = "Closes a conversation: later messages do not belong to it. Without confirm it only tells what would change. [scope: agent]";
    const BRIEF: &'static str = "Closes a conversation; without confirm it only previews.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = None;
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let (conversations, caller) = (&context.product.conversations, &context.caller);
        if !args.confirm {
            let opened = conversations.find(caller, &args.session_id, 0).await?;
            let would_close = opened.status != ConversationStatus::Closed;
            return Ok(Output {
                preview: true,
                would_close: Some(would_close),
                closed: None,
                session_id: args.session_id,
                status: opened.status.as_str(),
                message: match would_close {
                    true => "with confirm: true, the session is closed",
                    false => "the session is closed already; nothing would change",
                },
            });
        }
        let closed = conversations
            .close(caller, &args.session_id, args.summary.as_deref())
            .await?;
        Ok(Output {
            preview: false,
            would_close: None,
            closed: Some(closed),
            session_id: args.session_id,
            status: ConversationStatus::Closed.as_str(),
            message: match closed {
                true => "the session is closed",
                false => "the session was closed already",
            },
        })
    }
}
