//! Grants: the permissions of a restricted token, less than its scope allows. Pure rules over plain values. An absent part is no
//! restriction; an unreadable grant is read as [`Grants::nothing`].

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Address, Channel, Micros, ids};

/// Entries in `recipients`.
pub const MAX_RECIPIENTS: usize = 1_000;
/// Entries in `tools`.
pub const MAX_TOOLS: usize = 200;
/// The group of all operations that change nothing.
pub const READ: &str = "read";
/// Names of tools may be given without it.
const TOOL_PREFIX: &str = "comms_";
/// Begins the entry of a colleague.
const AGENT: &str = "agent:";
/// Ends an entry that is the beginning of numbers.
const ANY: char = '*';
/// The country code and one digit: a shorter beginning is a region of the world.
const MIN_PREFIX_DIGITS: usize = 2;
const MAX_PREFIX_DIGITS: usize = 15;

/// The permissions of a restricted token within its scope.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "Map<String, Value>")]
pub struct Grants {
    /// The channels to send and to call on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<BTreeSet<Channel>>,
    /// Names of operations without `comms_`, and `read`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<BTreeSet<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipients: Option<Recipients>,
    /// For the whole life of the token and of those that replace it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_spend: Option<Micros>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_spend_per_day: Option<Micros>,
}

/// The stored form. Read from an object only: a derived reader would take an empty list for grants without parts.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StoredGrants {
    #[serde(default)]
    channels: Option<BTreeSet<Channel>>,
    #[serde(default)]
    tools: Option<BTreeSet<String>>,
    #[serde(default)]
    recipients: Option<Recipients>,
    #[serde(default)]
    max_spend: Option<Micros>,
    #[serde(default)]
    max_spend_per_day: Option<Micros>,
}

impl TryFrom<Map<String, Value>> for Grants {
    type Error = serde_json::Error;

    fn try_from(object: Map<String, Value>) -> Result<Self, serde_json::Error> {
        let stored: StoredGrants = serde_json::from_value(Value::Object(object))?;
        Ok(Self {
            channels: stored.channels,
            tools: stored.tools,
            recipients: stored.recipients,
            max_spend: stored.max_spend,
            max_spend_per_day: stored.max_spend_per_day,
        })
    }
}

impl Grants {
    /// Grants nothing at all.
    pub fn nothing() -> Self {
        Self {
            channels: Some(BTreeSet::new()),
            tools: Some(BTreeSet::new()),
            recipients: Some(Recipients::default()),
            max_spend: Some(Micros::ZERO),
            max_spend_per_day: Some(Micros::ZERO),
        }
    }

    /// Returns whether no part restricts anything.
    pub fn is_unrestricted(&self) -> bool {
        *self == Self::default()
    }

    pub fn allows_channel(&self, channel: Channel) -> bool {
        self.channels
            .as_ref()
            .is_none_or(|channels| channels.contains(&channel))
    }

    /// Returns whether an operation is granted by its name or, when it changes nothing, as one of the group `read`.
    pub fn allows_tool(&self, name: &str, is_read_only: bool) -> bool {
        self.tools
            .as_ref()
            .is_none_or(|tools| tools.contains(tool_name(name)) || is_read_only && tools.contains(READ))
    }

    pub fn allows_recipient(&self, address: &Address) -> bool {
        self.recipients
            .as_ref()
            .is_none_or(|recipients| recipients.contain(address))
    }

    /// Returns whether an agent of the same organization is granted by its host's id.
    pub fn allows_colleague(&self, host_id: &str) -> bool {
        self.recipients
            .as_ref()
            .is_none_or(|recipients| recipients.0.contains(&format!("{AGENT}{host_id}")))
    }

    /// Returns whether the token may talk with every person that calls or is called.
    pub fn allows_any_call(&self) -> bool {
        self.recipients.is_none() && self.allows_channel(Channel::Voice)
    }

    /// Returns the grants without the recipients that match, or `None` if there are none. A list without recipients stays a list:
    /// it grants no person.
    pub fn without_recipients(&self, matches: impl Fn(&str) -> bool) -> Option<Self> {
        let recipients = self.recipients.as_ref()?;
        let kept: BTreeSet<String> = recipients
            .iter()
            .filter(|entry| !matches(entry.strip_suffix(ANY).unwrap_or(entry)))
            .map(str::to_owned)
            .collect();
        (kept.len() < recipients.0.len()).then(|| Self {
            recipients: Some(Recipients(kept)),
            ..self.clone()
        })
    }

    /// Returns whether the token has a separate budget.
    pub fn limits_spend(&self) -> bool {
        self.max_spend.is_some() || self.max_spend_per_day.is_some()
    }
}

/// Returns the name of an operation as grants contain it.
pub fn tool_name(name: &str) -> &str {
    name.strip_prefix(TOOL_PREFIX).unwrap_or(name)
}

/// The people that a token may reach. Entries are canonical: the key of a contact, `@` and the domain of mails, the beginning
/// of telephone numbers with `*`, or `agent:` and the id of a colleague.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Recipients(BTreeSet<String>);

/// Why a list of recipients is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecipientsError {
    #[error("recipients has at most {MAX_RECIPIENTS} entries")]
    TooMany,
    /// Counted from one.
    #[error(
        "entry {0} of recipients is no address such as +14155550123 or ann@example.com, no domain such as @example.com, no \
         beginning of numbers such as +4930*, and no agent such as agent:support"
    )]
    Invalid(usize),
}

impl Recipients {
    /// Parses and normalizes entries.
    pub fn parse(entries: &[String]) -> Result<Self, RecipientsError> {
        if entries.len() > MAX_RECIPIENTS {
            return Err(RecipientsError::TooMany);
        }
        let entries = entries.iter().enumerate();
        entries
            .map(|(place, entry)| canonical(entry.trim()).ok_or(RecipientsError::Invalid(place + 1)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Returns whether an entry covers the person behind the address.
    fn contain(&self, address: &Address) -> bool {
        let key = address.contact_key();
        match address {
            Address::Phone(number) => {
                self.0.contains(&key) || self.has_beginning_of(&key) || self.has_beginning_of(number)
            }
            Address::Email(_) => {
                let domain = key.rsplit_once('@').map(|(_, domain)| format!("@{domain}"));
                self.0.contains(&key) || domain.is_some_and(|domain| self.0.contains(&domain))
            }
            Address::Line(_) | Address::WhatsappUser(_) | Address::WhatsappGroup(_) => self.0.contains(&key),
            // A carrier chose its text, which may look like an entry of another kind.
            Address::Opaque(_) => false,
        }
    }

    fn has_beginning_of(&self, number: &str) -> bool {
        let ends = MIN_PREFIX_DIGITS + 1..=number.len().min(MAX_PREFIX_DIGITS + 1);
        ends.filter_map(|end| number.get(..end))
            .any(|beginning| self.0.contains(&format!("{beginning}{ANY}")))
    }
}

impl TryFrom<Vec<String>> for Recipients {
    type Error = RecipientsError;

    fn try_from(entries: Vec<String>) -> Result<Self, RecipientsError> {
        Self::parse(&entries)
    }
}

impl From<Recipients> for Vec<String> {
    fn from(recipients: Recipients) -> Self {
        recipients.0.into_iter().collect()
    }
}

fn canonical(entry: &str) -> Option<String> {
    if let Some(id) = entry.strip_prefix(AGENT) {
        return ids::is_valid_host_id(id).then(|| entry.to_owned());
    }
    if let Some(beginning) = entry.strip_suffix(ANY) {
        let digits = beginning.strip_prefix('+')?;
        let is_valid = (MIN_PREFIX_DIGITS..=MAX_PREFIX_DIGITS).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_digit())
            && !digits.starts_with('0');
        return is_valid.then(|| entry.to_owned());
    }
    if let Some(domain) = entry.strip_prefix('@') {
        let mailbox = Address::parse(Channel::Email, &format!("any@{domain}")).ok()?;
        let key = mailbox.contact_key();
        return key.rsplit_once('@').map(|(_, domain)| format!("@{domain}"));
    }
    // A mailbox of this name is less likely than the belief that it stands for others.
    if entry.contains(ANY) {
        return None;
    }
    let channels = [Channel::Sms, Channel::Email, Channel::Line, Channel::Whatsapp];
    let address = channels
        .into_iter()
        .find_map(|channel| Address::parse(channel, entry).ok())?;
    Some(address.contact_key())
}

/// The budget of a restricted token, which all tokens share that replace one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenBudget {
    pub id: String,
    pub max_spend: Option<Micros>,
    pub max_spend_per_day: Option<Micros>,
}

/// The grants of a token, and the id under which its spend is counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restriction {
    /// The id of the first token with these grants.
    pub budget: String,
    pub grants: Grants,
}

impl Restriction {
    /// Returns the budget. `None`: the grants limit no spend.
    pub fn token_budget(&self) -> Option<TokenBudget> {
        self.grants.limits_spend().then(|| TokenBudget {
            id: self.budget.clone(),
            max_spend: self.grants.max_spend,
            max_spend_per_day: self.grants.max_spend_per_day,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipients(entries: &[&str]) -> Result<Recipients, RecipientsError> {
        Recipients::parse(&entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>())
    }

    fn grants(entries: &[&str]) -> Grants {
        Grants {
            recipients: Some(recipients(entries).unwrap()),
            ..Grants::default()
        }
    }

    #[test]
    fn removed_recipient_never_widens_the_grants() {
        let ann = |entry: &str| entry == "+14155550123" || entry == "ann@example.com";
        let others = &["+14155550124", "@example.com", "+4930*", "agent:support"];
        let all = [&["+14155550123", "+14155550123*", "Ann@Example.com"][..], others].concat();
        assert_eq!(grants(&all).without_recipients(ann), Some(grants(others)));
        assert_eq!(grants(others).without_recipients(ann), None);
        assert_eq!(Grants::default().without_recipients(ann), None, "all people");
        let last = Grants {
            max_spend: Some(Micros(5)),
            ..grants(&["ann@example.com"])
        };
        let left = last.without_recipients(ann).unwrap();
        let stored = serde_json::to_string(&left).unwrap();
        assert_eq!(stored, r#"{"recipients":[],"maxSpend":5}"#);
        let read: Grants = serde_json::from_str(&stored).unwrap();
        assert_eq!(read, left);
        for (channel, to) in [(Channel::Sms, "+14155550123"), (Channel::Email, "bob@example.com")] {
            assert!(!read.allows_recipient(&Address::parse(channel, to).unwrap()), "{to}");
        }
        assert!(!read.allows_any_call() && !read.allows_colleague("support"));
    }

    #[test]
    fn recipients_cover_every_spelling_of_a_person() {
        for (entry, channel, to, expected) in [
            ("+14155550123", Channel::Sms, "+1 (415) 555-0123", true),
            ("+14155550123", Channel::Voice, "+14155550123", true),
            ("+14155550123", Channel::Sms, "+14155550124", false),
            ("+525512345678", Channel::Whatsapp, "whatsapp:+5215512345678", true),
            ("+5215512345678", Channel::Sms, "+525512345678", true),
            ("Ann@Example.com", Channel::Email, "ann@example.com", true),
            ("ann@example.com", Channel::Email, "ann@example.com.evil.test", false),
            ("@shop.example", Channel::Email, "Any.One@SHOP.example", true),
            ("@shop.example", Channel::Email, "ann@eu.shop.example", false),
            ("@shop.example", Channel::Email, "ann@notshop.example", false),
            (
                "@b\u{fc}cher.example",
                Channel::Email,
                "ann@xn--bcher-kva.example",
                true,
            ),
            ("+4930*", Channel::Sms, "+493012345678", true),
            ("+4930*", Channel::Voice, "+49 (0)30 12345678", true),
            ("+4930*", Channel::Sms, "+498912345678", false),
            ("+4930*", Channel::Email, "+4930*@example.com", false),
            ("+521*", Channel::Whatsapp, "+5215512345678", true),
            ("+5255*", Channel::Whatsapp, "+5215512345678", true),
            ("agent:support", Channel::Sms, "+14155550123", false),
        ] {
            let address = Address::parse(channel, to).unwrap();
            assert_eq!(grants(&[entry]).allows_recipient(&address), expected, "{entry} {to}");
        }
        let line = format!("U{}", "0123456789abcdef".repeat(2));
        let to = Address::parse(Channel::Line, &line).unwrap();
        assert!(grants(&[&line]).allows_recipient(&to) && !grants(&["+4930*"]).allows_recipient(&to));
    }

    #[test]
    fn recipients_never_cover_opaque_senders() {
        for (entry, text) in [
            ("+4930*", "+4930*"),
            ("agent:bo", "agent:bo"),
            ("+14155550123", "12345"),
        ] {
            assert!(
                !grants(&[entry]).allows_recipient(&Address::Opaque(text.into())),
                "{entry}"
            );
        }
    }

    #[test]
    fn refuses_entries_that_are_no_recipients() {
        for entry in [
            "",
            "*",
            "+*",
            "+4*",
            "+0123*",
            "+49a*",
            "4930*",
            "@",
            "@example",
            "ann",
            "12345",
            "+12",
            "agent:",
            "agent:a b",
            "+1234567890123456*",
            "*@example.com",
        ] {
            let refused = recipients(&["+14155550123", entry]);
            assert_eq!(refused, Err(RecipientsError::Invalid(2)), "{entry:?}");
        }
        let many = vec!["+14155550123".to_owned(); MAX_RECIPIENTS + 1];
        assert_eq!(Recipients::parse(&many), Err(RecipientsError::TooMany));
        assert!(Recipients::parse(&many[1..]).is_ok());
    }

    #[test]
    fn tools_are_granted_by_either_name_or_group() {
        let granted = |tools: &[&str]| Grants {
            tools: Some(tools.iter().map(|tool| (*tool).to_owned()).collect()),
            ..Grants::default()
        };
        for (tools, name, is_read_only, expected) in [
            (&["send_message"][..], "comms_send_message", false, true),
            (&["send_message"], "comms_make_call", false, false),
            (&["send_message"], "comms_get_me", true, false),
            (&["read"], "comms_get_me", true, true),
            (&["read"], "comms_send_message", false, false),
            (&["set_callback_url"], "set_callback_url", false, true),
            (&[], "comms_ping", true, false),
        ] {
            assert_eq!(
                granted(tools).allows_tool(name, is_read_only),
                expected,
                "{tools:?} {name}"
            );
        }
        assert!(Grants::default().allows_tool("comms_send_message", false));
    }

    #[test]
    fn channels_and_colleagues_are_restricted_when_given() {
        let sms = Grants {
            channels: Some([Channel::Sms].into()),
            ..Grants::default()
        };
        assert!(sms.allows_channel(Channel::Sms) && !sms.allows_channel(Channel::Voice));
        assert!(!sms.allows_any_call() && Grants::default().allows_any_call());
        assert!(!grants(&["+4930*"]).allows_any_call());
        assert!(grants(&["agent:bo"]).allows_colleague("bo") && !grants(&["agent:bo"]).allows_colleague("b"));
        assert!(sms.allows_colleague("bo"));
    }

    #[test]
    fn unreadable_grants_refuse_everything() {
        let nothing = Grants::nothing();
        assert!(Channel::ALL.iter().all(|channel| !nothing.allows_channel(*channel)));
        assert!(!nothing.allows_tool("comms_ping", true) && !nothing.allows_colleague("a"));
        let ann = Address::parse(Channel::Sms, "+14155550123").unwrap();
        assert!(!nothing.allows_recipient(&ann) && nothing.limits_spend());
    }

    #[test]
    fn reads_what_it_writes_and_refuses_what_it_does_not_know() {
        let grants = Grants {
            channels: Some([Channel::Sms].into()),
            tools: Some(["send_message".to_owned()].into()),
            max_spend: Some(Micros(5)),
            ..grants(&["agent:bo", "@shop.example", "+4930*", "+14155550123"])
        };
        let text = serde_json::to_string(&grants).unwrap();
        assert_eq!(serde_json::from_str::<Grants>(&text).unwrap(), grants);
        for unknown in [
            r#"{"hours":[9]}"#,
            r#"{"channels":["pigeon"]}"#,
            r#"{"recipients":["x"]}"#,
            r#"{"tools":1}"#,
            "[]",
        ] {
            assert!(serde_json::from_str::<Grants>(unknown).is_err(), "{unknown}");
        }
    }
}
