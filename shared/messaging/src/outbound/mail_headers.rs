//! The headers of a mail that the pipeline sets: the thread of an answer, the link to unsubscribe, and the mark of an
//! automatic mail.

use butt_dial_domain::{Channel, Code, Failure, SendPurpose, address::contact_key, message::MailOptions};
use butt_dial_store::{ConsentStatus, ContactState};
use futures::future::try_join_all;
use serde_json::Value;

use super::{
    Allowance, Outbound,
    comply::{CompliantMessage, author},
};
use crate::{
    EventContent,
    mail::{UnsubscribeToken, footer},
    takeovers::check_not_taken_over,
};

/// Ids in `References`. A longer header is folded by some servers and cut by others.
const MAX_REFERENCES: usize = 20;

/// Adds the headers to a mail, and checks its further recipients. Does nothing on other channels.
pub(super) async fn add_headers(outbound: &Outbound, compliant: &mut CompliantMessage) -> Result<(), Failure> {
    if compliant.message.channel != Channel::Email || compliant.is_internal {
        return Ok(());
    }
    let mut mail = compliant.message.content.mail.take().unwrap_or_default();
    check_recipients(outbound, compliant, &mail).await?;
    let replied_subject = add_thread(outbound, compliant, &mut mail).await?;
    let message = &mut compliant.message;
    let agent = &message.profile.agent;
    message.content.subject.get_or_insert_with(|| match replied_subject {
        Some(subject) => subject,
        // Resend requires one, the Python client has no field for it.
        None => format!("Message from {}", agent.display_name),
    });
    let token = UnsubscribeToken::new(&message.to, &message.from).seal(&outbound.vault, &agent.org_id);
    let by_mail = format!("<mailto:{}?subject=unsubscribe>", message.from.as_str());
    let link = outbound.public_urls.unsubscribe(&token);
    if link.as_ref().is_some_and(|link| link.starts_with("https://")) {
        let one_click = "List-Unsubscribe=One-Click".to_owned();
        mail.headers.insert("List-Unsubscribe-Post".to_owned(), one_click);
    }
    if let (SendPurpose::Marketing, Some(address)) =
        (compliant.ruling.facts.purpose, &message.profile.choices.postal_address)
    {
        let unsubscribe = link.as_deref().unwrap_or(by_mail.trim_matches(['<', '>']));
        footer::append(&mut message.content, address, unsubscribe);
    }
    let targets = link.map_or_else(|| by_mail.clone(), |link| format!("<{link}>, {by_mail}"));
    mail.headers.insert("List-Unsubscribe".to_owned(), targets);
    if message.allowance == Allowance::Automatic {
        mail.headers
            .insert("Auto-Submitted".to_owned(), "auto-replied".to_owned());
    }
    message.content.mail = Some(mail);
    Ok(())
}

/// Fails with `ContactOptedOut` if a further recipient does not want mail.
async fn check_recipients(
    outbound: &Outbound,
    compliant: &CompliantMessage,
    mail: &MailOptions,
) -> Result<(), Failure> {
    let message = &compliant.message;
    let agent = &message.profile.agent;
    let (channel, key) = ((&message.sender.id, message.channel), &message.idempotency_key);
    let find = |address| {
        outbound
            .store
            .find_contact_state(&agent.org_id, &agent.id, channel, address, key)
    };
    // Concurrent queries share a round trip.
    let contacts = try_join_all(mail.cc.iter().chain(&mail.bcc).map(|address| find(address))).await?;
    let refuses =
        |contact: &ContactState| contact.suppression.is_some() || contact.consent == Some(ConsentStatus::Revoked);
    if let Some(place) = contacts.iter().position(refuses) {
        let field = if place < mail.cc.len() { "cc" } else { "bcc" };
        let refusal = Failure::new(
            Code::ContactOptedOut,
            format!("a recipient in {field} does not want messages"),
        );
        return Err(refusal.on(message.channel).hint("remove the recipient"));
    }
    let (by, now) = ((&agent.id, author(message)), outbound.clock.now());
    for (address, contact) in mail.cc.iter().chain(&mail.bcc).zip(&contacts) {
        let key = contact_key(address);
        check_not_taken_over(&outbound.store, by, (&key, contact), now)
            .await
            .map_err(|refusal| refusal.on(message.channel))?;
    }
    Ok(())
}

/// Continues the thread of the mail that is answered. Returns the subject of an answer.
async fn add_thread(
    outbound: &Outbound,
    compliant: &CompliantMessage,
    mail: &mut MailOptions,
) -> Result<Option<String>, Failure> {
    let message = &compliant.message;
    let Some(replied) = message.thread.reply_msg_id.as_deref() else {
        return Ok(None);
    };
    if is_message_id(replied) {
        set_thread(mail, replied, &[]);
        return Ok(None);
    }
    let agent = &message.profile.agent;
    let Some(event) = outbound.store.find_event(&agent.id, replied).await? else {
        return Ok(None);
    };
    if event.data["automated"] == true {
        return Err(Failure::new(
            Code::InvalidRecipient,
            "the mail that you answer was sent automatically: no person would read the answer",
        )
        .on(message.channel)
        .hint("leave replyMsgId out, if a person reads this address nevertheless"));
    }
    if let Some(id) = event.data["emailMessageId"].as_str() {
        let references = event.data["references"].as_array();
        let references: Vec<&str> = references.into_iter().flatten().filter_map(Value::as_str).collect();
        set_thread(mail, id, &references);
    }
    let content = event.content.as_deref();
    let content = content.and_then(|sealed| EventContent::open(&outbound.vault, &agent.org_id, &event.id, sealed));
    let subject = content.and_then(|content| content.message.subject);
    Ok(subject.as_deref().map(answered))
}

fn set_thread(mail: &mut MailOptions, replied: &str, references: &[&str]) {
    let newest = references.len().saturating_sub(MAX_REFERENCES);
    let mut ids = references[newest..].to_vec();
    if !ids.contains(&replied) {
        ids.push(replied);
    }
    // The caller's own headers take precedence.
    let mut put = |name: &str, value: String| {
        mail.headers.entry(name.to_owned()).or_insert(value);
    };
    put("In-Reply-To", replied.to_owned());
    put("References", ids.join(" "));
}

fn is_message_id(text: &str) -> bool {
    text.starts_with('<') && text.ends_with('>') && text.contains('@') && !text.contains(char::is_whitespace)
}

fn answered(subject: &str) -> String {
    let is_answer = subject
        .get(..3)
        .is_some_and(|prefix| prefix.eq_ignore_ascii_case("re:"));
    if is_answer {
        subject.to_owned()
    } else {
        format!("Re: {subject}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_names_the_whole_thread() {
        let mut mail = MailOptions::default();
        set_thread(&mut mail, "<b@x>", &["<a@x>"]);
        assert_eq!(mail.headers["In-Reply-To"], "<b@x>");
        assert_eq!(mail.headers["References"], "<a@x> <b@x>");
        assert_eq!(
            (answered("Offer"), answered("RE: Offer")),
            ("Re: Offer".to_owned(), "RE: Offer".to_owned())
        );
        assert!(is_message_id("<a@x>") && !is_message_id("evt_1") && !is_message_id("<a @x>"));
    }
}
