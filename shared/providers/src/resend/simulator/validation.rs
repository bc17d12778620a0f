//! Request checks, with the error names that Resend uses (Resend, API reference: Errors).

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde::Deserialize;

use super::error::ApiError;
use crate::resend::{mailbox, wire};
use crate::simulator::SimulatedMail;

const MAX_RECIPIENTS: usize = 50;

/// A mail that passed the checks. Only the first recipient is simulated.
pub struct ValidMessage {
    pub from_name: Option<String>,
    pub from: String,
    pub to: String,
    pub subject: String,
    pub text: String,
    pub html: Option<String>,
    pub attachments: Vec<String>,
    pub tags: BTreeMap<String, String>,
    pub mail: SimulatedMail,
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
    cc: Option<OneOrMany>,
    bcc: Option<OneOrMany>,
    reply_to: Option<OneOrMany>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn list(self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(all) => all,
        }
    }
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

impl ValidMessage {
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let Ok(fields) = serde_json::from_slice::<Fields>(body) else {
            return Err(ApiError::new(
                StatusCode::BAD_REQUEST,
                "validation_error",
                "The request body is not valid JSON.",
            ));
        };
        let from = fields.from.ok_or_else(|| missing("from"))?;
        let to = fields.to.ok_or_else(|| missing("to"))?.list();
        let subject = fields.subject.ok_or_else(|| missing("subject"))?;
        if fields.text.is_none() && fields.html.is_none() {
            return Err(missing("html` or `text"));
        }
        let from = mailbox::read(&from);
        if !from.is_valid {
            return Err(invalid("invalid_from_address", "from"));
        }
        let to = addresses("to", to)?;
        let first = to.first().ok_or_else(|| invalid("validation_error", "to"))?;
        let optional =
            |field, listed: Option<OneOrMany>| addresses(field, listed.map(OneOrMany::list).unwrap_or_default());
        let mail = SimulatedMail {
            cc: optional("cc", fields.cc)?,
            bcc: optional("bcc", fields.bcc)?,
            reply_to: optional("reply_to", fields.reply_to)?,
            headers: fields.headers,
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
        let attachments = fields
            .attachments
            .into_iter()
            .map(attachment_label)
            .collect::<Option<_>>();
        let attachments = attachments.ok_or_else(|| {
            let text = "Attachment must have either a `content` or a valid `path`.";
            unprocessable("invalid_attachment", text)
        })?;
        Ok(Self {
            from_name: from.name,
            from: from.address,
            to: first.clone(),
            mail,
            subject,
            text: fields.text.unwrap_or_default(),
            html: fields.html,
            attachments,
            tags: fields.tags.into_iter().map(|tag| (tag.name, tag.value)).collect(),
        })
    }
}

/// Reads the addresses of a field. Fails if one is invalid, or if there are too many.
fn addresses(field: &str, listed: Vec<String>) -> Result<Vec<String>, ApiError> {
    let mailboxes: Vec<_> = listed.iter().map(|text| mailbox::read(text)).collect();
    if mailboxes.len() > MAX_RECIPIENTS || mailboxes.iter().any(|mailbox| !mailbox.is_valid) {
        return Err(invalid("validation_error", field));
    }
    Ok(mailboxes.into_iter().map(|mailbox| mailbox.address).collect())
}

/// Returns how the page shows an attachment: its URL or its name.
fn attachment_label(attachment: Attachment) -> Option<String> {
    match (attachment.path, attachment.content) {
        (Some(path), _) => {
            let url = url::Url::parse(&path).ok()?;
            matches!(url.scheme(), "http" | "https").then_some(path)
        }
        (None, Some(_)) => Some(attachment.filename.unwrap_or_else(|| "attachment".to_owned())),
        (None, None) => None,
    }
}

fn missing(field: &str) -> ApiError {
    unprocessable("missing_required_field", &format!("Missing `{field}` field."))
}

fn invalid(name: &'static str, field: &str) -> ApiError {
    let text = format!(
        "Invalid `{field}` field. The email address needs to follow the `email@example.com` or `Name <email@example.com>` format."
    );
    unprocessable(name, &text)
}

fn unprocessable(name: &'static str, message: &str) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, name, message)
}
