//! The parts of a received mail besides its text: thread, recipients, and whether a person has written it.

use butt_dial_domain::{
    inbound::{AutomatedMail, MailDetails},
    text::clean_line,
};

use super::{event::Mail, mailbox};

/// Entries of a list that are kept, and characters of each.
const MAX_ENTRIES: usize = 100;
const MAX_ENTRY: usize = 1_000;

/// Reads what the notice or the stored mail says. The notice has no headers.
pub fn read(mail: &Mail) -> MailDetails {
    let sender = mailbox::read(&mail.from).address;
    let reply_to = mail
        .reply_to
        .first()
        .map(String::as_str)
        .or_else(|| mail.header("Reply-To"));
    let references = mail.header("References").unwrap_or_default().split_whitespace();
    MailDetails {
        message_id: mail.message_id().map(|id| clean_line(id, MAX_ENTRY)),
        references: references
            .take(MAX_ENTRIES)
            .map(|id| clean_line(id, MAX_ENTRY))
            .collect(),
        reply_to: reply_to
            .map(mailbox::read)
            .filter(|mailbox| mailbox.is_valid && mailbox.address != sender)
            .map(|mailbox| mailbox.address),
        to: bounded(&mail.to),
        cc: bounded(&mail.cc),
        bcc: bounded(&mail.bcc),
        tag: None,
        automated: automated(mail, &sender),
        authentication: mail
            .header("Authentication-Results")
            .map(|results| clean_line(results, MAX_ENTRY)),
    }
}

fn bounded(list: &[String]) -> Vec<String> {
    list.iter()
        .take(MAX_ENTRIES)
        .map(|entry| clean_line(entry, MAX_ENTRY))
        .collect()
}

/// Decides from the headers that RFC 3834, RFC 3464, RFC 2919 and common servers use.
fn automated(mail: &Mail, sender: &str) -> Option<AutomatedMail> {
    let is = |name: &str, values: &[&str]| {
        let value = mail.header(name).unwrap_or_default().to_ascii_lowercase();
        values.iter().any(|expected| value.starts_with(expected))
    };
    let has = |name: &str| mail.header(name).is_some();
    let local = sender.split('@').next().unwrap_or_default().to_ascii_lowercase();
    let kind = mail.header("Content-Type").unwrap_or_default().to_ascii_lowercase();
    let kind = kind.replace([' ', '"'], "");
    let is_report = kind.contains("report-type=delivery-status");
    if is_report
        || has("X-Failed-Recipients")
        || sender == "<>"
        || local == "mailer-daemon"
        || is("Return-Path", &["<>"])
    {
        return Some(AutomatedMail::Bounce);
    }
    // A receipt of reading (RFC 8098) is sent by a mail program.
    if is("Auto-Submitted", &["auto-replied"])
        || kind.contains("report-type=disposition-notification")
        || has("X-Autoreply")
        || has("X-Autorespond")
        || has("X-Auto-Reply")
        || is("Precedence", &["auto_reply"])
    {
        return Some(AutomatedMail::AutoReply);
    }
    if has("List-Id") || has("List-Post") || is("Precedence", &["list"]) {
        return Some(AutomatedMail::List);
    }
    if is("Precedence", &["bulk", "junk"]) || has("List-Unsubscribe") {
        return Some(AutomatedMail::Bulk);
    }
    let is_generated = has("Auto-Submitted") && !is("Auto-Submitted", &["no"])
        || has("X-Auto-Response-Suppress") && !is("X-Auto-Response-Suppress", &["none"])
        || has("Feedback-ID");
    is_generated.then_some(AutomatedMail::Generated)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn mail(fields: Value) -> Mail {
        let mut mail = json!({ "email_id": "m1", "from": "ann@example.com" });
        mail.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        serde_json::from_value(mail).unwrap()
    }

    #[test]
    fn marks_mail_that_no_person_wrote() {
        use AutomatedMail::{AutoReply, Bounce, Bulk, Generated, List};
        for (name, value, expected) in [
            ("Auto-Submitted", "auto-replied", Some(AutoReply)),
            ("auto-submitted", "auto-generated; owner-email=x", Some(Generated)),
            ("Auto-Submitted", "no", None),
            ("X-Autoreply", "yes", Some(AutoReply)),
            ("Precedence", "bulk", Some(Bulk)),
            ("Precedence", "list", Some(List)),
            ("List-Id", "<news.example.com>", Some(List)),
            (
                "Content-Type",
                "multipart/report; report-type=delivery-status; boundary=x",
                Some(Bounce),
            ),
            (
                "Content-Type",
                "multipart/report; report-type = \"disposition-notification\"",
                Some(AutoReply),
            ),
            ("Subject", "Hi", None),
        ] {
            for headers in [
                json!({ name: value }),
                json!([{ "name": name, "value": value }]),
                json!([{ "key": name, "value": value }]),
                json!([[name, value]]),
            ] {
                let read = read(&mail(json!({ "headers": headers })));
                assert_eq!(read.automated, expected, "{name}: {value}");
            }
        }
        let bounce = read(&mail(json!({ "from": "Mail Delivery <MAILER-DAEMON@example.com>" })));
        assert_eq!(bounce.automated, Some(Bounce));
    }

    #[test]
    fn fields_of_another_type_are_absent() {
        let read = read(&mail(json!({
            "subject": 5, "text": {}, "message_id": [], "created_at": 1, "cc": {}, "headers": "x",
            "attachments": [null, { "id": "a1", "filename": 5, "content_type": [], "size": "big" }],
        })));
        assert_eq!((read.message_id, read.automated, read.cc), (None, None, vec![]));
    }

    #[test]
    fn reads_thread_and_recipients() {
        let read = read(&mail(json!({
            "message_id": "<second@mail.example>", "reply_to": ["Kim <kim@example.com>"], "cc": "bo@example.com", "bcc": null,
            "headers": { "References": "<zero@mail.example>\r\n <first@mail.example>" },
        })));
        assert_eq!(read.message_id.as_deref(), Some("<second@mail.example>"));
        assert_eq!(read.references, ["<zero@mail.example>", "<first@mail.example>"]);
        assert_eq!(read.reply_to.as_deref(), Some("kim@example.com"));
        assert_eq!(
            (read.cc.as_slice(), read.bcc.is_empty()),
            (&["bo@example.com".to_owned()][..], true)
        );
    }
}
