//! Deepgram's JSON (Deepgram, Pre-recorded audio; Errors).

use butt_dial_domain::ports::transcription::Transcript;
use serde::Deserialize;

#[derive(Deserialize)]
pub struct Response {
    results: Results,
}

#[derive(Deserialize)]
struct Results {
    channels: Vec<Channel>,
}

#[derive(Deserialize)]
struct Channel {
    #[serde(default)]
    detected_language: Option<String>,
    alternatives: Vec<Alternative>,
}

#[derive(Deserialize)]
struct Alternative {
    transcript: String,
}

impl Response {
    /// Returns what was said on all channels. `None`: there is none.
    pub fn transcript(self, language: Option<&str>) -> Option<Transcript> {
        let channels = self.results.channels;
        let detected = channels.iter().find_map(|channel| channel.detected_language.clone());
        let texts: Option<Vec<String>> = channels
            .into_iter()
            .map(|channel| Some(channel.alternatives.into_iter().next()?.transcript))
            .collect();
        let texts = texts.filter(|texts| !texts.is_empty())?;
        Some(Transcript {
            text: texts.join("\n").trim().to_owned(),
            language: language.map(str::to_owned).or(detected),
        })
    }
}

/// The projects of a key.
#[derive(Deserialize)]
pub struct Projects {
    #[serde(rename = "projects")]
    _projects: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
pub struct ErrorBody {
    pub err_code: String,
}
