//! The newest messages of one vendor, indexed by id and by recipient, as its API requires.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::message::SimulatedMessage;

/// Bounds the memory of a long-running simulator. Older messages are only counted.
pub const MAX_MESSAGES: usize = 20_000;

#[derive(Default)]
pub struct Mailbox {
    messages: VecDeque<Arc<SimulatedMessage>>,
    /// The number of the oldest kept message. Numbers have no gaps, so a number gives the position.
    oldest: u64,
    by_id: HashMap<String, u64>,
    by_recipient: HashMap<String, VecDeque<u64>>,
    accepted: u64,
}

impl Mailbox {
    pub fn push(&mut self, message: Arc<SimulatedMessage>) {
        if self.messages.len() == MAX_MESSAGES {
            self.evict_oldest();
        }
        let number = self.oldest + self.messages.len() as u64;
        self.by_id.insert(message.carrier_id.clone(), number);
        match self.by_recipient.get_mut(&message.to) {
            Some(numbers) => numbers.push_back(number),
            None => {
                self.by_recipient.insert(message.to.clone(), VecDeque::from([number]));
            }
        }
        self.messages.push_back(message);
        self.accepted += 1;
    }

    /// Returns how many messages were ever accepted, evicted ones included.
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    pub fn find(&self, carrier_id: &str) -> Option<&Arc<SimulatedMessage>> {
        self.at(*self.by_id.get(carrier_id)?)
    }

    /// Changes one message. Returns `None` if it was evicted.
    pub fn update(
        &mut self,
        carrier_id: &str,
        change: impl FnOnce(&mut SimulatedMessage),
    ) -> Option<Arc<SimulatedMessage>> {
        let position = usize::try_from(self.by_id.get(carrier_id)? - self.oldest).ok()?;
        let message = self.messages.get_mut(position)?;
        change(Arc::make_mut(message));
        Some(message.clone())
    }

    pub fn newest_first(&self) -> impl Iterator<Item = &Arc<SimulatedMessage>> {
        self.messages.iter().rev()
    }

    pub fn newest_first_to(&self, recipient: &str) -> impl Iterator<Item = &Arc<SimulatedMessage>> {
        let numbers = self.by_recipient.get(recipient).into_iter().flatten();
        numbers.rev().filter_map(|number| self.at(*number))
    }

    fn at(&self, number: u64) -> Option<&Arc<SimulatedMessage>> {
        self.messages
            .get(usize::try_from(number.checked_sub(self.oldest)?).ok()?)
    }

    fn evict_oldest(&mut self) {
        let Some(message) = self.messages.pop_front() else {
            return;
        };
        self.oldest += 1;
        self.by_id.remove(&message.carrier_id);
        if let Some(numbers) = self.by_recipient.get_mut(&message.to) {
            numbers.pop_front();
            if numbers.is_empty() {
                self.by_recipient.remove(&message.to);
            }
        }
    }
}

/// Returns at most `limit` messages that match.
pub fn pick<'a>(
    newest_first: impl Iterator<Item = &'a Arc<SimulatedMessage>>,
    limit: usize,
    matches: impl Fn(&SimulatedMessage) -> bool,
) -> Vec<Arc<SimulatedMessage>> {
    newest_first
        .filter(|message| matches(message))
        .take(limit)
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use butt_dial_domain::{Channel, Clock};

    use super::*;

    fn message(number: usize) -> Arc<SimulatedMessage> {
        let mut message = SimulatedMessage::new("x", Channel::Sms, format!("id{number}"), Clock::System.now());
        message.to = format!("+{}", number % 3);
        Arc::new(message)
    }

    #[test]
    fn evicts_oldest_messages_and_counts_all() {
        let mut mailbox = Mailbox::default();
        for number in 0..MAX_MESSAGES + 10 {
            mailbox.push(message(number));
        }
        assert_eq!(mailbox.accepted(), (MAX_MESSAGES + 10) as u64);
        assert_eq!(mailbox.newest_first().count(), MAX_MESSAGES);
        assert!(mailbox.find("id9").is_none());
        assert_eq!(mailbox.find("id10").map(|m| m.to.as_str()), Some("+1"));
        assert_eq!(mailbox.by_id.len(), MAX_MESSAGES);

        let newest = mailbox.newest_first_to("+0").next().unwrap();
        assert_eq!(newest.carrier_id, format!("id{}", (MAX_MESSAGES + 9) / 3 * 3));
        let everyone: usize = ["+0", "+1", "+2"]
            .map(|to| mailbox.newest_first_to(to).count())
            .iter()
            .sum();
        assert_eq!(everyone, MAX_MESSAGES);

        assert!(mailbox.update("id9", |m| m.status = "sent").is_none());
        assert_eq!(mailbox.update("id10", |m| m.status = "sent").unwrap().status, "sent");
    }
}
