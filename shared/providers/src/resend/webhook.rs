//! Standard Webhooks 1.0, as Svix signs Resend's webhooks: HMAC-SHA256 over id, timestamp and raw body.
//!
//! The crate `standardwebhooks` does not fit. It reads the system clock instead of a given time and knows only the
//! `webhook-*` headers (Resend sends `svix-*`). It compares signatures up to the shorter length, so an empty one passes.

use base64::{Engine, engine::general_purpose::STANDARD};
use butt_dial_domain::{clock::Timestamp, ports::webhook::VerificationError};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::Secret;

/// The largest clock difference in either direction, in seconds (reference libraries: 5 minutes).
const TOLERANCE: u64 = 5 * 60;
/// The signature header, under the name that Resend sends.
pub const SIGNATURE: &str = "svix-signature";
/// A rotation lists two.
const MAX_SIGNATURES: usize = 8;
const PREFIX: &str = "whsec_";
const VERSION: &str = "v1";

/// The three headers, named `svix-*` or `webhook-*`.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a> {
    pub id: &'a str,
    /// Unix seconds of the attempt.
    pub timestamp: &'a str,
    /// One or more `v1,<base64>`, separated by spaces.
    pub signature: &'a str,
}

/// Returns the signature header for one attempt; `None` if the secret is not base64.
pub fn sign(secret: &Secret, id: &str, timestamp: i64, body: &[u8]) -> Option<String> {
    let mac = mac(secret, id, &timestamp.to_string(), body)?;
    Some(format!("{VERSION},{}", STANDARD.encode(mac.finalize().into_bytes())))
}

/// Returns whether the secret is base64, with or without its prefix.
pub fn is_secret(secret: &Secret) -> bool {
    mac(secret, "", "", b"").is_some()
}

/// Verifies that one of the secrets made one of the signatures, and that the timestamp is close to `now`. During a
/// rotation there are two secrets. Hashes the body once per secret, however many signatures are listed.
pub fn verify(secrets: &[Secret], headers: Headers<'_>, body: &[u8], now: Timestamp) -> Result<(), VerificationError> {
    let sent: i64 = headers
        .timestamp
        .parse()
        .map_err(|_| VerificationError::WrongSignature)?;
    if headers.id.is_empty() {
        return Err(VerificationError::WrongSignature);
    }
    let listed = headers.signature.split(' ').filter_map(|entry| entry.split_once(','));
    let signatures: Vec<Vec<u8>> = listed
        .filter(|(version, _)| *version == VERSION)
        .filter_map(|(_, signature)| STANDARD.decode(signature).ok())
        .take(MAX_SIGNATURES)
        .collect();
    let is_genuine = secrets.iter().any(|secret| {
        let mac = mac(secret, headers.id, headers.timestamp, body);
        let mut matches = signatures.iter().map(|signature| {
            mac.as_ref()
                .is_some_and(|mac| mac.clone().verify_slice(signature).is_ok())
        });
        matches.any(|matches| matches)
    });
    match (is_genuine, now.timestamp().abs_diff(sent) <= TOLERANCE) {
        (true, true) => Ok(()),
        (true, false) => Err(VerificationError::Stale),
        (false, _) => Err(VerificationError::WrongSignature),
    }
}

fn mac(secret: &Secret, id: &str, timestamp: &str, body: &[u8]) -> Option<Hmac<Sha256>> {
    let text = secret.expose();
    let key = STANDARD.decode(text.strip_prefix(PREFIX).unwrap_or(text)).ok()?;
    if key.is_empty() {
        return None;
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        mac.update(part);
    }
    Some(mac)
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Duration};

    use super::*;

    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const SENT: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn secret() -> Secret {
        Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    }

    fn sent() -> Timestamp {
        DateTime::from_timestamp(SENT, 0).unwrap()
    }

    fn verify_at(now: Timestamp, secrets: &[Secret], signature: &str) -> bool {
        let timestamp = SENT.to_string();
        let headers = Headers {
            id: ID,
            timestamp: &timestamp,
            signature,
        };
        verify(secrets, headers, BODY, now).is_ok()
    }

    #[test]
    fn signs_like_the_reference_vector() {
        assert_eq!(sign(&secret(), ID, SENT, BODY).as_deref(), Some(SIGNATURE));
        assert!(verify_at(sent(), &[secret()], SIGNATURE));
        let bare = Secret::new("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        assert!(verify_at(sent(), &[bare], SIGNATURE));
    }

    #[test]
    fn accepts_any_listed_signature_of_any_secret() {
        let listed = format!("v1a,AAAA v1,AAAA {SIGNATURE}");
        let other = Secret::new("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        assert!(verify_at(sent(), &[other.clone(), secret()], &listed));
        assert!(!verify_at(sent(), &[other], &listed));
        assert!(!verify_at(sent(), &[], &listed));
        assert!(!verify_at(sent(), &[Secret::new("whsec_"), Secret::new("?")], &listed));
    }

    #[test]
    fn rejects_old_and_future_timestamps() {
        for (seconds, passes) in [(0, true), (300, true), (-300, true), (301, false), (-301, false)] {
            let now = sent() + Duration::seconds(seconds);
            assert_eq!(verify_at(now, &[secret()], SIGNATURE), passes, "{seconds}");
        }
    }

    #[test]
    fn rejects_changes_of_any_signed_part() {
        fn check(id: &str, timestamp: &str, body: &[u8], signature: &str) -> bool {
            let headers = Headers {
                id,
                timestamp,
                signature,
            };
            verify(&[secret()], headers, body, sent()).is_ok()
        }
        assert!(check(ID, "1614265330", BODY, SIGNATURE));
        assert!(!check("msg_other", "1614265330", BODY, SIGNATURE));
        assert!(!check(ID, "1614265331", BODY, SIGNATURE));
        assert!(!check(ID, "1614265330", b"{}", SIGNATURE));
        assert!(!check(ID, "1614265330", BODY, "v1,"));
        let other_version = SIGNATURE.replace("v1,", "v2,");
        assert!(!check(ID, "1614265330", BODY, &other_version));
        assert!(!check(ID, "soon", BODY, SIGNATURE));
        assert!(!check("", "1614265330", BODY, SIGNATURE));
    }
}
