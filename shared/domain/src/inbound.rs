//! Webhook events of carriers: inbound messages and delivery receipts.

use serde::{Deserialize, Serialize};

use crate::{
    Address, CallId, Channel, MessageId, Micros, OrgId, call::Direction, clock::Timestamp, parts::Part,
    ports::carrier::RefusalClass, text,
};

pub use crate::{
    delivery_status::DeliveryStatus,
    mail_details::{AutomatedMail, MailDetails},
};

/// One event of a webhook request. Contains message bodies: must not be logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookEvent {
    Message(Box<InboundMessage>),
    Receipt(Receipt),
    /// An entry that becomes no event. It is counted.
    Skipped(SkippedEntry),
}

/// Why an entry of a webhook becomes no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum SkippedEntry {
    /// It has not the form that the carrier documents.
    Malformed,
    /// It concerns no conversation of an agent, such as the state of an account.
    Irrelevant,
}

impl SkippedEntry {
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A person's message to one of our addresses.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboundMessage {
    /// The carrier's id of the message, the same in each retry of the webhook.
    pub carrier_id: String,
    pub channel: Channel,
    /// Normalized.
    pub from: String,
    /// One of our addresses, normalized.
    pub to: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// E-mail only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// E-mail only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
    /// The content besides the text and the attachments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
    /// The body is no text that the person typed: it names a choice, or describes a part.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_untyped: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// Other addresses of the same person, such as the user id besides the number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Addresses that the person had before. They may belong to another person later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_addresses: Vec<String>,
    /// The person has allowed (true) or stopped (false) marketing messages at the carrier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marketing: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// The carrier's id of the message that this one replies to; `In-Reply-To` of an e-mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<String>,
    /// E-mail only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<Box<MailDetails>>,
    /// The carrier's time of sending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// The keyword that the carrier has recognized and replied to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_keyword: Option<Keyword>,
    /// The words of a recording; of a voicemail one line per utterance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcript: Option<String>,
    /// Voicemail only: the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<CallId>,
    /// The recording of a conversation of the agent, which is no message of the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_recording: Option<CallRecording>,
    /// The account at the carrier that reported the message, if it is not the installation's own: it speaks for its own
    /// addresses only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The webhook has no body: it is fetched later, with `Webhooks::fetch_content`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
}

/// The recording of a conversation on the phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRecording {
    pub direction: Direction,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
}

/// An attachment. Fetched with the request of `Webhooks::media`, never from `source` directly.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The carrier's URL or id of the content.
    pub source: String,
    /// As reported by the carrier. Has to be verified against the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// In bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// A voice recording, not any other audio file.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_voice: bool,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A consent keyword with a legal meaning (47 CFR 64.1200(a)(10)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Keyword {
    Stop,
    Start,
    Help,
}

impl Keyword {
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A delivery receipt: the carrier's report about a message that it has accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The carrier's id of the message.
    pub carrier_id: String,
    /// Our id of the message, if the carrier returns it. It proves acceptance even when the carrier's id is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageId>,
    pub channel: Channel,
    /// Our address that the message was sent from, normalized, if the carrier returns it. Not stored in the stream: it finds the
    /// agent, so that receipts keep their order with the agent's messages.
    #[serde(skip)]
    pub sender: Option<String>,
    pub stage: DeliveryStatus,
    /// The carrier's error code of a failed message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// The meaning of that code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<RefusalClass>,
    /// The price, if the carrier reports it in receipts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Micros>,
    /// The facts that the price follows from, if the carrier reports only these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tariff: Option<Tariff>,
    /// The organization of the account that reported it: it speaks for its own messages only. `None`: the installation's
    /// account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<OrgId>,
    /// With `OptedOut`: only of marketing messages.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_marketing_only: bool,
}

impl Receipt {
    /// Returns whether a person has reported a mail as spam. It comes after the mail was delivered, so its status is not new.
    pub fn is_complaint(&self) -> bool {
        self.channel == Channel::Email && self.failure == Some(RefusalClass::OptedOut)
    }
}

/// The facts that the price of a WhatsApp message follows from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tariff {
    pub category: WhatsappCategory,
    /// The beginning of the recipient's number, with a plus: enough to find the price, and not the address of a person.
    pub prefix: String,
}

/// The category that a WhatsApp message is charged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhatsappCategory {
    /// Within the customer service window.
    Service,
    Utility,
    Marketing,
    Authentication,
}

/// Hides bodies and full addresses, which must not be logged.
impl std::fmt::Debug for InboundMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InboundMessage")
            .field("carrier_id", &self.carrier_id)
            .field("channel", &self.channel)
            .field("attachments", &self.attachments.len())
            .finish_non_exhaustive()
    }
}

/// Bytes of a text that is a part, too. Longer than any text of a messenger.
const MAX_TEXT_PART: usize = 8 * 1024;
/// Characters of a name or a subject that a person or a carrier supplies.
const MAX_LINE: usize = 1_000;
const MAX_NAME: usize = 128;

impl InboundMessage {
    /// Removes what a reader can't see: control and direction characters, and line breaks from names and ids. Names are cut to
    /// 128 characters, the subject and ids to 1,000. Names of files lose their folders.
    #[must_use]
    pub fn cleaned(mut self) -> Self {
        let id = |id: String| text::clean_line(&id, MAX_LINE);
        self.from = id(self.from);
        self.carrier_id = id(self.carrier_id);
        self.in_reply_to = self.in_reply_to.map(id).filter(|id| !id.is_empty());
        self.aliases = self.aliases.into_iter().map(id).collect();
        self.former_addresses = self.former_addresses.into_iter().map(id).collect();
        self.parts = self.parts.into_iter().map(Part::cleaned).collect();
        let name = |name: String| Some(text::clean_line(&name, MAX_NAME)).filter(|name| !name.is_empty());
        self.sender_name = self.sender_name.and_then(name);
        if let Some(group) = &mut self.group {
            group.id = text::clean_line(&group.id, MAX_LINE);
            group.name = group.name.take().and_then(name);
        }
        self.subject = self.subject.map(|subject| text::clean_line(&subject, MAX_LINE));
        self.body = self.body.map(|body| text::clean(&body));
        for attachment in &mut self.attachments {
            let given = attachment.filename.take();
            let cleaned = given.and_then(|given| name(file_name(&given).to_owned()));
            // A name of dots is a folder.
            attachment.filename = cleaned.filter(|name| !name.chars().all(|c| c == '.'));
        }
        self
    }
}

/// Returns the name without folders, which would be those of the sender, or lead out of the reader's folder.
fn file_name(path: &str) -> &str {
    let mut parts = path.rsplit(['/', '\\']).map(str::trim);
    parts.find(|part| !part.is_empty()).unwrap_or_default()
}

impl InboundMessage {
    /// Creates an empty message between two addresses.
    pub fn new(carrier_id: impl Into<String>, channel: Channel, from: &Address, to: &Address) -> Self {
        Self::between(carrier_id, channel, from.as_str(), to.as_str())
    }

    /// Creates an empty message. The sender may have any form: a message is never refused for it.
    pub fn between(carrier_id: impl Into<String>, channel: Channel, from: &str, to: &str) -> Self {
        Self {
            carrier_id: carrier_id.into(),
            channel,
            from: from.to_owned(),
            to: to.to_owned(),
            mail: None,
            body: None,
            subject: None,
            html: None,
            parts: Vec::new(),
            is_untyped: false,
            attachments: Vec::new(),
            aliases: Vec::new(),
            former_addresses: Vec::new(),
            marketing: None,
            sender_name: None,
            group: None,
            in_reply_to: None,
            sent_at: None,
            answered_keyword: None,
            transcript: None,
            call: None,
            call_recording: None,
            account: None,
            incomplete: false,
        }
    }

    /// Adds parts. A message without a body gets the parts in words, unless it has attachments, which speak for themselves.
    #[must_use]
    pub fn with_parts(mut self, parts: Vec<Part>) -> Self {
        let has_body = self.body.as_ref().is_some_and(|body| !body.is_empty());
        if !has_body && self.attachments.is_empty() && !parts.is_empty() {
            let words: Vec<String> = parts.iter().map(Part::to_string).collect();
            self.body = Some(words.join("\n"));
            self.is_untyped = true;
        }
        self.parts.extend(parts);
        self
    }

    /// Adds a part like [`Self::with_parts`].
    #[must_use]
    pub fn with_part(self, part: Part) -> Self {
        self.with_parts(vec![part])
    }

    /// Returns the text of the message: what the person wrote or spoke. A message that consists of files has their kinds in words.
    pub fn readable_body(&self) -> Option<String> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let text = given(&self.body).or_else(|| given(&self.transcript));
        text.or_else(|| {
            let words: Vec<String> = self.all_parts().iter().map(Part::to_string).collect();
            (!words.is_empty()).then(|| words.join("\n"))
        })
    }

    /// Returns the text that the person typed freely. A choice, a caption of WhatsApp and the description of a part are none:
    /// keywords have their meaning in typed text only.
    pub fn typed_text(&self) -> Option<&str> {
        let is_caption = self.channel == Channel::Whatsapp && !self.attachments.is_empty();
        self.body.as_deref().filter(|_| !self.is_untyped && !is_caption)
    }

    /// Returns all parts in their order: the attachments, the text, and those of the carrier. A long text is left out, because it
    /// is the body already.
    pub fn all_parts(&self) -> Vec<Part> {
        let attachments = self.attachments.iter().enumerate();
        let mut parts: Vec<Part> = attachments
            .map(|(attachment, file)| Part::Media {
                attachment,
                kind: file.kind().to_owned(),
            })
            .collect();
        let is_short = |text: &&String| (1..=MAX_TEXT_PART).contains(&text.len());
        if let Some(text) = self.body.as_ref().filter(|text| !self.is_untyped && is_short(text)) {
            parts.push(Part::Text { text: text.clone() });
        }
        parts.extend(self.parts.iter().cloned());
        parts
    }
}

impl Attachment {
    /// Returns the kind of the file in one word.
    pub fn kind(&self) -> &'static str {
        let content_type = self.content_type.as_deref().unwrap_or_default();
        match content_type.split('/').next() {
            _ if self.is_voice => "voice",
            Some("image") => "image",
            Some("audio") => "audio",
            Some("video") => "video",
            _ => "document",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_have_no_folders() {
        let from = Address::parse(Channel::Whatsapp, "+14155550123").unwrap();
        for (given, cleaned) in [
            ("offer.pdf", Some("offer.pdf")),
            ("../../etc/pass\u{202e}wd", Some("passwd")),
            ("C:\\Users\\ann\\offer.pdf", Some("offer.pdf")),
            ("/tmp/offer.pdf/", Some("offer.pdf")),
            ("line\r\nbreak.pdf", Some("line break.pdf")),
            ("..", None),
            (".\u{202e}.", None),
            ("..\u{7}", None),
            ("../", None),
            (" ", None),
        ] {
            let attachment = Attachment {
                source: "1".into(),
                content_type: None,
                filename: Some(given.to_owned()),
                size: None,
                is_voice: false,
            };
            let message = InboundMessage {
                attachments: vec![attachment],
                ..InboundMessage::new("w.1", Channel::Whatsapp, &from, &from)
            };
            assert_eq!(
                message.cleaned().attachments[0].filename.as_deref(),
                cleaned,
                "{given:?}"
            );
        }
    }

    #[test]
    fn keeps_wire_strings_of_keywords() {
        for (keyword, text) in [
            (Keyword::Stop, "stop"),
            (Keyword::Start, "start"),
            (Keyword::Help, "help"),
        ] {
            assert_eq!(keyword.as_str(), text);
            assert_eq!(serde_json::to_value(keyword).unwrap(), text);
        }
    }

    #[test]
    fn typed_text_excludes_choices_captions_and_descriptions() {
        let from = Address::parse(Channel::Whatsapp, "+14155550123").unwrap();
        let message = InboundMessage::new("w.1", Channel::Whatsapp, &from, &from);
        let described = message.clone().with_part(Part::unsupported("poll"));
        assert_eq!(described.typed_text(), None);
        assert!(described.body.is_some_and(|body| body.contains("poll")));

        let typed = InboundMessage {
            body: Some("STOP".into()),
            ..message
        };
        assert_eq!(typed.typed_text(), Some("STOP"));
        let about = typed.clone().with_part(Part::unsupported("poll"));
        assert_eq!(about.typed_text(), Some("STOP"));
        let kinds: Vec<_> = about.all_parts().iter().map(ToString::to_string).collect();
        assert_eq!(kinds[0], "STOP");
        let file = Attachment {
            source: "1".into(),
            content_type: Some("image/png".into()),
            filename: None,
            size: None,
            is_voice: false,
        };
        let caption = InboundMessage {
            attachments: vec![file],
            ..typed
        };
        assert_eq!(caption.typed_text(), None);
        assert_eq!(caption.all_parts()[0].to_string(), "[image]");
        let mms = InboundMessage {
            channel: Channel::Sms,
            ..caption
        };
        assert_eq!(mms.typed_text(), Some("STOP"));
    }

    #[test]
    fn debug_hides_body_and_addresses() {
        let from = Address::parse(Channel::Sms, "+14155550123").unwrap();
        let message = InboundMessage {
            body: Some("a secret".into()),
            ..InboundMessage::new("SM1", Channel::Sms, &from, &from)
        };
        let printed = format!("{:?}", WebhookEvent::Message(Box::new(message)));
        assert!(
            !printed.contains("secret") && !printed.contains("4155550123"),
            "{printed}"
        );
    }
}
