//! Request checks of the Messages API (WhatsApp Cloud API, Messages; Error codes).

use axum::{http::StatusCode, response::Response};
use butt_dial_domain::{Address, Channel};
use serde::Deserialize;
use serde_json::Value;

use super::error::error_response;

const MAX_TEXT_CHARS: usize = 4_096;
const MAX_DATA_BYTES: usize = 512;

/// A message that passed the checks.
pub struct ValidMessage {
    pub to: String,
    pub body: String,
    pub media: Vec<String>,
    pub is_template: bool,
    /// Returned in each receipt.
    pub data: Option<String>,
}

#[derive(Deserialize)]
struct Fields {
    messaging_product: String,
    #[serde(default)]
    recipient_type: Option<String>,
    #[serde(default)]
    to: Option<String>,
    /// A user id, instead of `to`.
    #[serde(default)]
    recipient: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    biz_opaque_callback_data: Option<String>,
    #[serde(flatten)]
    parts: Value,
}

impl ValidMessage {
    #[expect(clippy::result_large_err, reason = "created once per request, as its response")]
    pub fn parse(body: &[u8]) -> Result<Self, Response> {
        let fields: Fields = serde_json::from_slice(body).map_err(|_| missing("messaging_product and type"))?;
        if fields.messaging_product != "whatsapp" {
            return Err(wrong("messaging_product must be whatsapp"));
        }
        let is_group = fields.recipient_type.as_deref() == Some("group");
        let to = match (&fields.to, &fields.recipient) {
            (Some(group), None) if is_group => Address::parse(Channel::Whatsapp, group)
                .or_else(|_| Address::parse(Channel::Whatsapp, &format!("group:{group}"))),
            (Some(number), None) => Address::parse(Channel::Whatsapp, &format!("+{}", number.trim_start_matches('+'))),
            (None, Some(id)) => Address::parse(Channel::Whatsapp, id),
            _ => return Err(missing("either to or recipient")),
        };
        let Ok(to) = to else {
            return Err(error_response(
                StatusCode::BAD_REQUEST,
                131_026,
                "Message undeliverable",
            ));
        };
        if fields
            .biz_opaque_callback_data
            .as_ref()
            .is_some_and(|data| data.len() > MAX_DATA_BYTES)
        {
            return Err(wrong("biz_opaque_callback_data is too long"));
        }
        let part = &fields.parts[&fields.kind];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (body, media) = match fields.kind.as_str() {
            "text" => (text(&part["body"]), Vec::new()),
            "image" | "video" | "audio" | "document" => (text(&part["caption"]), vec![text(&part["link"])]),
            "template" => (shown_template(part)?, Vec::new()),
            "interactive" => (shown_buttons(part)?, Vec::new()),
            "location" => (shown_location(part)?, Vec::new()),
            "contacts" => (shown_contact(part)?, Vec::new()),
            "reaction" => (shown_reaction(part)?, Vec::new()),
            _ => return Err(wrong("this type is not simulated")),
        };
        if fields.kind == "text" && !(1..=MAX_TEXT_CHARS).contains(&body.chars().count()) {
            return Err(wrong("text.body must have 1 to 4096 characters"));
        }
        if media
            .iter()
            .any(|link| !link.starts_with("https://") && !link.starts_with("http://"))
        {
            return Err(error_response(StatusCode::BAD_REQUEST, 131_052, "Media download error"));
        }
        Ok(Self {
            to: to.as_str().to_owned(),
            body,
            media,
            is_template: fields.kind == "template",
            data: fields.biz_opaque_callback_data,
        })
    }
}

/// Renders a template by name and parameters, because the simulator has no templates. They exist in all real languages.
#[expect(clippy::result_large_err, reason = "created once per request, as its response")]
fn shown_template(part: &Value) -> Result<String, Response> {
    let (Some(name), Some(language)) = (part["name"].as_str(), part["language"]["code"].as_str()) else {
        return Err(missing("template.name and template.language.code"));
    };
    // Codes for private use (ISO 639-2) have no translation.
    if ("qaa"..="qtz").contains(&language) {
        let message = "Template name does not exist in the translation";
        return Err(error_response(StatusCode::NOT_FOUND, 132_001, message));
    }
    let parameters = part["components"][0]["parameters"].as_array();
    let values = parameters
        .into_iter()
        .flatten()
        .filter_map(|parameter| parameter["text"].as_str());
    let values: Vec<_> = values.collect();
    Ok(format!("[{name}:{language}] {}", values.join(", "))
        .trim_end()
        .to_owned())
}

#[expect(clippy::result_large_err, reason = "created once per request, as its response")]
fn shown_buttons(part: &Value) -> Result<String, Response> {
    let buttons = part["action"]["buttons"].as_array();
    let titles: Vec<&str> = buttons
        .into_iter()
        .flatten()
        .filter_map(|button| button["reply"]["title"].as_str())
        .collect();
    let is_valid = part["type"] == "button"
        && (1..=3).contains(&titles.len())
        && titles.iter().all(|title| (1..=20).contains(&title.chars().count()));
    match part["body"]["text"].as_str().filter(|_| is_valid) {
        Some(text) => Ok(format!("{text} [{}]", titles.join("] ["))),
        None => Err(wrong("interactive must have a text and one to three buttons")),
    }
}

#[expect(clippy::result_large_err, reason = "created once per request, as its response")]
fn shown_location(part: &Value) -> Result<String, Response> {
    match (part["latitude"].as_str(), part["longitude"].as_str()) {
        (Some(latitude), Some(longitude)) => {
            let name = part["name"].as_str().unwrap_or_default();
            Ok(format!("[{latitude},{longitude}] {name}").trim_end().to_owned())
        }
        _ => Err(missing("location.latitude and location.longitude")),
    }
}

#[expect(clippy::result_large_err, reason = "created once per request, as its response")]
fn shown_contact(part: &Value) -> Result<String, Response> {
    let name = part[0]["name"]["formatted_name"].as_str();
    let phone = part[0]["phones"][0]["phone"].as_str().unwrap_or_default();
    match name {
        Some(name) => Ok(format!("[{name}] {phone}").trim_end().to_owned()),
        None => Err(missing("contacts.name.formatted_name")),
    }
}

#[expect(clippy::result_large_err, reason = "created once per request, as its response")]
fn shown_reaction(part: &Value) -> Result<String, Response> {
    match (part["message_id"].as_str(), part["emoji"].as_str()) {
        (Some(id), Some(emoji)) if id.starts_with("wamid.") => Ok(format!("[{id}] {emoji}").trim_end().to_owned()),
        _ => Err(missing("reaction.message_id and reaction.emoji")),
    }
}

fn missing(what: &str) -> Response {
    error_response(
        StatusCode::BAD_REQUEST,
        131_008,
        &format!("Required parameter is missing: {what}"),
    )
}

fn wrong(what: &str) -> Response {
    error_response(
        StatusCode::BAD_REQUEST,
        131_009,
        &format!("Parameter value is not valid: {what}"),
    )
}
