//! `comms_generate_tts`: a text as a sound file.

use butt_dial_comms::media::sound;
use butt_dial_domain::{
    Code, Failure, Scope,
    ports::speech::{AudioFormat, Utterance},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::operations::{Context, Hints, Operation, Route};

pub struct GenerateTts;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    text: String,
    /// ogg (the default; what messengers take for voice messages) or mp3.
    #[serde(default)]
    format: Option<String>,
    /// The synthesizer's name of a voice.
    #[serde(default)]
    voice: Option<String>,
    /// What is spoken, as in en-US.
    #[serde(default)]
    language: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    /// Whoever has it may fetch the file, until it expires.
    url: String,
    format: &'static str,
}

impl Operation for GenerateTts {
    const NAME: &'static str = "comms_generate_tts";
    const TITLE: &'static str = "Read a text aloud";
    const DESCRIPTION: &'static str = "Makes a sound file of a text and returns a link to it, which can be sent as media. Nobody is \
        called. [scope: agent]";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: false,
        open_world: true,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/tts",
        status: 200,
    });

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let format = match args.format.as_deref().map(str::to_ascii_lowercase).as_deref() {
            None | Some("ogg") => AudioFormat::Ogg,
            Some("mp3") => AudioFormat::Mp3,
            Some(_) => return Err(Failure::new(Code::InvalidArgument, "format is one of ogg, mp3")),
        };
        let org = &context.caller.agent()?.agent.org_id;
        let utterance = Utterance {
            text: args.text,
            voice: args.voice,
            language: args.language,
            format,
        };
        Ok(Output {
            url: sound::make(&context.comms, org, &utterance).await?,
            format: format.as_str(),
        })
    }
}
