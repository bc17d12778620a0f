//! Assembles the audit logs.

use butt_dial_audit::Audit;
use chrono::TimeDelta;

use super::product::Parts;

impl Parts<'_> {
    pub(super) fn audit(&self) -> Audit {
        let host = self.config.webhook_base_url.as_ref().and_then(|url| url.host_str());
        let kept = self
            .config
            .keep_times
            .audit
            .and_then(|kept| TimeDelta::from_std(kept).ok());
        Audit::new(
            self.backends.store.clone(),
            self.backends.vault.clone(),
            self.clock.clone(),
            &self.replica,
            host.map(str::to_owned),
            kept,
        )
    }
}
