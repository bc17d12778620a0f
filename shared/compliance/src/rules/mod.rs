//! The evaluators of rules, one file each. An evaluator returns what it observed, or `None` for a message that complies.

use std::borrow::Cow;

use butt_dial_domain::Code;

pub mod always;
pub mod consent_required;
pub mod consent_revoked;
pub mod content;
pub mod destination;
pub mod disclosure;
pub mod do_not_contact;
pub mod emergency_number;
pub mod frequency;
pub mod postal_address;
pub mod quiet_hours;
pub mod whatsapp_window;

/// The reason why a rule fired. Contains no address and no body.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The code of the refusal, if the rule blocks.
    pub code: Code,
    /// The fact, as a sentence without its full stop.
    pub fact: Cow<'static, str>,
    /// The change that would make the message comply.
    pub remedy: Cow<'static, str>,
}

impl Observation {
    pub fn new(code: Code, fact: impl Into<Cow<'static, str>>, remedy: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            fact: fact.into(),
            remedy: remedy.into(),
        }
    }
}
