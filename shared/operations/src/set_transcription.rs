//! `comms_set_transcription`: switches the transcription of voice notes and recordings for an organization.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Hints, Operation, Route};

pub struct SetTranscription;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// true transcribes recordings, false does not.
    enabled: bool,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    success: bool,
    enabled: bool,
    /// This installation has a transcriber.
    available: bool,
}

impl Operation for SetTranscription {
    const NAME: &'static str = "comms_set_transcription";
    const TITLE: &'static str = "Switch transcription";
    const DESCRIPTION: &'static str = "Sets whether voice notes and recordings that people send to the organization are transcribed. The vendor of the \
        transcription gets them. [scope: org-admin]";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "PUT",
        path: "/api/v1/transcription",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let media = &context.product.media;
        media.set_transcription(&context.caller, args.enabled).await?;
        Ok(Output {
            success: true,
            enabled: args.enabled,
            available: media.has_transcriber(),
        })
    }
}
