//! `X-Hub-Signature-256`: HMAC-SHA256 with the app secret over the raw body (WhatsApp Cloud API, Webhooks). Meta
//! escapes non-ASCII characters, so the signature covers the bytes as received.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::Secret;

pub const HEADER: &str = "X-Hub-Signature-256";
const PREFIX: &str = "sha256=";

/// Signs like Meta, for the simulator.
pub fn sign(secret: &Secret, body: &[u8]) -> String {
    format!("{PREFIX}{}", hex::encode(mac(secret, body).finalize().into_bytes()))
}

pub fn verify(secret: &Secret, body: &[u8], signature: &str) -> bool {
    let signature = signature.strip_prefix(PREFIX).and_then(|hash| hex::decode(hash).ok());
    signature.is_some_and(|signature| mac(secret, body).verify_slice(&signature).is_ok())
}

/// Compares in constant time, except for the length.
pub fn constant_time_eq(secret: &Secret, given: &str) -> bool {
    secret.expose().as_bytes().ct_eq(given.as_bytes()).into()
}

fn mac(secret: &Secret, body: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of any length (RFC 2104), so this can't fail.
    let mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes());
    let mut mac = mac.unwrap_or_else(|_| Hmac::new(&Default::default()));
    mac.update(body);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"object":"whatsapp_business_account"}"#;
    const SIGNATURE: &str = "sha256=f6491327cb5b041cdf4fe69b94711c7b68bb0aef719854bae676a59788a2b6b6";

    #[test]
    fn signs_like_the_reference_vector() {
        let secret = Secret::new("appsecret");
        assert_eq!(sign(&secret, BODY), SIGNATURE);
        assert!(verify(&secret, BODY, SIGNATURE));
        assert!(!verify(&secret, b"{}", SIGNATURE));
        assert!(!verify(&Secret::new("other"), BODY, SIGNATURE));
        for junk in ["", "sha256=", "sha256=zz", &SIGNATURE[7..], &SIGNATURE[..70], "sha1=00"] {
            assert!(!verify(&secret, BODY, junk), "{junk}");
        }
    }

    #[test]
    fn compares_tokens_for_equality() {
        let secret = Secret::new("a word");
        assert!(constant_time_eq(&secret, "a word"));
        for other in ["", "a wor", "a word ", "A word"] {
            assert!(!constant_time_eq(&secret, other));
        }
    }
}
