//! Further recipients and headers of a mail, as the caller gave them.

use std::collections::BTreeMap;

use butt_dial_domain::{Code, Failure, message::MailOptions};
use serde_json::json;

use super::fields::{header, parse_recipient};

/// Recipients in `cc` and `bcc` together. Resend takes 50 in all.
const MAX_FURTHER_RECIPIENTS: usize = butt_dial_domain::bounds::FURTHER_RECIPIENTS;
/// RFC 5322, 2.1.1, without the name.
const MAX_HEADER: usize = 900;
/// Headers that a caller may set, besides those that begin with `X-`. All others have a field, or would change who is
/// addressed.
const ALLOWED_HEADERS: [&str; 8] = [
    "Auto-Submitted",
    "Comments",
    "Feedback-ID",
    "Importance",
    "In-Reply-To",
    "Keywords",
    "Priority",
    "References",
];

/// The parts of a request to send a mail besides its text. Not validated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailRequest {
    pub cc: Vec<String>,
    pub bcc: Vec<String>,
    pub reply_to: Option<String>,
    pub headers: BTreeMap<String, String>,
}

impl MailRequest {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl From<MailOptions> for MailRequest {
    fn from(options: MailOptions) -> Self {
        Self {
            cc: options.cc,
            bcc: options.bcc,
            reply_to: options.reply_to,
            headers: options.headers,
        }
    }
}

/// Validates and normalizes the request. `None`: there is nothing in it.
pub(super) fn validate(request: &MailRequest) -> Result<Option<Box<MailOptions>>, Failure> {
    if request.cc.len() + request.bcc.len() > MAX_FURTHER_RECIPIENTS {
        return Err(invalid(
            format!("cc and bcc have more than {MAX_FURTHER_RECIPIENTS} addresses"),
            "cc",
        ));
    }
    let options = MailOptions {
        cc: addresses("cc", &request.cc)?,
        bcc: addresses("bcc", &request.bcc)?,
        reply_to: match request.reply_to.as_deref().filter(|address| !address.is_empty()) {
            Some(address) => Some(one_address("replyTo", address)?),
            None => None,
        },
        headers: request
            .headers
            .iter()
            .map(|(name, value)| Ok((allowed_name(name)?, header("headers", value, MAX_HEADER)?)))
            .collect::<Result<_, Failure>>()?,
    };
    Ok(Some(options).filter(|options| !options.is_empty()).map(Box::new))
}

fn addresses(field: &'static str, listed: &[String]) -> Result<Vec<String>, Failure> {
    let mut addresses: Vec<String> = Vec::with_capacity(listed.len());
    for text in listed {
        let address = one_address(field, text)?;
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

fn one_address(field: &'static str, text: &str) -> Result<String, Failure> {
    let parsed = parse_recipient(butt_dial_domain::Channel::Email, text);
    parsed
        .map(|address| address.as_str().to_owned())
        .map_err(|failure| failure.detail("fields", json!([field])))
}

/// Returns the name in its usual spelling.
fn allowed_name(name: &str) -> Result<String, Failure> {
    if let Some(known) = ALLOWED_HEADERS.iter().find(|known| known.eq_ignore_ascii_case(name)) {
        return Ok((*known).to_owned());
    }
    let is_extension = name.get(..2).is_some_and(|prefix| prefix.eq_ignore_ascii_case("x-"))
        && name.len() <= 64
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if is_extension {
        return Ok(name.to_owned());
    }
    let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    let allowed = ALLOWED_HEADERS.join(", ");
    Err(invalid(format!("headers: {shown} can't be set"), "headers").hint(format!("allowed are X-… and {allowed}")))
}

fn invalid(message: String, field: &'static str) -> Failure {
    Failure::new(Code::InvalidContent, message).detail("fields", json!([field]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalizes_recipients_and_headers() {
        let request = MailRequest {
            cc: vec!["Bo@Example.com".into(), "Bo@example.com".into()],
            headers: BTreeMap::from([("importance".into(), "high".into()), ("X-Case".into(), "7".into())]),
            ..MailRequest::default()
        };
        let options = validate(&request).ok().flatten().unwrap();
        assert_eq!(options.cc, ["Bo@example.com"]);
        assert_eq!(options.headers.keys().collect::<Vec<_>>(), ["Importance", "X-Case"]);
        assert!(validate(&MailRequest::default()).is_ok_and(|options| options.is_none()));
    }

    #[test]
    fn refuses_headers_that_address_or_break_a_mail() {
        for (name, value) in [
            ("Bcc", "x@example.com"),
            ("From", "x"),
            ("X-A\r\nBcc", "x"),
            ("X-A", "a\r\nBcc: x"),
        ] {
            let request = MailRequest {
                headers: BTreeMap::from([(name.to_owned(), value.to_owned())]),
                ..MailRequest::default()
            };
            assert!(validate(&request).is_err(), "{name}");
        }
        let request = MailRequest {
            bcc: vec!["nobody".into()],
            ..MailRequest::default()
        };
        let refusal = validate(&request).err().unwrap();
        assert_eq!(
            (refusal.code, &refusal.details["fields"]),
            (Code::InvalidRecipient, &json!(["bcc"]))
        );
    }
}
