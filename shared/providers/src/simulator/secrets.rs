//! The credentials that one simulator accepts and signs with.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{VENDORS, Vendor};

/// The form of Resend's signing secrets.
const STANDARD_WEBHOOKS: &str = "whsec_";

/// The values of all vendors' `simulated_settings`.
pub(super) struct Secrets(BTreeMap<&'static str, String>);

impl Secrets {
    /// Returns the published values, for a simulator and a server that are set up apart from each other, such as in tests.
    pub(super) fn published() -> Self {
        Self::with(|_, _, value| value.to_owned())
    }

    /// Returns secrets that no other program knows. Webhooks of this simulator can't be forged.
    pub(super) fn random() -> Self {
        Self::with(|vendor, env, value| {
            let is_secret = vendor
                .manifest
                .credentials
                .iter()
                .any(|field| field.env == env && field.secret);
            match is_secret {
                false => value.to_owned(),
                true if value.starts_with(STANDARD_WEBHOOKS) => {
                    format!("{STANDARD_WEBHOOKS}{}", STANDARD.encode(random_bytes()))
                }
                true => format!("simulated-{}", hex::encode(random_bytes())),
            }
        })
    }

    /// Replaces the values that are given.
    pub(super) fn replaced(mut self, given: impl Fn(&str) -> Option<String>) -> Self {
        for (env, value) in &mut self.0 {
            if let Some(given) = given(env).filter(|given| !given.is_empty()) {
                *value = given;
            }
        }
        self
    }

    fn with(value: impl Fn(&Vendor, &str, &str) -> String) -> Self {
        let settings = VENDORS.iter().flat_map(|vendor| {
            let settings = vendor.simulated_settings.iter();
            settings.map(|(env, published)| (*env, value(vendor, env, published)))
        });
        Self(settings.collect())
    }

    /// Returns the value of a setting; empty for a setting that no simulator has.
    pub(super) fn get(&self, env: &str) -> &str {
        self.0.get(env).map_or("", String::as_str)
    }
}

fn random_bytes() -> [u8; 32] {
    let (high, low) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(high.as_bytes());
    bytes[16..].copy_from_slice(low.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_secrets_differ_and_keep_ids() {
        let (one, other, published) = (Secrets::random(), Secrets::random(), Secrets::published());
        for vendor in VENDORS {
            for field in vendor.manifest.credentials {
                let value = one.get(field.env);
                if value.is_empty() {
                    continue;
                }
                assert_eq!(value == other.get(field.env), !field.secret, "{}", field.env);
                assert_eq!(value == published.get(field.env), !field.secret, "{}", field.env);
            }
        }
    }

    #[test]
    fn keeps_given_values() {
        let given = |env: &str| (env == "TWILIO_AUTH_TOKEN").then(|| "mine".to_owned());
        let secrets = Secrets::random().replaced(given);
        assert_eq!(secrets.get("TWILIO_AUTH_TOKEN"), "mine");
        assert_ne!(
            secrets.get("META_APP_SECRET"),
            Secrets::published().get("META_APP_SECRET")
        );
    }
}
