//! A person who speaks: one word after the other, and a pause at the end that tells Twilio that they have finished.

use tokio::sync::oneshot;

/// Twilio tells a partial transcript every 200 to 300 ms.
const WORD_MS: u64 = 250;
/// The last transcript comes 0.35 to 0.9 s after the last partial one.
const END_OF_TURN_MS: u64 = 500;

pub struct SpeechInput {
    words: Vec<String>,
    started_at: u64,
    spoken: usize,
    /// Nobody is event: we spoke, and were not to be interrupted.
    pub is_lost: bool,
    done: Option<oneshot::Sender<bool>>,
}

pub enum SpeechProgress {
    /// The first word.
    Started(String),
    /// Everything up to now.
    Continued(String),
    Ended(String),
}

impl SpeechInput {
    pub fn new(text: &str, started_at: u64, done: oneshot::Sender<bool>) -> Self {
        Self {
            words: text.split_whitespace().map(str::to_owned).collect(),
            started_at,
            spoken: 0,
            is_lost: false,
            done: Some(done),
        }
    }

    pub fn due(&self) -> u64 {
        let last_word = self.started_at + self.words.len().saturating_sub(1) as u64 * WORD_MS;
        if self.spoken < self.words.len() {
            self.started_at + self.spoken as u64 * WORD_MS
        } else {
            last_word + END_OF_TURN_MS
        }
    }

    /// What is said when it is due.
    pub fn speak(&mut self) -> SpeechProgress {
        if self.spoken >= self.words.len() {
            return SpeechProgress::Ended(self.words.join(" "));
        }
        self.spoken += 1;
        let so_far = self.words[..self.spoken].join(" ");
        if self.spoken == 1 {
            SpeechProgress::Started(so_far)
        } else {
            SpeechProgress::Continued(so_far)
        }
    }

    /// Tells whoever waits whether it reached us.
    pub fn close(&mut self, reached: bool) {
        if let Some(done) = self.done.take() {
            // Whoever waited may have given up.
            let _ = done.send(reached);
        }
    }

    pub fn text(&self) -> String {
        self.words.join(" ")
    }
}
