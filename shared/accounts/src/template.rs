//! The mail that verifies an owner, in the words of an organization.

use butt_dial_domain::{Code, Failure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::handle::invalid;

/// The Python client documents camel case.
pub(crate) const VERIFY_URL: [&str; 2] = ["{{verify_url}}", "{{verifyUrl}}"];
const MAX_TEMPLATE_BYTES: usize = 200 * 1024;
const MAX_SUBJECT_LENGTH: usize = 200;

/// The mail that verifies an owner, in the words of the organization. `{{verify_url}}` is replaced by the link; `{{org_name}}`,
/// `{{product_name}}`, `{{owner_email}}` and `{{expires_in_minutes}}` by their values. Camel case works, too. Scripts are removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MailTemplate {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl MailTemplate {
    /// Checks the size, and that a reader gets the link.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let parts = [&self.html, &self.text];
        let bytes: usize = parts.into_iter().flatten().map(String::len).sum();
        if bytes > MAX_TEMPLATE_BYTES {
            return Err(Failure::new(
                Code::TemplateTooLarge,
                "verificationEmail is larger than 200 KB",
            ));
        }
        let mut written = parts.into_iter().flatten().peekable();
        if written.peek().is_some() && !written.any(|part| has_link(part)) {
            return Err(Failure::new(
                Code::TemplateMissingVerifyUrl,
                "verificationEmail does not contain {{verify_url}}",
            )
            .hint("put {{verify_url}} where the link belongs"));
        }
        let subject = self.subject.as_deref().unwrap_or("x");
        if subject.chars().any(char::is_control) || subject.chars().count() > MAX_SUBJECT_LENGTH {
            return Err(invalid(
                "verificationEmail.subject",
                "verificationEmail.subject is one line of at most 200 characters",
            ));
        }
        Ok(())
    }
}

pub(crate) fn has_link(part: &str) -> bool {
    VERIFY_URL.iter().any(|variable| part.contains(variable))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(html: Option<&str>, text: Option<&str>) -> MailTemplate {
        MailTemplate {
            subject: None,
            html: html.map(str::to_owned),
            text: text.map(str::to_owned),
        }
    }

    #[test]
    fn template_needs_link_and_size() {
        assert!(template(None, None).check().is_ok());
        assert!(template(Some("<a href='{{verify_url}}'>"), None).check().is_ok());
        let missing = template(Some("<a>"), Some("x")).check().unwrap_err();
        assert_eq!(missing.code, Code::TemplateMissingVerifyUrl);
        let large = template(None, Some(&"x".repeat(MAX_TEMPLATE_BYTES + 1)))
            .check()
            .unwrap_err();
        assert_eq!(large.code, Code::TemplateTooLarge);
        let split = MailTemplate {
            subject: Some("a\nb".into()),
            ..MailTemplate::default()
        };
        assert_eq!(split.check().unwrap_err().code, Code::InvalidArgument);
    }
}
