//! `GET /api/v1/voices`: the voices of the connected speech synthesizer.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};

pub struct ListVoices;

#[derive(Deserialize, JsonSchema)]
pub struct Args {}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// Empty without a speech synthesizer. Carriers have voices of their own, which may be named as well.
    voices: Vec<Voice>,
    count: usize,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Voice {
    id: String,
    voice_id: String,
    name: String,
}

impl Operation for ListVoices {
    const NAME: &'static str = "list_voices";
    const TITLE: &'static str = "Voices";
    const DESCRIPTION: &'static str =
        "Lists the voices of the connected speech synthesizer. Requires an agent's or a team token.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/voices",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let Args {} = args;
        let voices: Vec<Voice> = context
            .product
            .voices
            .iter()
            .map(|id| Voice {
                id: id.clone(),
                voice_id: id.clone(),
                name: id.clone(),
            })
            .collect();
        Ok(Output {
            count: voices.len(),
            voices,
        })
    }
}
