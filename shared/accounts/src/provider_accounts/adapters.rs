//! The adapters of accounts, cached by account and version: a changed account has another version, so that no replica uses an old
//! adapter once it has read the account.

use std::sync::Arc;

use async_trait::async_trait;
use butt_dial_domain::{
    AgentId, Failure, OrgId, ProviderAccountId,
    ports::{
        mail_domains::MailDomains,
        numbers::{Numbers, WhatsappSenders},
        registrations::NumberRegistrations,
        webhook::WebhookRequest,
    },
};
use butt_dial_messaging::{AccountCarrier, AccountCarriers, AccountServices};
use butt_dial_store::{AccountStatus, ProviderAccount, StoreError};
use serde_json::json;

use super::{ProviderAccounts, credentials::check};
use crate::audit::SYSTEM;

/// Failing accounts that one sweep checks.
const CHECK_BATCH: u32 = 100;

impl ProviderAccounts {
    /// Returns the organization's account at a vendor: the one of the agent, otherwise the first one that is usable.
    pub(crate) async fn find_for(
        &self,
        org: &OrgId,
        agent: Option<&AgentId>,
        vendor: &str,
    ) -> Result<Option<ProviderAccount>, Failure> {
        let accounts = self.inner.store.list_provider_accounts(org).await?;
        let usable = |account: &&ProviderAccount| {
            account.vendor == vendor && matches!(account.status, AccountStatus::Active | AccountStatus::Failing)
        };
        let mut usable: Vec<&ProviderAccount> = accounts.iter().filter(usable).collect();
        let is_of = |account: &ProviderAccount| account.agent_id.as_deref() == agent.map(AgentId::as_str);
        usable.retain(|account| account.agent_id.is_none() || is_of(account));
        usable.sort_by_key(|account| account.agent_id.is_none());
        Ok(usable.first().map(|account| (*account).clone()))
    }

    /// Returns the numbers of an account; `None` stands for the installation's own account.
    pub(crate) async fn numbers(
        &self,
        vendor: &str,
        account: Option<&ProviderAccountId>,
    ) -> Result<Option<Arc<dyn Numbers>>, Failure> {
        match account {
            None => Ok(self.inner.own.get(vendor).and_then(|own| own.numbers.clone())),
            Some(account) => {
                let found = AccountCarriers::find(self, account, None).await?;
                Ok(found.and_then(|found| found.numbers.clone()))
            }
        }
    }

    /// Returns the WhatsApp senders of an account; `None` stands for the installation's own account.
    pub(crate) async fn whatsapp_senders(
        &self,
        vendor: &str,
        account: Option<&ProviderAccountId>,
    ) -> Result<Option<Arc<dyn WhatsappSenders>>, Failure> {
        match account {
            None => Ok(self.inner.own.get(vendor).and_then(|own| own.whatsapp_senders.clone())),
            Some(account) => {
                let found = AccountCarriers::find(self, account, None).await?;
                Ok(found.and_then(|found| found.whatsapp_senders.clone()))
            }
        }
    }

    /// Returns the registrations of an account; `None` stands for the installation's own account.
    pub(crate) async fn registrations(
        &self,
        vendor: &str,
        account: Option<&ProviderAccountId>,
    ) -> Result<Option<Arc<dyn NumberRegistrations>>, Failure> {
        match account {
            None => Ok(self.inner.own.get(vendor).and_then(|own| own.registrations.clone())),
            Some(account) => {
                let found = AccountCarriers::find(self, account, None).await?;
                Ok(found.and_then(|found| found.registrations.clone()))
            }
        }
    }

    /// Returns the mail domains of an account; `None` stands for the installation's own account.
    pub(crate) async fn mail_domains(
        &self,
        vendor: &str,
        account: Option<&ProviderAccountId>,
    ) -> Result<Option<Arc<dyn MailDomains>>, Failure> {
        match account {
            None => Ok(self.inner.own.get(vendor).and_then(|own| own.mail_domains.clone())),
            Some(account) => {
                let found = AccountCarriers::find(self, account, None).await?;
                Ok(found.and_then(|found| found.mail_domains.clone()))
            }
        }
    }

    /// Checks the accounts that are failing, so that they are used normally again once their vendor accepts them.
    pub async fn recheck_failing(&self) -> Result<usize, Failure> {
        let failing = self.inner.store.list_failing_accounts(CHECK_BATCH).await?;
        for account in &failing {
            self.check_credentials(&account.id).await;
        }
        Ok(failing.len())
    }

    /// Connects an account that was read from the database, or returns the adapter of this version.
    fn adapter(&self, account: &ProviderAccount) -> Option<Arc<AccountCarrier>> {
        if !matches!(account.status, AccountStatus::Active | AccountStatus::Failing) {
            return None;
        }
        let key = (account.id.clone(), account.version);
        if let Some(found) = self.inner.adapters.get(&key) {
            return Some(found);
        }
        let vendor = butt_dial_providers::find(&account.vendor)?;
        let connected = self
            .open(account, vendor)
            .and_then(|credentials| self.connect(vendor, &credentials))
            .inspect_err(|failure| tracing::error!(%failure, account = %account.id, "provider account not usable"))
            .ok()?;
        let adapter = Arc::new(AccountCarrier {
            account: account.id.clone(),
            org: account.org_id.clone(),
            vendor: vendor.manifest.id,
            external_id: account.external_id.clone(),
            messaging: connected.messaging,
            webhooks: connected.webhooks,
            voice: connected.voice,
            numbers: connected.numbers,
            whatsapp_senders: connected.whatsapp_senders,
            registrations: connected.registrations,
            mail_domains: connected.mail_domains,
            services: AccountServices {
                model: connected.model,
                speech: connected.speech,
                transcription: connected.transcription,
            },
        });
        self.inner.adapters.insert(key, adapter.clone());
        Some(adapter)
    }
}

#[async_trait]
impl AccountCarriers for ProviderAccounts {
    fn is_vendor(&self, id: &str) -> bool {
        butt_dial_providers::find(id).is_some_and(|vendor| vendor.manifest.is_carrier())
    }

    async fn find(
        &self,
        account: &ProviderAccountId,
        version: Option<i64>,
    ) -> Result<Option<Arc<AccountCarrier>>, StoreError> {
        let cached = version.and_then(|version| self.inner.adapters.get(&(account.clone(), version)));
        if cached.is_some() {
            return Ok(cached);
        }
        let found = self.inner.store.find_provider_account(account).await?;
        Ok(found.and_then(|account| self.adapter(&account)))
    }

    async fn named_by(&self, vendor: &str, request: &WebhookRequest) -> Result<Vec<Arc<AccountCarrier>>, StoreError> {
        let naming = butt_dial_providers::find(vendor).and_then(|vendor| vendor.accounts.as_ref());
        let Some(external_id) = naming.and_then(|naming| (naming.of_request)(request)) else {
            return Ok(Vec::new());
        };
        let found = self
            .inner
            .store
            .list_accounts_by_external_id(vendor, &external_id)
            .await?;
        Ok(found.iter().filter_map(|account| self.adapter(account)).collect())
    }

    async fn services_of(&self, org: &OrgId) -> Result<AccountServices, StoreError> {
        let accounts = self.inner.store.list_provider_accounts(org).await?;
        let mut services = AccountServices::default();
        for adapter in accounts.iter().filter_map(|account| self.adapter(account)) {
            let of_account = &adapter.services;
            services.model = services.model.or_else(|| of_account.model.clone());
            services.speech = services.speech.or_else(|| of_account.speech.clone());
            services.transcription = services.transcription.or_else(|| of_account.transcription.clone());
        }
        Ok(services)
    }

    async fn check_credentials(&self, account: &ProviderAccountId) {
        let (store, now) = (&self.inner.store, self.inner.clock.now());
        let checked = async {
            let Some(found) = AccountCarriers::find(self, account, None).await? else {
                return Ok(());
            };
            match check(found.messaging.as_ref(), &found.services).await {
                Ok(()) => store.note_working_account(account, now).await.map(drop),
                Err(reason) => {
                    let detail = json!({ "status": "failing" });
                    let change =
                        self.inner
                            .audit
                            .change(&found.org, SYSTEM, "provider.status", account.as_str(), detail);
                    let failing = change.set_account_status(account, AccountStatus::Failing, Some(&reason), now);
                    if failing.await? {
                        tracing::warn!(%account, vendor = found.vendor, "provider account failing: the vendor refuses its credentials");
                    }
                    Ok(())
                }
            }
        };
        let checked: Result<(), StoreError> = checked.await;
        if let Err(error) = checked {
            tracing::warn!(%error, %account, "credentials of a provider account not checked");
        }
    }
}
