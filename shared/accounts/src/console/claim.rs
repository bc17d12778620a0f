//! The claim of the installation: its first owner proves access to the machine with a key that the program prints. The key is
//! worthless as soon as there is an owner.

use butt_dial_domain::{Code, Failure};
use butt_dial_store::{Access, AuditEntry, Claim, NewOwner};
use butt_dial_vault::mac;
use serde_json::json;
use subtle::ConstantTimeEq as _;

use super::{Client, Console, Session, WayIn};
use crate::{audit::SYSTEM, profile::Mailbox};

/// The organization of a first start.
const ORGANIZATION: (&str, &str) = ("Default", "default");
const GROUPS: usize = 6;
const GROUP: usize = 4;
/// Without letters and digits that look alike.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

impl Console {
    /// Returns the set-up key, for example `K7QM-2FHX-…`. It is the same on every replica.
    pub fn setup_key(&self) -> String {
        let bytes = mac(&self.vault.key("console set-up key"), &[b"claim"]);
        let letters = bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
        let letters: Vec<char> = letters.take(GROUPS * GROUP).collect();
        let groups: Vec<String> = letters.chunks(GROUP).map(|group| group.iter().collect()).collect();
        groups.join("-")
    }

    /// Returns whether the installation has an owner.
    pub async fn is_claimed(&self) -> Result<bool, Failure> {
        Ok(self.store.is_claimed().await?)
    }

    /// Makes a person the first owner, and signs the person in. Of several at the same time, one wins.
    pub async fn claim(&self, key: &str, email: &str, way: WayIn<'_>, client: &Client) -> Result<Session, Failure> {
        let mailbox = self.check_claim(key, email, client).await?;
        let (hash, passkey);
        let access = match way {
            WayIn::Password(password) => {
                hash = self.hash_new_password(password, &mailbox.key).await?;
                Access::Password(&hash)
            }
            WayIn::Passkey { answer, site } => {
                passkey = self.check_claim_passkey(answer, site).await?;
                Access::Passkey(&passkey)
            }
        };
        let now = self.clock.now();
        let (name, slug) = ORGANIZATION;
        let entry = AuditEntry::new(None, SYSTEM, "organization.create", slug, now);
        let org = self.store.change(entry).create_organization(name, slug, now).await?;
        let owner = NewOwner {
            email: (&mailbox.address, &mailbox.key),
            access,
            org: &org.id,
        };
        let user = match self.store.claim_installation(&owner, now).await? {
            Claim::Claimed(user) => user,
            Claim::Taken => return Err(taken()),
        };
        self.audit
            .append(&org.id, SYSTEM, "installation.claim", &user, json!({}))
            .await?;
        self.create_session(&user, &org.id, client).await
    }

    /// Checks the key and the address of a claim.
    pub(super) async fn check_claim(&self, key: &str, email: &str, client: &Client) -> Result<Mailbox, Failure> {
        let tries = self.count_try("set-up key", client).await?;
        let given: String = key.chars().filter(char::is_ascii_alphanumeric).collect();
        let expected = self.setup_key().replace('-', "");
        if !bool::from(given.to_ascii_uppercase().as_bytes().ct_eq(expected.as_bytes())) {
            return Err(Failure::new(Code::AuthForbidden, "the set-up key is wrong")
                .hint("run `butt-dial console-key` on the machine of the server"));
        }
        self.forget_tries(&tries).await;
        match self.is_claimed().await? {
            true => Err(taken()),
            false => Mailbox::parse("email", email),
        }
    }
}

fn taken() -> Failure {
    Failure::new(Code::Conflict, "this installation has an owner already")
        .hint("sign in, or ask the owner for an invitation")
}
