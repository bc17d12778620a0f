//! The facts that rules decide on. They are stored with decisions, so they hold neither a body nor an address.

use butt_dial_domain::{Address, Channel, Destination, SendPurpose, clock::Timestamp, message::Content};
use butt_dial_store::{ConsentStatus, ContactState};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::{ComplianceSettings, place::Place};

/// An answer within this time of the contact's last message is a conversational reply.
const REPLY: TimeDelta = TimeDelta::hours(24);

/// Numbers of emergency services. They are dialled without a country code.
const EMERGENCY: &[&str] = &[
    "000", "08", "100", "101", "102", "108", "110", "111", "112", "113", "115", "117", "118", "119", "120", "122",
    "123", "911", "988", "995", "997", "998", "999",
];

/// The facts about a message and its recipient.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// When the message is to be sent.
    pub at: Timestamp,
    pub channel: Channel,
    pub purpose: SendPurpose,
    /// The request names the purpose.
    pub is_declared: bool,
    pub place: Place,
    pub kind: RecipientKind,
    /// The operator allows this satellite, premium or Caribbean number.
    pub is_allowed_destination: bool,
    /// The recipient is an agent of the same organization.
    pub is_colleague: bool,
    pub has_template: bool,
    /// The carriers are simulated, and the number is reserved for fiction: it counts as a contact that has written first.
    pub is_fictional: bool,
    /// The reason of a suppression.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub suppression: Option<String>,
    #[serde(with = "status", skip_serializing_if = "Option::is_none", default)]
    pub consent: Option<ConsentStatus>,
    /// `None`: the person's own word, or none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub consent_kind: Option<String>,
    /// The consent to marketing messages on WhatsApp.
    #[serde(with = "status", skip_serializing_if = "Option::is_none", default)]
    pub marketing_consent: Option<ConsentStatus>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_inbound_at: Option<Timestamp>,
    /// Marketing messages of the organization to the person within 24 hours.
    pub marketing_sent: u32,
    /// A person has approved the message.
    #[serde(default)]
    pub is_approved: bool,
    /// The organization has set its postal address. Records from before this fact count as such.
    #[serde(default = "has")]
    pub has_postal_address: bool,
    /// The organization or the operator discloses that an AI assistant writes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub discloses: bool,
    /// The person has been told so on this channel.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_disclosed: bool,
    /// The agent is restrained for a time: its messages need an approval.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_restrained: bool,
    /// The agent has read a text that resembles instructions a short time ago, and its organization wants approvals then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_tainted: bool,
}

fn has() -> bool {
    true
}

/// The kind of a recipient's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecipientKind {
    Ordinary,
    Satellite,
    Premium,
    /// In a Caribbean country with the code of North America.
    Caribbean,
    /// An emergency service.
    Emergency,
    /// In no numbering plan.
    Opaque,
}

/// A message and its recipient, before the facts about them are collected.
pub struct Subject<'a> {
    pub channel: Channel,
    pub to: &'a Address,
    pub content: &'a Content,
    pub contact: &'a ContactState,
    /// As the request declares it.
    pub purpose: Option<SendPurpose>,
    /// When the message is to be sent.
    pub at: Timestamp,
    /// Marketing messages of the organization to the recipient within 24 hours, if this is one.
    pub marketing_sent: u32,
    /// A person has approved the message.
    pub is_approved: bool,
    /// The organization has set its postal address.
    pub has_postal_address: bool,
    /// The choice of the organization about the disclosure that an AI assistant writes.
    pub discloses: Option<bool>,
    /// The agent is restrained for a time: its messages need an approval.
    pub is_restrained: bool,
    /// The agent has read a text that resembles instructions a short time ago, and its organization wants approvals then.
    pub is_tainted: bool,
}

impl Facts {
    /// Collects the facts about a message.
    pub(crate) fn collect(subject: &Subject<'_>, settings: &ComplianceSettings) -> Self {
        let Subject { to, contact, at, .. } = *subject;
        let is_reply = contact.last_inbound_at.is_some_and(|inbound| at - inbound < REPLY);
        let declared = subject
            .purpose
            .filter(|purpose| is_reply || *purpose != SendPurpose::ConversationalReply);
        let inferred = match is_reply {
            true => SendPurpose::ConversationalReply,
            false => settings.undeclared_purpose,
        };
        let number = to.as_str();
        Self {
            at,
            channel: subject.channel,
            purpose: declared.unwrap_or(inferred),
            is_declared: declared.is_some(),
            place: Place::of(to),
            kind: RecipientKind::of(to),
            is_allowed_destination: (settings.allowed_destinations.iter())
                .any(|prefix| number.starts_with(prefix.as_str())),
            is_colleague: contact.recipient_agent.is_some(),
            has_template: subject.content.template.is_some(),
            is_fictional: settings.simulated_world && is_fictional(number),
            suppression: contact.suppression.clone(),
            consent: contact.consent,
            consent_kind: contact.consent_kind.clone(),
            marketing_consent: contact.marketing,
            last_inbound_at: contact.last_inbound_at,
            marketing_sent: subject.marketing_sent,
            is_approved: subject.is_approved,
            has_postal_address: subject.has_postal_address,
            discloses: settings.disclosure.applies(subject.discloses),
            is_disclosed: contact.is_disclosed,
            is_restrained: subject.is_restrained,
            is_tainted: subject.is_tainted,
        }
    }

    /// Returns whether this is a message of the simulated world that nothing is known of.
    pub(crate) fn is_undeclared_fiction(&self) -> bool {
        self.is_fictional && self.purpose == SendPurpose::Undeclared
    }
}

impl RecipientKind {
    fn of(to: &Address) -> Self {
        if EMERGENCY.contains(&to.as_str()) {
            return Self::Emergency;
        }
        if to.is_opaque() {
            return Self::Opaque;
        }
        match Destination::of(to) {
            Destination::Ordinary => Self::Ordinary,
            Destination::Satellite => Self::Satellite,
            Destination::Premium => Self::Premium,
            Destination::Caribbean => Self::Caribbean,
        }
    }
}

/// +1 415 555 0100 to 0199, reserved for fiction (North American Numbering Plan, 555-01xx).
fn is_fictional(number: &str) -> bool {
    number.len() == 12 && number.starts_with("+141555501")
}

/// The status of consent as text.
mod status {
    use butt_dial_store::ConsentStatus;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(status: &Option<ConsentStatus>, serializer: S) -> Result<S::Ok, S::Error> {
        match status {
            Some(status) => serializer.serialize_str(status.into()),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ConsentStatus>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}
