//! `POST /api/v1/callback-url/rotate-secret`: replaces the secret that the agent's callbacks are signed with.

use butt_dial_domain::{Code, Failure, Scope, bounds};
use chrono::TimeDelta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Hints, Operation, Route, views::time};

const DEFAULT_OVERLAP_SECONDS: u32 = 24 * 3_600;
const MAX_OVERLAP_SECONDS: u32 = 7 * 24 * 3_600;

pub struct RotateCallbackSecret;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// Seconds in which the old secret signs as well: 0 to 604,800; the default is 86,400. `webhook-signature` then holds two
    /// signatures; `X-BD-Signature` and `X-Hub-Signature-256` use the old secret until the end.
    #[serde(default)]
    #[schemars(range(min = 0, max = bounds::OVERLAP_SECONDS))]
    overlap_seconds: Option<u32>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// The new key of the signature of Standard Webhooks (`webhook-signature`).
    signing_secret: String,
    /// The same secret as the key of `X-BD-Signature` and `X-Hub-Signature-256`.
    webhook_secret: String,
    /// When the old secret no longer signs.
    old_secret_ends_at: String,
}

impl Operation for RotateCallbackSecret {
    const NAME: &'static str = "rotate_callback_secret";
    const TITLE: &'static str = "Rotate my callback secret";
    const DESCRIPTION: &'static str = "Replaces the secret that your callbacks are signed with. The old secret still signs for overlapSeconds. Requires an \
        agent's token.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/callback-url/rotate-secret",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let agent = &context.caller.agent()?.agent.id;
        let seconds = args.overlap_seconds.unwrap_or(DEFAULT_OVERLAP_SECONDS);
        if seconds > MAX_OVERLAP_SECONDS {
            return Err(Failure::new(
                Code::InvalidArgument,
                format!("overlapSeconds is 0 to {MAX_OVERLAP_SECONDS}"),
            ));
        }
        let overlap = TimeDelta::seconds(seconds.into());
        let (secrets, ends_at) = context.product.delivery.rotate_callback_key(agent, overlap).await?;
        Ok(Output {
            signing_secret: secrets.signing_secret,
            webhook_secret: secrets.webhook_secret,
            old_secret_ends_at: time(ends_at),
        })
    }
}
