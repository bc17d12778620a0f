//! The registered metrics of the product's crates.

use butt_dial_compliance::Compliance;
use butt_dial_messaging::Metrics;
use prometheus::Registry;

use crate::Config;

pub(super) struct ProductMetrics {
    pub identity: butt_dial_identity::Metrics,
    pub billing: butt_dial_billing::Metrics,
    pub compliance: Compliance,
    pub messaging: Metrics,
    pub calls: butt_dial_calls::Metrics,
}

impl ProductMetrics {
    pub fn register(registry: &Registry, config: &Config) -> Result<Self, prometheus::Error> {
        Ok(Self {
            identity: butt_dial_identity::Metrics::register(registry)?,
            billing: butt_dial_billing::Metrics::register(registry)?,
            compliance: Compliance::register(registry, config.compliance.clone(), config.rules.clone())?,
            messaging: Metrics::register(registry)?,
            calls: butt_dial_calls::Metrics::register(registry)?,
        })
    }
}
