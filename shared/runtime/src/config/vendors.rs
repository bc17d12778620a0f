//! Settings of the vendors: carriers, and the AI vendors of calls (language models, speech synthesizers).
//! Credentials of a carrier end the simulation of all carriers. A key of an AI vendor ends only the simulation of that vendor.

use std::{net::IpAddr, time::Duration};

use butt_dial_providers::{AiService, Credentials, VENDORS, Vendor};

use super::{ConfigError, Deployment, source::Source};

/// Carriers are simulated until credentials are set.
#[derive(Clone)]
pub enum CarrierSetup {
    Simulated,
    Real(Vec<(&'static Vendor, Credentials)>),
}

impl CarrierSetup {
    /// Returns whether a carrier is simulated: within this process, or by another one. A carrier that is reached without TLS is a
    /// simulator, and no vendor.
    pub fn are_simulated(&self) -> bool {
        match self {
            Self::Simulated => true,
            Self::Real(real) => real.iter().any(|(_, credentials)| is_simulator(credentials)),
        }
    }
}

fn is_simulator(credentials: &Credentials) -> bool {
    credentials.endpoint.starts_with("http://")
}

/// Language models, speech synthesizers and transcribers. Without credentials they are simulated when the carriers are.
#[derive(Clone)]
pub struct AiVendors {
    pub configured: Vec<(&'static Vendor, Credentials)>,
    /// The vendor's id; `None`: the first that is configured.
    pub answering_model: Option<String>,
    /// The vendor's id; `None`: the first that is configured.
    pub speech_vendor: Option<String>,
    pub transcription_vendor: Option<String>,
    /// Longest silence of a model, before and within its reply.
    pub model_timeout: Duration,
    /// Longest duration of a speech synthesis.
    pub speech_timeout: Duration,
}

#[derive(strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "lowercase")]
enum DemoMode {
    Auto,
    True,
    False,
}

/// Reads the carriers' credentials and `demo_mode`. Fails when both are contradictory, and when carriers would be simulated
/// for clients elsewhere without a request of the operator.
pub fn carriers(source: &Source, deployment: Deployment, host: IpAddr) -> Result<CarrierSetup, ConfigError> {
    let mut real = Vec::new();
    for vendor in VENDORS.iter().filter(|vendor| vendor.manifest.is_carrier()) {
        let credentials = vendor.read_credentials(|env| source.vendor(env)).map_err(ConfigError)?;
        real.extend(credentials.map(|credentials| (*vendor, credentials)));
    }
    match source.choice::<DemoMode>("demo_mode")? {
        DemoMode::True if !real.is_empty() => Err(ConfigError(
            "DEMO_MODE=true requests simulated carriers, but credentials of a carrier are set: remove one of the two"
                .into(),
        )),
        DemoMode::True => Ok(CarrierSetup::Simulated),
        // Each replica would simulate separate carriers, and a lost secret would turn real messages into simulated ones.
        DemoMode::Auto if deployment == Deployment::Distributed => Ok(CarrierSetup::Real(real)),
        DemoMode::Auto if real.is_empty() && !host.is_loopback() => match deployment {
            Deployment::Command => Ok(CarrierSetup::Real(real)),
            _ => Err(ConfigError(format!(
                "HOST={host} serves other machines, but no carrier's credentials are set, so the carriers would be \
                 simulated. Set the credentials of a carrier (`butt-dial doctor` lists them), or set DEMO_MODE=true to \
                 simulate them, or DEMO_MODE=false to serve without carriers"
            ))),
        },
        DemoMode::Auto if real.is_empty() => Ok(CarrierSetup::Simulated),
        _ => Ok(CarrierSetup::Real(real)),
    }
}

/// Reads the AI vendors' credentials, choices and time limits.
pub fn ai_vendors(source: &Source) -> Result<AiVendors, ConfigError> {
    let mut configured = Vec::new();
    for vendor in VENDORS.iter().filter(|vendor| !vendor.manifest.is_carrier()) {
        // Other programs use the same names, such as ANTHROPIC_MODEL. Without a key they are not settings of this program.
        let mut required = vendor.manifest.credentials.iter().filter(|field| field.required);
        if required.any(|field| source.vendor(field.env).is_none()) {
            continue;
        }
        let credentials = vendor.read_credentials(|env| source.vendor(env)).map_err(ConfigError)?;
        configured.extend(credentials.map(|credentials| (*vendor, credentials)));
    }
    Ok(AiVendors {
        configured,
        answering_model: vendor_choice(source, "answering_model", AiService::LanguageModel)?,
        speech_vendor: vendor_choice(source, "speech_vendor", AiService::Speech)?,
        transcription_vendor: vendor_choice(source, "transcription_vendor", AiService::Transcription)?,
        model_timeout: Duration::from_secs(source.number("model_timeout_seconds", 1, 60)?),
        speech_timeout: Duration::from_secs(source.number("speech_timeout_seconds", 1, 300)?),
    })
}

/// Reads the id of a vendor with this service. `None` for `auto`.
fn vendor_choice(source: &Source, key: &str, service: AiService) -> Result<Option<String>, ConfigError> {
    let vendors = VENDORS.iter().map(|vendor| &vendor.manifest);
    let ids = vendors
        .filter(|manifest| manifest.ai_services.contains(&service))
        .map(|manifest| manifest.id);
    let choices: Vec<&str> = ["auto"].into_iter().chain(ids).collect();
    Ok(Some(source.one_of(key, &choices)?).filter(|id| id != "auto"))
}
