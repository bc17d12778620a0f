//! Who is calling, and what that lets them do. The scopes form one strict ladder.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{AgentId, OrgId, TokenId};

/// Each scope may do all that the scopes before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Acts as one agent.
    Agent,
    /// Acts for every agent of one organization.
    OrgAdmin,
    /// Runs the installation.
    SuperAdmin,
}

impl Scope {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::OrgAdmin => "org-admin",
            Self::SuperAdmin => "super-admin",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "agent" => Some(Self::Agent),
            "org-admin" => Some(Self::OrgAdmin),
            "super-admin" => Some(Self::SuperAdmin),
            _ => None,
        }
    }

    pub fn allows(self, needed: Self) -> bool {
        self >= needed
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The verified caller. Made only by the auth guard from a token; nothing in a request's body can change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    pub token: TokenId,
    pub scope: Scope,
    /// The tenant. `None` for the orchestrator, which belongs to none.
    pub org: Option<OrgId>,
    /// The agent that the token speaks for. `None` for team and orchestrator tokens.
    pub agent: Option<AgentId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ladder_is_strict() {
        assert!(Scope::SuperAdmin.allows(Scope::OrgAdmin));
        assert!(Scope::OrgAdmin.allows(Scope::Agent));
        assert!(!Scope::Agent.allows(Scope::OrgAdmin));
        assert!(!Scope::OrgAdmin.allows(Scope::SuperAdmin));
    }
}
