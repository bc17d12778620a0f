//! Text for ears: removes everything from an agent's answer that a voice must not read. Four stages pass characters on: each
//! holds back only what it can't decide yet, so answers are spoken while they are still written.

mod blocks;
mod characters;
mod entities;
mod forms;
mod inline;
mod json;
mod lines;
mod options;
mod output;
mod regions;
pub mod split;
mod tags;
#[cfg(test)]
mod tests;

use blocks::Blocks;
use characters::Characters;
use regions::Regions;

pub(crate) use characters::is_invisible;
pub use options::{SpeechOptions, SpokenForms};

/// Returns the words of `text` that are meant to be heard: without markup, tags, reasoning, JSON, emoji and invisible
/// characters. Empty if there are none.
pub fn speakable(text: &str, options: &SpeechOptions) -> String {
    let mut stream = SpeechStream::new(options);
    let mut spoken = stream.push(text);
    spoken.push_str(&stream.finish());
    spoken
}

/// Makes a text speakable while it arrives. The results of all calls, joined, are the same as that of [`speakable`] for the
/// whole text, however it is divided. The only exception: reasoning that ends with `</think>` and has no beginning can't be
/// withdrawn after it was returned.
pub struct SpeechStream {
    characters: Characters,
    regions: Regions,
    blocks: Blocks,
}

impl SpeechStream {
    pub fn new(options: &SpeechOptions) -> Self {
        Self {
            characters: Characters::default(),
            regions: Regions::default(),
            blocks: Blocks::new(options.clone()),
        }
    }

    /// Adds text. Returns what can be spoken by now, often nothing: whole sentences, with the space before them.
    pub fn push(&mut self, chunk: &str) -> String {
        let (mut clean, mut text) = (String::new(), String::new());
        self.characters.push(chunk, &mut clean);
        self.regions.push(&clean, &mut text);
        self.blocks.push(&text);
        self.blocks.take()
    }

    /// Returns the rest.
    pub fn finish(mut self) -> String {
        let (mut clean, mut text) = (String::new(), String::new());
        self.characters.finish(&mut clean);
        self.regions.push(&clean, &mut text);
        self.regions.finish(&mut text);
        self.blocks.push(&text);
        self.blocks.finish();
        self.blocks.take()
    }
}
