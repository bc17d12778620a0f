//! Wire formats of senders.

use butt_dial_accounts::{ChannelKind, Sender, Senders};
use butt_dial_domain::{Channel, ports::mail_domains::DnsRecord};
use schemars::JsonSchema;
use serde::Serialize;

use crate::views::time;

/// A sender of an agent or of the pool.
#[derive(Clone, Serialize, JsonSchema)]
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
    /// pending, done or failed: the registration of a WhatsApp sender or of a mail domain at the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    registration: Option<&'static str>,
    /// Whether a bought US number is registered for texts in the US. Absent: it needs no registration here.
    #[serde(skip_serializing_if = "Option::is_none")]
    us_registered: Option<bool>,
    /// Records that the domain of a mail address needs before it sends. Absent: none, or the provider did not respond.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dns_records: Vec<DnsRecordView>,
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
            us_registered: sender.is_us_registered,
            dns_records: Vec::new(),
            created_at: time(sender.created_at),
        }
    }
}

/// Lists senders, with texts and calls of one number as one record.
pub fn records(senders: Vec<Sender>) -> Vec<RecordView> {
    one_per_number(senders).map(RecordView::from).collect()
}

/// Leaves out a sender of calls if the same number sends texts.
pub fn one_per_number(senders: Vec<Sender>) -> impl Iterator<Item = Sender> {
    let numbers: Vec<String> = senders
        .iter()
        .filter(|sender| sender.channel == Channel::Sms)
        .map(|sender| sender.address.clone())
        .collect();
    senders
        .into_iter()
        .filter(move |sender| sender.channel != Channel::Voice || !numbers.contains(&sender.address))
}

/// Shows a sender with the records of its mail domain while the domain is not verified.
pub async fn record_with_dns(senders: &Senders, sender: Sender) -> RecordView {
    let records = senders.dns_records(&sender).await.unwrap_or_else(|failure| {
        // The sender exists; the list of senders has the records later.
        tracing::warn!(%failure, sender = %sender.id, "records of a mail domain not fetched");
        Vec::new()
    });
    RecordView {
        dns_records: records.into_iter().map(DnsRecordView::from).collect(),
        ..sender.into()
    }
}

/// A record that the owner of the mail domain publishes.
#[derive(Clone, Serialize, JsonSchema)]
pub struct DnsRecordView {
    r#type: String,
    /// Relative to the domain.
    name: String,
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<u16>,
}

impl From<DnsRecord> for DnsRecordView {
    fn from(record: DnsRecord) -> Self {
        Self {
            r#type: record.kind,
            name: record.name,
            value: record.value,
            priority: record.priority,
        }
    }
}
