//! `GET /api/v1/audit/checkpoint`: the signed size and root of the audit log.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::log_of;
use crate::{Context, Hints, Operation, Route};

pub struct GetAuditCheckpoint;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// Another organization; needs the orchestrator's token.
    #[serde(default)]
    org_id: Option<String>,
}

/// A checkpoint of C2SP (tlog-checkpoint): origin, size, root, and the signature of this installation.
#[derive(Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Note(String);

impl Operation for GetAuditCheckpoint {
    const NAME: &'static str = "get_audit_checkpoint";
    const TITLE: &'static str = "Checkpoint of the audit log";
    const DESCRIPTION: &'static str = "Returns the newest checkpoint of the audit log. It is signed now if the log has grown for more than a minute. Keep it: its holder \
        notices when the log is changed or shortened later.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/audit/checkpoint",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::Conflict]];
    const CONTENT_TYPE: &'static str = "text/plain; charset=utf-8";

    type Args = Args;
    type Output = Note;

    fn text(output: &Note) -> Option<String> {
        Some(output.0.clone())
    }

    async fn run(context: Context, args: Args) -> Result<Note, Failure> {
        let log = log_of(&context.caller, args.org_id.as_deref())?;
        Ok(Note(context.product.audit.checkpoint(&log, 0).await?.note))
    }
}
