//! Where settings come from: the defaults built in, the operator's file over them, the environment over that.
//! Knows every name that there is, so that a misspelt one is found.

use std::{collections::BTreeMap, str::FromStr};

use butt_dial_providers::VENDORS;
use url::Url;

use super::ConfigError;

const DEFAULTS: &str = include_str!("../../../../deploy/butt-dial.toml");
/// Environment variables that begin like this are ours alone: an unknown one is a mistake.
const OWN_PREFIXES: [&str; 2] = ["BUTT_DIAL_", "DEFAULT_MAX_"];
/// Likeness (Jaro-Winkler) from which a foreign name counts as a misspelling of one of ours.
const LIKENESS: f64 = 0.93;

pub struct Source {
    values: BTreeMap<String, String>,
}

impl Source {
    pub fn read(file: Option<&str>, env: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let mut values = parse(DEFAULTS, "the built-in defaults")?;
        for key in vendor_keys() {
            values.insert(key, String::new());
        }
        for (key, value) in file
            .map(|text| parse(text, "the settings file"))
            .transpose()?
            .unwrap_or_default()
        {
            if !values.contains_key(&key) {
                return Err(unknown(
                    &format!("the settings file has an unknown setting {key:?}"),
                    &key,
                    &values,
                ));
            }
            values.insert(key, value);
        }
        for (name, value) in env {
            let key = name.to_lowercase();
            if name.chars().any(|c| c.is_ascii_lowercase()) || name == "BUTT_DIAL_CONFIG" {
                continue;
            }
            if let Some(known) = values.get_mut(&key) {
                *known = value;
            } else if OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || is_misspelt_vendor_key(&key) {
                return Err(unknown(
                    &format!("the environment has an unknown setting {name}"),
                    &key,
                    &values,
                ));
            }
        }
        Ok(Self { values })
    }

    pub fn text(&self, key: &str) -> Result<String, ConfigError> {
        // A key that is not in the defaults would be a mistake of ours; the tests read all of them.
        self.values
            .get(key)
            .cloned()
            .ok_or_else(|| ConfigError(format!("there is no setting {key}")))
    }

    pub fn optional(&self, key: &str) -> Result<Option<String>, ConfigError> {
        Ok(Some(self.text(key)?.trim().to_owned()).filter(|text| !text.is_empty()))
    }

    pub fn vendor(&self, env: &str) -> Option<String> {
        self.values
            .get(&env.to_lowercase())
            .filter(|value| !value.is_empty())
            .cloned()
    }

    pub fn parse<T: FromStr>(&self, key: &str, expected: &str) -> Result<T, ConfigError> {
        let text = self.text(key)?;
        text.trim()
            .parse()
            .map_err(|_| wrong(key, &format!("must be {expected}, not {text:?}")))
    }

    pub fn number<T: FromStr + PartialOrd + std::fmt::Display>(
        &self,
        key: &str,
        least: T,
        most: T,
    ) -> Result<T, ConfigError> {
        let number: T = self.parse(key, &format!("a whole number from {least} to {most}"))?;
        if number < least || number > most {
            return Err(wrong(key, &format!("must be {least} to {most}, not {number}")));
        }
        Ok(number)
    }

    /// A number of at least `least`, or `none`.
    pub fn number_or_none(&self, key: &str, least: f64) -> Result<Option<f64>, ConfigError> {
        let text = self.text(key)?;
        if text.trim().eq_ignore_ascii_case("none") {
            return Ok(None);
        }
        match text.trim().parse::<f64>() {
            Ok(number) if number.is_finite() && number >= least && number <= 1e9 => Ok(Some(number)),
            _ => Err(wrong(
                key,
                &format!("must be a number of at least {least}, or none, not {text:?}"),
            )),
        }
    }

    pub fn choice(&self, key: &str, choices: &[&str]) -> Result<String, ConfigError> {
        let text = self.text(key)?.trim().to_lowercase();
        if choices.contains(&text.as_str()) {
            return Ok(text);
        }
        Err(wrong(
            key,
            &format!("must be one of {}, not {text:?}", choices.join(", ")),
        ))
    }

    pub fn list(&self, key: &str) -> Result<Vec<String>, ConfigError> {
        Ok(self
            .text(key)?
            .split(',')
            .map(|part| part.trim().to_owned())
            .filter(|part| !part.is_empty())
            .collect())
    }

    pub fn url(&self, key: &str) -> Result<Option<Url>, ConfigError> {
        let Some(text) = self.optional(key)? else {
            return Ok(None);
        };
        let url = Url::parse(&text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        url.map(Some).ok_or_else(|| wrong(key, "must be an http or https URL"))
    }

    /// Its value is in no message.
    pub fn secret(&self, key: &str, least: usize) -> Result<Option<String>, ConfigError> {
        match self.optional(key)? {
            Some(secret) if secret.len() < least => Err(wrong(
                key,
                &format!("must have at least {least} characters; make one with `openssl rand -hex 32`"),
            )),
            secret => Ok(secret),
        }
    }
}

fn parse(text: &str, what: &str) -> Result<BTreeMap<String, String>, ConfigError> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(0, |span| text[..span.start].lines().count().max(1));
        ConfigError(format!("{what}, line {line}: {}", error.message()))
    })?;
    let value = |(key, value): (String, toml::Value)| {
        let value = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Float(number) => number.to_string(),
            toml::Value::Boolean(truth) => truth.to_string(),
            _ => {
                return Err(ConfigError(format!(
                    "{what}: {key} must be a text, a number, true or false"
                )));
            }
        };
        Ok((key.to_lowercase(), value))
    };
    table.into_iter().map(value).collect()
}

fn vendor_keys() -> impl Iterator<Item = String> {
    VENDORS.iter().flat_map(|vendor| {
        let fields = vendor.manifest.credentials.iter().map(|field| field.env);
        fields.chain([vendor.manifest.endpoint_env]).map(str::to_lowercase)
    })
}

/// Other programs have settings for the same vendors, so only what looks like one of ours is taken for one.
fn is_misspelt_vendor_key(key: &str) -> bool {
    vendor_keys().any(|known| key != known && strsim::jaro_winkler(key, &known) > LIKENESS && same_vendor(key, &known))
}

fn same_vendor(a: &str, b: &str) -> bool {
    a.split('_').next() == b.split('_').next() && strsim::damerau_levenshtein(a, b) <= 2
}

fn wrong(key: &str, text: &str) -> ConfigError {
    ConfigError(format!("{} {text}", key.to_uppercase()))
}

fn unknown(text: &str, key: &str, values: &BTreeMap<String, String>) -> ConfigError {
    let nearest = values
        .keys()
        .map(|known| (strsim::jaro_winkler(key, known), known))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness > 0.8);
    let hint = nearest.map_or_else(String::new, |(_, known)| format!("; did you mean {known}?"));
    ConfigError(format!("{text}{hint}"))
}
