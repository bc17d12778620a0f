//! Reads one message of Meta: the sender in all its forms, the text, and the parts.

use butt_dial_domain::{
    Address, Channel,
    clock::Timestamp,
    inbound::{Attachment, Group, InboundMessage},
    parts::{Card, OrderItem, Part},
};
use chrono::DateTime;
use serde_json::Value;

use super::event::{CardData, Contact, Content, File, Interactive, Message, Order, ProductItem, Referral, System};

/// Reads a message to our number. `id` names it if Meta does not.
pub fn read(message: &Message, id: &str, our_number: &Address, contacts: &[Contact]) -> InboundMessage {
    let contact = find_contact(message, contacts);
    let mut names = names(message, contact);
    let from = take_sender(&mut names);
    let mut read = InboundMessage::new(
        message.id.as_deref().unwrap_or(id),
        Channel::Whatsapp,
        &from,
        our_number,
    );
    read.aliases = names.iter().map(|name| name.as_str().to_owned()).collect();
    let content = message.edit.as_ref().map_or(&message.content, |edit| &edit.message);
    read.body = content.typed_text();
    read.attachments = content.files().map(attachment).collect();
    read.sender_name = contact.and_then(|contact| contact.profile.name.clone().or(contact.profile.username.clone()));
    read.group = message.group_id.as_deref().map(group);
    read.in_reply_to = replied_to(message);
    read.sent_at = message.timestamp.as_deref().and_then(seconds);
    if let Some(system) = &message.system {
        read_change(&mut read, system);
    }
    let mut parts = parts(message, content);
    let is_empty = read.body.is_none() && read.attachments.is_empty() && parts.is_empty();
    if is_empty || message.kind.as_deref() == Some("unsupported") {
        parts.push(unsupported(message));
    }
    read.with_parts(parts)
}

/// Returns the contact of the sender. A webhook with one message can name one contact without an id in common.
fn find_contact<'a>(message: &Message, contacts: &'a [Contact]) -> Option<&'a Contact> {
    let ids = [&message.from, &message.from_user_id, &message.from_parent_user_id];
    let ids: Vec<&str> = ids.into_iter().flatten().map(String::as_str).collect();
    let is_sender = |contact: &&Contact| {
        let own = [&contact.wa_id, &contact.user_id, &contact.parent_user_id];
        own.into_iter().flatten().any(|id| ids.contains(&id.as_str()))
    };
    let found = contacts.iter().find(is_sender);
    found.or_else(|| contacts.first().filter(|_| ids.is_empty() && contacts.len() == 1))
}

/// Returns the names of the sender, without repetitions.
fn names(message: &Message, contact: Option<&Contact>) -> Vec<Address> {
    let own = [&message.from, &message.from_user_id, &message.from_parent_user_id];
    let listed = contact.map(|contact| [&contact.wa_id, &contact.user_id, &contact.parent_user_id]);
    let mut names: Vec<Address> = Vec::new();
    for name in own.into_iter().chain(listed.into_iter().flatten()).flatten() {
        let address = person(name);
        if !names.contains(&address) {
            names.push(address);
        }
    }
    names
}

/// Takes the name to answer to: the number if there is one.
fn take_sender(names: &mut Vec<Address>) -> Address {
    let number = names.iter().position(|name| matches!(name, Address::Phone(_)));
    match names.is_empty() {
        true => Address::known(Channel::Whatsapp, ""),
        false => names.remove(number.unwrap_or(0)),
    }
}

/// Returns the address of a person: a number in digits, or a user id.
pub fn person(text: &str) -> Address {
    let digits = text.trim_start_matches('+');
    match !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        true => Address::known(Channel::Whatsapp, &format!("+{digits}")),
        false => Address::known(Channel::Whatsapp, text),
    }
}

fn group(id: &str) -> Group {
    let address =
        Address::parse(Channel::Whatsapp, id).or_else(|_| Address::parse(Channel::Whatsapp, &format!("group:{id}")));
    Group {
        id: address.map_or_else(|_| id.to_owned(), |address| address.as_str().to_owned()),
        name: None,
    }
}

fn replied_to(message: &Message) -> Option<String> {
    let reaction = message.reaction.as_ref();
    let reaction_to = reaction.and_then(|reaction| reaction.message_id.clone());
    reaction_to.or_else(|| message.context.as_ref()?.id.clone())
}

/// Notes a change of number or user id: the new ones are the person's, too.
fn read_change(read: &mut InboundMessage, system: &System) {
    let new = [
        &system.wa_id,
        &system.new_wa_id,
        &system.user_id,
        &system.parent_user_id,
    ];
    let new: Vec<String> = new
        .into_iter()
        .flatten()
        .map(|id| person(id).as_str().to_owned())
        .collect();
    let former = [&system.previous_user_id, &system.previous_parent_user_id];
    let former = former.into_iter().flatten().map(|id| person(id).as_str().to_owned());
    read.former_addresses = former.collect();
    let has_new_number = new
        .first()
        .is_some_and(|first| first.starts_with('+') && *first != read.from);
    if has_new_number && read.from.starts_with('+') {
        read.former_addresses.push(read.from.clone());
    }
    for id in new {
        if id != read.from && !read.aliases.contains(&id) {
            read.aliases.push(id);
        }
    }
}

fn parts(message: &Message, content: &Content) -> Vec<Part> {
    let mut parts = Vec::new();
    if let Some(edited) = message.edit.as_ref().and_then(|edit| edit.original_message_id.clone()) {
        parts.push(Part::Edit { edits: edited });
    }
    if let Some(message_id) = message
        .revoke
        .as_ref()
        .and_then(|revoke| revoke.original_message_id.clone())
    {
        parts.push(Part::Deletion { message_id });
    }
    if let Some(reaction) = &message.reaction {
        parts.push(Part::Reaction {
            message_id: reaction.message_id.clone(),
            emoji: reaction.emoji.clone(),
            removed: reaction.emoji.is_none(),
        });
    }
    if let Some(system) = &message.system {
        parts.push(notice(system));
    }
    content.parts(&mut parts);
    let product = message
        .context
        .as_ref()
        .and_then(|context| context.referred_product.as_ref());
    if let Some(product) = product
        && let Some(product_id) = product.product_retailer_id.clone()
    {
        parts.push(Part::Product {
            catalog_id: product.catalog_id.clone(),
            product_id,
        });
    }
    parts.extend(message.referral.as_ref().map(referral));
    parts
}

impl Content {
    /// Returns the text or caption that the person typed.
    fn typed_text(&self) -> Option<String> {
        let text = self.text.as_ref().and_then(|text| text.body.clone());
        text.or_else(|| self.files().find_map(|file| file.caption.clone()))
    }

    fn files(&self) -> impl Iterator<Item = &File> {
        let files = [&self.image, &self.audio, &self.video, &self.document, &self.sticker];
        files.into_iter().flatten()
    }

    fn parts(&self, parts: &mut Vec<Part>) {
        if let Some(button) = &self.button {
            parts.push(Part::Choice {
                id: None,
                title: button.text.clone(),
                description: None,
                payload: button.payload.clone(),
                params: Default::default(),
            });
        }
        parts.extend(self.interactive.as_ref().map(interactive));
        if let Some(location) = &self.location
            && let (Some(latitude), Some(longitude)) = (location.latitude.clone(), location.longitude.clone())
        {
            parts.push(Part::Location {
                latitude,
                longitude,
                name: location.name.clone(),
                address: location.address.clone(),
                url: location.url.clone(),
            });
        }
        parts.extend(self.contacts.iter().map(card).map(Part::Contact));
        parts.extend(self.order.as_ref().map(order));
        if let Some(sticker) = &self.sticker {
            parts.push(Part::Sticker {
                id: Some(sticker.id.clone()),
                package_id: None,
                text: None,
                keywords: Vec::new(),
            });
        }
    }
}

fn interactive(reply: &Interactive) -> Part {
    if let Some(choice) = reply.button_reply.as_ref().or(reply.list_reply.as_ref()) {
        return Part::Choice {
            id: choice.id.clone(),
            title: choice.title.clone(),
            description: choice.description.clone(),
            payload: None,
            params: Default::default(),
        };
    }
    if let Some(flow) = &reply.nfm_reply {
        return Part::FlowReply {
            name: flow.name.clone(),
            data: unwrapped(&flow.response_json),
        };
    }
    if let Some(permission) = &reply.call_permission_reply {
        return Part::CallPermission {
            response: permission.response.clone().unwrap_or_default(),
            expires_at: permission.expiration_timestamp.clone(),
        };
    }
    let kind = reply.kind.as_deref().unwrap_or_default();
    Part::unsupported(format!("interactive {kind}").trim_end())
}

/// Parses JSON in a string. Other text stays text.
fn unwrapped(value: &Value) -> Value {
    let Value::String(text) = value else {
        return value.clone();
    };
    crate::json::parse(text.as_bytes()).unwrap_or_else(|| value.clone())
}

fn card(data: &CardData) -> Card {
    let name = data.name.as_ref();
    Card {
        name: name.and_then(|name| name.formatted_name.clone().or_else(|| name.first_name.clone())),
        organization: data.org.as_ref().and_then(|org| org.company.clone()),
        phones: data
            .phones
            .iter()
            .filter_map(|phone| {
                phone
                    .phone
                    .clone()
                    .or_else(|| Some(format!("+{}", phone.wa_id.as_ref()?)))
            })
            .collect(),
        emails: data.emails.iter().filter_map(|email| email.email.clone()).collect(),
    }
}

fn order(order: &Order) -> Part {
    let item = |item: &ProductItem| OrderItem {
        product_id: item.product_retailer_id.clone().unwrap_or_default(),
        quantity: item.quantity.clone(),
        price: item.item_price.clone(),
        currency: item.currency.clone(),
    };
    Part::Order {
        catalog_id: order.catalog_id.clone(),
        text: order.text.clone(),
        items: order.product_items.iter().map(item).collect(),
    }
}

fn notice(system: &System) -> Part {
    let number = system.wa_id.as_ref().or(system.new_wa_id.as_ref());
    let details = [
        ("newNumber", number.map(|number| person(number).as_str().to_owned())),
        ("userId", system.user_id.clone()),
        ("previousUserId", system.previous_user_id.clone()),
    ];
    Part::System {
        notice: system.kind.clone().unwrap_or_else(|| "system".to_owned()),
        text: system.body.clone(),
        details: details
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect(),
    }
}

fn referral(referral: &Referral) -> Part {
    Part::Referral {
        source_type: referral.source_type.clone(),
        source_id: referral.source_id.clone(),
        url: referral.source_url.clone(),
        headline: referral.headline.clone(),
        text: referral.body.clone(),
    }
}

fn unsupported(message: &Message) -> Part {
    let named = message
        .unsupported
        .as_ref()
        .and_then(|unsupported| unsupported.kind.clone());
    Part::Unsupported {
        raw_type: named
            .or_else(|| message.kind.clone())
            .unwrap_or_else(|| "unknown".to_owned()),
        code: message.errors.iter().find_map(|fault| fault.code.clone()),
    }
}

fn attachment(file: &File) -> Attachment {
    Attachment {
        source: file.id.clone(),
        content_type: file.mime_type.clone(),
        filename: file.filename.clone(),
        size: None,
        is_voice: file.voice,
    }
}

pub fn seconds(text: &str) -> Option<Timestamp> {
    DateTime::from_timestamp(text.parse().ok()?, 0)
}
