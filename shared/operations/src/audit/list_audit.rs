//! `GET /api/v1/audit`: the rows of the audit log.

use butt_dial_audit::{AuditFilter, AuditRow, entry};
use butt_dial_domain::{Code, Failure, Scope, bounds, clock::Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::log_of;
use crate::{Context, Hints, Operation, Route};

const DEFAULT_LIMIT: u32 = 50;

pub struct ListAudit;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// Only changes by this actor: a token's id, a member's id, `system` or `operator`.
    #[serde(default)]
    actor: Option<String>,
    /// Only this action, such as token.revoke.
    #[serde(default)]
    action: Option<String>,
    /// Only changes of this target.
    #[serde(default)]
    target: Option<String>,
    /// Only rows since this time (RFC 3339).
    #[serde(default)]
    since: Option<Timestamp>,
    /// Only rows before this time (RFC 3339).
    #[serde(default)]
    until: Option<Timestamp>,
    /// The cursor of the previous page.
    #[serde(default)]
    cursor: Option<String>,
    /// 1 to 200; the default is 50.
    #[serde(default)]
    #[schemars(range(min = 1, max = bounds::PAGE))]
    limit: Option<u32>,
    /// Another organization; needs the orchestrator's token.
    #[serde(default)]
    org_id: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// Newest first.
    entries: Vec<Item>,
    /// Pass it to get the next page. Absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    id: String,
    /// The place in the log; absent for about a second, until the row is sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
    at: String,
    actor: String,
    /// user, token, system or support.
    #[serde(skip_serializing_if = "Option::is_none")]
    actor_kind: Option<String>,
    action: String,
    target: String,
    detail: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Value>,
    /// A hash of the network that the request came from. Equal hashes are the same network.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

impl From<AuditRow> for Item {
    fn from(row: AuditRow) -> Self {
        let entry = row.entry;
        Self {
            id: row.id,
            seq: row.seq,
            at: entry::time(entry.at),
            actor: entry.actor,
            actor_kind: entry.actor_kind,
            action: entry.action,
            target: entry.target,
            detail: entry.detail,
            before: entry.before,
            after: entry.after,
            source: entry.source,
            request_id: entry.request_id,
        }
    }
}

impl Operation for ListAudit {
    const NAME: &'static str = "list_audit";
    const TITLE: &'static str = "List the audit log";
    const DESCRIPTION: &'static str = "Lists administrative changes with their actors, newest first, in pages.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/audit",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let log = log_of(&context.caller, args.org_id.as_deref())?;
        let filter = AuditFilter {
            actor: args.actor.as_deref(),
            action: args.action.as_deref(),
            target: args.target.as_deref(),
            since: args.since,
            until: args.until,
            before: None,
        };
        let limit = args.limit.unwrap_or(DEFAULT_LIMIT);
        let (rows, cursor) = context
            .product
            .audit
            .list(&log, filter, args.cursor.as_deref(), limit)
            .await?;
        Ok(Output {
            entries: rows.into_iter().map(Item::from).collect(),
            cursor,
        })
    }
}
