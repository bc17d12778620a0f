//! Identifiers: text with a prefix for the kind of entity, which makes a wrong id easy to spot.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Timestamp;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            pub const PREFIX: &'static str = $prefix;

            /// Generates an id that sorts by time, so that indexes grow at one end.
            pub fn generate() -> Self {
                Self(format!("{}{}", $prefix, Uuid::now_v7().simple()))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }

            pub fn into_string(self) -> String {
                self.0
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// An organization: the tenant. Every other entity belongs to exactly one.
    OrgId, "org_"
);
id!(
    /// An agent. Hosts may supply their own ids (the Python client sends UUIDs), so the prefix is not guaranteed.
    AgentId, "agt_"
);
id!(
    /// An outbound message on any channel.
    MessageId, "msg_"
);
id!(
    /// A telephone call in either direction. For an outbound call it is also the id of its message.
    CallId, "call_"
);
id!(
    /// The public id of a token; never the secret.
    TokenId, "tok_"
);
id!(
    /// A sender address of an agent on one channel.
    ChannelId, "chn_"
);

id!(
    /// A one-time code that was sent to a person, and waits for its confirmation.
    ChallengeId, "chal_"
);
id!(
    /// The credentials of an organization at a vendor. The installation's own have no id.
    ProviderAccountId, "pva_"
);
id!(
    /// The order of a sender: a number to buy or an address to adopt.
    SenderOrderId, "ord_"
);
id!(
    /// The registration of US numbers at a vendor: a brand, a campaign or a toll-free verification.
    NumberRegistrationId, "reg_"
);

/// Separates the host's id from the organization in the id of an agent. No id of a host contains it.
const ORG_SEPARATOR: char = '~';

impl AgentId {
    /// Builds the id of an agent with an id that another organization uses already. Hosts choose ids without knowledge of other
    /// organizations, and none may learn which ids these use.
    pub fn in_org(host_id: &str, org: &OrgId) -> Self {
        Self(format!("{host_id}{ORG_SEPARATOR}{org}"))
    }

    /// Returns the organization, if the id names it.
    pub fn named_org(&self) -> Option<OrgId> {
        self.0.split_once(ORG_SEPARATOR).map(|(_, org)| OrgId::from(org))
    }

    /// Returns the id that the organization uses. Everything that leaves the program shows it, and no other.
    pub fn host_id(&self) -> &str {
        self.0.split(ORG_SEPARATOR).next().unwrap_or_default()
    }
}

/// Generates the unique part of an id without a dedicated type. Sorts by time.
pub fn unique() -> String {
    Uuid::now_v7().simple().to_string()
}

/// Returns a text before which the ids sort that were generated before this time.
pub fn earliest(prefix: &str, at: Timestamp) -> String {
    let millis = at.timestamp_millis().clamp(0, (1 << 48) - 1);
    format!("{prefix}{millis:012x}")
}

/// Generates 122 random bits as text, for ids that must not be guessable.
pub fn random() -> String {
    Uuid::new_v4().simple().to_string()
}

/// A process among its replicas. Generated at every start and never reused, because ids of requests to clients contain
/// it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReplicaId(String);

impl ReplicaId {
    /// Generates eight characters without a dot: it is part of every session id of the legacy transport.
    pub fn generate() -> Self {
        let random = Uuid::new_v4().simple().to_string();
        Self(random[..8].to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ReplicaId {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The longest id of a task, in bytes.
const MAX_TASK_ID: usize = 64;

/// Checks that a text may be the id of a task: safe in a path and in the key of a budget.
pub fn is_valid_task_id(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
    (1..=MAX_TASK_ID).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// The longest id of a host, in bytes.
const MAX_HOST_ID: usize = 64;

/// Checks that a host may use the text as an id: at most 64 bytes, and safe in a path, a subject and a key.
pub fn is_valid_host_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_HOST_ID
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_prefix_and_sort_by_time() {
        let (a, b) = (MessageId::generate(), MessageId::generate());
        assert!(a.as_str().starts_with("msg_"));
        assert!(a < b);
    }

    #[test]
    fn earliest_id_separates_older_from_newer_ones() {
        let (id, now) = (MessageId::generate(), crate::Clock::System.now());
        let earliest = |seconds| earliest(MessageId::PREFIX, now + chrono::TimeDelta::seconds(seconds));
        assert!(id.as_str() < earliest(1).as_str());
        assert!(id.as_str() > earliest(-1).as_str());
    }

    #[test]
    fn shows_id_of_host_without_organization() {
        let org = OrgId::from("org_a");
        assert_eq!(AgentId::in_org("ada-1_x", &org).host_id(), "ada-1_x");
        assert_eq!(AgentId::in_org("ada", &org).named_org(), Some(org.clone()));
        assert_eq!(AgentId::from("ada").host_id(), "ada");
        assert_eq!(AgentId::from("ada").named_org(), None);
        assert!(!is_valid_host_id(AgentId::in_org("ada", &org).as_str()));
    }

    #[test]
    fn checks_task_ids() {
        assert!(is_valid_task_id("invoice-7:step.2_a") && is_valid_task_id(&"a".repeat(64)));
        for text in ["", "a/b", "a b", "ä", "a\n", &"a".repeat(65)] {
            assert!(!is_valid_task_id(text), "{text}");
        }
    }

    #[test]
    fn checks_host_ids() {
        assert!(is_valid_host_id("3f0c0f8e-5a3a-4b65-9a51-5a9a4c0b6d11"));
        assert!(!is_valid_host_id("../etc/passwd"));
        assert!(!is_valid_host_id("a.b"));
        assert!(!is_valid_host_id(""));
    }
}
