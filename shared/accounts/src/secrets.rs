//! One-time secrets, and the secrets that derive from the encryption key.

use butt_dial_domain::OrgId;
use butt_dial_identity::token;
use butt_dial_vault::Vault;

/// Bytes of a secret for polling or of a session, in hexadecimal digits.
const SHORT: usize = 24;
/// Bytes of a secret in a link.
const LONG: usize = 32;

/// A random secret, and the hash that is stored of it.
pub struct Secret {
    pub plain: String,
    pub hash: String,
}

impl Secret {
    /// Generates 48 hexadecimal digits.
    pub fn short() -> Self {
        Self::of(&rand::random::<[u8; SHORT]>())
    }

    /// Generates 64 hexadecimal digits.
    pub fn long() -> Self {
        Self::of(&rand::random::<[u8; LONG]>())
    }

    fn of(bytes: &[u8]) -> Self {
        let plain = hex::encode(bytes);
        Self {
            hash: hash(&plain),
            plain,
        }
    }
}

/// Returns the hash by which a secret is found.
pub fn hash(secret: &str) -> String {
    hex::encode(token::hash(secret))
}

/// Derives the secret of an organization's webhook: 64 hexadecimal digits. It is not stored.
pub fn webhook_secret(vault: &Vault, org: &OrgId, salt: &str) -> String {
    vault.webhook_secret(org, salt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_distinct_and_found_by_hash() {
        let (short, long) = (Secret::short(), Secret::long());
        assert_eq!((short.plain.len(), long.plain.len()), (48, 64));
        assert_eq!(hash(&short.plain), short.hash);
        assert_ne!(Secret::long().plain, long.plain);
    }

    #[test]
    fn webhook_secret_depends_on_organization_and_salt() {
        let (vault, org) = (Vault::new(b"secret"), OrgId::from("org_1"));
        let secret = webhook_secret(&vault, &org, "a");
        assert_eq!(secret, webhook_secret(&vault, &org, "a"));
        assert_eq!(secret.len(), 64);
        assert_ne!(secret, webhook_secret(&vault, &org, "b"));
        assert_ne!(secret, webhook_secret(&vault, &OrgId::from("org_2"), "a"));
    }
}
