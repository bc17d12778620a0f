//! The handle of the anomalies: listing and dismissing them, and the parameters in force.

use std::{sync::Arc, time::Duration};

use butt_dial_alerts::Alerts;
use butt_dial_domain::{
    Clock, Code, Failure, OrgId, Scope,
    limits::Limits,
    ports::kv::{Kv, KvError},
};
use butt_dial_identity::Caller;
use butt_dial_store::{Anomaly, AnomalyFilter, AuditEntry, Store};
use butt_dial_vault::Vault;
use serde_json::json;

use crate::{finding::Detector, parameters::Parameters, reporter::Reporter};

const MAX_PAGE: u32 = butt_dial_domain::bounds::PAGE;
/// The actor of changes that the program makes.
pub(crate) const SYSTEM: &str = "system";

/// Finds anomalies and reacts to them. Cheap to clone.
#[derive(Clone)]
pub struct Anomalies {
    pub(crate) store: Store,
    pub(crate) kv: Arc<dyn Kv>,
    pub(crate) vault: Vault,
    pub(crate) clock: Clock,
    pub(crate) alerts: Alerts,
    pub(crate) reporter: Arc<dyn Reporter>,
    pub(crate) parameters: Arc<Parameters>,
    pub(crate) default_limits: Limits,
    pub(crate) interval: Duration,
}

/// The settings of the anomaly detectors.
#[derive(Clone, Debug)]
pub struct AnomalySettings {
    pub parameters: Arc<Parameters>,
    /// The limits of agents without their own.
    pub default_limits: Limits,
    /// The time between two runs of the sweep.
    pub interval: Duration,
}

impl Anomalies {
    pub fn new(
        store: Store,
        kv: Arc<dyn Kv>,
        vault: Vault,
        alerts: Alerts,
        reporter: Arc<dyn Reporter>,
        settings: AnomalySettings,
        clock: Clock,
    ) -> Self {
        Self {
            store,
            kv,
            vault,
            clock,
            alerts,
            reporter,
            parameters: settings.parameters,
            default_limits: settings.default_limits,
            interval: settings.interval,
        }
    }

    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Returns the time between two runs of the sweep.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Lists anomalies of the caller's organization, or of all and the installation for the orchestrator, newest first.
    pub async fn list(&self, caller: &Caller, filter: AnomalyFilter<'_>, limit: u32) -> Result<Vec<Anomaly>, Failure> {
        caller.require(Scope::OrgAdmin)?;
        let filter = AnomalyFilter {
            org: caller.principal.org.as_ref(),
            ..filter
        };
        Ok(self.store.list_anomalies(&filter, limit.clamp(1, MAX_PAGE)).await?)
    }

    /// Dismisses an open anomaly of the caller's organization, or of the installation for the orchestrator: the restraints of its agent and the pause of
    /// its contact end, its alert is resolved, and the program does not react to it again. A suspended agent stays suspended.
    pub async fn dismiss(&self, caller: &Caller, id: &str) -> Result<Anomaly, Failure> {
        caller.require(Scope::OrgAdmin)?;
        let (org, actor, now) = (
            caller.principal.org.as_ref(),
            caller.principal.token.as_str(),
            self.clock.now(),
        );
        let entry = AuditEntry::new(org, actor, "anomaly.dismiss", id, now);
        let dismissed = self.store.change(entry).dismiss_anomaly(org, id, actor, now).await?;
        let dismissed =
            dismissed.ok_or_else(|| Failure::new(Code::NotFound, "there is no such anomaly that is open"))?;
        self.resolve_alert(&dismissed, actor).await?;
        Ok(dismissed)
    }

    pub(crate) async fn resolve_alert(&self, anomaly: &Anomaly, by: &str) -> Result<(), Failure> {
        let Some(detector) = Detector::parse(&anomaly.detector) else {
            return Ok(());
        };
        let org = anomaly.org();
        self.alerts
            .resolve_cause(org.as_ref(), detector.alert_kind(), &anomaly.subject, by)
            .await
    }

    /// Builds the entry of a reaction.
    pub(crate) fn entry(&self, org: &OrgId, action: &str, target: &str, anomaly: &Anomaly) -> AuditEntry {
        AuditEntry::new(Some(org), SYSTEM, action, target, self.clock.now()).with_detail(json!({
            "anomaly": anomaly.id, "detector": anomaly.detector, "explanation": anomaly.explanation,
            "numbers": anomaly.numbers,
        }))
    }
}

pub(crate) fn unavailable(error: KvError) -> Failure {
    tracing::warn!(%error, "key-value store unavailable for anomalies");
    Failure::unavailable("the key-value store does not answer right now")
}
