//! Continuation token of the `attend_call` tool, which a client returns between the rounds of one tool call. It is encrypted
//! for one agent: the client can neither read nor change it, and no other agent can use it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use butt_dial_domain::{AgentId, CallId, OrgId};
use butt_dial_vault::Vault;
use serde::{Deserialize, Serialize};

use super::handle::Calls;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContinuationToken {
    pub call: CallId,
    pub turn: u64,
    /// Starts at 1.
    pub round: u32,
}

impl ContinuationToken {
    /// Encrypts the token for the agent.
    pub fn seal(&self, calls: &Calls, org: &OrgId, agent: &AgentId) -> String {
        self.seal_with(&calls.vault, org, agent)
    }

    /// Decrypts a token. `None`: it was not issued to this agent.
    pub fn open(calls: &Calls, org: &OrgId, agent: &AgentId, sealed: &str) -> Option<Self> {
        Self::open_with(&calls.vault, org, agent, sealed)
    }

    fn seal_with(&self, vault: &Vault, org: &OrgId, agent: &AgentId) -> String {
        // Strings and numbers always serialize.
        let plain = serde_json::to_vec(self).unwrap_or_default();
        URL_SAFE_NO_PAD.encode(vault.encrypt(org, &context(agent), &plain))
    }

    fn open_with(vault: &Vault, org: &OrgId, agent: &AgentId, sealed: &str) -> Option<Self> {
        let plain = vault.decrypt(org, &context(agent), &URL_SAFE_NO_PAD.decode(sealed).ok()?);
        serde_json::from_slice(&plain.ok()?).ok()
    }
}

/// The text is part of the encryption and must stay.
fn context(agent: &AgentId) -> String {
    format!("attendance {agent}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_for_the_agent_it_was_issued_to() {
        let (vault, org) = (Vault::new(b"secret"), OrgId::from("org_a"));
        let (owner, other) = (AgentId::from("agt_1"), AgentId::from("agt_2"));
        let token = ContinuationToken {
            call: CallId::from("call_1"),
            turn: 7,
            round: 2,
        };
        let sealed = token.seal_with(&vault, &org, &owner);
        assert!(!sealed.contains("call_1"));
        assert_eq!(ContinuationToken::open_with(&vault, &org, &owner, &sealed), Some(token));
        assert_eq!(ContinuationToken::open_with(&vault, &org, &other, &sealed), None);
        for forged in ["", "AAAA", "{}", &sealed[1..]] {
            assert_eq!(
                ContinuationToken::open_with(&vault, &org, &owner, forged),
                None,
                "{forged}"
            );
        }
    }
}
