//! Live traffic within the process. Publishing never waits: what a slow reader has no room for is lost to that reader.

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
    rules::LIVE_CAPACITY,
    subject::{has_wildcard, matches},
};

#[derive(Default)]
pub(super) struct Live {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    /// By subject, for the many that name one exactly.
    exact: HashMap<String, Vec<Reader>>,
    patterns: Vec<(String, Reader)>,
    next_id: u64,
    /// How many messages each group has had: whose turn it is. Groups are few, and named by the program.
    turns: HashMap<String, usize>,
}

struct Reader {
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
        let reader = Reader {
            id,
            group: group.map(str::to_owned),
            sender,
        };
        if has_wildcard(pattern) {
            table.patterns.push((pattern.to_owned(), reader));
        } else {
            table.exact.entry(pattern.to_owned()).or_default().push(reader);
        }
        Subscription {
            live: self.clone(),
            pattern: pattern.to_owned(),
            id,
            receiver,
        }
    }

    /// Says whether anybody listens.
    pub(super) fn publish(&self, message: &Message) -> bool {
        let mut table = self.table();
        let Table {
            exact, patterns, turns, ..
        } = &mut *table;
        let exact = exact.get(&message.subject).into_iter().flatten();
        let patterns = patterns
            .iter()
            .filter(|(pattern, _)| matches(pattern, &message.subject));
        let mut groups = BTreeMap::<&str, Vec<&Reader>>::new();
        let mut heard = false;
        for reader in exact.chain(patterns.map(|(_, reader)| reader)) {
            heard = true;
            match &reader.group {
                None => {
                    let _ = reader.sender.try_send(message.clone());
                }
                Some(group) => groups.entry(group).or_default().push(reader),
            }
        }
        for (group, members) in groups {
            let turn = turns.entry(group.to_owned()).or_default();
            *turn = turn.wrapping_add(1);
            // From the one whose turn it is to the first who has room.
            let order = (0..members.len()).map(|step| members[turn.wrapping_add(step) % members.len()]);
            let _ = order
                .into_iter()
                .find(|member| member.sender.try_send(message.clone()).is_ok());
        }
        heard
    }

    fn unsubscribe(&self, pattern: &str, id: u64) {
        let mut table = self.table();
        table.patterns.retain(|(_, reader)| reader.id != id);
        if let Some(readers) = table.exact.get_mut(pattern) {
            readers.retain(|reader| reader.id != id);
            if readers.is_empty() {
                table.exact.remove(pattern);
            }
        }
    }
}

/// Ends when it is dropped.
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
