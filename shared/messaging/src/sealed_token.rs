//! Tokens in links without a login: the token is the proof. Only this installation can make one, and it shows its content only to this
//! installation. It begins with the organization, because each has a separate key.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use butt_dial_domain::OrgId;
use butt_dial_vault::Vault;
use serde::{Serialize, de::DeserializeOwned};

/// Encrypts the content of a token. `context` separates the kinds of tokens.
pub(crate) fn seal(vault: &Vault, org: &OrgId, context: &str, content: &impl Serialize) -> String {
    // The types have only text.
    let plain = serde_json::to_vec(content).unwrap_or_default();
    let sealed = URL_SAFE_NO_PAD.encode(vault.encrypt(org, context, &plain));
    format!("{org}.{sealed}", org = org.as_str())
}

/// Decrypts a token. `None`: it is not one of this installation, or of another kind.
pub(crate) fn open<T: DeserializeOwned>(vault: &Vault, context: &str, token: &str) -> Option<(OrgId, T)> {
    let (org, sealed) = token.split_once('.')?;
    let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
    let org = OrgId::from(org);
    let plain = vault.decrypt(&org, context, &sealed).ok()?;
    let content = serde_json::from_slice(&plain).ok()?;
    Some((org, content))
}
