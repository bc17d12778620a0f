//! Checks of single fields of a request.

use std::borrow::Cow;

use butt_dial_domain::{Address, Channel, Code, Failure, text::clean};

/// Parses a recipient's address on the channel. Fails with `InvalidRecipient`.
pub fn parse_recipient(channel: Channel, to: &str) -> Result<Address, Failure> {
    Address::parse_reply(channel, to).map_err(|error| {
        let is_name = channel == Channel::Sms && Address::parse_sender(channel, to).is_ok();
        let failure = match is_name {
            true => "invalid recipient: a sender with a name instead of a number can't be answered".to_owned(),
            false => format!("invalid recipient: {error}"),
        };
        Failure::new(Code::InvalidRecipient, failure)
            .on(channel)
            .hint(match channel {
                Channel::Email => "give one e-mail address, such as ann@example.com",
                Channel::Line => "give the LINE id of a contact that has written to you",
                Channel::Sms | Channel::Whatsapp | Channel::Voice => {
                    "give one number with its country code, such as +14155550123"
                }
            })
    })
}

/// Normalizes free text, and checks its length.
pub(super) fn text(field: &'static str, value: &str, max: usize) -> Result<String, Failure> {
    let cleaned = clean(value);
    let length = cleaned.chars().count();
    if length > max {
        return Err(
            invalid(format!("{field} has {length} characters; this channel takes {max}"))
                .detail("maxLength", max)
                .hint("shorten the text, or set ifTooLong to split"),
        );
    }
    Ok(cleaned)
}

/// Checks a text that is used in a header: one line without control characters.
pub(super) fn header(field: &'static str, value: &str, max: usize) -> Result<String, Failure> {
    let value = value.trim();
    if value
        .chars()
        .any(|c| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c))
    {
        return Err(invalid(format!("{field} must be one line without control characters")));
    }
    if value.chars().count() > max {
        return Err(invalid(format!("{field} is longer than {max} characters")));
    }
    Ok(value.to_owned())
}

/// Checks an opaque value chosen by the caller.
pub(super) fn token(field: &'static str, value: &str, max: usize) -> Result<String, Failure> {
    if value.is_empty() || value.len() > max || value.chars().any(char::is_control) {
        return Err(Failure::new(
            Code::InvalidArgument,
            format!("{field} is 1 to {max} bytes without control characters"),
        ));
    }
    Ok(value.to_owned())
}

pub(super) fn invalid(message: impl Into<Cow<'static, str>>) -> Failure {
    Failure::new(Code::InvalidContent, message)
}
