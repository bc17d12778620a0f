//! `comms_verify_otp`: confirms a one-time code, and trusts the contact for an hour.

use butt_dial_accounts::ChallengeOwner;
use butt_dial_domain::{Channel, Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Context, Hints, Operation, Route,
    contacts::{self, contact_on, parse_channel, text_or_number},
    views::time,
};

pub struct VerifyOtp;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// The six digits.
    #[serde(deserialize_with = "text_or_number")]
    #[schemars(with = "String")]
    #[schemars(extend("examples" = ["123456"]))]
    code: String,
    /// The contact. The default is that of your latest code.
    #[serde(default)]
    to: Option<String>,
    /// The channel of the code, if the contact is not given.
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    #[schemars(extend("enum" = ["sms", "whatsapp", "email", "line", "voice"]))]
    channel: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    success: bool,
    verified: bool,
    trusted: bool,
    contact: String,
    channel: Channel,
    purpose: String,
    /// The end of the trust in the contact.
    expires_at: String,
    message: &'static str,
}

impl Operation for VerifyOtp {
    const NAME: &'static str = "comms_verify_otp";
    const TITLE: &'static str = "Confirm a one-time code";
    const DESCRIPTION: &'static str = "Confirms a code that the contact has read to you; five tries, once. Success trusts the contact for an hour \
        (comms_check_trust). [scope: agent]";
    const BRIEF: &'static str = "Confirms a code that the contact told you.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: false,
        open_world: false,
    });
    const ROUTE: Option<Route> = None;
    const ERRORS: &'static [&'static [Code]] = &[&[
        Code::InvalidRecipient,
        Code::ChallengeNotFound,
        Code::OtpInvalid,
        Code::OtpExpired,
        Code::OtpMaxAttempts,
    ]];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;
    const ALIASES: &'static [(&'static str, &'static str)] = contacts::TO;

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let agent = &context.caller.agent()?.agent;
        let owner = ChallengeOwner {
            org: agent.org_id.clone(),
            agent: Some(agent.id.clone()),
        };
        let channel = args.channel.as_deref().map(parse_channel).transpose()?;
        // A code may have left on another channel than the one that was asked for, so the contact alone finds it.
        let (contact, channel) = match &args.to {
            Some(to) => (Some(contact_on(None, to)?.1.contact_key()), None),
            None => (None, channel),
        };
        let challenges = &context.product.challenges;
        let latest = challenges.find_latest(&owner, contact.as_deref(), channel).await?;
        let challenge = challenges
            .verify(&owner, &latest.id, &latest.purpose, &args.code)
            .await?;
        let expires_at = context
            .product
            .trust
            .grant_by_key(&context.caller, &challenge.contact, challenge.channel.as_str(), None)
            .await?;
        Ok(Output {
            success: true,
            verified: true,
            trusted: true,
            contact: challenge.address,
            channel: challenge.channel,
            purpose: challenge.purpose,
            expires_at: time(expires_at),
            message: "the code is right; the contact is trusted until expiresAt",
        })
    }
}
