//! `comms_get_contact_profile`: what is known of a contact.

use std::collections::BTreeMap;

use butt_dial_accounts::ConsentStatus;
use butt_dial_domain::{Channel, Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Context, Hints, Operation, Route,
    contacts::{self, contact_on},
    views::time,
};

pub struct GetContactProfile;

#[derive(Deserialize, JsonSchema)]
pub struct Args {
    #[schemars(extend("examples" = ["+14155550123"]))]
    contact: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    contact: String,
    channel: Channel,
    /// Anything is known of this contact.
    known: bool,
    /// The name that the contact last wrote with.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// All addresses of the person that carriers have named together.
    addresses: Vec<String>,
    /// granted, revoked or none.
    consent: &'static str,
    trusted: bool,
    trust_status: &'static str,
    /// Channels on which the contact can't be reached, with the reason; * stands for all.
    suppressed: BTreeMap<String, String>,
    /// When the contact last wrote to you, by channel.
    last_inbound_at: BTreeMap<&'static str, String>,
}

impl Operation for GetContactProfile {
    const NAME: &'static str = "comms_get_contact_profile";
    const TITLE: &'static str = "Look up a contact";
    const DESCRIPTION: &'static str = "Returns what is known of a contact: other addresses, consent, trust, and when it last wrote to you. It contains no messages. \
        [scope: agent]";
    const BRIEF: &'static str = "Returns addresses, consent and trust of a contact.";
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
        let (channel, contact) = contact_on(None, &args.contact)?;
        let caller = &context.caller;
        let profile = context.product.people.find_contact(caller, channel, &contact).await?;
        let trust = context.product.trust.find(caller, &contact).await?;
        Ok(Output {
            contact: contact.as_str().to_owned(),
            channel,
            known: profile.is_known() || trust.session.is_some(),
            consent: match profile.consent.as_ref().map(|consent| consent.status) {
                Some(ConsentStatus::Granted) => "granted",
                Some(ConsentStatus::Revoked) => "revoked",
                None => "none",
            },
            trusted: trust.is_trusted,
            trust_status: trust.status(),
            name: profile.facts.name,
            suppressed: profile.facts.suppressions.into_iter().collect(),
            last_inbound_at: profile
                .facts
                .last_inbound
                .into_iter()
                .map(|(channel, at)| (channel.as_str(), time(at)))
                .collect(),
            addresses: profile.facts.addresses,
        })
    }
}
