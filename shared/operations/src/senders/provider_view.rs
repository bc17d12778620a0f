//! The wire format of a provider account.

use std::collections::BTreeMap;

use butt_dial_accounts::AccountView;
use schemars::JsonSchema;
use serde::Serialize;

/// A provider account without its secrets.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderView {
    id: String,
    provider: String,
    label: String,
    /// The provider's id of the account.
    account: String,
    /// unverified, active, failing (the provider refuses the credentials), suspended or closed.
    status: &'static str,
    verified: bool,
    /// Why it is failing.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    /// The fields that are set; secrets are masked.
    credentials: BTreeMap<&'static str, String>,
    /// The installation created it for the organization.
    is_subaccount: bool,
}

impl From<AccountView> for ProviderView {
    fn from(account: AccountView) -> Self {
        let status: &'static str = account.status.into();
        Self {
            id: account.id.into_string(),
            provider: account.vendor,
            label: account.label,
            account: account.external_id,
            status,
            verified: status != "unverified",
            failure: account.failure,
            credentials: account.fields,
            is_subaccount: account.is_subaccount,
        }
    }
}
