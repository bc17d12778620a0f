//! `comms_grant_trust`: trusts a contact without a one-time code.

use butt_dial_domain::{Code, Failure, Scope, bounds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Context, Hints, Operation, Route,
    contacts::{self, contact_on},
    views::time,
};

pub struct GrantTrust;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    #[schemars(extend("examples" = ["+14155550123"]))]
    contact: String,
    /// How the contact has proven itself; the default is manual.
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    #[schemars(length(max = bounds::TRUST_METHOD))]
    channel: Option<String>,
    /// 1 to 43200; the default is 60.
    #[serde(default)]
    #[schemars(range(min = 1, max = bounds::TRUST_MINUTES))]
    duration_minutes: Option<u32>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    success: bool,
    trusted: bool,
    status: &'static str,
    contact: String,
    channel: String,
    expires_at: String,
    message: &'static str,
}

impl Operation for GrantTrust {
    const NAME: &'static str = "comms_grant_trust";
    const TITLE: &'static str = "Trust a contact";
    const DESCRIPTION: &'static str =
        "Notes that you trust a contact for a time, in place of a former trust. Only you see it. [scope: agent]";
    const BRIEF: &'static str = "Trusts a contact for a time.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
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
        let channel = args.channel.unwrap_or_else(|| "manual".to_owned());
        let expires_at = context
            .product
            .trust
            .grant(&context.caller, &contact, &channel, args.duration_minutes)
            .await?;
        Ok(Output {
            success: true,
            trusted: true,
            status: "trusted",
            contact: contact.as_str().to_owned(),
            channel,
            expires_at: time(expires_at),
            message: "the contact is trusted until expiresAt",
        })
    }
}
