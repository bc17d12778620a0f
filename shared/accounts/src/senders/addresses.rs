//! The URLs that a vendor gets for a number, and the mail addresses of agents.

use butt_dial_domain::{Code, Failure, ports::numbers::NumberUrls};
use serde_json::json;

use super::Senders;

/// Three retries, also after a 5xx (Twilio, Webhooks connection overrides): by default Twilio retries once.
const RETRIES: &str = "#rc=3&rp=ct,rt,5xx";
/// Characters of the local part of a mail address (RFC 5321).
const MAX_LOCAL_PART: usize = 64;

impl Senders {
    /// Returns the URLs for a vendor's number. Fails without a public address: no message would arrive.
    pub(super) fn number_urls(&self, vendor: &str) -> Result<NumberUrls, Failure> {
        let base = self.public_urls.base().ok_or_else(|| {
            Failure::new(
                Code::NotSupported,
                "this installation has no public address for webhooks",
            )
            .hint("an operator has to set WEBHOOK_BASE_URL")
        })?;
        let url = |path: &str, more: &str| Some(format!("{base}/webhooks/{vendor}/{path}{more}"));
        Ok(NumberUrls {
            sms: url("sms", RETRIES),
            voice: url("voice", ""),
            status: url("voice/status", RETRIES),
        })
    }

    /// Returns the URLs for a WhatsApp sender.
    pub(super) fn whatsapp_urls(&self, vendor: &str) -> Result<NumberUrls, Failure> {
        let urls = self.number_urls(vendor)?;
        let base = self.public_urls.base().unwrap_or_default();
        Ok(NumberUrls {
            sms: Some(format!("{base}/webhooks/{vendor}/whatsapp{RETRIES}")),
            status: Some(format!("{base}/webhooks/{vendor}/status")),
            ..urls
        })
    }

    /// Returns the domain for a mail address: the installation's, or another one in lower case.
    pub(super) fn mail_domain(&self, wanted: Option<&str>) -> Result<(String, bool), Failure> {
        let own = self.settings.mail_domain.as_deref();
        let wanted = wanted
            .map(|domain| domain.trim().to_lowercase())
            .filter(|domain| !domain.is_empty());
        match (wanted, own) {
            (Some(wanted), own) if own != Some(wanted.as_str()) => {
                let is_label = |label: &str| {
                    !label.is_empty()
                        && label.len() <= 63
                        && !label.starts_with('-')
                        && !label.ends_with('-')
                        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                };
                if wanted.len() > 253 || !wanted.contains('.') || !wanted.split('.').all(is_label) {
                    return Err(Failure::new(Code::InvalidArgument, "emailDomain is not a domain")
                        .hint("use the form mail.example.com")
                        .detail("fields", json!(["emailDomain"])));
                }
                Ok((wanted, false))
            }
            (_, Some(own)) => Ok((own.to_owned(), true)),
            (_, None) => Err(
                Failure::new(Code::NotSupported, "this installation gives no mail addresses")
                    .hint("pass emailDomain with a domain of yours, or have an operator set MAIL_DOMAIN"),
            ),
        }
    }
}

/// Returns a name as the local part of a mail address: lower case, with `-` in place of other characters.
pub(super) fn local_part(name: &str) -> Result<String, Failure> {
    let mut local = String::new();
    for c in name.trim().to_lowercase().chars() {
        match c {
            'a'..='z' | '0'..='9' | '.' | '_' => local.push(c),
            _ if local.ends_with('-') => {}
            _ => local.push('-'),
        }
    }
    let local: String = local
        .trim_matches(['-', '.', '_'])
        .chars()
        .take(MAX_LOCAL_PART)
        .collect();
    let local = local.trim_end_matches(['-', '.', '_']).replace("..", ".");
    if local.is_empty() {
        return Err(Failure::new(
            Code::InvalidArgument,
            "the local part of a mail address needs a letter or a digit",
        )
        .detail("fields", json!(["email_local_part"])));
    }
    Ok(local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_local_parts_of_names() {
        for (name, local) in [
            ("Support", "support"),
            (" Ann  Lee ", "ann-lee"),
            ("a..b", "a.b"),
            ("Zoë's shop", "zo-s-shop"),
            ("-x-", "x"),
        ] {
            assert_eq!(local_part(name).unwrap(), local, "{name}");
        }
        assert!(local_part("…").is_err());
        assert!(local_part(&"x".repeat(100)).unwrap().len() == MAX_LOCAL_PART);
    }
}
