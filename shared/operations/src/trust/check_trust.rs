//! `comms_check_trust`: whether a contact has proven its address to the agent.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Context, Hints, Operation, Route,
    contacts::{self, contact_on},
    views::time,
};

pub struct CheckTrust;

#[derive(Deserialize, JsonSchema)]
pub struct Args {
    #[schemars(extend("examples" = ["+14155550123"]))]
    contact: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    trusted: bool,
    /// trusted, expired, revoked or none.
    status: &'static str,
    contact: String,
    /// The channel of the confirmed code, or manual.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    granted_at: Option<String>,
    /// null: the contact has never been trusted.
    expires_at: Option<String>,
    message: &'static str,
}

impl Operation for CheckTrust {
    const NAME: &'static str = "comms_check_trust";
    const TITLE: &'static str = "Check trust in a contact";
    const DESCRIPTION: &'static str = "Returns whether you trust a contact now: after a confirmed one-time code, or because you have granted it. \
        [scope: agent]";
    const BRIEF: &'static str = "Returns whether you trust a contact.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: true,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = None;
    const ERRORS: &'static [&'static [Code]] = &[&[Code::InvalidRecipient]];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;
    const ALIASES: &'static [(&'static str, &'static str)] = contacts::CONTACT;

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let (_, contact) = contact_on(None, &args.contact)?;
        let state = context.product.trust.find(&context.caller, &contact).await?;
        let session = state.session.as_ref();
        Ok(Output {
            trusted: state.is_trusted,
            status: state.status(),
            contact: contact.as_str().to_owned(),
            channel: session.map(|session| session.method.clone()),
            granted_at: session.map(|session| time(session.granted_at)),
            expires_at: session.map(|session| time(session.expires_at)),
            message: match state.status() {
                "trusted" => "the contact is trusted until expiresAt",
                "expired" => "the trust has expired",
                "revoked" => "the trust was revoked",
                _ => "the contact has never been trusted",
            },
        })
    }
}
