//! The three ways in which hosts check our calls, written down from the documents that hosts are written from, and from
//! nothing of ours: Standard Webhooks 1.0, and `X-BD-Signature` and `X-Hub-Signature-256` of butt-dial-sdk.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use butt_dial_comms::delivery::callback::CallbackSecrets;
use butt_dial_domain::Clock;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::Call;

/// Seconds that the clocks may differ by, in both documents.
const SKEW: u64 = 300;

pub fn expect_signed(call: &Call, secrets: &CallbackSecrets) {
    assert!(
        is_standard(call, &secrets.signing_secret),
        "Standard Webhooks: {call:?}"
    );
    assert!(is_ours(call, &secrets.webhook_secret), "X-BD-Signature: {call:?}");
    assert!(is_hub(call, &secrets.webhook_secret), "X-Hub-Signature-256: {call:?}");
}

/// Nobody else's secrets, and no other body, pass.
pub fn expect_not_signed(call: &Call, secrets: &CallbackSecrets) {
    assert!(!is_standard(call, &secrets.signing_secret), "{call:?}");
    assert!(!is_ours(call, &secrets.webhook_secret), "{call:?}");
    assert!(!is_hub(call, &secrets.webhook_secret), "{call:?}");
}

fn is_standard(call: &Call, secret: &str) -> bool {
    let at = call.header("webhook-timestamp");
    let key = STANDARD
        .decode(secret.strip_prefix("whsec_").expect("whsec_"))
        .expect("base64");
    assert!((24..=64).contains(&key.len()), "a key of 24 to 64 bytes");
    let signed = [call.id().as_bytes(), b".", at.as_bytes(), b".", &call.body].concat();
    let expected = STANDARD.encode(mac(&key, &signed));
    let mut listed = call.header("webhook-signature").split(' ');
    is_recent(at) && listed.any(|entry| entry.strip_prefix("v1,") == Some(expected.as_str()))
}

fn is_ours(call: &Call, secret: &str) -> bool {
    let at = call.header("x-bd-timestamp");
    let signed = [at.as_bytes(), b".", &call.body].concat();
    let expected = format!("hmac-sha256={}", hex::encode(mac(secret.as_bytes(), &signed)));
    is_recent(at) && call.header("x-bd-signature") == expected
}

fn is_hub(call: &Call, secret: &str) -> bool {
    let expected = format!("sha256={}", hex::encode(mac(secret.as_bytes(), &call.body)));
    call.header("x-hub-signature-256") == expected
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

/// The vector of Standard Webhooks 1.0: these checks are worth something.
#[test]
fn the_check_knows_the_published_vector() {
    let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let signed = br#"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}"#;
    assert_eq!(
        STANDARD.encode(mac(&key, signed)),
        "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    );
}
