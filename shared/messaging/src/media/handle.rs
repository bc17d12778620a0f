//! The handle of media and the backends that it uses.

use std::{sync::Arc, time::Duration};

use bon::bon;
use butt_dial_billing::Billing;
use butt_dial_domain::{
    Channel, Clock,
    ports::{speech::SpeechSynthesis, transcription::Transcription, webhook::Webhooks},
};
use butt_dial_store::{Store, StoreError};
use butt_dial_vault::Vault;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use serde_json::Value;

use super::{Blobs, single_flight::SingleFlight};
use crate::{Carriers, Delivery, Egress, PublicUrls};

/// Incomplete events in progress. Each holds a connection to the carrier, but not its attachments.
const MAX_EVENTS: usize = 64;
/// Attachments in memory, of all events in progress.
const MAX_ATTACHMENTS_IN_MEMORY: usize = 8;

/// Fetches and serves attachments, transcribes recordings, and synthesizes speech files. One per process, shared.
pub struct Media {
    pub(super) store: Store,
    pub(super) billing: Billing,
    pub(super) carriers: Carriers,
    /// To the carriers' own addresses.
    pub(super) carrier_http: reqwest::Client,
    /// To all other addresses.
    pub(super) egress: Egress,
    /// `None`: attachments are not stored.
    pub(super) blobs: Option<Blobs>,
    pub(super) speech: Option<Arc<dyn SpeechSynthesis>>,
    pub(super) transcriber: Option<Arc<dyn Transcription>>,
    pub(super) vault: Vault,
    pub(super) clock: Clock,
    pub(super) public_urls: PublicUrls,
    /// The lifetime of links.
    pub(super) event_retention: Duration,
    pub(super) delivery: Arc<Delivery>,
    pub(super) tasks: TaskTracker,
    pub(super) event_permits: Arc<Semaphore>,
    pub(super) memory_permits: Semaphore,
    pub(super) fetching: SingleFlight,
}

impl Media {
    /// Returns whether attachments and recordings are stored.
    pub fn has_storage(&self) -> bool {
        self.blobs.is_some()
    }

    /// Finds the carrier that an event came from, in the account of the address that it was sent to. `None`: the carrier is no
    /// longer configured.
    pub(super) async fn find_webhooks(&self, data: &Value) -> Result<Option<Arc<dyn Webhooks>>, StoreError> {
        let Some(carrier) = data["provider"].as_str() else {
            return Ok(None);
        };
        let address = data["channel"]
            .as_str()
            .and_then(Channel::parse)
            .zip(data["to"].as_str());
        let account = match address {
            Some((channel, to)) => self.store.find_sender_account(channel, to).await?,
            None => None,
        };
        self.carriers.find_webhooks_in(carrier, account.as_ref()).await
    }
}

#[bon]
impl Media {
    #[builder]
    pub fn new(
        store: Store,
        billing: Billing,
        carriers: Carriers,
        carrier_http: reqwest::Client,
        egress: Egress,
        blobs: Option<Blobs>,
        speech: Option<Arc<dyn SpeechSynthesis>>,
        transcriber: Option<Arc<dyn Transcription>>,
        vault: Vault,
        clock: Clock,
        public_urls: PublicUrls,
        event_retention: Duration,
        delivery: Arc<Delivery>,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            billing,
            carriers,
            carrier_http,
            egress,
            blobs,
            speech,
            transcriber,
            vault,
            clock,
            public_urls,
            event_retention,
            delivery,
            tasks,
            event_permits: Arc::new(Semaphore::new(MAX_EVENTS)),
            memory_permits: Semaphore::new(MAX_ATTACHMENTS_IN_MEMORY),
            fetching: SingleFlight::default(),
        })
    }
}
