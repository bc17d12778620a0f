//! WhatsApp senders of bought numbers, and addresses of registered accounts.

use butt_dial_domain::{
    AgentId, Channel, Code, Failure, OrgId, Scope,
    ports::numbers::{NumberError, RegistrationStatus},
};
use butt_dial_identity::Caller;
use butt_dial_store::{NewSender, Registration, Sender, StoreError};
use serde_json::json;

use super::{NUMBER_VENDOR, Senders, failure_of, no_number_vendor, no_such_sender};

const BATCH: u32 = 50;

impl Senders {
    /// Registers the phone number of an agent as a WhatsApp sender. Until the vendor has completed the registration, the sender is
    /// paused; a sweep resumes it.
    pub async fn add_whatsapp(
        &self,
        caller: &Caller,
        agent: &AgentId,
        name: &str,
        label: Option<&str>,
    ) -> Result<Sender, Failure> {
        caller.require(Scope::OrgAdmin)?;
        let org = caller.org()?;
        let owned = self.store.list_senders(org, Some(agent)).await?;
        if owned.iter().any(|sender| sender.channel == Channel::Whatsapp) {
            return Err(Failure::new(Code::AlreadyExists, "this agent has a WhatsApp sender").on(Channel::Whatsapp));
        }
        let phone = owned
            .iter()
            .find(|sender| sender.channel == Channel::Sms)
            .ok_or_else(|| {
                Failure::new(
                    Code::NoChannelAssigned,
                    "this agent has no phone number to use on WhatsApp",
                )
                .on(Channel::Whatsapp)
                .hint("add the channel phone first")
            })?;
        let urls = self.whatsapp_urls(NUMBER_VENDOR)?;
        let senders = self
            .accounts
            .whatsapp_senders(NUMBER_VENDOR, phone.account.as_ref())
            .await?
            .ok_or_else(no_number_vendor)?;
        let registered = senders.register(&phone.address, name, &urls).await;
        let mut registered = registered.map_err(|error| match error {
            NumberError::Unauthorized | NumberError::Unreachable => failure_of(&error, "register the sender"),
            error => Failure::new(
                Code::ProviderWebhookWireFailed,
                "the provider did not register the WhatsApp sender; nothing was kept",
            )
            .on(Channel::Whatsapp)
            .detail("reason", error.to_string()),
        })?;
        if registered.status == RegistrationStatus::Pending
            && let Ok(now) = senders.fetch(&registered.id).await
        {
            registered = now;
        }
        let registration = match registered.status {
            RegistrationStatus::Online => Registration::Done,
            RegistrationStatus::Pending => Registration::Pending,
            RegistrationStatus::Offline => Registration::Failed,
        };
        let sender = NewSender {
            label,
            account: phone.account.as_ref(),
            country: phone.country.as_deref(),
            registration: Some((&registered.id, registration)),
            ..new_sender(org, Some(agent), Channel::Whatsapp, &phone.address)
        };
        self.store_one(caller, &sender).await
    }

    /// Stores an address that a registered account of the organization serves, such as a LINE channel.
    pub async fn add_address(
        &self,
        caller: &Caller,
        agent: &AgentId,
        (channel, vendor): (Channel, &str),
        address: &str,
        label: Option<&str>,
    ) -> Result<Sender, Failure> {
        caller.require(Scope::OrgAdmin)?;
        let org = caller.org()?;
        let account = self.accounts.find_for(org, Some(agent), vendor).await?.ok_or_else(|| {
            Failure::new(
                Code::NotSupported,
                format!("an address on {channel} needs an account of your organization at {vendor}"),
            )
            .on(channel)
            .hint("register it with comms_register_provider first")
        })?;
        let sender = NewSender {
            label,
            account: Some(&account.id),
            ..new_sender(org, Some(agent), channel, address)
        };
        self.store_one(caller, &sender).await
    }

    pub(super) async fn store_one(&self, caller: &Caller, sender: &NewSender<'_>) -> Result<Sender, Failure> {
        let detail = json!({ "channel": sender.channel, "agent": sender.agent });
        let stored = self
            .change_of(caller, "sender.add", "", detail)?
            .create_senders(std::slice::from_ref(sender), self.clock.now())
            .await;
        let ids = stored.map_err(|error| match error {
            StoreError::Conflict => {
                Failure::new(Code::AlreadyExists, "this address has an owner here already").on(sender.channel)
            }
            other => other.into(),
        })?;
        let id = ids.into_iter().next().ok_or_else(Failure::internal)?;
        self.announce(sender.address, [sender.channel]).await;
        self.store
            .find_sender(sender.org, &id)
            .await?
            .ok_or_else(no_such_sender)
    }

    /// Concludes the registrations of WhatsApp senders that were pending. Returns how many were.
    pub async fn check_registrations(&self) -> Result<usize, Failure> {
        let pending = self.store.list_registering_senders(BATCH).await?;
        let count = pending.len();
        for sender in pending {
            if let Err(failure) = self.check_registration(&sender).await {
                tracing::warn!(%failure, sender = %sender.id, "registration of a sender not checked; it stays due");
            }
        }
        Ok(count)
    }

    async fn check_registration(&self, sender: &Sender) -> Result<(), Failure> {
        let Some(id) = &sender.registration_id else {
            return Ok(());
        };
        if sender.channel == Channel::Email {
            return self.check_mail_domain(sender, id).await;
        }
        let senders = self
            .accounts
            .whatsapp_senders(NUMBER_VENDOR, sender.account.as_ref())
            .await?;
        let senders = senders.ok_or_else(no_number_vendor)?;
        let is_done = match senders.fetch(id).await {
            Ok(found) if found.status == RegistrationStatus::Pending => return Ok(()),
            Ok(found) => found.status == RegistrationStatus::Online,
            Err(NumberError::NotFound) => false,
            Err(error) => return Err(failure_of(&error, "show the WhatsApp sender")),
        };
        self.conclude(sender, is_done).await
    }

    pub(super) async fn conclude(&self, sender: &Sender, is_done: bool) -> Result<(), Failure> {
        if self.store.conclude_registration(&sender.id, is_done).await? {
            self.announce(&sender.address, [sender.channel]).await;
            tracing::info!(sender = %sender.id, is_done, "registration of a sender concluded");
        }
        Ok(())
    }
}

pub(super) fn new_sender<'a>(
    org: &'a OrgId,
    agent: Option<&'a AgentId>,
    channel: Channel,
    address: &'a str,
) -> NewSender<'a> {
    NewSender {
        org,
        agent,
        channel,
        address,
        label: None,
        account: None,
        number_id: None,
        country: None,
        monthly_price: None,
        registration: None,
    }
}
