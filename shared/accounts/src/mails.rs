//! The texts of the installation's mails. An organization may write the mail that verifies its owner.

use chrono::TimeDelta;

use crate::{
    profile::Profile,
    scripts::without_scripts,
    template::{VERIFY_URL, has_link},
};

/// How long the link in a mail is valid.
pub(crate) const LINK_LIFETIME: TimeDelta = TimeDelta::minutes(15);

/// A text to send.
pub(crate) struct MailText {
    pub subject: String,
    pub text: String,
    pub html: Option<String>,
}

/// Writes the mail with the link of a verification.
pub(crate) fn verification(profile: &Profile, owner: &str, url: &str) -> MailText {
    let product = profile
        .branding
        .as_ref()
        .and_then(|branding| branding.product_name.as_deref());
    let product = product.unwrap_or("Butt-Dial");
    let minutes = LINK_LIFETIME.num_minutes().to_string();
    let fill = |text: &str, escape: fn(&str) -> String| {
        let values = [
            (VERIFY_URL, url),
            (["{{org_name}}", "{{orgName}}"], &profile.name),
            (["{{product_name}}", "{{productName}}"], product),
            (["{{owner_email}}", "{{ownerEmail}}"], owner),
            (["{{expires_in_minutes}}", "{{expiresInMinutes}}"], &minutes),
        ];
        let names = values
            .iter()
            .flat_map(|(names, value)| names.map(|name| (name, *value)));
        names.fold(text.to_owned(), |text, (name, value)| {
            text.replace(name, &escape(value))
        })
    };
    let template = profile.template.clone().unwrap_or_default();
    let plain: fn(&str) -> String = str::to_owned;
    let default_text = format!(
        "Please confirm this e-mail address for {}: {url}\n\nThe link is valid for 15 minutes. If you have not registered, \
         ignore this mail.",
        profile.name
    );
    let text = match (template.text, &template.html) {
        (Some(text), _) if has_link(&text) => fill(&text, plain),
        // A reader without HTML needs the link too.
        (Some(text), _) => format!("{}\n\n{url}", fill(&text, plain)),
        (None, _) => default_text,
    };
    MailText {
        subject: template
            .subject
            .filter(|subject| !subject.trim().is_empty())
            .map_or_else(
                || format!("Confirm your e-mail address for {product}"),
                |subject| fill(&subject, plain),
            ),
        html: template.html.map(|html| fill(&without_scripts(&html), escape)),
        text,
    }
}

/// Writes the mail to an owner who has an organization already.
pub(crate) fn already_registered(profile: &Profile) -> MailText {
    MailText {
        subject: "You have an organization already".into(),
        text: format!(
            "A registration of {} was requested with this e-mail address, which belongs to an organization already. Nothing has \
             changed. If it was not you, ignore this mail.",
            profile.name
        ),
        html: None,
    }
}

/// Writes the mail with the token that confirms an erasure.
pub(crate) fn erasure(name: &str, token: &str) -> MailText {
    MailText {
        subject: format!("Confirm the erasure of {name}"),
        text: format!(
            "The erasure of {name} was requested. To erase all of its data, confirm with this token within one hour:\n\n{token}\n\n\
             If you have not requested it, revoke the tokens of your organization."
        ),
        html: None,
    }
}

/// Escapes text for HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MailTemplate;

    fn template(html: Option<&str>, text: Option<&str>) -> MailTemplate {
        MailTemplate {
            subject: None,
            html: html.map(str::to_owned),
            text: text.map(str::to_owned),
        }
    }

    fn profile(template: Option<MailTemplate>) -> Profile {
        Profile {
            name: "A & B <b>".into(),
            return_url: None,
            webhook_url: None,
            webhook_salt: String::new(),
            branding: None,
            template,
        }
    }

    #[test]
    fn mail_contains_link_in_every_part() {
        let url = "https://a.example/verify#token=1";
        let own = template(
            Some("<p onclick=x>{{org_name}} {{ownerEmail}}</p><a href=\"{{verifyUrl}}\">"),
            Some("Hello"),
        );
        let mail = verification(&profile(Some(own)), "ann@example.com", url);
        assert!(mail.text.contains(url));
        let html = mail.html.unwrap();
        assert!(
            html.contains(url)
                && html.contains("A &amp; B &lt;b&gt; ann@example.com")
                && !html.contains("onclick")
                && !html.contains("{{")
        );
        let default = verification(&profile(None), "ann@example.com", url);
        assert!(default.text.contains(url) && default.html.is_none() && default.subject.contains("Butt-Dial"));
    }
}
