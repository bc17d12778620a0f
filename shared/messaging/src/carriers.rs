//! The registry of connected carriers: which one serves a channel, sends webhooks, or places calls.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use butt_dial_domain::{
    Channel,
    ports::{carrier::Messaging, voice::Voice, webhook::Webhooks},
};

/// A connected carrier. Only `outbound/dispatch.rs` calls its `Messaging::send`.
#[derive(Clone)]
pub struct Carrier {
    /// The vendor's id, such as `twilio`; a metric label and a column.
    pub id: &'static str,
    pub messaging: Arc<dyn Messaging>,
}

#[derive(Clone, Default)]
pub struct Carriers {
    senders: HashMap<Channel, Carrier>,
    webhooks: BTreeMap<&'static str, Arc<dyn Webhooks>>,
    voices: BTreeMap<&'static str, Arc<dyn Voice>>,
}

impl Carriers {
    /// Adds a carrier for channels. The first carrier that is added for a channel serves it.
    pub fn add(&mut self, channels: &[Channel], carrier: &Carrier) {
        for channel in channels {
            self.senders.entry(*channel).or_insert_with(|| carrier.clone());
        }
    }

    pub fn add_webhooks(&mut self, carrier: &'static str, webhooks: Arc<dyn Webhooks>) {
        self.webhooks.insert(carrier, webhooks);
    }

    /// Finds the webhooks of a connected carrier by its id.
    pub fn find_webhooks(&self, carrier: &str) -> Option<(&'static str, &Arc<dyn Webhooks>)> {
        self.webhooks
            .get_key_value(carrier)
            .map(|(id, webhooks)| (*id, webhooks))
    }

    pub fn add_voice(&mut self, carrier: &'static str, voice: Arc<dyn Voice>) {
        self.voices.insert(carrier, voice);
    }

    /// Finds the calls of a connected carrier by its id.
    pub fn find_voice(&self, carrier: &str) -> Option<(&'static str, &Arc<dyn Voice>)> {
        self.voices.get_key_value(carrier).map(|(id, voice)| (*id, voice))
    }

    /// The webhooks of every carrier.
    pub fn webhooks(&self) -> impl Iterator<Item = (&'static str, &Arc<dyn Webhooks>)> {
        self.webhooks.iter().map(|(id, webhooks)| (*id, webhooks))
    }

    pub fn find(&self, channel: Channel) -> Option<&Carrier> {
        self.senders.get(&channel)
    }

    /// Each carrier once, sorted by id, for the checks of `doctor`.
    pub fn all(&self) -> Vec<&Carrier> {
        let mut carriers: Vec<&Carrier> = self.senders.values().collect();
        carriers.sort_by_key(|carrier| carrier.id);
        carriers.dedup_by_key(|carrier| carrier.id);
        carriers
    }
}
