//! The subaccounts, the phone numbers, the mail domains and other resources of a simulated vendor.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use butt_dial_domain::clock::Timestamp;

/// A subaccount of the vendor's main account.
#[derive(Clone, Debug)]
pub struct SimulatedAccount {
    pub id: String,
    pub token: String,
    pub label: String,
    pub status: String,
    pub created_at: Timestamp,
}

/// A number that an account has bought.
#[derive(Clone, Debug)]
pub struct SimulatedNumber {
    pub id: String,
    pub number: String,
    /// The id of the account.
    pub account: String,
    /// The fields of the number's resource, by their names in a request.
    pub fields: BTreeMap<String, String>,
    pub created_at: Timestamp,
}

impl SimulatedNumber {
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

/// A mail domain that an account has added.
#[derive(Clone, Debug)]
pub struct SimulatedDomain {
    pub id: String,
    pub name: String,
    pub is_verified: bool,
}

/// Another resource of an account, such as a messaging service.
#[derive(Clone, Debug)]
pub struct SimulatedResource {
    pub id: String,
    pub kind: &'static str,
    /// The id of the account.
    pub account: String,
    /// By their names in a request; a field that repeats has its last value.
    pub fields: BTreeMap<String, String>,
    pub created_at: Timestamp,
}

impl SimulatedResource {
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

#[derive(Default)]
pub struct AccountBook {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    accounts: BTreeMap<String, SimulatedAccount>,
    /// By number.
    numbers: BTreeMap<String, SimulatedNumber>,
    /// By name.
    domains: BTreeMap<String, SimulatedDomain>,
    /// By id.
    resources: BTreeMap<String, SimulatedResource>,
}

impl AccountBook {
    pub fn add_account(&self, account: SimulatedAccount) {
        self.state().accounts.insert(account.id.clone(), account);
    }

    pub fn find_account(&self, id: &str) -> Option<SimulatedAccount> {
        self.state().accounts.get(id).cloned()
    }

    pub fn accounts(&self) -> Vec<SimulatedAccount> {
        self.state().accounts.values().cloned().collect()
    }

    /// Sets the status of an account. A closed account loses its numbers and stays closed.
    pub fn set_status(&self, id: &str, status: &str) -> Option<SimulatedAccount> {
        let mut state = self.state();
        let account = state.accounts.get_mut(id)?;
        if account.status != "closed" {
            status.clone_into(&mut account.status);
        }
        let account = account.clone();
        if account.status == "closed" {
            state.numbers.retain(|_, number| number.account != id);
        }
        Some(account)
    }

    /// Changes the token of an account, as its owner can do at any time.
    pub fn set_token(&self, id: &str, token: &str) {
        if let Some(account) = self.state().accounts.get_mut(id) {
            token.clone_into(&mut account.token);
        }
    }

    /// Adds a number, unless an account has it.
    pub fn add_number(&self, number: SimulatedNumber) -> bool {
        let mut state = self.state();
        let is_free = !state.numbers.contains_key(&number.number);
        if is_free {
            state.numbers.insert(number.number.clone(), number);
        }
        is_free
    }

    pub fn find_number(&self, number: &str) -> Option<SimulatedNumber> {
        self.state().numbers.get(number).cloned()
    }

    /// Returns the numbers of an account, oldest first.
    pub fn numbers_of(&self, account: &str) -> Vec<SimulatedNumber> {
        let state = self.state();
        let mut numbers: Vec<_> = state
            .numbers
            .values()
            .filter(|number| number.account == account)
            .cloned()
            .collect();
        numbers.sort_by_key(|number| number.created_at);
        numbers
    }

    /// Changes fields of a number of the account.
    pub fn change_number(&self, account: &str, id: &str, fields: &[(String, String)]) -> Option<SimulatedNumber> {
        let mut state = self.state();
        let mut numbers = state.numbers.values_mut();
        let number = numbers.find(|number| number.id == id && number.account == account)?;
        number.fields.extend(fields.iter().cloned());
        Some(number.clone())
    }

    /// Removes a number of the account. Returns whether the account had it.
    pub fn remove_number(&self, account: &str, id: &str) -> bool {
        let mut state = self.state();
        let count = state.numbers.len();
        state
            .numbers
            .retain(|_, number| number.id != id || number.account != account);
        state.numbers.len() < count
    }

    pub fn domains(&self) -> Vec<SimulatedDomain> {
        self.state().domains.values().cloned().collect()
    }

    /// Adds a domain, unless an account has it.
    pub fn add_domain(&self, domain: SimulatedDomain) -> bool {
        let mut state = self.state();
        let is_free = !state.domains.contains_key(&domain.name);
        if is_free {
            state.domains.insert(domain.name.clone(), domain);
        }
        is_free
    }

    /// Removes a domain. Returns whether it existed.
    pub fn remove_domain(&self, id: &str) -> bool {
        let mut state = self.state();
        let count = state.domains.len();
        state.domains.retain(|_, domain| domain.id != id);
        state.domains.len() < count
    }

    /// Marks a domain as verified. Returns whether it exists.
    pub fn verify_domain(&self, id: &str) -> bool {
        let mut state = self.state();
        let domain = state.domains.values_mut().find(|domain| domain.id == id);
        domain.map(|domain| domain.is_verified = true).is_some()
    }

    /// Adds a resource, or replaces the one with its id.
    pub fn put_resource(&self, resource: SimulatedResource) {
        self.state().resources.insert(resource.id.clone(), resource);
    }

    /// Returns the resources of a kind, oldest first.
    pub fn resources(&self, kind: &str) -> Vec<SimulatedResource> {
        let state = self.state();
        let of_kind = state.resources.values().filter(|resource| resource.kind == kind);
        let mut found: Vec<_> = of_kind.cloned().collect();
        found.sort_by_key(|resource| resource.created_at);
        found
    }

    pub fn remove_resource(&self, id: &str) {
        self.state().resources.remove(id);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
