//! Live traffic within the process. Publishing never waits: a subscriber with a full queue loses the message.

use std::{
    collections::{BTreeMap, HashMap},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use butt_dial_domain::ports::bus::Message;
use futures::Stream;
use tokio::sync::mpsc;

use crate::{
    subject::{has_wildcard, matches},
    validation::LIVE_CAPACITY,
};

#[derive(Default)]
pub(super) struct Live {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    /// The subscriptions without wildcards, by subject.
    exact: HashMap<String, Vec<Subscriber>>,
    patterns: Vec<(String, Subscriber)>,
    next_id: u64,
    /// The messages that each group has received, for round-robin. Groups are few, and named by the program.
    group_counts: HashMap<String, usize>,
}

struct Subscriber {
    id: u64,
    group: Option<String>,
    sender: mpsc::Sender<Message>,
}

impl Live {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn subscribe(self: &Arc<Self>, pattern: &str, group: Option<&str>) -> Subscription {
        let (sender, receiver) = mpsc::channel(LIVE_CAPACITY);
        let mut table = self.table();
        let id = table.next_id;
        table.next_id += 1;
        let subscriber = Subscriber {
            id,
            group: group.map(str::to_owned),
            sender,
        };
        if has_wildcard(pattern) {
            table.patterns.push((pattern.to_owned(), subscriber));
        } else {
            table.exact.entry(pattern.to_owned()).or_default().push(subscriber);
        }
        Subscription {
            live: self.clone(),
            pattern: pattern.to_owned(),
            id,
            receiver,
        }
    }

    /// Sends a copy to each matching subscriber and to one member of each group. Returns whether the subject has any
    /// subscriber.
    pub(super) fn publish(&self, message: &Message) -> bool {
        let mut table = self.table();
        let Table {
            exact,
            patterns,
            group_counts,
            ..
        } = &mut *table;
        let exact = exact.get(&message.subject).into_iter().flatten();
        let patterns = patterns
            .iter()
            .filter(|(pattern, _)| matches(pattern, &message.subject));
        let mut groups = BTreeMap::<&str, Vec<&Subscriber>>::new();
        let mut has_subscriber = false;
        for subscriber in exact.chain(patterns.map(|(_, subscriber)| subscriber)) {
            has_subscriber = true;
            match &subscriber.group {
                None => {
                    let _ = subscriber.sender.try_send(message.clone());
                }
                Some(group) => groups.entry(group).or_default().push(subscriber),
            }
        }
        for (group, members) in groups {
            let count = group_counts.entry(group.to_owned()).or_default();
            *count = count.wrapping_add(1);
            // Round-robin; a member with a full queue is passed over.
            let order = (0..members.len()).map(|step| members[count.wrapping_add(step) % members.len()]);
            let _ = order
                .into_iter()
                .find(|member| member.sender.try_send(message.clone()).is_ok());
        }
        has_subscriber
    }

    fn unsubscribe(&self, pattern: &str, id: u64) {
        let mut table = self.table();
        table.patterns.retain(|(_, subscriber)| subscriber.id != id);
        if let Some(subscribers) = table.exact.get_mut(pattern) {
            subscribers.retain(|subscriber| subscriber.id != id);
            if subscribers.is_empty() {
                table.exact.remove(pattern);
            }
        }
    }
}

/// The messages of one subscriber. Dropping it unsubscribes.
pub(super) struct Subscription {
    live: Arc<Live>,
    pattern: String,
    id: u64,
    receiver: mpsc::Receiver<Message>,
}

impl Stream for Subscription {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Message>> {
        self.receiver.poll_recv(context)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.live.unsubscribe(&self.pattern, self.id);
    }
}
