//! Tokens: 256 random bits behind a prefix that says what kind it is. Only the hash is ever kept.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use butt_dial_domain::{AgentId, Failure, OrgId, Scope, TokenId, clock::Timestamp};
use butt_dial_store::{NewToken, Store};
use sha2::{Digest, Sha256};

use crate::{Comms, store_failure, vault::mac};

/// A secret as its owner sees it, once.
pub struct Minted {
    pub id: TokenId,
    pub secret: String,
}

pub fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// Makes a token for an agent, or for the organization's team when there is no agent.
pub async fn mint(
    store: &Store,
    org: &OrgId,
    agent: Option<&AgentId>,
    scope: Scope,
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<Minted, Failure> {
    let secret = generate(prefix(agent));
    write_down(store, org, agent, scope, expires_at, now, secret).await
}

/// The token that is the same whenever it is asked for, so that a bootstrap can be repeated: derived from the master key.
/// Once it has been revoked, another takes its place.
pub async fn derive(
    comms: &Comms,
    org: &OrgId,
    agent: Option<&AgentId>,
    scope: Scope,
    now: Timestamp,
) -> Result<Minted, Failure> {
    let key = comms.vault.key("bootstrap token");
    // The first that has not been revoked: the same one each time, until it is.
    for generation in 0_u32.. {
        let parts = [
            org.as_str().as_bytes(),
            agent.map_or("", AgentId::as_str).as_bytes(),
            &generation.to_be_bytes(),
        ];
        let secret = format!("{}{}", prefix(agent), BASE64_URL_SAFE_NO_PAD.encode(mac(&key, &parts)));
        match comms
            .store
            .find_token(&hex::encode(hash(&secret)))
            .await
            .map_err(store_failure)?
        {
            None => return write_down(&comms.store, org, agent, scope, None, now, secret).await,
            Some(token) if token.revoked_at.is_none() => {
                return Ok(Minted {
                    id: token.principal.token,
                    secret,
                });
            }
            Some(_) => {}
        }
    }
    Err(Failure::internal())
}

fn prefix(agent: Option<&AgentId>) -> &'static str {
    if agent.is_some() { "bda_" } else { "bdt_" }
}

async fn write_down(
    store: &Store,
    org: &OrgId,
    agent: Option<&AgentId>,
    scope: Scope,
    expires_at: Option<Timestamp>,
    now: Timestamp,
    secret: String,
) -> Result<Minted, Failure> {
    let id = TokenId::generate();
    let token = NewToken {
        id: &id,
        hash: &hex::encode(hash(&secret)),
        last_four: &secret[secret.len() - 4..],
        scope,
        org: Some(org),
        agent,
        expires_at,
    };
    store.create_token(&token, now).await.map_err(store_failure)?;
    Ok(Minted { id, secret })
}

/// A new secret: `prefix` and 256 random bits in URL-safe base64.
pub fn generate(prefix: &str) -> String {
    format!("{prefix}{}", BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_long_and_differ() {
        let (a, b) = (generate("bda_"), generate("bda_"));
        assert_ne!(a, b);
        assert_eq!(a.len(), 4 + 43);
        assert_ne!(hash(&a), hash(&b));
    }
}
