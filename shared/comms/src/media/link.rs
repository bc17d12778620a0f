//! Links to attachments: whoever has one may read, until it expires. Signed, so that nobody can make one.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use butt_dial_domain::OrgId;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Blob;
use crate::Comms;

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
    let expires = comms.clock.now().timestamp() + i64::try_from(comms.settings.event_retention.as_secs()).unwrap_or(0);
    let claim = format!("{expires} {org} {key}");
    let signature = URL_SAFE_NO_PAD.encode(mac(comms, &claim).finalize().into_bytes());
    Some(format!("{base}/media/{}.{signature}", URL_SAFE_NO_PAD.encode(claim)))
}

/// What the last part of a link leads to.
pub async fn open(comms: &Comms, token: &str) -> Result<Blob, Expired> {
    let (claim, signature) = token.split_once('.').ok_or(Expired::Forged)?;
    let (claim, signature) = (URL_SAFE_NO_PAD.decode(claim), URL_SAFE_NO_PAD.decode(signature));
    let (Ok(claim), Ok(signature)) = (claim, signature) else {
        return Err(Expired::Forged);
    };
    let claim = String::from_utf8(claim).map_err(|_| Expired::Forged)?;
    mac(comms, &claim)
        .verify_slice(&signature)
        .map_err(|_| Expired::Forged)?;
    let mut parts = claim.splitn(3, ' ');
    let (Some(expires), Some(org), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Expired::Forged);
    };
    if expires
        .parse::<i64>()
        .map_or(true, |at| at < comms.clock.now().timestamp())
    {
        return Err(Expired::Gone);
    }
    let blobs = comms.blobs.as_ref().ok_or(Expired::Gone)?;
    match blobs.find(&comms.vault, &OrgId::from(org), key).await {
        Ok(Some(blob)) => Ok(blob),
        Ok(None) => Err(Expired::Gone),
        Err(error) => {
            tracing::warn!(error, "an attachment can't be read");
            Err(Expired::Unavailable)
        }
    }
}

fn mac(comms: &Comms, claim: &str) -> Hmac<Sha256> {
    // A key of any length will do (RFC 2104), so the error has no case; the empty key keeps the code total.
    let mut mac = Hmac::<Sha256>::new_from_slice(&comms.vault.key("media links"))
        .unwrap_or_else(|_| Hmac::new(&Default::default()));
    mac.update(claim.as_bytes());
    mac
}
