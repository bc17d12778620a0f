//! Wire formats of senders.

use butt_dial_accounts::{ChannelKind, Sender};
use butt_dial_domain::Channel;
use schemars::JsonSchema;
use serde::Serialize;

use crate::operations::views::time;

/// A sender of an agent or of the pool.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecordView {
    id: String,
    /// phone, whatsapp, email or line.
    channel_type: &'static str,
    /// The number or address.
    identifier: String,
    label: Option<String>,
    capabilities: Vec<&'static str>,
    paused: bool,
    /// The sender that is used first.
    primary: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<String>,
    /// The account of the organization at the provider. Absent: the installation's account.
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<String>,
    /// pending, done or failed: the registration of a WhatsApp sender at the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    registration: Option<&'static str>,
    created_at: String,
}

impl From<Sender> for RecordView {
    fn from(sender: Sender) -> Self {
        let kind = ChannelKind::of(sender.channel);
        Self {
            id: sender.id.into_string(),
            channel_type: kind.as_str(),
            identifier: sender.address,
            label: sender.label,
            capabilities: kind.capabilities().to_vec(),
            paused: sender.paused,
            primary: sender.is_primary,
            country: sender.country,
            account_id: sender.account.map(|account| account.into_string()),
            registration: sender.registration.map(Into::into),
            created_at: time(sender.created_at),
        }
    }
}

/// Lists senders, with texts and calls of one number as one record.
pub fn records(senders: Vec<Sender>) -> Vec<RecordView> {
    let numbers: Vec<String> = senders
        .iter()
        .filter(|sender| sender.channel == Channel::Sms)
        .map(|sender| sender.address.clone())
        .collect();
    senders
        .into_iter()
        .filter(|sender| sender.channel != Channel::Voice || !numbers.contains(&sender.address))
        .map(RecordView::from)
        .collect()
}
