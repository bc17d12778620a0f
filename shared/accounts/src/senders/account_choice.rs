//! The account at the vendor in which a number is bought: the organization's own account before the installation's; a subaccount
//! where the organization is isolated by one.

use butt_dial_domain::{AgentId, Code, Failure, OrgId, ProviderAccountId, senders::IsolationMode};

use super::{NUMBER_VENDOR, Senders, failure_of};

impl Senders {
    /// Returns the account for a new number; `None` stands for the installation's own. Creates a subaccount where the isolation
    /// mode needs one that does not exist yet.
    pub(crate) async fn choose_account(
        &self,
        org: &OrgId,
        agent: Option<&AgentId>,
    ) -> Result<Option<ProviderAccountId>, Failure> {
        let modes = self.store.find_sender_modes(org, agent).await?;
        let isolation = modes.isolation.unwrap_or(self.settings.isolation);
        let owner = match isolation {
            IsolationMode::SubaccountPerAgent => agent,
            IsolationMode::SingleAccount | IsolationMode::SubaccountPerCustomer => None,
        };
        let known = self.accounts.find_for(org, agent, NUMBER_VENDOR).await?;
        if let Some(known) = known {
            // An account that the organization registered itself isolates it already.
            let is_right = !known.is_subaccount || known.agent_id.as_deref() == owner.map(AgentId::as_str);
            if is_right {
                return Ok(Some(known.id));
            }
        }
        if isolation == IsolationMode::SingleAccount {
            return Ok(None);
        }
        self.create_subaccount(org, owner).await.map(Some)
    }

    async fn create_subaccount(&self, org: &OrgId, agent: Option<&AgentId>) -> Result<ProviderAccountId, Failure> {
        let vendor = butt_dial_providers::find(NUMBER_VENDOR).ok_or_else(Failure::internal)?;
        let subaccounts = self.accounts.subaccounts(NUMBER_VENDOR).ok_or_else(|| {
            Failure::new(
                Code::NotSupported,
                "the provider of this installation has no subaccounts",
            )
            .hint("set ISOLATION_MODE=single-account, or register an account of the organization")
        })?;
        // Names the subaccount, so that a repeated request finds it.
        let label = match agent {
            None => format!("bd:{org}"),
            Some(agent) => format!("bd:{org}:{}", agent.host_id()),
        };
        let created = subaccounts.create(&label).await;
        let created = created.map_err(|error| failure_of(&error, "create a subaccount"))?;
        if !created.is_active {
            return Err(Failure::new(
                Code::ProviderMisconfigured,
                "the subaccount of this organization is suspended or closed at the provider",
            ));
        }
        self.accounts.adopt_subaccount(org, agent, vendor, &created).await
    }
}
