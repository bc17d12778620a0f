//! Twilio's fields and formats: forms in, JSON out, dates as RFC 2822 (Twilio, API reference: Messages resource).

use butt_dial_domain::{
    Address, Channel, Micros,
    clock::Timestamp,
    money::Rates,
    ports::carrier::{Dispatch, ListedMessage},
    rich::Rich,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use url::form_urlencoded::Serializer;

use crate::json::lenient_text;

pub const VERSION: &str = "2010-04-01";

/// Builds the fields of a new message; lists repeat the key. Returns `None` for a channel that Twilio does not have.
pub fn form(dispatch: &Dispatch, messaging_service: Option<&str>) -> Option<Vec<(&'static str, String)>> {
    let content = &dispatch.content;
    let mut form = vec![
        ("To", address(dispatch.channel, &dispatch.to)?),
        ("From", address(dispatch.channel, &dispatch.from)?),
    ];
    if let (Channel::Sms, Some(service)) = (dispatch.channel, messaging_service) {
        form.push(("MessagingServiceSid", service.to_owned()));
    }
    if let Some(callback) = &dispatch.callback {
        form.push(("StatusCallback", callback.clone()));
    }
    if let Some(template) = &content.template {
        form.push(("ContentSid", template.id.clone()));
        if !template.variables.is_empty() {
            // JSON inside the form. Serializing a map of strings can't fail.
            form.push(("ContentVariables", serde_json::to_string(&template.variables).ok()?));
        }
        return Some(form);
    }
    if let Some(body) = &content.body {
        form.push(("Body", body.clone()));
    }
    match content.rich.as_deref() {
        Some(Rich::Location {
            latitude,
            longitude,
            name,
        }) => {
            let name = name.as_deref().unwrap_or_default();
            let place = format!("geo:{latitude},{longitude}|{name}");
            form.push(("PersistentAction", place.trim_end_matches('|').to_owned()));
        }
        // Sent by the id of their content.
        Some(Rich::Buttons { .. } | Rich::Contact { .. }) => return None,
        None => {}
    }
    form.extend(content.media.iter().map(|url| ("MediaUrl", url.clone())));
    Some(form)
}

/// Formats an address for this channel.
fn address(channel: Channel, address: &Address) -> Option<String> {
    match channel {
        Channel::Sms => Some(address.as_str().to_owned()),
        // Twilio has no groups.
        Channel::Whatsapp if matches!(address, Address::WhatsappGroup(_)) => None,
        Channel::Whatsapp => Some(format!("{WHATSAPP}{}", address.as_str())),
        Channel::Email | Channel::Line | Channel::Voice => None,
    }
}

pub const WHATSAPP: &str = "whatsapp:";

/// Builds the query. `DateSent>` with a value reads `DateSent>=` on the wire and counts whole days.
pub fn list_query(channel: Channel, from: &Address, to: &Address, since: Timestamp, page_size: usize) -> String {
    let wire_address = |of| address(channel, of).unwrap_or_default();
    Serializer::new(String::new())
        .append_pair("To", &wire_address(to))
        .append_pair("From", &wire_address(from))
        .append_pair("DateSent>", &since.format("%Y-%m-%d").to_string())
        .append_pair("PageSize", &page_size.to_string())
        .finish()
}

/// The fields read from a 201 response.
#[derive(Deserialize)]
pub struct Created {
    pub sid: String,
    pub status: String,
    #[serde(default, deserialize_with = "lenient_text")]
    pub num_segments: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub price: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub price_unit: Option<String>,
}

#[derive(Deserialize)]
pub struct Page {
    pub messages: Vec<Message>,
    pub next_page_uri: Option<String>,
}

#[derive(Deserialize)]
pub struct Message {
    sid: String,
    status: String,
    body: Option<String>,
    date_created: String,
    #[serde(default, deserialize_with = "lenient_text")]
    num_media: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    num_segments: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    price: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    price_unit: Option<String>,
}

impl Message {
    pub fn listed(self, rates: &Rates) -> Option<ListedMessage> {
        Some(ListedMessage {
            created_at: date(&self.date_created)?,
            carrier_id: self.sid,
            carrier_status: self.status,
            body: self.body.unwrap_or_default(),
            segments: segments(self.num_segments.as_deref()),
            media: self.num_media.and_then(|count| count.parse().ok()).unwrap_or(0),
            price: price(rates, self.price.as_deref(), self.price_unit.as_deref()),
        })
    }
}

#[derive(Deserialize)]
pub struct Account {
    pub status: String,
}

#[derive(Serialize, Deserialize)]
pub struct ErrorBody {
    pub code: u32,
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub more_info: String,
    #[serde(default)]
    pub status: u16,
}

pub fn date(text: &str) -> Option<Timestamp> {
    Some(DateTime::parse_from_rfc2822(text).ok()?.with_timezone(&Utc))
}

/// Parses a price, which Twilio writes as a negative amount of the account's currency: `-0.00790`. `None`: there is none yet,
/// or its currency has no rate.
pub fn price(rates: &Rates, amount: Option<&str>, currency: Option<&str>) -> Option<Micros> {
    let amount = amount?.trim().parse::<f64>().ok()?.abs();
    let price = rates.convert(amount, currency);
    if price.is_none() {
        tracing::warn!(currency, "price of the carrier ignored: its currency has no rate");
    }
    price
}

/// Parses the number of segments, which is "0" until the messaging service has selected a sender (Twilio, Messages resource).
pub fn segments(text: Option<&str>) -> Option<u32> {
    text?.parse().ok().filter(|count| *count > 0)
}

/// Returns whether the text is a SID of this kind: two letters and an identifier. Twilio's have 32 hex digits, which
/// is not guaranteed.
pub fn is_sid(text: &str, kind: &str) -> bool {
    text.strip_prefix(kind)
        .is_some_and(|rest| (1..=64).contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// Returns whether the text is a message SID: `SM` for text, `MM` with media.
pub fn is_message_sid(text: &str) -> bool {
    is_sid(text, "SM") || is_sid(text, "MM")
}
