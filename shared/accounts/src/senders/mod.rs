//! Senders of organizations: bought, adopted, pooled, moved and released.
//!
//! - `account_choice`: the account at the vendor in which a number is bought;
//! - `channels`: what administrators add: a phone number, WhatsApp, a mail address;
//! - `order`: orders of numbers; `order_steps`: their steps, and how they are undone;
//! - `addresses`: the addresses of mail senders, and the URLs that a vendor gets;
//! - `mail`: mail addresses and mail domains;
//! - `whatsapp`: registrations of WhatsApp senders, and addresses of registered accounts;
//! - `release`: release with a hold, and the return of bought numbers to their vendor;
//! - `rents`: the rent of bought numbers after their first month;
//! - `webhook_checks`: webhooks that were changed at the vendor are noticed and repaired.

mod account_choice;
mod addresses;
mod channels;
mod mail;
mod order;
mod order_steps;
mod release;
mod rents;
mod stuck_orders;
#[cfg(test)]
mod tests;
mod webhook_checks;
mod whatsapp;

use std::{sync::Arc, time::Duration};

use butt_dial_billing::Billing;
use butt_dial_domain::{
    AgentId, Channel, ChannelId, Clock, Code, Failure, OrgId, Scope,
    ports::{
        bus::{Bus, Headers},
        numbers::{AvailableNumber, NumberError, NumberQuery},
    },
    senders::{IdentityMode, IsolationMode},
    subjects,
};
use butt_dial_identity::Caller;
use butt_dial_messaging::PublicUrls;
use butt_dial_store::{Change, Registration, Sender, SenderChange, SenderModes, Store};
use chrono::TimeDelta;
use serde_json::json;

use crate::{ProviderAccounts, audit::AuditLog};

pub use channels::{AddChannel, ChannelKind};
pub use order::NumberOrder;
pub(crate) use order::parse_number;
pub use order_steps::OrderedSender;
pub use webhook_checks::NumberCheck;

/// The vendor that sells numbers.
pub(crate) const NUMBER_VENDOR: &str = "twilio";
const MAX_LABEL: usize = butt_dial_domain::bounds::LABEL;
const MAX_SEARCH: u32 = butt_dial_domain::bounds::FOUND_NUMBERS;
/// Senders of an organization in one list.
const MAX_OF_ORG: u32 = 500;

/// The settings of the operator about senders.
#[derive(Clone, Debug)]
pub struct SenderSettings {
    pub identity: IdentityMode,
    pub isolation: IsolationMode,
    /// How long after its last message a sender of the pool serves an agent for a contact.
    pub pool_binding: TimeDelta,
    /// How long a released sender can be taken back.
    pub hold: Duration,
    /// Countries in which numbers may be bought, as two letters; empty: all.
    pub countries: Vec<String>,
    /// The domain of the agents' mail addresses. `None`: none are given.
    pub mail_domain: Option<String>,
}

/// Manages the senders of organizations. Cheap to clone.
#[derive(Clone)]
pub struct Senders {
    store: Store,
    accounts: ProviderAccounts,
    billing: Billing,
    bus: Arc<dyn Bus>,
    audit: AuditLog,
    clock: Clock,
    public_urls: PublicUrls,
    settings: Arc<SenderSettings>,
}

impl Senders {
    pub fn new(
        store: Store,
        accounts: ProviderAccounts,
        billing: Billing,
        bus: Arc<dyn Bus>,
        clock: Clock,
        public_urls: PublicUrls,
        settings: SenderSettings,
    ) -> Self {
        Self {
            audit: AuditLog::new(store.clone(), clock.clone()),
            store,
            accounts,
            billing,
            bus,
            clock,
            public_urls,
            settings: Arc::new(settings),
        }
    }

    /// Searches numbers that the organization can buy. `limit` is clamped to 1 to 50.
    pub async fn search(&self, caller: &Caller, query: NumberQuery) -> Result<Vec<AvailableNumber>, Failure> {
        caller.require(Scope::OrgAdmin)?;
        let org = caller.org()?;
        let query = NumberQuery {
            country: self.check_country(&query.country)?,
            limit: query.limit.clamp(1, MAX_SEARCH),
            ..query
        };
        let account = self.accounts.find_for(org, None, NUMBER_VENDOR).await?;
        let account = account.as_ref().map(|account| &account.id);
        let numbers = self.accounts.numbers(NUMBER_VENDOR, account).await?;
        let numbers = numbers.ok_or_else(no_number_vendor)?;
        numbers.search(&query).await.map_err(|error| match error {
            NumberError::NotFound => no_such_country(&query.country),
            error => failure_of(&error, "search numbers"),
        })
    }

    /// The public address of this installation.
    pub fn public_base(&self) -> Option<&str> {
        self.public_urls.base()
    }

    /// Lists the senders of an agent of the organization.
    pub async fn list(&self, org: &OrgId, agent: &AgentId) -> Result<Vec<Sender>, Failure> {
        Ok(self.store.list_senders(org, Some(agent)).await?)
    }

    /// Lists the senders of the organization's pool.
    pub async fn list_pool(&self, org: &OrgId) -> Result<Vec<Sender>, Failure> {
        Ok(self.store.list_senders(org, None).await?)
    }

    /// Lists the senders of the organization's agents and of its pool: the oldest 500.
    pub async fn list_of_org(&self, org: &OrgId) -> Result<Vec<Sender>, Failure> {
        Ok(self.store.list_senders_of_org(org, MAX_OF_ORG).await?)
    }

    /// Finds a sender in use by its id.
    pub async fn get(&self, caller: &Caller, id: &str) -> Result<Sender, Failure> {
        caller.require(Scope::OrgAdmin)?;
        let found = self.store.find_sender(caller.org()?, &ChannelId::from(id)).await?;
        found
            .filter(|sender| sender.released_at.is_none())
            .ok_or_else(no_such_sender)
    }

    /// Changes the label of a sender, pauses or resumes it, or makes it the primary one of its channel.
    pub async fn change(&self, caller: &Caller, id: &str, change: SenderChange<'_>) -> Result<Sender, Failure> {
        let sender = self.get(caller, id).await?;
        let label = change.label.map(str::trim);
        if label.is_some_and(|label| label.chars().count() > MAX_LABEL || label.chars().any(char::is_control)) {
            let text = format!("label is one line of up to {MAX_LABEL} characters");
            return Err(Failure::new(Code::InvalidArgument, text).detail("fields", json!(["label"])));
        }
        let resumes = change.paused == Some(false);
        if resumes && sender.registration.is_some_and(|state| state != Registration::Done) {
            return Err(Failure::new(
                Code::ChannelUnavailable,
                "the vendor has not completed the registration of this sender",
            )
            .on(sender.channel));
        }
        let change = SenderChange { label, ..change };
        let detail = json!({ "label": label, "paused": change.paused, "primary": change.primary });
        let recorded = self.change_of(caller, "sender.change", sender.id.as_str(), detail)?;
        if !recorded.change_sender(&sender.org, &sender, change).await? {
            return Err(no_such_sender());
        }
        self.announce(&sender.address, [sender.channel]).await;
        self.get(caller, id).await
    }

    /// Sets the identity of the organization's agents, and the accounts that it uses.
    pub async fn set_modes(
        &self,
        caller: &Caller,
        identity: Option<IdentityMode>,
        isolation: Option<IsolationMode>,
    ) -> Result<(), Failure> {
        caller.require(Scope::OrgAdmin)?;
        let modes = SenderModes { identity, isolation };
        let org = caller.org()?;
        let detail = json!({ "identity": identity.map(<&str>::from), "isolation": isolation.map(<&str>::from) });
        let change = self.change_of(caller, "organization.sender_modes", org.as_str(), detail)?;
        Ok(change.set_sender_modes(org, modes).await?)
    }

    /// Sets who an agent sends as.
    pub async fn set_agent_identity(
        &self,
        caller: &Caller,
        agent: &AgentId,
        mode: IdentityMode,
    ) -> Result<(), Failure> {
        let detail = json!({ "identity": <&str>::from(mode) });
        let change = self.change_of(caller, "agent.identity", agent.as_str(), detail)?;
        Ok(change.set_agent_identity(caller.org()?, agent, mode).await?)
    }

    /// Returns who an agent sends as.
    pub async fn identity_of(&self, org: &OrgId, agent: Option<&AgentId>) -> Result<IdentityMode, Failure> {
        let modes = self.store.find_sender_modes(org, agent).await?;
        Ok(modes.identity.unwrap_or(self.settings.identity))
    }

    /// Checks that numbers of a country may be bought. Returns it in upper case.
    fn check_country(&self, country: &str) -> Result<String, Failure> {
        let country = country.trim().to_ascii_uppercase();
        if country.len() != 2 || !country.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(
                Failure::new(Code::InvalidArgument, "country is two letters (ISO 3166-1), such as US")
                    .detail("fields", json!(["country"])),
            );
        }
        let allowed = &self.settings.countries;
        if !allowed.is_empty() && !allowed.contains(&country) {
            return Err(Failure::new(
                Code::AuthForbidden,
                format!("numbers of {country} may not be bought here"),
            )
            .hint(format!("allowed countries: {}", allowed.join(", "))));
        }
        Ok(country)
    }

    /// Announces to all replicas that the owner of an address has changed.
    async fn announce(&self, address: &str, channels: impl IntoIterator<Item = Channel>) {
        for channel in channels {
            let payload = format!("{channel} {address}").into();
            let published = self.bus.publish(subjects::ROUTE_CHANGED, Headers::new(), payload);
            if let Err(error) = published.await {
                // The periodic refresh of the routes finds it.
                tracing::warn!(%error, %channel, "changed route not announced");
            }
        }
    }

    /// Begins a change of the store by the caller.
    fn change_of(
        &self,
        caller: &Caller,
        action: &'static str,
        target: &str,
        detail: serde_json::Value,
    ) -> Result<Change, Failure> {
        let actor = caller.principal.token.as_str();
        Ok(self.audit.change(caller.org()?, actor, action, target, detail))
    }

    async fn record(
        &self,
        caller: &Caller,
        action: &'static str,
        target: &str,
        detail: serde_json::Value,
    ) -> Result<(), Failure> {
        let actor = caller.principal.token.as_str();
        self.audit.append(caller.org()?, actor, action, target, detail).await
    }
}

pub(crate) fn no_number_vendor() -> Failure {
    Failure::new(Code::NotSupported, "no provider that sells numbers is configured")
        .hint("register a Twilio account, or ask the operator of this installation")
}

fn no_such_country(country: &str) -> Failure {
    Failure::new(
        Code::NotSupported,
        format!("the provider sells no such numbers in {country}"),
    )
    .hint("choose another country or type of number")
}

fn no_such_sender() -> Failure {
    Failure::new(Code::NotFound, "your organization has no sender with this id")
}

/// Explains an error of the vendor.
pub(crate) fn failure_of(error: &NumberError, doing: &str) -> Failure {
    match error {
        NumberError::Unavailable => {
            Failure::new(Code::NumberUnavailable, "the number is not available any more").hint("choose another number")
        }
        NumberError::NotFound => Failure::new(Code::NotFound, "the provider account does not have this number"),
        NumberError::Refused(code) => Failure::new(Code::ProviderRefused, format!("the provider refused to {doing}"))
            .detail("providerCode", code.clone()),
        NumberError::Unauthorized => Failure::new(
            Code::ProviderMisconfigured,
            "the provider refuses the credentials of this account",
        )
        .hint("register the provider again with valid credentials"),
        NumberError::Unreachable => Failure::unavailable("the provider is not reachable right now"),
        NumberError::Unknown => {
            Failure::unavailable("the provider did not answer; what it was asked may have happened")
        }
    }
}
