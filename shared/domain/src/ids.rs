//! Identifiers: text with a prefix that says what they name, so that a mixed-up id is seen at a glance.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            pub const PREFIX: &'static str = $prefix;

            /// A new id, ordered by time so that indexes grow at one end.
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
    /// An organization: the tenant. Everything else belongs to exactly one.
    OrgId, "org_"
);
id!(
    /// An agent. Hosts may supply their own (the Python client sends UUIDs), so the prefix is not promised.
    AgentId, "agt_"
);
id!(
    /// One outbound message, whatever its channel.
    MessageId, "msg_"
);
id!(
    /// One telephone call, in either direction. An outbound one has it as its message's id too.
    CallId, "call_"
);
id!(
    /// A token's public name; never the secret.
    TokenId, "tok_"
);
id!(
    /// A sender address that an agent owns on one channel.
    ChannelId, "chn_"
);

/// The unique part of an id without a type of its own.
pub fn unique() -> String {
    Uuid::now_v7().simple().to_string()
}

/// 122 random bits as text: for ids that nobody must guess.
pub fn random() -> String {
    Uuid::new_v4().simple().to_string()
}

/// One process among its equals. New at every start and never used again, because the ids of requests to clients carry it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReplicaId(String);

impl ReplicaId {
    /// Eight characters: it stands in every session id of the legacy transport, and must hold no dot.
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

/// The longest id that a host may supply, in bytes.
const MAX_HOST_ID: usize = 64;

/// Whether a host may use this text as an id: printable, short, and safe in a path, a subject and a key.
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
    fn ids_carry_their_prefix_and_sort_by_time() {
        let (a, b) = (MessageId::generate(), MessageId::generate());
        assert!(a.as_str().starts_with("msg_"));
        assert!(a < b);
    }

    #[test]
    fn host_ids_are_checked() {
        assert!(is_valid_host_id("3f0c0f8e-5a3a-4b65-9a51-5a9a4c0b6d11"));
        assert!(!is_valid_host_id("../etc/passwd"));
        assert!(!is_valid_host_id("a.b"));
        assert!(!is_valid_host_id(""));
    }
}
