//! The inbox: conversations of an organization with people, over all channels, and the setting that keeps their texts. Without it the texts
//! exist only until a message is settled or its agent has it, and the inbox shows none.

use std::collections::{BTreeSet, HashMap};

use butt_dial_domain::{
    AgentId, Channel, Clock, Code, Failure, OrgId, address::contact_key, call::Direction, clock::Timestamp,
};
use butt_dial_identity::Caller;
use butt_dial_store::{AuditEntry, Call, ReceivedMessage, SentMessage, Store};
use butt_dial_vault::Vault;
use chrono::TimeDelta;
use serde_json::json;

use crate::{EventContent, outbound::StoredContent};

/// The longest time for which texts are kept.
pub const MAX_DAYS: u32 = 90;
/// Messages of each direction that a list is made from.
const LISTED: u32 = 500;
/// People of a list.
const MAX_PEOPLE: usize = 100;
/// Messages of a conversation, of each direction.
const THREAD: u32 = 200;
/// The number of a caller who does not say who calls.
const ANONYMOUS: &str = "anonymous";

/// Shows conversations. Cheap to clone.
#[derive(Clone)]
pub struct Inbox {
    pub(crate) store: Store,
    vault: Vault,
    pub(crate) clock: Clock,
}

/// A message of a conversation.
#[derive(Clone)]
pub struct InboxEntry {
    /// Of the message, or of the event.
    pub id: String,
    pub agent: AgentId,
    pub channel: String,
    pub is_inbound: bool,
    /// The address of the person.
    pub address: String,
    /// The address of the organization.
    pub ours: String,
    /// Of a message to the person: its status. Of one from the person: `delivered` to the agent, or `waiting`.
    pub status: String,
    /// When the agent got it.
    pub told_at: Option<Timestamp>,
    /// Failed requests to the callback of the agent.
    pub tries: i64,
    pub failure: Option<String>,
    pub at: Timestamp,
    pub subject: Option<String>,
    /// `None`: not kept.
    pub text: Option<String>,
    pub attachments: usize,
    pub name: Option<String>,
    /// A call, and no message: `id` and `status` are those of the call.
    pub call: Option<InboxCall>,
}

/// A call of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxCall {
    pub duration_seconds: Option<i64>,
    /// The responder: `agent`, `machine`, ... `None` until the call is concluded.
    pub handled_by: Option<String>,
    pub end_reason: Option<String>,
}

/// A person with the newest message.
pub struct InboxContact {
    /// The key of the person.
    pub contact: String,
    pub name: Option<String>,
    pub last: InboxEntry,
    /// Messages of the person that no agent has got yet.
    pub waiting: usize,
    pub channels: BTreeSet<String>,
}

impl Inbox {
    pub fn new(store: Store, vault: Vault, clock: Clock) -> Self {
        Self { store, vault, clock }
    }

    /// Returns for how many days the organization keeps texts. 0: it keeps none.
    pub async fn retention(&self, org: &OrgId) -> Result<u32, Failure> {
        Ok(self.store.find_text_retention(org).await?)
    }

    /// Sets for how many days the organization keeps texts, at most 90. 0: none, and those that are kept are deleted with the next run of
    /// the retention.
    pub async fn set_retention(&self, caller: &Caller, days: u32) -> Result<(), Failure> {
        if days > MAX_DAYS {
            let text = format!("days is a number from 0 to {MAX_DAYS}");
            return Err(Failure::new(Code::InvalidArgument, text).detail("fields", vec!["days"]));
        }
        let (org, actor) = (caller.org()?, caller.principal.token.as_str());
        let entry = AuditEntry::new(Some(org), actor, "texts.keep", org.as_str(), self.clock.now());
        let change = self.store.change(entry.with_detail(json!({ "days": days })));
        Ok(change.set_text_retention(org, days).await?)
    }

    /// Lists the people of the newest messages and calls of an agent or of the organization, the most recent first.
    pub async fn list(&self, org: &OrgId, agent: Option<&AgentId>) -> Result<Vec<InboxContact>, Failure> {
        let since = self.kept_since(org).await?;
        let received = self.store.list_received(org, agent, None, LISTED).await?;
        let sent = self.store.list_sent(org, agent, None, LISTED).await?;
        let mut entries = self.entries(org, since, received, sent);
        let calls = self.store.list_calls_of_org(org, agent, false, LISTED, None).await?;
        let named = calls.into_iter().filter(|call| call.remote_number != ANONYMOUS);
        entries.extend(named.map(call_entry));
        entries.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| b.id.cmp(&a.id)));
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut people: Vec<InboxContact> = Vec::new();
        for entry in entries {
            let contact = contact_key(&entry.address);
            let waiting = usize::from(entry.is_inbound && entry.status == WAITING);
            match places.get(&contact) {
                Some(place) => {
                    let known = &mut people[*place];
                    known.waiting += waiting;
                    known.channels.insert(entry.channel);
                    known.name = known.name.take().or(entry.name);
                }
                None if people.len() == MAX_PEOPLE => {}
                None => {
                    places.insert(contact.clone(), people.len());
                    people.push(InboxContact {
                        contact,
                        name: entry.name.clone(),
                        waiting,
                        channels: BTreeSet::from([entry.channel.clone()]),
                        last: entry,
                    });
                }
            }
        }
        Ok(people)
    }

    /// Returns the newest messages of a conversation with a person and the calls, oldest first.
    pub async fn thread(
        &self,
        org: &OrgId,
        agent: Option<&AgentId>,
        contact: &str,
    ) -> Result<Vec<InboxEntry>, Failure> {
        let since = self.kept_since(org).await?;
        let key = contact_key(contact.trim());
        let received = self.store.list_received(org, agent, Some(&key), THREAD).await?;
        let spellings = received.iter().filter_map(|row| row.data["from"].as_str());
        let mut addresses: BTreeSet<String> = spellings.map(str::to_owned).collect();
        addresses.extend([key, contact.trim().to_owned()]);
        let addresses: Vec<String> = addresses.into_iter().collect();
        let sent = self.store.list_sent(org, agent, Some(&addresses), THREAD).await?;
        let mut entries = self.entries(org, since, received, sent);
        let calls = self.store.list_calls_with(org, agent, &addresses, THREAD).await?;
        entries.extend(calls.into_iter().map(call_entry));
        entries.sort_by(|a, b| a.at.cmp(&b.at).then_with(|| a.id.cmp(&b.id)));
        Ok(entries)
    }

    /// Returns the time from which on texts are shown. `None`: none are.
    async fn kept_since(&self, org: &OrgId) -> Result<Option<Timestamp>, Failure> {
        let days = self.store.find_text_retention(org).await?;
        Ok((days > 0).then(|| self.clock.now() - TimeDelta::days(i64::from(days))))
    }

    fn entries(
        &self,
        org: &OrgId,
        since: Option<Timestamp>,
        received: Vec<ReceivedMessage>,
        sent: Vec<SentMessage>,
    ) -> Vec<InboxEntry> {
        let is_shown = |at: Timestamp| since.is_some_and(|since| at > since);
        let received = received.into_iter().map(|row| self.received(org, row, is_shown));
        let sent = sent.into_iter().map(|row| self.sent(org, row, is_shown));
        received.chain(sent).collect()
    }

    fn received(&self, org: &OrgId, row: ReceivedMessage, is_shown: impl Fn(Timestamp) -> bool) -> InboxEntry {
        let agent = row.agent();
        let text = row.text.filter(|_| is_shown(row.created_at));
        let content = text.and_then(|sealed| EventContent::open(&self.vault, org, &row.id, &sealed));
        let message = content.map(|content| content.message);
        let of = |name: &str| row.data[name].as_str().unwrap_or_default().to_owned();
        InboxEntry {
            agent,
            channel: row.channel.unwrap_or_default(),
            is_inbound: true,
            address: row.contact.unwrap_or_else(|| of("from")),
            ours: of("to"),
            status: if row.is_delivered { DELIVERED } else { WAITING }.to_owned(),
            told_at: row.delivered_at,
            tries: row.tries,
            failure: None,
            at: row.created_at,
            name: row.data["senderName"].as_str().map(str::to_owned),
            attachments: message.as_ref().map_or(0, |message| message.attachments.len()),
            subject: message.as_ref().and_then(|message| message.subject.clone()),
            text: message.map(|message| message.body.unwrap_or_default()),
            call: None,
            id: row.id,
        }
    }

    fn sent(&self, org: &OrgId, row: SentMessage, is_shown: impl Fn(Timestamp) -> bool) -> InboxEntry {
        let text = row.text.as_deref().filter(|_| is_shown(row.created_at));
        let content = text.and_then(|sealed| {
            let plain = self.vault.decrypt(org, &row.id, sealed);
            let plain = plain.inspect_err(|error| tracing::error!(%error, id = row.id, "kept text not decrypted"));
            serde_json::from_slice::<StoredContent>(&plain.ok()?).ok()
        });
        let content = content.map(|stored| stored.content);
        InboxEntry {
            agent: row.agent(),
            channel: row.channel,
            is_inbound: false,
            address: row.recipient,
            ours: row.sender,
            status: row.status,
            told_at: None,
            tries: 0,
            failure: row.failure,
            at: row.created_at,
            name: None,
            attachments: content.as_ref().map_or(0, |content| content.media.len()),
            subject: content.as_ref().and_then(|content| content.subject.clone()),
            text: content.map(|content| content.body.unwrap_or_default()),
            call: None,
            id: row.id,
        }
    }
}

fn call_entry(call: Call) -> InboxEntry {
    InboxEntry {
        id: call.id.into_string(),
        agent: call.agent,
        channel: Channel::Voice.as_str().to_owned(),
        is_inbound: call.direction == Direction::Inbound,
        address: call.remote_number,
        ours: call.local_number,
        status: call.status.as_str().to_owned(),
        told_at: None,
        tries: 0,
        failure: call.error_code,
        at: call.created_at,
        subject: None,
        text: None,
        attachments: 0,
        name: None,
        call: Some(InboxCall {
            duration_seconds: call.duration_seconds,
            handled_by: call.handled_by,
            end_reason: call.end_reason,
        }),
    }
}

const DELIVERED: &str = "delivered";
const WAITING: &str = "waiting";

#[cfg(test)]
mod tests {
    use butt_dial_domain::{
        CallId, MessageId, Principal, Scope, TokenId,
        limits::Limits,
        message::{Content, ThreadRef},
    };
    use butt_dial_store::{AcceptedSend, CallEntry};

    use super::*;
    use crate::{Carriers, delivery::MESSAGE_RECEIVED, testing::Bench};

    const PERSON: &str = "+14155550000";

    async fn bench() -> (Bench, Inbox, Caller) {
        let clock = Clock::manual("2026-11-30T12:00:00Z".parse().unwrap());
        let bench = Bench::at(Carriers::default(), clock).await;
        let inbox = Inbox::new(bench.store.clone(), bench.vault.clone(), bench.clock.clone());
        let principal = Principal {
            token: TokenId::from("tok"),
            scope: Scope::OrgAdmin,
            org: Some(bench.agent.org_id.clone()),
            agent: None,
            restriction: None,
        };
        let caller = Caller {
            principal,
            profile: None,
        };
        (bench, inbox, caller)
    }

    async fn texts(bench: &Bench, inbox: &Inbox) -> Vec<Option<String>> {
        let thread = inbox.thread(&bench.agent.org_id, None, PERSON).await.unwrap();
        thread.into_iter().map(|entry| entry.text).collect()
    }

    /// Stores a message of the agent with a kept text.
    async fn send(bench: &Bench, body: &str) {
        let (org, id, now) = (bench.agent.org_id.clone(), MessageId::generate(), bench.clock.now());
        let stored = StoredContent {
            content: Content {
                body: Some(body.to_owned()),
                ..Content::default()
            },
            sender_name: None,
        };
        let plain = serde_json::to_vec(&stored).unwrap();
        let send = AcceptedSend::builder()
            .content(bench.vault.encrypt(&org, id.as_str(), &plain))
            .is_kept(true)
            .agent(bench.agent.id.clone())
            .channel(Channel::Sms)
            .sender(bench.phone().as_str().to_owned())
            .recipient(PERSON.to_owned())
            .idempotency_key(id.as_str().to_owned())
            .request_hash("aa".to_owned())
            .body_hash("bb".to_owned())
            .verdict("allow")
            .carrier("simulator")
            .estimate(0)
            .agent_limits(Limits::default())
            .org_limits(Limits::default())
            .thread(ThreadRef::default())
            .replica("r".to_owned())
            .at(now)
            .check_at(now)
            .id(id)
            .org(org)
            .build();
        bench.store.accept_send(std::sync::Arc::new(send)).await.unwrap();
    }

    #[tokio::test]
    async fn texts_are_shown_while_the_organization_keeps_them() {
        let (bench, inbox, caller) = bench().await;
        let org = &bench.agent.org_id;
        assert_eq!(
            inbox.set_retention(&caller, 91).await.unwrap_err().code,
            Code::InvalidArgument
        );
        bench.log(MESSAGE_RECEIVED, 2, 3).await;
        assert_eq!(
            texts(&bench, &inbox).await,
            [None],
            "texts that wait for the agent are not shown either"
        );
        inbox.set_retention(&caller, 2).await.unwrap();
        assert_eq!(inbox.retention(org).await.unwrap(), 2);
        bench.clock.advance(TimeDelta::seconds(60));
        send(&bench, "Yes.").await;
        assert_eq!(
            texts(&bench, &inbox).await,
            [Some("xxx".to_owned()), Some("Yes.".to_owned())]
        );
        bench.clock.advance(TimeDelta::days(2));
        assert_eq!(
            texts(&bench, &inbox).await,
            [None, None],
            "the days are over before the next purge"
        );
        inbox.set_retention(&caller, 0).await.unwrap();
        assert_eq!(texts(&bench, &inbox).await, [None, None]);
    }

    #[tokio::test]
    async fn lists_people_with_their_newest_message() {
        let (bench, inbox, caller) = bench().await;
        inbox.set_retention(&caller, 30).await.unwrap();
        bench.log(MESSAGE_RECEIVED, 2, 3).await;
        bench.clock.advance(TimeDelta::seconds(60));
        send(&bench, "Yes.").await;
        let people = inbox.list(&bench.agent.org_id, Some(&bench.agent.id)).await.unwrap();
        let found: Vec<(&str, usize, bool)> = people
            .iter()
            .map(|person| (person.contact.as_str(), person.waiting, person.last.is_inbound))
            .collect();
        assert_eq!(found, [(PERSON, 1, false), ("+14155550001", 1, true)]);
        assert_eq!(people[0].last.text.as_deref(), Some("Yes."));
        assert!(inbox.list(&OrgId::from("other"), None).await.unwrap().is_empty());
    }

    /// Stores a call that a person has placed to the agent.
    async fn ring(bench: &Bench, number: &str) -> CallId {
        let id = CallId::generate();
        let entry = CallEntry {
            id: id.clone(),
            org: bench.agent.org_id.clone(),
            agent: bench.agent.id.clone(),
            direction: Direction::Inbound,
            carrier: "simulator".into(),
            carrier_id: Some(format!("CA{id}")),
            local_number: bench.phone().as_str().to_owned(),
            remote_number: number.to_owned(),
            at: bench.clock.now(),
        };
        bench.store.open_call(&entry).await.unwrap();
        id
    }

    #[tokio::test]
    async fn calls_are_part_of_the_conversation() {
        let (bench, inbox, _) = bench().await;
        let org = &bench.agent.org_id;
        bench.log(MESSAGE_RECEIVED, 1, 3).await;
        bench.clock.advance(TimeDelta::seconds(60));
        let call = ring(&bench, PERSON).await;
        ring(&bench, "anonymous").await;
        ring(&bench, "+14155550009").await;
        bench.clock.advance(TimeDelta::seconds(60));
        send(&bench, "Sorry that we missed you.").await;
        let shown =
            |entries: Vec<InboxEntry>| -> Vec<bool> { entries.iter().map(|entry| entry.call.is_some()).collect() };
        let thread = inbox.thread(org, Some(&bench.agent.id), PERSON).await.unwrap();
        assert_eq!(
            (thread[1].id.as_str(), thread[1].status.as_str()),
            (call.as_str(), "ringing")
        );
        assert!(thread[1].is_inbound && thread[1].address == PERSON);
        assert_eq!(shown(thread), [false, true, false]);
        let other = AgentId::from("another");
        assert!(inbox.thread(org, Some(&other), PERSON).await.unwrap().is_empty());
        let people = inbox.list(org, None).await.unwrap();
        let people: Vec<_> = people
            .iter()
            .map(|person| (person.contact.as_str(), person.waiting))
            .collect();
        assert_eq!(people, [(PERSON, 1), ("+14155550009", 0)], "no one is anonymous");
    }
}
