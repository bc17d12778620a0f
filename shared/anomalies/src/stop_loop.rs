//! Stops two programs that answer each other: the agent's messages to the contact are refused for a time, unless a person decides
//! otherwise.

use butt_dial_domain::{AgentId, Code, Failure, OrgId, Scope, address::contact_key, clock::Timestamp, ids};
use butt_dial_identity::Caller;
use butt_dial_store::{AuditEntry, ContactPause, EventReason, NewEvent, NewPause, PAUSE_PREFIX};
use chrono::TimeDelta;
use serde_json::json;

use crate::{
    Anomalies,
    finding::{Detector, Finding},
    handle::SYSTEM,
    masked::masked,
    reporter::Pause,
};

const DETECTOR: Detector = Detector::BotLoop;

impl Anomalies {
    /// Pauses the agent's messages to a contact, and reports it to the agent, unless they are paused, or a person has dismissed the
    /// anomaly of this subject.
    pub(crate) async fn stop_loop(
        &self,
        (org, agent): (&OrgId, &AgentId),
        recipient: &str,
        (subject, finding): (&str, &Finding),
        pause: TimeDelta,
    ) -> Result<(), Failure> {
        if pause.is_zero() {
            return Ok(());
        }
        let (now, contact) = (self.clock.now(), contact_key(recipient));
        let until = now + pause;
        let entry = AuditEntry::new(Some(org), SYSTEM, "contact.pause", agent.as_str(), now).with_detail(json!({
            "contact": masked(recipient), "until": until, "explanation": finding.explanation, "numbers": finding.numbers,
        }));
        let id = format!("{PAUSE_PREFIX}{}", ids::unique());
        let pause = Pause {
            id: &id,
            contact: recipient,
            until,
        };
        let (kind, data) = self.reporter.pause_event(agent, &pause, now);
        let event = NewEvent {
            agent,
            id: &format!("evt_{id}"),
            kind,
            channel: None,
            reason: EventReason::AgentOffline,
            data: &data,
        };
        let new = NewPause {
            id: &id,
            org,
            agent,
            contact: &contact,
            until,
            cause: (DETECTOR.name(), subject),
            event: &event,
        };
        if self.store.change(entry).pause_contact(&new, now).await? {
            tracing::warn!(%agent, pause = id, "messages to a program paused");
        }
        Ok(())
    }

    /// Lists the pauses of contacts in the caller's organization, after an id.
    pub async fn list_pauses(&self, caller: &Caller, after: &str, limit: u32) -> Result<Vec<ContactPause>, Failure> {
        caller.require(Scope::OrgAdmin)?;
        let now: Timestamp = self.clock.now();
        Ok(self.store.list_contact_pauses(caller.org()?, after, limit, now).await?)
    }

    /// Ends a pause, and dismisses its anomaly: the contact is not paused again while this exchange lasts.
    pub async fn end_pause(&self, caller: &Caller, id: &str) -> Result<(), Failure> {
        caller.require(Scope::OrgAdmin)?;
        let (org, actor, now) = (caller.org()?, caller.principal.token.as_str(), self.clock.now());
        let entry = AuditEntry::new(Some(org), actor, "contact.resume", id, now);
        let change = self.store.change(entry);
        let ended = change
            .end_contact_pause((org, id), DETECTOR.name(), actor, now)
            .await?
            .ok_or_else(|| Failure::new(Code::NotFound, "there is no such pause"))?;
        if let Some(subject) = &ended.subject {
            self.alerts
                .resolve_cause(Some(org), DETECTOR.alert_kind(), subject, actor)
                .await?;
        }
        Ok(())
    }
}
