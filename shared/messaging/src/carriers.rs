//! Which carrier serves which channel, and which may call us.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use butt_dial_domain::{
    Channel,
    ports::{carrier::Messaging, voice::Voice, webhook::Webhooks},
};

/// A connected carrier. Its `Messaging::send` has one caller in the workspace: `outbound/dispatch.rs`.
#[derive(Clone)]
pub struct Carrier {
    /// The vendor's id, such as `twilio`; a metric label and a column.
    pub id: &'static str,
    pub messaging: Arc<dyn Messaging>,
}

#[derive(Clone, Default)]
pub struct Carriers {
    senders: HashMap<Channel, Carrier>,
    callers: BTreeMap<&'static str, Arc<dyn Webhooks>>,
    voices: BTreeMap<&'static str, Arc<dyn Voice>>,
}

impl Carriers {
    /// The first carrier that claims a channel serves it.
    pub fn add(&mut self, channels: &[Channel], carrier: &Carrier) {
        for channel in channels {
            self.senders.entry(*channel).or_insert_with(|| carrier.clone());
        }
    }

    pub fn add_webhooks(&mut self, carrier: &'static str, webhooks: Arc<dyn Webhooks>) {
        self.callers.insert(carrier, webhooks);
    }

    /// The carrier with this id, if it is connected and calls us.
    pub fn find_webhooks(&self, carrier: &str) -> Option<(&'static str, &Arc<dyn Webhooks>)> {
        self.callers
            .get_key_value(carrier)
            .map(|(id, webhooks)| (*id, webhooks))
    }

    pub fn add_voice(&mut self, carrier: &'static str, voice: Arc<dyn Voice>) {
        self.voices.insert(carrier, voice);
    }

    /// The carrier with this id, if it is connected and has calls.
    pub fn find_voice(&self, carrier: &str) -> Option<(&'static str, &Arc<dyn Voice>)> {
        self.voices.get_key_value(carrier).map(|(id, voice)| (*id, voice))
    }

    /// Every carrier that calls us.
    pub fn webhooks(&self) -> impl Iterator<Item = (&'static str, &Arc<dyn Webhooks>)> {
        self.callers.iter().map(|(id, webhooks)| (*id, webhooks))
    }

    pub fn find(&self, channel: Channel) -> Option<&Carrier> {
        self.senders.get(&channel)
    }

    /// Each carrier once, for the checks of `doctor`.
    pub fn all(&self) -> Vec<&Carrier> {
        let mut carriers: Vec<&Carrier> = self.senders.values().collect();
        carriers.sort_by_key(|carrier| carrier.id);
        carriers.dedup_by_key(|carrier| carrier.id);
        carriers
    }
}
