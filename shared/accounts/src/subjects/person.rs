//! A person, by the keys of all known addresses.

use butt_dial_domain::{Address, Failure, OrgId, address::contact_key};
use butt_dial_messaging::ConversationDetails;
use butt_dial_store::{ERASED_PREFIX, ErasedKey, Store, SubjectJob, SubjectRow, SubjectTable};
use butt_dial_vault::Vault;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A person of a job.
#[derive(Clone)]
pub struct Person {
    /// The given address first.
    pub keys: Vec<String>,
    /// Of the keys, in their order.
    pub hashes: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    keys: Vec<String>,
}

impl Person {
    /// Reads which other addresses the person has.
    pub async fn find(store: &Store, vault: &Vault, org: &OrgId, contact: &Address) -> Result<Self, Failure> {
        let key = contact.contact_key();
        let linked = store.list_linked_addresses(org, &key).await?;
        Ok(Self::of(vault, org, [key].into_iter().chain(linked).collect()))
    }

    fn of(vault: &Vault, org: &OrgId, keys: Vec<String>) -> Self {
        let hashes = keys.iter().map(|key| vault.contact_hash(org, key)).collect();
        Self { keys, hashes }
    }

    /// Encrypts the person for a job.
    pub fn seal(&self, vault: &Vault, org: &OrgId, job: &str) -> Vec<u8> {
        let sealed = Sealed {
            keys: self.keys.clone(),
        };
        // Consists of strings, so serialization cannot fail.
        vault.encrypt(org, job, &serde_json::to_vec(&sealed).unwrap_or_default())
    }

    /// Decrypts the person of a job. `None`: it cannot be decrypted; the reason is logged.
    pub fn open(vault: &Vault, job: &SubjectJob) -> Option<Self> {
        let org = job.org();
        let plain = vault.decrypt(&org, &job.id, job.subject.as_deref()?);
        let plain = plain.inspect_err(|error| tracing::error!(%error, job = job.id, "subject of a job not decrypted"));
        let sealed: Sealed = serde_json::from_slice(&plain.ok()?).ok()?;
        Some(Self::of(vault, &org, sealed.keys))
    }

    /// Returns what replaces the addresses of the person.
    pub fn erased(&self) -> String {
        format!("{ERASED_PREFIX}{}", self.hashes[0])
    }

    /// Returns the keys with their replacements.
    pub fn erased_keys(&self) -> Vec<ErasedKey> {
        let pairs = self.keys.iter().zip(&self.hashes);
        pairs
            .map(|(key, hash)| ErasedKey {
                key: key.clone(),
                erased: format!("{ERASED_PREFIX}{hash}"),
            })
            .collect()
    }

    /// Returns the replacement of another spelling of a key. `None`: it is none, or a key itself.
    pub fn erased_spelling(&self, address: &str) -> Option<ErasedKey> {
        let key = contact_key(address);
        let place = self.keys.iter().position(|known| *known == key && known != address)?;
        Some(ErasedKey {
            key: address.to_owned(),
            erased: format!("{ERASED_PREFIX}{}", self.hashes[place]),
        })
    }

    /// Returns whether an address is one of the person.
    pub fn has(&self, address: &str) -> bool {
        self.keys.contains(&contact_key(address))
    }

    /// Returns whether a row is about the person.
    pub fn is_in(&self, vault: &Vault, org: &OrgId, table: SubjectTable, row: &SubjectRow) -> bool {
        let by_address = row.address.as_deref().is_some_and(|address| self.has(address));
        match table {
            SubjectTable::Refusals => row.address.as_ref().is_some_and(|hash| self.hashes.contains(hash)),
            // The pattern can be the beginning of an address, or words.
            SubjectTable::Filters => [&row.address, &row.data]
                .into_iter()
                .flatten()
                .any(|text| self.scrub(text).is_some()),
            SubjectTable::Bridges => by_address || row.data.as_deref().is_some_and(|from| self.has(from)),
            SubjectTable::Events | SubjectTable::Subscriptions => {
                let data = row.data.as_deref().and_then(|text| serde_json::from_str(text).ok());
                by_address || data.is_some_and(|data| self.is_named(&data))
            }
            SubjectTable::Conversations => {
                let plain = row.content.as_deref().map(|sealed| vault.decrypt(org, &row.id, sealed));
                let details = plain.and_then(Result::ok);
                let details = details.and_then(|plain| serde_json::from_slice::<ConversationDetails>(&plain).ok());
                details.is_some_and(|details| details.participants.iter().any(|one| self.has(&one.id)))
            }
            _ => by_address,
        }
    }

    /// Returns whether a text of the value is an address of the person.
    fn is_named(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.has(text),
            Value::Array(values) => values.iter().any(|value| self.is_named(value)),
            Value::Object(members) => members.values().any(|value| self.is_named(value)),
            _ => false,
        }
    }
}
