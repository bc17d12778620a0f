//! Links to unsubscribe from mails of an agent (RFC 2369, RFC 8058).

use butt_dial_domain::{Address, OrgId};
use butt_dial_vault::Vault;
use serde::{Deserialize, Serialize};

use crate::sealed_token;

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

    pub fn seal(&self, vault: &Vault, org: &OrgId) -> String {
        sealed_token::seal(vault, org, CONTEXT, self)
    }

    /// Decrypts a token. `None`: it is not one of this installation.
    pub fn open(vault: &Vault, token: &str) -> Option<Self> {
        sealed_token::open(vault, CONTEXT, token).map(|(_, token)| token)
    }
}
