//! Many people who write at once, each one message after the other, and what must have become of it in the end.

use std::collections::{HashMap, HashSet};

use butt_dial_domain::Channel;
use butt_dial_providers::PersonWrites;
use futures::future::join_all;
use tokio::sync::{Semaphore, watch};

use super::{Stage, in_time};

/// A crowd that writes no more than it may.
pub struct Crowd {
    people: usize,
    each: usize,
    may: Semaphore,
    written: watch::Sender<usize>,
}

/// One message of somebody's.
#[derive(Debug)]
pub struct Letter {
    pub carrier_id: String,
    /// The carrier was told that we have it.
    pub is_taken: bool,
}

/// A message as it reached the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    pub event: String,
    pub carrier_id: String,
    pub text: String,
}

impl Crowd {
    pub fn new(people: usize, each: usize) -> Self {
        Self {
            people,
            each,
            may: Semaphore::new(0),
            written: watch::Sender::new(0),
        }
    }

    pub fn total(&self) -> usize {
        self.people * self.each
    }

    pub fn written(&self) -> usize {
        *self.written.borrow()
    }

    /// Waits until so many have been written.
    pub async fn reached(&self, messages: usize) {
        let mut written = self.written.subscribe();
        let reached = in_time("the crowd writes", written.wait_for(|written| *written >= messages)).await;
        drop(reached.expect("a crowd"));
    }

    /// So many more messages may be written.
    pub fn allow(&self, messages: usize) {
        self.may.add_permits(messages);
    }

    /// All of them write all that they have to say to the account's agent.
    pub async fn write(&self, stage: &Stage) -> Vec<Letter> {
        let people = (0..self.people).map(async |person| {
            let from = format!("+141655501{person:02}");
            let mut letters = Vec::new();
            for number in 0..self.each {
                self.may.acquire().await.expect("a permit").forget();
                let text = format!("{person}: {number}");
                let written = stage
                    .write(PersonWrites::new(Channel::Sms, &from, &stage.account.phone, &text))
                    .await;
                self.written.send_modify(|written| *written += 1);
                letters.push(Letter {
                    carrier_id: written.carrier_id,
                    is_taken: written.status == Some(200),
                });
            }
            letters
        });
        join_all(people).await.into_iter().flatten().collect()
    }
}

/// What has been heard for the first time, and how often something was heard again.
pub fn first_times(heard: &[Heard]) -> (Vec<Heard>, usize) {
    let mut known = HashSet::new();
    let first: Vec<Heard> = heard
        .iter()
        .filter(|heard| known.insert(&heard.event))
        .cloned()
        .collect();
    let again = heard.len() - first.len();
    (first, again)
}

/// Whether everything that was taken is among what was heard.
pub fn is_all_there(letters: &[Letter], heard: &[Heard]) -> bool {
    let there: HashSet<&str> = heard.iter().map(|heard| heard.carrier_id.as_str()).collect();
    let mut taken = letters.iter().filter(|letter| letter.is_taken);
    taken.all(|letter| there.contains(letter.carrier_id.as_str()))
}

/// Everything that was taken has been heard once, nothing was heard that nobody wrote, and each person in their order.
pub fn expect_once_and_in_order(letters: &[Letter], heard: &[Heard]) {
    let mut times: HashMap<&str, usize> = HashMap::new();
    for heard in heard {
        *times.entry(heard.carrier_id.as_str()).or_default() += 1;
    }
    for letter in letters {
        let times = times.remove(letter.carrier_id.as_str()).unwrap_or(0);
        let fits = if letter.is_taken { times == 1 } else { times <= 1 };
        assert!(fits, "heard {times} times: {letter:?}");
    }
    assert!(times.is_empty(), "nobody wrote this: {times:?}");
    let mut last: HashMap<&str, usize> = HashMap::new();
    for heard in heard {
        let (person, number) = heard.text.split_once(": ").expect("a letter");
        let number: usize = number.parse().expect("a number");
        if let Some(before) = last.insert(person, number) {
            assert!(before < number, "{person}: {number} came after {before}");
        }
    }
}
