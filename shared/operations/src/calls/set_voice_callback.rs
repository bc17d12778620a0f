//! `comms_set_voice_callback`: sets the URL that receives the agent's events of calls while no client listens.

use butt_dial_domain::{Code, Failure, Scope, bounds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};

pub struct SetVoiceCallback;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// An https URL. null or an empty text removes it; your general callback then receives these events.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schemars(extend("examples" = ["https://example.com/calls"]))]
    #[schemars(length(max = bounds::URL))]
    voice_callback_url: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    success: bool,
    voice_callback_url: Option<String>,
    /// The key of the signature of Standard Webhooks (`webhook-signature`).
    signing_secret: String,
    /// The same secret as the key of `X-BD-Signature` and `X-Hub-Signature-256`.
    webhook_secret: String,
}

impl Operation for SetVoiceCallback {
    const NAME: &'static str = "comms_set_voice_callback";
    const TITLE: &'static str = "Set my callback for calls";
    const DESCRIPTION: &'static str = "Sets the URL that receives call.ended and voicemails while no client listens, or removes it with null. Turns of live calls \
        are not posted: wait for them with comms_attend_call. Returns the signing secrets. [scope: agent]";
    const BRIEF: &'static str = "Sets or removes the URL for call events.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "PUT",
        path: "/api/v1/voice-callback-url",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound]];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let agent = &context.caller.agent()?.agent;
        let url = args.voice_callback_url.as_deref().map(str::trim);
        let url = url.filter(|url| !url.is_empty());
        let delivery = &context.product.delivery;
        let secrets = delivery.set_voice_callback_url(&agent.id, url).await?;
        Ok(Output {
            success: true,
            voice_callback_url: url.map(str::to_owned),
            signing_secret: secrets.signing_secret,
            webhook_secret: secrets.webhook_secret,
        })
    }
}
