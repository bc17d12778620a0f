//! Messages with buttons, places and contact cards, actions in a chat, and members of groups (WhatsApp Cloud API, Messages; Groups
//! API). Meta has no polls, edits, deletions, forwarding, status posts or disappearing messages for businesses.

use butt_dial_domain::{
    Address,
    parts::Card,
    ports::carrier::{AmbiguityReason, CarrierAcceptance, Outcome, RefusalClass},
    rich::{ChatAction, ChatRequest, GroupMember, Rich, parse_vcard},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{addressed::addressed, message::person};
use crate::http::Response;

/// The actions that Meta has.
pub const SUPPORTED: &[&str] = &[
    "typing",
    "mark_read",
    "react",
    "send_buttons",
    "send_location",
    "send_contact",
    "group_members",
];

/// Returns the type and the part of a message. Fails for content that Meta can't carry.
pub fn part(rich: &Rich, body: Option<&str>) -> Result<(&'static str, Value), RefusalClass> {
    Ok(match rich {
        Rich::Buttons { buttons } => {
            let buttons: Vec<Value> = buttons
                .iter()
                .map(|button| json!({ "type": "reply", "reply": { "id": button.id, "title": button.label } }))
                .collect();
            let part = json!({
                "type": "button",
                "body": { "text": body.ok_or(RefusalClass::Content)? },
                "action": { "buttons": buttons },
            });
            ("interactive", part)
        }
        Rich::Location {
            latitude,
            longitude,
            name,
        } => {
            let mut part = json!({ "latitude": latitude, "longitude": longitude });
            if let Some(name) = name {
                part["name"] = json!(name);
            }
            ("location", part)
        }
        Rich::Contact { vcard } => {
            let card = parse_vcard(vcard).ok_or(RefusalClass::Content)?;
            ("contacts", json!([contact(&card)]))
        }
    })
}

fn contact(card: &Card) -> Value {
    let name = card
        .name
        .as_deref()
        .or(card.phones.first().map(String::as_str))
        .unwrap_or_default();
    let first = name.split(' ').next().unwrap_or_default();
    let mut contact = json!({ "name": { "formatted_name": name, "first_name": first } });
    if !card.phones.is_empty() {
        let phones = card
            .phones
            .iter()
            .map(|phone| json!({ "phone": phone, "type": "CELL" }));
        contact["phones"] = phones.collect();
    }
    if !card.emails.is_empty() {
        contact["emails"] = card.emails.iter().map(|email| json!({ "email": email })).collect();
    }
    if let Some(company) = &card.organization {
        contact["org"] = json!({ "company": company });
    }
    contact
}

/// Builds the request of an action.
pub fn action(request: &ChatRequest) -> Result<Value, RefusalClass> {
    let read = json!({ "messaging_product": "whatsapp", "status": "read", "message_id": request.message });
    Ok(match &request.action {
        ChatAction::MarkRead => read,
        ChatAction::Typing => {
            let mut typing = read;
            typing["typing_indicator"] = json!({ "type": "text" });
            typing
        }
        ChatAction::React { emoji } => {
            let reaction = json!({ "message_id": request.message, "emoji": emoji });
            addressed(&request.to, "reaction", reaction)?
        }
    })
}

#[derive(Deserialize)]
struct Done {
    success: bool,
}

/// Reads the response to an action that creates nothing.
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

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    participants: Vec<Participant>,
}

#[derive(Deserialize)]
struct Participant {
    #[serde(default)]
    wa_id: Option<String>,
    #[serde(default)]
    user_id: Option<String>,
    #[serde(default)]
    username: Option<String>,
}

/// Reads the members of a group.
pub fn members(response: &Response) -> Option<Vec<GroupMember>> {
    let group: Group = serde_json::from_slice(&response.body).ok()?;
    let member = |participant: Participant| GroupMember {
        address: participant
            .wa_id
            .as_deref()
            .or(participant.user_id.as_deref())
            .map(person)
            .filter(|address| !matches!(address, Address::Opaque(_))),
        user_id: participant.user_id,
        username: participant.username,
    };
    Some(group.participants.into_iter().map(member).collect())
}
