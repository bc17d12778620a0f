//! The audit logs: one per organization, and one of the installation. Administrative changes and outcomes of sends are entries. The
//! sealer gives each a place in a hash chain and in a Merkle tree (RFC 6962), and its roots are signed as checkpoints of C2SP, so that
//! outsiders verify them with their own programs. `docs/AUDIT.md` describes the format. Entries must contain no content, no secret
//! and no whole address.

pub mod canonical;
pub mod entry;
mod export;
pub mod hash;
mod lag;
pub mod note;
mod sealer;
mod service;
#[cfg(test)]
mod tests;
pub mod tree;
mod verify;

pub use butt_dial_store::{AuditFilter, AuditRow, INSTALLATION_LOG};
pub use export::{Export, MAX_EXPORT};
pub use service::{Audit, SignedCheckpoint, Signing};
pub use verify::{Broken, Verification};
