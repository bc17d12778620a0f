//! Subaccounts of the installation's own account at a vendor.

use std::{collections::BTreeMap, sync::Arc};

use butt_dial_domain::{
    AgentId, Failure, OrgId, ProviderAccountId,
    ports::numbers::{NumberError, Subaccount, SubaccountStatus, Subaccounts},
};
use butt_dial_providers::Vendor;
use butt_dial_store::{AccountStatus, ProviderAccount};
use serde_json::json;

use super::ProviderAccounts;
use crate::audit::SYSTEM;

/// Subaccounts of one read.
const BATCH: u32 = 50;

impl ProviderAccounts {
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
        let detail = json!({ "vendor": vendor.manifest.id });
        let change = self.inner.audit.change(org, SYSTEM, "provider.subaccount", "", detail);
        self.store_new(
            change,
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

    /// Suspends the subaccounts of suspended organizations at their vendors, and activates those of organizations that are active
    /// again. Returns how many were changed.
    pub async fn align_subaccounts(&self) -> Result<usize, Failure> {
        let (mut changed, mut after) = (0, String::new());
        loop {
            let page = self.inner.store.list_unaligned_subaccounts(&after, BATCH).await?;
            for account in &page {
                changed += usize::from(self.align_subaccount(account).await?);
            }
            // Those that a vendor refuses to change must not keep the others.
            match page.last() {
                Some(last) if page.len() == BATCH as usize => after = last.id.to_string(),
                _ => return Ok(changed),
            }
        }
    }

    /// Returns false if the vendor does not change the account now, or another dispatcher has changed it.
    async fn align_subaccount(&self, account: &ProviderAccount) -> Result<bool, Failure> {
        let Some(subaccounts) = self.subaccounts(&account.vendor) else {
            return Ok(false);
        };
        let (status, stored) = match account.status {
            AccountStatus::Suspended => (SubaccountStatus::Active, AccountStatus::Active),
            _ => (SubaccountStatus::Suspended, AccountStatus::Suspended),
        };
        if let Err(error) = subaccounts.set_status(&account.external_id, status).await {
            tracing::warn!(%error, account = %account.id, "status of a subaccount not changed");
            return Ok(false);
        }
        let now = self.inner.clock.now();
        let detail = json!({ "status": <&str>::from(stored) });
        let id = account.id.as_str();
        let change = self
            .inner
            .audit
            .change(&account.org_id, SYSTEM, "provider.subaccount", id, detail);
        Ok(change.set_account_status(&account.id, stored, None, now).await?)
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
            let detail = json!({ "status": <&str>::from(AccountStatus::Closed) });
            self.inner
                .audit
                .change(org, SYSTEM, "provider.subaccount", account.id.as_str(), detail)
                .set_account_status(&account.id, AccountStatus::Closed, None, now)
                .await?;
        }
        Ok(())
    }
}
