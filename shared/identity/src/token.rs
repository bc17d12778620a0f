//! Tokens: a prefix that names the kind (`bda_` agent, `bdt_` team) and 256 bits in URL-safe base64. Only the SHA-256 hash is
//! stored.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use butt_dial_domain::{AgentId, Failure, OrgId, Restriction, Scope, TokenId, clock::Timestamp};
use butt_dial_store::{AuditEntry, Change, NewToken, Store, StoreError};
use butt_dial_vault::{Vault, mac};
use sha2::{Digest, Sha256};

/// A new token with its secret, which is shown once and not stored.
pub struct Minted {
    pub id: TokenId,
    pub secret: String,
}

pub fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// A token to create: for an agent, or for the organization's team if `agent` is `None`.
#[derive(Clone, Copy)]
pub struct TokenRequest<'a> {
    pub org: &'a OrgId,
    pub agent: Option<&'a AgentId>,
    pub scope: Scope,
    pub expires_at: Option<Timestamp>,
    /// The purpose of the token, in the words of its owner.
    pub label: Option<&'a str>,
    /// The token of the administrator that requests it.
    pub created_by: Option<&'a TokenId>,
    /// `None`: it may do all that its scope allows.
    pub restriction: Option<&'a Restriction>,
}

impl<'a> TokenRequest<'a> {
    /// Returns the request for a token without label, expiry and creator.
    pub fn new(org: &'a OrgId, agent: Option<&'a AgentId>, scope: Scope) -> Self {
        Self {
            org,
            agent,
            scope,
            expires_at: None,
            label: None,
            created_by: None,
            restriction: None,
        }
    }
}

/// A token with a random secret that is not stored yet: a transaction stores it with other rows.
pub struct Unstored {
    pub id: TokenId,
    pub secret: String,
    hash: String,
}

impl Unstored {
    /// Generates the secret of an agent's token, or of a team token.
    pub fn generate(is_agent: bool) -> Self {
        Self::with_secret(generate(if is_agent { AGENT_PREFIX } else { TEAM_PREFIX }))
    }

    fn with_secret(secret: String) -> Self {
        Self {
            id: TokenId::generate(),
            hash: hex::encode(hash(&secret)),
            secret,
        }
    }

    /// Returns the row to store.
    pub fn row<'a>(&'a self, request: &TokenRequest<'a>) -> NewToken<'a> {
        NewToken {
            id: &self.id,
            hash: &self.hash,
            last_four: &self.secret[self.secret.len() - 4..],
            scope: request.scope,
            org: Some(request.org),
            agent: request.agent,
            expires_at: request.expires_at,
            label: request.label,
            created_by: request.created_by,
            restriction: request.restriction,
        }
    }
}

/// Creates a token with a random secret. It is the target of the change.
pub async fn mint(change: &Change, request: &TokenRequest<'_>, now: Timestamp) -> Result<Minted, Failure> {
    Ok(insert(change, request, now, generate(prefix(request.agent))).await?)
}

/// Creates or returns the token that is derived from the master key, so that a repeated bootstrap prints the same one. A
/// revoked token is replaced by the next generation.
pub async fn derive(
    store: &Store,
    vault: &Vault,
    org: &OrgId,
    agent: Option<&AgentId>,
    scope: Scope,
    now: Timestamp,
) -> Result<Minted, Failure> {
    let key = vault.key("bootstrap token");
    // The first generation that is not revoked.
    for generation in 0_u32.. {
        let parts = [
            org.as_str().as_bytes(),
            agent.map_or("", AgentId::as_str).as_bytes(),
            &generation.to_be_bytes(),
        ];
        let secret = format!("{}{}", prefix(agent), BASE64_URL_SAFE_NO_PAD.encode(mac(&key, &parts)));
        let hashed = hex::encode(hash(&secret));
        let mut found = store.find_token(&hashed).await?;
        if found.is_none() {
            let change = store.change(AuditEntry::new(Some(org), "system", "token.create", "", now));
            match insert(&change, &TokenRequest::new(org, agent, scope), now, secret.clone()).await {
                Ok(minted) => return Ok(minted),
                // Another process derives the same token at this moment.
                Err(StoreError::Conflict) => found = store.find_token(&hashed).await?,
                Err(error) => return Err(error.into()),
            }
        }
        if let Some(token) = found.filter(|token| token.revoked_at.is_none()) {
            return Ok(Minted {
                id: token.principal.token,
                secret,
            });
        }
    }
    Err(Failure::internal())
}

const AGENT_PREFIX: &str = "bda_";
const TEAM_PREFIX: &str = "bdt_";

fn prefix(agent: Option<&AgentId>) -> &'static str {
    if agent.is_some() { AGENT_PREFIX } else { TEAM_PREFIX }
}

async fn insert(
    change: &Change,
    request: &TokenRequest<'_>,
    now: Timestamp,
    secret: String,
) -> Result<Minted, StoreError> {
    let token = Unstored::with_secret(secret);
    let change = change.clone().of(token.id.as_str());
    change.create_token(&token.row(request), now).await?;
    let Unstored { id, secret, .. } = token;
    Ok(Minted { id, secret })
}

/// Generates a secret: `prefix` and 256 random bits in URL-safe base64.
pub fn generate(prefix: &str) -> String {
    format!("{prefix}{}", BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generates_long_distinct_secrets() {
        let (a, b) = (generate("bda_"), generate("bda_"));
        assert_ne!(a, b);
        assert_eq!(a.len(), 4 + 43);
        assert_ne!(hash(&a), hash(&b));
    }
}
