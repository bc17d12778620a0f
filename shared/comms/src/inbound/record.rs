//! What notices mean, written down: an agent's event for each, with consent, windows and receipts in one transaction.

use std::{sync::Arc, time::Duration};

use butt_dial_domain::{
    AgentId, ChannelId, OrgId,
    inbound::{InboundMessage, Keyword, Receipt},
    ports::{
        bus::{BusError, Logged},
        carrier::RefusalClass,
    },
};
use butt_dial_store::{Applied, InboundBatch, InboundRow, ReceiptEntry, StoreError};
use chrono::{SecondsFormat, TimeDelta};
use moka::sync::Cache;
use serde_json::{Map, Value, json};

use super::{
    STREAM, aside,
    envelope::{Envelope, Sealed},
    keyword,
    statuses::{objection_event, status_event},
};
use crate::{
    Comms,
    delivery::{
        filters::{Fate, Rules},
        view::{Content, MESSAGE_RECEIVED},
    },
    outbound::help,
};

/// How long whoever writes a batch down may take to deliver what it brought, before somebody else does.
pub const HOLD: TimeDelta = TimeDelta::seconds(30);
/// What an agent says about messages to it counts for new ones within this time.
const RULES_TTL: Duration = Duration::from_secs(1);
const CACHED_AGENTS: u64 = 10_000;

/// Writes batches down. One per process.
pub struct Recorder {
    comms: Comms,
    rules: Cache<AgentId, Arc<Rules>>,
}

/// What a batch brought.
pub struct Recorded {
    pub applied: Applied,
    /// Something is to be fetched.
    pub has_incomplete: bool,
}

/// Why a batch was not written down. Nothing of it was, then.
#[derive(Debug, thiserror::Error)]
pub enum Unrecorded {
    /// `Conflict`: somebody else has written it down.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What can't be read could not be kept aside, and must not be passed over before it is.
    #[error("a notice can't be kept aside: {0}")]
    Aside(#[from] BusError),
}

impl Recorder {
    pub fn new(comms: Comms) -> Self {
        Self {
            comms,
            rules: Cache::builder()
                .max_capacity(CACHED_AGENTS)
                .time_to_live(RULES_TTL)
                .build(),
        }
    }

    /// `after` is the position that the batch was read from.
    pub async fn record(&self, after: u64, batch: &[Logged]) -> Result<Recorded, Unrecorded> {
        let comms = &self.comms;
        let now = comms.clock.now();
        let (mut events, mut receipts) = (Vec::new(), Vec::new());
        let mut calls = Vec::new();
        for logged in batch {
            let envelope: Envelope = match serde_json::from_slice(&logged.message.payload) {
                Ok(envelope) => envelope,
                Err(_) => {
                    self.unreadable(logged).await?;
                    continue;
                }
            };
            match envelope.notice {
                Sealed::Receipt { receipt } => {
                    events.extend(self.objection(&envelope.carrier, &receipt).await?);
                    receipts.push(ReceiptEntry {
                        carrier: envelope.carrier,
                        receipt,
                    });
                }
                Sealed::Call(notice) => {
                    calls.push(super::calls::change(comms, &envelope.carrier, &notice));
                    events.extend(super::calls::event(comms, &notice));
                }
                Sealed::Message {
                    org,
                    agent,
                    channel_id,
                    sealed,
                    is_blocked,
                } => {
                    let Some(message) = Envelope::open(&comms.vault, &org, &envelope.id, &sealed) else {
                        self.unreadable(logged).await?;
                        continue;
                    };
                    let rules = self.rules_of(&agent).await?;
                    let whose = (org, agent, channel_id);
                    let row = if is_blocked {
                        wish(comms, whose, &envelope.id, &envelope.carrier, message)
                    } else {
                        row(comms, whose, &envelope.id, &envelope.carrier, message, &rules)
                    };
                    let Some(mut row) = row else {
                        comms.metrics.webhook("any", "filtered");
                        continue;
                    };
                    if row.wants_help {
                        row.row.follow_up = help::answer(comms, &row.row).await?;
                    }
                    events.push(row.row);
                }
            }
        }
        let has_incomplete = events.iter().any(|event| event.is_incomplete);
        let batch = InboundBatch {
            stream: STREAM.name,
            after,
            position: batch.last().map_or(after, |logged| logged.sequence),
            events,
            receipts,
            calls,
            at: now,
            holder: comms.replica.to_string(),
            held_until: now + HOLD,
        };
        let applied = comms
            .store
            .apply_inbound(&batch, &|moved| status_event(comms, moved))
            .await?;
        Ok(Recorded {
            applied,
            has_incomplete,
        })
    }

    /// A person who complains, or whom the carrier knows to have opted out, wants no more messages, wherever the message
    /// itself stands by now.
    async fn objection(&self, carrier: &str, receipt: &Receipt) -> Result<Option<InboundRow>, StoreError> {
        if receipt.failure != Some(RefusalClass::OptedOut) {
            return Ok(None);
        }
        let store = &self.comms.store;
        let found = store
            .find_carrier_message(carrier, &receipt.carrier_id, receipt.message.as_ref())
            .await?;
        Ok(found.map(|message| objection_event(&self.comms, message, receipt)))
    }

    async fn rules_of(&self, agent: &AgentId) -> Result<Arc<Rules>, StoreError> {
        if let Some(rules) = self.rules.get(agent) {
            return Ok(rules);
        }
        let store = &self.comms.store;
        let (recipient, filters) = tokio::try_join!(store.find_recipient(agent), store.list_filters(agent))?;
        let rules = Arc::new(Rules {
            filters,
            subscription: recipient.and_then(|recipient| recipient.subscription()),
        });
        self.rules.insert(agent.clone(), rules.clone());
        Ok(rules)
    }

    /// Only a program of ours writes into the stream: this is a fault, or another encryption key. With the right one, an
    /// operator can put it back.
    async fn unreadable(&self, notice: &Logged) -> Result<(), BusError> {
        self.comms.metrics.webhook("any", "undecipherable");
        tracing::error!(
            sequence = notice.sequence,
            stream = STREAM.name,
            "a notice in the stream can't be read, and is kept aside"
        );
        aside::keep(&self.comms, notice).await
    }
}

struct Row {
    row: InboundRow,
    wants_help: bool,
}

fn row(
    comms: &Comms,
    (org, agent, channel_id): (OrgId, AgentId, Option<ChannelId>),
    id: &str,
    carrier: &str,
    message: InboundMessage,
    rules: &Rules,
) -> Option<Row> {
    let keyword = keyword::of(&message);
    let fate = rules.judge(&message);
    // What a person has a right to is not for an agent to filter.
    if matches!(fate, Fate::Drop) && keyword.is_none() {
        return None;
    }
    let mut data = about(id, &message, comms);
    data.insert("provider".into(), json!(carrier));
    if let Some(keyword) = keyword {
        data.insert("keyword".into(), json!(keyword.as_str()));
    }
    let mut is_quiet = false;
    if let Fate::Take { tags, is_muted } = fate {
        is_quiet = is_muted;
        if !tags.is_empty() {
            data.insert("tags".into(), json!(tags));
        }
    }
    let (channel, contact) = (message.channel, message.from.clone());
    // Somebody who has blocked or followed us has written nothing.
    is_quiet |= keyword.is_some() && message.body.is_none();
    let wants_help = keyword == Some(Keyword::Help) && message.answered_keyword.is_none();
    let is_incomplete = message.incomplete || !message.attachments.is_empty();
    let content = Content {
        message,
        links: Vec::new(),
    };
    let row = InboundRow {
        content: Some(content.seal(comms, &org, id)),
        id: id.to_owned(),
        kind: MESSAGE_RECEIVED,
        channel,
        contact,
        data: Value::Object(data),
        is_incomplete,
        is_quiet,
        channel_id,
        consent: keyword.and_then(consent),
        follow_up: None,
        agent,
        org,
    };
    Some(Row { row, wants_help })
}

/// What a person wants of a sender whose agent takes no messages on it: the wish counts, and nothing else is kept. `None`
/// when it is no wish.
fn wish(
    comms: &Comms,
    (org, agent, channel_id): (OrgId, AgentId, Option<ChannelId>),
    id: &str,
    carrier: &str,
    mut message: InboundMessage,
) -> Option<Row> {
    let keyword = keyword::of(&message)?;
    // A name is content too.
    (message.sender_name, message.group, message.in_reply_to) = (None, None, None);
    let mut data = about(id, &message, comms);
    data.insert("provider".into(), json!(carrier));
    data.insert("keyword".into(), json!(keyword.as_str()));
    let row = InboundRow {
        id: id.to_owned(),
        kind: MESSAGE_RECEIVED,
        channel: message.channel,
        contact: message.from,
        data: Value::Object(data),
        content: None,
        is_incomplete: false,
        is_quiet: true,
        channel_id,
        consent: consent(keyword),
        follow_up: None,
        agent,
        org,
    };
    Some(Row {
        row,
        wants_help: keyword == Keyword::Help && message.answered_keyword.is_none(),
    })
}

/// What the word says about messages to the person.
fn consent(keyword: Keyword) -> Option<bool> {
    match keyword {
        Keyword::Stop => Some(false),
        Keyword::Start => Some(true),
        Keyword::Help => None,
    }
}

/// What is kept of a message for good: who, where and when, and nothing that was said.
fn about(id: &str, message: &InboundMessage, comms: &Comms) -> Map<String, Value> {
    let mut data = Map::new();
    let mut put = |key: &str, value: Value| {
        data.insert(key.to_owned(), value);
    };
    put("type", json!("message"));
    put("messageId", json!(id));
    put("channel", json!(message.channel));
    put("from", json!(message.from));
    put("to", json!(message.to));
    put("providerMessageId", json!(message.carrier_id));
    if let Some(name) = &message.sender_name {
        put("senderName", json!(name));
    }
    if let Some(group) = &message.group {
        put("isGroup", json!(true));
        put("groupId", json!(group.id));
        if let Some(name) = &group.name {
            put("groupName", json!(name));
        }
    }
    let reply_to = message.group.as_ref().map_or(&message.from, |group| &group.id);
    put("replyTo", json!(reply_to));
    if let Some(earlier) = &message.in_reply_to {
        put("inReplyTo", json!(earlier));
    }
    let at = message.sent_at.unwrap_or_else(|| comms.clock.now());
    put("timestamp", json!(at.to_rfc3339_opts(SecondsFormat::Millis, true)));
    data
}
