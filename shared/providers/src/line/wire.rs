//! LINE's JSON for messages (LINE, Messaging API reference: Send push message).

use butt_dial_domain::{
    Address, Channel, MessageId,
    ports::carrier::{Dispatch, RefusalClass},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Per push.
pub const MAX_MESSAGES: usize = 5;

/// Builds the request body. It is identical for each attempt, because a retry key requires the same body. Fails with a
/// refusal class for content that LINE can't carry.
pub fn push(dispatch: &Dispatch) -> Result<Value, RefusalClass> {
    let (Channel::Line, Address::Line(to)) = (dispatch.channel, &dispatch.to) else {
        return Err(RefusalClass::Configuration);
    };
    let content = &dispatch.content;
    if content.template.is_some() {
        return Err(RefusalClass::Content);
    }
    let text = content.body.as_deref().filter(|body| !body.is_empty());
    let text = text.map(|text| Some(json!({ "type": "text", "text": text })));
    let pictures = content.media.iter().map(|url| picture(url));
    let messages: Option<Vec<Value>> = text.into_iter().chain(pictures).collect();
    match messages {
        Some(messages) if (1..=MAX_MESSAGES).contains(&messages.len()) => Ok(json!({ "to": to, "messages": messages })),
        _ => Err(RefusalClass::Content),
    }
}

/// LINE takes images without extra parameters, over https only.
fn picture(url: &str) -> Option<Value> {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let ending = path.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase())?;
    let is_picture = matches!(ending.as_str(), "jpg" | "jpeg" | "png") && url.starts_with("https://");
    is_picture.then(|| json!({ "type": "image", "originalContentUrl": url, "previewImageUrl": url }))
}

/// Derives LINE's retry key, a UUID, from the message id. Same key for each attempt.
pub fn retry_key(message: &MessageId) -> Uuid {
    let digest = Sha256::digest(message.as_str().as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

#[derive(Serialize, Deserialize)]
pub struct Sent {
    #[serde(rename = "sentMessages")]
    pub sent_messages: Vec<SentMessage>,
}

#[derive(Serialize, Deserialize)]
pub struct SentMessage {
    pub id: String,
}

impl Sent {
    pub fn first_id(self) -> Option<String> {
        let first = self.sent_messages.into_iter().next()?;
        (!first.id.is_empty()).then_some(first.id)
    }
}

#[derive(Deserialize)]
pub struct Bot {
    #[serde(rename = "userId")]
    _user_id: String,
}

#[derive(Serialize, Deserialize)]
pub struct ErrorBody {
    pub message: String,
    #[serde(default)]
    pub details: Vec<Detail>,
}

#[derive(Serialize, Deserialize)]
pub struct Detail {
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub property: String,
}

impl ErrorBody {
    /// Returns whether the error concerns this property of the request.
    pub fn names(&self, property: &str) -> bool {
        self.details.iter().any(|detail| detail.property == property) || self.message.contains(&format!("'{property}'"))
    }
}

/// Returns whether the text is a message id, which becomes part of a path.
pub fn is_message_id(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_keys_are_stable_uuids() {
        let key = retry_key(&MessageId::from("msg_1"));
        assert_eq!(key, retry_key(&MessageId::from("msg_1")));
        assert_ne!(key, retry_key(&MessageId::from("msg_2")));
        assert_eq!(key.get_version_num(), 4);
    }
}
