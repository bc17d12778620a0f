//! Assembles the audit logs, the alerts and the anomaly detectors.

use std::sync::Arc;

use async_trait::async_trait;
use butt_dial_accounts::Accounts;
use butt_dial_alerts::{Alerts, Mailer};
use butt_dial_anomalies::{Anomalies, Pause, Reporter};
use butt_dial_audit::Audit;
use butt_dial_domain::{AgentId, Channel, Failure, OrgId, clock::Timestamp};
use butt_dial_messaging::Egress;
use chrono::TimeDelta;
use serde_json::Value;

use super::product::Parts;

/// Sends alerts as the installation.
struct InstallationMailer(Arc<Accounts>);

#[async_trait]
impl Mailer for InstallationMailer {
    async fn send(&self, channel: Channel, to: &str, subject: &str, text: &str, key: &str) -> Result<(), Failure> {
        self.0.send_as_installation(channel, to, subject, text, key).await
    }
}

/// Reports suspensions and pauses by the anomaly detectors.
struct AccountsReporter(Arc<Accounts>);

#[async_trait]
impl Reporter for AccountsReporter {
    async fn report_suspension(&self, org: &OrgId, agent: &AgentId, reason: &str) -> Result<(), Failure> {
        self.0.report_suspension(org, agent, Some(reason)).await
    }

    fn pause_event(&self, agent: &AgentId, pause: &Pause<'_>, now: Timestamp) -> (&'static str, Value) {
        butt_dial_accounts::pause_event(agent, (pause.id, pause.contact), pause.until, now)
    }
}

impl Parts<'_> {
    pub(super) fn alerts(&self, egress: &Egress, accounts: &Arc<Accounts>) -> Alerts {
        Alerts::new(
            self.backends.store.clone(),
            self.backends.vault.clone(),
            self.clock.clone(),
            egress.clone(),
            Arc::new(InstallationMailer(accounts.clone())),
            self.public_urls.clone(),
        )
    }

    pub(super) fn anomalies(&self, alerts: &Alerts, accounts: &Arc<Accounts>) -> Anomalies {
        Anomalies::new(
            self.backends.store.clone(),
            self.backends.kv.clone(),
            self.backends.vault.clone(),
            alerts.clone(),
            Arc::new(AccountsReporter(accounts.clone())),
            self.config.anomalies.clone(),
            self.clock.clone(),
        )
    }

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
