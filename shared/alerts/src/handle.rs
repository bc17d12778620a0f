//! The handle of the alerts: raising, listing, acknowledging and resolving them.

use std::sync::Arc;

use butt_dial_domain::{Clock, Code, Failure, OrgId, Scope};
use butt_dial_identity::Caller;
use butt_dial_messaging::{Egress, PublicUrls};
use butt_dial_store::{Alert, AlertState, NewAlert, Severity, Store};
use butt_dial_vault::Vault;
use serde_json::Value;

use crate::{mailer::Mailer, schedule};

const MAX_PAGE: u32 = butt_dial_domain::bounds::PAGE;
/// The actor of alerts that end by themselves.
pub(crate) const SYSTEM: &str = "system";

/// Raises alerts and notifies people of them. Cheap to clone.
#[derive(Clone)]
pub struct Alerts {
    pub(crate) store: Store,
    pub(crate) vault: Vault,
    pub(crate) clock: Clock,
    pub(crate) egress: Egress,
    pub(crate) mailer: Arc<dyn Mailer>,
    pub(crate) public_urls: PublicUrls,
}

/// A cause to alert about.
#[derive(Clone, Debug, PartialEq)]
pub struct Cause {
    /// `None`: about the installation.
    pub org: Option<OrgId>,
    pub kind: &'static str,
    /// Identifies the cause within its kind and organization.
    pub fingerprint: String,
    pub severity: Severity,
    /// One line, without addresses and secrets.
    pub title: String,
    /// The facts that tripped it.
    pub evidence: Value,
}

impl Alerts {
    pub fn new(
        store: Store,
        vault: Vault,
        clock: Clock,
        egress: Egress,
        mailer: Arc<dyn Mailer>,
        public_urls: PublicUrls,
    ) -> Self {
        Self {
            store,
            vault,
            clock,
            egress,
            mailer,
            public_urls,
        }
    }

    /// Opens an alert, and schedules its notifications, or counts up the open one of the same cause. Returns whether it is new.
    pub async fn raise(&self, cause: &Cause) -> Result<bool, Failure> {
        let now = self.clock.now();
        let routes = self.store.list_alert_routes(cause.org.as_ref()).await?;
        let due = schedule::when_opened(&routes, cause.severity, now);
        let new = NewAlert {
            org: cause.org.as_ref(),
            kind: cause.kind,
            fingerprint: &cause.fingerprint,
            severity: cause.severity,
            title: &cause.title,
            evidence: &cause.evidence,
        };
        let (id, is_new) = self.store.raise_alert(&new, &due, now).await?;
        if is_new {
            tracing::warn!(
                alert = id,
                kind = cause.kind,
                severity = <&str>::from(cause.severity),
                "alert opened"
            );
        }
        Ok(is_new)
    }

    /// Lists alerts of the caller's organization, or of the installation for the orchestrator, newest first, in pages.
    pub async fn list(
        &self,
        caller: &Caller,
        only_unresolved: bool,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Alert>, Failure> {
        let org = org_of(caller)?;
        let limit = limit.clamp(1, MAX_PAGE);
        Ok(self
            .store
            .list_alerts(org.as_ref(), only_unresolved, before, limit)
            .await?)
    }

    /// Acknowledges an alert: no further message leaves.
    pub async fn acknowledge(&self, caller: &Caller, id: &str) -> Result<(), Failure> {
        self.set_state(caller, id, AlertState::Acknowledged).await
    }

    /// Resolves an alert. The same cause opens another one.
    pub async fn resolve(&self, caller: &Caller, id: &str) -> Result<(), Failure> {
        self.set_state(caller, id, AlertState::Resolved).await
    }

    /// Resolves the alert of a cause that is gone. `by` is the actor.
    pub async fn resolve_cause(
        &self,
        org: Option<&OrgId>,
        kind: &str,
        fingerprint: &str,
        by: &str,
    ) -> Result<(), Failure> {
        if let Some(id) = self.store.find_open_alert(org, kind, fingerprint).await? {
            self.change_state(org, &id, AlertState::Resolved, by).await?;
        }
        Ok(())
    }

    async fn set_state(&self, caller: &Caller, id: &str, state: AlertState) -> Result<(), Failure> {
        let org = org_of(caller)?;
        let by = caller.principal.token.as_str();
        match self.change_state(org.as_ref(), id, state, by).await? {
            true => Ok(()),
            false => Err(Failure::new(
                Code::NotFound,
                "there is no such alert that this could change",
            )),
        }
    }

    pub(crate) async fn change_state(
        &self,
        org: Option<&OrgId>,
        id: &str,
        state: AlertState,
        by: &str,
    ) -> Result<bool, Failure> {
        let now = self.clock.now();
        let due = match state {
            AlertState::Resolved => schedule::when_resolved(&self.store.list_alert_routes(org).await?, now),
            AlertState::Open | AlertState::Acknowledged => Vec::new(),
        };
        Ok(self.store.set_alert_state(org, id, state, by, &due, now).await?)
    }
}

/// Returns the organization of the alerts that the caller administers. `None`: the installation.
pub(crate) fn org_of(caller: &Caller) -> Result<Option<OrgId>, Failure> {
    caller.require(Scope::OrgAdmin)?;
    Ok(caller.principal.org.clone())
}
