//! The sources of settings, in ascending precedence: built-in defaults, the operator's file, the environment.
//! Rejects unknown names with prefixes of this program, and notes variables that resemble settings.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};

use butt_dial_providers::VENDORS;
use url::Url;

use super::ConfigError;

const DEFAULTS: &str = include_str!("../../../../deploy/butt-dial.toml");
/// Prefixes of environment variables that no other program uses: an unknown name is an error.
const OWN_PREFIXES: [&str; 2] = ["BUTT_DIAL_", "DEFAULT_MAX_"];
/// The suffix of a variable that names a file with the value of a setting, such as a mounted secret.
const FILE_SUFFIX: &str = "_file";
/// Jaro-Winkler similarity above which a vendor's variable counts as a misspelt setting.
const MISSPELT_SIMILARITY: f64 = 0.93;

/// Length from which a variable with two other characters counts as a misspelt setting.
const MIN_RESEMBLING: usize = 8;

/// The values of all settings, by lower-case name.
pub struct Source {
    values: BTreeMap<String, String>,
    /// Variables that resemble settings, each with the setting.
    pub resembling: Vec<(String, String)>,
}

impl Source {
    /// Merges the defaults, the text of a settings file and environment variables. Fails on an unknown name.
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
        let mut set_directly = BTreeSet::new();
        let mut files = Vec::new();
        let mut resembling = Vec::new();
        for (name, value) in env {
            let key = name.to_lowercase();
            let is_foreign = name.chars().any(|c| c.is_ascii_lowercase()) || name == "BUTT_DIAL_CONFIG";
            if is_foreign || is_service_link(&name, &value) {
                continue;
            }
            if let Some(known) = values.get_mut(&key) {
                *known = value;
                set_directly.insert(key);
            } else if let Some(target) = key
                .strip_suffix(FILE_SUFFIX)
                .filter(|target| values.contains_key(*target))
            {
                files.push((target.to_owned(), value));
            } else if OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || is_misspelt_vendor_key(&key) {
                return Err(unknown(
                    &format!("the environment has an unknown setting {name}"),
                    &key,
                    &values,
                ));
            } else if let Some(known) = resembled(&key, &values) {
                resembling.push((name, known.to_uppercase()));
            }
        }
        for (key, path) in files.into_iter().filter(|(_, path)| !path.trim().is_empty()) {
            if set_directly.contains(&key) && !values[&key].is_empty() {
                let name = key.to_uppercase();
                return Err(wrong(
                    &key,
                    &format!("and {name}_FILE are both set: remove one of the two"),
                ));
            }
            values.insert(key.clone(), read_file(&key, &path)?);
        }
        Ok(Self { values, resembling })
    }

    /// Returns the value as written.
    pub fn text(&self, key: &str) -> Result<String, ConfigError> {
        // A key without a default is a bug in this crate, which its tests find: they read every setting.
        self.values
            .get(key)
            .cloned()
            .ok_or_else(|| ConfigError(format!("unknown setting {key}")))
    }

    /// Returns the trimmed value. `None` when it is empty.
    pub fn optional(&self, key: &str) -> Result<Option<String>, ConfigError> {
        Ok(Some(self.text(key)?.trim().to_owned()).filter(|text| !text.is_empty()))
    }

    /// Returns a vendor's setting by the name of its environment variable. `None` when it is empty.
    pub fn vendor(&self, env: &str) -> Option<String> {
        self.values
            .get(&env.to_lowercase())
            .filter(|value| !value.is_empty())
            .cloned()
    }

    /// Parses the value. `expected` describes the format in the error.
    pub fn parse<T: FromStr>(&self, key: &str, expected: &str) -> Result<T, ConfigError> {
        let text = self.text(key)?;
        text.trim()
            .parse()
            .map_err(|_| wrong(key, &format!("must be {expected}, not {text:?}")))
    }

    /// Parses a whole number from `min` to `max`.
    pub fn number<T: FromStr + PartialOrd + std::fmt::Display>(
        &self,
        key: &str,
        min: T,
        max: T,
    ) -> Result<T, ConfigError> {
        let number: T = self.parse(key, &format!("a whole number from {min} to {max}"))?;
        if number < min || number > max {
            return Err(wrong(key, &format!("must be {min} to {max}, not {number}")));
        }
        Ok(number)
    }

    /// Parses a number of at least `min`. `None` for the text `none`.
    pub fn number_or_none(&self, key: &str, min: f64) -> Result<Option<f64>, ConfigError> {
        let text = self.text(key)?;
        if text.trim().eq_ignore_ascii_case("none") {
            return Ok(None);
        }
        match text.trim().parse::<f64>() {
            Ok(number) if number.is_finite() && number >= min && number <= 1e9 => Ok(Some(number)),
            _ => Err(wrong(
                key,
                &format!("must be a number of at least {min}, or none, not {text:?}"),
            )),
        }
    }

    /// Parses one of the variants of an enum.
    pub fn choice<T: FromStr + strum::VariantNames>(&self, key: &str) -> Result<T, ConfigError> {
        let variant = self.one_of(key, T::VARIANTS)?;
        variant.parse().map_err(|_| wrong(key, "is not supported"))
    }

    /// Parses `true` or `false`.
    pub fn flag(&self, key: &str) -> Result<bool, ConfigError> {
        Ok(self.one_of(key, &["true", "false"])? == "true")
    }

    /// Returns the value in lower case when it is one of the choices.
    pub fn one_of(&self, key: &str, choices: &[&str]) -> Result<String, ConfigError> {
        let text = self.text(key)?.trim().to_lowercase();
        if choices.contains(&text.as_str()) {
            return Ok(text);
        }
        Err(wrong(
            key,
            &format!("must be one of {}, not {text:?}", choices.join(", ")),
        ))
    }

    /// Splits the value at commas and drops empty items.
    pub fn list(&self, key: &str) -> Result<Vec<String>, ConfigError> {
        Ok(self
            .text(key)?
            .split(',')
            .map(|part| part.trim().to_owned())
            .filter(|part| !part.is_empty())
            .collect())
    }

    /// Parses an `http` or `https` URL. `None` when the value is empty.
    pub fn url(&self, key: &str) -> Result<Option<Url>, ConfigError> {
        let Some(text) = self.optional(key)? else {
            return Ok(None);
        };
        let url = Url::parse(&text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        url.map(Some).ok_or_else(|| wrong(key, "must be an http or https URL"))
    }

    /// Returns a secret of at least `min` characters. Errors never contain it.
    pub fn secret(&self, key: &str, min: usize) -> Result<Option<String>, ConfigError> {
        match self.optional(key)? {
            Some(secret) if secret.len() < min => Err(wrong(
                key,
                &format!("must have at least {min} characters; generate one with `openssl rand -hex 32`"),
            )),
            secret => Ok(secret),
        }
    }

    /// Returns secrets of at least `min` characters, separated by commas. Errors never contain one.
    pub fn secrets(&self, key: &str, min: usize) -> Result<Vec<String>, ConfigError> {
        let secrets = self.list(key)?;
        if secrets.iter().any(|secret| secret.len() < min) {
            return Err(wrong(
                key,
                &format!("must be secrets of at least {min} characters each; generate one with `openssl rand -hex 32`"),
            ));
        }
        Ok(secrets)
    }
}

fn parse(text: &str, source: &str) -> Result<BTreeMap<String, String>, ConfigError> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(0, |span| text[..span.start].lines().count().max(1));
        ConfigError(format!("{source}, line {line}: {}", error.message()))
    })?;
    let value = |(key, value): (String, toml::Value)| {
        let value = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Float(number) => number.to_string(),
            toml::Value::Boolean(flag) => flag.to_string(),
            _ => {
                return Err(ConfigError(format!(
                    "{source}: {key} must be a string, a number, true or false"
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

/// Returns whether the name resembles a vendor's setting. Other programs have variables for the same vendors, so a name with
/// less similarity is ignored.
fn is_misspelt_vendor_key(key: &str) -> bool {
    vendor_keys().any(|known| {
        key != known && strsim::jaro_winkler(key, &known) > MISSPELT_SIMILARITY && same_vendor(key, &known)
    })
}

/// Returns the setting that the name of a variable resembles. It may be a variable of another program, so this is no error. Short
/// names resemble too many others.
fn resembled<'a>(key: &str, values: &'a BTreeMap<String, String>) -> Option<&'a str> {
    let key = key.strip_suffix(FILE_SUFFIX).unwrap_or(key);
    let mut known = values
        .keys()
        .filter(|known| known.len() >= MIN_RESEMBLING && known.as_str() != key);
    let found = known.find(|known| strsim::damerau_levenshtein(key, known) <= 2)?;
    Some(found)
}

/// Returns whether Kubernetes made this variable for a service: `<SERVICE>_SERVICE_HOST`, `<SERVICE>_SERVICE_PORT[_<NAME>]`,
/// `<SERVICE>_PORT=tcp://…` and `<SERVICE>_PORT_<NUMBER>_<PROTOCOL>[_PROTO|_PORT|_ADDR]`. A service may be named like this
/// program, or so that a variable has the name of a setting (SIMULATOR_PORT).
fn is_service_link(name: &str, value: &str) -> bool {
    const PROTOCOLS: [&str; 3] = ["tcp", "udp", "sctp"];
    let is_address = PROTOCOLS
        .iter()
        .any(|protocol| value.strip_prefix(protocol).is_some_and(|rest| rest.starts_with("://")));
    if name.ends_with("_SERVICE_HOST") || name.ends_with("_SERVICE_PORT") || name.contains("_SERVICE_PORT_") {
        return true;
    }
    if name.ends_with("_PORT") && is_address {
        return true;
    }
    let Some((_, port)) = name.split_once("_PORT_") else {
        return false;
    };
    let mut parts = port.split('_');
    let number = parts.next().unwrap_or_default();
    let protocol = parts.next().unwrap_or_default().to_lowercase();
    let field = parts.next().unwrap_or_default();
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number && PROTOCOLS.contains(&protocol.as_str()) && matches!(field, "" | "PROTO" | "PORT" | "ADDR")
}

/// Reads the value of a setting from a file. Line breaks at its end are not part of the value. Errors never contain it.
fn read_file(key: &str, path: &str) -> Result<String, ConfigError> {
    let text = std::fs::read_to_string(path.trim()).map_err(|error| {
        let name = key.to_uppercase();
        ConfigError(format!("{name}_FILE: the file {path} can't be read: {error}"))
    })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
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
        .filter(|(similarity, _)| *similarity > 0.8);
    let hint = nearest.map_or_else(String::new, |(_, known)| format!("; did you mean {known}?"));
    ConfigError(format!("{text}{hint}"))
}
