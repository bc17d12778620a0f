//! ElevenLabs' JSON (ElevenLabs, API reference: Create speech; Errors).

use butt_dial_domain::ports::speech::Utterance;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Serialize)]
pub struct Request<'a> {
    text: &'a str,
    model_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    language_code: Option<&'a str>,
}

impl<'a> Request<'a> {
    pub fn new(model: &'a str, utterance: &'a Utterance) -> Self {
        let language = utterance.language.as_deref().and_then(language);
        Self {
            text: &utterance.text,
            model_id: model,
            // The others hear it from the text, and refuse to be told.
            language_code: language.filter(|_| model.ends_with("_v2_5")),
        }
    }
}

/// ISO 639-1, of BCP 47.
fn language(tag: &str) -> Option<&str> {
    let first = tag.split('-').next()?;
    (first.len() == 2 && first.bytes().all(|b| b.is_ascii_alphabetic())).then_some(first)
}

/// A voice, as `GET /v1/voices/{id}` tells of it.
#[derive(Deserialize)]
pub struct Voice {
    #[expect(dead_code, reason = "that it is there says who answers")]
    voice_id: String,
}

/// What an error is about, in the vendor's word: newer answers say `code`, older ones `status`; those of the validator
/// neither.
pub fn code(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let detail = &body["detail"];
    let code = detail["code"].as_str().or(detail["status"].as_str())?;
    Some(code.to_owned())
}
