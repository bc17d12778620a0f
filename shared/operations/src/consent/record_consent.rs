//! `comms_record_consent`: records that a contact has consented.

use butt_dial_compliance::NewConsent;
use butt_dial_domain::{Channel, Code, Failure, Scope, bounds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Context, Hints, Operation, Route,
    contacts::{self, contact_on},
};

pub struct RecordConsent;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    #[schemars(extend("examples" = ["+14155550123"]))]
    contact: String,
    /// The default follows from the address.
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    #[schemars(extend("enum" = ["sms", "whatsapp", "email", "line", "voice"]))]
    channel: Option<String>,
    /// express (the default), implied or transactional.
    #[serde(default)]
    #[schemars(extend("enum" = ["express", "implied", "transactional"]))]
    consent_type: Option<String>,
    /// How the contact has consented, such as web form.
    #[serde(default)]
    #[schemars(extend("examples" = ["web form"]))]
    #[schemars(length(max = bounds::CONSENT_TEXT))]
    #[schemars(extend("x-brief" = false))]
    source: Option<String>,
    #[serde(default)]
    #[schemars(length(max = bounds::CONSENT_TEXT))]
    notes: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    success: bool,
    has_consent: bool,
    status: &'static str,
    contact: String,
    channel: Channel,
    consent_type: String,
    message: &'static str,
}

impl Operation for RecordConsent {
    const NAME: &'static str = "comms_record_consent";
    const TITLE: &'static str = "Record a contact's consent";
    const DESCRIPTION: &'static str = "Records that a contact has agreed to be contacted, for all channels of the address. It does not undo the contact's own STOP. \
        [scope: agent]";
    const BRIEF: &'static str = "Records that a contact agreed to be contacted.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = None;
    const ERRORS: &'static [&'static [Code]] = &[&[Code::InvalidRecipient, Code::ContactOptedOut]];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;
    const ALIASES: &'static [(&'static str, &'static str)] = contacts::CONTACT;

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let (channel, contact) = contact_on(args.channel.as_deref(), &args.contact)?;
        let agent = &context.caller.agent()?.agent;
        let kind = args.consent_type.unwrap_or_else(|| "express".to_owned());
        let new = NewConsent {
            org: &agent.org_id,
            agent: &agent.id,
            actor: context.caller.principal.token.as_str(),
            channel,
            contact: &contact,
            kind: &kind,
            source: args.source.as_deref(),
            notes: args.notes.as_deref(),
        };
        context.product.consents.record(&new).await?;
        Ok(Output {
            success: true,
            has_consent: true,
            status: "granted",
            contact: contact.as_str().to_owned(),
            channel,
            consent_type: kind,
            message: "the consent is recorded",
        })
    }
}
