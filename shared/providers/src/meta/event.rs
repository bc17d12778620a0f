//! The JSON of Meta's webhooks (WhatsApp Cloud API, Webhooks components). Entries come in batches. All fields that
//! Meta may omit are optional.

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
pub struct Batch {
    #[serde(default)]
    pub entry: Vec<Entry>,
}

#[derive(Deserialize)]
pub struct Entry {
    #[serde(default)]
    pub changes: Vec<Change>,
}

#[derive(Deserialize)]
pub struct Change {
    #[serde(default)]
    pub field: String,
    #[serde(default)]
    pub value: Value,
}

/// A change of the field `messages`. Messages and statuses stay raw values, so that one unreadable item does not spoil
/// the others.
#[derive(Deserialize)]
pub struct Messages {
    pub metadata: Metadata,
    #[serde(default)]
    pub contacts: Vec<Contact>,
    #[serde(default)]
    pub messages: Vec<Value>,
    #[serde(default)]
    pub statuses: Vec<Value>,
}

#[derive(Deserialize)]
pub struct Metadata {
    pub display_phone_number: String,
}

#[derive(Deserialize)]
pub struct Contact {
    #[serde(default)]
    pub wa_id: Option<String>,
    #[serde(default)]
    pub profile: Profile,
}

#[derive(Default, Deserialize)]
pub struct Profile {
    #[serde(default)]
    pub name: Option<String>,
}

#[derive(Deserialize)]
pub struct Message {
    /// Digits. Missing when the sender hides the number.
    #[serde(default)]
    pub from: Option<String>,
    pub id: String,
    #[serde(default)]
    pub timestamp: Option<String>,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub text: Option<Text>,
    #[serde(default, alias = "audio", alias = "video", alias = "document", alias = "sticker")]
    pub image: Option<File>,
    #[serde(default)]
    pub button: Option<Button>,
    #[serde(default)]
    pub interactive: Option<Interactive>,
    #[serde(default)]
    pub reaction: Option<Reaction>,
    #[serde(default)]
    pub location: Option<Location>,
    #[serde(default)]
    pub context: Option<Context>,
}

#[derive(Deserialize)]
pub struct Text {
    pub body: String,
}

#[derive(Deserialize)]
pub struct File {
    pub id: String,
    #[serde(default)]
    pub mime_type: Option<String>,
    #[serde(default)]
    pub caption: Option<String>,
    #[serde(default)]
    pub filename: Option<String>,
    /// Audio only: recorded in WhatsApp (not verified; nothing depends on it).
    #[serde(default)]
    pub voice: bool,
}

#[derive(Deserialize)]
pub struct Button {
    #[serde(default)]
    pub text: Option<String>,
}

#[derive(Deserialize)]
pub struct Interactive {
    #[serde(default, alias = "list_reply")]
    pub button_reply: Option<Choice>,
}

#[derive(Deserialize)]
pub struct Choice {
    #[serde(default)]
    pub title: Option<String>,
}

#[derive(Deserialize)]
pub struct Reaction {
    #[serde(default)]
    pub message_id: Option<String>,
    /// Missing when a reaction is removed.
    #[serde(default)]
    pub emoji: Option<String>,
}

#[derive(Deserialize)]
pub struct Location {
    pub latitude: f64,
    pub longitude: f64,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub address: Option<String>,
}

#[derive(Deserialize)]
pub struct Context {
    #[serde(default)]
    pub id: Option<String>,
}

#[derive(Deserialize)]
pub struct Status {
    pub id: String,
    pub status: String,
    #[serde(default)]
    pub biz_opaque_callback_data: Option<String>,
    #[serde(default)]
    pub errors: Vec<Fault>,
}

#[derive(Deserialize)]
pub struct Fault {
    pub code: u32,
}

impl Message {
    /// Returns the text of the message, whatever its type.
    pub fn content(&self) -> Option<String> {
        let text = self.text.as_ref().map(|text| text.body.as_str());
        let caption = || self.image.as_ref()?.caption.as_deref();
        let button = || self.button.as_ref()?.text.as_deref();
        let choice = || self.interactive.as_ref()?.button_reply.as_ref()?.title.as_deref();
        let emoji = || self.reaction.as_ref()?.emoji.as_deref();
        let content = text.or_else(caption).or_else(button).or_else(choice).or_else(emoji);
        let content = content
            .map(str::to_owned)
            .or_else(|| self.location.as_ref().map(Location::to_text));
        content.filter(|content| !content.is_empty())
    }

    /// Returns the id of the message that this one replies or reacts to.
    pub fn replied_to(&self) -> Option<&str> {
        let reaction_to = self
            .reaction
            .as_ref()
            .and_then(|reaction| reaction.message_id.as_deref());
        reaction_to.or_else(|| self.context.as_ref()?.id.as_deref())
    }
}

impl Location {
    fn to_text(&self) -> String {
        let place = format!("{}, {}", self.latitude, self.longitude);
        let named = [&self.name, &self.address].into_iter().flatten().map(String::as_str);
        named.chain([place.as_str()]).collect::<Vec<_>>().join("\n")
    }
}
