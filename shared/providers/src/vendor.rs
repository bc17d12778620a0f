//! The description of a vendor: capabilities, credentials and simulator.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use butt_dial_domain::{
    Channel,
    clock::Timestamp,
    ports::{
        carrier::Messaging,
        mail_domains::MailDomains,
        model::LanguageModel,
        numbers::{Numbers, Subaccounts, WhatsappSenders},
        registrations::NumberRegistrations,
        speech::SpeechSynthesis,
        transcription::Transcription,
        voice::Voice,
        webhook::{WebhookRequest, Webhooks},
    },
};

use crate::{
    Secret,
    simulator::{Headers, PersonMessage, Simulator, SimulatorState, VendorWebhook},
};

/// A vendor: its capabilities, how to connect, and its simulator.
pub struct Vendor {
    pub manifest: Manifest,
    /// Checks the form of the credentials and builds the adapters, with a deadline for each request. Makes no request.
    /// The error text names the setting to fix.
    pub connect: Connect,
    /// The vendor's simulated API, mounted under `/<id>`.
    pub simulator: fn(SimulatorState) -> axum::Router,
    /// The names of accounts in requests and credentials; `None` for vendors with the account in the webhook's URL only.
    pub accounts: Option<AccountNaming>,
    /// How the simulator sends inbound messages; `None` for vendors without recipients.
    pub inbound: Option<InboundSimulation>,
    /// The credentials that the simulator accepts, as pairs of setting and value. A simulator may have other secrets
    /// (`SimulatorState::setting`).
    pub simulated_settings: &'static [(&'static str, &'static str)],
}

/// How an account is identified.
pub struct AccountNaming {
    /// The setting that is the vendor's id of the account.
    pub setting: &'static str,
    /// Returns the id that a webhook names, before its signature is verified.
    pub of_request: fn(&WebhookRequest) -> Option<String>,
}

/// Inbound messages through the vendor.
pub struct InboundSimulation {
    /// Builds the webhook of an inbound message for this URL.
    pub webhook: fn(&SimulatorState, &PersonMessage, &str) -> Result<VendorWebhook, String>,
    /// Signs a webhook with any body: returns the headers.
    pub sign: fn(&SimulatorState, &str, &[u8], Timestamp) -> Headers,
}

pub type Connect = fn(&Credentials, &reqwest::Client, Duration) -> Result<Connected, String>;

/// The adapters of a vendor with credentials; `None` for capabilities that it lacks.
#[derive(Default)]
pub struct Connected {
    pub messaging: Option<Arc<dyn Messaging>>,
    pub webhooks: Option<Arc<dyn Webhooks>>,
    pub voice: Option<Arc<dyn Voice>>,
    pub model: Option<Arc<dyn LanguageModel>>,
    pub speech: Option<Arc<dyn SpeechSynthesis>>,
    pub transcription: Option<Arc<dyn Transcription>>,
    pub numbers: Option<Arc<dyn Numbers>>,
    pub subaccounts: Option<Arc<dyn Subaccounts>>,
    pub whatsapp_senders: Option<Arc<dyn WhatsappSenders>>,
    pub registrations: Option<Arc<dyn NumberRegistrations>>,
    pub mail_domains: Option<Arc<dyn MailDomains>>,
}

/// A service of a vendor that is not a carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AiService {
    LanguageModel,
    Speech,
    Transcription,
}

pub struct Manifest {
    /// Short, lower case, never changed: it is stored in the database and used in metrics.
    pub id: &'static str,
    pub title: &'static str,
    /// The channels; empty for vendors without recipients.
    pub channels: &'static [Channel],
    /// The services that `connect` can return; empty for carriers.
    pub ai_services: &'static [AiService],
    pub credentials: &'static [CredentialField],
    /// The setting that overrides `default_endpoint`.
    pub endpoint_env: &'static str,
    pub default_endpoint: &'static str,
    /// The vendor's API documentation.
    pub docs: &'static str,
}

/// A setting that the operator supplies.
pub struct CredentialField {
    pub env: &'static str,
    pub required: bool,
    /// Whether forms and logs must hide it.
    pub secret: bool,
    pub help: &'static str,
}

/// Why the credentials of an account can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnreadableAccount {
    /// The vendor has no such field.
    Unknown(String),
    /// Required fields that are not given.
    Missing(Vec<&'static str>),
}

/// A vendor's endpoint and credential values.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Without a trailing slash.
    pub endpoint: String,
    values: BTreeMap<&'static str, Secret>,
}

impl Manifest {
    /// Returns whether the vendor carries messages or calls.
    pub fn is_carrier(&self) -> bool {
        !self.channels.is_empty()
    }
}

impl Vendor {
    /// Returns the credentials for this vendor in a `Simulator` with this base URL and the published secrets.
    pub fn simulated_credentials(&self, simulator: &str) -> Credentials {
        let endpoint = format!("{}/{}", simulator.trim_end_matches('/'), self.manifest.id);
        self.simulated_settings
            .iter()
            .fold(Credentials::new(endpoint), |all, (env, value)| all.with(env, *value))
    }

    /// Returns the credentials for this simulator.
    pub fn credentials_for(&self, simulator: &Simulator) -> Credentials {
        let endpoint = format!("{}/{}", simulator.base_url(), self.manifest.id);
        let settings = self.simulated_settings.iter();
        settings.fold(Credentials::new(endpoint), |all, (env, _)| {
            all.with(env, simulator.state().setting(env))
        })
    }

    /// Reads the credentials of an account: names of settings with or without the vendor's prefix, in any casing, such as
    /// `TWILIO_AUTH_TOKEN`, `auth_token` or `authToken`. The endpoint is the installation's: an account must not choose where
    /// requests go.
    pub fn read_account(
        &self,
        endpoint: &str,
        given: &BTreeMap<String, String>,
    ) -> Result<Credentials, UnreadableAccount> {
        let plain = |name: &str| name.replace(['_', '-'], "").to_ascii_lowercase();
        let prefix = plain(self.manifest.id);
        let mut credentials = Credentials::new(endpoint);
        for (name, value) in given {
            let wanted = plain(name);
            let field = self.manifest.credentials.iter().find(|field| {
                let known = plain(field.env);
                known == wanted || known.strip_prefix(&prefix).is_some_and(|rest| rest == wanted)
            });
            let Some(field) = field else {
                return Err(UnreadableAccount::Unknown(name.clone()));
            };
            if !value.trim().is_empty() {
                credentials = credentials.with(field.env, value.trim());
            }
        }
        let missing = self.manifest.credentials.iter().filter(|field| field.required);
        let missing: Vec<&'static str> = missing
            .map(|field| field.env)
            .filter(|env| credentials.find(env).is_none())
            .collect();
        if missing.is_empty() {
            Ok(credentials)
        } else {
            Err(UnreadableAccount::Missing(missing))
        }
    }

    /// Reads the settings. Returns `None` without any of them; fails when a required one is missing.
    pub fn read_credentials(&self, setting: impl Fn(&str) -> Option<String>) -> Result<Option<Credentials>, String> {
        let value = |env| setting(env).filter(|value| !value.trim().is_empty());
        let endpoint = value(self.manifest.endpoint_env).unwrap_or_else(|| self.manifest.default_endpoint.to_owned());
        let mut credentials = Credentials::new(endpoint);
        let mut missing = Vec::new();
        for field in self.manifest.credentials {
            match value(field.env) {
                Some(value) => credentials = credentials.with(field.env, value.trim()),
                None if field.required => missing.push(field),
                None => {}
            }
        }
        if credentials.values.is_empty() {
            return Ok(None);
        }
        match missing.first() {
            Some(field) => Err(format!(
                "the settings of {} are incomplete: set {} ({})",
                self.manifest.title, field.env, field.help
            )),
            None => Ok(Some(credentials)),
        }
    }
}

impl Credentials {
    pub fn new(endpoint: impl Into<String>) -> Self {
        let endpoint: String = endpoint.into();
        Self {
            endpoint: endpoint.trim().trim_end_matches('/').to_owned(),
            values: BTreeMap::new(),
        }
    }

    #[must_use]
    pub fn with(mut self, env: &'static str, value: impl Into<String>) -> Self {
        self.values.insert(env, Secret::new(value));
        self
    }

    /// Returns the names of the values that are set.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.values.keys().copied()
    }

    pub fn find(&self, env: &str) -> Option<&Secret> {
        self.values.get(env)
    }

    pub fn get(&self, env: &str) -> Result<&Secret, String> {
        self.find(env).ok_or_else(|| format!("{env} is not set"))
    }

    /// Returns the endpoint if it is a valid HTTP URL.
    pub fn checked_endpoint(&self, env: &str) -> Result<&str, String> {
        let parsed = url::Url::parse(&self.endpoint).map_err(|_| format!("{env} is not a URL"))?;
        let plain = parsed.username().is_empty()
            && parsed.password().is_none()
            && parsed.query().is_none()
            && parsed.fragment().is_none();
        if !matches!(parsed.scheme(), "http" | "https") || !plain || !parsed.has_host() {
            return Err(format!(
                "{env} must be an http or https URL without a user, a query or a fragment"
            ));
        }
        Ok(&self.endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twilio;

    #[test]
    fn rejects_incomplete_credentials() {
        let vendor = &twilio::VENDOR;
        assert!(vendor.read_credentials(|_| None).unwrap().is_none());

        let half = vendor.read_credentials(|env| (env == "TWILIO_ACCOUNT_SID").then(|| "AC1".into()));
        assert!(half.unwrap_err().contains("TWILIO_AUTH_TOKEN"));

        let whole = vendor
            .read_credentials(|env| match env {
                "TWILIO_ACCOUNT_SID" | "TWILIO_AUTH_TOKEN" => Some(" x ".into()),
                "TWILIO_API_URL" => Some("http://localhost:1/twilio/".into()),
                _ => None,
            })
            .unwrap()
            .unwrap();
        assert_eq!(whole.endpoint, "http://localhost:1/twilio");
        assert_eq!(whole.get("TWILIO_AUTH_TOKEN").unwrap().expose(), "x");
    }

    #[test]
    fn rejects_invalid_endpoints() {
        for bad in [
            "",
            "api.example.com",
            "ftp://x",
            "https://u:p@x",
            "https://x/?a=b",
            "file:///etc",
        ] {
            assert!(Credentials::new(bad).checked_endpoint("X").is_err(), "{bad}");
        }
        assert_eq!(
            Credentials::new("https://api.example.com/").checked_endpoint("X"),
            Ok("https://api.example.com")
        );
    }
}
