//! Gauges of the governance: open anomalies, and the sealer of the audit log.

use butt_dial_anomalies::Detector;
use chrono::TimeDelta;
use prometheus::{Gauge, IntGaugeVec, Opts, Registry};

#[derive(Clone)]
pub struct GovernanceMetrics {
    anomalies: IntGaugeVec,
    sealer_lag: Gauge,
}

impl GovernanceMetrics {
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let options = Opts::new(
            "bd_anomalies_open",
            "Anomalies that have neither ended nor been dismissed, by detector. Each dispatcher reports those of the installation.",
        );
        let anomalies = IntGaugeVec::new(options, &["detector"])?;
        registry.register(Box::new(anomalies.clone()))?;
        for detector in Detector::ALL {
            anomalies.with_label_values(&[detector.name()]).set(0);
        }
        let sealer_lag = Gauge::new(
            "bd_audit_sealer_lag_seconds",
            "Age of the oldest entry that has no place in an audit log yet; 0 if all have one.",
        )?;
        registry.register(Box::new(sealer_lag.clone()))?;
        Ok(Self { anomalies, sealer_lag })
    }

    pub fn set_open_anomalies(&self, open: &[(Detector, i64)]) {
        for (detector, count) in open {
            self.anomalies.with_label_values(&[detector.name()]).set(*count);
        }
    }

    pub fn set_sealer_lag(&self, lag: TimeDelta) {
        self.sealer_lag.set(lag.as_seconds_f64().max(0.0));
    }
}
