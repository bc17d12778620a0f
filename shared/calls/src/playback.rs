//! The queue of outgoing speech, and how much of it was played. Carriers report playback in pieces, with other blanks and
//! punctuation than the text that was sent, so the queue compares letters and digits only.

use std::collections::VecDeque;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UtteranceKind {
    /// Part of the reply to a turn.
    Reply,
    /// Fills a pause. The next utterance cuts it.
    Filler,
    /// A prompt about the call, such as "are you still there?".
    Announcement,
    /// DTMF tones.
    Digits,
    /// Left over from an earlier turn: the carrier may still speak it, or may have dropped it.
    Stale,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Utterance {
    kind: UtteranceKind,
    text: String,
    /// Bytes of `text`.
    played: usize,
}

impl Utterance {
    fn rest(&self) -> &str {
        &self.text[self.played..]
    }
}

/// Utterances in the order in which they are spoken.
#[derive(Default)]
pub(crate) struct PlaybackQueue {
    utterances: VecDeque<Utterance>,
    /// The letters of the last played pieces.
    reported: Vec<char>,
}

/// Letters of played pieces that are remembered, to recognize an interruption that reports the same piece again.
const MAX_REPORTED: usize = 4_000;
/// A heard text that begins in an earlier utterance is recognized by at least so many letters.
const MIN_COMMON: usize = 6;

/// Progress of one utterance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlaybackProgress {
    pub kind: UtteranceKind,
    /// Number of additional bytes that were played.
    pub bytes: usize,
    /// It was played to its end, or cut by its successor.
    pub is_over: bool,
}

impl PlaybackQueue {
    /// Appends text. Consecutive pieces of a reply form one utterance.
    pub fn push(&mut self, kind: UtteranceKind, text: &str) {
        match self.utterances.back_mut() {
            Some(last) if last.kind == kind && kind == UtteranceKind::Reply => last.text.push_str(text),
            _ => self.utterances.push_back(Utterance {
                kind,
                text: text.to_owned(),
                played: 0,
            }),
        }
    }

    /// All text of the current turn was played.
    pub fn is_empty(&self) -> bool {
        self.awaited().all(|utterance| is_blank(utterance.rest()))
    }

    pub fn unplayed_characters(&self) -> u32 {
        let count: usize = self.awaited().map(|utterance| utterance.rest().chars().count()).sum();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    fn awaited(&self) -> impl Iterator<Item = &Utterance> {
        self.utterances
            .iter()
            .filter(|utterance| utterance.kind != UtteranceKind::Stale)
    }

    /// Marks all queued text as left over from an earlier turn.
    pub fn mark_stale(&mut self) {
        for utterance in &mut self.utterances {
            utterance.kind = UtteranceKind::Stale;
        }
    }

    /// Drops all queued text: the carrier discarded it.
    pub fn clear(&mut self) {
        self.utterances.clear();
    }

    /// Detaches queued text from its reply. It is still spoken, and its progress no longer counts for a reply.
    pub fn detach_reply(&mut self) {
        for utterance in &mut self.utterances {
            if utterance.kind == UtteranceKind::Reply {
                utterance.kind = UtteranceKind::Announcement;
            }
        }
    }

    /// Returns how many more bytes of the reply were heard, if the carrier discards the queue after `spoken`. Most carriers
    /// have reported the same piece as played before; others tell nothing else. Then only what is certain counts.
    pub fn heard_of_reply(&self, spoken: &str) -> usize {
        let mut left = letters(spoken);
        if left.is_empty() || self.reported.ends_with(&left) {
            return 0;
        }
        let mut bytes = 0;
        let mut is_found = false;
        for utterance in &self.utterances {
            let text = letters(&utterance.text);
            let played = letters(&utterance.text[..utterance.played]).len().min(text.len());
            let Some(heard) = heard_letters(&text, played, &left) else {
                continue;
            };
            if utterance.kind == UtteranceKind::Reply {
                bytes += end_of(&utterance.text, heard).saturating_sub(utterance.played);
            }
            is_found = true;
            let continues =
                heard == text.len() && left.starts_with(&text[played..]) && left.len() > text.len() - played;
            if !continues {
                break;
            }
            left.drain(..text.len() - played);
        }
        // The spoken form can differ from the text: it counts by its number of letters.
        match self.utterances.front() {
            Some(first) if !is_found && first.kind == UtteranceKind::Reply && first.played == 0 => {
                start_of_word(&first.text, end_of(&first.text, left.len()))
            }
            _ => bytes,
        }
    }

    /// Returns whether the carrier reports what it plays.
    pub fn has_reports(&self) -> bool {
        !self.reported.is_empty()
    }

    /// Applies the carrier's report that a piece of text was played.
    pub fn played(&mut self, piece: &str) -> Vec<PlaybackProgress> {
        let mut progress = Vec::new();
        let mut left = letters(piece);
        self.reported.extend(&left);
        let excess = self.reported.len().saturating_sub(MAX_REPORTED);
        self.reported.drain(..excess);
        while !left.is_empty() {
            let Some(first) = self.utterances.front_mut() else {
                break;
            };
            let rest = letters(first.rest());
            let common = common_prefix(&rest, &left);
            let can_be_cut = matches!(first.kind, UtteranceKind::Filler | UtteranceKind::Stale);
            // It was cut, or is never reported as sent: the piece belongs to its successor.
            if common < left.len() && common < rest.len() && can_be_cut {
                progress.push(PlaybackProgress {
                    kind: first.kind,
                    bytes: 0,
                    is_over: true,
                });
                self.utterances.pop_front();
                continue;
            }
            // The spoken form can differ from the text ("5 pm"): it counts by its number of letters.
            let count = left.len().min(rest.len());
            let bytes = end_of(first.rest(), count);
            first.played += bytes;
            left.drain(..count);
            let is_over = is_blank(first.rest());
            progress.push(PlaybackProgress {
                kind: first.kind,
                bytes,
                is_over,
            });
            // The last reply may still grow.
            if is_over && (first.kind != UtteranceKind::Reply || self.utterances.len() > 1) {
                self.utterances.pop_front();
            } else if is_over {
                break;
            }
        }
        progress
    }
}

/// Returns how many letters of `text` were heard, at least `played`, if the heard text ends or begins in it.
fn heard_letters(text: &[char], played: usize, heard: &[char]) -> Option<usize> {
    // From the last position on: the heard text can also tell what was reported before.
    let at = (0..=played).rev().find(|start| text[*start..].starts_with(heard));
    if let Some(start) = at {
        return Some(played.max(start + heard.len()));
    }
    let rest = &text[played..];
    // The heard text continues in the next utterance.
    if !rest.is_empty() && heard.starts_with(rest) {
        return Some(text.len());
    }
    // The heard text begins in an earlier utterance.
    let begins = (played + 1..=text.len())
        .rev()
        .find(|end| heard.ends_with(&text[..*end]))?;
    (begins >= MIN_COMMON.min(text.len())).then_some(begins)
}

/// Returns the letters and digits of a text, in lower case.
fn letters(text: &str) -> Vec<char> {
    text.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

fn common_prefix(a: &[char], b: &[char]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

fn is_blank(text: &str) -> bool {
    !text.chars().any(char::is_alphanumeric)
}

/// Returns the end of the first `count` letters, in bytes, including the punctuation and blanks that follow.
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

/// Returns the start of the word that contains the position, or the position itself between two words.
pub(crate) fn start_of_word(text: &str, at: usize) -> usize {
    let (before, after) = text.split_at(at);
    if !after.starts_with(char::is_alphanumeric) {
        return at;
    }
    before.trim_end_matches(char::is_alphanumeric).len()
}

/// Returns the text after `prefix`, compared by letters and digits only. `None`: it begins differently.
pub(crate) fn after_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let prefix = letters(prefix);
    letters(text)
        .starts_with(&prefix)
        .then(|| &text[end_of(text, prefix.len())..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(progress: &[PlaybackProgress]) -> usize {
        progress.iter().map(|progress| progress.bytes).sum()
    }

    #[test]
    fn joins_pieces_of_a_reply_and_plays_them_in_chunks() {
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
    fn counts_a_played_fragment() {
        let mut queue = PlaybackQueue::default();
        queue.push(UtteranceKind::Reply, "One, two, three, four.");
        assert_eq!(bytes(&queue.played("One, two,")), "One, two, ".len());
        queue.clear();
        assert!(queue.is_empty() && queue.played("three").is_empty());
    }

    #[test]
    fn skips_cut_filler_when_reply_is_played() {
        let mut queue = PlaybackQueue::default();
        queue.push(UtteranceKind::Filler, "Let me check that.");
        queue.push(UtteranceKind::Reply, "It is blue.");
        queue.played("Let me");
        let progress = queue.played("It is blue.");
        assert_eq!(
            progress.last().map(|progress| (progress.kind, progress.bytes)),
            Some((UtteranceKind::Reply, 11))
        );
        assert!(queue.is_empty());
    }

    #[test]
    fn counts_differing_spoken_form_by_its_length() {
        let mut queue = PlaybackQueue::default();
        queue.push(UtteranceKind::Reply, "It is 5 pm. Then we go.");
        let progress = [queue.played("It is five p.m."), queue.played("Then we go.")].concat();
        assert_eq!(bytes(&progress), "It is 5 pm. Then we go.".len());
    }

    #[test]
    fn plays_announcement_before_later_reply() {
        let mut queue = PlaybackQueue::default();
        queue.push(UtteranceKind::Announcement, "Hello.");
        queue.push(UtteranceKind::Reply, "How are you?");
        let progress = queue.played("Hello. How are you?");
        assert_eq!(
            progress
                .iter()
                .map(|progress| (progress.kind, progress.is_over))
                .collect::<Vec<_>>(),
            [(UtteranceKind::Announcement, true), (UtteranceKind::Reply, true)]
        );
    }

    #[test]
    fn counts_heard_part_of_interrupted_reply() {
        let heard = |played: &[&str], spoken: &str| {
            let mut queue = PlaybackQueue::default();
            queue.push(UtteranceKind::Filler, "Let me check that.");
            queue.push(UtteranceKind::Reply, "One two three. Four five six. Seven eight.");
            played.iter().for_each(|piece| drop(queue.played(piece)));
            queue.heard_of_reply(spoken)
        };
        let first = "One two three. ".len();
        for (played, spoken, expected) in [
            (&[][..], "One two three", first),
            (&[], "one two", "One two ".len()),
            (&[], "Let me check", 0),
            (&[], "Let me check that. One two", "One two ".len()),
            (&[], "", 0),
            (&["One two three."], "One two three.", 0),
            (&["One two three."], "Four five", "Four five ".len()),
            (&["One two three."], "One two three. Four five", "Four five ".len()),
            (&["One two three.", "Four"], "Four", 0),
            (&["One two three.", "Four"], "Four five six", "five six. ".len()),
            (&["One two three."], "Something else", 0),
        ] {
            assert_eq!(heard(played, spoken), expected, "{played:?} {spoken}");
        }
        let mut queue = PlaybackQueue::default();
        queue.push(UtteranceKind::Reply, "It is 5 pm. Then we go.");
        assert_eq!(queue.heard_of_reply("It is five"), "It is 5 pm. ".len());
        assert_eq!(queue.heard_of_reply("ß…"), 0);
    }

    #[test]
    fn accepts_any_played_text() {
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
