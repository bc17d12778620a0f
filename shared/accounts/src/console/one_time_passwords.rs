//! One-time passwords (RFC 6238), and recovery codes for the loss of the device. The secret is derived from the root of the
//! vault and not stored. Each code admits once.

use butt_dial_domain::{Failure, clock::Timestamp};
use butt_dial_vault::{Vault, mac};
use rand::RngExt as _;
use totp_rs::{Builder, Secret, Totp};

use super::Console;

const RECOVERY_CODES: usize = 10;
/// Without letters and digits that look alike.
const ALPHABET: &[u8; 31] = b"23456789abcdefghjkmnpqrstuvwxyz";

/// The secret for an authenticator.
#[derive(Clone, Debug)]
pub struct OtpSetup {
    /// For typing, in base32.
    pub secret: String,
    /// For a QR code.
    pub url: String,
}

impl Console {
    /// Returns the secret that a person sets an authenticator up with.
    pub(super) fn otp_setup_of(&self, user: &str, generation: i64, email: &str) -> OtpSetup {
        let secret = Secret::from(derive_secret(&self.vault, user, generation)).to_base32();
        let name: String = url::form_urlencoded::byte_serialize(email.as_bytes()).collect();
        OtpSetup {
            url: format!("otpauth://totp/Butt-Dial:{name}?secret={secret}&issuer=Butt-Dial"),
            secret,
        }
    }

    /// Checks a code and uses it up. Returns false for a wrong code, and for one that was used.
    pub(super) async fn use_code(&self, user: &str, generation: i64, code: &str) -> Result<bool, Failure> {
        let now = self.clock.now();
        let Some(step) = matching_step(&self.vault, user, generation, code, now) else {
            return Ok(false);
        };
        Ok(self.store.use_otp_step(user, step, now).await?)
    }

    /// Uses a recovery code up. Returns false for a wrong one.
    pub(super) async fn use_recovery_code(&self, user: &str, code: &str) -> Result<bool, Failure> {
        let code = normalized(code);
        if code.len() < 10 {
            return Ok(false);
        }
        Ok(self
            .store
            .use_recovery_code(user, &self.recovery_hash(user, &code))
            .await?)
    }

    /// Replaces the recovery codes of a person. They are shown once.
    pub(super) async fn replace_recovery_codes(&self, user: &str) -> Result<Vec<String>, Failure> {
        let codes: Vec<String> = (0..RECOVERY_CODES).map(|_| generate_code()).collect();
        let hashes: Vec<String> = codes
            .iter()
            .map(|code| self.recovery_hash(user, &normalized(code)))
            .collect();
        self.store.set_recovery_codes(user, &hashes).await?;
        Ok(codes)
    }

    fn recovery_hash(&self, user: &str, code: &str) -> String {
        let key = self.vault.key("console recovery codes");
        hex::encode(mac(&key, &[user.as_bytes(), code.as_bytes()]))
    }
}

fn derive_secret(vault: &Vault, user: &str, generation: i64) -> Vec<u8> {
    let key = vault.key("console one-time passwords");
    mac(&key, &[user.as_bytes(), &generation.to_be_bytes()])[..20].to_vec()
}

fn totp(vault: &Vault, user: &str, generation: i64) -> Option<Totp> {
    Builder::new()
        .with_secret(derive_secret(vault, user, generation))
        .build()
        .ok()
}

/// Returns the time step of a right code.
fn matching_step(vault: &Vault, user: &str, generation: i64, code: &str, now: Timestamp) -> Option<i64> {
    let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    if code.len() != 6 || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = u64::try_from(now.timestamp()).ok()?;
    let step = totp(vault, user, generation)?.check(&code, seconds)?;
    i64::try_from(step).ok()
}

/// Two groups of five, for example `k7m2p-9xwqd`.
fn generate_code() -> String {
    let mut rng = rand::rng();
    let mut code = String::with_capacity(11);
    for place in 0..10 {
        if place == 5 {
            code.push('-');
        }
        code.push(char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]));
    }
    code
}

fn normalized(code: &str) -> String {
    let kept = code.chars().filter(char::is_ascii_alphanumeric);
    kept.map(|letter| letter.to_ascii_lowercase()).collect()
}

/// Computes the code of a time, as an authenticator does. For tests.
#[cfg(test)]
pub fn code_at(vault: &Vault, user: &str, generation: i64, now: Timestamp) -> String {
    let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
    let totp = totp(vault, user, generation);
    totp.map(|totp| totp.generate(seconds).to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use chrono::{TimeDelta, TimeZone as _, Utc};

    use super::*;

    #[test]
    fn accepts_codes_of_neighbouring_steps_of_same_secret_only() {
        let (vault, now) = (
            Vault::new(&[7; 32]),
            Utc.with_ymd_and_hms(2026, 11, 29, 9, 0, 10).unwrap(),
        );
        let code = code_at(&vault, "usr_1", 0, now);
        let step = matching_step(&vault, "usr_1", 0, &code, now).unwrap();
        assert_eq!(step, now.timestamp() / 30);
        let spaced = format!("{} {}", &code[..3], &code[3..]);
        assert_eq!(
            matching_step(&vault, "usr_1", 0, &spaced, now + TimeDelta::seconds(30)),
            Some(step)
        );
        assert_eq!(
            matching_step(&vault, "usr_1", 0, &code, now + TimeDelta::seconds(90)),
            None
        );
        assert_eq!(matching_step(&vault, "usr_1", 1, &code, now), None);
        assert_eq!(matching_step(&vault, "usr_2", 0, &code, now), None);
        for wrong in ["", "12345", "1234567", "abcdef", "+12345"] {
            assert_eq!(matching_step(&vault, "usr_1", 0, wrong, now), None, "{wrong}");
        }
    }

    #[test]
    fn recovery_codes_are_read_without_their_form() {
        let code = generate_code();
        assert_eq!((code.len(), &code[5..6]), (11, "-"));
        assert_eq!(normalized(&code.to_uppercase()), code.replace('-', ""));
    }
}
