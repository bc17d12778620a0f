//! `comms_send_otp`: sends a one-time code to a contact.

use butt_dial_accounts::{ChallengeOwner, CodeRequest};
use butt_dial_domain::{Channel, Code, Failure, Scope, bounds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Context, Hints, Operation, Route,
    contacts::{self, contact_on, parse_channel},
    errors,
    views::time,
};

pub struct SendOtp;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// A telephone number in E.164 form, or an e-mail address.
    #[schemars(extend("examples" = ["+14155550123"]))]
    to: String,
    /// sms, email, whatsapp or voice. The default follows from the address.
    #[serde(default)]
    #[schemars(extend("enum" = ["sms", "email", "whatsapp", "voice"]))]
    channel: Option<String>,
    /// The reason for the code, in a word, such as login.
    #[serde(default)]
    #[schemars(length(max = bounds::CODE_PURPOSE))]
    purpose: Option<String>,
    /// true: other channels are tried when the first one fails.
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    failover: Option<bool>,
    /// The channels to try after the first one, in order.
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    channels: Vec<String>,
    /// The language of the text, such as de-DE.
    #[serde(default)]
    #[schemars(extend("examples" = ["de-DE"]))]
    language: Option<String>,
    /// WhatsApp: an approved template with the code as its variable 1.
    #[serde(default)]
    #[schemars(length(max = bounds::TEMPLATE))]
    template_id: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    success: bool,
    challenge_id: String,
    message_id: String,
    /// The channel on which the code has left.
    channel: Channel,
    to: String,
    status: &'static str,
    expires_at: String,
    expires_in_seconds: u32,
    /// The code. Only while all carriers are simulated.
    #[serde(skip_serializing_if = "Option::is_none")]
    dev_otp: Option<String>,
}

impl Operation for SendOtp {
    const NAME: &'static str = "comms_send_otp";
    const TITLE: &'static str = "Send a one-time code";
    const DESCRIPTION: &'static str = "Sends a six-digit code that is valid for ten minutes and replaces earlier ones to this contact. Confirm it with \
        comms_verify_otp. [scope: agent]";
    const BRIEF: &'static str = "Sends a six-digit code to a contact.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: false,
        open_world: true,
    });
    const ROUTE: Option<Route> = None;
    const ERRORS: &'static [&'static [Code]] = &[errors::SEND];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;
    const ALIASES: &'static [(&'static str, &'static str)] = contacts::TO;

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let agent = &context.caller.agent()?.agent;
        let channels = channels(&args)?;
        let request = CodeRequest {
            owner: ChallengeOwner {
                org: agent.org_id.clone(),
                agent: Some(agent.id.clone()),
            },
            purpose: args.purpose.as_deref().unwrap_or("verification"),
            sender: context.caller.clone(),
            to: &args.to,
            channels: &channels,
            language: args.language.as_deref(),
            template: args.template_id.as_deref(),
        };
        let sent = context.product.challenges.send(request).await?;
        Ok(Output {
            success: true,
            challenge_id: sent.challenge.into_string(),
            message_id: sent.message.into_string(),
            channel: sent.channel,
            to: sent.to.as_str().to_owned(),
            status: sent.status,
            expires_at: time(sent.expires_at),
            expires_in_seconds: 600,
            dev_otp: sent.dev_otp,
        })
    }
}

/// Returns the channels to try, in order.
fn channels(args: &Args) -> Result<Vec<Channel>, Failure> {
    let named = args
        .channels
        .iter()
        .map(|channel| parse_channel(channel))
        .collect::<Result<Vec<_>, _>>()?;
    let first = match (&args.channel, named.first()) {
        (Some(channel), _) => parse_channel(channel)?,
        (None, Some(first)) => *first,
        (None, None) => contact_on(None, &args.to)?.0,
    };
    let others = match (args.failover, named.is_empty()) {
        (Some(false), _) | (None, true) => Vec::new(),
        (_, false) => named,
        (Some(true), true) => first.consent_group().to_vec(),
    };
    let mut channels = vec![first];
    for channel in others {
        if !channels.contains(&channel) {
            channels.push(channel);
        }
    }
    Ok(channels)
}
