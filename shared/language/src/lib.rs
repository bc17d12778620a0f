//! Rules about text that depend on the language: text that is spoken to a caller, sounds without words, acknowledgements,
//! keywords that end or give consent, revocations in own words, card data and objections in recorded calls, and
//! instructions to the agent that reads a text. Each language is one file in `languages/`. Pure functions:
//! no I/O, no clock.

mod codes;
pub mod instruction;
mod keywords;
mod languages;
mod long_text;
mod phrases;
mod recording;
mod revocation;
mod speech;
mod words;

pub use codes::{one_time_code, spoken_one_time_code};
pub use keywords::{Keyword, keyword, mail_keyword};
pub use long_text::divide;
pub use recording::{has_card_number, mentions_card_data, objects_to_recording};
pub use revocation::{Certainty, Revocation, mail_revocation, revocation};
pub use speech::{SpeechOptions, SpeechStream, SpokenForms, speakable, split::split_for_speech};
pub use words::{has_words, has_words_in, is_acknowledgement};
