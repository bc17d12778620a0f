//! Metrics of authentication. Labels are bounded: never a token, an id or an address.

use butt_dial_domain::Code;
use prometheus::{IntCounterVec, Opts, Registry};

#[derive(Clone)]
pub struct Metrics {
    failures: IntCounterVec,
}

impl Metrics {
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = Opts::new("bd_auth_failures_total", "Requests refused by the auth guard.");
        let failures = IntCounterVec::new(opts, &["code"])?;
        registry.register(Box::new(failures.clone()))?;
        for code in [Code::AuthInvalidToken, Code::AuthTokenRevoked, Code::AuthLockedOut] {
            failures.with_label_values(&[code.as_str()]);
        }
        Ok(Self { failures })
    }

    /// Counts a refused request by its error code.
    pub(crate) fn record_failure(&self, code: &str) {
        self.failures.with_label_values(&[code]).inc();
    }
}
