//! The carriers. One folder a vendor, with the same file names everywhere, and one line in `VENDORS` each.
//! An adapter sends once and classifies what came back; it never retries. The simulators beside the adapters speak the
//! vendors' own HTTP, so that tests and the demo run the code that production runs.

pub mod http;
pub mod line;
pub mod meta;
pub mod resend;
pub mod secret;
pub mod simulator;
#[cfg(test)]
mod tests;
pub mod twilio;
pub mod vendor;

pub use secret::Secret;
pub use simulator::{Manner, PersonWrites, Simulator, World, Written};
pub use vendor::{Connected, CredentialField, Credentials, Manifest, People, Vendor};

/// Every vendor that this program can speak to. Where two serve one channel, the first that is set up sends.
pub static VENDORS: &[&Vendor] = &[&twilio::VENDOR, &resend::VENDOR, &meta::VENDOR, &line::VENDOR];

/// The vendor with this id, such as `twilio`.
pub fn find(id: &str) -> Option<&'static Vendor> {
    VENDORS.iter().copied().find(|vendor| vendor.manifest.id == id)
}
