//! Which carrier serves which channel.

use std::{collections::HashMap, sync::Arc};

use butt_dial_domain::{Channel, ports::carrier::Messaging};

/// A connected carrier. Its `Messaging::send` has one caller in the workspace: `outbound/dispatch.rs`.
#[derive(Clone)]
pub struct Carrier {
    /// The vendor's id, such as `twilio`; a metric label and a column.
    pub id: &'static str,
    pub messaging: Arc<dyn Messaging>,
}

#[derive(Clone, Default)]
pub struct Carriers(HashMap<Channel, Carrier>);

impl Carriers {
    /// The first carrier that claims a channel serves it.
    pub fn add(&mut self, channels: &[Channel], carrier: &Carrier) {
        for channel in channels {
            self.0.entry(*channel).or_insert_with(|| carrier.clone());
        }
    }

    pub fn find(&self, channel: Channel) -> Option<&Carrier> {
        self.0.get(&channel)
    }

    /// Each carrier once, for the checks of `doctor`.
    pub fn all(&self) -> Vec<&Carrier> {
        let mut carriers: Vec<&Carrier> = self.0.values().collect();
        carriers.sort_by_key(|carrier| carrier.id);
        carriers.dedup_by_key(|carrier| carrier.id);
        carriers
    }
}
