//! The name and look of an organization on pages and in mails. Every value is checked before it is stored, and escaped where it
//! is written.

use butt_dial_domain::{Address, Channel, Code, Failure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    Accounts,
    handle::{MAX_URL_LENGTH, invalid},
    template::MailTemplate,
};

const MAX_NAME_LENGTH: usize = butt_dial_domain::bounds::NAME;

/// The look of the pages and mails that an organization's owner sees.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Branding {
    /// An https URL.
    #[serde(default, alias = "logo_url", skip_serializing_if = "Option::is_none")]
    pub logo_url: Option<String>,
    /// Such as #0a7cff.
    #[serde(default, alias = "primary_color", skip_serializing_if = "Option::is_none")]
    pub primary_color: Option<String>,
    #[serde(default, alias = "product_name", skip_serializing_if = "Option::is_none")]
    pub product_name: Option<String>,
    #[serde(default, alias = "support_email", skip_serializing_if = "Option::is_none")]
    pub support_email: Option<String>,
}

/// The content of a registration. It is stored with the token of its mail: the owner confirms what was sent
/// with the mail that was opened, not what another request for the same address said.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Profile {
    pub name: String,
    pub return_url: Option<String>,
    pub webhook_url: Option<String>,
    pub webhook_salt: String,
    pub branding: Option<Branding>,
    pub template: Option<MailTemplate>,
}

impl Profile {
    pub(crate) fn parse(json: Option<&str>) -> Result<Self, Failure> {
        let parsed = json.and_then(|json| serde_json::from_str(json).ok());
        parsed.ok_or_else(|| {
            tracing::error!("registration not readable");
            Failure::internal()
        })
    }
}

/// Checks the name of an organization: one line of 1 to 128 characters.
pub(crate) fn clean_name(field: &'static str, name: &str) -> Result<String, Failure> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > MAX_NAME_LENGTH || name.chars().any(char::is_control) {
        return Err(invalid(
            field,
            format!("{field} is one line of 1 to {MAX_NAME_LENGTH} characters"),
        ));
    }
    Ok(name.to_owned())
}

/// Masks a telephone number, as in `+1********23`.
pub fn phone_hint(phone: &str) -> String {
    let shown = |index: usize| index < 2 || index + 2 >= phone.len();
    let masked = phone.chars().enumerate();
    masked
        .map(|(index, digit)| if shown(index) { digit } else { '*' })
        .collect()
}

/// An e-mail address, and its normalized form, by which it is found.
#[derive(Clone, Debug)]
pub(crate) struct Mailbox {
    pub address: String,
    pub key: String,
}

impl Mailbox {
    pub fn parse(field: &'static str, text: &str) -> Result<Self, Failure> {
        let address = Address::parse(Channel::Email, text.trim()).map_err(|error| {
            Failure::new(Code::InvalidArgument, format!("{field}: {error}")).detail("fields", vec![field])
        })?;
        Ok(Self {
            key: address.as_str().to_lowercase(),
            address: address.as_str().to_owned(),
        })
    }

    pub fn domain(&self) -> &str {
        self.key.rsplit('@').next().unwrap_or_default()
    }
}

impl Accounts {
    /// Checks a branding.
    pub(crate) fn check_branding(branding: &Branding) -> Result<(), Failure> {
        if let Some(url) = &branding.logo_url {
            check_link("branding.logoUrl", url, false)?;
        }
        if let Some(color) = &branding.primary_color {
            let digits = color.strip_prefix('#').unwrap_or_default();
            let is_color = matches!(digits.len(), 3 | 4 | 6 | 8) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !is_color {
                return Err(invalid(
                    "branding.primaryColor",
                    "branding.primaryColor is a color such as #0a7cff",
                ));
            }
        }
        if let Some(name) = &branding.product_name {
            clean_name("branding.productName", name)?;
        }
        if let Some(email) = &branding.support_email {
            Mailbox::parse("branding.supportEmail", email)?;
        }
        Ok(())
    }

    /// Checks the page that a browser returns to after the verification. A browser of this machine may return to it.
    pub(crate) fn check_return_url(url: &str) -> Result<(), Failure> {
        check_link("returnUrl", url, true)
    }
}

/// Checks a URL that browsers follow: https, or a page of the same machine if `allows_local`.
fn check_link(field: &'static str, text: &str, allows_local: bool) -> Result<(), Failure> {
    let refuse = || Err(invalid(field, format!("{field} is an https URL without a fragment")));
    let Ok(url) = Url::parse(text) else { return refuse() };
    let is_local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let is_allowed = url.scheme() == "https" || (allows_local && is_local && url.scheme() == "http");
    let has_user = !url.username().is_empty() || url.password().is_some();
    match is_allowed && !has_user && url.fragment().is_none() && text.len() <= MAX_URL_LENGTH {
        true => Ok(()),
        false => refuse(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branding_accepts_colors_and_https_only() {
        let of = |logo: &str, color: &str| {
            Accounts::check_branding(&Branding {
                logo_url: Some(logo.into()),
                primary_color: Some(color.into()),
                ..Branding::default()
            })
        };
        assert!(of("https://a.example/logo.png", "#0a7cff").is_ok());
        for (logo, color) in [
            ("javascript:alert(1)", "#fff"),
            ("http://a.example/logo.png", "#fff"),
            ("https://u:p@a.example/", "#fff"),
            ("https://a.example/", "red"),
            ("https://a.example/", "#ff;x"),
            ("https://a.example/", "#12345"),
        ] {
            assert!(of(logo, color).is_err(), "{logo} {color}");
        }
    }

    #[test]
    fn return_url_is_public_or_of_same_machine() {
        for url in [
            "https://app.example/x?y=1",
            "http://localhost:3000/",
            "http://127.0.0.1/",
        ] {
            assert!(Accounts::check_return_url(url).is_ok(), "{url}");
        }
        for url in [
            "http://app.example/",
            "javascript:alert(1)",
            "https://a.example/#x",
            "/x",
        ] {
            assert!(Accounts::check_return_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn phone_hint_shows_first_and_last_digits() {
        assert_eq!(phone_hint("+14155550123"), "+1********23");
        assert_eq!(phone_hint("+1"), "+1");
    }

    #[test]
    fn mailboxes_are_found_in_any_case() {
        let mailbox = Mailbox::parse("email", " Ann@Example.COM ").unwrap();
        assert_eq!(
            (mailbox.key.as_str(), mailbox.domain()),
            ("ann@example.com", "example.com")
        );
        assert!(Mailbox::parse("email", "ann").is_err());
    }
}
