//! `X-Line-Signature`: HMAC-SHA256 with the channel's secret over the raw body (LINE, Verify webhook signature).

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::Secret;

pub const HEADER: &str = "X-Line-Signature";

/// Signs like LINE, for the simulator.
pub fn sign(secret: &Secret, body: &[u8]) -> String {
    STANDARD.encode(mac(secret, body).finalize().into_bytes())
}

pub fn verify(secret: &Secret, body: &[u8], signature: &str) -> bool {
    let signature = STANDARD.decode(signature);
    signature.is_ok_and(|signature| mac(secret, body).verify_slice(&signature).is_ok())
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

    #[test]
    fn signs_like_the_reference_vector() {
        let (secret, body) = (Secret::new("channelsecret"), br#"{"destination":"U0","events":[]}"#);
        let signature = "mPzXvmp5o47ZLzcZ27C0voI4JEov6gID7IZ7YD4j1Z4=";
        assert_eq!(sign(&secret, body), signature);
        assert!(verify(&secret, body, signature));
        assert!(!verify(&secret, b"{}", signature));
        assert!(!verify(&Secret::new("other"), body, signature));
        for junk in ["", "=", "not base64!", &signature[..43]] {
            assert!(!verify(&secret, body, junk), "{junk}");
        }
    }
}
