//! `comms_check_consent`: the consent that sends to a contact obey.

use butt_dial_compliance::ConsentStatus;
use butt_dial_domain::{Channel, Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Context, Hints, Operation, Route,
    contacts::{self, contact_on},
    views::time,
};

pub struct CheckConsent;

#[derive(Deserialize, JsonSchema)]
pub struct Args {
    #[schemars(extend("examples" = ["+14155550123"]))]
    contact: String,
    /// The default follows from the address.
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    #[schemars(extend("enum" = ["sms", "whatsapp", "email", "line", "voice"]))]
    channel: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    has_consent: bool,
    /// granted, revoked or none.
    status: &'static str,
    contact: String,
    channel: Channel,
    /// express, implied or transactional, if an agent has recorded the consent.
    #[serde(skip_serializing_if = "Option::is_none")]
    consent_type: Option<String>,
    /// agent, or where the word of the contact came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<String>,
    message: &'static str,
}

impl Operation for CheckConsent {
    const NAME: &'static str = "comms_check_consent";
    const TITLE: &'static str = "Check a contact's consent";
    const DESCRIPTION: &'static str = "Returns the consent of a contact that your messages obey. It holds for all spellings of an address and all channels of a \
        number. [scope: agent]";
    const BRIEF: &'static str = "Returns a contact's consent.";
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
        let (channel, contact) = contact_on(args.channel.as_deref(), &args.contact)?;
        let org = &context.caller.agent()?.agent.org_id;
        let state = context.product.consents.find(org, channel, &contact).await?;
        let recorded = state.recorded.as_ref();
        Ok(Output {
            has_consent: state.is_granted(),
            status: match state.status() {
                Some(ConsentStatus::Granted) => "granted",
                Some(ConsentStatus::Revoked) => "revoked",
                None => "none",
            },
            contact: contact.as_str().to_owned(),
            channel,
            consent_type: recorded.and_then(|recorded| recorded.kind.clone()),
            updated_at: state.changed_at().map(time),
            message: match state.status() {
                Some(ConsentStatus::Granted) => "the contact has consented",
                Some(ConsentStatus::Revoked) if state.is_opt_out_of_person() => {
                    "the contact has opted out; only the contact can undo this, by writing START"
                }
                Some(ConsentStatus::Revoked) => "an agent has recorded that this contact is not to be contacted",
                None => "no consent is recorded for this contact",
            },
            source: state.in_force.map(|consent| consent.source),
        })
    }
}
