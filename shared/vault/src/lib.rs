//! Encryption of stored contents, with a key per organization derived from one master key (HKDF-SHA-256, AES-256-GCM).
//! Also the keyed hashes that compare bodies and requests without storing them.

use std::sync::Arc;

use aes_gcm::{
    Aes256Gcm, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use butt_dial_domain::OrgId;
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use moka::sync::Cache;
use sha2::Sha256;

const VERSION: u8 = 1;
const NONCE: usize = 12;

/// Holds the master key. Must not be printed.
#[derive(Clone)]
pub struct Vault {
    master: [u8; 32],
    /// Cached, because deriving a key costs more than encrypting a message.
    keys: Cache<OrgId, Arc<OrgKeys>>,
}

struct OrgKeys {
    content: Aes256Gcm,
    body: [u8; 32],
}

const CACHED_ORGANIZATIONS: u64 = 10_000;

#[derive(Debug, thiserror::Error)]
#[error("can't be decrypted: another CREDENTIALS_ENCRYPTION_KEY, or damaged")]
pub struct Undecryptable;

impl Vault {
    /// `secret` is the operator's `CREDENTIALS_ENCRYPTION_KEY`. The keys have its entropy.
    pub fn new(secret: &[u8]) -> Self {
        Self {
            master: derive(secret, b"butt-dial master 1"),
            keys: Cache::new(CACHED_ORGANIZATIONS),
        }
    }

    /// Derives the key for a purpose. It is the same on every replica.
    pub fn key(&self, purpose: &str) -> [u8; 32] {
        derive(&self.master, purpose.as_bytes())
    }

    /// Identifies the master key without revealing it.
    pub fn fingerprint(&self) -> String {
        hex::encode(self.key("fingerprint"))
    }

    /// Encrypts `plain`. `context` is authenticated: the content of one row cannot be moved to another.
    pub fn encrypt(&self, org: &OrgId, context: &str, plain: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE] = rand::random();
        let payload = Payload {
            msg: plain,
            aad: context.as_bytes(),
        };
        // AES-GCM fails only beyond 64 GiB.
        let sealed = self
            .org_keys(org)
            .content
            .encrypt(&Nonce::from(nonce), payload)
            .unwrap_or_default();
        [&[VERSION][..], &nonce, &sealed].concat()
    }

    pub fn decrypt(&self, org: &OrgId, context: &str, sealed: &[u8]) -> Result<Vec<u8>, Undecryptable> {
        let (version, rest) = sealed.split_first().ok_or(Undecryptable)?;
        let (nonce, text) = rest.split_at_checked(NONCE).ok_or(Undecryptable)?;
        let nonce: [u8; NONCE] = nonce.try_into().map_err(|_| Undecryptable)?;
        if *version != VERSION {
            return Err(Undecryptable);
        }
        let payload = Payload {
            msg: text,
            aad: context.as_bytes(),
        };
        self.org_keys(org)
            .content
            .decrypt(&Nonce::from(nonce), payload)
            .map_err(|_| Undecryptable)
    }

    /// Hashes a body with the organization's key, as hexadecimal digits. Trailing white space is ignored.
    pub fn body_hash(&self, org: &OrgId, body: &str) -> String {
        hex::encode(mac(&self.org_keys(org).body, &[body.trim_end().as_bytes()]))
    }

    /// Hashes a request with the organization's key, as hexadecimal digits. It is stored permanently, so it is keyed: short
    /// texts cannot be guessed from it.
    pub fn request_hash(&self, org: &OrgId, request: &str) -> String {
        hex::encode(mac(&self.org_keys(org).body, &[b"request", request.as_bytes()]))
    }

    fn org_keys(&self, org: &OrgId) -> Arc<OrgKeys> {
        self.keys.get_with_by_ref(org, || {
            let content = Aes256Gcm::new(&self.key(&format!("content {org}")).into());
            Arc::new(OrgKeys {
                content,
                body: self.key(&format!("body {org}")),
            })
        })
    }
}

/// HMAC-SHA-256 over the parts, each preceded by its length, so that different lists of parts have different inputs.
pub fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // A 32-byte key is always valid; `new_from_slice` takes any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return [0; 32];
    };
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn derive(secret: &[u8], info: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    // HKDF fails only for more than 8,160 bytes of output.
    let _ = Hkdf::<Sha256>::new(None, secret).expand(info, &mut key);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decrypts_only_for_same_organization_and_context() {
        let vault = Vault::new(b"secret");
        let (ours, theirs) = (OrgId::from("org_a"), OrgId::from("org_b"));
        let sealed = vault.encrypt(&ours, "msg_1", b"hello");
        assert_eq!(vault.decrypt(&ours, "msg_1", &sealed).unwrap(), b"hello");
        assert!(vault.decrypt(&theirs, "msg_1", &sealed).is_err());
        assert!(vault.decrypt(&ours, "msg_2", &sealed).is_err());
        assert!(Vault::new(b"other").decrypt(&ours, "msg_1", &sealed).is_err());
        assert!(vault.decrypt(&ours, "msg_1", &sealed[..5]).is_err());
    }

    #[test]
    fn encrypts_same_text_differently() {
        let vault = Vault::new(b"secret");
        let org = OrgId::from("org_a");
        assert_ne!(vault.encrypt(&org, "m", b"hello"), vault.encrypt(&org, "m", b"hello"));
    }

    #[test]
    fn fingerprint_identifies_key() {
        let of = |secret: &[u8]| Vault::new(secret).fingerprint();
        assert_eq!(of(b"secret"), of(b"secret"));
        assert_ne!(of(b"secret"), of(b"other"));
    }

    #[test]
    fn mac_separates_parts() {
        let key = [7; 32];
        assert_ne!(mac(&key, &[b"ab", b"c"]), mac(&key, &[b"a", b"bc"]));
    }
}
