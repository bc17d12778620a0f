//! The invariants of each run, whatever has failed. They are read from the carrier's book, the database and what the agents have read.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use butt_dial_messaging::inbound::envelope::digest;
use serde_json::Value;

use super::{
    carrier::Taken,
    driver::{Content, Driver, Request},
    laboratory::{AGENTS, Laboratory},
    scenario::CONTACTS,
};

#[derive(sqlx::FromRow)]
struct MessageRow {
    id: String,
    org_id: String,
    agent_id: String,
    status: String,
    carrier: String,
    carrier_id: Option<String>,
    estimate: i64,
    cost: Option<i64>,
    stage: Option<String>,
    day: String,
}

#[derive(sqlx::FromRow)]
struct EventRow {
    agent_id: String,
    id: String,
    kind: String,
    data: String,
}

const MESSAGES: &str =
    "SELECT id, org_id, agent_id, status, carrier, carrier_id, estimate, cost, stage, day FROM messages ORDER BY id";
const EVENTS: &str = "SELECT agent_id, id, type AS kind, json(data) AS data FROM events ORDER BY agent_id, seq";
const SCHEDULED: &str = "SELECT id, agent_id, state FROM scheduled_sends ORDER BY id";
const SPEND: &str = "SELECT scope, period, held, settled FROM spend ORDER BY scope, period";
const USAGE: &str = "SELECT agent_id, SUM(messages), SUM(cost) FROM usage GROUP BY agent_id";
const DEAD_LETTERS: &str = "SELECT id FROM dead_letters";

struct State<'a> {
    driver: &'a Driver<'a>,
    messages: Vec<MessageRow>,
    scheduled: Vec<(String, String, String)>,
    events: Vec<(EventRow, Value)>,
    taken: Vec<Taken>,
    found: Vec<String>,
}

/// Returns what does not hold.
pub fn violations(laboratory: &Laboratory, driver: &Driver<'_>) -> Vec<String> {
    let events: Vec<EventRow> = laboratory.rows(EVENTS);
    let mut state = State {
        driver,
        messages: laboratory.rows(MESSAGES),
        scheduled: laboratory.rows(SCHEDULED),
        events: events
            .into_iter()
            .map(|row| {
                let data = serde_json::from_str(&row.data).unwrap();
                (row, data)
            })
            .collect(),
        taken: driver.world.carrier.taken(),
        found: Vec::new(),
    };
    state.all_sends_end();
    state.one_message_per_key();
    state.carrier_and_rows_agree();
    state.answers_are_true();
    state.status_moves_forward();
    state.webhooks_become_events(laboratory);
    state.order_of_contacts_stays();
    state.agents_see_own_events();
    state.opt_outs_hold();
    state.money_adds_up(laboratory);
    state.found
}

impl State<'_> {
    fn all_sends_end(&mut self) {
        let open = self
            .messages
            .iter()
            .filter(|row| matches!(row.status.as_str(), "sending" | "unknown"));
        let open: Vec<String> = open
            .map(|row| format!("message {} ends as {}", row.id, row.status))
            .collect();
        let waiting = self.scheduled.iter().filter(|(_, _, state)| state == "scheduled");
        let waiting: Vec<String> = waiting
            .map(|(id, ..)| format!("scheduled send {id} is never sent"))
            .collect();
        self.found.extend(open);
        self.found.extend(waiting);
    }

    /// At most one message at the carrier per key that the carrier has not reported as failed. Texts identify keys; twins share one.
    fn one_message_per_key(&mut self) {
        let mut keys: BTreeMap<(&str, &str, &str), BTreeSet<&str>> = BTreeMap::new();
        for Request { send, .. } in &self.driver.requests {
            let (agent, contact) = (AGENTS[send.agent].2, CONTACTS[send.contact]);
            keys.entry((agent, contact, &send.text)).or_default().insert(&send.key);
        }
        let mut found = Vec::new();
        for ((from, to, text), keys) in keys {
            let taken = self
                .taken
                .iter()
                .filter(|taken| taken.from == from && taken.to == to && taken.body.starts_with(text));
            let (failed, arrived): (Vec<&Taken>, Vec<&Taken>) = taken.partition(|taken| taken.has_failed);
            if arrived.len() > keys.len() {
                let ids: Vec<&str> = arrived.iter().map(|taken| taken.carrier_id.as_str()).collect();
                found.push(format!(
                    "{} messages at the carrier for {keys:?} ({ids:?}, {} failed)",
                    arrived.len(),
                    failed.len()
                ));
            }
        }
        self.found.extend(found);
    }

    /// Each message at the carrier has a row that does not deny it, and each accepted row a message at the carrier.
    fn carrier_and_rows_agree(&mut self) {
        let rows: HashMap<&str, &MessageRow> = self.messages.iter().map(|row| (row.id.as_str(), row)).collect();
        let mut found = Vec::new();
        for taken in &self.taken {
            match rows.get(taken.message.as_str()).map(|row| row.status.as_str()) {
                Some("accepted" | "unconfirmed") => {}
                status => found.push(format!(
                    "{} is at the carrier, its message {} is {status:?}",
                    taken.carrier_id, taken.message
                )),
            }
        }
        let mut claimed = BTreeSet::new();
        for row in self
            .messages
            .iter()
            .filter(|row| row.status == "accepted" && row.carrier != "internal")
        {
            let carrier_id = row.carrier_id.as_deref().unwrap_or_default();
            if !self.taken.iter().any(|taken| taken.carrier_id == carrier_id) {
                found.push(format!(
                    "message {} is accepted without a message at the carrier",
                    row.id
                ));
            }
            if !claimed.insert(carrier_id.to_owned()) {
                found.push(format!("{carrier_id} belongs to two messages"));
            }
        }
        self.found.extend(found);
    }

    /// An answer that says accepted is about a message that is accepted. After the failure of one message, the answer may name its
    /// fallback.
    fn answers_are_true(&mut self) {
        let rows: HashMap<&str, &str> = self
            .messages
            .iter()
            .map(|row| (row.id.as_str(), row.status.as_str()))
            .collect();
        let mut found = Vec::new();
        for request in &self.driver.requests {
            let mut accepted = BTreeSet::new();
            for receipt in request.results.iter().flatten() {
                let id = receipt.message.as_str();
                let is_scheduled = self.scheduled.iter().any(|(scheduled, ..)| scheduled == id);
                match (receipt.status.as_str(), rows.get(id)) {
                    ("accepted", Some(&"accepted")) => {
                        let has_failed = self
                            .taken
                            .iter()
                            .any(|taken| taken.message.as_str() == id && taken.has_failed);
                        if !has_failed {
                            accepted.insert(id);
                        }
                    }
                    ("accepted", status) => found.push(format!("{id} was answered accepted and is {status:?}")),
                    (_, None) if !is_scheduled => found.push(format!("{id} was answered and does not exist")),
                    _ => {}
                }
            }
            if accepted.len() > 1 {
                found.push(format!("the answers for {} name {accepted:?}", request.send.key));
            }
        }
        self.found.extend(found);
    }

    fn status_moves_forward(&mut self) {
        let mut ranks: HashMap<&str, (i64, &str)> = HashMap::new();
        let mut found = Vec::new();
        for (row, data) in self.events.iter().filter(|(row, _)| row.kind == "message.status") {
            let (message, status) = (text(data, "messageId"), text(data, "status"));
            let rank = match status {
                "accepted" | "unconfirmed" => 1,
                "sent" => 2,
                "delivered" | "failed" => 3,
                "read" => 4,
                other => {
                    found.push(format!("unknown status {other}"));
                    0
                }
            };
            let before = ranks.insert(message, (rank, status));
            if let Some((_, before)) = before.filter(|(before, _)| *before >= rank) {
                found.push(format!(
                    "status of {message} moves from {before} to {status} for {}",
                    row.agent_id
                ));
            }
        }
        // The last event is the state of the row.
        for row in &self.messages {
            let stage = match row.stage.as_deref() {
                Some("undelivered") => "failed",
                Some(stage @ ("sent" | "delivered" | "failed" | "read")) => stage,
                _ => continue,
            };
            if ranks.get(row.id.as_str()).is_none_or(|(_, told)| *told != stage) {
                found.push(format!(
                    "message {} is {stage}, its agent has {:?}",
                    row.id,
                    ranks.get(row.id.as_str())
                ));
            }
        }
        self.found.extend(found);
    }

    /// Each acknowledged webhook is one event or a dead letter; others are one event at most.
    fn webhooks_become_events(&mut self, laboratory: &Laboratory) {
        let letters: Vec<(String,)> = laboratory.rows(DEAD_LETTERS);
        let mut lost: BTreeSet<String> = self.driver.world.log.lost().into_iter().collect();
        for entry in self.driver.world.log.entries() {
            lost.remove(&entry.id);
        }
        let mut found = Vec::new();
        for (id,) in letters {
            found.push(format!("{id} is a dead letter, although all webhooks are valid"));
        }
        for webhook in &self.driver.webhooks {
            let Content::Message(incoming) = &webhook.content else {
                continue;
            };
            let events = self
                .events
                .iter()
                .filter(|(row, data)| row.kind == "message.received" && text(data, "providerMessageId") == incoming.id);
            let agents: Vec<&str> = events.map(|(row, _)| row.agent_id.as_str()).collect();
            let agent = AGENTS[incoming.agent].0;
            // Only what the log itself has lost may be missing, and not what came after it.
            let id = format!("evt_{}", digest(&[webhook.carrier, agent, &incoming.id]));
            let is_excused = !webhook.is_acknowledged || lost.contains(&id);
            if agents != [agent] && !(agents.is_empty() && is_excused) {
                found.push(format!(
                    "webhook {} for {agent} is the event of {agents:?}",
                    incoming.id
                ));
            }
        }
        self.found.extend(found);
    }

    /// The events of a contact are in the order of the log.
    fn order_of_contacts_stays(&mut self) {
        if !self.driver.world.log.lost().is_empty() {
            return;
        }
        let mut places = HashMap::new();
        for (place, entry) in self.driver.world.log.entries().into_iter().enumerate() {
            places.entry(entry.id).or_insert(place);
        }
        let mut last: HashMap<(&str, &str), usize> = HashMap::new();
        let mut found = Vec::new();
        for (row, data) in self.events.iter().filter(|(row, _)| row.kind == "message.received") {
            let Some(place) = places.get(&row.id) else {
                found.push(format!("event {} is not in the log", row.id));
                continue;
            };
            let before = last.insert((&row.agent_id, text(data, "from")), *place);
            if before.is_some_and(|before| before >= *place) {
                found.push(format!("event {} of {} is out of order", row.id, row.agent_id));
            }
        }
        self.found.extend(found);
    }

    /// No agent has an event about another agent's message.
    fn agents_see_own_events(&mut self) {
        let mut owners: HashMap<&str, &str> = self
            .messages
            .iter()
            .map(|row| (row.id.as_str(), row.agent_id.as_str()))
            .collect();
        owners.extend(
            self.scheduled
                .iter()
                .map(|(id, agent, _)| (id.as_str(), agent.as_str())),
        );
        let mut found = Vec::new();
        for (row, data) in &self.events {
            let is_own = match row.kind.as_str() {
                "message.status" => owners.get(text(data, "messageId")) == Some(&row.agent_id.as_str()),
                "message.received" => AGENTS
                    .iter()
                    .any(|(agent, _, number)| *agent == row.agent_id && text(data, "to") == *number),
                _ => true,
            };
            if !is_own {
                found.push(format!("{} has an event of another agent: {data}", row.agent_id));
            }
        }
        let rows: HashMap<&str, &str> = self
            .events
            .iter()
            .map(|(row, _)| (row.id.as_str(), row.agent_id.as_str()))
            .collect();
        for read in &self.driver.reads {
            let id = read.event.get("id").and_then(Value::as_str).unwrap_or_default();
            if rows.get(id) != Some(&AGENTS[read.agent].0) {
                found.push(format!("{} has read {id} of {:?}", AGENTS[read.agent].0, rows.get(id)));
            }
        }
        self.found.extend(found);
    }

    /// No message leaves to a person of which an agent of the organization had read the opt-out before it asked for the message.
    fn opt_outs_hold(&mut self) {
        let mut found = Vec::new();
        let opted = |words: &'static str| {
            self.driver
                .webhooks
                .iter()
                .filter_map(move |webhook| match &webhook.content {
                    Content::Message(incoming) if incoming.text == words => Some(incoming),
                    _ => None,
                })
        };
        for stop in opted("STOP") {
            let org = AGENTS[stop.agent].1;
            let is_same = |agent: usize, contact: usize| AGENTS[agent].1 == org && contact == stop.contact;
            if opted("START").any(|start| is_same(start.agent, start.contact)) {
                continue;
            }
            let read =
                self.driver.reads.iter().filter(|read| {
                    read.event.get("providerMessageId").and_then(Value::as_str) == Some(stop.id.as_str())
                });
            let Some(read_at) = read.map(|read| read.at).min() else {
                continue;
            };
            for request in self
                .driver
                .requests
                .iter()
                .filter(|request| is_same(request.send.agent, request.send.contact))
            {
                let is_after = request.begun_at.is_some_and(|begun| begun > read_at);
                let (from, to) = (AGENTS[request.send.agent].2, CONTACTS[request.send.contact]);
                let is_twin = self
                    .driver
                    .requests
                    .iter()
                    .any(|other| other.send.text == request.send.text && other.send.key != request.send.key);
                let taken = self
                    .taken
                    .iter()
                    .any(|taken| taken.from == from && taken.to == to && taken.body.starts_with(&request.send.text));
                let is_first = self
                    .driver
                    .requests
                    .iter()
                    .filter(|other| other.send.key == request.send.key && other.send.agent == request.send.agent)
                    .all(|other| other.begun_at.is_none_or(|begun| begun > read_at));
                if is_after && is_first && !is_twin && taken {
                    found.push(format!("{} left after the opt-out was read", request.send.key));
                }
            }
        }
        self.found.extend(found);
    }

    /// No money stays reserved; what is settled is the cost of the messages, and so is the usage.
    fn money_adds_up(&mut self, laboratory: &Laboratory) {
        let spend: Vec<(String, String, i64, i64)> = laboratory.rows(SPEND);
        let usage: Vec<(String, i64, i64)> = laboratory.rows(USAGE);
        let mut found = Vec::new();
        let cost = |scope: &str, period: &str| {
            let rows = self.messages.iter().filter(|row| row.day.starts_with(period));
            let rows =
                rows.filter(|row| format!("agt:{}", row.agent_id) == scope || format!("org:{}", row.org_id) == scope);
            rows.map(|row| row.cost.unwrap_or_default()).sum::<i64>()
        };
        for (scope, period, held, settled) in &spend {
            if *held != 0 {
                found.push(format!("{held} of {scope} in {period} stay reserved"));
            }
            if *settled != cost(scope, period) {
                found.push(format!(
                    "{settled} of {scope} in {period} are settled, the messages cost {}",
                    cost(scope, period)
                ));
            }
        }
        for row in &self.messages {
            let expected = match row.status.as_str() {
                // The carrier charges for what it has tried to deliver.
                "accepted" | "unconfirmed" if row.stage.as_deref() != Some("failed") => row.estimate,
                _ => 0,
            };
            if row.cost.unwrap_or_default() != expected {
                found.push(format!(
                    "message {} is {} and costs {:?} of {}",
                    row.id, row.status, row.cost, row.estimate
                ));
            }
        }
        for (agent, _, _) in AGENTS {
            let charged = self
                .messages
                .iter()
                .filter(|row| row.agent_id == agent && matches!(row.status.as_str(), "accepted" | "unconfirmed"));
            let expected = charged.fold((0, 0), |(count, sum), row| {
                (count + 1, sum + row.cost.unwrap_or_default())
            });
            let counted = usage
                .iter()
                .find(|(counted, ..)| counted == agent)
                .map_or((0, 0), |(_, count, sum)| (*count, *sum));
            if counted != expected {
                found.push(format!("usage of {agent} is {counted:?} instead of {expected:?}"));
            }
        }
        self.found.extend(found);
    }
}

fn text<'a>(data: &'a Value, field: &str) -> &'a str {
    data.get(field).and_then(Value::as_str).unwrap_or_default()
}
