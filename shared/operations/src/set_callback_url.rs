//! `PUT /api/v1/callback-url`: sets the URL that receives the agent's events while no client listens.

use butt_dial_domain::{Code, Failure, Scope, bounds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Hints, Operation, Route};

pub struct SetCallbackUrl;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// An https URL. null or an empty text removes the callback.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schemars(length(max = bounds::URL))]
    callback_url: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    success: bool,
    callback_url: Option<String>,
    /// The key of the signature of Standard Webhooks (`webhook-signature`).
    signing_secret: String,
    /// The same secret as the key of `X-BD-Signature` and `X-Hub-Signature-256`.
    webhook_secret: String,
}

impl Operation for SetCallbackUrl {
    const NAME: &'static str = "set_callback_url";
    const TITLE: &'static str = "Set my callback";
    const DESCRIPTION: &'static str = "Sets the URL that receives your events while no client listens, or removes it with null. Waiting events are sent there at \
        once. Requires an agent's token.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "PUT",
        path: "/api/v1/callback-url",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let profile = context.caller.agent()?;
        let url = args
            .callback_url
            .as_deref()
            .map(str::trim)
            .filter(|url| !url.is_empty());
        let agent = &profile.agent.id;
        let secrets = context.product.delivery.set_callback_url(agent, url).await?;
        Ok(Output {
            success: true,
            callback_url: url.map(str::to_owned),
            signing_secret: secrets.signing_secret,
            webhook_secret: secrets.webhook_secret,
        })
    }
}
