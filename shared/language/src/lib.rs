//! Rules about text that depend on the language: text that is spoken to a caller, sounds without words and
//! acknowledgements. Each language is one file in `languages/`. Pure functions: no I/O, no clock.

mod languages;
mod speech;
mod words;

pub use speech::{SpeechOptions, SpeechStream, SpokenForms, speakable, split::split_for_speech};
pub use words::{has_words, has_words_in, is_acknowledgement};
