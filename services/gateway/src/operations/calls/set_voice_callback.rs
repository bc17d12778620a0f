//! `comms_set_voice_callback`: where the agent's own host takes what happens in calls, when nobody listens.

use butt_dial_comms::delivery::callback;
use butt_dial_domain::{Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::operations::{Context, Hints, Operation, Route};

pub struct SetVoiceCallback;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// https. null or an empty text removes it: then your callback takes these events too, if you have one.
    #[serde(alias = "voice_callback_url", deserialize_with = "Option::deserialize")]
    voice_callback_url: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    success: bool,
    voice_callback_url: Option<String>,
    /// What calls of it are signed with: Standard Webhooks (`webhook-signature`).
    signing_secret: String,
    /// The same secret as the key of `X-BD-Signature` and `X-Hub-Signature-256`.
    webhook_secret: String,
}

impl Operation for SetVoiceCallback {
    const NAME: &'static str = "comms_set_voice_callback";
    const TITLE: &'static str = "Set my callback for calls";
    const DESCRIPTION: &'static str = "Sets the URL that takes call.ended and messages that callers have left, while nobody listens; or \
        removes it with null. What is said while a call lasts is not posted: wait for it with comms_attend_call. [scope: agent]";
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

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let agent = &context.caller.agent()?.agent;
        let url = args.voice_callback_url.as_deref().map(str::trim);
        let url = url.filter(|url| !url.is_empty());
        let secrets = callback::set_voice_url(&context.comms, &agent.id, &agent.org_id, url).await?;
        Ok(Output {
            success: true,
            voice_callback_url: url.map(str::to_owned),
            signing_secret: secrets.signing_secret,
            webhook_secret: secrets.webhook_secret,
        })
    }
}
