//! Encryption of stored contents (AES-256-GCM). Each content has its own random key, which is stored with it, encrypted
//! ("wrapped") with a key of the organization. The organizations' keys derive from the operator's keys (HKDF-SHA-256), of which
//! the newest one encrypts and all decrypt. Also the keyed hashes that compare bodies and requests without storing them.

mod sealed;

use std::sync::{
    Arc, RwLock,
    atomic::{AtomicBool, Ordering},
};

use aes_gcm::{Aes256Gcm, KeyInit};
use butt_dial_domain::OrgId;
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use moka::sync::Cache;
use sha2::Sha256;

use sealed::{KeyId, Parts};

/// Holds the operator's keys. Must not be printed.
#[derive(Clone)]
pub struct Vault {
    /// The newest first; at least one.
    masters: Arc<[Master]>,
    installation: Arc<Installation>,
    /// Cached, because deriving a key costs more than encrypting a message.
    keys: Cache<OrgId, Arc<OrgKeys>>,
}

#[derive(Clone, Copy)]
struct Master {
    id: KeyId,
    key: [u8; 32],
}

/// The encryption of the database.
struct Installation {
    /// The secret of keys that outlive the operator's: those of callbacks, links and hashes. In the beginning it is the first key
    /// of the operator; after a rotation it is stored, encrypted.
    root: RwLock<[u8; 32]>,
    /// Contents get keys of their own. Older releases, which may run beside this one, can't read these.
    has_content_keys: AtomicBool,
}

struct OrgKeys {
    /// Encrypt the keys of contents, in the order of the operator's keys.
    wrapping: Vec<(KeyId, Aes256Gcm)>,
    /// Encrypt contents without a key of their own, which older releases wrote: of the root, and of each of the operator's keys.
    former: Vec<Aes256Gcm>,
    body: [u8; 32],
}

const CACHED_ORGANIZATIONS: u64 = 10_000;

#[derive(Debug, thiserror::Error)]
#[error("can't be decrypted: its key is not in CREDENTIALS_ENCRYPTION_KEYS, or it is damaged")]
pub struct Undecryptable;

impl Vault {
    /// `secret` is the operator's only key. The derived keys have its entropy.
    pub fn new(secret: &[u8]) -> Self {
        Self::with_former(secret, &[])
    }

    /// Also decrypts with former keys of the operator.
    pub fn with_former(newest: &[u8], former: &[&[u8]]) -> Self {
        let masters = std::iter::once(&newest).chain(former).map(|secret| Master::new(secret));
        let masters: Arc<[Master]> = masters.collect();
        let root = masters[masters.len() - 1].key;
        Self {
            installation: Arc::new(Installation {
                root: RwLock::new(root),
                // Older releases know one key only.
                has_content_keys: AtomicBool::new(!former.is_empty()),
            }),
            masters,
            keys: Cache::new(CACHED_ORGANIZATIONS),
        }
    }

    /// Identifies the newest key without revealing it.
    pub fn fingerprint(&self) -> String {
        self.masters[0].fingerprint()
    }

    /// Takes over what the database says about its encryption: the fingerprint of its key, the stored root, and whether contents
    /// get keys of their own. Fails when its key is not one of the operator's.
    pub fn adopt(
        &self,
        fingerprint: &str,
        stored_root: Option<&[u8]>,
        has_content_keys: bool,
    ) -> Result<(), Undecryptable> {
        let mut masters = self.masters.iter();
        let master = masters
            .find(|master| master.fingerprint() == fingerprint)
            .ok_or(Undecryptable)?;
        let root = match stored_root {
            Some(stored) => sealed::unwrap_key(&master.root_cipher(), ROOT, stored)?,
            None => master.key,
        };
        *self
            .installation
            .root
            .write()
            .unwrap_or_else(|poisoned| poisoned.into_inner()) = root;
        if has_content_keys {
            self.installation.has_content_keys.store(true, Ordering::Relaxed);
        }
        self.keys.invalidate_all();
        Ok(())
    }

    /// Gives contents keys of their own from now on. No older release may run beside this one.
    pub fn use_content_keys(&self) {
        self.installation.has_content_keys.store(true, Ordering::Relaxed);
    }

    /// Encrypts the root with the newest key, so that the former keys can be removed. Returns the fingerprint of the newest key
    /// and the root, both for the database.
    pub fn seal_root(&self) -> (String, Vec<u8>) {
        let newest = &self.masters[0];
        let sealed = sealed::wrap_key(&newest.root_cipher(), ROOT, &self.root());
        (newest.fingerprint(), sealed)
    }

    /// Derives the key for a purpose. It is the same on every replica, and a rotation of the operator's keys does not change it.
    pub fn key(&self, purpose: &str) -> [u8; 32] {
        derive(&self.root(), purpose.as_bytes())
    }

    /// Derives the secret of an organization's webhook: 64 hexadecimal digits. It is not stored.
    pub fn webhook_secret(&self, org: &OrgId, salt: &str) -> String {
        hex::encode(self.key(&format!("account webhook {org} {salt}")))
    }

    /// Encrypts `plain`. `context` is authenticated: the content of one row cannot be moved to another.
    pub fn encrypt(&self, org: &OrgId, context: &str, plain: &[u8]) -> Vec<u8> {
        let keys = self.org_keys(org);
        match (
            self.installation.has_content_keys.load(Ordering::Relaxed),
            keys.wrapping.first(),
        ) {
            (true, Some((id, wrapping))) => sealed::seal(*id, wrapping, org, context, plain),
            _ => keys
                .former
                .first()
                .map_or_else(Vec::new, |key| sealed::seal_former(key, context, plain)),
        }
    }

    pub fn decrypt(&self, org: &OrgId, context: &str, sealed: &[u8]) -> Result<Vec<u8>, Undecryptable> {
        let keys = self.org_keys(org);
        match Parts::of(sealed)? {
            Parts::Former { nonce, text } => {
                let mut opened = keys.former.iter().map(|key| sealed::open(key, nonce, context, text));
                opened.find_map(Result::ok).ok_or(Undecryptable)
            }
            Parts::Wrapped { key_id, wrapped, text } => {
                let key = sealed::unwrap_key(keys.find_wrapping(key_id)?, org.as_str(), wrapped)?;
                sealed::open_with_own_key(&key, context, text)
            }
        }
    }

    /// Encrypts a content for the newest key, if it is not yet. Only its own key is encrypted again, if it has one. `None`: it
    /// depends on no other key.
    pub fn reseal(&self, org: &OrgId, context: &str, sealed: &[u8]) -> Result<Option<Vec<u8>>, Undecryptable> {
        let keys = self.org_keys(org);
        let (newest, wrapping) = keys.wrapping.first().ok_or(Undecryptable)?;
        match Parts::of(sealed)? {
            Parts::Former { .. } => {
                let plain = self.decrypt(org, context, sealed)?;
                Ok(Some(sealed::seal(*newest, wrapping, org, context, &plain)))
            }
            Parts::Wrapped { key_id, .. } if key_id == newest => Ok(None),
            Parts::Wrapped { key_id, wrapped, text } => {
                let key = sealed::unwrap_key(keys.find_wrapping(key_id)?, org.as_str(), wrapped)?;
                Ok(Some(sealed::join(*newest, wrapping, org, &key, text)))
            }
        }
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

    /// Hashes the key of a person with the organization's key, as hexadecimal digits.
    pub fn contact_hash(&self, org: &OrgId, contact: &str) -> String {
        hex::encode(self.contact_digest(org, contact))
    }

    /// Hashes the key of a person with the organization's key.
    pub fn contact_digest(&self, org: &OrgId, contact: &str) -> [u8; 32] {
        mac(&self.org_keys(org).body, &[b"contact", contact.as_bytes()])
    }

    fn root(&self) -> [u8; 32] {
        *self
            .installation
            .root
            .read()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn org_keys(&self, org: &OrgId) -> Arc<OrgKeys> {
        self.keys
            .get_with_by_ref(org, || Arc::new(OrgKeys::derive(&self.root(), &self.masters, org)))
    }
}

const ROOT: &str = "root";

impl Master {
    fn new(secret: &[u8]) -> Self {
        let key = derive(secret, b"butt-dial master 1");
        let mut id = KeyId::default();
        id.copy_from_slice(&derive(&key, b"key id")[..size_of::<KeyId>()]);
        Self { id, key }
    }

    fn fingerprint(&self) -> String {
        hex::encode(derive(&self.key, b"fingerprint"))
    }

    fn root_cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(&derive(&self.key, b"wrap root").into())
    }
}

impl OrgKeys {
    fn derive(root: &[u8; 32], masters: &[Master], org: &OrgId) -> Self {
        let cipher =
            |key: &[u8; 32], purpose: &str| Aes256Gcm::new(&derive(key, format!("{purpose} {org}").as_bytes()).into());
        let former = [root].into_iter().chain(masters.iter().map(|master| &master.key));
        Self {
            wrapping: masters
                .iter()
                .map(|master| (master.id, cipher(&master.key, "wrap")))
                .collect(),
            former: former.map(|key| cipher(key, "content")).collect(),
            body: derive(root, format!("body {org}").as_bytes()),
        }
    }

    fn find_wrapping(&self, id: &KeyId) -> Result<&Aes256Gcm, Undecryptable> {
        let found = self.wrapping.iter().find(|(known, _)| known == id);
        found.map(|(_, cipher)| cipher).ok_or(Undecryptable)
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

    fn orgs() -> (OrgId, OrgId) {
        (OrgId::from("org_a"), OrgId::from("org_b"))
    }

    /// Returns vaults that write both forms of contents.
    fn both() -> [Vault; 2] {
        let own = Vault::new(b"secret");
        own.use_content_keys();
        [Vault::new(b"secret"), own]
    }

    #[test]
    fn decrypts_only_for_same_organization_and_context() {
        let (ours, theirs) = orgs();
        for vault in both() {
            let sealed = vault.encrypt(&ours, "msg_1", b"hello");
            assert_eq!(vault.decrypt(&ours, "msg_1", &sealed).unwrap(), b"hello");
            assert!(vault.decrypt(&theirs, "msg_1", &sealed).is_err());
            assert!(vault.decrypt(&ours, "msg_2", &sealed).is_err());
            assert!(Vault::new(b"other").decrypt(&ours, "msg_1", &sealed).is_err());
            for length in 0..sealed.len() {
                assert!(vault.decrypt(&ours, "msg_1", &sealed[..length]).is_err(), "{length}");
            }
        }
    }

    #[test]
    fn encrypts_same_text_differently() {
        let (org, _) = orgs();
        for vault in both() {
            assert_ne!(vault.encrypt(&org, "m", b"hello"), vault.encrypt(&org, "m", b"hello"));
        }
    }

    #[test]
    fn fingerprint_identifies_key() {
        let of = |secret: &[u8]| Vault::new(secret).fingerprint();
        assert_eq!(of(b"secret"), of(b"secret"));
        assert_ne!(of(b"secret"), of(b"other"));
    }

    #[test]
    fn former_key_decrypts_until_contents_are_resealed() {
        let (org, other) = orgs();
        let [without, with] = both();
        let rotating = Vault::with_former(b"new", &[b"secret"]);
        for vault in [without, with] {
            let sealed = vault.encrypt(&org, "m", b"hello");
            assert_eq!(rotating.decrypt(&org, "m", &sealed).unwrap(), b"hello");
            let resealed = rotating.reseal(&org, "m", &sealed).unwrap().expect("another key");
            assert!(rotating.reseal(&other, "m", &sealed).is_err());
            assert_eq!(Vault::new(b"new").decrypt(&org, "m", &resealed).unwrap(), b"hello");
            assert!(Vault::new(b"secret").decrypt(&org, "m", &resealed).is_err());
            assert_eq!(rotating.reseal(&org, "m", &resealed).unwrap(), None);
        }
    }

    #[test]
    fn derived_keys_survive_rotation() {
        let (org, _) = orgs();
        let old = Vault::new(b"secret");
        let rotating = Vault::with_former(b"new", &[b"secret"]);
        rotating.adopt(&old.fingerprint(), None, false).unwrap();
        let (fingerprint, root) = rotating.seal_root();
        let new = Vault::new(b"new");
        assert_eq!(fingerprint, new.fingerprint());
        new.adopt(&fingerprint, Some(&root), true).unwrap();
        for vault in [&rotating, &new] {
            assert_eq!(vault.key("links"), old.key("links"));
            assert_eq!(vault.request_hash(&org, "{}"), old.request_hash(&org, "{}"));
            assert_eq!(
                vault.decrypt(&org, "m", &old.encrypt(&org, "m", b"hello")).unwrap(),
                b"hello"
            );
        }
        assert!(new.adopt(&old.fingerprint(), None, true).is_err(), "another key");
        assert!(Vault::new(b"other").adopt(&fingerprint, Some(&root), true).is_err());
    }

    #[test]
    fn mac_separates_parts() {
        let key = [7; 32];
        assert_ne!(mac(&key, &[b"ab", b"c"]), mac(&key, &[b"a", b"bc"]));
    }
}
