//! Messages that wait for the approval of a person, for administrators. The sweep of scheduled sends sends an approved message, and notifies
//! the agent of a rejected or expired one.

use std::sync::Arc;

use butt_dial_domain::{Channel, Code, Failure, MessageId, OrgId, clock::Timestamp, message::Content};
use butt_dial_identity::Caller;
use butt_dial_store::{AuditEntry, ScheduledSend};

use super::{Outbound, deferred::StoredRequest};

/// A message that waits for an approval.
pub struct HeldMessage {
    pub id: MessageId,
    pub agent: butt_dial_domain::AgentId,
    pub channel: Channel,
    pub to: String,
    /// The content to send. `None`: it cannot be decrypted.
    pub content: Option<Content>,
    pub rule: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

impl Outbound {
    /// Lists the messages of an organization that wait for an approval, oldest first, after an id.
    pub async fn list_held(&self, org: &OrgId, after: Option<&str>, limit: u32) -> Result<Vec<HeldMessage>, Failure> {
        let held = self.store.list_held(org, after.unwrap_or_default(), limit).await?;
        held.into_iter().map(|scheduled| self.view_held(scheduled)).collect()
    }

    pub(super) fn view_held(&self, scheduled: ScheduledSend) -> Result<HeldMessage, Failure> {
        let id = scheduled.id();
        let request = scheduled.request.as_deref().and_then(|sealed| {
            let plain = self.vault.decrypt(&scheduled.org(), id.as_str(), sealed).ok()?;
            serde_json::from_slice::<StoredRequest>(&plain).ok()
        });
        Ok(HeldMessage {
            agent: scheduled.agent(),
            channel: Channel::parse(&scheduled.channel).ok_or_else(Failure::internal)?,
            content: request.map(|request| request.content),
            rule: scheduled.approval_rule.unwrap_or_default(),
            created_at: scheduled.created_at,
            expires_at: scheduled.due_at,
            to: scheduled.recipient,
            id,
        })
    }

    /// Approves a message of the caller's organization, or rejects it, and writes an audit entry. The rules decide again when an
    /// approved message is sent. Fails with `MessageNotFound` if the message does not wait for an approval.
    pub async fn decide_approval(
        self: &Arc<Self>,
        caller: &Caller,
        id: &MessageId,
        approves: bool,
    ) -> Result<(), Failure> {
        self.decide(caller.org()?, caller.principal.token.as_str(), id, approves)
            .await
    }

    pub(super) async fn decide(
        self: &Arc<Self>,
        org: &OrgId,
        actor: &str,
        id: &MessageId,
        approves: bool,
    ) -> Result<(), Failure> {
        let now = self.clock.now();
        let rejection = (!approves).then(|| Code::ApprovalRejected.as_str());
        let action = match approves {
            true => "approval.approve",
            false => "approval.reject",
        };
        let change = self
            .store
            .change(AuditEntry::new(Some(org), actor, action, id.as_str(), now));
        if !change.decide_approval(org, id, rejection, now).await? {
            return Err(
                Failure::new(Code::MessageNotFound, "no message with this id waits for an approval")
                    .hint("GET /api/v1/approvals lists the messages that wait"),
            );
        }
        tracing::info!(message_id = %id, approves, "approval decided");
        self.spawn_sweep();
        Ok(())
    }
}
