//! Links to attachments: whoever has one may read, until it expires. Signed, so that nobody can make one.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use butt_dial_domain::OrgId;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Blob;
use crate::{Comms, vault::Vault};

/// Why a link opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// Nobody of ours made it.
    Forged,
    /// It has run out, or what it led to is gone.
    Gone,
    /// The storage does not answer.
    Unavailable,
}

/// `None` when nobody knows by which address people reach us.
pub fn make(comms: &Comms, org: &OrgId, key: &str) -> Option<String> {
    let base = comms.settings.public_url.as_ref()?;
    let lifetime = i64::try_from(comms.settings.event_retention.as_secs()).unwrap_or(0);
    let claim = Claim {
        expires: comms.clock.now().timestamp() + lifetime,
        org: org.clone(),
        key: key.to_owned(),
    };
    Some(format!("{base}/media/{}", claim.token(&secret(&comms.vault))))
}

/// What the last part of a link leads to.
pub async fn open(comms: &Comms, token: &str) -> Result<Blob, Expired> {
    let claim = Claim::read(&secret(&comms.vault), token, comms.clock.now().timestamp())?;
    let blobs = comms.blobs.as_ref().ok_or(Expired::Gone)?;
    match blobs.find(&comms.vault, &claim.org, &claim.key).await {
        Ok(Some(blob)) => Ok(blob),
        Ok(None) => Err(Expired::Gone),
        Err(error) => {
            tracing::warn!(error, "an attachment can't be read");
            Err(Expired::Unavailable)
        }
    }
}

fn secret(vault: &Vault) -> [u8; 32] {
    vault.key("media links")
}

/// What a link says: who holds it may read this, until then.
#[derive(Debug, PartialEq, Eq)]
struct Claim {
    /// Unix seconds; the last one in which it is good.
    expires: i64,
    org: OrgId,
    key: String,
}

impl Claim {
    fn token(&self, secret: &[u8; 32]) -> String {
        let text = format!("{} {} {}", self.expires, self.org, self.key);
        let signature = URL_SAFE_NO_PAD.encode(mac(secret, &text).finalize().into_bytes());
        format!("{}.{signature}", URL_SAFE_NO_PAD.encode(text))
    }

    fn read(secret: &[u8; 32], token: &str, now: i64) -> Result<Self, Expired> {
        let (text, signature) = token.split_once('.').ok_or(Expired::Forged)?;
        let (text, signature) = (URL_SAFE_NO_PAD.decode(text), URL_SAFE_NO_PAD.decode(signature));
        let (Ok(text), Ok(signature)) = (text, signature) else {
            return Err(Expired::Forged);
        };
        let text = String::from_utf8(text).map_err(|_| Expired::Forged)?;
        let genuine = mac(secret, &text).verify_slice(&signature);
        genuine.map_err(|_| Expired::Forged)?;
        let claim = Self::parse(&text).ok_or(Expired::Forged)?;
        if claim.expires < now {
            Err(Expired::Gone)
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
    // A key of any length will do (RFC 2104), so the error has no case; the empty key keeps the code total.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap_or_else(|_| Hmac::new(&Default::default()));
    mac.update(text.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_772_323_200;

    fn claim() -> Claim {
        Claim {
            expires: NOW + 60,
            org: OrgId::from("org_ours"),
            key: "2026-03-01/org_ours/evt_1/0".to_owned(),
        }
    }

    #[test]
    fn a_link_says_what_it_was_made_for_until_it_expires() {
        let secret = secret(&Vault::new(b"a master key"));
        let token = claim().token(&secret);
        assert!(
            token
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)),
            "one part of a path: {token}"
        );
        for now in [0, NOW, NOW + 60] {
            assert_eq!(Claim::read(&secret, &token, now), Ok(claim()));
        }
        for now in [NOW + 61, i64::MAX] {
            assert_eq!(Claim::read(&secret, &token, now), Err(Expired::Gone));
        }
    }

    #[test]
    fn nothing_in_it_can_be_altered() {
        let secret = secret(&Vault::new(b"a master key"));
        let token = claim().token(&secret);
        for place in 0..token.len() {
            let mut altered = token.clone().into_bytes();
            altered[place] = if altered[place] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).unwrap();
            assert_eq!(Claim::read(&secret, &altered, NOW), Err(Expired::Forged), "{altered}");
        }
        let (_, signature) = token.split_once('.').unwrap();
        let longer = "9999999999 org_ours 2026-03-01/org_ours/evt_1/0";
        let longer = format!("{}.{signature}", URL_SAFE_NO_PAD.encode(longer));
        let padded = format!("{token}=");
        for junk in ["", ".", "..", "A", "A.", ".A", &longer, &padded, "é.é", "!.!"] {
            assert_eq!(Claim::read(&secret, junk, NOW), Err(Expired::Forged), "{junk}");
        }
    }

    #[test]
    fn what_others_signed_opens_nothing() {
        let vault = Vault::new(b"a master key");
        let token = claim().token(&secret(&Vault::new(b"another")));
        assert_eq!(Claim::read(&secret(&vault), &token, NOW), Err(Expired::Forged));
        let token = claim().token(&vault.key("another purpose"));
        assert_eq!(Claim::read(&secret(&vault), &token, NOW), Err(Expired::Forged));
    }

    #[test]
    fn what_we_never_write_is_forged_although_signed() {
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
            assert_eq!(Claim::read(&secret, &token, 0), Err(Expired::Forged), "{text}");
        }
    }
}
