//! Patterns of words in several languages, which one automaton finds in one reading of a text. Subjects such as revocations
//! have their own patterns and read texts in their own way.

pub(crate) mod matcher;
pub(crate) mod pattern;
pub(crate) mod word;
