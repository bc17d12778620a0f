//! The settings of accounts.

use butt_dial_accounts::{AccountSettings, OrgMode, Registration, Terms};
use butt_dial_domain::{Address, Channel};

use super::{ConfigError, seconds, source::Source};

pub(super) fn settings(
    source: &Source,
    simulated_world: bool,
    base_path: &str,
) -> Result<AccountSettings, ConfigError> {
    let registration = match source.optional("registration")? {
        Some(_) => source.choice("registration")?,
        None if simulated_world => Registration::Open,
        None => Registration::Closed,
    };
    let sender = |key: &str, channel| {
        let Some(text) = source.optional(key)? else {
            return Ok(None);
        };
        match Address::parse_sender(channel, &text) {
            Ok(_) => Ok(Some(text)),
            Err(error) => Err(ConfigError(format!("{}: {error}", key.to_uppercase()))),
        }
    };
    let url = source.url("terms_url")?;
    if url.as_ref().is_some_and(|url| url.scheme() != "https") {
        return Err(ConfigError("TERMS_URL must begin with https://".into()));
    }
    Ok(AccountSettings {
        registration,
        mode: match source.text("new_organization_mode")?.as_str() {
            "live" => OrgMode::Live,
            "sandbox" => OrgMode::Sandbox,
            other => {
                return Err(ConfigError(format!(
                    "NEW_ORGANIZATION_MODE must be live or sandbox, not {other:?}"
                )));
            }
        },
        terms: source.optional("terms_version")?.map(|version| Terms {
            version,
            url: url.map(String::from),
        }),
        email: sender("installation_email", Channel::Email)?,
        phone: sender("installation_phone", Channel::Sms)?,
        whatsapp: sender("installation_whatsapp", Channel::Whatsapp)?,
        alert_template: source.optional("alert_whatsapp_template")?,
        code_template: source.optional("code_whatsapp_template")?,
        notice_retry_after: seconds(source, "account_webhook_retry_after_seconds")?,
        default_limits: super::limits::defaults(source)?,
        simulated_world,
        base_path: base_path.to_owned(),
    })
}
