//! `comms_rotate_token`: replaces the token of the calling agent.

use butt_dial_accounts::GRACE_SECONDS;
use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time;
use crate::{Context, Hints, Operation, Route};

pub struct RotateToken;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// true: replace the token. Otherwise nothing changes.
    #[serde(default)]
    confirm: bool,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    #[serde(skip_serializing_if = "Option::is_none")]
    preview: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    would_rotate: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<bool>,
    action: &'static str,
    /// The secret. It is returned only once.
    #[serde(skip_serializing_if = "Option::is_none")]
    new_token: Option<String>,
    grace_period_seconds: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_token_ends_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<&'static str>,
}

impl Operation for RotateToken {
    const NAME: &'static str = "comms_rotate_token";
    const TITLE: &'static str = "Rotate my token";
    const DESCRIPTION: &'static str = "Replaces your token by a new one, which is returned only once; the old one works for 30 seconds more. Without confirm it only says what would happen. [scope: agent]";
    const BRIEF: &'static str = "Replaces your token; without confirm it only previews.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: false,
        open_world: false,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/agents/me/rotate-token",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::Conflict]];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Self::Output, Failure> {
        context.caller.agent()?;
        let mut output = Output {
            preview: None,
            would_rotate: None,
            message: None,
            accepted: None,
            action: "rotate_token",
            new_token: None,
            grace_period_seconds: GRACE_SECONDS,
            old_token_ends_at: None,
            instructions: None,
        };
        if !args.confirm {
            output.preview = Some(true);
            output.would_rotate = Some(true);
            output.message = Some(
                "Your token would be replaced by a new one, and would work for 30 seconds more. Pass confirm: true to do it.",
            );
            return Ok(output);
        }
        let rotated = context.product.accounts.rotate_agent_token(&context.caller).await?;
        output.accepted = Some(true);
        output.new_token = Some(rotated.token);
        output.old_token_ends_at = Some(time(rotated.old_token_ends_at));
        output.instructions = Some(
            "Store newToken now, and use it for all further requests. The old token ends after gracePeriodSeconds.",
        );
        Ok(output)
    }
}
