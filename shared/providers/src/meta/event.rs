//! The JSON of one message, one status and one preference in Meta's webhooks (WhatsApp Cloud API, Webhooks components). All
//! fields are optional, and null or a value of another type counts as absent.

use serde::Deserialize;
use serde_json::{Number, Value};

use crate::json::{lenient, lenient_list, lenient_number, lenient_text};

#[derive(Default, Deserialize)]
pub struct Contact {
    #[serde(default, deserialize_with = "lenient_text")]
    pub wa_id: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub user_id: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub parent_user_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub profile: Profile,
}

#[derive(Default, Deserialize)]
pub struct Profile {
    #[serde(default, deserialize_with = "lenient_text")]
    pub name: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub username: Option<String>,
}

#[derive(Deserialize)]
pub struct Message {
    /// Digits, or the user id. Missing when the sender hides the number.
    #[serde(default, deserialize_with = "lenient_text")]
    pub from: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub from_user_id: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub from_parent_user_id: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub group_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub id: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub timestamp: Option<String>,
    #[serde(rename = "type", default, deserialize_with = "lenient_text")]
    pub kind: Option<String>,
    #[serde(flatten)]
    pub content: Content,
    #[serde(default, deserialize_with = "lenient")]
    pub edit: Option<Edit>,
    #[serde(default, deserialize_with = "lenient")]
    pub revoke: Option<Revoke>,
    #[serde(default, deserialize_with = "lenient")]
    pub reaction: Option<Reaction>,
    #[serde(default, deserialize_with = "lenient")]
    pub system: Option<System>,
    #[serde(default, deserialize_with = "lenient")]
    pub unsupported: Option<Unsupported>,
    #[serde(default, deserialize_with = "lenient_list")]
    pub errors: Vec<Fault>,
    #[serde(default, deserialize_with = "lenient")]
    pub context: Option<Context>,
    #[serde(default, deserialize_with = "lenient")]
    pub referral: Option<Referral>,
}

/// The content that a person sends, also within an edit.
#[derive(Default, Deserialize)]
pub struct Content {
    #[serde(default, deserialize_with = "lenient")]
    pub text: Option<Text>,
    #[serde(default, deserialize_with = "lenient")]
    pub image: Option<File>,
    #[serde(default, deserialize_with = "lenient")]
    pub audio: Option<File>,
    #[serde(default, deserialize_with = "lenient")]
    pub video: Option<File>,
    #[serde(default, deserialize_with = "lenient")]
    pub document: Option<File>,
    #[serde(default, deserialize_with = "lenient")]
    pub sticker: Option<File>,
    #[serde(default, deserialize_with = "lenient")]
    pub button: Option<Button>,
    #[serde(default, deserialize_with = "lenient")]
    pub interactive: Option<Interactive>,
    #[serde(default, deserialize_with = "lenient")]
    pub location: Option<Location>,
    #[serde(default, deserialize_with = "lenient_list")]
    pub contacts: Vec<CardData>,
    #[serde(default, deserialize_with = "lenient")]
    pub order: Option<Order>,
}

#[derive(Deserialize)]
pub struct Text {
    #[serde(default, deserialize_with = "lenient_text")]
    pub body: Option<String>,
}

#[derive(Deserialize)]
pub struct File {
    #[serde(deserialize_with = "lenient")]
    pub id: String,
    #[serde(default, deserialize_with = "lenient_text")]
    pub mime_type: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub caption: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub filename: Option<String>,
    /// Audio only: recorded in WhatsApp.
    #[serde(default, deserialize_with = "lenient")]
    pub voice: bool,
}

#[derive(Deserialize)]
pub struct Button {
    #[serde(default, deserialize_with = "lenient_text")]
    pub text: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub payload: Option<String>,
}

#[derive(Deserialize)]
pub struct Interactive {
    #[serde(rename = "type", default, deserialize_with = "lenient_text")]
    pub kind: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub button_reply: Option<Choice>,
    #[serde(default, deserialize_with = "lenient")]
    pub list_reply: Option<Choice>,
    #[serde(default, deserialize_with = "lenient")]
    pub nfm_reply: Option<FlowReply>,
    #[serde(default, deserialize_with = "lenient")]
    pub call_permission_reply: Option<CallPermission>,
}

#[derive(Deserialize)]
pub struct Choice {
    #[serde(default, deserialize_with = "lenient_text")]
    pub id: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub title: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub description: Option<String>,
}

#[derive(Deserialize)]
pub struct FlowReply {
    #[serde(default, deserialize_with = "lenient_text")]
    pub name: Option<String>,
    /// JSON in a string.
    #[serde(default)]
    pub response_json: Value,
}

#[derive(Deserialize)]
pub struct CallPermission {
    #[serde(default, deserialize_with = "lenient_text")]
    pub response: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub expiration_timestamp: Option<String>,
}

#[derive(Deserialize)]
pub struct Reaction {
    #[serde(default, deserialize_with = "lenient_text")]
    pub message_id: Option<String>,
    /// Missing when a reaction is removed.
    #[serde(default, deserialize_with = "lenient_text")]
    pub emoji: Option<String>,
}

#[derive(Deserialize)]
pub struct Location {
    #[serde(default, deserialize_with = "lenient_number")]
    pub latitude: Option<Number>,
    #[serde(default, deserialize_with = "lenient_number")]
    pub longitude: Option<Number>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub name: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub address: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub url: Option<String>,
}

#[derive(Deserialize)]
pub struct CardData {
    #[serde(default, deserialize_with = "lenient")]
    pub name: Option<CardName>,
    #[serde(default, deserialize_with = "lenient")]
    pub org: Option<CardOrganization>,
    #[serde(default, deserialize_with = "lenient_list")]
    pub phones: Vec<CardPhone>,
    #[serde(default, deserialize_with = "lenient_list")]
    pub emails: Vec<CardEmail>,
}

#[derive(Deserialize)]
pub struct CardName {
    #[serde(default, deserialize_with = "lenient_text")]
    pub formatted_name: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub first_name: Option<String>,
}

#[derive(Deserialize)]
pub struct CardOrganization {
    #[serde(default, deserialize_with = "lenient_text")]
    pub company: Option<String>,
}

#[derive(Deserialize)]
pub struct CardPhone {
    #[serde(default, deserialize_with = "lenient_text")]
    pub phone: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub wa_id: Option<String>,
}

#[derive(Deserialize)]
pub struct CardEmail {
    #[serde(default, deserialize_with = "lenient_text")]
    pub email: Option<String>,
}

#[derive(Deserialize)]
pub struct Order {
    #[serde(default, deserialize_with = "lenient_text")]
    pub catalog_id: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub text: Option<String>,
    #[serde(default, deserialize_with = "lenient_list")]
    pub product_items: Vec<ProductItem>,
}

#[derive(Deserialize)]
pub struct ProductItem {
    #[serde(default, deserialize_with = "lenient_text")]
    pub product_retailer_id: Option<String>,
    #[serde(default, deserialize_with = "lenient_number")]
    pub quantity: Option<Number>,
    #[serde(default, deserialize_with = "lenient_number")]
    pub item_price: Option<Number>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub currency: Option<String>,
}

#[derive(Deserialize)]
pub struct Edit {
    #[serde(default, deserialize_with = "lenient_text")]
    pub original_message_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub message: Content,
}

#[derive(Deserialize)]
pub struct Revoke {
    #[serde(default, deserialize_with = "lenient_text")]
    pub original_message_id: Option<String>,
}

#[derive(Deserialize)]
pub struct System {
    #[serde(rename = "type", default, deserialize_with = "lenient_text")]
    pub kind: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub body: Option<String>,
    /// The new number; `new_wa_id` in older versions.
    #[serde(default, deserialize_with = "lenient_text")]
    pub wa_id: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub new_wa_id: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub user_id: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub parent_user_id: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub previous_user_id: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub previous_parent_user_id: Option<String>,
}

#[derive(Deserialize)]
pub struct Unsupported {
    #[serde(rename = "type", default, deserialize_with = "lenient_text")]
    pub kind: Option<String>,
}

#[derive(Deserialize)]
pub struct Context {
    #[serde(default, deserialize_with = "lenient_text")]
    pub id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub referred_product: Option<ReferredProduct>,
}

#[derive(Deserialize)]
pub struct ReferredProduct {
    #[serde(default, deserialize_with = "lenient_text")]
    pub catalog_id: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub product_retailer_id: Option<String>,
}

#[derive(Deserialize)]
pub struct Referral {
    #[serde(default, deserialize_with = "lenient_text")]
    pub source_type: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub source_id: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub source_url: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub headline: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub body: Option<String>,
}

#[derive(Deserialize)]
pub struct Status {
    pub id: String,
    #[serde(default, deserialize_with = "lenient_text")]
    pub status: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub biz_opaque_callback_data: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub recipient_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub pricing: Option<Pricing>,
    #[serde(default, deserialize_with = "lenient_list")]
    pub errors: Vec<Fault>,
}

/// How Meta charges a message. Webhooks have no amount.
#[derive(Deserialize)]
pub struct Pricing {
    pub billable: Option<bool>,
    #[serde(rename = "type", default, deserialize_with = "lenient_text")]
    pub kind: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub category: Option<String>,
}

#[derive(Deserialize)]
pub struct Fault {
    #[serde(default, deserialize_with = "lenient_text")]
    pub code: Option<String>,
}

/// A person's choice about marketing messages.
#[derive(Deserialize)]
pub struct Preference {
    #[serde(default, deserialize_with = "lenient_text")]
    pub wa_id: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub user_id: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub category: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub value: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub detail: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub timestamp: Option<String>,
}
