//! `GET /api/v1/audit/export`: entries of the audit log with proofs, for outsiders.

use butt_dial_audit::MAX_EXPORT;
use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::log_of;
use crate::{Context, Hints, Operation, Route};

pub struct ExportAudit;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// The place of the first entry; the default is 0. `next` in the first line of a part is that of the next one.
    #[serde(default)]
    from: Option<u64>,
    /// 1 to 5,000, which is the default.
    #[serde(default)]
    #[schemars(range(min = 1, max = MAX_EXPORT))]
    limit: Option<u32>,
    /// Another organization; needs the orchestrator's token.
    #[serde(default)]
    org_id: Option<String>,
}

/// JSON lines: the signed checkpoint with its key, then the entries, each with its proof. docs/verify.py verifies them.
#[derive(Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Lines(String);

impl Operation for ExportAudit {
    const NAME: &'static str = "export_audit";
    const TITLE: &'static str = "Export the audit log";
    const DESCRIPTION: &'static str = "Returns entries of the audit log as JSON lines with their proofs, which anyone can verify offline with docs/verify.py.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/audit/export",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::Conflict]];
    const CONTENT_TYPE: &'static str = "application/jsonl; charset=utf-8";

    type Args = Args;
    type Output = Lines;

    fn text(output: &Lines) -> Option<String> {
        Some(output.0.clone())
    }

    async fn run(context: Context, args: Args) -> Result<Lines, Failure> {
        let log = log_of(&context.caller, args.org_id.as_deref())?;
        let (from, limit) = (args.from.unwrap_or(0), args.limit.unwrap_or(MAX_EXPORT));
        Ok(Lines(context.product.audit.export(&log, from, limit).await?.lines))
    }
}
