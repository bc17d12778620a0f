//! The voice notes of simulated people: their words, by the vendors' ids of the files.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

/// Begins an entry of `media` that is a voice note with these words.
const PREFIX: &str = "voice:";
/// The newest recordings are kept.
const MAX_RECORDINGS: usize = 1_000;

/// The words of the newest recordings, by the vendors' ids.
#[derive(Default)]
pub struct Recordings(Mutex<VecDeque<(String, String)>>);

/// Returns the words of an entry of `media` that is a voice note.
pub fn said(media: &str) -> Option<&str> {
    media.strip_prefix(PREFIX)
}

impl Recordings {
    /// Keeps the words of a voice note under the id of its file. A picture has none.
    pub fn keep(&self, id: &str, media: &str) {
        let Some(words) = said(media) else { return };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == MAX_RECORDINGS {
            kept.pop_front();
        }
        kept.push_back((id.to_owned(), words.to_owned()));
    }

    pub fn find(&self, path: &str) -> Option<String> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().find(|(id, _)| path.split('/').any(|part| part == id));
        found.map(|(_, words)| words.clone())
    }
}
