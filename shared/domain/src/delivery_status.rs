//! The delivery status of an outbound message, as carriers report it.

use serde::{Deserialize, Serialize};

/// The delivery status of a message. Receipts arrive in any order; a lower `rank` never replaces a higher one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, strum::EnumString, strum::IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum DeliveryStatus {
    Accepted,
    Queued,
    Sending,
    Sent,
    Delivered,
    /// Rejected by the network or the recipient. Charged.
    Undelivered,
    /// Not sent to the network.
    Failed,
    Read,
}

impl DeliveryStatus {
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    /// Returns the rank. A receipt is applied only when its rank is higher than that of every earlier receipt: a delivered
    /// message can become read, but not queued or undelivered.
    pub fn rank(self) -> i64 {
        match self {
            Self::Accepted => 0,
            Self::Queued => 1,
            Self::Sending => 2,
            Self::Sent => 3,
            Self::Delivered | Self::Undelivered | Self::Failed => 4,
            Self::Read => 5,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_wire_strings_and_ranks_of_statuses() {
        for (status, text, rank) in [
            (DeliveryStatus::Accepted, "accepted", 0),
            (DeliveryStatus::Queued, "queued", 1),
            (DeliveryStatus::Sending, "sending", 2),
            (DeliveryStatus::Sent, "sent", 3),
            (DeliveryStatus::Delivered, "delivered", 4),
            (DeliveryStatus::Undelivered, "undelivered", 4),
            (DeliveryStatus::Failed, "failed", 4),
            (DeliveryStatus::Read, "read", 5),
        ] {
            assert_eq!((status.as_str(), status.rank()), (text, rank));
            assert_eq!(DeliveryStatus::parse(text), Some(status));
            assert_eq!(serde_json::to_value(status).unwrap(), text);
        }
        assert_eq!(DeliveryStatus::parse("lost"), None);
    }
}
