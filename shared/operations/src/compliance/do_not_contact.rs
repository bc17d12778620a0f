//! The do-not-contact list: `GET`, `POST` and `DELETE /api/v1/suppressions`, and its export.

use butt_dial_compliance::NewEntry;
use butt_dial_domain::{Code, Failure, Scope, bounds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route, views::time};

const DEFAULT_LIMIT: u32 = 100;
/// Between the address and the channel of a cursor.
const SEPARATOR: char = ' ';

pub struct ListSuppressions;
pub struct AddSuppressions;
pub struct RemoveSuppression;
pub struct ExportSuppressions;

#[derive(Deserialize, JsonSchema)]
pub struct ListArgs {
    /// nextCursor of the page before.
    #[serde(default)]
    after: Option<String>,
    /// 1 to 1000; the default is 100.
    #[serde(default)]
    #[schemars(range(min = 1, max = bounds::LARGE_PAGE))]
    limit: Option<u32>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListOutput {
    /// In the order of their addresses.
    entries: Vec<EntryView>,
    /// Present when there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EntryView {
    address: String,
    /// Absent: all channels.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    /// unreachable: a carrier has reported that nothing reaches the address.
    reason: String,
    created_at: String,
}

#[derive(Deserialize, JsonSchema)]
pub struct AddArgs {
    #[serde(default)]
    entries: Vec<EntryArgs>,
    /// A table with the columns address, channel, reason; only the first is required.
    #[serde(default)]
    csv: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub struct EntryArgs {
    /// A telephone number with its country code, or a mail address.
    address: String,
    /// The default is all channels.
    #[serde(default)]
    channel: Option<String>,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub struct AddOutput {
    added: usize,
    /// Rows that were left out.
    invalid: usize,
    /// The first of them.
    errors: Vec<RowError>,
}

#[derive(Serialize, JsonSchema)]
pub struct RowError {
    /// From 1, without the head row.
    row: usize,
    reason: String,
}

#[derive(Deserialize, JsonSchema)]
pub struct RemoveArgs {
    address: String,
    /// As in the entry.
    #[serde(default)]
    channel: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub struct Done {
    success: bool,
}

/// Lines with address, channel, reason, created_at.
#[derive(Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Table(String);

#[derive(Deserialize, JsonSchema)]
pub struct NoArgs {}

const PATH: &str = "/api/v1/suppressions";

const fn route(method: &'static str, path: &'static str) -> Option<Route> {
    Some(Route {
        method,
        path,
        status: 200,
    })
}

impl Operation for ListSuppressions {
    const NAME: &'static str = "list_suppressions";
    const TITLE: &'static str = "List the do-not-contact list";
    const DESCRIPTION: &'static str = "Lists the addresses that the organization does not contact, in pages.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = route("GET", PATH);
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = ListArgs;
    type Output = ListOutput;

    async fn run(context: Context, args: ListArgs) -> Result<ListOutput, Failure> {
        let limit = args.limit.unwrap_or(DEFAULT_LIMIT);
        let cursor = args.after.unwrap_or_default();
        let after = cursor.split_once(SEPARATOR).unwrap_or((&cursor, ""));
        let list = &context.product.do_not_contact;
        // One more shows whether there is a next page.
        let mut found = list.list(context.caller.org()?, after, limit + 1).await?;
        let has_more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let last = found.last().filter(|_| has_more);
        Ok(ListOutput {
            next_cursor: last.map(|last| format!("{}{SEPARATOR}{}", last.address, last.channel)),
            entries: found
                .into_iter()
                .map(|entry| EntryView {
                    address: entry.address,
                    channel: Some(entry.channel).filter(|channel| channel != "*"),
                    reason: entry.reason,
                    created_at: time(entry.created_at),
                })
                .collect(),
        })
    }
}

impl Operation for AddSuppressions {
    const NAME: &'static str = "add_suppressions";
    const TITLE: &'static str = "Add to the do-not-contact list";
    const DESCRIPTION: &'static str = "Adds addresses to the do-not-contact list of the organization, one by one or as a table (CSV). Invalid rows are left out and \
        returned. Larger tables: `butt-dial do-not-contact import`.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = route("POST", PATH);
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];

    type Args = AddArgs;
    type Output = AddOutput;

    async fn run(context: Context, args: AddArgs) -> Result<AddOutput, Failure> {
        let (list, org) = (&context.product.do_not_contact, context.caller.org()?);
        let actor = context.caller.principal.token.as_str();
        let import = match args.csv {
            Some(csv) if args.entries.is_empty() => list.import_csv(org, actor, &csv).await?,
            None if !args.entries.is_empty() => {
                let entries = args.entries.into_iter().map(|entry| NewEntry {
                    address: entry.address,
                    channel: entry.channel,
                    reason: entry.reason,
                });
                list.add(org, actor, &entries.collect::<Vec<_>>()).await?
            }
            _ => return Err(Failure::new(Code::MissingFields, "either entries or csv is required")),
        };
        Ok(AddOutput {
            added: import.added,
            invalid: import.invalid,
            errors: (import.errors.into_iter())
                .map(|error| RowError {
                    row: error.row,
                    reason: error.reason,
                })
                .collect(),
        })
    }
}

impl Operation for RemoveSuppression {
    const NAME: &'static str = "remove_suppression";
    const TITLE: &'static str = "Remove from the do-not-contact list";
    const DESCRIPTION: &'static str = "Removes an address from the do-not-contact list of the organization. It does not undo an opt-out of the person.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = route("DELETE", PATH);
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];

    type Args = RemoveArgs;
    type Output = Done;

    async fn run(context: Context, args: RemoveArgs) -> Result<Done, Failure> {
        let actor = context.caller.principal.token.as_str();
        let list = &context.product.do_not_contact;
        let org = context.caller.org()?;
        list.remove(org, actor, &args.address, args.channel.as_deref()).await?;
        Ok(Done { success: true })
    }
}

impl Operation for ExportSuppressions {
    const NAME: &'static str = "export_suppressions";
    const TITLE: &'static str = "Export the do-not-contact list";
    const DESCRIPTION: &'static str = "Returns the do-not-contact list of the organization as a table (CSV).";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = route("GET", "/api/v1/suppressions/export");
    const ERRORS: &'static [&'static [Code]] = &[];
    const CONTENT_TYPE: &'static str = "text/csv; charset=utf-8";

    type Args = NoArgs;
    type Output = Table;

    fn text(output: &Table) -> Option<String> {
        Some(output.0.clone())
    }

    async fn run(context: Context, _: NoArgs) -> Result<Table, Failure> {
        let csv = context.product.do_not_contact.export_csv(context.caller.org()?).await?;
        Ok(Table(csv))
    }
}
