//! The purpose of a message or a call. Laws about hours, consent and frequency depend on it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a message is sent. Agents declare it; otherwise it is inferred.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", ascii_case_insensitive)]
pub enum SendPurpose {
    /// Something that the person has ordered, booked or asked for: a receipt, a delivery, an appointment.
    Transactional,
    /// News that the person expects, without an offer.
    Informational,
    /// An offer, advertising, or an invitation to buy.
    Marketing,
    /// A one-time code that the person is waiting for.
    Otp,
    /// A danger to life, health or property.
    Emergency,
    /// The answer to a message that the person has written within 24 hours.
    ConversationalReply,
    /// Not declared, and no answer.
    #[default]
    #[schemars(skip)]
    Undeclared,
}

impl SendPurpose {
    /// The purposes that a request can declare.
    pub const DECLARABLE: [Self; 6] = [
        Self::Transactional,
        Self::Informational,
        Self::Marketing,
        Self::Otp,
        Self::Emergency,
        Self::ConversationalReply,
    ];

    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Parses a purpose that a request declares, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        let purpose = text.trim().parse().ok()?;
        Self::DECLARABLE.contains(&purpose).then_some(purpose)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_declarable_purposes_in_any_case() {
        for purpose in SendPurpose::DECLARABLE {
            assert_eq!(SendPurpose::parse(&purpose.as_str().to_uppercase()), Some(purpose));
        }
        for text in ["", "undeclared", "advert"] {
            assert_eq!(SendPurpose::parse(text), None, "{text}");
        }
    }
}
