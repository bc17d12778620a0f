//! The encryption of stored attachments with another key.

use butt_dial_domain::OrgId;
use butt_dial_vault::Vault;
use chrono::NaiveDate;
use futures::TryStreamExt;
use object_store::{Error, ObjectMeta, ObjectStoreExt, path::Path as Key};

use super::Blobs;

/// The result for one content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resealed {
    Changed,
    Unchanged,
    Unreadable,
}

impl Blobs {
    /// Encrypts every blob for the newest key of the operator, if it is not yet. Reports each.
    pub async fn reseal(&self, vault: &Vault, mut report: impl FnMut(Resealed)) -> Result<(), String> {
        let root = (!self.prefix.is_empty()).then(|| Key::from(self.prefix.as_str()));
        let days = self.store.list_with_delimiter(root.as_ref()).await;
        for day in days.map_err(|error| error.to_string())?.common_prefixes {
            let is_day = day.filename().is_some_and(|name| name.parse::<NaiveDate>().is_ok());
            if !is_day {
                continue;
            }
            let objects: Vec<ObjectMeta> = self
                .store
                .list(Some(&day))
                .try_collect()
                .await
                .map_err(|error| error.to_string())?;
            for object in objects {
                if let Some(resealed) = self.reseal_blob(vault, &object.location).await? {
                    report(resealed);
                }
            }
        }
        Ok(())
    }

    /// `None`: it is no blob, or it was purged meanwhile.
    async fn reseal_blob(&self, vault: &Vault, location: &Key) -> Result<Option<Resealed>, String> {
        let Some(key) = self.key_of(location) else {
            return Ok(None);
        };
        let Some(org) = key.split('/').nth(1).map(OrgId::from) else {
            return Ok(None);
        };
        let found = match self.store.get(location).await {
            Ok(found) => found,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let sealed = found.bytes().await.map_err(|error| error.to_string())?;
        match vault.reseal(&org, key, &sealed) {
            Ok(Some(resealed)) => {
                let put = self.store.put(location, resealed.into()).await;
                put.map_err(|error| error.to_string())?;
                Ok(Some(Resealed::Changed))
            }
            Ok(None) => Ok(Some(Resealed::Unchanged)),
            Err(_) => Ok(Some(Resealed::Unreadable)),
        }
    }

    /// Returns the key of a blob, `<day>/<organization>/<event>/<number>`.
    fn key_of<'a>(&self, location: &'a Key) -> Option<&'a str> {
        let path = location.as_ref();
        let key = match self.prefix.as_str() {
            "" => path,
            prefix => path.strip_prefix(prefix)?.strip_prefix('/')?,
        };
        (key.split('/').count() == 4).then_some(key)
    }
}
