//! The verified caller and its permissions.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{AgentId, OrgId, Restriction, TokenId};

/// A permission level. Each scope includes all scopes before it.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Scope {
    /// A caller without a token. No token has this scope.
    Anyone,
    /// Acts as one agent.
    Agent,
    /// Acts for every agent of one organization.
    OrgAdmin,
    /// Manages the installation.
    SuperAdmin,
}

impl Scope {
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    pub fn allows(self, needed: Self) -> bool {
        self >= needed
    }
}

/// The verified caller. Created only by the auth guard from a token; the body of a request can't change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    pub token: TokenId,
    pub scope: Scope,
    /// The tenant. `None` for the orchestrator, which belongs to no organization.
    pub org: Option<OrgId>,
    /// The agent of the token. `None` for tokens of organizations and of the orchestrator.
    pub agent: Option<AgentId>,
    /// `None`: the token may do all that its scope allows.
    pub restriction: Option<Arc<Restriction>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_strictly_ordered() {
        assert!(Scope::Agent.allows(Scope::Anyone) && !Scope::Anyone.allows(Scope::Agent));
        assert!(Scope::SuperAdmin.allows(Scope::OrgAdmin));
        assert!(Scope::OrgAdmin.allows(Scope::Agent));
        assert!(!Scope::Agent.allows(Scope::OrgAdmin));
        assert!(!Scope::OrgAdmin.allows(Scope::SuperAdmin));
    }

    #[test]
    fn keeps_wire_strings_of_scopes() {
        for (scope, text) in [
            (Scope::Agent, "agent"),
            (Scope::OrgAdmin, "org-admin"),
            (Scope::SuperAdmin, "super-admin"),
        ] {
            assert_eq!((scope.as_str(), scope.to_string().as_str()), (text, text));
            assert_eq!(Scope::parse(text), Some(scope));
            assert_eq!(serde_json::to_value(scope).unwrap(), text);
        }
        for text in ["", "Agent", "org_admin", "admin"] {
            assert_eq!(Scope::parse(text), None, "{text:?}");
        }
    }
}
