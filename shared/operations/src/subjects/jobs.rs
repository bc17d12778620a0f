//! Jobs about one person: `POST /api/v1/subjects/access` and `/erase`, the state of a job, and its archive.

use butt_dial_accounts::SubjectRequest;
use butt_dial_domain::{Address, Channel, Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Context, Hints, Operation, Route, contacts::contact_on, views::time};

pub struct StartAccess;
pub struct StartSubjectErasure;
pub struct GetSubjectJob;
pub struct GetSubjectArchive;

#[derive(Deserialize, JsonSchema)]
pub struct AccessArgs {
    /// A telephone number with its country code, a mail address, or an id of a messenger.
    contact: String,
    /// The default follows from the address.
    #[serde(default)]
    channel: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub struct EraseArgs {
    /// A telephone number with its country code, a mail address, or an id of a messenger.
    contact: String,
    /// The default follows from the address.
    #[serde(default)]
    channel: Option<String>,
    /// false: nothing changes, and the result says what would.
    #[serde(default)]
    confirm: bool,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Started {
    job_id: String,
    message: &'static str,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EraseOutput {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    preview: bool,
    /// Absent in a preview.
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<String>,
    /// The addresses of the person, with those that carriers have named together with the given one.
    #[serde(skip_serializing_if = "Option::is_none")]
    addresses: Option<usize>,
    /// The tables and other places, in the order of the erasure.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<&'static str>,
    /// The legal hold that forbids it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hold_id: Option<String>,
    message: &'static str,
}

#[derive(Deserialize, JsonSchema)]
pub struct JobArgs {
    id: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobOutput {
    job_id: String,
    /// access or erase.
    kind: &'static str,
    /// running, done or failed.
    state: &'static str,
    /// The step in progress.
    step: String,
    /// Rows by step.
    progress: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    /// Resources at vendors, with what became of their deletion.
    receipts: Vec<ReceiptView>,
    /// Until then, the encrypted stream of webhook events may name the number of a caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    residue_until: Option<String>,
    created_at: String,
    updated_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReceiptView {
    vendor: String,
    /// message, call or recording.
    kind: String,
    /// The vendor's id.
    resource: String,
    /// pending, deleted, missing, unsupported or failed.
    state: String,
    updated_at: String,
}

#[derive(Deserialize, JsonSchema)]
pub struct ArchiveArgs {
    id: String,
    /// The number of a part; the default is 0. The last line of an answer has `next` if there are more.
    #[serde(default)]
    part: Option<i64>,
}

/// JSON lines: one row of a table each, with its type. The line `{"type":"next","next":…}` ends all answers but the last.
#[derive(Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Lines(String);

const fn route(method: &'static str, path: &'static str) -> Option<Route> {
    Some(Route {
        method,
        path,
        status: 200,
    })
}

/// Builds the request about a contact.
fn request<'a>(
    context: &'a Context,
    (channel, contact): &'a (Channel, Address),
) -> Result<SubjectRequest<'a>, Failure> {
    Ok(SubjectRequest {
        org: context.caller.org()?,
        actor: context.caller.principal.token.as_str(),
        channel: *channel,
        contact,
    })
}

impl Operation for StartAccess {
    const NAME: &'static str = "start_subject_access";
    const TITLE: &'static str = "Export everything about a person";
    const DESCRIPTION: &'static str = "Starts a job that collects everything that the organization has about a person into one archive: messages, events, calls, \
        conversations, refusals and the consent ledger.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = route("POST", "/api/v1/subjects/access");
    const ERRORS: &'static [&'static [Code]] = &[&[Code::InvalidRecipient]];

    type Args = AccessArgs;
    type Output = Started;

    async fn run(context: Context, args: AccessArgs) -> Result<Started, Failure> {
        let contact = contact_on(args.channel.as_deref(), &args.contact)?;
        let subjects = &context.product.subjects;
        Ok(Started {
            job_id: subjects.start_access(&request(&context, &contact)?).await?,
            message: "the job has begun; read it until its state is done, then its archive",
        })
    }
}

impl Operation for StartSubjectErasure {
    const NAME: &'static str = "start_subject_erasure";
    const TITLE: &'static str = "Erase a person";
    const DESCRIPTION: &'static str = "Starts a job that erases a person from the data of the organization and at its carriers. Opt-outs stay, by a keyed hash. Without \
        confirm it only says what would be erased.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = route("POST", "/api/v1/subjects/erase");
    const ERRORS: &'static [&'static [Code]] = &[&[Code::InvalidRecipient, Code::Conflict]];

    type Args = EraseArgs;
    type Output = EraseOutput;

    async fn run(context: Context, args: EraseArgs) -> Result<EraseOutput, Failure> {
        let contact = contact_on(args.channel.as_deref(), &args.contact)?;
        let subjects = &context.product.subjects;
        let request = request(&context, &contact)?;
        if !args.confirm {
            let preview = subjects.preview_erasure(&request).await?;
            return Ok(EraseOutput {
                preview: true,
                job_id: None,
                addresses: Some(preview.addresses),
                steps: preview.steps,
                message: match preview.hold {
                    None => "with confirm: true, the person is erased; this can't be undone",
                    Some(_) => "a legal hold forbids the erasure",
                },
                hold_id: preview.hold.map(|hold| hold.id),
            });
        }
        Ok(EraseOutput {
            preview: false,
            job_id: Some(subjects.start_erasure(&request).await?),
            addresses: None,
            steps: Vec::new(),
            hold_id: None,
            message: "the job has begun; read it until its state is done",
        })
    }
}

impl Operation for GetSubjectJob {
    const NAME: &'static str = "get_subject_job";
    const TITLE: &'static str = "Get a job about a person";
    const DESCRIPTION: &'static str =
        "Returns the state of an export or erasure of a person, its progress, and the receipts of carriers.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = route("GET", "/api/v1/subjects/jobs/{id}");
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];

    type Args = JobArgs;
    type Output = JobOutput;

    async fn run(context: Context, args: JobArgs) -> Result<JobOutput, Failure> {
        let found = context
            .product
            .subjects
            .find_job(context.caller.org()?, &args.id)
            .await?;
        let receipts = found.receipts.into_iter().map(|receipt| ReceiptView {
            vendor: receipt.vendor,
            kind: receipt.kind,
            resource: receipt.resource,
            state: receipt.state,
            updated_at: time(receipt.updated_at),
        });
        let job = found.job;
        Ok(JobOutput {
            job_id: job.id,
            kind: job.kind.into(),
            state: job.state.into(),
            step: job.step,
            progress: found.progress,
            failure: job.failure,
            receipts: receipts.collect(),
            residue_until: found.residue_until.map(time),
            created_at: time(job.created_at),
            updated_at: time(job.updated_at),
            finished_at: job.finished_at.map(time),
        })
    }
}

impl Operation for GetSubjectArchive {
    const NAME: &'static str = "get_subject_archive";
    const TITLE: &'static str = "Download the archive of a person";
    const DESCRIPTION: &'static str =
        "Returns the archive of a finished export as JSON lines, in parts. Archives are kept for seven days.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = route("GET", "/api/v1/subjects/jobs/{id}/archive");
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound, Code::Conflict]];
    const CONTENT_TYPE: &'static str = "application/jsonl; charset=utf-8";

    type Args = ArchiveArgs;
    type Output = Lines;

    fn text(output: &Lines) -> Option<String> {
        Some(output.0.clone())
    }

    async fn run(context: Context, args: ArchiveArgs) -> Result<Lines, Failure> {
        let actor = context.caller.principal.token.as_str();
        let subjects = &context.product.subjects;
        let part = args.part.unwrap_or_default().max(0);
        let mut found = subjects
            .read_archive(context.caller.org()?, actor, &args.id, part)
            .await?;
        if let Some(next) = found.next {
            found
                .lines
                .push_str(&json!({ "type": "next", "next": next }).to_string());
            found.lines.push('\n');
        }
        Ok(Lines(found.lines))
    }
}
