//! Buttons and typing on WhatsApp (Twilio, Content API; Typing indicators). Twilio has no reactions, polls, edits, deletions,
//! forwarding, status posts or disappearing messages for businesses.

use butt_dial_domain::{
    message::{Content, Template},
    ports::carrier::{AmbiguityReason, CarrierAcceptance, Dispatch, Outcome},
    rich::{Button, ChatAction, ChatRequest},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::wire;
use crate::http::Response;

/// The actions that Twilio has.
pub const SUPPORTED: &[&str] = &["typing", "mark_read", "send_buttons", "send_location"];

#[derive(Deserialize)]
struct CreatedContent {
    sid: String,
}

#[derive(Deserialize)]
struct Done {
    success: bool,
}

/// Builds the content of a message with buttons.
pub fn content(dispatch: &Dispatch, buttons: &[Button]) -> Value {
    let actions: Vec<_> = buttons
        .iter()
        .map(|button| json!({ "type": "QUICK_REPLY", "title": button.label, "id": button.id }))
        .collect();
    let body = dispatch.content.body.as_deref().unwrap_or_default();
    json!({
        "friendly_name": dispatch.message.as_str(),
        "language": "en",
        "types": { "twilio/quick-reply": { "body": body, "actions": actions } },
    })
}

/// Returns the message that refers to the created content. `None`: the response is not Twilio's.
pub fn with_content(dispatch: &Dispatch, response: &Response) -> Option<Dispatch> {
    let created: CreatedContent = serde_json::from_slice(&response.body).ok()?;
    wire::is_sid(&created.sid, "HX").then(|| Dispatch {
        content: Content {
            template: Some(Template {
                id: created.sid,
                variables: Default::default(),
                is_for_codes: false,
            }),
            rich: None,
            ..dispatch.content.clone()
        },
        ..dispatch.clone()
    })
}

/// Builds the form that shows that an answer is being written. It also marks the message as read, for which Twilio has no other
/// way. `None`: Twilio has no such action, or no such message.
pub fn typing(request: &ChatRequest) -> Option<[(&'static str, String); 2]> {
    let is_shown = matches!(request.action, ChatAction::Typing | ChatAction::MarkRead);
    let is_typing = is_shown && wire::is_message_sid(&request.message);
    is_typing.then(|| {
        [
            ("messageId", request.message.clone()),
            ("channel", "whatsapp".to_owned()),
        ]
    })
}

/// Reads the response to an action.
pub fn done(response: &Response) -> Outcome {
    match serde_json::from_slice::<Done>(&response.body) {
        Ok(Done { success: true }) => Outcome::Accepted(CarrierAcceptance {
            carrier_id: String::new(),
            carrier_status: "done".to_owned(),
            segments: None,
            price: None,
        }),
        _ => Outcome::Unknown(AmbiguityReason::CarrierFault),
    }
}
