//! Actions in chats of simulated carriers, and the contents that messages refer to.

use super::{chat::SimulatedChatAction, state::SimulatorState};

impl SimulatorState {
    /// Returns the actions in chats, oldest first.
    pub fn chat_actions(&self) -> Vec<SimulatedChatAction> {
        self.chats().lock().actions.clone()
    }

    pub(crate) fn record_chat_action(&self, vendor: &'static str, action: &'static str, message: &str) {
        let message = message.to_owned();
        let action = SimulatedChatAction {
            vendor,
            action,
            message,
        };
        self.chats().lock().actions.push(action);
    }

    /// Stores a content as a person sees it, under its id.
    pub(crate) fn add_content(&self, id: String, shown: String) {
        self.chats().lock().contents.insert(id, shown);
    }

    pub(crate) fn find_content(&self, id: &str) -> Option<String> {
        self.chats().lock().contents.get(id).cloned()
    }
}
