//! Chats of simulated carriers besides messages: actions, and contents that messages refer to.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// An action in a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulatedChatAction {
    pub vendor: &'static str,
    /// `typing` or `mark_read`.
    pub action: &'static str,
    /// The carrier's id of the message.
    pub message: String,
}

#[derive(Default)]
pub struct Chats(Mutex<Chat>);

#[derive(Default)]
pub struct Chat {
    pub actions: Vec<SimulatedChatAction>,
    /// As a person sees them, by id.
    pub contents: HashMap<String, String>,
}

impl Chats {
    pub fn lock(&self) -> MutexGuard<'_, Chat> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
