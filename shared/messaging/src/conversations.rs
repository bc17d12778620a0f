//! Conversations: an agent, people and other agents, on any channels. A message to or from a contact of an open conversation
//! belongs to it: it has the id of the conversation as its thread. Texts are part of the history only while they are stored.

use butt_dial_domain::{
    Address, AgentId, Channel, Clock, Code, Failure, OrgId, address::contact_key, clock::Timestamp, ids,
};
use butt_dial_identity::Caller;
use butt_dial_store::{AgentEvent, Conversation, ConversationStatus, NewConversation, SentEntry, Store};
use butt_dial_vault::Vault;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{EventContent, tainted_texts};

const PREFIX: &str = "ses_";
const MAX_PARTICIPANTS: usize = butt_dial_domain::bounds::PARTICIPANTS;
const MAX_NAME: usize = butt_dial_domain::bounds::NAME;
const MAX_CONTEXT: usize = butt_dial_domain::bounds::CONTEXT;
/// Open conversations of an agent.
const MAX_OPEN: u32 = 1_000;
const MAX_HISTORY: u32 = 100;
const MAX_PAGE: u32 = butt_dial_domain::bounds::PAGE;
/// Entries that an event shows.
const EVENT_HISTORY: u32 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParticipantKind {
    Agent,
    Human,
}

/// A participant: an agent of the organization by its id, or a person by an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Participant {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: ParticipantKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// The parts of a conversation that are stored encrypted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConversationDetails {
    pub participants: Vec<Participant>,
    /// A text or an object, as the agent has given it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
}

/// A message of a conversation.
#[derive(Clone, Debug)]
pub struct HistoryEntry {
    pub message: String,
    pub is_sent: bool,
    pub channel: String,
    /// The other party.
    pub contact: String,
    /// `None`: the text is not stored any more.
    pub body: Option<String>,
    /// The text resembles instructions to the agent. As events show it.
    pub taint: Option<Value>,
    /// Of a sent message.
    pub status: Option<String>,
    pub at: Timestamp,
}

/// A conversation with its decrypted details.
#[derive(Clone, Debug)]
pub struct OpenedConversation {
    pub id: String,
    pub status: ConversationStatus,
    /// The channel that was used last, if the history is loaded; otherwise the one that was given.
    pub channel: Option<String>,
    pub details: ConversationDetails,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub closed_at: Option<Timestamp>,
    /// In the order of time.
    pub history: Vec<HistoryEntry>,
}

/// Manages conversations. Cheap to clone.
#[derive(Clone)]
pub struct Conversations {
    store: Store,
    vault: Vault,
    clock: Clock,
}

impl Conversations {
    pub fn new(store: Store, vault: Vault, clock: Clock) -> Self {
        Self { store, vault, clock }
    }

    /// Opens a conversation with these participants, besides the caller.
    pub async fn create(
        &self,
        caller: &Caller,
        participants: Vec<Participant>,
        channel: Option<Channel>,
        context: Option<Value>,
    ) -> Result<OpenedConversation, Failure> {
        let agent = &caller.agent()?.agent;
        if !(1..=MAX_PARTICIPANTS).contains(&participants.len()) {
            return Err(invalid(format!("participants: 1 to {MAX_PARTICIPANTS}")));
        }
        let context = context.filter(|context| !context.is_null());
        let text = context.as_ref().map(Value::to_string);
        check_length("context", text.as_deref(), MAX_CONTEXT)?;
        let (mut checked, mut contacts) = (Vec::new(), Vec::new());
        for participant in participants {
            check_length("participants.name", participant.name.as_deref(), MAX_NAME)?;
            let (participant, keys) = self.check(&agent.org_id, &agent.id, participant).await?;
            checked.push(participant);
            contacts.extend(keys);
        }
        let details = ConversationDetails {
            participants: checked,
            context,
            summary: None,
        };
        let (id, now) = (format!("{PREFIX}{}", ids::unique()), self.clock.now());
        let sealed = self.seal(&agent.org_id, &id, &details);
        let new = NewConversation {
            id: &id,
            org: &agent.org_id,
            agent: &agent.id,
            channel,
            details: &sealed,
            contacts: &contacts,
        };
        if !self.store.create_conversation(&new, MAX_OPEN, now).await? {
            return Err(
                Failure::new(Code::RateLimited, format!("you have {MAX_OPEN} open sessions"))
                    .hint("close sessions with comms_close_session"),
            );
        }
        Ok(OpenedConversation {
            id,
            status: ConversationStatus::Active,
            channel: channel.map(|channel| channel.as_str().to_owned()),
            details,
            created_at: now,
            updated_at: now,
            closed_at: None,
            history: Vec::new(),
        })
    }

    /// Checks a participant. Returns it with normalized id, and the keys of its addresses.
    async fn check(
        &self,
        org: &OrgId,
        own: &AgentId,
        participant: Participant,
    ) -> Result<(Participant, Vec<String>), Failure> {
        match participant.kind {
            ParticipantKind::Agent => {
                let unknown = || Failure::new(Code::AgentNotFound, "there is no such agent");
                if !ids::is_valid_host_id(&participant.id) {
                    return Err(unknown());
                }
                let id = self
                    .store
                    .find_agent_id(org, &participant.id)
                    .await?
                    .ok_or_else(unknown)?;
                // The own messages do not find the conversation by the own address.
                let profile = match &id == own {
                    true => None,
                    false => self.store.find_profile(&id).await?,
                };
                let channels = profile.into_iter().flat_map(|profile| profile.channels);
                let keys = channels.map(|owned| contact_key(&owned.address)).collect();
                Ok((participant, keys))
            }
            ParticipantKind::Human => {
                let channels = [Channel::Email, Channel::Sms, Channel::Line, Channel::Whatsapp];
                let parsed = channels
                    .into_iter()
                    .find_map(|channel| Address::parse(channel, &participant.id).ok());
                let address = parsed.ok_or_else(|| {
                    Failure::new(
                        Code::InvalidRecipient,
                        "invalid recipient: the id of a human participant is a number in E.164 format or an address",
                    )
                })?;
                let key = address.contact_key();
                let id = address.as_str().to_owned();
                Ok((Participant { id, ..participant }, vec![key]))
            }
        }
    }

    /// Returns a conversation of the caller with its last messages. Fails with `NotFound`, also for another agent's.
    pub async fn find(&self, caller: &Caller, id: &str, history: u32) -> Result<OpenedConversation, Failure> {
        let agent = &caller.agent()?.agent;
        let row = self.find_row(&agent.id, id).await?;
        let history = history.min(MAX_HISTORY);
        let mut opened = self.open(&agent.org_id, row)?;
        opened.history = self.history(&agent.org_id, &agent.id, id, history).await?;
        if opened.history.iter().any(|entry| entry.taint.is_some()) {
            tainted_texts::note(&self.store, (&agent.org_id, &agent.id), self.clock.now()).await?;
        }
        if let Some(last) = opened.history.last() {
            opened.channel = Some(last.channel.clone());
        }
        Ok(opened)
    }

    /// Lists the caller's conversations in a state, newest first, without their history.
    pub async fn list(
        &self,
        caller: &Caller,
        status: ConversationStatus,
        limit: u32,
    ) -> Result<Vec<OpenedConversation>, Failure> {
        let agent = &caller.agent()?.agent;
        let rows = self
            .store
            .list_conversations(&agent.id, status, limit.clamp(1, MAX_PAGE))
            .await?;
        rows.into_iter().map(|row| self.open(&agent.org_id, row)).collect()
    }

    /// Closes a conversation, with a summary if there is one. Returns false when it was closed already.
    pub async fn close(&self, caller: &Caller, id: &str, summary: Option<&str>) -> Result<bool, Failure> {
        let agent = &caller.agent()?.agent;
        check_length("summary", summary, MAX_CONTEXT)?;
        let row = self.find_row(&agent.id, id).await?;
        let details = match summary {
            Some(summary) => {
                let mut details = self.open(&agent.org_id, row)?.details;
                details.summary = Some(summary.to_owned());
                Some(self.seal(&agent.org_id, id, &details))
            }
            None => None,
        };
        let now = self.clock.now();
        Ok(self
            .store
            .close_conversation(&agent.id, id, details.as_deref(), now)
            .await?)
    }

    /// Returns the session of an event of this conversation. `None`: it can't be read.
    pub(crate) async fn describe_for_event(&self, org: &OrgId, agent: &AgentId, id: &str) -> Option<Value> {
        let row = self.store.find_conversation(agent, id).await.ok().flatten()?;
        let opened = self.open(org, row).ok()?;
        let history = self.history(org, agent, id, EVENT_HISTORY).await.unwrap_or_default();
        let entry = |entry: &HistoryEntry| {
            json!({
                "messageId": entry.message,
                "direction": if entry.is_sent { "outbound" } else { "inbound" },
                "channel": entry.channel,
                "contact": entry.contact,
                "timestamp": entry.at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            })
        };
        Some(json!({
            "participants": opened.details.participants,
            "history": history.iter().map(entry).collect::<Vec<_>>(),
            "summary": opened.details.summary,
        }))
    }

    async fn history(&self, org: &OrgId, agent: &AgentId, id: &str, limit: u32) -> Result<Vec<HistoryEntry>, Failure> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let sent = self.store.list_sent_in(agent, id, limit).await?;
        let received = self.store.list_received_in(agent, id, limit).await?;
        let sent = sent.into_iter().map(sent_entry);
        let received = received.into_iter().map(|event| self.received_entry(org, event));
        let mut entries: Vec<HistoryEntry> = sent.chain(received).collect();
        entries.sort_by(|one, other| (one.at, &one.message).cmp(&(other.at, &other.message)));
        let surplus = entries
            .len()
            .saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(entries.split_off(surplus))
    }

    fn received_entry(&self, org: &OrgId, event: AgentEvent) -> HistoryEntry {
        let content = event.content.as_deref();
        let content = content.and_then(|sealed| EventContent::open(&self.vault, org, &event.id, sealed));
        HistoryEntry {
            is_sent: false,
            channel: event.channel.unwrap_or_default(),
            contact: event.data["from"].as_str().unwrap_or_default().to_owned(),
            taint: content
                .as_ref()
                .and_then(|content| content.taint)
                .map(tainted_texts::view),
            body: content.and_then(|content| content.message.readable_body()),
            status: None,
            at: event.created_at,
            message: event.id,
        }
    }

    async fn find_row(&self, agent: &AgentId, id: &str) -> Result<Conversation, Failure> {
        let unknown =
            || Failure::new(Code::NotFound, "you have no session with this id").hint("comms_list_sessions lists them");
        if !id.starts_with(PREFIX) || id.chars().any(char::is_control) {
            return Err(unknown());
        }
        self.store.find_conversation(agent, id).await?.ok_or_else(unknown)
    }

    fn open(&self, org: &OrgId, row: Conversation) -> Result<OpenedConversation, Failure> {
        let plain = self.vault.decrypt(org, &row.id, &row.details).map_err(|error| {
            tracing::error!(%error, conversation = row.id, "conversation not decrypted");
            Failure::internal()
        })?;
        let details = serde_json::from_slice(&plain).map_err(|_| Failure::internal())?;
        Ok(OpenedConversation {
            id: row.id,
            status: row.status,
            channel: row.channel,
            details,
            created_at: row.created_at,
            updated_at: row.updated_at,
            closed_at: row.closed_at,
            history: Vec::new(),
        })
    }

    fn seal(&self, org: &OrgId, id: &str, details: &ConversationDetails) -> Vec<u8> {
        // Consists of strings and lists of them, so serialization cannot fail.
        self.vault
            .encrypt(org, id, &serde_json::to_vec(details).unwrap_or_default())
    }
}

/// Returns whether a thread is a conversation.
pub fn is_conversation(thread: &str) -> bool {
    thread.starts_with(PREFIX)
}

fn sent_entry(sent: SentEntry) -> HistoryEntry {
    HistoryEntry {
        message: sent.id,
        is_sent: true,
        channel: sent.channel,
        contact: sent.recipient,
        body: None,
        taint: None,
        status: Some(sent.status),
        at: sent.created_at,
    }
}

fn check_length(field: &'static str, text: Option<&str>, max: usize) -> Result<(), Failure> {
    match text.is_some_and(|text| text.chars().count() > max) {
        true => Err(invalid(format!("{field} has at most {max} characters"))),
        false => Ok(()),
    }
}

fn invalid(message: String) -> Failure {
    Failure::new(Code::InvalidArgument, message)
}
