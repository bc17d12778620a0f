//! Resend's JSON (Resend, API reference: Send email). Text from users must not start a new header line.

use std::collections::BTreeMap;

use butt_dial_domain::ports::carrier::Dispatch;
use serde::{Deserialize, Serialize};

/// The tag that carries our message id.
pub const TAG: &str = "bd_message";

/// The request body. It is identical for each attempt, because an idempotency key requires the same body.
#[derive(Serialize)]
pub struct Email<'a> {
    from: String,
    to: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    cc: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    bcc: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<&'a str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    html: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attachments: Vec<Attachment<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Tag<'a>>,
}

#[derive(Serialize)]
struct Attachment<'a> {
    /// A URL that Resend fetches.
    path: &'a str,
    filename: String,
}

#[derive(Serialize)]
struct Tag<'a> {
    name: &'static str,
    value: &'a str,
}

#[derive(Deserialize)]
pub struct Created {
    pub id: String,
}

#[derive(Serialize, Deserialize)]
pub struct ErrorBody {
    #[serde(rename = "statusCode", default)]
    pub status_code: Option<u16>,
    #[serde(default)]
    pub message: String,
    pub name: String,
}

pub fn email(dispatch: &Dispatch) -> Email<'_> {
    let content = &dispatch.content;
    let id = dispatch.message.as_str();
    let mail = content.mail.as_deref();
    Email {
        from: mailbox(dispatch.sender_name.as_deref(), dispatch.from.as_str()),
        to: dispatch.to.as_str(),
        cc: mail.map_or(&[], |mail| &mail.cc),
        bcc: mail.map_or(&[], |mail| &mail.bcc),
        reply_to: mail.and_then(|mail| mail.reply_to.as_deref()),
        headers: mail
            .into_iter()
            .flat_map(|mail| &mail.headers)
            .map(|(name, value)| (name.as_str(), one_line(value)))
            .collect(),
        subject: content.subject.as_deref().map(one_line),
        text: content.body.as_deref(),
        html: content.html.as_deref(),
        attachments: content
            .media
            .iter()
            .enumerate()
            .map(|(place, url)| attachment(place, url))
            .collect(),
        // Webhooks return the tag. Ids that hosts supply can have characters that tags may not.
        tags: is_tag(id).then_some(Tag { name: TAG, value: id }).into_iter().collect(),
    }
}

/// Formats `"Name" <address>`. The name is a quoted string (RFC 5322, 3.2.4), so its characters have no special
/// meaning.
pub fn mailbox(name: Option<&str>, address: &str) -> String {
    let name = name.map(one_line).unwrap_or_default();
    if name.is_empty() {
        return address.to_owned();
    }
    let mut quoted = String::with_capacity(name.len() + address.len() + 5);
    quoted.push('"');
    for c in name.chars() {
        if c == '"' || c == '\\' {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push_str("\" <");
    quoted.push_str(address);
    quoted.push('>');
    quoted
}

/// Replaces control characters and line breaks with spaces, and trims.
fn one_line(text: &str) -> String {
    let is_break = |c: char| c.is_control() || c == '\u{2028}' || c == '\u{2029}';
    let line: String = text.chars().map(|c| if is_break(c) { ' ' } else { c }).collect();
    line.trim().to_owned()
}

fn attachment(place: usize, url: &str) -> Attachment<'_> {
    let named = url::Url::parse(url).ok().and_then(|url| {
        let last = url.path_segments()?.next_back()?.to_owned();
        // Only file names without escapes that can't leave a folder.
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        let good = !last.is_empty() && !last.starts_with('.') && last.len() <= 128 && last.bytes().all(plain);
        good.then_some(last)
    });
    Attachment {
        path: url,
        filename: named.unwrap_or_else(|| format!("attachment-{}", place + 1)),
    }
}

pub fn is_tag(text: &str) -> bool {
    !text.is_empty() && text.len() <= 256 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
}

/// Returns whether the body is `{"data": [..]}`, with any other fields.
pub fn is_list(body: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(body).is_ok_and(|answer| answer["data"].is_array())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_display_names() {
        let address = "a@b.de";
        for (name, written) in [
            ("", "a@b.de"),
            ("  ", "a@b.de"),
            ("Ann Lee", "\"Ann Lee\" <a@b.de>"),
            ("Lee, Ann", "\"Lee, Ann\" <a@b.de>"),
            ("Ann \"A\" \\ Lee", "\"Ann \\\"A\\\" \\\\ Lee\" <a@b.de>"),
            ("Ann\r\nBcc: x@y.zz", "\"Ann  Bcc: x@y.zz\" <a@b.de>"),
            ("Ann> <x@y.zz", "\"Ann> <x@y.zz\" <a@b.de>"),
            ("Ännchen", "\"Ännchen\" <a@b.de>"),
        ] {
            assert_eq!(mailbox(Some(name), address), written);
        }
        assert_eq!(mailbox(None, address), address);
    }

    #[test]
    fn names_attachments_after_their_url() {
        for (url, name) in [
            ("https://x.test/files/report-1.pdf?sig=abc", "report-1.pdf"),
            ("https://x.test/", "attachment-1"),
            ("https://x.test/%2e%2e%2fetc", "attachment-1"),
            ("https://x.test/.hidden", "attachment-1"),
        ] {
            assert_eq!(attachment(0, url).filename, name, "{url}");
        }
    }
}
