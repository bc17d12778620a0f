//! The detectors: pure functions of small facts, one file each. Their tests are synthetic traces: one that must trip the detector, and
//! benign ones that must not.

pub mod bot_loop;
pub mod call_burst;
pub mod code_guessing;
pub mod complaints;
pub mod failure_rate;
pub mod new_country;
pub mod opt_outs;
pub mod premium_prefix;
pub mod shared_contact;
pub mod sign_in_guessing;
pub mod sms_pumping;
pub mod spend_rate;
pub mod token_guessing;
pub mod token_rotation;
pub mod volume_spike;
