//! `comms_ping`: checks that the server answers.

use butt_dial_domain::{Code, Failure, Scope, bounds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Hints, Operation, Route};

const MAX_ECHO: usize = 1_000;

pub struct Ping;

#[derive(Deserialize, JsonSchema)]
pub struct Args {
    /// Returned unchanged as echo; at most 1000 characters.
    #[serde(default)]
    #[schemars(length(max = bounds::ECHO))]
    message: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    status: &'static str,
    server: &'static str,
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    echo: Option<String>,
}

impl Operation for Ping {
    const NAME: &'static str = "comms_ping";
    const TITLE: &'static str = "Ping";
    const DESCRIPTION: &'static str =
        "Checks that the server answers. Returns its name and version, and your message as echo. [scope: any]";
    const BRIEF: &'static str = "Checks that the server answers.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: true,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = None;
    const ERRORS: &'static [&'static [Code]] = &[];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = Output;

    async fn run(_: Context, args: Args) -> Result<Output, Failure> {
        if args
            .message
            .as_ref()
            .is_some_and(|message| message.chars().count() > MAX_ECHO)
        {
            return Err(Failure::new(
                Code::InvalidArgument,
                "message must have at most 1000 characters",
            ));
        }
        Ok(Output {
            status: "ok",
            server: "butt-dial-mcp",
            version: env!("CARGO_PKG_VERSION"),
            echo: args.message,
        })
    }
}
