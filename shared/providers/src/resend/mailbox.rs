//! Mailboxes in headers (RFC 5322, 3.4). Senders in the wild have more forms than the standard, and none of them is a reason
//! to refuse a mail.

use butt_dial_domain::{Address, Channel, text::clean_line};

/// Characters of an address that no standard form limits.
const MAX_ADDRESS: usize = 320;
/// The sender of a delivery status notification has no address.
const NULL_SENDER: &str = "<>";

/// A name and an address.
#[derive(Debug, PartialEq, Eq)]
pub struct Mailbox {
    pub name: Option<String>,
    /// Normalized if it is a valid address, otherwise as written.
    pub address: String,
    pub is_valid: bool,
}

/// Reads `address`, `Name <address>`, `"Name" <address>` or `address (Name)`.
pub fn read(text: &str) -> Mailbox {
    let text = text.trim();
    let (name, address) = match text.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
        Some((name, address)) => (name.trim(), address.trim()),
        None => match text.strip_suffix(')').and_then(|rest| rest.split_once('(')) {
            Some((address, name)) => (name.trim(), address.trim()),
            None => ("", text),
        },
    };
    let name = match name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => unescaped(quoted),
        None => name.to_owned(),
    };
    let name = (!name.is_empty()).then_some(name);
    match Address::parse(Channel::Email, address) {
        Ok(address) => Mailbox {
            name,
            address: address.as_str().to_owned(),
            is_valid: true,
        },
        Err(_) => Mailbox {
            name,
            address: Some(clean_line(address, MAX_ADDRESS))
                .filter(|address| !address.is_empty())
                .unwrap_or_else(|| NULL_SENDER.to_owned()),
            is_valid: false,
        },
    }
}

fn unescaped(quoted: &str) -> String {
    let mut chars = quoted.chars();
    let mut name = String::new();
    while let Some(c) = chars.next() {
        name.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_valid_mailboxes() {
        for (text, name, address) in [
            ("ann@Example.com", None, "ann@example.com"),
            ("Ann Lee <ann@example.com>", Some("Ann Lee"), "ann@example.com"),
            (
                r#""Lee, \"Ann\"" <ann@example.com>"#,
                Some("Lee, \"Ann\""),
                "ann@example.com",
            ),
            ("ann@example.com (Ann Lee)", Some("Ann Lee"), "ann@example.com"),
            ("Jörg <joerg@bücher.example>", Some("Jörg"), "joerg@bücher.example"),
        ] {
            let read = read(text);
            assert_eq!(
                (read.name.as_deref(), read.address.as_str(), read.is_valid),
                (name, address, true),
                "{text}"
            );
        }
    }

    #[test]
    fn keeps_addresses_of_any_form() {
        let long = format!("{}@reply.example.com", "r".repeat(70));
        for (text, address) in [
            (r#""ann lee"@example.com"#, r#""ann lee"@example.com"#),
            ("Ann <ann.@phone.example>", "ann.@phone.example"),
            ("Ann <a..b@phone.example>", "a..b@phone.example"),
            (long.as_str(), long.as_str()),
            ("ann@mail_server.example.com", "ann@mail_server.example.com"),
            ("root@localhost", "root@localhost"),
            ("MAILER-DAEMON", "MAILER-DAEMON"),
            ("<>", "<>"),
            ("", "<>"),
        ] {
            let read = read(text);
            assert_eq!((read.address.as_str(), read.is_valid), (address, false), "{text}");
        }
    }
}
