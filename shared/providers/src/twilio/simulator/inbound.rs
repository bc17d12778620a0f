//! Twilio's webhooks for inbound messages: signed forms, and media that need the account's credentials (Twilio,
//! Messaging webhooks; Webhooks connection overrides).

use butt_dial_domain::{Channel, sms};

use super::{ACCOUNT_SID, ID, accounts::owner_of, signed, wire_address};
use crate::{
    simulator::{PersonMessage, SimulatorState, VendorWebhook, voice_note},
    twilio::wire::VERSION,
};

/// Keywords that opt out or in when they are the complete text.
const STOP: [&str; 6] = ["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT"];
const START: [&str; 3] = ["START", "YES", "UNSTOP"];
/// The connection overrides that our setup guide names: three retries, also after a 5xx.
const OVERRIDES: &str = "#rc=3&rp=ct,rt,5xx";

pub fn inbound_webhook(simulator: &SimulatorState, text: &PersonMessage, url: &str) -> Result<VendorWebhook, String> {
    if !matches!(text.channel, Channel::Sms | Channel::Whatsapp) {
        return Err(format!("Twilio does not carry {}", text.channel));
    }
    heed_keywords(simulator, text);
    let kind = if text.media.is_empty() { "SM" } else { "MM" };
    let sid = format!("{kind}{}", uuid::Uuid::new_v4().simple());
    let mut fields = fields(simulator, text, &sid);
    for (name, value) in &text.fields {
        fields.retain(|(known, _)| known != name);
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if !value.is_null() {
            fields.push((name.clone(), text));
        }
    }
    // A bought number has its own URL.
    let number = simulator.account_book().find_number(&text.to);
    let url_field = match text.channel {
        Channel::Whatsapp => "WhatsappUrl",
        _ => "SmsUrl",
    };
    let own_url = number
        .map(|number| number.field(url_field).to_owned())
        .unwrap_or_default();
    let url = match own_url.is_empty() {
        true => format!("{url}{OVERRIDES}"),
        false => own_url,
    };
    let webhook = signed(simulator, &url, &fields);
    Ok(VendorWebhook {
        carrier_id: sid,
        webhook,
    })
}

fn fields(simulator: &SimulatorState, text: &PersonMessage, sid: &str) -> Vec<(String, String)> {
    let is_whatsapp = text.channel == Channel::Whatsapp;
    let body = if text.button.is_some() { "" } else { &text.body };
    let segments = if is_whatsapp { 1 } else { sms::segments(body).1 };
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut add = |name: &str, value: &str| fields.push((name.to_owned(), value.to_owned()));
    for name in ["MessageSid", "SmsSid", "SmsMessageSid"] {
        add(name, sid);
    }
    add("AccountSid", &owner_of(simulator, &text.to));
    add("ApiVersion", VERSION);
    add("From", &wire_address(text.channel, &text.from));
    add("To", &wire_address(text.channel, &text.to));
    add("Body", body);
    add("NumMedia", &text.media.len().to_string());
    add("NumSegments", &segments.to_string());
    add("SmsStatus", "received");
    for (place, media) in text.media.iter().enumerate() {
        add(&format!("MediaUrl{place}"), &media_url(simulator, sid, media));
        add(&format!("MediaContentType{place}"), voice_note::content_type(media));
    }
    if is_whatsapp {
        match text.from.strip_prefix('+') {
            Some(digits) => add("WaId", digits),
            None => add("ExternalUserId", &wire_address(text.channel, &text.from)),
        }
        add("ProfileName", text.sender_name.as_deref().unwrap_or("Ann"));
        let kind = match (&text.button, text.media.is_empty()) {
            (Some(_), _) => "button",
            (None, true) => "text",
            (None, false) if text.media.iter().any(|media| voice_note::said(media).is_some()) => "audio",
            (None, false) => "image",
        };
        add("MessageType", kind);
    }
    for (name, value) in [
        ("ButtonText", &text.button),
        ("OptOutType", &text.opt_out_type),
        ("OriginalRepliedMessageSid", &text.in_reply_to),
    ] {
        if let Some(value) = value {
            add(name, value);
        }
    }
    fields
}

/// Applies opt-out keywords: Twilio then blocks messages to the sender, on SMS only (Twilio, support for opt-out
/// keywords).
fn heed_keywords(simulator: &SimulatorState, text: &PersonMessage) {
    if text.channel != Channel::Sms {
        return;
    }
    let word = text.body.trim().to_ascii_uppercase();
    if STOP.contains(&word.as_str()) {
        simulator.opt_out(&text.from);
    } else if START.contains(&word.as_str()) {
        simulator.opt_in(&text.from);
    }
}

/// Returns the media URL. Twilio redirects from it to a signed URL; the simulator serves the image.
fn media_url(simulator: &SimulatorState, sid: &str, media: &str) -> String {
    if media.starts_with("http://") || media.starts_with("https://") {
        return media.to_owned();
    }
    let id = format!("ME{}", uuid::Uuid::new_v4().simple());
    simulator.recordings().keep(&id, media);
    format!(
        "{}/{ID}/{VERSION}/Accounts/{ACCOUNT_SID}/Messages/{sid}/Media/{id}",
        simulator.base_url()
    )
}
