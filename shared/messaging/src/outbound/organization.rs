//! The messages of an organization, for its administrators.

use butt_dial_domain::{AgentId, Channel, Code, Failure, MessageId, OrgId, clock::Timestamp};
use butt_dial_store::Message;
pub use butt_dial_store::{Attempt, Found, Look, MessageCounts, MessageFilter, MessagesFound, TraceStep};

use super::{Outbound, fall_back};

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
    /// How long the stages of the send took, and the looks of the reconciler.
    pub trace: Vec<TraceStep>,
    /// The message on the next channel, which was sent instead of this one.
    pub fallback: Option<Fallback>,
    /// When the carrier's last report arrived.
    pub reported_at: Option<Timestamp>,
}

/// A message that was sent on another channel because this one had failed.
pub struct Fallback {
    pub message: String,
    pub channel: String,
    pub at: Timestamp,
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
            filter.carrier_id,
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
        let (reports, follow_up) = self.list_reports(&message.agent, &message.id).await?;
        let fallback = match follow_up {
            None if message.failure.is_some() => self.find_fallback(&message, &idempotency_key).await?,
            found => found,
        };
        Ok(MessageHistory {
            reports,
            fallback,
            trace: self.store.find_trace(&message.id).await?,
            message,
            attempts,
            idempotency_key,
            reported_at,
        })
    }

    /// Finds the message on the next channel, which the same request has sent at once.
    async fn find_fallback(&self, message: &Message, key: &str) -> Result<Option<Fallback>, Failure> {
        // A key that was given back has the id of its message behind it.
        let freed = format!(" {}", message.id);
        let key = key.strip_suffix(&freed).unwrap_or(key);
        for channel in Channel::MESSAGES {
            let key = fall_back::key_on(key, channel);
            if let Some(next) = self.store.find_message_by_key(&message.agent, &key).await? {
                return Ok(Some(Fallback {
                    message: next.id.into_string(),
                    channel: channel.as_str().to_owned(),
                    at: next.created_at,
                }));
            }
        }
        Ok(None)
    }

    /// Lists the statuses that the agent was told of, and the fallback of the failure among them.
    async fn list_reports(
        &self,
        agent: &AgentId,
        id: &MessageId,
    ) -> Result<(Vec<StatusReport>, Option<Fallback>), Failure> {
        let (mut reports, mut fallback) = (Vec::new(), None);
        for status in REPORTED {
            if let Some(event) = self.store.find_event(agent, &format!("evt_{id}_{status}")).await? {
                let of = |name: &str| event.data[name].as_str().map(str::to_owned);
                if let Some((message, channel)) = of("fallbackMessageId").zip(of("fallingBackTo")) {
                    fallback = Some(Fallback {
                        message,
                        channel,
                        at: event.created_at,
                    });
                }
                reports.push(StatusReport {
                    status,
                    at: event.created_at,
                    is_delivered: event.state == butt_dial_store::EventState::Delivered,
                });
            }
        }
        reports.sort_by_key(|report| report.at);
        Ok((reports, fallback))
    }
}
