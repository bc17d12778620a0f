//! Request checks of the Messages resource, with Twilio's error codes (Twilio, error dictionary).

use butt_dial_domain::{Address, Channel};
use serde_json::Value;

use super::{ID, accounts::may_send_from, error::ApiError};
use crate::{
    simulator::{SimulatedMessage, SimulatorState},
    twilio::wire::{self, WHATSAPP},
};

const MAX_BODY_CHARS: usize = 1_600;
const MAX_MEDIA: usize = 10;

struct Fields<'a>(&'a [(String, String)]);

impl<'a> Fields<'a> {
    fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    fn find(&self, name: &str) -> Option<&'a str> {
        self.all(name).next().filter(|value| !value.is_empty())
    }
}

/// A message that passed the checks.
pub struct ValidMessage {
    pub message: SimulatedMessage,
    is_template: bool,
    pub status_callback: Option<String>,
}

impl ValidMessage {
    /// Checks in Twilio's order: sender, recipient, content, consent.
    pub fn parse(simulator: &SimulatorState, account: &str, fields: &[(String, String)]) -> Result<Self, ApiError> {
        let fields = Fields(fields);
        let service = fields.find("MessagingServiceSid");
        let to = fields
            .find("To")
            .ok_or_else(|| ApiError::bad(21604, "A 'To' phone number is required."))?;
        let from = fields.find("From");
        if from.is_none() && service.is_none() {
            return Err(ApiError::bad(21603, "A 'From' phone number is required."));
        }
        let (channel, to) = recipient(to)?;
        let from = sender(simulator, account, channel, from, service)?;

        let template = fields.find("ContentSid");
        // Contents with buttons need no approval, and no template.
        let content = template.and_then(|sid| simulator.find_content(sid));
        let body = fields.find("Body").unwrap_or_default();
        let media: Vec<String> = fields.all("MediaUrl").map(str::to_owned).collect();
        match template {
            Some(sid) => check_template(sid, fields.find("ContentVariables"))?,
            None => check_text(body, &media)?,
        }
        if channel == Channel::Sms && simulator.has_opted_out(&to) {
            return Err(ApiError::bad(21610, "Attempt to send to unsubscribed recipient"));
        }
        let status_callback = fields.find("StatusCallback").map(str::to_owned);
        if status_callback.as_ref().is_some_and(|url| !is_web_url(url)) {
            return Err(ApiError::bad(21609, "The 'StatusCallback' URL is not a valid URL."));
        }

        let kind = if media.is_empty() { "SM" } else { "MM" };
        let sid = format!("{kind}{}", uuid::Uuid::new_v4().simple());
        let mut message = SimulatedMessage::new(ID, channel, sid, simulator.now());
        message.status = if service.is_some() { "accepted" } else { "queued" };
        message.from = from;
        message.to = to;
        message.body = match template {
            Some(sid) => content
                .clone()
                .unwrap_or_else(|| shown_template(sid, fields.find("ContentVariables"))),
            None => match fields.find("PersistentAction") {
                Some(action) => format!("[{action}] {body}"),
                None => body.to_owned(),
            },
        };
        message.media = media;
        message.sender_pool = service.map(str::to_owned);
        Ok(Self {
            message,
            is_template: template.is_some() && content.is_none(),
            status_callback,
        })
    }

    /// Returns whether the message will fail outside WhatsApp's window. WhatsApp accepts free-form messages at any
    /// time and drops them later.
    pub fn stays_outside_the_window(&self, simulator: &SimulatorState) -> bool {
        self.message.channel == Channel::Whatsapp && !self.is_template && !simulator.window_is_open(&self.message.to)
    }
}

fn recipient(to: &str) -> Result<(Channel, String), ApiError> {
    let channel = if to.starts_with(WHATSAPP) {
        Channel::Whatsapp
    } else {
        Channel::Sms
    };
    match Address::parse_reply(channel, to) {
        Ok(address) => Ok((channel, address.as_str().to_owned())),
        Err(_) => Err(ApiError::bad(
            21211,
            format!("Invalid 'To' Phone Number: {}", masked(to)),
        )),
    }
}

/// Returns the sender without prefix; empty when the messaging service selects it.
fn sender(
    simulator: &SimulatorState,
    account: &str,
    channel: Channel,
    from: Option<&str>,
    service: Option<&str>,
) -> Result<String, ApiError> {
    if service.is_some_and(|sid| !wire::is_sid(sid, "MG")) {
        return Err(ApiError::bad(21701, "The Messaging Service does not exist."));
    }
    let Some(from) = from else {
        return Ok(String::new());
    };
    if from.starts_with(WHATSAPP) != (channel == Channel::Whatsapp) {
        let text = "Invalid From and To pair. From and To should be of the same channel";
        return Err(ApiError::bad(21910, text));
    }
    let bare = from.strip_prefix(WHATSAPP).unwrap_or(from);
    match (may_send_from(simulator, account, bare), channel) {
        (true, _) => Ok(bare.to_owned()),
        (false, Channel::Whatsapp) => {
            let text = "Twilio could not find a Channel with the specified From address";
            Err(ApiError::bad(63007, text))
        }
        (false, _) => {
            let text = "The 'From' phone number provided is not a valid message-capable Twilio phone number for this destination/account.";
            Err(ApiError::bad(21606, text))
        }
    }
}

fn check_text(body: &str, media: &[String]) -> Result<(), ApiError> {
    if body.is_empty() && media.is_empty() {
        return Err(ApiError::bad(21602, "Message body is required."));
    }
    if body.chars().count() > MAX_BODY_CHARS {
        return Err(ApiError::bad(
            21617,
            "The concatenated message body exceeds the 1600 character limit.",
        ));
    }
    if media.len() > MAX_MEDIA {
        return Err(ApiError::bad(21623, "Number of media files exceeds allowed limit."));
    }
    if media.iter().any(|url| !is_web_url(url)) {
        return Err(ApiError::bad(21620, "Invalid media URL(s)"));
    }
    Ok(())
}

fn check_template(sid: &str, variables: Option<&str>) -> Result<(), ApiError> {
    if !wire::is_sid(sid, "HX") {
        return Err(ApiError::bad(21655, "The ContentSid is Invalid"));
    }
    let variables = variables.unwrap_or("{}");
    if serde_json::from_str::<serde_json::Map<String, Value>>(variables).is_err() {
        return Err(ApiError::bad(21656, "The Content Variables parameter is invalid"));
    }
    Ok(())
}

/// Renders a template by id and variables, because the simulator has no templates.
fn shown_template(sid: &str, variables: Option<&str>) -> String {
    format!("[{sid}] {}", variables.unwrap_or_default())
        .trim_end()
        .to_owned()
}

fn is_web_url(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// Masks an unrecognized number, like Twilio.
fn masked(text: &str) -> String {
    let shown: String = text.chars().take(5).collect();
    format!("{shown}XXXX")
}
