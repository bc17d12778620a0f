//! `comms_verify_audit`: computes the audit log again, and names the first row that is not what was sealed.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::log_of;
use crate::{Context, Hints, Operation, Route};

pub struct VerifyAudit;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// Another organization; needs the orchestrator's token.
    #[serde(default)]
    org_id: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// Every entry is what was sealed and signed.
    ok: bool,
    /// Entries that were verified.
    verified: u64,
    /// Entries in the log.
    size: u64,
    /// Entries of which only the hash is left, because they are older than the retention time.
    expired: u64,
    /// Entries that the newest checkpoint includes.
    signed_size: u64,
    /// The Merkle root (RFC 6962) of the verified entries, in hexadecimal digits.
    root: String,
    /// The first row that is not what was sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    broken: Option<BrokenView>,
}

#[derive(Serialize, JsonSchema)]
pub struct BrokenView {
    /// The place in the log.
    seq: u64,
    /// The id of the row or of the message, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    reason: &'static str,
}

impl Operation for VerifyAudit {
    const NAME: &'static str = "comms_verify_audit";
    const TITLE: &'static str = "Verify the audit log";
    const DESCRIPTION: &'static str = "Computes the hash chain and the Merkle tree of your organization's audit log again, compares them with the signed \
        checkpoints, and names the first row that was changed, deleted, inserted or moved. [scope: org-admin]";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: true,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/audit/verify",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let log = log_of(&context.caller, args.org_id.as_deref())?;
        let verified = context.product.audit.verify(&log, |_| ()).await?;
        Ok(Output {
            ok: verified.broken.is_none(),
            verified: verified.verified,
            size: verified.size,
            expired: verified.expired,
            signed_size: verified.signed_size,
            root: verified.root.iter().map(|byte| format!("{byte:02x}")).collect(),
            broken: verified.broken.map(|broken| BrokenView {
                seq: broken.seq,
                id: broken.id,
                reason: broken.reason,
            }),
        })
    }
}
