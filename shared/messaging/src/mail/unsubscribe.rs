//! Links to unsubscribe from mails of an agent (RFC 2369, RFC 8058). The link has no login, so its token is the proof: only
//! this installation can make one, and it names a recipient only to this installation.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use butt_dial_domain::{Address, OrgId};
use butt_dial_vault::Vault;
use serde::{Deserialize, Serialize};

const CONTEXT: &str = "unsubscribe";

/// The recipient and the sender of a mail.
#[derive(Serialize, Deserialize)]
pub(crate) struct UnsubscribeToken {
    pub recipient: String,
    pub sender: String,
}

impl UnsubscribeToken {
    pub fn new(recipient: &Address, sender: &Address) -> Self {
        Self {
            recipient: recipient.as_str().to_owned(),
            sender: sender.as_str().to_owned(),
        }
    }

    /// Encrypts the token. Its beginning is the organization, because each has a separate key.
    pub fn seal(&self, vault: &Vault, org: &OrgId) -> String {
        // The type has only text.
        let plain = serde_json::to_vec(self).unwrap_or_default();
        let org_id = org.as_str();
        format!(
            "{org_id}.{}",
            URL_SAFE_NO_PAD.encode(vault.encrypt(org, CONTEXT, &plain))
        )
    }

    /// Decrypts a token. `None`: it is not one of this installation.
    pub fn open(vault: &Vault, token: &str) -> Option<Self> {
        let (org, sealed) = token.split_once('.')?;
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let plain = vault.decrypt(&OrgId::from(org), CONTEXT, &sealed).ok()?;
        serde_json::from_slice(&plain).ok()
    }
}
