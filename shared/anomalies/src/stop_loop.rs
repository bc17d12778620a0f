//! Stops two programs that answer each other: the agent's messages to the contact are refused for a time.

use butt_dial_domain::{AgentId, Failure, OrgId, address::contact_key};
use butt_dial_store::AuditEntry;
use chrono::TimeDelta;
use serde_json::json;

use crate::{
    Anomalies,
    finding::{Detector, Finding},
    handle::SYSTEM,
    masked::masked,
};

/// Open anomalies among which a dismissed one is looked for.
const OPEN: u32 = 1_000;

impl Anomalies {
    /// Pauses the agent's messages to a contact, unless they are paused, or a person has dismissed the anomaly.
    pub(crate) async fn stop_loop(
        &self,
        (org, agent): (&OrgId, &AgentId),
        recipient: &str,
        finding: &Finding,
        pause: TimeDelta,
    ) -> Result<(), Failure> {
        if pause.is_zero() {
            return Ok(());
        }
        let detail = self.contact_detail(org, recipient);
        let open = self.store.list_open_anomalies(OPEN).await?;
        let is_dismissed = open.iter().any(|anomaly| {
            anomaly.detector == Detector::BotLoop.name()
                && anomaly.agent().as_ref() == Some(agent)
                && anomaly.subject.ends_with(&detail)
                && anomaly.dismissed_at.is_some()
        });
        if is_dismissed {
            return Ok(());
        }
        let (now, contact) = (self.clock.now(), contact_key(recipient));
        let until = now + pause;
        let entry = AuditEntry::new(Some(org), SYSTEM, "contact.pause", agent.as_str(), now).with_detail(json!({
            "contact": masked(recipient), "until": until, "explanation": finding.explanation, "numbers": finding.numbers,
        }));
        let change = self.store.change(entry);
        if change.pause_contact((org, agent), &contact, until, now).await? {
            tracing::warn!(%agent, "messages to a program paused");
        }
        Ok(())
    }
}
