//! What a client carries for us between the rounds of one tool call: which call it attends, and which turn it was asked to
//! answer. Sealed for one agent: whoever carries it can neither read nor change it, and nobody else can use it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use butt_dial_domain::{AgentId, CallId, OrgId};
use serde::{Deserialize, Serialize};

use crate::vault::Vault;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContinuationToken {
    pub call: CallId,
    pub turn: u64,
    /// The first is 1.
    pub round: u32,
}

impl ContinuationToken {
    pub fn seal(&self, vault: &Vault, org: &OrgId, agent: &AgentId) -> String {
        // Made of strings and numbers: it always serializes.
        let plain = serde_json::to_vec(self).unwrap_or_default();
        URL_SAFE_NO_PAD.encode(vault.encrypt(org, &context(agent), &plain))
    }

    /// `None`: it is none of this agent's.
    pub fn open(vault: &Vault, org: &OrgId, agent: &AgentId, sealed: &str) -> Option<Self> {
        let plain = vault.decrypt(org, &context(agent), &URL_SAFE_NO_PAD.decode(sealed).ok()?);
        serde_json::from_slice(&plain.ok()?).ok()
    }
}

fn context(agent: &AgentId) -> String {
    format!("attendance {agent}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_agent_that_it_was_made_for_can_use_it() {
        let (vault, org) = (Vault::new(b"secret"), OrgId::from("org_a"));
        let (ours, theirs) = (AgentId::from("agt_1"), AgentId::from("agt_2"));
        let attendance = ContinuationToken {
            call: CallId::from("call_1"),
            turn: 7,
            round: 2,
        };
        let sealed = attendance.seal(&vault, &org, &ours);
        assert!(!sealed.contains("call_1"));
        assert_eq!(ContinuationToken::open(&vault, &org, &ours, &sealed), Some(attendance));
        assert_eq!(ContinuationToken::open(&vault, &org, &theirs, &sealed), None);
        for forged in ["", "AAAA", "{}", &sealed[1..]] {
            assert_eq!(ContinuationToken::open(&vault, &org, &ours, forged), None, "{forged}");
        }
    }
}
