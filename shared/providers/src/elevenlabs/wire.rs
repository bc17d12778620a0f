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
            // The other models detect the language and refuse a language code.
            language_code: language.filter(|_| model.ends_with("_v2_5")),
        }
    }
}

/// Returns the ISO 639-1 code of a BCP 47 tag.
fn language(tag: &str) -> Option<&str> {
    let first = tag.split('-').next()?;
    (first.len() == 2 && first.bytes().all(|b| b.is_ascii_alphabetic())).then_some(first)
}

/// A voice, as `GET /v1/voices/{id}` returns it.
#[derive(Deserialize)]
pub struct Voice {
    #[expect(
        dead_code,
        reason = "only its presence is checked: it proves that the server is ElevenLabs"
    )]
    voice_id: String,
}

/// Returns the error code. Newer responses have it as `code`, older ones as `status`; errors of the validator have
/// none.
pub fn code(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let detail = &body["detail"];
    let code = detail["code"].as_str().or(detail["status"].as_str())?;
    Some(code.to_owned())
}
