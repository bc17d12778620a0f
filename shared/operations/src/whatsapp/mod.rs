//! WhatsApp besides messages with text and files.

pub mod get_group_members;
pub mod whatsapp_action;
