//! The messages of an organization, for its administrators.

use butt_dial_domain::{AgentId, Code, Failure, MessageId, OrgId, clock::Timestamp};
use butt_dial_store::Message;
pub use butt_dial_store::{Attempt, MessageCounts, MessageFilter, MessagesFound};

use super::Outbound;

/// The longest page of a list.
pub const MAX_PAGE: u32 = butt_dial_domain::bounds::PAGE;
/// The statuses that events report, in the order in which they happen.
const REPORTED: [&str; 7] = [
    "accepted",
    "unconfirmed",
    "sent",
    "delivered",
    "read",
    "failed",
    "opted_out",
];

/// A message with everything that is known about its way.
pub struct MessageHistory {
    pub message: Message,
    pub attempts: Vec<Attempt>,
    /// Statuses that the agent was told of, with their times.
    pub reports: Vec<StatusReport>,
    pub idempotency_key: String,
    /// When the carrier's last report arrived.
    pub reported_at: Option<Timestamp>,
}

/// A status that the agent was told of.
pub struct StatusReport {
    pub status: &'static str,
    pub at: Timestamp,
    /// The agent has received the event.
    pub is_delivered: bool,
}

impl Outbound {
    /// Lists messages of an organization, newest first, that are older than the message `before`.
    pub async fn list_messages(
        &self,
        org: &OrgId,
        filter: &MessageFilter<'_>,
        before: Option<&str>,
        limit: u32,
    ) -> Result<MessagesFound, Failure> {
        let texts = [
            before,
            filter.channel,
            filter.status,
            filter.contact,
            filter.rule,
            filter.code,
            filter.thread,
        ];
        if texts
            .into_iter()
            .flatten()
            .any(|text| text.chars().any(char::is_control))
        {
            return Err(Failure::new(
                Code::InvalidArgument,
                "a filter contains a control character",
            ));
        }
        Ok(self
            .store
            .list_messages(org, filter, before, limit.clamp(1, MAX_PAGE))
            .await?)
    }

    /// Counts the messages of an organization that are newer than the message `after`, up to 100.
    pub async fn count_newer_messages(&self, org: &OrgId, after: &str) -> Result<i64, Failure> {
        Ok(self.store.count_newer_messages(org, after).await?)
    }

    /// Counts the messages of an organization since `since`, by channel and status.
    pub async fn count_messages(&self, org: &OrgId, since: Timestamp) -> Result<Vec<MessageCounts>, Failure> {
        Ok(self.store.count_messages(org, since).await?)
    }

    /// Returns a message of an organization, by its id or the carrier's id, with its history.
    pub async fn message_history(&self, org: &OrgId, id: &str) -> Result<MessageHistory, Failure> {
        let unknown = || Failure::new(Code::MessageNotFound, "there is no message with this id");
        if id.chars().any(char::is_control) {
            return Err(unknown());
        }
        let message = self.store.find_message_of_org(org, id).await?.ok_or_else(unknown)?;
        let attempts = self.store.list_attempts(&message.id).await?;
        let (reported_at, idempotency_key) = self.store.find_message_times(&message.id).await?.ok_or_else(unknown)?;
        Ok(MessageHistory {
            reports: self.list_reports(&message.agent, &message.id).await?,
            message,
            attempts,
            idempotency_key,
            reported_at,
        })
    }

    async fn list_reports(&self, agent: &AgentId, id: &MessageId) -> Result<Vec<StatusReport>, Failure> {
        let mut reports = Vec::new();
        for status in REPORTED {
            if let Some(event) = self.store.find_event(agent, &format!("evt_{id}_{status}")).await? {
                reports.push(StatusReport {
                    status,
                    at: event.created_at,
                    is_delivered: event.state == butt_dial_store::EventState::Delivered,
                });
            }
        }
        reports.sort_by_key(|report| report.at);
        Ok(reports)
    }
}
