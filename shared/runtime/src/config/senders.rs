//! The settings of senders: the identity of agents, the accounts that they use, and the numbers that may be bought.

use std::time::Duration;

use butt_dial_accounts::SenderSettings;
use chrono::TimeDelta;

use super::{CarrierSetup, ConfigError, source::Source};

/// The domain of simulated mail addresses: reserved for examples (RFC 2606).
const SIMULATED_DOMAIN: &str = "butt-dial.example";

pub(super) fn settings(source: &Source, carriers: &CarrierSetup) -> Result<SenderSettings, ConfigError> {
    let countries = source.list("number_countries")?;
    let countries: Vec<String> = countries.iter().map(|country| country.to_ascii_uppercase()).collect();
    let is_country = |country: &&String| country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase());
    if let Some(wrong) = countries.iter().find(|country| !is_country(country)) {
        return Err(ConfigError(format!(
            "NUMBER_COUNTRIES: {wrong:?} is not a country; use two letters such as US"
        )));
    }
    let mail_domain = source.optional("mail_domain")?.map(|domain| domain.to_lowercase());
    if let Some(domain) = &mail_domain
        && (!domain.contains('.') || domain.contains(['@', '/', ' ', ':']))
    {
        return Err(ConfigError(format!(
            "MAIL_DOMAIN: {domain:?} is not a domain; use the form agents.example.com"
        )));
    }
    let simulated = matches!(carriers, CarrierSetup::Simulated).then(|| SIMULATED_DOMAIN.to_owned());
    Ok(SenderSettings {
        identity: source.choice("identity_mode")?,
        isolation: source.choice("isolation_mode")?,
        pool_binding: TimeDelta::days(source.number("pool_binding_days", 1, 3_650)?),
        hold: Duration::from_secs(3_600 * source.number::<u64>("number_hold_hours", 0, 720)?),
        countries,
        mail_domain: mail_domain.or(simulated),
    })
}
