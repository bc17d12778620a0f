//! What has been sent to be spoken, and how much of it the caller has heard. The carrier tells what it has played piece by
//! piece, as it spoke it: with other blanks and other punctuation than it was sent.

use std::collections::VecDeque;

/// Whose words they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UtteranceKind {
    /// Of the reply to a turn.
    Reply,
    /// Fills a pause; cut by what comes after it.
    Filler,
    /// Said by us about the call itself.
    WebhookEvent,
    /// Tones.
    Digits,
    /// Left over from a turn that is past: it may still be spoken, or may not.
    Stale,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Utterance {
    pub kind: UtteranceKind,
    pub text: String,
    /// Bytes of `text`.
    pub played: usize,
}

impl Utterance {
    fn rest(&self) -> &str {
        &self.text[self.played..]
    }
}

/// In the order in which it is spoken.
#[derive(Default)]
pub struct PlaybackQueue(VecDeque<Utterance>);

/// What has just been heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaybackProgress {
    pub kind: UtteranceKind,
    /// How many bytes more of its text.
    pub bytes: usize,
    /// It has been heard to its end, or was cut by what came after it.
    pub is_over: bool,
}

impl PlaybackQueue {
    /// Text that belongs to what was queued last, if it is of the same kind, is one utterance with it.
    pub fn push(&mut self, kind: UtteranceKind, text: &str) {
        match self.0.back_mut() {
            Some(last) if last.kind == kind && kind == UtteranceKind::Reply => last.text.push_str(text),
            _ => self.0.push_back(Utterance {
                kind,
                text: text.to_owned(),
                played: 0,
            }),
        }
    }

    /// Nothing is left to be heard.
    pub fn is_empty(&self) -> bool {
        self.waited_for().all(|utterance| is_blank(utterance.rest()))
    }

    pub fn unheard_characters(&self) -> u32 {
        let count: usize = self
            .waited_for()
            .map(|utterance| utterance.rest().chars().count())
            .sum();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    fn waited_for(&self) -> impl Iterator<Item = &Utterance> {
        self.0.iter().filter(|utterance| utterance.kind != UtteranceKind::Stale)
    }

    /// A new turn begins: nobody waits any more for what is left of the one before.
    pub fn outdate(&mut self) {
        for utterance in &mut self.0 {
            utterance.kind = UtteranceKind::Stale;
        }
    }

    /// Everything that was queued has been thrown away.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// What was queued up to now is still spoken, and belongs to no reply any more.
    pub fn detach(&mut self) {
        for utterance in &mut self.0 {
            if utterance.kind == UtteranceKind::Reply {
                utterance.kind = UtteranceKind::Notice;
            }
        }
    }

    /// The carrier has played this.
    pub fn played(&mut self, chunk: &str) -> Vec<PlaybackProgress> {
        let mut told = Vec::new();
        let mut left = letters(chunk);
        while !left.is_empty() {
            let Some(first) = self.0.front_mut() else { break };
            let rest = letters(first.rest());
            let common = common(&rest, &left);
            // It was cut, or is never told as it was sent: what was played belongs to what follows.
            if common < left.len()
                && common < rest.len()
                && matches!(first.kind, UtteranceKind::Filler | UtteranceKind::Stale)
            {
                told.push(PlaybackProgress {
                    kind: first.kind,
                    bytes: 0,
                    is_over: true,
                });
                self.0.pop_front();
                continue;
            }
            // Spoken otherwise than written ("5 pm"): as many letters count as were played.
            let count = left.len().min(rest.len());
            let bytes = end_of(first.rest(), count);
            first.played += bytes;
            left.drain(..count);
            let is_over = is_blank(first.rest());
            told.push(PlaybackProgress {
                kind: first.kind,
                bytes,
                is_over,
            });
            // The last reply may still grow.
            if is_over && (first.kind != UtteranceKind::Reply || self.0.len() > 1) {
                self.0.pop_front();
            } else if is_over {
                break;
            }
        }
        told
    }
}

/// What is compared: letters and digits.
fn letters(text: &str) -> Vec<char> {
    text.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

fn common(a: &[char], b: &[char]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

fn is_blank(text: &str) -> bool {
    !text.chars().any(char::is_alphanumeric)
}

/// Where so many letters end, with the punctuation and the blanks after them.
fn end_of(text: &str, count: usize) -> usize {
    let mut seen = 0;
    for (at, c) in text.char_indices() {
        if c.is_alphanumeric() {
            if seen >= count {
                return at;
            }
            seen += c.to_lowercase().count();
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(told: &[PlaybackProgress]) -> usize {
        told.iter().map(|heard| heard.bytes).sum()
    }

    #[test]
    fn pieces_are_put_together_and_heard_chunk_by_chunk() {
        let mut queue = PlaybackQueue::default();
        queue.push(UtteranceKind::Reply, "Your table is ready.");
        queue.push(UtteranceKind::Reply, " At eight, as you wished.");
        assert_eq!(
            bytes(&queue.played("Your table is ready.")),
            "Your table is ready. ".len()
        );
        assert!(!queue.is_empty());
        queue.played("At eight, as you wished.");
        assert!(queue.is_empty());
    }

    #[test]
    fn a_fragment_counts_as_far_as_it_goes() {
        let mut queue = PlaybackQueue::default();
        queue.push(UtteranceKind::Reply, "One, two, three, four.");
        assert_eq!(bytes(&queue.played("One, two,")), "One, two, ".len());
        queue.clear();
        assert!(queue.is_empty() && queue.played("three").is_empty());
    }

    #[test]
    fn a_filler_that_was_cut_does_not_count_for_the_answer() {
        let mut queue = PlaybackQueue::default();
        queue.push(UtteranceKind::Filler, "Let me check that.");
        queue.push(UtteranceKind::Reply, "It is blue.");
        queue.played("Let me");
        let told = queue.played("It is blue.");
        assert_eq!(
            told.last().map(|heard| (heard.kind, heard.bytes)),
            Some((UtteranceKind::Reply, 11))
        );
        assert!(queue.is_empty());
    }

    #[test]
    fn what_is_spoken_otherwise_counts_by_its_length() {
        let mut queue = PlaybackQueue::default();
        queue.push(UtteranceKind::Reply, "It is 5 pm. Then we go.");
        let told = [queue.played("It is five p.m."), queue.played("Then we go.")].concat();
        assert_eq!(bytes(&told), "It is 5 pm. Then we go.".len());
    }

    #[test]
    fn notices_come_before_what_was_queued_after_them() {
        let mut queue = PlaybackQueue::default();
        queue.push(UtteranceKind::Notice, "Hello.");
        queue.push(UtteranceKind::Reply, "How are you?");
        let told = queue.played("Hello. How are you?");
        assert_eq!(
            told.iter().map(|heard| (heard.kind, heard.is_over)).collect::<Vec<_>>(),
            [(UtteranceKind::Notice, true), (UtteranceKind::Reply, true)]
        );
    }

    #[test]
    fn nothing_that_is_played_breaks_it() {
        let mut queue = PlaybackQueue::default();
        for chunk in ["", "  ", "1234#", "…", "ßẞİ"] {
            queue.played(chunk);
        }
        queue.push(UtteranceKind::Digits, "12");
        queue.push(UtteranceKind::Reply, "İstanbul ßtraße");
        queue.played("12");
        queue.played("İstanbul");
        queue.played("straße und mehr und mehr");
        assert!(queue.is_empty());
    }
}
