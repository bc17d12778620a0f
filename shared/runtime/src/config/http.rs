//! Settings of the HTTP edge: hosts, origins, proxies, paths.

use std::net::IpAddr;

use ipnet::IpNet;
use url::Url;

use super::{ConfigError, source::Source};

pub(super) fn allowed_hosts(source: &Source, base: Option<&Url>) -> Result<Option<Vec<String>>, ConfigError> {
    let listed = source.list("allowed_hosts")?;
    if listed.iter().any(|host| host == "*") {
        return Ok(None);
    }
    let own = base.and_then(Url::host_str).map(str::to_owned);
    let local = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    Ok(Some(
        local
            .into_iter()
            .chain(own)
            .chain(listed.into_iter().map(|host| host.to_lowercase()))
            .collect(),
    ))
}

pub(super) fn trusted_proxies(source: &Source) -> Result<Vec<IpNet>, ConfigError> {
    let wrong = |text: &str| {
        ConfigError(format!(
            "TRUSTED_PROXIES: {text:?} is not an address or a network; use the form 10.0.0.7 or 10.0.0.0/8"
        ))
    };
    let network = |text: &String| {
        text.parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .map_err(|_| wrong(text))
    };
    source.list("trusted_proxies")?.iter().map(network).collect()
}

pub(super) fn cors_allowed_origins(source: &Source) -> Result<Vec<String>, ConfigError> {
    let origins = source.list("cors_allowed_origins")?;
    for origin in origins.iter().filter(|origin| *origin != "*") {
        let is_origin = Url::parse(origin).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == origin.to_lowercase()
        });
        if !is_origin {
            return Err(ConfigError(format!(
                "CORS_ALLOWED_ORIGINS: {origin:?} is not an origin; use the form https://app.example.com, without a path"
            )));
        }
    }
    Ok(origins)
}

pub(super) fn base_path(source: &Source) -> Result<String, ConfigError> {
    let path = source.text("base_path")?;
    let path = path.trim().trim_end_matches('/');
    let is_path = path.is_empty()
        || path.starts_with('/')
            && !path.contains("//")
            && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-_.~".contains(&b));
    if !is_path {
        return Err(ConfigError(format!(
            "BASE_PATH: {path:?} is not a path; use the form /bd"
        )));
    }
    Ok(path.to_owned())
}
