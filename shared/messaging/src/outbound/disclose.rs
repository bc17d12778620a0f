//! The disclosure in the first message to a person: the words that an AI assistant writes. The rules decide whether it is added.

use butt_dial_domain::{Channel, Code, Failure};

use super::{Outbound, comply::CompliantMessage, validate::max_text};
use crate::mail::footer;

/// Adds the disclosure if the decision demands it. Fails with `InvalidContent` if no carrier of the channel takes the text with it.
pub(super) fn disclose(outbound: &Outbound, compliant: &mut CompliantMessage) -> Result<(), Failure> {
    if !compliant.ruling.decision.inserts_disclosure() {
        return Ok(());
    }
    let channel = compliant.message.channel;
    let own = compliant.message.profile.choices.disclosure_text.clone();
    let text = own.as_deref().unwrap_or(&outbound.settings.disclosure);
    let content = &mut compliant.message.content;
    footer::append_paragraph(content, text);
    let length = content.body.as_deref().unwrap_or_default().chars().count();
    let max = max_text(channel);
    if channel != Channel::Email && length > max {
        return Err(Failure::new(
            Code::InvalidContent,
            format!("the text is longer than {max} characters with the disclosure of the first message: {text:?}"),
        )
        .on(channel)
        .hint("shorten it; later messages to this contact have no disclosure"));
    }
    Ok(())
}
