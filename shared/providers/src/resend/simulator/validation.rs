//! Request checks, with the error names that Resend uses (Resend, API reference: Errors).

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde::Deserialize;

use super::error::ApiError;
use crate::resend::wire;

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
        let to = match fields.to.ok_or_else(|| missing("to"))? {
            OneOrMany::One(to) => vec![to],
            OneOrMany::Many(all) => all,
        };
        let subject = fields.subject.ok_or_else(|| missing("subject"))?;
        if fields.text.is_none() && fields.html.is_none() {
            return Err(missing("html` or `text"));
        }
        let (from_name, from) = wire::read_mailbox(&from).ok_or_else(|| invalid("invalid_from_address", "from"))?;
        let mut recipients = to.iter().map(|to| wire::read_mailbox(to).map(|(_, address)| address));
        let to = match recipients.next().flatten() {
            Some(first) if to.len() <= MAX_RECIPIENTS && recipients.all(|to| to.is_some()) => first,
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
            from_name,
            from: from.as_str().to_owned(),
            to: to.as_str().to_owned(),
            subject,
            text: fields.text.unwrap_or_default(),
            html: fields.html,
            attachments,
            tags: fields.tags.into_iter().map(|tag| (tag.name, tag.value)).collect(),
        })
    }
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
