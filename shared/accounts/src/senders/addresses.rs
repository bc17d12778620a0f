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

    /// Returns the mail address of an agent in the domain of the installation.
    pub(super) fn mail_address(&self, local: &str, domain: Option<&str>) -> Result<String, Failure> {
        let own = self.settings.mail_domain.as_deref();
        let domain = match (domain.map(str::trim).filter(|domain| !domain.is_empty()), own) {
            (Some(wanted), Some(own)) if wanted.eq_ignore_ascii_case(own) => own,
            (None, Some(own)) => own,
            (Some(_), _) => {
                return Err(Failure::new(
                    Code::NotSupported,
                    "mail addresses of this domain can't be provisioned here",
                )
                .hint(match own {
                    Some(own) => format!("leave emailDomain out: addresses are in {own}"),
                    None => "an operator has to set MAIL_DOMAIN".to_owned(),
                })
                .detail("fields", json!(["emailDomain"])));
            }
            (None, None) => {
                return Err(
                    Failure::new(Code::NotSupported, "this installation gives no mail addresses")
                        .hint("an operator has to set MAIL_DOMAIN"),
                );
            }
        };
        let local = local_part(local)?;
        Ok(format!("{local}@{domain}"))
    }
}

/// Returns a name as the local part of a mail address: lower case, with `-` in place of other characters.
fn local_part(name: &str) -> Result<String, Failure> {
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
