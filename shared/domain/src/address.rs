//! Channels and the addresses on them. An address is validated and normalized once, when it is parsed.

mod opaque;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::numbers;

/// A way to reach a person: by message or by call.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase", ascii_case_insensitive)]
pub enum Channel {
    Sms,
    Whatsapp,
    Email,
    Line,
    /// Telephone calls.
    Voice,
}

impl Channel {
    pub const ALL: [Self; 5] = [Self::Sms, Self::Whatsapp, Self::Email, Self::Line, Self::Voice];
    /// The channels of messages.
    pub const MESSAGES: [Self; 4] = [Self::Sms, Self::Whatsapp, Self::Email, Self::Line];

    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Parses the name of a channel in any case.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    /// Returns the channels on which the same address is the same person. Consent holds for all of them.
    pub fn consent_group(self) -> &'static [Self] {
        match self {
            Self::Sms | Self::Whatsapp | Self::Voice => &[Self::Sms, Self::Whatsapp, Self::Voice],
            Self::Email => &[Self::Email],
            Self::Line => &[Self::Line],
        }
    }
}

/// A normalized recipient or sender: E.164 for telephone numbers, a lower-case domain for e-mail. `Debug` and `masked`
/// hide most of it, because full addresses must not be logged.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    Phone(String),
    Email(String),
    /// A user, group or room of LINE: `U`, `C` or `R` and 32 hexadecimal digits.
    Line(String),
    /// A person on WhatsApp who hides the number: the id that this business knows, as WhatsApp spells it.
    WhatsappUser(String),
    /// A group on WhatsApp, by its id.
    WhatsappGroup(String),
    /// A sender that is no address of its channel, as its carrier names it: a short code, a name, an invalid number,
    /// `anonymous`. Some can be answered, see [`Address::parse_reply`].
    Opaque(String),
}

/// The name of a sender that its carrier does not name.
pub const ANONYMOUS: &str = "anonymous";

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("the telephone number is not in E.164 format, such as +14155550123")]
    NotE164,
    #[error("the e-mail address is not valid")]
    NotEmail,
    #[error("the LINE id is not valid: it consists of U, C or R and 32 hexadecimal digits")]
    NotLine,
}

/// In bytes. RFC 5321 4.5.3.1 limits a path to 256 octets with its angle brackets, a local part to 64.
const MAX_EMAIL_BYTES: usize = 254;
const MAX_LOCAL_PART_BYTES: usize = 64;

impl Address {
    /// Parses and normalizes an address of the channel. Accepts and drops the prefix `whatsapp:` of WhatsApp numbers.
    pub fn parse(channel: Channel, text: &str) -> Result<Self, AddressError> {
        match channel {
            Channel::Sms | Channel::Voice => parse_phone(text, false),
            Channel::Whatsapp => parse_whatsapp(text),
            Channel::Email => parse_email(text),
            Channel::Line => parse_line(text),
        }
    }

    /// Parses a recipient that may be none of the channel's addresses but has written first: a short code, or a number that
    /// is in no numbering plan.
    pub fn parse_reply(channel: Channel, text: &str) -> Result<Self, AddressError> {
        Self::parse(channel, text).or_else(|error| opaque::reply(channel, text).ok_or(error))
    }

    /// Parses an own sender. On SMS it may be a short code or a name of at most eleven characters, too.
    pub fn parse_sender(channel: Channel, text: &str) -> Result<Self, AddressError> {
        Self::parse(channel, text).or_else(|error| opaque::sender(channel, text).ok_or(error))
    }

    /// Returns the address of a party that a carrier names, or that is stored. It is never refused for its form.
    pub fn known(channel: Channel, text: &str) -> Self {
        Self::parse(channel, text).unwrap_or_else(|_| opaque::any(text))
    }

    pub fn as_str(&self) -> &str {
        match self {
            Self::Phone(text)
            | Self::Email(text)
            | Self::Line(text)
            | Self::WhatsappUser(text)
            | Self::WhatsappGroup(text)
            | Self::Opaque(text) => text,
        }
    }

    /// Returns whether the address is in no numbering plan: it can be answered, but not written to first.
    pub fn is_opaque(&self) -> bool {
        matches!(self, Self::Opaque(_))
    }

    /// Returns a masked form for logs, enough to recognize the address: `+14*******23`, `a***@example.com`.
    pub fn masked(&self) -> String {
        match self {
            Self::Phone(number) => {
                let shown = number.len().min(3);
                let tail = number.len().saturating_sub(2).max(shown);
                format!("{}{}{}", &number[..shown], "*".repeat(tail - shown), &number[tail..])
            }
            Self::Email(address) => {
                let (local, domain) = address.split_once('@').unwrap_or((address, ""));
                let first: String = local.chars().take(1).collect();
                format!("{first}***@{domain}")
            }
            Self::Line(id) | Self::WhatsappUser(id) | Self::WhatsappGroup(id) => masked_start(id, 4),
            Self::Opaque(text) => masked_start(text, 2),
        }
    }

    /// Returns the key of the person behind the address: the same for every spelling. See [`contact_key`].
    pub fn contact_key(&self) -> String {
        contact_key(self.as_str())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

fn masked_start(text: &str, shown: usize) -> String {
    let start: String = text.chars().take(shown).collect();
    format!("{start}***")
}

/// Parses a number, a user id or a group id of WhatsApp.
fn parse_whatsapp(text: &str) -> Result<Address, AddressError> {
    let text = text.trim();
    let text = text.strip_prefix("whatsapp:").unwrap_or(text);
    opaque::whatsapp_id(text).map_or_else(|| parse_phone(text, true), Ok)
}

/// `keeps_account_spelling`: WhatsApp names some accounts by an older form of their number.
fn parse_phone(text: &str, keeps_account_spelling: bool) -> Result<Address, AddressError> {
    let number = numbers::read(text).ok_or(AddressError::NotE164)?;
    let current = number.current.filter(|_| !keeps_account_spelling);
    Ok(Address::Phone(format!("+{}", current.unwrap_or(number.given))))
}

/// Returns the key of the person behind a normalized address. All spellings of one address, and all forms in which WhatsApp
/// names one account, have the same key. Consent is stored by it.
pub fn contact_key(address: &str) -> String {
    if let Some((local, domain)) = address.rsplit_once('@') {
        return format!("{}@{}", local_part_key(local), domain_key(domain));
    }
    match address.strip_prefix('+') {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => format!("+{}", numbers::key(digits)),
        // A spelling that was not parsed, of a list for example.
        Some(_) => numbers::read(address).map_or_else(
            || address.to_owned(),
            |number| format!("+{}", numbers::key(&number.given)),
        ),
        None => address.to_owned(),
    }
}

/// Returns the mailbox of a local part: in lower case, composed, without quotes and without the subaddress after `+` (RFC 5233).
fn local_part_key(local: &str) -> String {
    let local = local
        .strip_prefix('"')
        .and_then(|local| local.strip_suffix('"'))
        .unwrap_or(local);
    let mailbox = match local.split_once('+') {
        Some((mailbox, _)) if !mailbox.is_empty() => mailbox,
        _ => local,
    };
    mailbox.nfc().flat_map(char::to_lowercase).collect()
}

/// Returns the spelling of a domain in the domain name system: `xn--bcher-kva.example` for `bücher.example`.
fn domain_key(domain: &str) -> String {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    match url::Host::parse(domain) {
        Ok(url::Host::Domain(ascii)) => ascii,
        _ => domain.to_lowercase(),
    }
}

fn parse_email(text: &str) -> Result<Address, AddressError> {
    let text = text.trim();
    let (local, domain) = text.rsplit_once('@').ok_or(AddressError::NotEmail)?;
    let local_ok = !local.is_empty()
        && local.len() <= MAX_LOCAL_PART_BYTES
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && local
            .chars()
            .all(|c| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c));
    let labels_ok = domain.contains('.')
        && domain.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_alphanumeric() || c == '-')
        });
    if !local_ok || !labels_ok || text.len() > MAX_EMAIL_BYTES {
        return Err(AddressError::NotEmail);
    }
    Ok(Address::Email(format!("{local}@{}", domain.to_lowercase())))
}

/// Parses an id of LINE (Messaging API, "User IDs"): `U[0-9a-f]{32}`; groups begin with C, rooms with R.
fn parse_line(text: &str) -> Result<Address, AddressError> {
    let text = text.trim();
    let digits = text.strip_prefix(['U', 'C', 'R']).ok_or(AddressError::NotLine)?;
    let valid = digits.len() == 32 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    valid
        .then(|| Address::Line(text.to_owned()))
        .ok_or(AddressError::NotLine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalizes_numbers() {
        let number = Address::parse(Channel::Sms, " +1 (415) 555-0123 ").unwrap();
        assert_eq!(number.as_str(), "+14155550123");
        assert_eq!(
            Address::parse(Channel::Whatsapp, "whatsapp:+4917612345678")
                .unwrap()
                .as_str(),
            "+4917612345678"
        );
    }

    #[test]
    fn drops_trunk_zero_after_country_code() {
        for text in ["+49 (0)176 12345678", "+49 0176 12345678", "+4917612345678"] {
            let number = Address::parse(Channel::Sms, text).unwrap();
            assert_eq!(number.as_str(), "+4917612345678", "{text}");
        }
        // Italian numbers keep it.
        let rome = Address::parse(Channel::Voice, "+39 06 6982 0000").unwrap();
        assert_eq!(rome.as_str(), "+390669820000");
    }

    #[test]
    fn accepts_former_numbers_of_cote_d_ivoire() {
        let former = Address::parse(Channel::Whatsapp, "+22507070703").unwrap();
        assert_eq!(former.as_str(), "+22507070703", "the account's own name");
        let current = Address::parse(Channel::Sms, "+22507070703").unwrap();
        assert_eq!(current.as_str(), "+2250707070703");
    }

    #[test]
    fn keys_read_numbers_that_were_not_parsed() {
        assert_eq!(contact_key("+49 (0)176 04069012"), "+4917604069012");
        assert_eq!(contact_key("+ no number"), "+ no number");
    }

    #[test]
    fn keys_ignore_quotes_and_final_dots_of_mail() {
        assert_eq!(contact_key("\"Ann\"@Example.com."), "ann@example.com");
        assert_eq!(contact_key("JO\u{308}RG@example.com"), "j\u{f6}rg@example.com");
        assert_eq!(contact_key("\"ann lee\"@example.com"), "ann lee@example.com");
    }

    #[test]
    fn accepts_older_mexican_form() {
        let older = "+5215512345678";
        let on_whatsapp = Address::parse(Channel::Whatsapp, older).unwrap();
        assert_eq!(on_whatsapp.as_str(), older, "the account's own name");
        assert_eq!(Address::parse(Channel::Sms, older).unwrap().as_str(), "+525512345678");
    }

    #[test]
    fn spellings_of_one_person_share_a_key() {
        for (channel, spellings) in [
            (Channel::Whatsapp, ["+5215512345678", "+525512345678"]),
            (Channel::Whatsapp, ["+5491123456789", "+541123456789"]),
            (Channel::Whatsapp, ["+551187654321", "+5511987654321"]),
            (Channel::Email, ["Bob@example.com", "BOB@Example.COM"]),
            (Channel::Whatsapp, ["+22507070701", "+2250707070701"]),
            (Channel::Sms, ["+49 (0)176 04069012", "+4917604069012"]),
            (Channel::Email, ["ann@bücher.example", "Ann@xn--bcher-kva.example"]),
            (Channel::Email, ["Ann.Lee+order42@example.com", "ann.lee@example.com"]),
        ] {
            let [first, second] = spellings.map(|text| Address::parse(channel, text).unwrap().contact_key());
            assert_eq!(first, second, "{spellings:?}");
        }
    }

    #[test]
    fn keys_of_different_people_differ() {
        for [first, second] in [
            // A landline, and a mobile number with an older form that would look like one.
            ["+551132345678", "+5511932345678"],
            ["+14155550123", "+14155550124"],
            ["ann@example.com", "ann@example.org"],
            ["ann.lee@example.com", "annlee@example.com"],
            ["+a@example.com", "+b@example.com"],
        ] {
            assert_ne!(contact_key(first), contact_key(second));
        }
        assert_eq!(
            contact_key("U0123456789abcdef0123456789abcdef"),
            "U0123456789abcdef0123456789abcdef"
        );
    }

    #[test]
    fn rejects_invalid_numbers() {
        for text in [
            "",
            "415 555 0123",
            "+",
            "+0123456789",
            "+1415555012x",
            "+999123456789",
            "+1415555012",
            "+1\n4155550123",
            "a@b.c",
            "+12345678901234567",
        ] {
            assert_eq!(
                Address::parse(Channel::Sms, text),
                Err(AddressError::NotE164),
                "{text:?}"
            );
        }
    }

    #[test]
    fn normalizes_and_rejects_emails() {
        assert_eq!(
            Address::parse(Channel::Email, "Ann.Lee+x@Example.COM")
                .unwrap()
                .as_str(),
            "Ann.Lee+x@example.com"
        );
        for text in [
            "",
            "a",
            "a@",
            "@b.c",
            "a@b",
            "a b@c.de",
            "a@b.de\r\nBcc: x@y.zz",
            "a@-b.de",
            ".a@b.de",
            "a..b@c.de",
            "<a@b.de>",
            "a@b.de,c@d.ef",
        ] {
            assert_eq!(
                Address::parse(Channel::Email, text),
                Err(AddressError::NotEmail),
                "{text:?}"
            );
        }
    }

    #[test]
    fn masks_addresses() {
        assert_eq!(format!("{:?}", Address::Phone("+14155550123".into())), "+14*******23");
        assert_eq!(Address::Email("ann@example.com".into()).masked(), "a***@example.com");
    }

    #[test]
    fn keeps_wire_strings_of_channels() {
        let expected = ["sms", "whatsapp", "email", "line", "voice"];
        for (channel, text) in Channel::ALL.into_iter().zip(expected) {
            assert_eq!((channel.as_str(), channel.to_string().as_str()), (text, text));
            assert_eq!(Channel::parse(text), Some(channel));
            assert_eq!(Channel::parse(&text.to_uppercase()), Some(channel));
            assert_eq!(serde_json::to_value(channel).unwrap(), text);
        }
        assert_eq!(Channel::parse("fax"), None);
    }
}
