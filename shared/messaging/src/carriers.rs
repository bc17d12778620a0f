//! The registry of connected carriers: which one serves a channel, sends webhooks, or places calls.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use butt_dial_domain::{
    Channel, OrgId, ProviderAccountId,
    ports::{carrier::Messaging, voice::Voice, webhook::Webhooks},
};
use butt_dial_store::StoreError;

use crate::{AccountCarrier, AccountCarriers, AccountServices};

/// A connected carrier. Only `outbound/dispatch.rs` calls its `Messaging::send`.
#[derive(Clone)]
pub struct Carrier {
    /// The vendor's id, such as `twilio`; a metric label and a column.
    pub id: &'static str,
    pub messaging: Arc<dyn Messaging>,
    /// `None`: the installation's account.
    pub account: Option<ProviderAccountId>,
}

#[derive(Clone, Default)]
pub struct Carriers {
    senders: HashMap<Channel, Carrier>,
    webhooks: BTreeMap<&'static str, Arc<dyn Webhooks>>,
    voices: BTreeMap<&'static str, Arc<dyn Voice>>,
    /// The accounts of organizations. `None`: only the installation's own.
    accounts: Option<Arc<dyn AccountCarriers>>,
}

impl Carriers {
    /// Adds a carrier for channels. The first carrier that is added for a channel serves it.
    pub fn add(&mut self, channels: &[Channel], carrier: &Carrier) {
        for channel in channels {
            self.senders.entry(*channel).or_insert_with(|| carrier.clone());
        }
    }

    pub fn add_webhooks(&mut self, carrier: &'static str, webhooks: Arc<dyn Webhooks>) {
        self.webhooks.insert(carrier, webhooks);
    }

    /// Finds the webhooks of a connected carrier by its id.
    pub fn find_webhooks(&self, carrier: &str) -> Option<(&'static str, &Arc<dyn Webhooks>)> {
        self.webhooks
            .get_key_value(carrier)
            .map(|(id, webhooks)| (*id, webhooks))
    }

    /// Returns whether requests below this id are webhooks of a carrier: of the installation's account, or of organizations.
    pub fn is_carrier(&self, id: &str) -> bool {
        let is_vendor = |accounts: &Arc<dyn AccountCarriers>| accounts.is_vendor(id);
        self.webhooks.contains_key(id) || self.accounts.as_ref().is_some_and(is_vendor)
    }

    pub fn add_voice(&mut self, carrier: &'static str, voice: Arc<dyn Voice>) {
        self.voices.insert(carrier, voice);
    }

    /// Finds the calls of a connected carrier by its id.
    pub fn find_voice(&self, carrier: &str) -> Option<(&'static str, &Arc<dyn Voice>)> {
        self.voices.get_key_value(carrier).map(|(id, voice)| (*id, voice))
    }

    /// Sets where the accounts of organizations are found.
    pub fn set_accounts(&mut self, accounts: Arc<dyn AccountCarriers>) {
        self.accounts = Some(accounts);
    }

    pub fn accounts(&self) -> Option<&Arc<dyn AccountCarriers>> {
        self.accounts.as_ref()
    }

    /// Finds the carrier of a channel in an account; `None` stands for the installation's own account. With the version of the
    /// account, a cached adapter needs no query.
    pub async fn find_in(
        &self,
        channel: Channel,
        account: Option<(&ProviderAccountId, Option<i64>)>,
    ) -> Result<Option<Carrier>, StoreError> {
        let Some((account, version)) = account else {
            return Ok(self.find(channel).cloned());
        };
        let found = self.find_account(account, version).await?;
        Ok(found.and_then(|found| {
            Some(Carrier {
                id: found.vendor,
                messaging: found.messaging.clone()?,
                account: Some(found.account.clone()),
            })
        }))
    }

    /// Finds the webhooks of a carrier in an account.
    pub async fn find_webhooks_in(
        &self,
        carrier: &str,
        account: Option<&ProviderAccountId>,
    ) -> Result<Option<Arc<dyn Webhooks>>, StoreError> {
        let Some(account) = account else {
            return Ok(self.find_webhooks(carrier).map(|(_, webhooks)| webhooks.clone()));
        };
        let found = self.find_account(account, None).await?;
        Ok(found
            .filter(|found| found.vendor == carrier)
            .and_then(|found| found.webhooks.clone()))
    }

    /// Finds the calls of a carrier in an account.
    pub async fn find_voice_in(
        &self,
        carrier: &str,
        account: Option<&ProviderAccountId>,
    ) -> Result<Option<(&'static str, Arc<dyn Voice>)>, StoreError> {
        let Some(account) = account else {
            return Ok(self.find_voice(carrier).map(|(id, voice)| (id, voice.clone())));
        };
        let found = self.find_account(account, None).await?;
        Ok(found
            .filter(|found| found.vendor == carrier)
            .and_then(|found| Some((found.vendor, found.voice.clone()?))))
    }

    async fn find_account(
        &self,
        account: &ProviderAccountId,
        version: Option<i64>,
    ) -> Result<Option<Arc<AccountCarrier>>, StoreError> {
        match &self.accounts {
            Some(accounts) => accounts.find(account, version).await,
            None => Ok(None),
        }
    }

    /// Returns the AI services of the organization's accounts. Without the database, the installation's own are used.
    pub async fn services_of(&self, org: &OrgId) -> AccountServices {
        let Some(accounts) = &self.accounts else {
            return AccountServices::default();
        };
        accounts.services_of(org).await.unwrap_or_else(|error| {
            tracing::warn!(%error, %org, "accounts of an organization not read; the installation's services are used");
            AccountServices::default()
        })
    }

    /// The webhooks of every carrier.
    pub fn webhooks(&self) -> impl Iterator<Item = (&'static str, &Arc<dyn Webhooks>)> {
        self.webhooks.iter().map(|(id, webhooks)| (*id, webhooks))
    }

    pub fn find(&self, channel: Channel) -> Option<&Carrier> {
        self.senders.get(&channel)
    }

    /// Each carrier once, sorted by id, for the checks of `doctor`.
    pub fn all(&self) -> Vec<&Carrier> {
        let mut carriers: Vec<&Carrier> = self.senders.values().collect();
        carriers.sort_by_key(|carrier| carrier.id);
        carriers.dedup_by_key(|carrier| carrier.id);
        carriers
    }
}
