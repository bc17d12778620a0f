//! The settings of the send pipeline: the rules of compliance, the choices of the operator, and limits.

use std::{path::Path, sync::Arc};

use butt_dial_compliance::{ComplianceSettings, Disclosure, RuleSet};
use butt_dial_domain::SendPurpose;
use butt_dial_messaging::outbound::OutboundSettings;
use butt_dial_providers::VENDORS;

use super::{Config, ConfigError, source::Source};

/// The rules in force and the choices of the operator.
pub(super) fn settings(
    source: &Source,
    simulated_world: bool,
) -> Result<(ComplianceSettings, Arc<RuleSet>), ConfigError> {
    let purposes = ["undeclared", "transactional", "informational", "marketing"];
    let undeclared = source.one_of("undeclared_purpose", &purposes)?;
    let settings = ComplianceSettings {
        allowed_destinations: allowed_destinations(source)?,
        undeclared_purpose: undeclared.parse().unwrap_or(SendPurpose::Undeclared),
        simulated_world,
        disclosure: match source.one_of("ai_disclosure", &["auto", "on", "off"])?.as_str() {
            "on" => Disclosure::Always,
            "off" => Disclosure::Default(false),
            _ => Disclosure::Default(!simulated_world && !has_simulators(source)),
        },
    };
    Ok((settings, rules(source)?.into()))
}

fn rules(source: &Source) -> Result<RuleSet, ConfigError> {
    let Some(directory) = source.optional("rules_dir")? else {
        return RuleSet::built_in().map_err(|error| ConfigError(error.to_string()));
    };
    RuleSet::read(Path::new(&directory)).map_err(|error| ConfigError(format!("RULES_DIR, {error}")))
}

/// Returns whether a carrier is reached without TLS: that is a simulator, and no vendor.
fn has_simulators(source: &Source) -> bool {
    let mut endpoints = VENDORS.iter().map(|vendor| vendor.manifest.endpoint_env);
    endpoints.any(|env| {
        source
            .vendor(env)
            .is_some_and(|endpoint| endpoint.starts_with("http://"))
    })
}

/// The longest disclosure, in characters.
const MAX_DISCLOSURE: usize = 200;

/// Reads the words of the disclosure in first messages.
pub(super) fn disclosure(source: &Source) -> Result<String, ConfigError> {
    let text = source.text("ai_disclosure_text")?.trim().to_owned();
    let is_valid = (1..=MAX_DISCLOSURE).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    match is_valid {
        true => Ok(text),
        false => Err(ConfigError(format!(
            "AI_DISCLOSURE_TEXT has 1 to {MAX_DISCLOSURE} characters in one line"
        ))),
    }
}

/// Reads beginnings of telephone numbers.
fn allowed_destinations(source: &Source) -> Result<Vec<String>, ConfigError> {
    let prefixes = source.list("allowed_destinations")?;
    let is_prefix = |text: &String| {
        let digits = text.strip_prefix('+');
        digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
    };
    match prefixes.iter().find(|text| !is_prefix(text)) {
        Some(wrong) => Err(ConfigError(format!(
            "ALLOWED_DESTINATIONS: {wrong:?} is not the beginning of a number; use the form +8816"
        ))),
        None => Ok(prefixes),
    }
}

impl Config {
    /// Returns the settings of the send pipeline.
    pub fn outbound_settings(&self, simulated_world: bool) -> OutboundSettings {
        OutboundSettings {
            simulated_world,
            approval_time: self.approval_time,
            disclosure: self.disclosure.clone(),
            identity: self.senders.identity,
            pool_binding: self.senders.pool_binding,
            reconcile_after: self.reconcile_after.clone(),
            scheduled_per_agent: self.scheduled_per_agent,
            scheduled_bytes_per_agent: self.scheduled_bytes_per_agent,
            scheduled_per_organization: self.scheduled_per_organization,
            scheduled_bytes_per_organization: self.scheduled_bytes_per_organization,
        }
    }
}
