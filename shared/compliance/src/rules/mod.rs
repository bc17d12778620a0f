//! The rules, one file each.

pub mod consent;
pub mod content;
pub mod destination;
pub mod do_not_contact;
pub mod whatsapp_window;
