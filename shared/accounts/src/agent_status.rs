//! The status that an agent gives itself, and reports of suspensions and pauses. An agent can't undo the decision of an administrator.

use std::sync::Arc;

use butt_dial_domain::{AgentId, Code, Failure, OrgId, clock::Timestamp};
use butt_dial_identity::Caller;
use butt_dial_messaging::delivery::{AGENT_SUSPENDED as EVENT, CONTACT_PAUSED};
use butt_dial_store::{AgentStatus, EventReason, NewEvent, StatusSetBy};
use serde_json::{Value, json};

use crate::{
    Accounts, StatusChange,
    notices::{AGENT_SUSPENDED, event_id, time},
};

const MAX_REASON_LENGTH: usize = butt_dial_domain::bounds::REASON;

impl Accounts {
    /// Sets the status of the calling agent. A suspension is reported to the agent's log and to the organization's webhook.
    pub async fn set_own_status(
        self: &Arc<Self>,
        caller: &Caller,
        status: AgentStatus,
        reason: Option<&str>,
    ) -> Result<StatusChange, Failure> {
        let agent = &caller.agent()?.agent;
        if reason.is_some_and(|reason| reason.chars().count() > MAX_REASON_LENGTH) {
            let message = format!("reason has at most {MAX_REASON_LENGTH} characters");
            return Err(Failure::new(Code::InvalidArgument, message));
        }
        let actor = caller.principal.token.as_str();
        let detail = json!({ "status": status.as_str(), "reason": reason });
        let cancelled = self
            .audit
            .change(&agent.org_id, actor, "agent.status", agent.id.as_str(), detail)
            .set_agent_status(&agent.org_id, &agent.id, status, StatusSetBy::Agent, reason)
            .await?;
        let cancelled_sends = cancelled.ok_or_else(|| {
            Failure::new(Code::AuthForbidden, "an administrator has set the status of this agent")
                .hint("ask an administrator to change it")
        })?;
        if status == AgentStatus::Suspended {
            self.report_suspension(&agent.org_id, &agent.id, reason).await?;
        }
        Ok(StatusChange {
            status,
            cancelled_sends,
        })
    }

    /// Reports a suspension to the agent's log and to the organization's webhook.
    pub async fn report_suspension(
        self: &Arc<Self>,
        org: &OrgId,
        agent: &AgentId,
        reason: Option<&str>,
    ) -> Result<(), Failure> {
        let now = self.clock.now();
        let data = json!({
            "type": EVENT, "event": EVENT, "agentId": agent.host_id(), "reason": reason, "timestamp": time(now),
        });
        let event = NewEvent {
            agent,
            id: &event_id(),
            kind: EVENT,
            channel: None,
            reason: EventReason::AgentOffline,
            data: &data,
        };
        self.store.append_event(&event, now).await?;
        let body = json!({
            "event": AGENT_SUSPENDED, "orgId": org, "agentId": agent.host_id(), "reason": reason,
            "suspendedAt": time(now),
        });
        self.notify(org, AGENT_SUSPENDED, body).await
    }
}

/// Returns kind and data of the event that reports to an agent that its messages to a contact are paused, and how the pause ends.
pub fn pause_event(
    agent: &AgentId,
    (pause, contact): (&str, &str),
    until: Timestamp,
    now: Timestamp,
) -> (&'static str, Value) {
    let data = json!({
        "type": CONTACT_PAUSED, "event": CONTACT_PAUSED, "agentId": agent.host_id(), "to": contact, "pauseId": pause,
        "pausedUntil": time(until), "timestamp": time(now),
        "advice": "this contact answers as fast as a program; if a person answers there, an administrator ends the pause with \
            DELETE /api/v1/contact-pauses/{pauseId}, or dismisses the anomaly",
    });
    (CONTACT_PAUSED, data)
}
