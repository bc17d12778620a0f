//! Passwords: their quality, and their hashes (Argon2id). Hashes are computed outside of the async workers, a few at a time,
//! because each takes 19 MiB of memory.

use std::sync::{Arc, LazyLock};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use butt_dial_domain::Failure;
use tokio::sync::Semaphore;

use super::invalid;

const MIN_LENGTH: usize = 12;
const MAX_LENGTH: usize = 256;
/// Characters that differ. Refuses `aaaaaaaaaaaa`.
const MIN_VARIETY: usize = 5;
const PARALLEL: usize = 2;

/// The hash of no account's password, so that an unknown account takes as long as a known one.
static DECOY: LazyLock<String> = LazyLock::new(|| compute("a password that is never used").unwrap_or_default());

/// Hashes and verifies. Cheap to clone.
#[derive(Clone)]
pub struct Passwords {
    slots: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            slots: Arc::new(Semaphore::new(PARALLEL)),
        }
    }
}

impl Passwords {
    pub async fn hash(&self, password: String) -> Result<String, Failure> {
        let hashed = self.run(move || compute(&password)).await?;
        hashed.ok_or_else(Failure::internal)
    }

    /// Compares a password with a hash. `None`: there is no such account; it takes as long.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, Failure> {
        self.run(move || {
            let known = hash.as_deref().unwrap_or(&DECOY);
            let is_right = PasswordHash::new(known)
                .is_ok_and(|known| Argon2::default().verify_password(password.as_bytes(), &known).is_ok());
            is_right && hash.is_some()
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
        let _slot = self.slots.acquire().await.map_err(|_| Failure::internal())?;
        tokio::task::spawn_blocking(work).await.map_err(|error| {
            tracing::error!(%error, "password hash failed");
            Failure::internal()
        })
    }
}

fn compute(password: &str) -> Option<String> {
    let hash = Argon2::default().hash_password(password.as_bytes()).ok()?;
    Some(hash.to_string())
}

/// Fails for a password that is too easy to guess. `email` must not be a part of it.
pub fn check_quality(password: &str, email: &str) -> Result<(), Failure> {
    const FIELD: &str = "password";
    let (length, lower) = (password.chars().count(), password.to_lowercase());
    if length < MIN_LENGTH {
        return Err(invalid(
            FIELD,
            format!("the password needs at least {MIN_LENGTH} characters; a few words do well"),
        ));
    }
    if length > MAX_LENGTH {
        return Err(invalid(
            FIELD,
            format!("the password has at most {MAX_LENGTH} characters"),
        ));
    }
    let mut letters: Vec<char> = lower.chars().collect();
    letters.sort_unstable();
    letters.dedup();
    let name = email.split('@').next().unwrap_or_default().to_lowercase();
    let is_known = ["password", "passwort", "1234567", "qwerty", "butt-dial", "buttdial"]
        .iter()
        .any(|word| lower.contains(word) && length < MIN_LENGTH + word.len());
    if letters.len() < MIN_VARIETY || is_known || (name.len() > 3 && lower.contains(&name) && length < 20) {
        return Err(invalid(FIELD, "the password is too easy to guess; use a few words"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_passwords_that_are_easy_to_guess() {
        for easy in ["short", "aaaaaaaaaaaa", "password1234", "ada.lovelace1", "123456712345"] {
            assert!(check_quality(easy, "ada.lovelace@example.com").is_err(), "{easy}");
        }
        for good in ["correct horse battery", "überquerung-der-Donau"] {
            assert!(check_quality(good, "ada.lovelace@example.com").is_ok(), "{good}");
        }
    }

    #[tokio::test]
    async fn verifies_its_own_hashes_only() {
        let passwords = Passwords::default();
        let hash = passwords.hash("correct horse battery".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$"));
        let verify = |password: &str, hash: Option<&String>| passwords.verify(password.into(), hash.cloned());
        assert!(verify("correct horse battery", Some(&hash)).await.unwrap());
        assert!(!verify("correct horse", Some(&hash)).await.unwrap());
        assert!(!verify("a password that is never used", None).await.unwrap());
    }
}
