//! What Resend checks before it takes a mail, with the names that it refuses with (Resend, API reference: Errors).

use axum::http::StatusCode;
use butt_dial_domain::{Address, Channel};
use serde::Deserialize;

use super::error::Complaint;
use crate::resend::wire;

const MOST_RECIPIENTS: usize = 50;

/// A mail that Resend would take. Only the first recipient is simulated.
pub struct Draft {
    pub from: (Option<String>, String),
    pub to: String,
    pub subject: String,
    pub text: String,
    pub html: Option<String>,
    pub attachments: Vec<String>,
}

#[derive(Deserialize)]
struct Fields {
    from: Option<String>,
    to: Option<OneOrMany>,
    subject: Option<String>,
    text: Option<String>,
    html: Option<String>,
    #[serde(default)]
    attachments: Vec<Attachment>,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
struct Attachment {
    path: Option<String>,
    content: Option<serde::de::IgnoredAny>,
    filename: Option<String>,
}

#[derive(Deserialize)]
struct Tag {
    name: String,
    value: String,
}

impl Draft {
    pub fn read(body: &[u8]) -> Result<Self, Complaint> {
        let Ok(fields) = serde_json::from_slice::<Fields>(body) else {
            return Err(Complaint::new(
                StatusCode::BAD_REQUEST,
                "validation_error",
                "The request body is not valid JSON.",
            ));
        };
        let from = fields.from.ok_or_else(|| missing("from"))?;
        let to = match fields.to.ok_or_else(|| missing("to"))? {
            OneOrMany::One(to) => vec![to],
            OneOrMany::Many(all) => all,
        };
        let subject = fields.subject.ok_or_else(|| missing("subject"))?;
        if fields.text.is_none() && fields.html.is_none() {
            return Err(missing("html` or `text"));
        }
        let from = parse_mailbox(&from).ok_or_else(|| invalid("invalid_from_address", "from"))?;
        let mut recipients = to.iter().map(|to| parse_mailbox(to).map(|(_, address)| address));
        let to = match recipients.next().flatten() {
            Some(first) if to.len() <= MOST_RECIPIENTS && recipients.all(|to| to.is_some()) => first,
            _ => return Err(invalid("validation_error", "to")),
        };
        if subject.chars().any(char::is_control) {
            return Err(unprocessable(
                "validation_error",
                "The `\\n` is not allowed in the `subject` field.",
            ));
        }
        if !fields
            .tags
            .iter()
            .all(|tag| wire::is_tag(&tag.name) && wire::is_tag(&tag.value))
        {
            let text = "Tags should only contain ASCII letters, numbers, underscores, or dashes.";
            return Err(unprocessable("validation_error", text));
        }
        let attachments = fields.attachments.into_iter().map(shown).collect::<Option<_>>();
        let attachments = attachments.ok_or_else(|| {
            let text = "Attachment must have either a `content` or a valid `path`.";
            unprocessable("invalid_attachment", text)
        })?;
        Ok(Self {
            from,
            to,
            subject,
            text: fields.text.unwrap_or_default(),
            html: fields.html,
            attachments,
        })
    }
}

/// What the people see of an attachment: its URL, or its name.
fn shown(attachment: Attachment) -> Option<String> {
    match (attachment.path, attachment.content) {
        (Some(path), _) => {
            let url = url::Url::parse(&path).ok()?;
            matches!(url.scheme(), "http" | "https").then_some(path)
        }
        (None, Some(_)) => Some(attachment.filename.unwrap_or_else(|| "attachment".to_owned())),
        (None, None) => None,
    }
}

/// `address`, `Name <address>` or `"Name" <address>`.
fn parse_mailbox(text: &str) -> Option<(Option<String>, String)> {
    let (name, address) = match text.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
        Some((name, address)) => (name.trim(), address),
        None => ("", text),
    };
    let name = match name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => unescaped(quoted),
        None => name.to_owned(),
    };
    let address = Address::parse(Channel::Email, address).ok()?;
    Some(((!name.is_empty()).then_some(name), address.as_str().to_owned()))
}

fn unescaped(quoted: &str) -> String {
    let mut chars = quoted.chars();
    let mut name = String::new();
    while let Some(c) = chars.next() {
        name.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    name
}

fn missing(field: &str) -> Complaint {
    unprocessable("missing_required_field", &format!("Missing `{field}` field."))
}

fn invalid(name: &'static str, field: &str) -> Complaint {
    let text = format!(
        "Invalid `{field}` field. The email address needs to follow the `email@example.com` or `Name <email@example.com>` format."
    );
    unprocessable(name, &text)
}

fn unprocessable(name: &'static str, message: &str) -> Complaint {
    Complaint::new(StatusCode::UNPROCESSABLE_ENTITY, name, message)
}
