//! Tests of the vendor registry, and the helpers of the vendors' tests.

mod corpus;
pub mod harness;
pub mod model_harness;
mod mutations;
pub mod speech_harness;
pub mod transcription_harness;
pub mod webhook_receiver;

use crate::{Credentials, VENDORS, http};

/// Runs the conformance suite of messaging against `super::open` of the calling module, for this channel.
macro_rules! conforms {
    (Channel::$channel:ident) => {
        ::butt_dial_testkit::messaging_conformance!(Channel::$channel, super::open);
    };
}
pub(crate) use conforms;

/// Installs the TLS provider, as `main` does.
pub fn install_tls() {
    // Fails if another test installed it first.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[test]
fn vendor_ids_and_settings_are_unique() {
    let mut ids: Vec<_> = VENDORS.iter().map(|v| v.manifest.id).collect();
    let mut settings: Vec<_> = VENDORS
        .iter()
        .flat_map(|v| {
            v.manifest
                .credentials
                .iter()
                .map(|f| f.env)
                .chain([v.manifest.endpoint_env])
        })
        .collect();
    let (all_ids, all_settings) = (ids.len(), settings.len());
    ids.sort_unstable();
    ids.dedup();
    settings.sort_unstable();
    settings.dedup();
    assert_eq!((ids.len(), settings.len()), (all_ids, all_settings));
}

#[test]
fn every_vendor_connects_with_simulated_credentials() {
    install_tls();
    let http = http::client().unwrap();
    for vendor in VENDORS {
        let credentials = vendor.simulated_credentials("http://127.0.0.1:1");
        assert!(
            (vendor.connect)(&credentials, &http, harness::DEADLINE).is_ok(),
            "{}",
            vendor.manifest.id
        );
        let nothing = Credentials::new(vendor.manifest.default_endpoint);
        assert!(
            (vendor.connect)(&nothing, &http, harness::DEADLINE).is_err(),
            "{}",
            vendor.manifest.id
        );
    }
}
