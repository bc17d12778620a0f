//! The vendors: carriers, language models, speech synthesizers. One folder a vendor, with the same file names everywhere, and one line in `VENDORS` each.
//! An adapter sends once and classifies what came back; it never retries. The simulators beside the adapters speak the
//! vendors' own HTTP, so that tests and the demo run the code that production runs.

pub mod anthropic;
mod audio;
mod completion_stream;
pub mod elevenlabs;
pub mod http;
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
pub use vendor::{AiService, Connected, CredentialField, Credentials, InboundSimulation, Manifest, Vendor};

/// Every vendor that this program can speak to. Where two serve one channel, the first that is set up sends.
pub static VENDORS: &[&Vendor] = &[
    &twilio::VENDOR,
    &resend::VENDOR,
    &meta::VENDOR,
    &line::VENDOR,
    &anthropic::VENDOR,
    &elevenlabs::VENDOR,
    &openai::VENDOR,
];

/// The vendor with this id, such as `twilio`.
pub fn find(id: &str) -> Option<&'static Vendor> {
    VENDORS.iter().copied().find(|vendor| vendor.manifest.id == id)
}
