//! The credentials of an account: read from a request, checked with the vendor, encrypted, and shown without their secrets.

use std::{collections::BTreeMap, sync::Arc};

use butt_dial_domain::{Code, Failure, OrgId, ProviderAccountId, ports::carrier::Messaging};
use butt_dial_messaging::AccountServices;
use butt_dial_providers::{Connected, Credentials, UnreadableAccount, VENDORS, Vendor};
use butt_dial_store::ProviderAccount;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{AccountView, ProviderAccounts};

const MAX_FIELD: usize = butt_dial_domain::bounds::CREDENTIAL;

impl ProviderAccounts {
    pub(super) fn read(
        &self,
        vendor: &'static Vendor,
        given: &BTreeMap<String, String>,
    ) -> Result<Credentials, Failure> {
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

    pub(super) fn connect(&self, vendor: &'static Vendor, credentials: &Credentials) -> Result<Connected, Failure> {
        let inner = &self.inner;
        (vendor.connect)(credentials, &inner.http, inner.deadline)
            .map_err(|text| Failure::new(Code::InvalidArgument, text).detail("fields", json!(["credentials"])))
    }

    pub(super) fn seal(&self, org: &OrgId, id: &ProviderAccountId, credentials: &Credentials) -> Vec<u8> {
        let values: BTreeMap<&str, &str> = credentials
            .names()
            .filter_map(|name| Some((name, credentials.find(name)?.expose())))
            .collect();
        // Strings only, so serialization cannot fail.
        let plain = serde_json::to_vec(&values).unwrap_or_default();
        self.inner.vault.encrypt(org, id.as_str(), &plain)
    }

    pub(super) fn open(&self, account: &ProviderAccount, vendor: &'static Vendor) -> Result<Credentials, Failure> {
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

    pub(super) fn view(&self, account: &ProviderAccount) -> Result<AccountView, Failure> {
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

/// Returns a vendor with accounts of organizations.
pub(super) fn find_vendor(id: &str) -> Result<&'static Vendor, Failure> {
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
pub(super) async fn check(messaging: Option<&Arc<dyn Messaging>>, services: &AccountServices) -> Result<(), String> {
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
pub(super) async fn verify(vendor: &Vendor, connected: &Connected) -> Result<(), Failure> {
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
pub(super) fn secondary_fields(vendor: &Vendor) -> impl Iterator<Item = (&'static str, &'static str)> {
    let fields = vendor.manifest.credentials;
    fields.iter().filter_map(move |field| {
        let secondary = fields
            .iter()
            .find(|other| other.env.strip_suffix("_SECONDARY") == Some(field.env))?;
        Some((field.env, secondary.env))
    })
}

/// Returns the vendor's id of the account; for vendors without one, a value that identifies the secret and does not reveal it.
pub(super) fn external_id(vendor: &Vendor, credentials: &Credentials) -> String {
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
