//! The settings of the anomaly detectors.

use std::{path::Path, sync::Arc, time::Duration};

use butt_dial_anomalies::{AnomalySettings, Parameters};

use super::{ConfigError, limits, source::Source};

pub(super) fn settings(source: &Source) -> Result<AnomalySettings, ConfigError> {
    Ok(AnomalySettings {
        parameters: Arc::new(parameters(source)?),
        default_limits: limits::defaults(source)?,
        interval: Duration::from_secs(source.number("anomaly_interval_seconds", 1, 300)?),
    })
}

fn parameters(source: &Source) -> Result<Parameters, ConfigError> {
    match source.optional("anomalies_file")? {
        None => Parameters::built_in().map_err(|error| ConfigError(error.to_string())),
        Some(file) => {
            Parameters::read(Path::new(&file)).map_err(|error| ConfigError(format!("ANOMALIES_FILE: {error}")))
        }
    }
}
