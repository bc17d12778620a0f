//! The JSON of one event in LINE's webhooks (LINE, Webhook event objects). All fields are optional, and null or a value of
//! another type counts as absent.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Number, Value};

use crate::json::{lenient, lenient_list, lenient_number, lenient_text};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    #[serde(rename = "type", default, deserialize_with = "lenient_text")]
    pub kind: Option<String>,
    /// `standby`: another module answers the user.
    #[serde(default, deserialize_with = "lenient_text")]
    pub mode: Option<String>,
    /// Unix milliseconds.
    #[serde(default, deserialize_with = "lenient")]
    pub timestamp: Option<i64>,
    #[serde(default, deserialize_with = "lenient")]
    pub source: Source,
    #[serde(default, deserialize_with = "lenient")]
    pub message: Option<Message>,
    #[serde(default, deserialize_with = "lenient")]
    pub postback: Option<Postback>,
    #[serde(default, deserialize_with = "lenient")]
    pub unsend: Option<Unsend>,
    #[serde(default, deserialize_with = "lenient")]
    pub joined: Option<Members>,
    #[serde(default, deserialize_with = "lenient")]
    pub left: Option<Members>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    #[serde(default, deserialize_with = "lenient_text")]
    pub user_id: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub group_id: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub room_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    #[serde(deserialize_with = "lenient_text")]
    pub id: Option<String>,
    #[serde(rename = "type", default, deserialize_with = "lenient_text")]
    pub kind: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub text: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub file_name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub file_size: Option<u64>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub quoted_message_id: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub package_id: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub sticker_id: Option<String>,
    #[serde(default, deserialize_with = "lenient_list")]
    pub keywords: Vec<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub title: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub address: Option<String>,
    #[serde(default, deserialize_with = "lenient_number")]
    pub latitude: Option<Number>,
    #[serde(default, deserialize_with = "lenient_number")]
    pub longitude: Option<Number>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Postback {
    #[serde(default, deserialize_with = "lenient_text")]
    pub data: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub display_text: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub params: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unsend {
    #[serde(default, deserialize_with = "lenient_text")]
    pub message_id: Option<String>,
}

#[derive(Deserialize)]
pub struct Members {
    #[serde(default, deserialize_with = "lenient_list")]
    pub members: Vec<Source>,
}
