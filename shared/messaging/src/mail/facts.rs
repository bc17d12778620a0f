//! The members of an event that tell of a mail besides its text.

use butt_dial_compliance::seal_words;
use butt_dial_domain::{
    Channel, OrgId,
    inbound::{AutomatedMail, InboundMessage, Keyword},
};
use butt_dial_language::{mail_keyword, mail_revocation};
use butt_dial_store::{ConsentBasis, ConsentMethod, Store, StoreError};
use butt_dial_vault::Vault;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::text::text_of_html;
use crate::{inbound::keyword, provenance};

/// Ids of a thread that are kept with the event.
const MAX_REFERENCES: usize = 20;

/// Adds what stays with the event when its content is deleted: ids and marks, without the addresses of other people.
pub(crate) fn add_facts(data: &mut Map<String, Value>, message: &InboundMessage) {
    let mut put = |key: &str, value: Value| {
        data.insert(key.to_owned(), value);
    };
    if let Some(replied) = &message.in_reply_to {
        put("inReplyTo", json!(replied));
    }
    let Some(mail) = &message.mail else { return };
    if let Some(id) = &mail.message_id {
        put("emailMessageId", json!(id));
    }
    if !mail.references.is_empty() {
        let newest = mail.references.len().saturating_sub(MAX_REFERENCES);
        put("references", json!(mail.references[newest..]));
    }
    if let Some(reply_to) = &mail.reply_to {
        put("replyTo", json!(reply_to));
        data.remove("canReply");
    }
    let mut put = |key: &str, value: Value| {
        data.insert(key.to_owned(), value);
    };
    if let Some(tag) = &mail.tag {
        put("tag", json!(tag));
    }
    if let Some(kind) = mail.automated {
        put("automated", json!(true));
        put("automatedKind", json!(kind));
        if kind == AutomatedMail::Bounce {
            put("bounce", json!(true));
        }
    }
}

/// Adds what is deleted with the content of the event.
pub(crate) fn add_content(view: &mut Map<String, Value>, message: &InboundMessage) {
    let Some(mail) = &message.mail else { return };
    for (key, addresses) in [("recipients", &mail.to), ("cc", &mail.cc), ("bcc", &mail.bcc)] {
        if !addresses.is_empty() {
            view.insert(key.to_owned(), json!(addresses));
        }
    }
    if let Some(results) = &mail.authentication {
        view.insert("authenticationResults".to_owned(), json!(results));
    }
}

/// Completes a message that was fetched: the text of a mail that has only HTML, the members of its event, and the consent
/// that its words give or revoke.
pub(crate) async fn complete(
    store: &Store,
    vault: &Vault,
    (org, event): (&OrgId, &str),
    data: &mut Value,
    message: &mut InboundMessage,
    written_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    if message.channel != Channel::Email {
        return Ok(());
    }
    if message.body.is_none()
        && let Some(html) = message.html.clone()
    {
        message.body = text_of_html(html).await;
    }
    let Some(data) = data.as_object_mut() else {
        return Ok(());
    };
    add_facts(data, message);
    data.insert("provenance".to_owned(), provenance::of_mail(message));
    let is_automated = message.mail.as_ref().is_some_and(|mail| mail.automated.is_some());
    let words = (
        message.subject.as_deref().unwrap_or_default(),
        message.body.as_deref().unwrap_or_default(),
    );
    if is_automated {
        return Ok(());
    }
    let keyword = mail_keyword(words.0, words.1).filter(|keyword| *keyword != Keyword::Help);
    if let Some(keyword) = keyword {
        data.insert("keyword".to_owned(), json!(keyword.as_str()));
    }
    let revocation = mail_revocation(words.0, words.1).filter(|_| keyword.is_none());
    if let Some(revocation) = revocation {
        data.insert("revocation".to_owned(), keyword::view(revocation));
    }
    let Some(granted) = keyword::consent(keyword, revocation) else {
        return Ok(());
    };
    if store
        .has_newer_consent(org, Channel::Email, &message.from, written_at)
        .await?
    {
        return Ok(());
    }
    let said = if words.1.is_empty() { words.0 } else { words.1 };
    let said = seal_words(vault, org, event, said);
    let detail = json!({ "sender": message.to, "carrierMessageId": message.carrier_id });
    let method = match keyword {
        Some(_) => ConsentMethod::Keyword,
        None => ConsentMethod::FreeText,
    };
    let basis = ConsentBasis {
        event: Some(event),
        words: Some(&said),
        evidence: Some(&detail),
        ..ConsentBasis::new(method, "keyword")
    };
    store
        .record_consent(org, Channel::Email, &message.from, granted, basis, written_at)
        .await?;
    Ok(())
}
