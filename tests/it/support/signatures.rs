//! The three signature checks of callback hosts, implemented from public documents and independent of the product:
//! Standard Webhooks 1.0, and `X-BD-Signature` and `X-Hub-Signature-256` of butt-dial-sdk.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use butt_dial_domain::Clock;
use butt_dial_messaging::delivery::CallbackSecrets;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::Callback;

/// Maximum clock difference in seconds, in both documents.
const SKEW: u64 = 300;

pub fn expect_signed(callback: &Callback, secrets: &CallbackSecrets) {
    assert!(
        is_standard(callback, &secrets.signing_secret),
        "Standard Webhooks: {callback:?}"
    );
    assert!(
        is_butt_dial(callback, &secrets.webhook_secret),
        "X-BD-Signature: {callback:?}"
    );
    assert!(
        is_hub(callback, &secrets.webhook_secret),
        "X-Hub-Signature-256: {callback:?}"
    );
}

pub fn expect_standard_signature(callback: &Callback, secrets: &CallbackSecrets) {
    assert!(is_standard(callback, &secrets.signing_secret), "{callback:?}");
}

/// Fails unless `X-BD-Signature` verifies with this secret.
pub fn expect_butt_dial_signature(callback: &Callback, secret: &str) {
    assert!(is_butt_dial(callback, secret), "{callback:?}");
}

/// Fails when a signature verifies with these secrets.
pub fn expect_not_signed(callback: &Callback, secrets: &CallbackSecrets) {
    assert!(!is_standard(callback, &secrets.signing_secret), "{callback:?}");
    assert!(!is_butt_dial(callback, &secrets.webhook_secret), "{callback:?}");
    assert!(!is_hub(callback, &secrets.webhook_secret), "{callback:?}");
}

fn is_standard(callback: &Callback, secret: &str) -> bool {
    let at = callback.header("webhook-timestamp");
    let key = STANDARD
        .decode(secret.strip_prefix("whsec_").expect("whsec_"))
        .expect("base64");
    assert!((24..=64).contains(&key.len()), "a key of 24 to 64 bytes");
    let signed = [callback.id().as_bytes(), b".", at.as_bytes(), b".", &callback.body].concat();
    let expected = STANDARD.encode(mac(&key, &signed));
    let mut listed = callback.header("webhook-signature").split(' ');
    is_recent(at) && listed.any(|entry| entry.strip_prefix("v1,") == Some(expected.as_str()))
}

fn is_butt_dial(callback: &Callback, secret: &str) -> bool {
    let at = callback.header("x-bd-timestamp");
    let signed = [at.as_bytes(), b".", &callback.body].concat();
    let expected = format!("hmac-sha256={}", hex::encode(mac(secret.as_bytes(), &signed)));
    is_recent(at) && callback.header("x-bd-signature") == expected
}

fn is_hub(callback: &Callback, secret: &str) -> bool {
    let expected = format!("sha256={}", hex::encode(mac(secret.as_bytes(), &callback.body)));
    callback.header("x-hub-signature-256") == expected
}

fn is_recent(at: &str) -> bool {
    let at: i64 = at.parse().expect("unix seconds");
    Clock::System.now().timestamp().abs_diff(at) <= SKEW
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

/// Proves these checks against the published vector of Standard Webhooks 1.0.
#[test]
fn verifies_published_signature_vector() {
    let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let signed = br#"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}"#;
    assert_eq!(
        STANDARD.encode(mac(&key, signed)),
        "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    );
}
