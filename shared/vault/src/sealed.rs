//! The two forms of an encrypted content. The former one has a nonce and was encrypted with a key of the organization. The current
//! one begins with its own key, wrapped, and the id of the operator's key that wraps it.

use aes_gcm::{
    Aes256Gcm, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use butt_dial_domain::OrgId;

use crate::Undecryptable;

const FORMER: u8 = 1;
const WRAPPED: u8 = 2;
const NONCE: usize = 12;
const KEY: usize = 32;
const TAG: usize = 16;
/// A nonce, and the encrypted key.
const WRAPPED_KEY: usize = NONCE + KEY + TAG;
/// The key encrypts one content only, so the nonce needs not differ.
const ONLY: [u8; NONCE] = [0; NONCE];

/// Identifies one of the operator's keys.
pub(crate) type KeyId = [u8; 8];

/// The parts of an encrypted content.
pub(crate) enum Parts<'a> {
    Former {
        nonce: &'a [u8; NONCE],
        text: &'a [u8],
    },
    Wrapped {
        key_id: &'a KeyId,
        wrapped: &'a [u8],
        text: &'a [u8],
    },
}

impl<'a> Parts<'a> {
    pub fn of(sealed: &'a [u8]) -> Result<Self, Undecryptable> {
        let (version, rest) = sealed.split_first().ok_or(Undecryptable)?;
        match *version {
            FORMER => {
                let (nonce, text) = rest.split_first_chunk().ok_or(Undecryptable)?;
                Ok(Self::Former { nonce, text })
            }
            WRAPPED => {
                let (key_id, rest) = rest.split_first_chunk().ok_or(Undecryptable)?;
                let (wrapped, text) = rest.split_at_checked(WRAPPED_KEY).ok_or(Undecryptable)?;
                Ok(Self::Wrapped { key_id, wrapped, text })
            }
            _ => Err(Undecryptable),
        }
    }
}

/// Encrypts a content with a new key.
pub(crate) fn seal(id: KeyId, wrapping: &Aes256Gcm, org: &OrgId, context: &str, plain: &[u8]) -> Vec<u8> {
    let key: [u8; KEY] = rand::random();
    let text = encrypt(&Aes256Gcm::new(&key.into()), &ONLY, context, plain);
    join(id, wrapping, org, &key, &text)
}

/// Puts an encrypted content behind its own key.
pub(crate) fn join(id: KeyId, wrapping: &Aes256Gcm, org: &OrgId, key: &[u8; KEY], text: &[u8]) -> Vec<u8> {
    [&[WRAPPED][..], &id, &wrap_key(wrapping, org.as_str(), key), text].concat()
}

/// Encrypts a content with the key of its organization.
pub(crate) fn seal_former(key: &Aes256Gcm, context: &str, plain: &[u8]) -> Vec<u8> {
    let nonce: [u8; NONCE] = rand::random();
    [&[FORMER][..], &nonce, &encrypt(key, &nonce, context, plain)].concat()
}

pub(crate) fn open(key: &Aes256Gcm, nonce: &[u8; NONCE], context: &str, text: &[u8]) -> Result<Vec<u8>, Undecryptable> {
    let payload = Payload {
        msg: text,
        aad: context.as_bytes(),
    };
    key.decrypt(&Nonce::from(*nonce), payload).map_err(|_| Undecryptable)
}

pub(crate) fn open_with_own_key(key: &[u8; KEY], context: &str, text: &[u8]) -> Result<Vec<u8>, Undecryptable> {
    open(&Aes256Gcm::new(&(*key).into()), &ONLY, context, text)
}

/// Encrypts a key. `context` is authenticated.
pub(crate) fn wrap_key(wrapping: &Aes256Gcm, context: &str, key: &[u8; KEY]) -> Vec<u8> {
    let nonce: [u8; NONCE] = rand::random();
    [&nonce[..], &encrypt(wrapping, &nonce, context, key)].concat()
}

pub(crate) fn unwrap_key(wrapping: &Aes256Gcm, context: &str, wrapped: &[u8]) -> Result<[u8; KEY], Undecryptable> {
    let (nonce, text) = wrapped.split_first_chunk().ok_or(Undecryptable)?;
    let key = open(wrapping, nonce, context, text)?;
    key.try_into().map_err(|_| Undecryptable)
}

fn encrypt(key: &Aes256Gcm, nonce: &[u8; NONCE], context: &str, plain: &[u8]) -> Vec<u8> {
    let payload = Payload {
        msg: plain,
        aad: context.as_bytes(),
    };
    // AES-GCM fails only beyond 64 GiB.
    key.encrypt(&Nonce::from(*nonce), payload).unwrap_or_default()
}
