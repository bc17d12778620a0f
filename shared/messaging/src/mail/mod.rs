//! E-mail as mail: the members of an event that tell of a received mail, its text, and the links to unsubscribe.

mod facts;
pub(crate) mod footer;
mod text;
mod unsubscribe;

pub(crate) use facts::{add_content, add_facts, complete};
pub(crate) use unsubscribe::UnsubscribeToken;
