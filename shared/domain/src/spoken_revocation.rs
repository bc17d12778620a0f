//! A revocation of consent in the words of a call.

use serde::{Deserialize, Serialize};

/// A revocation of consent that was heard in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpokenRevocation {
    pub certainty: RevocationCertainty,
    /// The number is not that of the person who gave consent.
    pub wrong_number: bool,
}

/// How certain a revocation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RevocationCertainty {
    /// A human should look. It revokes nothing.
    Likely,
    Clear,
}

impl SpokenRevocation {
    /// Joins what was heard at two times.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            certainty: self.certainty.max(other.certainty),
            wrong_number: self.wrong_number || other.wrong_number,
        }
    }

    pub fn is_clear(self) -> bool {
        self.certainty == RevocationCertainty::Clear
    }
}
