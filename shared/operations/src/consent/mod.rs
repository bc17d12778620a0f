//! Consent of contacts, as agents record and read it.

pub mod check_consent;
pub mod record_consent;
pub mod revoke_consent;
