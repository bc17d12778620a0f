//! Audio files of speech synthesis: format detection and the WAV header.

use butt_dial_domain::ports::{
    carrier::{Outcome, RefusalClass},
    speech::{AudioFormat, SpeechError},
};
use bytes::Bytes;
use reqwest::header;

use crate::http;

/// About ten minutes of uncompressed speech.
pub const MAX_FILE_BYTES: usize = 32 * 1024 * 1024;

/// Returns whether the first bytes match the format. An HTML page of a captive portal does not.
pub fn is(format: AudioFormat, bytes: &[u8]) -> bool {
    match format {
        AudioFormat::Mp3 => bytes.starts_with(b"ID3") || matches!(bytes, [0xff, second, ..] if second & 0xe0 == 0xe0),
        AudioFormat::Ogg => bytes.starts_with(b"OggS"),
        AudioFormat::Wav => bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WAVE"),
    }
}

/// Wraps samples (signed, 16 bits, little-endian, mono) in a WAV file.
pub fn wav(pcm: &[u8], rate: u32) -> Vec<u8> {
    const BYTES_PER_SAMPLE: u16 = 2;
    let length = u32::try_from(pcm.len()).unwrap_or(u32::MAX);
    let mut file = Vec::with_capacity(44 + pcm.len());
    file.extend(b"RIFF");
    file.extend(length.saturating_add(36).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    // PCM, one channel.
    file.extend([1_u16, 1].map(u16::to_le_bytes).concat());
    file.extend(rate.to_le_bytes());
    file.extend((rate * u32::from(BYTES_PER_SAMPLE)).to_le_bytes());
    file.extend([BYTES_PER_SAMPLE, 16].map(u16::to_le_bytes).concat());
    file.extend(b"data");
    file.extend(length.to_le_bytes());
    file.extend(pcm);
    file
}

/// Requests an audio file. The request carries its own deadline; `refuse` maps responses other than 2xx.
pub async fn fetch(
    request: reqwest::RequestBuilder,
    refuse: fn(&http::Response) -> SpeechError,
) -> Result<http::Response, SpeechError> {
    match http::exchange_with_limit(MAX_FILE_BYTES, request).await {
        Ok(response) if response.status.is_success() => Ok(response),
        Ok(response) => Err(refuse(&response)),
        Err(Outcome::Refused(refusal)) if refusal.class == RefusalClass::Configuration => Err(
            SpeechError::Configuration("a setting has characters that a request can't carry".to_owned()),
        ),
        Err(_) => Err(SpeechError::Unreachable),
    }
}

/// Returns the file in the requested format. For WAV, the adapters request raw samples at `rate` and add the header,
/// because the vendors' WAV headers have no valid lengths.
pub fn finish(response: http::Response, format: AudioFormat, rate: u32) -> Result<Bytes, SpeechError> {
    let file = match format {
        AudioFormat::Wav if is_sound(&response) => wav(&response.body, rate).into(),
        _ => response.body,
    };
    // The response of a proxy or a captive portal.
    is(format, &file).then_some(file).ok_or(SpeechError::Unreachable)
}

fn is_sound(response: &http::Response) -> bool {
    let kind = response.headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let sound = kind.starts_with("audio/") || kind.starts_with("application/octet-stream");
    sound && !response.body.is_empty()
}

/// Rejects empty recordings and recordings that are too large.
pub fn check_recording(bytes: &[u8], max_bytes: usize) -> Result<(), SpeechError> {
    let refused = |why: &str| Err(SpeechError::Refused(why.to_owned()));
    match bytes.len() {
        0 => refused("the recording is empty"),
        length if length > max_bytes => refused("the recording is too large"),
        _ => Ok(()),
    }
}

/// Rejects empty texts and texts that are too long.
pub fn check(text: &str, max_characters: usize) -> Result<(), SpeechError> {
    let refused = |why: &str| Err(SpeechError::Refused(why.to_owned()));
    match text.chars().count() {
        _ if text.trim().is_empty() => refused("there is no text"),
        count if count > max_characters => refused("the text is too long"),
        _ => Ok(()),
    }
}
