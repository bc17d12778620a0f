//! The vendors: carriers, language models, speech synthesis and transcription. One folder per vendor with the same file names, and
//! one line in `VENDORS`. An adapter sends once and classifies the response; it never retries. The simulators speak
//! the vendors' HTTP, so tests and the demo run the production adapters.

pub mod anthropic;
mod audio;
mod completion_stream;
pub mod deepgram;
pub mod elevenlabs;
pub mod http;
pub mod json;
pub mod line;
pub mod meta;
pub mod openai;
pub mod resend;
pub mod secret;
pub mod simulator;
#[cfg(test)]
mod tests;
pub mod twilio;
pub mod vendor;

pub use secret::Secret;
pub use simulator::{PersonMessage, PersonMessageResult, Simulator, SimulatorState, WebhookBehavior};
pub use vendor::{
    AccountNaming, AiService, Connected, CredentialField, Credentials, InboundSimulation, Manifest, UnreadableAccount,
    Vendor,
};

/// All vendors. If two serve one channel, the first configured one sends.
pub static VENDORS: &[&Vendor] = &[
    &twilio::VENDOR,
    &resend::VENDOR,
    &meta::VENDOR,
    &line::VENDOR,
    &anthropic::VENDOR,
    &elevenlabs::VENDOR,
    &deepgram::VENDOR,
    &openai::VENDOR,
];

/// Returns the vendor with this id, such as `twilio`.
pub fn find(id: &str) -> Option<&'static Vendor> {
    VENDORS.iter().copied().find(|vendor| vendor.manifest.id == id)
}
