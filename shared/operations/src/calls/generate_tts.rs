//! `comms_generate_tts`: synthesizes a text to an audio file.

use butt_dial_calls::speech;
use butt_dial_domain::{
    Code, Failure, Scope, bounds,
    ports::speech::{AudioFormat, Utterance},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route, errors};

pub struct GenerateTts;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// The synthesizer may take less.
    #[schemars(length(max = bounds::SYNTHESIZED_TEXT))]
    #[schemars(extend("x-error" = "INVALID_CONTENT"))]
    text: String,
    /// ogg (the default; messengers show it as a voice message) or mp3.
    #[serde(default)]
    format: Option<String>,
    /// The synthesizer's name for a voice.
    #[serde(default)]
    voice: Option<String>,
    /// The spoken language, such as en-US.
    #[serde(default)]
    language: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    /// A link to the file. Any client with the link can download it until it expires.
    url: String,
    format: &'static str,
}

impl Operation for GenerateTts {
    const NAME: &'static str = "comms_generate_tts";
    const TITLE: &'static str = "Synthesize speech";
    const DESCRIPTION: &'static str = "Synthesizes a text to an audio file and returns a link to it, which can be sent as media with comms_send_message. It \
        places no call. It counts as an action and costs money by the length of the text. [scope: agent]";
    const BRIEF: &'static str = "Turns a text into an audio file for media.";
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
    const ERRORS: &'static [&'static [Code]] = &[errors::SPEECH];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let format = match args.format.as_deref().map(str::to_ascii_lowercase).as_deref() {
            None | Some("ogg") => AudioFormat::Ogg,
            Some("mp3") => AudioFormat::Mp3,
            Some(_) => return Err(Failure::new(Code::InvalidArgument, "format must be one of ogg, mp3")),
        };
        let text = match args.text.trim().is_empty() {
            // The synthesis reports it.
            true => args.text,
            false => speech::require_speakable("text", &args.text, args.language.as_deref())?,
        };
        let utterance = Utterance {
            text,
            voice: args.voice,
            language: args.language,
            format,
        };
        Ok(Output {
            url: context.product.media.synthesize(&context.caller, &utterance).await?,
            format: format.as_str(),
        })
    }
}
