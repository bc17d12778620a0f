//! Reads one inbound message of Twilio: the sender in all its forms, the text, and the parts (Twilio, Messaging webhooks).

use butt_dial_domain::{
    Address, Channel,
    inbound::{Attachment, InboundMessage, Keyword},
    parts::Part,
    ports::webhook::UnreadableRequest,
};
use serde_json::Value;

use super::form::Form;
use crate::json;

/// MMS and WhatsApp carry at most ten (Twilio, Messaging webhooks).
const MAX_MEDIA: usize = 10;
/// The user id of a WhatsApp sender. Twilio has documented both names.
const USER_ID: [&str; 2] = ["ExternalUserId", "ExternalUserIdentifier"];
const PARENT_USER_ID: [&str; 2] = ["ExternalParentUserId", "ParentExternalUserId"];

pub fn read(form: &Form, sid: &str, channel: Channel) -> Result<InboundMessage, UnreadableRequest> {
    // Without our address there is no agent to notify.
    let to = form
        .find("To")
        .ok_or(UnreadableRequest("the message has no recipient"))?;
    let mut names = names(form, channel);
    let number = names.iter().position(|name| matches!(name, Address::Phone(_)));
    let from = match names.is_empty() {
        true => Address::known(channel, ""),
        false => names.remove(number.unwrap_or(0)),
    };
    let message = InboundMessage {
        attachments: attachments(form, channel),
        aliases: names.iter().map(|name| name.as_str().to_owned()).collect(),
        sender_name: form.find("ProfileName").map(str::to_owned),
        in_reply_to: form.find("OriginalRepliedMessageSid").map(str::to_owned),
        answered_keyword: form.find("OptOutType").and_then(keyword),
        ..InboundMessage::new(sid, channel, &from, &Address::known(channel, to))
    };
    Ok(with_content(form, message))
}

/// Returns the names of the sender, without repetitions.
fn names(form: &Form, channel: Channel) -> Vec<Address> {
    let mut names: Vec<Address> = Vec::new();
    let from = form
        .find("From")
        .map(|from| from.strip_prefix("whatsapp:").unwrap_or(from));
    let ids = USER_ID.iter().chain(&PARENT_USER_ID).filter_map(|name| form.find(name));
    let ids = ids.filter(|_| channel == Channel::Whatsapp);
    for name in from.into_iter().filter(|from| !from.trim().is_empty()).chain(ids) {
        let address = Address::known(channel, name);
        if !names.contains(&address) {
            names.push(address);
        }
    }
    names
}

/// Adds the text and the parts.
fn with_content(form: &Form, mut message: InboundMessage) -> InboundMessage {
    let body = form.find("Body").map(str::to_owned);
    let kind = form.find("MessageType").unwrap_or_default();
    let mut parts = Vec::new();
    if kind == "reaction" {
        parts.push(Part::Reaction {
            message_id: message.in_reply_to.clone(),
            removed: body.is_none(),
            emoji: body,
        });
        return message.with_parts(parts);
    }
    if let Some(choice) = choice(form, kind) {
        message.body = body.or(match &choice {
            Part::Choice { title, .. } => title.clone(),
            _ => None,
        });
        message.is_untyped = message.body.is_some();
        parts.push(choice);
    } else {
        message.body = body;
    }
    parts.extend(location(form));
    parts.extend(flow_reply(form));
    parts.extend(referral(form));
    let is_empty = message.body.is_none() && message.attachments.is_empty() && parts.is_empty();
    let is_shown = matches!(kind, "" | "text");
    if kind == "unsupported" || (is_empty && !is_shown) {
        parts.push(Part::Unsupported {
            raw_type: kind.to_owned(),
            code: form.find("ErrorCode").map(str::to_owned),
        });
    }
    message.with_parts(parts)
}

/// Reads a button or an entry of a list. Its title comes as the text, too.
fn choice(form: &Form, kind: &str) -> Option<Part> {
    let find = |name| form.find(name).map(str::to_owned);
    let (title, payload) = (find("ButtonText").or_else(|| find("ListTitle")), find("ButtonPayload"));
    let id = find("ListId");
    let is_choice = title.is_some() || payload.is_some() || id.is_some() || kind == "button";
    let is_bare_reply = kind == "interactive" && form.find("InteractiveData").is_none();
    (is_choice || is_bare_reply).then(|| Part::Choice {
        id,
        title: title.or_else(|| find("Body")),
        description: find("ListDescription"),
        payload,
        params: Default::default(),
    })
}

fn location(form: &Form) -> Option<Part> {
    let coordinate = |name| form.find(name).and_then(json::number);
    Some(Part::Location {
        latitude: coordinate("Latitude")?,
        longitude: coordinate("Longitude")?,
        name: form.find("Label").map(str::to_owned),
        address: form.find("Address").map(str::to_owned),
        url: None,
    })
}

/// Reads a form that the person filled in: JSON, in which the answer is JSON in a string again.
fn flow_reply(form: &Form) -> Option<Part> {
    let text = form.find("InteractiveData").or_else(|| form.find("FlowData"))?;
    let data = json::parse(text.as_bytes()).unwrap_or_else(|| Value::from(text));
    let reply = data
        .get("nfm_reply")
        .or_else(|| data.get("interactive")?.get("nfm_reply"));
    let name = reply.and_then(|reply| json::text(&reply["name"]));
    let data = match reply.map(|reply| &reply["response_json"]) {
        Some(Value::String(answer)) => json::parse(answer.as_bytes()).unwrap_or_else(|| Value::from(answer.as_str())),
        Some(Value::Null) | None => data,
        Some(answer) => answer.clone(),
    };
    Some(Part::FlowReply { name, data })
}

fn referral(form: &Form) -> Option<Part> {
    let [source_type, source_id, url, headline, text] = [
        "ReferralSourceType",
        "ReferralSourceId",
        "ReferralSourceUrl",
        "ReferralHeadline",
        "ReferralBody",
    ]
    .map(|name| form.find(name).map(str::to_owned));
    let is_given = [&source_id, &url, &headline, &text].into_iter().any(Option::is_some);
    is_given.then_some(Part::Referral {
        source_type,
        source_id,
        url,
        headline,
        text,
    })
}

fn attachments(form: &Form, channel: Channel) -> Vec<Attachment> {
    let listed = (0..MAX_MEDIA).filter_map(|place| {
        let source = form.find(&format!("MediaUrl{place}"))?.to_owned();
        let content_type = form.find(&format!("MediaContentType{place}")).map(str::to_owned);
        // WhatsApp records voice notes in Ogg; other audio files keep their own type.
        let is_ogg = content_type
            .as_deref()
            .is_some_and(|kind| kind.starts_with("audio/ogg"));
        Some(Attachment {
            source,
            is_voice: channel == Channel::Whatsapp && is_ogg,
            content_type,
            filename: None,
            size: None,
        })
    });
    listed.collect()
}

fn keyword(text: &str) -> Option<Keyword> {
    match text {
        "STOP" => Some(Keyword::Stop),
        "START" => Some(Keyword::Start),
        "HELP" => Some(Keyword::Help),
        _ => None,
    }
}
