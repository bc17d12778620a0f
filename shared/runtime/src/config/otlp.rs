//! Settings of the export over OTLP: the collector, and which signals it gets. The names are the standard ones.

use url::Url;

use super::{ConfigError, source::Source};

#[derive(PartialEq, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "lowercase")]
enum Exporter {
    Otlp,
    None,
}

/// The addresses to which signals are posted. `None`: the signal is not exported.
#[derive(Clone, Default)]
pub struct OtlpConfig {
    pub traces: Option<Url>,
    pub metrics: Option<Url>,
    pub logs: Option<Url>,
}

pub fn settings(source: &Source) -> Result<OtlpConfig, ConfigError> {
    let base = source.url("otel_exporter_otlp_endpoint")?;
    let endpoint = |signal: &str| {
        if source.choice::<Exporter>(&format!("otel_{signal}_exporter"))? == Exporter::None {
            return Ok(None);
        }
        // The address of one signal is used as it is, that of all signals is the beginning of a path.
        match (source.url(&format!("otel_exporter_otlp_{signal}_endpoint"))?, &base) {
            (Some(own), _) => Ok(Some(own)),
            (None, Some(base)) => joined(base, signal).map(Some),
            (None, None) => Ok(None),
        }
    };
    let required = |signal: &str| match endpoint(signal)? {
        None if source.choice::<Exporter>(&format!("otel_{signal}_exporter"))? == Exporter::Otlp => {
            let name = signal.to_uppercase();
            Err(ConfigError(format!(
                "OTEL_{name}_EXPORTER is otlp, but no collector is set: set OTEL_EXPORTER_OTLP_ENDPOINT"
            )))
        }
        endpoint => Ok(endpoint),
    };
    Ok(OtlpConfig {
        // The default of this signal is otlp, so that an endpoint is enough.
        traces: endpoint("traces")?,
        metrics: required("metrics")?,
        logs: required("logs")?,
    })
}

fn joined(base: &Url, signal: &str) -> Result<Url, ConfigError> {
    let text = format!("{}/v1/{signal}", base.as_str().trim_end_matches('/'));
    Url::parse(&text).map_err(|error| ConfigError(format!("OTEL_EXPORTER_OTLP_ENDPOINT: {error}")))
}
