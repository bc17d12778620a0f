//! The consent ledger: the entries about one contact, new entries, and exports. `GET` and `POST /api/v1/consents`.

use butt_dial_compliance::{LedgerEntry, LedgerFormat, NewLedgerEntry};
use butt_dial_domain::{Channel, Code, Failure, Scope, bounds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Context, Hints, Operation, Route, contacts::contact_on, views::time};

const DEFAULT_LIMIT: u32 = 100;

pub struct ListConsents;
pub struct AddConsents;
pub struct ExportConsents;
pub struct ExportConsentTable;

#[derive(Deserialize, JsonSchema)]
pub struct ListArgs {
    /// A telephone number with its country code, a mail address, or an id of a messenger.
    contact: String,
    /// The default follows from the address.
    #[serde(default)]
    channel: Option<String>,
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
    /// Oldest first.
    entries: Vec<EntryView>,
    /// Present when there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EntryView {
    id: String,
    /// Absent: the person is erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// The channel of the word.
    channel: String,
    /// The channels that it holds on.
    channels: Vec<Channel>,
    /// all or marketing.
    purpose: String,
    /// granted, revoked or expired.
    status: &'static str,
    /// keyword, free_text, spoken, one_click, vendor_preference, statement, import, administrator or linked.
    method: &'static str,
    /// express, implied or transactional.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    /// The id of a token, contact, carrier or system.
    actor: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    /// The words of the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    words: Option<String>,
    evidence: Value,
    /// When the person has consented.
    at: String,
    recorded_at: String,
}

impl From<LedgerEntry> for EntryView {
    fn from(entry: LedgerEntry) -> Self {
        let (address, channels) = (entry.address().map(str::to_owned), entry.channels());
        let LedgerEntry { event, words } = entry;
        Self {
            id: event.id,
            address,
            channel: event.channel,
            channels,
            purpose: event.purpose,
            status: event.action.into(),
            method: event.method.into(),
            kind: event.kind,
            actor: event.actor,
            event_id: event.event_id,
            message_id: event.message_id,
            words,
            evidence: event.evidence,
            at: time(event.at),
            recorded_at: time(event.recorded_at),
        }
    }
}

#[derive(Deserialize, JsonSchema)]
pub struct AddArgs {
    #[serde(default)]
    entries: Vec<EntryArgs>,
    /// A table. Its first line names the columns: address, status and at, and optionally channel, purpose, kind, source, evidence.
    #[serde(default)]
    csv: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub struct EntryArgs {
    address: String,
    /// The default follows from the address.
    #[serde(default)]
    channel: Option<String>,
    /// all (the default) or marketing (of whatsapp).
    #[serde(default)]
    purpose: Option<String>,
    /// granted or revoked.
    status: String,
    /// express, implied or transactional.
    #[serde(default)]
    kind: Option<String>,
    /// When the person has consented, in RFC 3339.
    at: String,
    /// How the person has consented. Required for granted.
    #[serde(default)]
    source: Option<String>,
    /// The place of the proof.
    #[serde(default)]
    evidence: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub struct AddOutput {
    read: u64,
    /// New entries of the ledger, for each address of a person.
    recorded: u64,
    /// Changes of the consent in force, for each channel. A later word of the person is not overruled.
    changed: u64,
    /// Rows that were left out.
    invalid: u64,
    /// The first of them.
    errors: Vec<RowError>,
}

#[derive(Serialize, JsonSchema)]
pub struct RowError {
    /// The line of the table, or the number of the entry.
    line: u64,
    column: &'static str,
    reason: String,
}

#[derive(Deserialize, JsonSchema)]
pub struct ExportArgs {
    /// The id of the last entry of the part before. An empty part is the end.
    #[serde(default)]
    after: Option<String>,
    /// 1 to 5,000, which is the default.
    #[serde(default)]
    #[schemars(range(min = 1, max = butt_dial_compliance::MAX_EXPORT))]
    limit: Option<u32>,
}

/// One entry a line, oldest first.
#[derive(Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Lines(String);

const PATH: &str = "/api/v1/consents";

const fn route(method: &'static str, path: &'static str) -> Option<Route> {
    Some(Route {
        method,
        path,
        status: 200,
    })
}

impl Operation for ListConsents {
    const NAME: &'static str = "list_consents";
    const TITLE: &'static str = "List the consent ledger of a contact";
    const DESCRIPTION: &'static str = "Lists each grant and revocation of a contact's consent with its evidence, oldest first, also from before the person was erased.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = route("GET", PATH);
    const ERRORS: &'static [&'static [Code]] = &[&[Code::InvalidRecipient]];

    type Args = ListArgs;
    type Output = ListOutput;

    async fn run(context: Context, args: ListArgs) -> Result<ListOutput, Failure> {
        let (_, contact) = contact_on(args.channel.as_deref(), &args.contact)?;
        let limit = args.limit.unwrap_or(DEFAULT_LIMIT);
        let ledger = &context.product.consent_ledger;
        let org = context.caller.org()?;
        // One more shows whether there is a next page.
        let mut found = ledger.list(org, &contact, args.after.as_deref(), limit + 1).await?;
        let has_more = found.len() > limit as usize;
        found.truncate(limit as usize);
        Ok(ListOutput {
            next_cursor: found.last().filter(|_| has_more).map(|last| last.event.id.clone()),
            entries: found.into_iter().map(EntryView::from).collect(),
        })
    }
}

impl Operation for AddConsents {
    const NAME: &'static str = "add_consents";
    const TITLE: &'static str = "Record or import consents";
    const DESCRIPTION: &'static str = "Records grants and revocations of consent with their evidence, one by one or as a table (CSV). Each holds from its time; a \
        later word of the person is not overruled. Invalid rows are left out and returned. Larger tables: `butt-dial consents \
        import`.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = route("POST", PATH);
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];

    type Args = AddArgs;
    type Output = AddOutput;

    async fn run(context: Context, args: AddArgs) -> Result<AddOutput, Failure> {
        let (ledger, org) = (&context.product.consent_ledger, context.caller.org()?);
        let actor = context.caller.principal.token.as_str();
        let import = match args.csv {
            Some(csv) if args.entries.is_empty() => ledger.import(org, actor, csv.as_bytes(), |_| {}).await?,
            None if !args.entries.is_empty() => {
                let entries = args.entries.into_iter().map(NewLedgerEntry::from);
                ledger.record(org, actor, &entries.collect::<Vec<_>>()).await?
            }
            _ => return Err(Failure::new(Code::MissingFields, "either entries or csv is required")),
        };
        Ok(AddOutput {
            read: import.read,
            recorded: import.recorded,
            changed: import.changed,
            invalid: import.invalid,
            errors: (import.errors.into_iter())
                .map(|error| RowError {
                    line: error.line,
                    column: error.column,
                    reason: error.reason,
                })
                .collect(),
        })
    }
}

impl From<EntryArgs> for NewLedgerEntry {
    fn from(entry: EntryArgs) -> Self {
        Self {
            address: entry.address,
            channel: entry.channel,
            purpose: entry.purpose,
            status: entry.status,
            kind: entry.kind,
            at: entry.at,
            source: entry.source,
            evidence: entry.evidence,
        }
    }
}

impl Operation for ExportConsents {
    const NAME: &'static str = "export_consents";
    const TITLE: &'static str = "Export the consent ledger";
    const DESCRIPTION: &'static str =
        "Returns the consent ledger of the organization as JSON lines, oldest first, in parts.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = route("GET", "/api/v1/consents/export");
    const ERRORS: &'static [&'static [Code]] = &[];
    const CONTENT_TYPE: &'static str = "application/jsonl; charset=utf-8";

    type Args = ExportArgs;
    type Output = Lines;

    fn text(output: &Lines) -> Option<String> {
        Some(output.0.clone())
    }

    async fn run(context: Context, args: ExportArgs) -> Result<Lines, Failure> {
        export(&context, LedgerFormat::JsonLines, args).await
    }
}

impl Operation for ExportConsentTable {
    const NAME: &'static str = "export_consent_table";
    const TITLE: &'static str = "Export the consent ledger as a table";
    const DESCRIPTION: &'static str = "Returns the consent ledger of the organization as a table (CSV), oldest first, in parts. The first part has a head line.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = route("GET", "/api/v1/consents/export.csv");
    const ERRORS: &'static [&'static [Code]] = &[];
    const CONTENT_TYPE: &'static str = "text/csv; charset=utf-8";

    type Args = ExportArgs;
    type Output = Lines;

    fn text(output: &Lines) -> Option<String> {
        Some(output.0.clone())
    }

    async fn run(context: Context, args: ExportArgs) -> Result<Lines, Failure> {
        export(&context, LedgerFormat::Csv, args).await
    }
}

async fn export(context: &Context, format: LedgerFormat, args: ExportArgs) -> Result<Lines, Failure> {
    let (ledger, org) = (&context.product.consent_ledger, context.caller.org()?);
    let actor = context.caller.principal.token.as_str();
    let limit = args.limit.unwrap_or(butt_dial_compliance::MAX_EXPORT);
    let page = ledger.export(org, actor, format, args.after.as_deref(), limit).await?;
    Ok(Lines(page.text))
}
