//! Applies webhook events: builds the agents' events, consent changes, windows and receipts of a batch, and writes them in one
//! transaction together with the position in the stream.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use butt_dial_domain::{
    Address, AgentId, ChannelId, OrgId,
    inbound::{InboundMessage, Keyword, Receipt},
    ports::{bus::LogEntry, carrier::RefusalClass},
};
use butt_dial_language::Revocation;
use butt_dial_store::{
    Applied, DeadLetterReason, InboundBatch, InboundRow, InboundRules, NewDeadLetter, ReceiptEntry, StoreError,
};
use moka::sync::Cache;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    Inbound, STREAM, calls,
    dead_letter::dead_letter,
    envelope::{Envelope, SealedEvent},
    keyword,
    message_data::{contact_effects, permanent_data},
    receipts::{opt_out_event, status_event},
    sessions::add_sessions,
};
use crate::{
    EventContent,
    delivery::{
        DELIVERY_LEASE, MESSAGE_RECEIVED,
        filters::{FilterDecision, FilterRules},
    },
    outbound::{INTERNAL_CARRIER, build_help_reply},
};

/// How long an agent's filters are cached.
const RULES_TTL: Duration = Duration::from_secs(1);
const CACHED_AGENTS: u64 = 10_000;

/// Applies batches. One per process.
pub(super) struct Applier {
    inbound: Arc<Inbound>,
    /// With the time of the read. The clock of the runtime measures their age; tests and the simulation pause it.
    rules: Cache<AgentId, (Instant, Arc<FilterRules>)>,
}

/// The rules of the agents of a batch. Those of deleted agents are missing.
type Rules = HashMap<AgentId, Arc<FilterRules>>;

/// The result of applying a batch.
pub(super) struct AppliedBatch {
    pub rows: Applied,
    /// The batch has events with a body or attachments to fetch.
    pub has_incomplete: bool,
}

/// The owner of a message in the stream.
struct MessageOwner {
    org: OrgId,
    agent: AgentId,
    channel_id: Option<ChannelId>,
}

/// A message in the stream, decrypted.
struct ReceivedMessage {
    owner: MessageOwner,
    event_id: String,
    carrier: String,
    message: InboundMessage,
}

/// The row of a message.
struct MessageRow {
    row: InboundRow,
    needs_help_reply: bool,
}

impl Applier {
    pub fn new(inbound: Arc<Inbound>) -> Self {
        Self {
            inbound,
            rules: Cache::new(CACHED_AGENTS),
        }
    }

    /// Applies a batch that was read after position `after`. After an error, no part of it was written; `Conflict`: another
    /// process has applied it.
    pub async fn apply(&self, partition: &str, after: u64, batch: &[LogEntry]) -> Result<AppliedBatch, StoreError> {
        let inbound = &self.inbound;
        let now = inbound.clock.now();
        let envelopes: Vec<_> = batch.iter().map(|entry| (entry, read(entry))).collect();
        let rules = self
            .find_rules(
                envelopes
                    .iter()
                    .filter_map(|(_, envelope)| recipient(envelope.as_ref()?)),
            )
            .await?;
        let (mut events, mut receipts, mut call_changes) = (Vec::new(), Vec::new(), Vec::new());
        let mut dead_letters = Vec::new();
        for (entry, envelope) in envelopes {
            let Some(Envelope { id, carrier, event }) = envelope else {
                dead_letters.push(self.reject(entry));
                continue;
            };
            match event {
                SealedEvent::Receipt { mut receipt } => {
                    self.set_price(&carrier, &mut receipt);
                    events.extend(self.find_opt_out(&carrier, &receipt).await?);
                    receipts.push(ReceiptEntry { carrier, receipt });
                }
                SealedEvent::Call(event) => {
                    call_changes.push(calls::change(&carrier, &event, now));
                    events.extend(calls::event(&event, now));
                }
                SealedEvent::Message {
                    org,
                    agent,
                    channel_id,
                    sealed,
                    is_blocked,
                } => {
                    let Some(message) = Envelope::open(&inbound.vault, &org, &id, &sealed) else {
                        dead_letters.push(self.reject(entry));
                        continue;
                    };
                    let received = ReceivedMessage {
                        owner: MessageOwner { org, agent, channel_id },
                        event_id: id,
                        carrier,
                        message,
                    };
                    events.extend(self.message_event(received, is_blocked, &rules).await?);
                }
            }
        }
        add_sessions(inbound, &mut events).await?;
        let has_incomplete = events.iter().any(|event| event.is_incomplete);
        let batch = InboundBatch {
            stream: partition.to_owned(),
            after,
            position: batch.last().map_or(after, |entry| entry.sequence),
            entry_id: batch.last().map(|entry| entry.id.clone()).unwrap_or_default(),
            events,
            receipts,
            calls: call_changes,
            dead_letters,
            at: now,
            holder: inbound.replica.to_string(),
            held_until: now + DELIVERY_LEASE,
        };
        let rows = inbound
            .store
            .apply_inbound(&batch, &|transition| status_event(inbound, transition))
            .await?;
        Ok(AppliedBatch { rows, has_incomplete })
    }

    /// Builds the event of a message, with the reply to HELP. `None`: a filter dropped it.
    async fn message_event(
        &self,
        received: ReceivedMessage,
        is_blocked: bool,
        rules: &Rules,
    ) -> Result<Option<InboundRow>, StoreError> {
        let inbound = &self.inbound;
        if let Some(account) = &received.message.account
            && inbound
                .store
                .is_own_sender(&received.owner.agent, received.message.channel)
                .await?
        {
            tracing::warn!(account, agent = %received.owner.agent, "message of another account for this number dropped");
            inbound.metrics.record_webhook_event("any", "wrong_account");
            return Ok(None);
        }
        let built = if is_blocked {
            keyword_row(inbound, received)
        } else {
            let rules = rules.get(&received.owner.agent).cloned().unwrap_or_default();
            message_row(inbound, received, &rules).await
        };
        let Some(MessageRow {
            mut row,
            needs_help_reply,
        }) = built
        else {
            inbound.metrics.record_webhook_event("any", "filtered");
            return Ok(None);
        };
        if needs_help_reply {
            row.follow_up = build_help_reply(&inbound.store, &inbound.vault, &row, inbound.clock.now()).await?;
        }
        Ok(Some(row))
    }

    /// Sets the price of a message if the carrier reports only the facts that it follows from.
    fn set_price(&self, carrier: &str, receipt: &mut Receipt) {
        if let (None, Some(tariff)) = (receipt.price, &receipt.tariff) {
            let prices = self.inbound.billing.prices();
            receipt.price = Some(prices.whatsapp(tariff.category, Some(carrier), &tariff.prefix));
        }
    }

    /// Builds the event of an opt-out that a receipt reports, whatever the message's own status is by now.
    async fn find_opt_out(&self, carrier: &str, receipt: &Receipt) -> Result<Option<InboundRow>, StoreError> {
        if receipt.failure != Some(RefusalClass::OptedOut) {
            return Ok(None);
        }
        let store = &self.inbound.store;
        let found = store
            .find_carrier_message(carrier, &receipt.carrier_id, receipt.message.as_ref())
            .await?;
        Ok(found.map(|message| opt_out_event(&self.inbound, message, receipt)))
    }

    /// Finds the rules of these agents, with one statement for all that are not cached.
    async fn find_rules<'a>(&self, agents: impl Iterator<Item = &'a AgentId>) -> Result<Rules, StoreError> {
        let (mut rules, mut missing) = (Rules::new(), Vec::new());
        for agent in agents.collect::<BTreeSet<_>>() {
            match self.rules.get(agent) {
                Some((read_at, cached)) if read_at.elapsed() < RULES_TTL => drop(rules.insert(agent.clone(), cached)),
                _ => missing.push(agent.clone()),
            }
        }
        if missing.is_empty() {
            return Ok(rules);
        }
        let read_at = Instant::now();
        for found in self.inbound.store.list_inbound_rules(&missing).await? {
            let InboundRules {
                agent,
                subscription,
                filters,
            } = found;
            let found = Arc::new(FilterRules { filters, subscription });
            self.rules.insert(agent.clone(), (read_at, found.clone()));
            rules.insert(agent, found);
        }
        Ok(rules)
    }

    /// Makes an unreadable entry a dead letter. Only this program writes into the stream, so the cause is a fault or another
    /// encryption key; with the right key an operator can replay it.
    fn reject(&self, entry: &LogEntry) -> NewDeadLetter {
        self.inbound.metrics.record_webhook_event("any", "undecipherable");
        tracing::error!(
            sequence = entry.sequence,
            stream = STREAM.name,
            "unreadable stream entry becomes a dead letter"
        );
        dead_letter(entry, DeadLetterReason::Unreadable)
    }
}

fn read(entry: &LogEntry) -> Option<Envelope> {
    serde_json::from_slice(&entry.message.payload).ok()
}

/// Returns the agent with the rules that apply to an event.
fn recipient(envelope: &Envelope) -> Option<&AgentId> {
    match &envelope.event {
        SealedEvent::Message { agent, .. } => Some(agent),
        SealedEvent::Receipt { .. } | SealedEvent::Call(_) => None,
    }
}

async fn message_row(inbound: &Inbound, received: ReceivedMessage, rules: &FilterRules) -> Option<MessageRow> {
    let ReceivedMessage {
        owner,
        event_id,
        carrier,
        message,
    } = received;
    if message.call_recording.is_some() {
        let content = EventContent::of(message).await;
        let row = calls::recorded(&inbound.vault, (owner.org, owner.agent), &carrier, event_id, &content)?;
        return Some(MessageRow {
            row,
            needs_help_reply: false,
        });
    }
    let keyword = detect_keyword(&carrier, &message);
    let decision = rules.decide(&message);
    // Consent keywords are not the agent's to filter.
    if matches!(decision, FilterDecision::Drop) && keyword.is_none() {
        return None;
    }
    let mut data = permanent_data(inbound, &event_id, &carrier, &message);
    if let Some(keyword) = keyword {
        data.insert("keyword".into(), json!(keyword.as_str()));
    }
    let revocation = detect_revocation(&carrier, keyword, &message);
    if let Some(revocation) = revocation {
        data.insert("revocation".into(), keyword::view(revocation));
    }
    let mut is_quiet = false;
    if let FilterDecision::Accept { tags, is_muted } = decision {
        is_quiet = is_muted;
        if !tags.is_empty() {
            data.insert("tags".into(), json!(tags));
        }
    }
    let (channel, contact) = (message.channel, message.from.clone());
    // A contact that blocked or followed the sender, or chose about marketing, has written nothing.
    is_quiet |= (keyword.is_some() && message.body.is_none() && !message.incomplete) || message.marketing.is_some();
    let needs_help_reply = needs_help_reply(keyword, &message);
    let effects = contact_effects(&message);
    // The body of a call's message is a summary. The conclusion of the call brings the revocation that the caller has spoken.
    let consent = keyword::consent(keyword, revocation).filter(|_| message.call.is_none());
    let evidence =
        consent.map(|_| keyword::evidence(&inbound.vault, &owner.org, (&event_id, &carrier), keyword, &message));
    let is_incomplete = message.incomplete || !message.attachments.is_empty();
    let content = EventContent::of(message).await;
    let row = InboundRow::builder()
        .content(content.seal(&inbound.vault, &owner.org, &event_id))
        .id(event_id)
        .kind(MESSAGE_RECEIVED)
        .channel(channel)
        .contact(contact)
        .data(Value::Object(data))
        .is_incomplete(is_incomplete)
        .is_quiet(is_quiet)
        .effects(effects)
        .maybe_channel_id(owner.channel_id)
        .maybe_consent(consent)
        .maybe_evidence(evidence)
        .agent(owner.agent)
        .org(owner.org)
        .build();
    Some(MessageRow { row, needs_help_reply })
}

/// The row of a consent keyword on a blocked channel: the consent counts, and no content is stored. `None` for any other
/// message.
fn keyword_row(inbound: &Inbound, received: ReceivedMessage) -> Option<MessageRow> {
    let ReceivedMessage {
        owner,
        event_id,
        carrier,
        mut message,
    } = received;
    let keyword = detect_keyword(&carrier, &message);
    if keyword.is_none() && message.marketing.is_none() {
        return None;
    }
    let (needs_help_reply, effects) = (needs_help_reply(keyword, &message), contact_effects(&message));
    let consent = keyword::consent(keyword, None);
    let evidence =
        consent.map(|_| keyword::evidence(&inbound.vault, &owner.org, (&event_id, &carrier), keyword, &message));
    // A name is content too.
    (message.sender_name, message.group, message.in_reply_to) = (None, None, None);
    let mut data = permanent_data(inbound, &event_id, &carrier, &message);
    if let Some(keyword) = keyword {
        data.insert("keyword".into(), json!(keyword.as_str()));
    }
    let row = InboundRow::builder()
        .id(event_id)
        .kind(MESSAGE_RECEIVED)
        .channel(message.channel)
        .contact(message.from)
        .data(Value::Object(data))
        .is_quiet(true)
        .effects(effects)
        .maybe_channel_id(owner.channel_id)
        .maybe_consent(consent)
        .maybe_evidence(evidence)
        .agent(owner.agent)
        .org(owner.org)
        .build();
    Some(MessageRow { row, needs_help_reply })
}

/// Returns whether HELP is to be answered. Machines, which write from short codes and names, could answer in turn.
fn needs_help_reply(keyword: Option<Keyword>, message: &InboundMessage) -> bool {
    keyword == Some(Keyword::Help)
        && message.answered_keyword.is_none()
        && !Address::known(message.channel, &message.from).is_opaque()
}

/// Detects a keyword of a person. Between agents of one organization, the words have no such meaning.
fn detect_keyword(carrier: &str, message: &InboundMessage) -> Option<Keyword> {
    (carrier != INTERNAL_CARRIER)
        .then(|| keyword::detect(message))
        .flatten()
}

/// Detects a revocation of consent in a person's own words. An agent of the same organization is no such person.
fn detect_revocation(carrier: &str, keyword: Option<Keyword>, message: &InboundMessage) -> Option<Revocation> {
    (keyword.is_none() && carrier != INTERNAL_CARRIER)
        .then(|| keyword::detect_revocation(message))
        .flatten()
}
