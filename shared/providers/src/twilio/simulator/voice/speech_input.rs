//! The caller's speech: one word after the other, then the pause that ends the turn.

use tokio::sync::oneshot;

/// Twilio sends a partial transcript every 200 to 300 ms.
const WORD_MS: u64 = 250;
/// The final transcript comes 0.35 to 0.9 s after the last partial one.
const END_OF_TURN_MS: u64 = 500;

pub struct SpeechInput {
    words: Vec<String>,
    started_at: u64,
    spoken: usize,
    /// The speech is not transcribed, because our message was not interruptible.
    pub is_lost: bool,
    done: Option<oneshot::Sender<bool>>,
}

pub enum SpeechProgress {
    /// The first word.
    Started(String),
    /// All words up to now.
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

    /// Returns the speech that is due.
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

    /// Completes the command with whether our side received the speech.
    pub fn close(&mut self, reached: bool) {
        if let Some(done) = self.done.take() {
            // The test may have dropped its end.
            let _ = done.send(reached);
        }
    }

    pub fn text(&self) -> String {
        self.words.join(" ")
    }
}
