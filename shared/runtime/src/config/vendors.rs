//! Which vendors are spoken to: carriers, and the engines behind calls, which are language models and speech synthesizers.
//! Only a carrier's credentials end the simulation of the carriers; an engine's key ends that of the engine.

use std::time::Duration;

use butt_dial_providers::{Credentials, VENDORS, Vendor};

use super::{ConfigError, source::Source};

/// Whether simulators stand in for the carriers.
#[derive(Clone)]
pub enum CarrierSetup {
    Simulated,
    Real(Vec<(&'static Vendor, Credentials)>),
}

/// Language models and speech synthesizers. Those that are not set up are simulated as long as the carriers are.
#[derive(Clone)]
pub struct Engines {
    pub set_up: Vec<(&'static Vendor, Credentials)>,
    /// The vendor's id; `None`: the first that has one.
    pub answering_model: Option<String>,
    pub speech_vendor: Option<String>,
    /// How long a model may say nothing.
    pub model_timeout: Duration,
    /// How long a sound file may take.
    pub speech_timeout: Duration,
}

fn is_carrier(vendor: &Vendor) -> bool {
    !vendor.manifest.channels.is_empty()
}

pub fn carriers(source: &Source) -> Result<CarrierSetup, ConfigError> {
    let mut real = Vec::new();
    for vendor in VENDORS.iter().filter(|vendor| is_carrier(vendor)) {
        let found = vendor.read_credentials(|env| source.vendor(env)).map_err(ConfigError)?;
        real.extend(found.map(|credentials| (*vendor, credentials)));
    }
    match source.choice("demo_mode", &["auto", "true", "false"])?.as_str() {
        "true" if !real.is_empty() => Err(ConfigError(
            "DEMO_MODE=true asks for simulated carriers, but a carrier's credentials are set: remove one of the two"
                .into(),
        )),
        "false" => Ok(CarrierSetup::Real(real)),
        _ if real.is_empty() => Ok(CarrierSetup::Simulated),
        _ => Ok(CarrierSetup::Real(real)),
    }
}

pub fn engines(source: &Source) -> Result<Engines, ConfigError> {
    let mut set_up = Vec::new();
    for vendor in VENDORS.iter().filter(|vendor| !is_carrier(vendor)) {
        // Other programs read settings of the same names, such as ANTHROPIC_MODEL: without a key they are not meant for us.
        let mut required = vendor.manifest.credentials.iter().filter(|field| field.required);
        if required.any(|field| source.vendor(field.env).is_none()) {
            continue;
        }
        let found = vendor.read_credentials(|env| source.vendor(env)).map_err(ConfigError)?;
        set_up.extend(found.map(|credentials| (*vendor, credentials)));
    }
    Ok(Engines {
        set_up,
        answering_model: choice(source, "answering_model", &["auto", "anthropic", "openai"])?,
        speech_vendor: choice(source, "speech_vendor", &["auto", "elevenlabs", "openai"])?,
        model_timeout: Duration::from_secs(source.number("model_timeout_seconds", 1, 60)?),
        speech_timeout: Duration::from_secs(source.number("speech_timeout_seconds", 1, 300)?),
    })
}

fn choice(source: &Source, key: &str, choices: &[&str]) -> Result<Option<String>, ConfigError> {
    Ok(Some(source.choice(key, choices)?).filter(|chosen| chosen != "auto"))
}
