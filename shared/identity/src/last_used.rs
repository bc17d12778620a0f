//! Times of last use of tokens, and hashes of the networks that used them: collected in memory and written periodically, so that
//! a request costs no write.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
};

use butt_dial_domain::{TokenId, clock::Timestamp};
use butt_dial_store::Store;
use butt_dial_vault::{Vault, mac};

/// Hexadecimal digits of a hash. It compares the addresses of one token, and does not identify one.
const HINT_LENGTH: usize = 12;

pub struct LastUsed {
    vault: Vault,
    used: Mutex<HashMap<TokenId, (Timestamp, IpAddr)>>,
}

impl LastUsed {
    pub fn new(vault: Vault) -> Self {
        Self {
            vault,
            used: Mutex::default(),
        }
    }

    pub fn note(&self, token: &TokenId, at: Timestamp, peer: IpAddr) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        match used.get_mut(token) {
            Some(last) => *last = (at, peer),
            None => {
                used.insert(token.clone(), (at, peer));
            }
        }
    }

    /// Writes the collected times. They are lost if the database does not answer; the next use of a token sets them again.
    pub async fn flush(&self, store: &Store) {
        let used: Vec<_> = self
            .used
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain()
            .collect();
        if used.is_empty() {
            return;
        }
        let key = self.vault.key("addresses of tokens");
        let used: Vec<_> = used
            .into_iter()
            .map(|(token, (at, peer))| {
                let hint = hint(&key, &token, peer);
                (token, at, Some(hint))
            })
            .collect();
        if let Err(error) = store.touch_tokens(&used).await {
            tracing::warn!(%error, tokens = used.len(), "last use of tokens not recorded");
        }
    }
}

/// Hashes the network of an address, for audit entries: equal networks have equal hashes.
pub fn source_hash(vault: &Vault, peer: IpAddr) -> String {
    hashed_network(&vault.key("addresses of audit entries"), "", peer)
}

/// Hashes the network of an address for this token. The key keeps the few addresses there are from being tried.
fn hint(key: &[u8; 32], token: &TokenId, peer: IpAddr) -> String {
    hashed_network(key, token.as_str(), peer)
}

/// Hashes the network of an address: the /64 of IPv6.
fn hashed_network(key: &[u8; 32], context: &str, peer: IpAddr) -> String {
    let network = match peer.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) >> 64 << 64)),
        v4 => v4,
    };
    let mut hash = hex::encode(mac(key, &[context.as_bytes(), network.to_string().as_bytes()]));
    hash.truncate(HINT_LENGTH);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hint_is_same_for_one_network_and_token() {
        let (one, other) = (TokenId::from("tok_1"), TokenId::from("tok_2"));
        let of = |token: &TokenId, peer: &str| hint(&[7; 32], token, peer.parse().unwrap());
        assert_eq!(of(&one, "2001:db8:0:1::1"), of(&one, "2001:db8:0:1::2"));
        assert_ne!(of(&one, "2001:db8:0:1::1"), of(&one, "2001:db8:0:2::1"));
        assert_eq!(of(&one, "9.9.9.9"), of(&one, "::ffff:9.9.9.9"));
        assert_ne!(of(&one, "9.9.9.9"), of(&one, "9.9.9.8"));
        assert_ne!(of(&one, "9.9.9.9"), of(&other, "9.9.9.9"));
    }
}
