//! Our speech and its timing: tokens form clauses, clauses are spoken in order, word by word. The caller supplies the
//! time in call milliseconds; no function here waits.

use std::{collections::VecDeque, mem};

use crate::simulator::calls::Sound;

/// A calm voice: 165 words per minute.
pub const WORD_MS: u64 = 364;
/// From the first token to the first sound.
const LATENCY_MS: u64 = 300;
/// From the interruption of a preemptible message to its replacement.
const PREEMPTION_MS: u64 = 2_000;
const SOUND_MS: u64 = 3_000;
const KEY_MS: u64 = 200;

/// The kinds of input that interrupt a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interruptible {
    pub by_speech: bool,
    pub by_keys: bool,
}

impl Interruptible {
    pub const ANY: Self = Self::new(true, true);
    pub const NONE: Self = Self::new(false, false);

    const fn new(by_speech: bool, by_keys: bool) -> Self {
        Self { by_speech, by_keys }
    }

    /// Parses `none`, `dtmf`, `speech`, `any` or a boolean.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "any" | "true" => Some(Self::ANY),
            "none" | "false" => Some(Self::NONE),
            "speech" => Some(Self::new(true, false)),
            "dtmf" => Some(Self::new(false, true)),
            _ => None,
        }
    }
}

/// How a message is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpeechOptions {
    pub interruptible: Interruptible,
    pub preemptible: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Our speech starts or stops.
    Speaking(bool),
    /// A sound was heard completely.
    Heard(Sound),
    /// A clause ended, complete or interrupted.
    Played(String),
}

enum Content {
    Clause(String),
    File(String),
    Keys(String),
}

struct Piece {
    content: Content,
    options: SpeechOptions,
}

struct Playing {
    piece: Piece,
    started_at: u64,
    /// The sounds, each with its end offset in the clause.
    units: Vec<(Sound, usize)>,
    unit_ms: u64,
    next: usize,
}

#[derive(Default)]
pub struct Speech {
    queue: VecDeque<Piece>,
    /// The message that still receives tokens, and its incomplete clause.
    open: Option<SpeechOptions>,
    buffer: String,
    playing: Option<Playing>,
    ready_at: u64,
    began_at: Option<u64>,
}

impl Speech {
    /// Returns when our current speech started.
    pub fn began_at(&self) -> Option<u64> {
        self.began_at
    }

    pub fn interruptible(&self) -> Interruptible {
        let now = self.playing.as_ref().map(|playing| &playing.piece);
        now.or(self.queue.front())
            .map_or(Interruptible::ANY, |piece| piece.options.interruptible)
    }

    /// Returns the time of the next event.
    pub fn due(&self) -> Option<u64> {
        match &self.playing {
            Some(playing) => Some(playing.started_at + (playing.next as u64 + 1) * playing.unit_ms),
            None => self.queue.front().map(|_| self.ready_at),
        }
    }

    /// Returns all events up to now, with their times.
    pub fn advance(&mut self, now: u64) -> Vec<(u64, Event)> {
        let mut events = Vec::new();
        while let Some(at) = self.due().filter(|at| *at <= now) {
            let Some(mut playing) = self.playing.take() else {
                self.begin(at, &mut events);
                continue;
            };
            if let Some((sound, _)) = playing.units.get(playing.next) {
                events.push((at, Event::Heard(sound.clone())));
            }
            playing.next += 1;
            if playing.next < playing.units.len() {
                self.playing = Some(playing);
                continue;
            }
            events.extend(played(&playing.piece.content).map(|played| (at, played)));
            self.ready_at = at;
            if self.queue.is_empty() {
                self.began_at = None;
                events.push((at, Event::Speaking(false)));
            }
        }
        events
    }

    fn begin(&mut self, at: u64, events: &mut Vec<(u64, Event)>) {
        let Some(piece) = self.queue.pop_front() else { return };
        if self.began_at.is_none() {
            self.began_at = Some(at);
            events.push((at, Event::Speaking(true)));
        }
        let (units, unit_ms) = match &piece.content {
            Content::Clause(text) => (words(text), WORD_MS),
            Content::File(url) => (vec![(Sound::File(url.clone()), 0)], SOUND_MS),
            Content::Keys(keys) => (vec![(Sound::Keys(keys.clone()), 0)], KEY_MS * keys.len() as u64),
        };
        self.playing = Some(Playing {
            piece,
            started_at: at,
            units,
            unit_ms,
            next: 0,
        });
    }

    /// Adds a token. The first token of a message preempts preemptible speech.
    pub fn token(&mut self, now: u64, token: &str, is_last: bool, options: SpeechOptions) -> Vec<(u64, Event)> {
        let mut events = Vec::new();
        let options = match self.open {
            Some(open) => open,
            None => {
                events = self.preempt(now);
                options
            }
        };
        self.open = Some(options);
        self.buffer.push_str(token);
        while let Some(end) = end_of_clause(&self.buffer) {
            let rest = self.buffer.split_off(end);
            let clause = mem::replace(&mut self.buffer, rest);
            self.queue_clause(now, &clause, options);
        }
        if is_last {
            let rest = mem::take(&mut self.buffer);
            self.queue_clause(now, &rest, options);
            self.open = None;
        }
        events
    }

    pub fn file(&mut self, now: u64, url: &str, times: u64, options: SpeechOptions) -> Vec<(u64, Event)> {
        let events = self.preempt(now);
        for _ in 0..times.clamp(1, 1_000) {
            self.push(now, Content::File(url.to_owned()), options);
        }
        events
    }

    pub fn keys(&mut self, now: u64, keys: &str, options: SpeechOptions) {
        self.push(now, Content::Keys(keys.to_owned()), options);
    }

    /// Discards all speech. Returns the heard part of the interrupted clause; `None` if we were silent.
    pub fn clear(&mut self) -> Option<String> {
        self.queue.clear();
        self.open = None;
        self.buffer.clear();
        let was_speaking = self.began_at.take().is_some();
        let fragment = self
            .playing
            .take()
            .map(|playing| fragment(&playing))
            .unwrap_or_default();
        was_speaking.then_some(fragment)
    }

    fn preempt(&mut self, now: u64) -> Vec<(u64, Event)> {
        let mut events = Vec::new();
        self.queue.retain(|piece| !piece.options.preemptible);
        if let Some(playing) = self.playing.take_if(|playing| playing.piece.options.preemptible) {
            let heard = fragment(&playing);
            if !heard.is_empty() {
                events.push((now, Event::Played(heard)));
            }
            self.ready_at = now + PREEMPTION_MS;
            if self.queue.is_empty() {
                self.began_at = None;
                events.push((now, Event::Speaking(false)));
            }
        }
        events
    }

    fn queue_clause(&mut self, now: u64, clause: &str, options: SpeechOptions) {
        let clause = clause.trim();
        if !clause.is_empty() {
            self.push(now, Content::Clause(clause.to_owned()), options);
        }
    }

    fn push(&mut self, now: u64, content: Content, options: SpeechOptions) {
        if self.queue.is_empty() && self.playing.is_none() {
            self.ready_at = self.ready_at.max(now + LATENCY_MS);
        }
        self.queue.push_back(Piece { content, options });
    }
}

fn played(content: &Content) -> Option<Event> {
    match content {
        Content::Clause(text) | Content::Keys(text) => Some(Event::Played(text.clone())),
        Content::File(_) => None,
    }
}

/// Returns the clause up to the last heard word.
fn fragment(playing: &Playing) -> String {
    let heard = playing.next.checked_sub(1).and_then(|last| playing.units.get(last));
    match (&playing.piece.content, heard) {
        (Content::Clause(text), Some((_, end))) => text[..*end].to_owned(),
        _ => String::new(),
    }
}

fn words(clause: &str) -> Vec<(Sound, usize)> {
    let words = clause.split_whitespace().map(|word| {
        // The word's offset in the clause.
        let end = word.as_ptr().addr() - clause.as_ptr().addr() + word.len();
        (Sound::Word(word.to_owned()), end)
    });
    words.collect()
}

/// Returns the end of a clause: after punctuation that is followed by a space.
fn end_of_clause(text: &str) -> Option<usize> {
    let mut signs = text
        .char_indices()
        .filter(|(_, c)| matches!(c, '.' | '!' | '?' | ';' | ':' | ',' | '\n'));
    signs
        .find(|(at, sign)| *sign == '\n' || text[at + sign.len_utf8()..].starts_with(char::is_whitespace))
        .map(|(at, sign)| at + sign.len_utf8())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: SpeechOptions = SpeechOptions {
        interruptible: Interruptible::ANY,
        preemptible: false,
    };

    fn heard(events: &[(u64, Event)]) -> Vec<String> {
        let words = events.iter().filter_map(|(_, event)| match event {
            Event::Heard(Sound::Word(word)) => Some(word.clone()),
            _ => None,
        });
        words.collect()
    }

    #[test]
    fn speaks_tokens_as_clauses_and_words() {
        let mut speech = Speech::default();
        assert!(speech.due().is_none());
        for token in ["Hel", "lo, it is", " 3.5", " o'clock.", " Bye"] {
            assert!(speech.token(1_000, token, false, PLAIN).is_empty());
        }
        speech.token(1_000, " now", true, PLAIN);
        assert_eq!(speech.due(), Some(1_300));
        let events = speech.advance(1_300 + 7 * WORD_MS);
        assert_eq!(heard(&events), ["Hello,", "it", "is", "3.5", "o'clock.", "Bye", "now"]);
        let others: Vec<_> = events
            .into_iter()
            .filter(|(_, event)| !matches!(event, Event::Heard(_)))
            .collect();
        let played = |words: u64, text: &str| (1_300 + words * WORD_MS, Event::Played(text.to_owned()));
        assert_eq!(
            others,
            [
                (1_300, Event::Speaking(true)),
                played(1, "Hello,"),
                played(5, "it is 3.5 o'clock."),
                played(7, "Bye now"),
                (1_300 + 7 * WORD_MS, Event::Speaking(false)),
            ]
        );
    }

    #[test]
    fn clear_discards_queue_and_returns_heard_fragment() {
        let mut speech = Speech::default();
        speech.token(0, "One two three. Four", true, PLAIN);
        let events = speech.advance(LATENCY_MS + 2 * WORD_MS + 10);
        assert_eq!(heard(&events), ["One", "two"]);
        assert_eq!(speech.clear().as_deref(), Some("One two"));
        assert_eq!((speech.due(), speech.clear()), (None, None));
    }

    #[test]
    fn next_message_preempts_preemptible_speech() {
        let mut speech = Speech::default();
        let filler = SpeechOptions {
            preemptible: true,
            ..PLAIN
        };
        speech.token(0, "One moment please", true, filler);
        speech.advance(LATENCY_MS + WORD_MS);
        let events = speech.token(700, "Here", false, PLAIN);
        assert_eq!(
            events,
            [(700, Event::Played("One".into())), (700, Event::Speaking(false))]
        );
        speech.token(700, " it is", true, PLAIN);
        assert_eq!(speech.due(), Some(2_700));
        assert_eq!(heard(&speech.advance(9_000)), ["Here", "it", "is"]);
    }
}
