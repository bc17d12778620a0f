//! Assembles parts of the accounts: provider accounts and one-time codes.

use std::sync::Arc;

use butt_dial_accounts::{Challenges, ProviderAccounts};
use butt_dial_messaging::Outbound;

use super::product::Parts;

impl Parts<'_> {
    pub(super) fn provider_accounts(&self) -> ProviderAccounts {
        let backends = self.backends;
        ProviderAccounts::new(
            backends.store.clone(),
            backends.vault.clone(),
            self.clock.clone(),
            self.carrier_http.clone(),
            self.config.carrier_timeout,
            self.own_vendors.clone(),
        )
    }

    pub(super) fn challenges(&self, outbound: &Arc<Outbound>) -> Challenges {
        Challenges::new(
            self.backends.store.clone(),
            self.backends.kv.clone(),
            self.backends.vault.clone(),
            outbound.clone(),
            self.clock.clone(),
            self.config.accounts.code_template.clone(),
            self.simulated_world(),
        )
    }
}
