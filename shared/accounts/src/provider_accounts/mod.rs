//! Accounts of organizations at vendors: registered at run time, verified with the vendor before they are used, encrypted, and
//! shown without their secrets. `credentials` reads and seals them, `adapters` connects them, `subaccounts` creates and closes
//! those of the installation's own account.

mod adapters;
mod credentials;
mod subaccounts;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use butt_dial_domain::{
    AgentId, Clock, Code, Failure, OrgId, ProviderAccountId, Scope,
    ports::{
        mail_domains::MailDomains,
        numbers::{Numbers, Subaccounts, WhatsappSenders},
        registrations::NumberRegistrations,
    },
};
use butt_dial_identity::Caller;
use butt_dial_messaging::AccountCarrier;
use butt_dial_providers::{Credentials, Vendor};
use butt_dial_store::{AccountStatus, Change, NewProviderAccount, ProviderAccount, Store, StoreError};
use butt_dial_vault::Vault;
use moka::sync::Cache;
use serde_json::json;

use self::credentials::{external_id, find_vendor, secondary_fields, verify};
use crate::audit::AuditLog;

/// Adapters in memory. Each holds its credentials and shares the HTTP client.
const MAX_ADAPTERS: u64 = 20_000;
const MAX_LABEL: usize = butt_dial_domain::bounds::LABEL;

/// The installation's own connection to a vendor.
#[derive(Clone)]
pub struct OwnVendor {
    pub endpoint: String,
    pub numbers: Option<Arc<dyn Numbers>>,
    pub subaccounts: Option<Arc<dyn Subaccounts>>,
    pub whatsapp_senders: Option<Arc<dyn WhatsappSenders>>,
    pub registrations: Option<Arc<dyn NumberRegistrations>>,
    pub mail_domains: Option<Arc<dyn MailDomains>>,
}

/// A registered account as administrators see it. Secrets are never shown again.
pub struct AccountView {
    pub id: ProviderAccountId,
    pub vendor: String,
    pub label: String,
    pub external_id: String,
    pub status: AccountStatus,
    pub failure: Option<String>,
    /// The names of its fields, with the values of those that are not secret.
    pub fields: BTreeMap<&'static str, String>,
    pub is_subaccount: bool,
}

/// A request to register an account.
pub struct NewAccount<'a> {
    pub vendor: &'a str,
    pub credentials: &'a BTreeMap<String, String>,
    pub label: Option<&'a str>,
    /// False: stored, but not used until a later registration verifies it.
    pub verify: bool,
}

/// Manages the accounts of organizations at vendors, and connects them. Cheap to clone.
#[derive(Clone)]
pub struct ProviderAccounts {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    vault: Vault,
    clock: Clock,
    audit: AuditLog,
    http: reqwest::Client,
    /// For each request to a vendor.
    deadline: Duration,
    /// The installation's own connections, by vendor.
    own: BTreeMap<&'static str, OwnVendor>,
    adapters: Cache<(ProviderAccountId, i64), Arc<AccountCarrier>>,
}

impl ProviderAccounts {
    pub fn new(
        store: Store,
        vault: Vault,
        clock: Clock,
        http: reqwest::Client,
        deadline: Duration,
        own: BTreeMap<&'static str, OwnVendor>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                audit: AuditLog::new(store.clone(), clock.clone()),
                store,
                vault,
                clock,
                http,
                deadline,
                own,
                adapters: Cache::builder().max_capacity(MAX_ADAPTERS).build(),
            }),
        }
    }

    /// Registers an account, or replaces the credentials of a registered one. The former secret stays valid for webhooks until
    /// the next replacement, because the vendor may still sign with it. Fails with `ProviderMisconfigured` if the vendor refuses
    /// the credentials; nothing is stored then.
    pub async fn register(&self, caller: &Caller, new: NewAccount<'_>) -> Result<AccountView, Failure> {
        caller.require(Scope::OrgAdmin)?;
        let org = caller.org()?;
        let vendor = find_vendor(new.vendor)?;
        let label = clean_label(new.label, vendor)?;
        let credentials = self.read(vendor, new.credentials)?;
        let connected = self.connect(vendor, &credentials)?;
        if new.verify {
            verify(vendor, &connected).await?;
        }
        let external_id = external_id(vendor, &credentials);
        let known = self.inner.store.list_provider_accounts(org).await?;
        let known = known
            .into_iter()
            .find(|account| account.vendor == vendor.manifest.id && account.external_id == external_id);
        let actor = caller.principal.token.as_str();
        let detail = json!({ "vendor": vendor.manifest.id, "verified": new.verify });
        let change = self.inner.audit.change(org, actor, "provider.register", "", detail);
        let id = match known {
            Some(known) if new.verify => self.replace(change, &known, vendor, credentials).await?,
            Some(_) => {
                return Err(
                    Failure::new(Code::AlreadyExists, "your organization has registered this account")
                        .hint("leave autoVerify out to replace its credentials"),
                );
            }
            None => {
                let (verified, is_subaccount) = (new.verify, false);
                self.store_new(
                    change,
                    org,
                    None,
                    vendor,
                    &external_id,
                    &label,
                    &credentials,
                    verified,
                    is_subaccount,
                )
                .await?
            }
        };
        self.get(org, &id).await
    }

    async fn replace(
        &self,
        change: Change,
        known: &ProviderAccount,
        vendor: &'static Vendor,
        mut credentials: Credentials,
    ) -> Result<ProviderAccountId, Failure> {
        // Vendors with a second secret accept the former one during a rotation.
        let former = self.open(known, vendor)?;
        for (name, secondary) in secondary_fields(vendor) {
            let (new, old) = (credentials.find(name), former.find(name));
            if let (Some(new), Some(old)) = (new, old)
                && new.expose() != old.expose()
                && credentials.find(secondary).is_none()
            {
                credentials = credentials.with(secondary, old.expose());
            }
        }
        let sealed = self.seal(&known.org_id, &known.id, &credentials);
        let now = self.inner.clock.now();
        let replaced = change
            .of(known.id.as_str())
            .replace_credentials(&known.id, known.version, &sealed, now)
            .await?;
        match replaced {
            true => Ok(known.id.clone()),
            false => Err(
                Failure::new(Code::Conflict, "someone else changed this account at the same time")
                    .hint("read it again, and repeat the change if it is still needed"),
            ),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "each is one column")]
    async fn store_new(
        &self,
        change: Change,
        org: &OrgId,
        agent: Option<&AgentId>,
        vendor: &'static Vendor,
        external_id: &str,
        label: &str,
        credentials: &Credentials,
        is_verified: bool,
        is_subaccount: bool,
    ) -> Result<ProviderAccountId, Failure> {
        let id = ProviderAccountId::generate();
        let sealed = self.seal(org, &id, credentials);
        let account = NewProviderAccount {
            id: &id,
            org,
            agent,
            vendor: vendor.manifest.id,
            external_id,
            label,
            credentials: &sealed,
            status: match is_verified {
                true => AccountStatus::Active,
                false => AccountStatus::Unverified,
            },
            is_subaccount,
        };
        let change = change.of(id.as_str());
        let stored = change.create_provider_account(&account, self.inner.clock.now());
        stored.await.map_err(|error| match error {
            StoreError::Conflict => {
                Failure::new(Code::Conflict, "someone else registered this account at the same time")
            }
            other => other.into(),
        })?;
        Ok(id)
    }

    /// Lists the organization's accounts, oldest first.
    pub async fn list(&self, caller: &Caller) -> Result<Vec<AccountView>, Failure> {
        caller.require(Scope::OrgAdmin)?;
        let accounts = self.inner.store.list_provider_accounts(caller.org()?).await?;
        accounts.iter().map(|account| self.view(account)).collect()
    }

    /// Removes an account that no sender uses. Its credentials are deleted.
    pub async fn remove(&self, caller: &Caller, id: &str) -> Result<(), Failure> {
        caller.require(Scope::OrgAdmin)?;
        let org = caller.org()?;
        let account = self.get(org, &ProviderAccountId::from(id)).await?;
        let actor = caller.principal.token.as_str();
        let change = self
            .inner
            .audit
            .change(org, actor, "provider.remove", account.id.as_str(), json!({}));
        if !change.delete_provider_account(org, &account.id).await? {
            return Err(
                Failure::new(Code::Conflict, "senders use this account").hint("release or move its senders first")
            );
        }
        Ok(())
    }

    async fn get(&self, org: &OrgId, id: &ProviderAccountId) -> Result<AccountView, Failure> {
        let found = self.inner.store.find_provider_account(id).await?;
        let found = found.filter(|account| account.org_id == *org);
        let unknown = || Failure::new(Code::NotFound, "your organization has no provider account with this id");
        self.view(&found.ok_or_else(unknown)?)
    }
}

fn clean_label(label: Option<&str>, vendor: &Vendor) -> Result<String, Failure> {
    let label = label.map_or(vendor.manifest.title, str::trim);
    if label.is_empty() || label.chars().count() > MAX_LABEL || label.chars().any(char::is_control) {
        let text = format!("label is one line of 1 to {MAX_LABEL} characters");
        return Err(Failure::new(Code::InvalidArgument, text).detail("fields", json!(["label"])));
    }
    Ok(label.to_owned())
}
