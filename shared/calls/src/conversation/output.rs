//! The product's side: texts to be spoken, and their playback.

use std::{sync::Arc, time::Duration};

use butt_dial_domain::ports::voice::OutgoingFrame;
use rand::RngExt;
use tokio::time::Instant;

use super::{
    super::{
        phrases::{Phrases, PromptCatalog},
        playback::{PlaybackProgress, PlaybackQueue, UtteranceKind},
    },
    effect::Effect,
    timers::Deadline,
};

/// Slow speech.
const PER_CHARACTER: Duration = Duration::from_millis(90);
/// Numbers and pauses take longer than their characters.
const PLAYBACK_SLACK: Duration = Duration::from_secs(5);

pub(super) struct Output {
    catalog: Arc<PromptCatalog>,
    phrases: Arc<Phrases>,
    queue: PlaybackQueue,
    /// Never spoken twice in a row.
    last_filler: Option<usize>,
    /// Everything queued is presumed played by then: carriers may report less than they play, or play less than they
    /// were sent.
    playback_over: Deadline,
}

impl Output {
    pub fn new(catalog: &Arc<PromptCatalog>, language: &str) -> Self {
        Self {
            phrases: catalog.get(language),
            catalog: catalog.clone(),
            queue: PlaybackQueue::default(),
            last_filler: None,
            playback_over: Deadline::default(),
        }
    }

    pub fn phrases(&self) -> Arc<Phrases> {
        self.phrases.clone()
    }

    pub fn set_language(&mut self, language: &str) -> Effect {
        self.phrases = self.catalog.get(language);
        Effect::Send(OutgoingFrame::Language(language.to_owned()))
    }

    /// Speaks a piece of a reply. Empty text ends the carrier's utterance.
    pub fn reply(&mut self, text: String, is_last: bool) -> Effect {
        if !text.is_empty() {
            self.queue.push(UtteranceKind::Reply, &text);
        }
        speak(text, is_last, false)
    }

    /// Speaks a prompt about the call. It is not part of the transcript.
    pub fn announce(&mut self, text: &str) -> Effect {
        self.queue.push(UtteranceKind::Announcement, text);
        speak(text.to_owned(), true, false)
    }

    pub fn fill_pause(&mut self, now: Instant) -> Effect {
        let fillers = &self.phrases.fillers;
        let mut choice = rand::rng().random_range(0..fillers.len());
        if Some(choice) == self.last_filler {
            choice = (choice + 1) % fillers.len();
        }
        let text = fillers[choice].clone();
        self.last_filler = Some(choice);
        self.queue.push(UtteranceKind::Filler, &text);
        self.await_playback(now);
        speak(text, true, true)
    }

    /// Sends tones, after the text that is queued before them.
    pub fn send_digits(&mut self, digits: &str) -> Effect {
        self.queue.push(UtteranceKind::Digits, digits);
        Effect::Send(OutgoingFrame::Digits(digits.to_owned()))
    }

    pub fn played(&mut self, text: &str) -> Played {
        let progress = self.queue.played(text);
        let is_reply = |progress: &&PlaybackProgress| progress.kind == UtteranceKind::Reply;
        Played {
            reply_bytes: progress.iter().filter(is_reply).map(|progress| progress.bytes).sum(),
            is_reply_over: progress.iter().filter(is_reply).any(|progress| progress.is_over),
        }
    }

    /// The carrier has discarded everything that was queued.
    pub fn clear(&mut self) {
        self.queue.clear();
    }

    /// A new turn begins: nothing of the previous one is awaited.
    pub fn mark_stale(&mut self) {
        self.queue.mark_stale();
    }

    /// The queued reply is finished as far as it was played; another one follows.
    pub fn detach_reply(&mut self) {
        self.queue.detach_reply();
    }

    /// Returns true, once, if everything queued is presumed played.
    pub fn is_playback_over(&mut self, now: Instant) -> bool {
        let is_over = self.playback_over.take_due(now);
        if is_over {
            self.queue.mark_stale();
        }
        is_over
    }

    pub fn await_playback(&mut self, now: Instant) {
        let deadline = now + 2 * self.time_to_speak() + PLAYBACK_SLACK;
        self.playback_over.set_if(!self.is_idle(), deadline);
    }

    /// All speech of the current turn was played.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// Maximum duration of the queued speech.
    pub fn time_to_speak(&self) -> Duration {
        PER_CHARACTER * self.queue.unplayed_characters()
    }

    pub fn clear_deadline(&mut self) {
        self.playback_over.clear();
    }

    pub fn deadline(&self) -> Deadline {
        self.playback_over
    }
}

/// Playback of a reply.
pub(super) struct Played {
    pub reply_bytes: usize,
    pub is_reply_over: bool,
}

fn speak(text: String, is_last: bool, preemptible: bool) -> Effect {
    Effect::Send(OutgoingFrame::Speak {
        text,
        is_last,
        language: None,
        interruptible: None,
        preemptible,
    })
}

/// Removes control characters, which speech synthesis cannot speak.
pub(super) fn speakable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\r' | '\t' => ' ',
            c => c,
        })
        .filter(|c| !c.is_control())
        .collect()
}
