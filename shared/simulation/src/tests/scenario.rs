//! The actions of clients, persons and operators in a run. Generated from the seed before the run, so that it does not depend on the faults.

use butt_dial_domain::Channel;

use super::{laboratory::AGENTS, random::Random};

/// Numbers of persons, reserved for fiction. All organizations have the same contacts.
pub const CONTACTS: [&str; 2] = ["+14155550101", "+14155550102"];
/// The time in which actions begin, in milliseconds.
const SPAN: u64 = 1_500;

pub struct Scenario {
    pub actions: Vec<Action>,
    /// The sum that the first organization may spend in a day, in micro-units.
    pub budget: Option<i64>,
}

pub struct Action {
    /// Milliseconds after the start.
    pub at: u64,
    pub kind: Kind,
}

pub enum Kind {
    Send(Send),
    Receive(Incoming),
    /// An agent reads its events and acknowledges them.
    Poll {
        agent: usize,
        limit: u32,
    },
    Sweep,
    /// A process stands still.
    Freeze {
        milliseconds: u64,
    },
    /// The log loses its last entries.
    FailPower {
        entries: usize,
    },
    /// The key-value store loses everything.
    EmptyKv,
}

#[derive(Clone)]
pub struct Send {
    pub agent: usize,
    pub channel: Channel,
    pub contact: usize,
    pub key: String,
    pub text: String,
    pub fallback: Option<Channel>,
    /// Milliseconds after the start at which it is to be sent.
    pub scheduled: Option<u64>,
    /// Two processes get the request at the same time.
    pub is_doubled: bool,
}

#[derive(Clone)]
pub struct Incoming {
    pub agent: usize,
    pub contact: usize,
    pub channel: Channel,
    pub id: String,
    pub text: &'static str,
}

impl Scenario {
    pub fn generate(seed: u64) -> Self {
        let random = Random::new(seed ^ 0x5c3a_7a10);
        let mut actions = Vec::new();
        let mut sends: Vec<Send> = Vec::new();
        // Small scenarios put the faults close to each other, and take less time.
        let (most_sends, most_incoming, most_reads) =
            *random.pick(&[(1, 1, 1), (1, 1, 1), (2, 1, 1), (2, 2, 2), (5, 4, 3)]);
        for number in 0..random.between(u64::from(most_sends > 2), most_sends) {
            let send = send(&random, number, &sends);
            sends.push(send.clone());
            actions.push(Kind::Send(send));
        }
        for number in 0..random.between(0, most_incoming) {
            actions.push(Kind::Receive(incoming(&random, number)));
        }
        for _ in 0..random.between(0, most_reads) {
            let agent = agent(&random);
            let limit = u32::try_from(random.between(1, 4)).unwrap();
            actions.push(Kind::Poll { agent, limit });
        }
        for _ in 0..random.between(0, most_reads) {
            actions.push(Kind::Sweep);
        }
        if random.chance(150) {
            let milliseconds = random.between(500, 8_000);
            actions.push(Kind::Freeze { milliseconds });
        }
        if random.chance(100) {
            let entries = usize::try_from(random.between(1, 3)).unwrap();
            actions.push(Kind::FailPower { entries });
        }
        if random.chance(100) {
            actions.push(Kind::EmptyKv);
        }
        let actions = actions.into_iter().map(|kind| Action {
            at: random.below(SPAN),
            kind,
        });
        let mut actions: Vec<Action> = actions.collect();
        actions.sort_by_key(|action| action.at);
        Self {
            actions,
            budget: random
                .chance(200)
                .then(|| i64::try_from(random.between(5_000, 40_000)).unwrap()),
        }
    }
}

/// Returns an agent, most often the first one, so that actions meet.
fn agent(random: &Random) -> usize {
    match random.chance(600) {
        true => 0,
        false => usize::try_from(random.below(AGENTS.len() as u64)).unwrap(),
    }
}

fn contact(random: &Random) -> usize {
    usize::try_from(random.below(CONTACTS.len() as u64)).unwrap()
}

fn channel(random: &Random) -> Channel {
    match random.chance(700) {
        true => Channel::Sms,
        false => Channel::Whatsapp,
    }
}

fn send(random: &Random, number: u64, sends: &[Send]) -> Send {
    // The same text to the same person with another key: the carrier's list does not tell them apart.
    if random.chance(150) && !sends.is_empty() {
        let first = random.pick(sends);
        return Send {
            key: format!("key {number}"),
            fallback: None,
            scheduled: None,
            ..first.clone()
        };
    }
    let channel = channel(random);
    let other = match channel {
        Channel::Sms => Channel::Whatsapp,
        _ => Channel::Sms,
    };
    Send {
        agent: agent(random),
        channel,
        contact: contact(random),
        key: format!("key {number}"),
        text: format!("Order {number} is ready."),
        fallback: random.chance(400).then_some(other),
        scheduled: random.chance(200).then(|| random.between(500, 5_000)),
        is_doubled: random.chance(300),
    }
}

fn incoming(random: &Random, number: u64) -> Incoming {
    let text = match random.below(10) {
        0 => "STOP",
        1 => "START",
        2 => "HELP",
        _ => "When is it ready?",
    };
    Incoming {
        agent: agent(random),
        contact: contact(random),
        channel: channel(random),
        id: format!("IN{number}"),
        text,
    }
}
