//! Compliance: checks before a send, refusals of the past, and the rules.

pub mod choices;
pub mod consent_ledger;
pub mod decide_approval;
pub mod do_not_contact;
pub mod list_approvals;
pub mod list_refusals;
pub mod list_rules;
pub mod preflight;
pub mod replay_rules;

use butt_dial_domain::{Code, Failure, SendPurpose};

/// Returns the purpose that a request declares.
pub fn parse_purpose(text: Option<&str>) -> Result<Option<SendPurpose>, Failure> {
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
        return Ok(None);
    };
    let purpose = SendPurpose::parse(text).ok_or_else(|| {
        Failure::new(
            Code::InvalidArgument,
            "purpose must be one of transactional, informational, marketing, otp, emergency, conversational_reply",
        )
        .hint("name the purpose that applies, or leave it out")
    })?;
    Ok(Some(purpose))
}
