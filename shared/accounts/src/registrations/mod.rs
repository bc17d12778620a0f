//! Registrations of US numbers: the brand of an organization, its campaign, and its toll-free numbers. Each is stored before its
//! request to the vendor and continued by a sweep: one that was created without an answer is found again, never created twice.
//!
//! - `data`: the data of a registration, checked as the vendor does;
//! - `review`: the steps at the vendor, and the sweep;
//! - `requirements`: the registrations that a number needs, shown before it is bought.

mod data;
mod requirements;
mod review;

use std::sync::Arc;

use butt_dial_domain::{
    AgentId, Clock, Code, Failure, NumberRegistrationId, OrgId, ProviderAccountId, Scope,
    ports::{
        numbers::NumberError,
        registrations::{NumberRegistrations, RegistrationKey, RegistrationKind},
    },
    senders::is_tollfree,
};
use butt_dial_identity::Caller;
use butt_dial_store::{NumberRegistration, ReviewStatus, Store, StoreError};
use butt_dial_vault::Vault;
use serde_json::{Value, json};

use self::review::{LEASE, Stop};
pub use self::{
    data::RegistrationData,
    requirements::{Requirement, requirements_of},
};
use crate::{
    ProviderAccounts, Senders,
    audit::AuditLog,
    senders::{NUMBER_VENDOR, failure_of, no_number_vendor},
};

/// The subject of a brand or campaign in the installation's own account.
const OWN_ACCOUNT: &str = "own";

/// A registration as administrators see it.
pub struct RegistrationView {
    pub stored: NumberRegistration,
    pub data: RegistrationData,
}

/// Manages registrations of US numbers. Cheap to clone.
#[derive(Clone)]
pub struct Registrations {
    store: Store,
    vault: Vault,
    clock: Clock,
    accounts: ProviderAccounts,
    senders: Senders,
    audit: AuditLog,
}

impl Registrations {
    pub fn new(store: Store, vault: Vault, clock: Clock, accounts: ProviderAccounts, senders: Senders) -> Self {
        Self {
            audit: AuditLog::new(store.clone(), clock.clone()),
            store,
            vault,
            clock,
            accounts,
            senders,
        }
    }

    /// Registers a brand, a campaign or a toll-free number. With `agent`, a brand or campaign is registered where the numbers of
    /// this agent are bought, if agents have their own accounts. `data` is checked first. A refusal of the vendor is the error, and
    /// nothing is kept then. Without an answer of the vendor, the registration is returned as submitting, and the sweep continues.
    pub async fn register(
        &self,
        caller: &Caller,
        kind: RegistrationKind,
        agent: Option<&AgentId>,
        data: Value,
    ) -> Result<RegistrationView, Failure> {
        caller.require(Scope::OrgAdmin)?;
        let org = caller.org()?;
        let data = RegistrationData::read(kind, data)?;
        let mut new = self.prepare(org, agent, &data).await?;
        new.data = self.seal(&new, &data)?;
        self.store
            .create_number_registration(&new)
            .await
            .map_err(|error| match error {
                StoreError::Conflict => already_registered(kind),
                other => other.into(),
            })?;
        match self.submit(&mut new, &data).await {
            Ok(()) | Err(Stop::Later(_)) => {}
            Err(Stop::Failed(failure) | Stop::NotMade(failure)) => {
                self.store.delete_number_registration(&new).await?;
                return Err(failure);
            }
        }
        self.record(caller, "registration.create", &new).await?;
        self.view(new)
    }

    /// Submits a failed brand or toll-free verification again; the latter with changed data.
    pub async fn resubmit(
        &self,
        caller: &Caller,
        id: &str,
        changed: Option<Value>,
    ) -> Result<RegistrationView, Failure> {
        let RegistrationView { mut stored, mut data } = self.get(caller, id).await?;
        if stored.state != ReviewStatus::Failed || stored.kind == RegistrationKind::Campaign {
            return Err(Failure::new(
                Code::Conflict,
                "only a failed brand or toll-free verification is submitted again",
            )
            .hint("delete a failed campaign, and register another one"));
        }
        if let Some(changed) = changed {
            let new = RegistrationData::read(stored.kind, changed)?;
            if !new.is_same_subject(&data) {
                return Err(Failure::new(
                    Code::InvalidArgument,
                    "a registration can't get another subject; delete it, and register again",
                ));
            }
            data = new;
        }
        stored.data = self.seal(&stored, &data)?;
        stored.state = ReviewStatus::Submitting;
        stored.failure = None;
        stored.check_at = Some(self.clock.now() + LEASE);
        if !self.store.update_number_registration(&stored, self.clock.now()).await? {
            return Err(busy());
        }
        if let Err(Stop::Failed(failure)) = self.submit(&mut stored, &data).await {
            self.fail(&mut stored, &failure).await?;
            return Err(failure);
        }
        self.record(caller, "registration.resubmit", &stored).await?;
        self.view(stored)
    }

    /// Lists the organization's registrations, oldest first.
    pub async fn list(&self, caller: &Caller) -> Result<Vec<RegistrationView>, Failure> {
        caller.require(Scope::OrgAdmin)?;
        let all = self.store.list_number_registrations(caller.org()?).await?;
        all.into_iter().map(|stored| self.view(stored)).collect()
    }

    pub async fn get(&self, caller: &Caller, id: &str) -> Result<RegistrationView, Failure> {
        caller.require(Scope::OrgAdmin)?;
        let id = NumberRegistrationId::from(id);
        let found = self.store.find_number_registration(caller.org()?, &id).await?;
        self.view(found.ok_or_else(no_such_registration)?)
    }

    /// Removes a campaign or a toll-free verification at the vendor and here. The vendor keeps brands: only a failed one is forgotten.
    pub async fn remove(&self, caller: &Caller, id: &str) -> Result<(), Failure> {
        let RegistrationView { stored, .. } = self.get(caller, id).await?;
        if stored.kind == RegistrationKind::Brand && stored.state != ReviewStatus::Failed {
            return Err(Failure::new(
                Code::Conflict,
                "the provider keeps a brand that has not failed",
            ));
        }
        if stored.state == ReviewStatus::Submitting {
            return Err(busy());
        }
        self.remove_at_vendor(&stored).await?;
        if !self.store.delete_number_registration(&stored).await? {
            return Err(busy());
        }
        self.set_senders(&stored, false).await?;
        self.record(caller, "registration.remove", &stored).await
    }

    /// Removes the registrations of an organization in the installation's account, before the organization is erased. Its own
    /// accounts are its affair, and subaccounts are closed.
    pub(crate) async fn close_organization(&self, org: &OrgId) -> Result<(), Failure> {
        let all = self.store.list_number_registrations(org).await?;
        for stored in all.iter().filter(|stored| stored.account_id.is_none()) {
            self.remove_at_vendor(stored).await?;
        }
        Ok(())
    }

    async fn remove_at_vendor(&self, stored: &NumberRegistration) -> Result<(), Failure> {
        let (Some(id), true) = (&stored.external_id, stored.kind != RegistrationKind::Brand) else {
            return Ok(());
        };
        let key = RegistrationKey {
            kind: stored.kind,
            id,
            service: stored.service_id.as_deref(),
        };
        let vendor = self.vendor(stored.account().as_ref()).await?;
        match vendor.remove(key).await {
            Ok(()) | Err(NumberError::NotFound) => Ok(()),
            Err(error) => Err(failure_of(&error, "remove the registration")),
        }
    }

    /// Builds the row of a new registration: in the account of the number, or where the organization buys numbers.
    async fn prepare(
        &self,
        org: &OrgId,
        agent: Option<&AgentId>,
        data: &RegistrationData,
    ) -> Result<NumberRegistration, Failure> {
        let (account, subject) = match data {
            RegistrationData::Tollfree { number, .. } => {
                let found = self.store.list_senders_by_address(org, number).await?;
                let sender = found.into_iter().find(|sender| {
                    sender.released_at.is_none() && sender.number_id.is_some() && is_tollfree(&sender.address)
                });
                let sender = sender.ok_or_else(|| {
                    Failure::new(
                        Code::NotFound,
                        "your organization has bought no toll-free number with these digits",
                    )
                })?;
                (sender.account, sender.number_id.unwrap_or_default())
            }
            RegistrationData::Brand { .. } | RegistrationData::Campaign { .. } => {
                let account = self.senders.choose_account(org, agent).await?;
                let subject = account
                    .as_ref()
                    .map_or(OWN_ACCOUNT, ProviderAccountId::as_str)
                    .to_owned();
                (account, subject)
            }
        };
        if matches!(data, RegistrationData::Campaign { .. }) {
            self.approved_brand(org, &subject).await?;
        }
        let now = self.clock.now();
        Ok(NumberRegistration {
            id: NumberRegistrationId::generate(),
            org_id: org.clone(),
            account_id: account.map(ProviderAccountId::into_string),
            kind: data.kind(),
            subject,
            state: ReviewStatus::Submitting,
            external_id: None,
            service_id: None,
            failure: None,
            data: Vec::new(),
            attempts: 0,
            check_at: Some(now + LEASE),
            created_at: now,
            updated_at: now,
        })
    }

    /// Returns the vendor's id of the approved brand in an account.
    async fn approved_brand(&self, org: &OrgId, subject: &str) -> Result<String, Failure> {
        let all = self.store.list_number_registrations(org).await?;
        let brand = all
            .into_iter()
            .find(|stored| stored.kind == RegistrationKind::Brand && stored.subject == subject);
        brand
            .filter(|brand| brand.state == ReviewStatus::Approved)
            .and_then(|brand| brand.external_id)
            .ok_or_else(|| {
                Failure::new(Code::Conflict, "a campaign needs an approved brand")
                    .hint("register a brand first, and wait until its state is approved")
            })
    }

    async fn vendor(&self, account: Option<&ProviderAccountId>) -> Result<Arc<dyn NumberRegistrations>, Failure> {
        let found = self.accounts.registrations(NUMBER_VENDOR, account).await?;
        found.ok_or_else(no_number_vendor)
    }

    fn seal(&self, stored: &NumberRegistration, data: &RegistrationData) -> Result<Vec<u8>, Failure> {
        let plain = serde_json::to_vec(data).map_err(|_| Failure::internal())?;
        Ok(self.vault.encrypt(&stored.org_id, stored.id.as_str(), &plain))
    }

    fn open(&self, stored: &NumberRegistration) -> Result<RegistrationData, Failure> {
        let plain = self.vault.decrypt(&stored.org_id, stored.id.as_str(), &stored.data);
        let plain = plain.map_err(|_| Failure::internal())?;
        serde_json::from_slice(&plain).map_err(|_| Failure::internal())
    }

    fn view(&self, stored: NumberRegistration) -> Result<RegistrationView, Failure> {
        let data = self.open(&stored)?;
        Ok(RegistrationView { stored, data })
    }

    async fn record(&self, caller: &Caller, action: &'static str, stored: &NumberRegistration) -> Result<(), Failure> {
        let actor = caller.principal.token.as_str();
        let detail = json!({ "kind": stored.kind });
        self.audit
            .append(&stored.org_id, actor, action, stored.id.as_str(), detail)
            .await
    }
}

fn no_such_registration() -> Failure {
    Failure::new(Code::NotFound, "your organization has no registration with this id")
}

fn already_registered(kind: RegistrationKind) -> Failure {
    let what = match kind {
        RegistrationKind::Brand => "your organization has a brand in this account already",
        RegistrationKind::Campaign => "your organization has a campaign in this account already",
        RegistrationKind::Tollfree => "this number has a verification already",
    };
    Failure::new(Code::AlreadyExists, what).hint("list the registrations; a failed one is deleted or submitted again")
}

fn busy() -> Failure {
    Failure::new(Code::Conflict, "this registration is being submitted right now").hint("try again in a minute")
}
