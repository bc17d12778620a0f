//! The product's side: texts to be spoken, and their playback.

use std::{sync::Arc, time::Duration};

use butt_dial_domain::{call::primary_language, ports::voice::OutgoingFrame};
use butt_dial_language::SpeechOptions;
use rand::RngExt;
use tokio::time::Instant;

use super::{
    super::{
        phrases::{Phrases, PromptCatalog},
        playback::{PlaybackProgress, PlaybackQueue, UtteranceKind},
        speech::{frames, speakable},
    },
    Effects,
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
    /// The language of the phrases, if it is not the language of the call.
    phrases_language: Option<String>,
    /// The language of the caller, if it is not the language of the call.
    heard_language: Option<String>,
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
            phrases_language: None,
            heard_language: None,
            queue: PlaybackQueue::default(),
            last_filler: None,
            playback_over: Deadline::default(),
        }
    }

    pub fn phrases(&self) -> Arc<Phrases> {
        self.phrases.clone()
    }

    /// Chooses the phrases for the caller's language, which can differ from the language of the call.
    pub fn set_languages(&mut self, of_call: &str, of_caller: &str) {
        let differs = primary_language(of_call) != primary_language(of_caller);
        self.heard_language = differs.then(|| of_caller.to_owned());
        let found = self
            .heard_language
            .as_deref()
            .and_then(|language| self.catalog.find(language));
        self.phrases_language = self.heard_language.clone().filter(|_| found.is_some());
        self.phrases = found.unwrap_or_else(|| self.catalog.get(of_call));
    }

    /// Returns the language of the caller, if it is not the language of the call.
    pub fn heard_language(&self) -> Option<String> {
        self.heard_language.clone()
    }

    /// Returns the language of the phrases, if it is not the language of the call.
    pub fn phrases_language(&self) -> Option<String> {
        self.phrases_language.clone()
    }

    /// Speaks a piece of a reply. Empty text ends the carrier's utterance.
    pub fn reply(&mut self, text: &str, is_last: bool, language: Option<String>) -> Effects {
        if !text.is_empty() {
            self.queue.push(UtteranceKind::Reply, text);
        }
        let frames = frames(text);
        let count = frames.len();
        let numbered = frames.into_iter().zip(1..);
        let speak = |(frame, number): (&str, usize)| {
            speak(frame.to_owned(), is_last && number == count, false, language.clone())
        };
        numbered.map(speak).collect()
    }

    /// Speaks a prompt about the call. It is not part of the transcript.
    pub fn announce(&mut self, text: &str) -> Effect {
        // A phrase can contain the name of an agent.
        let text = speakable(
            text,
            &SpeechOptions::new(self.phrases_language.as_deref().unwrap_or_default()),
        );
        self.queue.push(UtteranceKind::Announcement, &text);
        speak(text, true, false, self.phrases_language())
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
        speak(text, true, true, self.phrases_language())
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

    /// Returns how many more bytes of the reply were heard, if the caller interrupted after `spoken`.
    pub fn heard_of_reply(&self, spoken: &str) -> usize {
        self.queue.heard_of_reply(spoken)
    }

    /// Returns whether the carrier reports what it plays.
    pub fn has_reports(&self) -> bool {
        self.queue.has_reports()
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

fn speak(text: String, is_last: bool, preemptible: bool, language: Option<String>) -> Effect {
    Effect::Send(OutgoingFrame::Speak {
        text,
        is_last,
        language,
        interruptible: None,
        preemptible,
    })
}
