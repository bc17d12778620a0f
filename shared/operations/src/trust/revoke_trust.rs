//! `comms_revoke_trust`: ends the trust in a contact.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Context, Hints, Operation, Route,
    contacts::{self, contact_on},
};

pub struct RevokeTrust;

#[derive(Deserialize, JsonSchema)]
pub struct Args {
    #[schemars(extend("examples" = ["+14155550123"]))]
    contact: String,
    /// false: nothing changes, and the result says what would.
    #[serde(default)]
    confirm: bool,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    preview: bool,
    /// Present in a preview.
    #[serde(skip_serializing_if = "Option::is_none")]
    would_revoke: Option<bool>,
    /// Present without a preview: whether there was trust to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<bool>,
    contact: String,
    message: &'static str,
}

impl Operation for RevokeTrust {
    const NAME: &'static str = "comms_revoke_trust";
    const TITLE: &'static str = "End trust in a contact";
    const DESCRIPTION: &'static str =
        "Ends your trust in a contact. Without confirm it only tells what would change. [scope: agent]";
    const BRIEF: &'static str = "Ends trust; without confirm it only previews.";
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
        let trust = &context.product.trust;
        let shown = contact.as_str().to_owned();
        if !args.confirm {
            let is_trusted = trust.find(&context.caller, &contact).await?.is_trusted;
            return Ok(Output {
                preview: true,
                would_revoke: Some(is_trusted),
                revoked: None,
                contact: shown,
                message: match is_trusted {
                    true => "the contact is trusted; with confirm: true it is not any more",
                    false => "the contact is not trusted; nothing would change",
                },
            });
        }
        let revoked = trust.revoke(&context.caller, &contact).await?;
        Ok(Output {
            preview: false,
            would_revoke: None,
            revoked: Some(revoked),
            contact: shown,
            message: match revoked {
                true => "the contact is not trusted any more",
                false => "the contact was not trusted",
            },
        })
    }
}
