//! The port to the accounts that organizations have at vendors: the adapters of an account, and the accounts that a webhook names.

use std::sync::Arc;

use async_trait::async_trait;
use butt_dial_domain::{
    OrgId, ProviderAccountId,
    ports::{
        carrier::Messaging,
        mail_domains::MailDomains,
        model::LanguageModel,
        numbers::{Numbers, WhatsappSenders},
        registrations::NumberRegistrations,
        speech::SpeechSynthesis,
        transcription::Transcription,
        voice::Voice,
        webhook::{WebhookRequest, Webhooks},
    },
};
use butt_dial_store::StoreError;

/// The adapters of an organization's account at a vendor; `None` for what the vendor lacks.
#[derive(Clone)]
pub struct AccountCarrier {
    pub account: ProviderAccountId,
    pub org: OrgId,
    pub vendor: &'static str,
    /// The vendor's own id of the account.
    pub external_id: String,
    pub messaging: Option<Arc<dyn Messaging>>,
    pub webhooks: Option<Arc<dyn Webhooks>>,
    pub voice: Option<Arc<dyn Voice>>,
    pub numbers: Option<Arc<dyn Numbers>>,
    pub whatsapp_senders: Option<Arc<dyn WhatsappSenders>>,
    pub registrations: Option<Arc<dyn NumberRegistrations>>,
    pub mail_domains: Option<Arc<dyn MailDomains>>,
    pub services: AccountServices,
}

/// The AI services of an organization's accounts; `None`: the installation's own is used.
#[derive(Clone, Default)]
pub struct AccountServices {
    pub model: Option<Arc<dyn LanguageModel>>,
    pub speech: Option<Arc<dyn SpeechSynthesis>>,
    pub transcription: Option<Arc<dyn Transcription>>,
}

/// Finds the adapters of accounts. Fails only if the database is unavailable.
#[async_trait]
pub trait AccountCarriers: Send + Sync {
    /// Returns whether a vendor with this id can have accounts of organizations.
    fn is_vendor(&self, id: &str) -> bool;

    /// Returns the adapters of an account. `None`: it does not exist, or it is closed or suspended. With the version of the
    /// account, a cached adapter of that version needs no query.
    async fn find(
        &self,
        account: &ProviderAccountId,
        version: Option<i64>,
    ) -> Result<Option<Arc<AccountCarrier>>, StoreError>;

    /// Returns the accounts that a request to a vendor's webhook names, before its signature is verified.
    async fn named_by(&self, vendor: &str, request: &WebhookRequest) -> Result<Vec<Arc<AccountCarrier>>, StoreError>;

    /// Returns the AI services of the organization's accounts, of each the one that was registered first.
    async fn services_of(&self, org: &OrgId) -> Result<AccountServices, StoreError>;

    /// Checks the credentials of the account with its vendor, and notes whether it refuses them.
    async fn check_credentials(&self, account: &ProviderAccountId);
}
