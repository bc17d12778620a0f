//! One-time codes, trust in contacts, and facts about numbers.

pub mod check_trust;
pub mod grant_trust;
pub mod revoke_trust;
pub mod send_otp;
pub mod validate_number;
pub mod verify_otp;
