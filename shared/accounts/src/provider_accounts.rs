//! Accounts of organizations at vendors: registered at run time, verified with the vendor before they are used, encrypted, and
//! shown without their secrets.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use butt_dial_domain::{
    AgentId, Clock, Code, Failure, OrgId, ProviderAccountId, Scope,
    ports::{
        carrier::Messaging,
        numbers::{NumberError, Numbers, Subaccount, SubaccountStatus, Subaccounts, WhatsappSenders},
        webhook::WebhookRequest,
    },
};
use butt_dial_identity::Caller;
use butt_dial_messaging::{AccountCarrier, AccountCarriers, AccountServices};
use butt_dial_providers::{Connected, Credentials, UnreadableAccount, VENDORS, Vendor};
use butt_dial_store::{AccountStatus, NewProviderAccount, ProviderAccount, Store, StoreError};
use butt_dial_vault::Vault;
use moka::sync::Cache;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::audit::AuditLog;

/// Adapters in memory. Each holds its credentials and shares the HTTP client.
const MAX_ADAPTERS: u64 = 20_000;
const MAX_LABEL: usize = 100;
const MAX_FIELD: usize = 4_096;
/// Failing accounts that one sweep checks.
const CHECK_BATCH: u32 = 100;

/// The installation's own connection to a vendor.
#[derive(Clone)]
pub struct OwnVendor {
    pub endpoint: String,
    pub numbers: Option<Arc<dyn Numbers>>,
    pub subaccounts: Option<Arc<dyn Subaccounts>>,
    pub whatsapp_senders: Option<Arc<dyn WhatsappSenders>>,
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
        let id = match known {
            Some(known) if new.verify => self.replace(&known, vendor, credentials).await?,
            Some(_) => {
                return Err(
                    Failure::new(Code::AlreadyExists, "your organization has registered this account")
                        .hint("leave autoVerify out to replace its credentials"),
                );
            }
            None => {
                let (verified, is_subaccount) = (new.verify, false);
                self.store_new(
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
        let actor = caller.principal.token.as_str();
        let detail = json!({ "vendor": vendor.manifest.id, "verified": new.verify });
        self.inner
            .audit
            .append(org, actor, "provider.register", id.as_str(), detail)
            .await?;
        self.get(org, &id).await
    }

    async fn replace(
        &self,
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
        let replaced = self
            .inner
            .store
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
        let stored = self
            .inner
            .store
            .create_provider_account(&account, self.inner.clock.now());
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
        if !self.inner.store.delete_provider_account(org, &account.id).await? {
            return Err(
                Failure::new(Code::Conflict, "senders use this account").hint("release or move its senders first")
            );
        }
        let actor = caller.principal.token.as_str();
        self.inner
            .audit
            .append(org, actor, "provider.remove", account.id.as_str(), json!({}))
            .await
    }

    async fn get(&self, org: &OrgId, id: &ProviderAccountId) -> Result<AccountView, Failure> {
        let found = self.inner.store.find_provider_account(id).await?;
        let found = found.filter(|account| account.org_id == *org);
        let unknown = || Failure::new(Code::NotFound, "your organization has no provider account with this id");
        self.view(&found.ok_or_else(unknown)?)
    }

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

    pub(crate) fn subaccounts(&self, vendor: &str) -> Option<Arc<dyn Subaccounts>> {
        self.inner.own.get(vendor)?.subaccounts.clone()
    }

    /// Stores a subaccount that the installation's account has created. Returns the stored one if it is known.
    pub(crate) async fn adopt_subaccount(
        &self,
        org: &OrgId,
        agent: Option<&AgentId>,
        vendor: &'static Vendor,
        subaccount: &Subaccount,
    ) -> Result<ProviderAccountId, Failure> {
        let known = self.inner.store.list_provider_accounts(org).await?;
        let known = known
            .into_iter()
            .find(|account| account.vendor == vendor.manifest.id && account.external_id == subaccount.id);
        if let Some(known) = known {
            return Ok(known.id);
        }
        let given = BTreeMap::from([
            ("account_sid".to_owned(), subaccount.id.clone()),
            ("auth_token".to_owned(), subaccount.token.clone()),
        ]);
        let credentials = self.read(vendor, &given)?;
        self.store_new(
            org,
            agent,
            vendor,
            &subaccount.id,
            "Subaccount",
            &credentials,
            true,
            true,
        )
        .await
    }

    /// Closes the subaccounts of an organization at their vendors. A closed subaccount can't be opened again.
    pub(crate) async fn close_subaccounts(&self, org: &OrgId) -> Result<(), Failure> {
        let accounts = self.inner.store.list_provider_accounts(org).await?;
        let open = accounts
            .into_iter()
            .filter(|account| account.is_subaccount && account.status != AccountStatus::Closed);
        for account in open {
            let Some(subaccounts) = self.subaccounts(&account.vendor) else {
                continue;
            };
            match subaccounts
                .set_status(&account.external_id, SubaccountStatus::Closed)
                .await
            {
                Ok(()) | Err(NumberError::NotFound) => {}
                Err(error) => {
                    tracing::warn!(%error, account = %account.id, "subaccount not closed");
                    return Err(Failure::unavailable("the provider did not close a subaccount"));
                }
            }
            let now = self.inner.clock.now();
            self.inner
                .store
                .set_account_status(&account.id, AccountStatus::Closed, None, now)
                .await?;
        }
        Ok(())
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
            services: AccountServices {
                model: connected.model,
                speech: connected.speech,
                transcription: connected.transcription,
            },
        });
        self.inner.adapters.insert(key, adapter.clone());
        Some(adapter)
    }

    fn read(&self, vendor: &'static Vendor, given: &BTreeMap<String, String>) -> Result<Credentials, Failure> {
        let own = self.inner.own.get(vendor.manifest.id);
        let endpoint = own.map_or(vendor.manifest.default_endpoint, |own| own.endpoint.as_str());
        if given
            .values()
            .any(|value| value.len() > MAX_FIELD || value.chars().any(char::is_control))
        {
            let text = format!("each field of credentials is one line of up to {MAX_FIELD} bytes");
            return Err(Failure::new(Code::InvalidArgument, text).detail("fields", json!(["credentials"])));
        }
        vendor.read_account(endpoint, given).map_err(|error| match error {
            UnreadableAccount::Unknown(name) => {
                let known: Vec<&str> = vendor.manifest.credentials.iter().map(|field| field.env).collect();
                let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
                Failure::new(
                    Code::InvalidArgument,
                    format!("{} has no field {name}", vendor.manifest.title),
                )
                .hint(format!("its fields are {}", known.join(", ")))
                .detail("fields", json!(["credentials"]))
            }
            UnreadableAccount::Missing(missing) => {
                Failure::new(Code::MissingFields, format!("credentials lack {}", missing.join(", ")))
                    .detail("fields", json!(missing))
            }
        })
    }

    fn connect(&self, vendor: &'static Vendor, credentials: &Credentials) -> Result<Connected, Failure> {
        let inner = &self.inner;
        (vendor.connect)(credentials, &inner.http, inner.deadline)
            .map_err(|text| Failure::new(Code::InvalidArgument, text).detail("fields", json!(["credentials"])))
    }

    fn seal(&self, org: &OrgId, id: &ProviderAccountId, credentials: &Credentials) -> Vec<u8> {
        let values: BTreeMap<&str, &str> = credentials
            .names()
            .filter_map(|name| Some((name, credentials.find(name)?.expose())))
            .collect();
        // Strings only, so serialization cannot fail.
        let plain = serde_json::to_vec(&values).unwrap_or_default();
        self.inner.vault.encrypt(org, id.as_str(), &plain)
    }

    fn open(&self, account: &ProviderAccount, vendor: &'static Vendor) -> Result<Credentials, Failure> {
        let plain = self
            .inner
            .vault
            .decrypt(&account.org_id, account.id.as_str(), &account.credentials);
        let values: Option<BTreeMap<String, String>> = plain.ok().and_then(|plain| serde_json::from_slice(&plain).ok());
        let values = values.ok_or_else(|| {
            tracing::error!(account = %account.id, "credentials of a provider account not readable");
            Failure::internal()
        })?;
        self.read(vendor, &values)
    }

    fn view(&self, account: &ProviderAccount) -> Result<AccountView, Failure> {
        let vendor = find_vendor(&account.vendor)?;
        let credentials = self.open(account, vendor)?;
        let fields = vendor.manifest.credentials.iter().filter_map(|field| {
            let value = credentials.find(field.env)?;
            let shown = match field.secret {
                true => "***".to_owned(),
                false => value.expose().to_owned(),
            };
            Some((field.env, shown))
        });
        Ok(AccountView {
            fields: fields.collect(),
            id: account.id.clone(),
            vendor: account.vendor.clone(),
            label: account.label.clone(),
            external_id: account.external_id.clone(),
            status: account.status,
            failure: account.failure.clone(),
            is_subaccount: account.is_subaccount,
        })
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
                    let failing = store.set_account_status(account, AccountStatus::Failing, Some(&reason), now);
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

/// Returns a vendor with accounts of organizations.
fn find_vendor(id: &str) -> Result<&'static Vendor, Failure> {
    let wanted = id.trim().to_ascii_lowercase();
    match butt_dial_providers::find(&wanted) {
        Some(vendor) => Ok(vendor),
        None => {
            let names: Vec<&str> = VENDORS.iter().map(|vendor| vendor.manifest.id).collect();
            let shown: String = wanted.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
            Err(Failure::new(
                Code::ProviderUnsupported,
                format!("accounts of {shown} can't be registered here"),
            )
            .hint(format!("supported providers: {}", names.join(", ")))
            .detail("provider", shown)
            .detail("action", "register_provider"))
        }
    }
}

/// Makes a cheap authenticated request with one of the adapters of an account.
async fn check(messaging: Option<&Arc<dyn Messaging>>, services: &AccountServices) -> Result<(), String> {
    if let Some(messaging) = messaging {
        return messaging.check().await;
    }
    if let Some(model) = &services.model {
        return model.check().await;
    }
    if let Some(speech) = &services.speech {
        return speech.check().await;
    }
    match &services.transcription {
        Some(transcription) => transcription.check().await,
        None => Ok(()),
    }
}

/// Asks the vendor whether it accepts the credentials.
async fn verify(vendor: &Vendor, connected: &Connected) -> Result<(), Failure> {
    let services = AccountServices {
        model: connected.model.clone(),
        speech: connected.speech.clone(),
        transcription: connected.transcription.clone(),
    };
    check(connected.messaging.as_ref(), &services).await.map_err(|reason| {
        Failure::new(Code::ProviderMisconfigured, reason)
            .hint("nothing was stored; correct the credentials and register the provider again")
            .detail("provider", vendor.manifest.id)
    })
}

/// The fields that have a second value during a rotation.
fn secondary_fields(vendor: &Vendor) -> impl Iterator<Item = (&'static str, &'static str)> {
    let fields = vendor.manifest.credentials;
    fields.iter().filter_map(move |field| {
        let secondary = fields
            .iter()
            .find(|other| other.env.strip_suffix("_SECONDARY") == Some(field.env))?;
        Some((field.env, secondary.env))
    })
}

/// Returns the vendor's id of the account; for vendors without one, a value that identifies the secret and does not reveal it.
fn external_id(vendor: &Vendor, credentials: &Credentials) -> String {
    let named = vendor
        .accounts
        .as_ref()
        .and_then(|naming| credentials.find(naming.setting));
    if let Some(named) = named {
        return named.expose().to_owned();
    }
    let required = vendor.manifest.credentials.iter().filter(|field| field.required);
    let mut hash = Sha256::new();
    for value in required.filter_map(|field| credentials.find(field.env)) {
        hash.update(value.expose().as_bytes());
        hash.update([0]);
    }
    hex::encode(&hash.finalize()[..16])
}

fn clean_label(label: Option<&str>, vendor: &Vendor) -> Result<String, Failure> {
    let label = label.map_or(vendor.manifest.title, str::trim);
    if label.is_empty() || label.chars().count() > MAX_LABEL || label.chars().any(char::is_control) {
        let text = format!("label is one line of 1 to {MAX_LABEL} characters");
        return Err(Failure::new(Code::InvalidArgument, text).detail("fields", json!(["label"])));
    }
    Ok(label.to_owned())
}
