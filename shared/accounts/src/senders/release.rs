//! Release: a sender goes out of use at once. Its address stays reserved for the organization during the hold, in which it can be
//! taken back. Then a bought number is returned to its vendor.

use butt_dial_domain::{AgentId, Channel, Failure, OrgId, Scope, clock::Timestamp, ports::numbers::NumberError};
use butt_dial_identity::Caller;
use butt_dial_store::Sender;
use chrono::TimeDelta;
use serde_json::json;

use super::{NUMBER_VENDOR, Senders, failure_of, no_number_vendor, no_such_sender};

const BATCH: u32 = 50;
/// Bindings of one statement.
const BINDINGS: u32 = 500;
/// Between the end of a hold and the return to the vendor. Longer than clocks of replicas differ, so a sender that is taken back at
/// the last moment is not returned.
const MARGIN: TimeDelta = TimeDelta::minutes(1);

impl Senders {
    /// Releases a sender by its id; texts and calls of one number together. Returns what was released.
    pub async fn release(&self, caller: &Caller, id: &str) -> Result<Vec<Sender>, Failure> {
        let sender = self.get(caller, id).await?;
        let same = self.store.list_senders_by_address(&sender.org, &sender.address).await?;
        let group: Vec<Sender> = same
            .into_iter()
            .filter(|other| other.released_at.is_none() && is_same_line(&sender, other))
            .collect();
        self.release_all(caller, group).await
    }

    /// Releases the senders with an address, on one channel or on all.
    pub async fn release_address(
        &self,
        caller: &Caller,
        address: &str,
        only: Option<Channel>,
    ) -> Result<Vec<Sender>, Failure> {
        caller.require(Scope::OrgAdmin)?;
        let found = self
            .store
            .list_senders_by_address(caller.org()?, address.trim())
            .await?;
        let is_meant =
            |sender: &Sender| sender.released_at.is_none() && only.is_none_or(|channel| channel == sender.channel);
        let in_use: Vec<Sender> = found.into_iter().filter(is_meant).collect();
        if in_use.is_empty() {
            return Err(no_such_sender());
        }
        self.release_all(caller, in_use).await
    }

    /// Releases all senders of an agent, or gives them to the pool.
    pub async fn release_agent(
        &self,
        caller: &Caller,
        agent: &AgentId,
        keeps_in_pool: bool,
    ) -> Result<Vec<Sender>, Failure> {
        caller.require(Scope::OrgAdmin)?;
        let org = caller.org()?;
        let senders = self.store.list_senders(org, Some(agent)).await?;
        let released = self.release_all(caller, senders).await?;
        if keeps_in_pool {
            for sender in &released {
                self.change_of(caller, "sender.pool", sender.id.as_str(), json!({}))?
                    .take_back_sender(org, &sender.id, None, self.held_since())
                    .await?;
                self.announce(&sender.address, [sender.channel]).await;
            }
        }
        Ok(released)
    }

    async fn release_all(&self, caller: &Caller, senders: Vec<Sender>) -> Result<Vec<Sender>, Failure> {
        let org = caller.org()?;
        let now = self.clock.now();
        for sender in &senders {
            let detail = json!({ "channel": sender.channel, "agent": sender.agent });
            self.change_of(caller, "sender.release", sender.id.as_str(), detail)?
                .release_senders(org, std::slice::from_ref(&sender.id), now)
                .await?;
            self.announce(&sender.address, [sender.channel]).await;
        }
        Ok(senders)
    }

    /// Finds released senders of the organization with this address that can still be taken back, and gives them to an agent.
    pub async fn take_back(
        &self,
        (org, actor): (&OrgId, &str),
        agent: Option<&AgentId>,
        address: &str,
    ) -> Result<Vec<Sender>, Failure> {
        let found = self.store.list_senders_by_address(org, address).await?;
        let mut taken = Vec::new();
        for sender in found.into_iter().filter(|sender| sender.released_at.is_some()) {
            let detail = json!({ "channel": sender.channel, "agent": agent });
            let change = self
                .audit
                .change(org, actor, "sender.take_back", sender.id.as_str(), detail);
            if change
                .take_back_sender(org, &sender.id, agent, self.held_since())
                .await?
            {
                self.announce(&sender.address, [sender.channel]).await;
                taken.push(sender);
            }
        }
        Ok(taken)
    }

    /// Returns bought numbers to their vendors after the hold, and deletes their senders. Returns how many were due.
    pub async fn return_released(&self) -> Result<usize, Failure> {
        let due = self.store.list_released_senders(self.due_before(), BATCH).await?;
        let count = due.len();
        for sender in due {
            if let Err(failure) = self.return_sender(&sender).await {
                tracing::warn!(%failure, sender = %sender.id, "released sender not returned yet; it stays due");
            }
        }
        Ok(count)
    }

    /// Deletes bindings of senders of pools that no longer count. Returns how many.
    pub async fn delete_expired_bindings(&self) -> Result<usize, Failure> {
        let expired = self.clock.now() - self.settings.pool_binding;
        let mut count = 0;
        loop {
            let deleted = self.store.delete_expired_bindings(expired, BINDINGS).await?;
            count += usize::try_from(deleted).unwrap_or(usize::MAX);
            if deleted < u64::from(BINDINGS) {
                return Ok(count);
            }
        }
    }

    /// Returns all numbers of an organization to their vendors at once, removes its mail domains, deletes its senders, and closes its
    /// subaccounts. Its own accounts keep their domains.
    pub(crate) async fn close_organization(&self, org: &OrgId) -> Result<(), Failure> {
        loop {
            let senders = self.store.release_organization(org, self.due_before(), BATCH).await?;
            if senders.is_empty() {
                break;
            }
            for sender in senders {
                self.announce(&sender.address, [sender.channel]).await;
                self.remove_domain(&sender).await?;
                self.return_sender(&sender).await?;
            }
        }
        self.accounts.close_subaccounts(org).await
    }

    /// Senders that were released after this time can be taken back.
    fn held_since(&self) -> Timestamp {
        let hold = TimeDelta::from_std(self.settings.hold).unwrap_or(TimeDelta::days(1));
        self.clock.now() - hold - MARGIN
    }

    /// Senders that were released before this time are returned to their vendors.
    pub(super) fn due_before(&self) -> Timestamp {
        self.held_since() - MARGIN
    }

    async fn return_sender(&self, sender: &Sender) -> Result<(), Failure> {
        // A mail domain stays: other senders may use it.
        if let Some(id) = sender
            .registration_id
            .as_ref()
            .filter(|_| sender.channel == Channel::Whatsapp)
        {
            let senders = self
                .accounts
                .whatsapp_senders(NUMBER_VENDOR, sender.account.as_ref())
                .await?
                .ok_or_else(no_number_vendor)?;
            match senders.remove(id).await {
                Ok(()) | Err(NumberError::NotFound) => {}
                Err(error) => return Err(failure_of(&error, "remove the WhatsApp sender")),
            }
        }
        if let Some(id) = &sender.number_id {
            let numbers = self
                .accounts
                .numbers(NUMBER_VENDOR, sender.account.as_ref())
                .await?
                .ok_or_else(no_number_vendor)?;
            match numbers.release(id).await {
                Ok(()) | Err(NumberError::NotFound) => {}
                Err(error) => return Err(failure_of(&error, "release the number")),
            }
            self.store.forget_returned_number(&sender.org, id).await?;
        }
        if self.store.delete_released_sender(&sender.id).await? {
            tracing::info!(sender = %sender.id, org = %sender.org, "released sender deleted after its hold");
        }
        Ok(())
    }
}

/// Texts and calls of a number are one line. WhatsApp and mail are others.
fn is_same_line(sender: &Sender, other: &Sender) -> bool {
    let is_phone = |sender: &Sender| matches!(sender.channel, Channel::Sms | Channel::Voice);
    sender.channel == other.channel || (is_phone(sender) && is_phone(other))
}
