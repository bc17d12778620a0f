//! `comms_revoke_consent`: records that a contact is not to be contacted any more.

use butt_dial_compliance::ConsentStatus;
use butt_dial_domain::{Channel, Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Context, Hints, Operation, Route,
    contacts::{self, contact_on},
};

pub struct RevokeConsent;

#[derive(Deserialize, JsonSchema)]
pub struct Args {
    #[schemars(extend("examples" = ["+14155550123"]))]
    contact: String,
    /// The default follows from the address.
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    #[schemars(extend("enum" = ["sms", "whatsapp", "email", "line", "voice"]))]
    channel: Option<String>,
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
    /// Present without a preview.
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<bool>,
    contact: String,
    channel: Channel,
    message: &'static str,
}

impl Operation for RevokeConsent {
    const NAME: &'static str = "comms_revoke_consent";
    const TITLE: &'static str = "Revoke a contact's consent";
    const DESCRIPTION: &'static str = "Stops all messages and calls of your organization to a contact and cancels scheduled ones. Without confirm it only tells what \
        would change. [scope: agent]";
    const BRIEF: &'static str = "Stops all messages and calls to a contact; without confirm it only previews.";
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
        let (channel, contact) = contact_on(args.channel.as_deref(), &args.contact)?;
        let agent = &context.caller.agent()?.agent;
        let consents = &context.product.consents;
        let shown = contact.as_str().to_owned();
        if !args.confirm {
            let state = consents.find(&agent.org_id, channel, &contact).await?;
            let would_revoke = state.status() != Some(ConsentStatus::Revoked);
            return Ok(Output {
                preview: true,
                would_revoke: Some(would_revoke),
                revoked: None,
                contact: shown,
                channel,
                message: match would_revoke {
                    true => "with confirm: true, your organization can't contact this address any more",
                    false => "the consent is revoked already; nothing would change",
                },
            });
        }
        let actor = context.caller.principal.token.as_str();
        consents
            .revoke(&agent.org_id, &agent.id, actor, channel, &contact)
            .await?;
        Ok(Output {
            preview: false,
            would_revoke: None,
            revoked: Some(true),
            contact: shown,
            channel,
            message: "the consent is revoked; scheduled messages to this contact are cancelled",
        })
    }
}
