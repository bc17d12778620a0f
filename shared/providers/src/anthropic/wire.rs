//! Anthropic's JSON for requests, models and errors (Anthropic, Messages API; Errors).

use butt_dial_domain::ports::model::{Prompt, Speaker};
use serde::{Deserialize, Serialize};

/// Omits `temperature`, `top_p` and `top_k`, because newer models refuse requests that have them.
#[derive(Serialize)]
pub struct Request<'a> {
    model: &'a str,
    max_tokens: u32,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<[System<'a>; 1]>,
    messages: Vec<Message<'a>>,
}

#[derive(Serialize)]
struct System<'a> {
    r#type: &'static str,
    text: &'a str,
    /// The system prompt is the same for all turns of a call, so the API can cache it.
    cache_control: CacheControl,
}

#[derive(Serialize)]
struct CacheControl {
    r#type: &'static str,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
}

impl<'a> Request<'a> {
    pub fn new(model: &'a str, prompt: &'a Prompt) -> Self {
        let system = System {
            r#type: "text",
            text: &prompt.system,
            cache_control: CacheControl { r#type: "ephemeral" },
        };
        let turns = prompt.turns.iter();
        let messages = turns.map(|turn| Message {
            role: match turn.speaker {
                Speaker::Person => "user",
                Speaker::Model => "assistant",
            },
            content: &turn.text,
        });
        Self {
            model,
            max_tokens: prompt.max_tokens,
            stream: true,
            system: (!prompt.system.is_empty()).then_some([system]),
            messages: messages.collect(),
        }
    }
}

/// A model, as `GET /v1/models/{id}` returns it.
#[derive(Serialize, Deserialize)]
pub struct KnownModel {
    pub id: String,
    pub display_name: String,
}

#[derive(Serialize, Deserialize)]
pub struct ErrorBody {
    pub error: Detail,
}

#[derive(Serialize, Deserialize)]
pub struct Detail {
    pub r#type: String,
    #[serde(default)]
    pub message: String,
}
