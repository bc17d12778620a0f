//! `GET /.well-known/butt-dial-audit-key`: the public key of an audit log.

use butt_dial_audit::INSTALLATION_LOG;
use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};

/// Characters of an organization's id.
const MAX_ID: usize = 64;

pub struct GetAuditKey;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// The key is for the log of this organization. Without it: for the log of the installation.
    #[serde(default)]
    org_id: Option<String>,
}

/// A verifier key of C2SP (signed-note): name, id and Ed25519 key.
#[derive(Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Key(String);

impl Operation for GetAuditKey {
    const NAME: &'static str = "get_audit_key";
    const TITLE: &'static str = "Public key of an audit log";
    const DESCRIPTION: &'static str = "Returns the key that verifies checkpoints, exports and receipts of an audit log. It never changes, so keep it. It does not show whether \
        the organization exists.";
    const SCOPE: Scope = Scope::Anyone;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/.well-known/butt-dial-audit-key",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];
    const CONTENT_TYPE: &'static str = "text/plain; charset=utf-8";

    type Args = Args;
    type Output = Key;

    fn text(output: &Key) -> Option<String> {
        Some(format!("{}\n", output.0))
    }

    async fn run(context: Context, args: Args) -> Result<Key, Failure> {
        let log = args.org_id.as_deref().unwrap_or(INSTALLATION_LOG);
        let is_id = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if log.is_empty() || log.len() > MAX_ID || !log.bytes().all(is_id) {
            return Err(Failure::new(Code::InvalidArgument, "orgId is no id of an organization"));
        }
        Ok(Key(context.product.audit.verifier(log).await?.vkey()))
    }
}
