//! Addresses that are no telephone numbers: ids of WhatsApp, short codes, names, and whatever else a carrier names as a
//! sender. They are kept as they are, because carriers compare them byte for byte.

use super::{ANONYMOUS, Address, Channel};
use crate::text::clean_line;

const WHATSAPP: &str = "whatsapp:";
/// Marks the id of a group that does not look like one.
const GROUP: &str = "group:";
/// `capi_group:` in Base64, with which ids of groups begin.
const GROUP_IDS: &str = "Y2FwaV9ncm91cDo";
/// The characters of an id after the country (WhatsApp, business-scoped user ids).
const MAX_USER_ID: usize = 128;
/// Ids of groups in digits are longer than any telephone number.
const MIN_GROUP_DIGITS: usize = 16;
const MAX_GROUP_ID: usize = 256;
/// Longer than any address, mail included.
const MAX_OPAQUE: usize = 320;
/// Short codes have three to eight digits (ITU-T E.164 does not cover them; the longest are in Europe and in India).
const SHORT_CODE_DIGITS: std::ops::RangeInclusive<usize> = 3..=8;
/// An alphanumeric sender has at most eleven characters (3GPP TS 23.040, 9.1.2.5).
const MAX_SENDER_NAME: usize = 11;

/// Parses the id of a user or a group on WhatsApp.
pub(super) fn whatsapp_id(text: &str) -> Option<Address> {
    if is_user_id(text) {
        return Some(Address::WhatsappUser(text.to_owned()));
    }
    let (id, is_marked) = text.strip_prefix(GROUP).map_or((text, false), |id| (id, true));
    let is_long_number = id.len() >= MIN_GROUP_DIGITS && id.bytes().all(|b| b.is_ascii_digit());
    let has_group_form = is_long_number || id.starts_with(GROUP_IDS);
    let is_valid = (1..=MAX_GROUP_ID).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=_-.@".contains(&b));
    match (is_valid, has_group_form, is_marked) {
        (true, true, _) => Some(Address::WhatsappGroup(id.to_owned())),
        (true, false, true) => Some(Address::WhatsappGroup(text.to_owned())),
        _ => None,
    }
}

/// Returns whether the text is a business-scoped user id: a country, a dot and letters or digits. The parent id, which several
/// accounts of one business share, has `ENT.` after the country.
fn is_user_id(text: &str) -> bool {
    let Some((country, rest)) = text.split_once('.') else {
        return false;
    };
    let id = rest.strip_prefix("ENT.").unwrap_or(rest);
    country.len() == 2
        && country.bytes().all(|b| b.is_ascii_uppercase())
        && (1..=MAX_USER_ID).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Parses a sender that can be answered although it is no address: digits that the carrier takes as they are.
pub(super) fn reply(channel: Channel, text: &str) -> Option<Address> {
    let text = text.trim();
    let text = match channel {
        Channel::Sms => text,
        Channel::Whatsapp => text.strip_prefix(WHATSAPP).unwrap_or(text),
        Channel::Email | Channel::Line | Channel::Voice => return None,
    };
    let is_short_code = channel == Channel::Sms && is_short_code(text);
    let is_number = text
        .strip_prefix('+')
        .is_some_and(|digits| (3..=20).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()));
    (is_short_code || is_number).then(|| Address::Opaque(text.to_owned()))
}

/// Parses an own sender that is no telephone number: a short code, or a name with at least one letter.
pub(super) fn sender(channel: Channel, text: &str) -> Option<Address> {
    let text = text.trim();
    let is_name = text.len() <= MAX_SENDER_NAME
        && text.bytes().any(|b| b.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b" +-_&.".contains(&b));
    // A zero begins a national number without its country.
    let is_code = is_short_code(text) && !text.starts_with('0');
    (channel == Channel::Sms && (is_name || is_code)).then(|| Address::Opaque(text.to_owned()))
}

fn is_short_code(text: &str) -> bool {
    SHORT_CODE_DIGITS.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

/// Returns the address of a party without a valid one.
pub(super) fn any(text: &str) -> Address {
    let text = text.trim();
    let name = clean_line(text.strip_prefix(WHATSAPP).unwrap_or(text), MAX_OPAQUE);
    Address::Opaque(if name.is_empty() { ANONYMOUS.to_owned() } else { name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_ids_of_whatsapp() {
        for id in ["US.13491208655302741918", "US.ENT.11815799212886844830", "DE.a1"] {
            for text in [id.to_owned(), format!("whatsapp:{id}"), format!(" {id} ")] {
                let user = Address::parse(Channel::Whatsapp, &text);
                assert_eq!(user, Ok(Address::WhatsappUser(id.to_owned())), "{text}");
            }
        }
        for (text, kept) in [
            ("120363025555550000", "120363025555550000"),
            ("group:120363025555550000", "120363025555550000"),
            ("Y2FwaV9ncm91cDox/+=", "Y2FwaV9ncm91cDox/+="),
            ("group:G1", "group:G1"),
        ] {
            let group = Address::parse(Channel::Whatsapp, text).unwrap();
            assert_eq!(group, Address::WhatsappGroup(kept.to_owned()), "{text}");
            assert_eq!(Address::parse(Channel::Whatsapp, group.as_str()), Ok(group));
        }
        for text in [
            "us.1349",
            "USA.1349",
            "US.",
            "US.1-2",
            "US.ENT.",
            "14155550123",
            "group:",
            "agt_1",
        ] {
            assert!(Address::parse(Channel::Whatsapp, text).is_err(), "{text}");
        }
        assert!(Address::parse(Channel::Sms, "US.13491208655302741918").is_err());
    }

    #[test]
    fn knows_every_sender() {
        for (channel, text, kept) in [
            (Channel::Sms, "68849", "68849"),
            (Channel::Sms, "222", "222"),
            (Channel::Sms, "ACMEBANK", "ACMEBANK"),
            (Channel::Sms, "Acme Rest", "Acme Rest"),
            (Channel::Sms, "", ANONYMOUS),
            (Channel::Sms, "+999123456789", "+999123456789"),
            (Channel::Whatsapp, "whatsapp:", ANONYMOUS),
            (Channel::Whatsapp, "whatsapp:+1000", "+1000"),
            (Channel::Whatsapp, "whatsapp:+1 415 555 0123", "+14155550123"),
            (Channel::Email, "MAILER-DAEMON", "MAILER-DAEMON"),
            (Channel::Line, "Ann\n\u{202e}", "Ann"),
        ] {
            let known = Address::known(channel, text);
            assert_eq!(known.as_str(), kept, "{text:?}");
            assert_eq!(Address::known(channel, known.as_str()), known);
        }
        assert!(format!("{:?}", Address::known(Channel::Sms, "ACMEBANK")).ends_with("***"));
    }

    #[test]
    fn answers_digits_only() {
        for (channel, text) in [
            (Channel::Sms, "68849"),
            (Channel::Sms, "222"),
            (Channel::Sms, "+999123456789"),
            (Channel::Whatsapp, "whatsapp:+999123456789"),
        ] {
            assert!(Address::parse(channel, text).is_err());
            assert!(Address::parse_reply(channel, text).unwrap().is_opaque(), "{text}");
        }
        for (channel, text) in [
            (Channel::Sms, "ACMEBANK"),
            (Channel::Sms, "415 555 0123"),
            (Channel::Sms, "4155550123"),
            (Channel::Sms, "12"),
            (Channel::Sms, ANONYMOUS),
            (Channel::Whatsapp, "68849"),
            (Channel::Voice, "68849"),
        ] {
            assert!(Address::parse_reply(channel, text).is_err(), "{text}");
        }
    }

    #[test]
    fn own_sender_may_be_short_code_or_name() {
        for text in ["68849", "ACMEBANK", "Acme Rest", "+14155550100"] {
            assert!(Address::parse_sender(Channel::Sms, text).is_ok(), "{text}");
        }
        for (channel, text) in [
            (Channel::Sms, "A name that is long"),
            (Channel::Sms, "12"),
            (Channel::Sms, "123456789"),
            (Channel::Sms, "0177"),
            (Channel::Sms, "a\nb"),
            (Channel::Voice, "68849"),
            (Channel::Whatsapp, "ACMEBANK"),
        ] {
            assert!(Address::parse_sender(channel, text).is_err(), "{text}");
        }
    }
}
