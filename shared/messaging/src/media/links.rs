//! Links to stored blobs. A link is signed and grants read access to its holder until it expires.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use butt_dial_domain::OrgId;
use butt_dial_vault::Vault;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{Media, OpenBlob};

/// Why a link cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkError {
    /// The signature is wrong.
    Forged,
    /// The link has expired, or its blob was purged.
    Gone,
    /// The storage does not answer, or too many attachments are being read.
    Unavailable,
}

impl Media {
    /// Creates a link to a stored blob. `None`: the installation has no public address.
    pub(super) fn create_link(&self, org: &OrgId, key: &str) -> Option<String> {
        let base = self.public_urls.base()?;
        let lifetime = i64::try_from(self.event_retention.as_secs()).unwrap_or(0);
        let claim = LinkClaim {
            expires: self.clock.now().timestamp() + lifetime,
            org: org.clone(),
            key: key.to_owned(),
        };
        Some(format!("{base}/media/{}", claim.token(&secret(&self.vault))))
    }

    /// Returns the blob of a link, by the last part of its path.
    pub async fn open_link(&self, token: &str) -> Result<OpenBlob, LinkError> {
        let claim = LinkClaim::read(&secret(&self.vault), token, self.clock.now().timestamp())?;
        let blobs = self.blobs.as_ref().ok_or(LinkError::Gone)?;
        match blobs.find(&self.vault, &claim.org, &claim.key).await {
            Ok(Some(blob)) => Ok(blob),
            Ok(None) => Err(LinkError::Gone),
            Err(error) => {
                tracing::warn!(error, "blob not read");
                Err(LinkError::Unavailable)
            }
        }
    }
}

fn secret(vault: &Vault) -> [u8; 32] {
    vault.key("media links")
}

/// The content of a link.
#[derive(Debug, PartialEq, Eq)]
struct LinkClaim {
    /// Unix seconds: the last second in which the link is valid.
    expires: i64,
    org: OrgId,
    key: String,
}

impl LinkClaim {
    fn token(&self, secret: &[u8; 32]) -> String {
        let text = format!("{} {} {}", self.expires, self.org, self.key);
        let signature = URL_SAFE_NO_PAD.encode(mac(secret, &text).finalize().into_bytes());
        format!("{}.{signature}", URL_SAFE_NO_PAD.encode(text))
    }

    fn read(secret: &[u8; 32], token: &str, now: i64) -> Result<Self, LinkError> {
        let (text, signature) = token.split_once('.').ok_or(LinkError::Forged)?;
        let (text, signature) = (URL_SAFE_NO_PAD.decode(text), URL_SAFE_NO_PAD.decode(signature));
        let (Ok(text), Ok(signature)) = (text, signature) else {
            return Err(LinkError::Forged);
        };
        let text = String::from_utf8(text).map_err(|_| LinkError::Forged)?;
        let genuine = mac(secret, &text).verify_slice(&signature);
        genuine.map_err(|_| LinkError::Forged)?;
        let claim = Self::parse(&text).ok_or(LinkError::Forged)?;
        if claim.expires < now {
            Err(LinkError::Gone)
        } else {
            Ok(claim)
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ' ');
        let expires = parts.next()?.parse().ok()?;
        let org = OrgId::from(parts.next()?);
        let key = parts.next()?.to_owned();
        Some(Self { expires, org, key })
    }
}

fn mac(secret: &[u8; 32], text: &str) -> Hmac<Sha256> {
    // HMAC accepts keys of any length (RFC 2104), so the fallback to an empty key is never taken.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap_or_else(|_| Hmac::new(&Default::default()));
    mac.update(text.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_772_323_200;

    fn claim() -> LinkClaim {
        LinkClaim {
            expires: NOW + 60,
            org: OrgId::from("org_ours"),
            key: "2026-03-01/org_ours/evt_1/0".to_owned(),
        }
    }

    #[test]
    fn opens_link_until_it_expires() {
        let secret = secret(&Vault::new(b"a master key"));
        let token = claim().token(&secret);
        assert!(
            token
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)),
            "one part of a path: {token}"
        );
        for now in [0, NOW, NOW + 60] {
            assert_eq!(LinkClaim::read(&secret, &token, now), Ok(claim()));
        }
        for now in [NOW + 61, i64::MAX] {
            assert_eq!(LinkClaim::read(&secret, &token, now), Err(LinkError::Gone));
        }
    }

    #[test]
    fn rejects_altered_link() {
        let secret = secret(&Vault::new(b"a master key"));
        let token = claim().token(&secret);
        for place in 0..token.len() {
            let mut altered = token.clone().into_bytes();
            altered[place] = if altered[place] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).unwrap();
            assert_eq!(
                LinkClaim::read(&secret, &altered, NOW),
                Err(LinkError::Forged),
                "{altered}"
            );
        }
        let (_, signature) = token.split_once('.').unwrap();
        let longer = "9999999999 org_ours 2026-03-01/org_ours/evt_1/0";
        let longer = format!("{}.{signature}", URL_SAFE_NO_PAD.encode(longer));
        let padded = format!("{token}=");
        for junk in ["", ".", "..", "A", "A.", ".A", &longer, &padded, "é.é", "!.!"] {
            assert_eq!(LinkClaim::read(&secret, junk, NOW), Err(LinkError::Forged), "{junk}");
        }
    }

    #[test]
    fn rejects_link_signed_with_another_key() {
        let vault = Vault::new(b"a master key");
        let token = claim().token(&secret(&Vault::new(b"another")));
        assert_eq!(LinkClaim::read(&secret(&vault), &token, NOW), Err(LinkError::Forged));
        let token = claim().token(&vault.key("another purpose"));
        assert_eq!(LinkClaim::read(&secret(&vault), &token, NOW), Err(LinkError::Forged));
    }

    #[test]
    fn rejects_malformed_link_despite_valid_signature() {
        let secret = secret(&Vault::new(b"a master key"));
        for text in [
            "",
            "1",
            "1 org",
            "soon org key",
            " org key",
            "99999999999999999999 org key",
        ] {
            let signature = URL_SAFE_NO_PAD.encode(mac(&secret, text).finalize().into_bytes());
            let token = format!("{}.{signature}", URL_SAFE_NO_PAD.encode(text));
            assert_eq!(LinkClaim::read(&secret, &token, 0), Err(LinkError::Forged), "{text}");
        }
    }
}
