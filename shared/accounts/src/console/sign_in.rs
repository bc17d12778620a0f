//! Sign-in with password and one-time password, and the proof that actions with consequences need again. All refusals are the
//! same, and take the same time, so that they tell no stranger which accounts exist.

use butt_dial_domain::{Code, Failure};
use butt_dial_store::{ConsoleUser, OpenSession};
use serde_json::json;

use super::{Client, Console, Session, passwords::check_quality};
use crate::profile::Mailbox;

/// The secrets of a sign-in.
pub struct Credentials {
    pub email: String,
    pub password: String,
    /// Of the authenticator, or a recovery code.
    pub code: String,
}

/// A proof to be the person that signed in: one of both.
pub struct Proof {
    pub password: String,
    pub code: String,
}

impl Console {
    /// Signs a person in. Failures are counted for the anomaly detectors.
    pub async fn sign_in(&self, credentials: Credentials, client: &Client) -> Result<Session, Failure> {
        let signed_in = self.check_sign_in(credentials, client).await;
        if signed_in
            .as_ref()
            .is_err_and(|failure| failure.code != Code::ServiceUnavailable)
        {
            self.count_failed_sign_in().await;
        }
        signed_in
    }

    async fn check_sign_in(&self, credentials: Credentials, client: &Client) -> Result<Session, Failure> {
        let key = Mailbox::parse("email", &credentials.email).map(|mailbox| mailbox.key);
        let key = key.unwrap_or_else(|_| credentials.email.trim().to_lowercase());
        let tries = self.count_try(&key, client).await?;
        let user = self.store.find_console_user(&key).await?;
        let hash = user.as_ref().map(|user| user.password_hash.clone());
        let is_right = self.passwords.verify(credentials.password, hash).await?;
        let Some(user) = user.filter(|_| is_right) else {
            return Err(refused());
        };
        if !self.is_code_right(&user, &credentials.code).await? {
            return Err(refused());
        }
        self.forget_tries(&tries).await;
        let memberships = self.store.list_memberships(&key).await?;
        let Some(first) = memberships.first() else {
            return Err(
                Failure::new(Code::AuthForbidden, "you are no member of an organization any more")
                    .hint("ask an owner for an invitation"),
            );
        };
        let session = self.create_session(&user.user_id, &first.org_id, client).await?;
        let client = super::sessions::masked(client.address);
        self.audit
            .append(
                &first.org_id,
                &user.user_id,
                "console.sign-in",
                &user.user_id,
                json!({ "from": client }),
            )
            .await?;
        Ok(session)
    }

    /// Returns whether the code admits. A person without an authenticator needs none.
    async fn is_code_right(&self, user: &ConsoleUser, code: &str) -> Result<bool, Failure> {
        if user.otp_step.is_none() {
            return Ok(true);
        }
        Ok(self.use_code(&user.user_id, user.otp_generation, code).await?
            || self.use_recovery_code(&user.user_id, code).await?)
    }

    /// Accepts a proof for actions that need a fresh one.
    pub async fn confirm(&self, session: &OpenSession, proof: Proof, client: &Client) -> Result<(), Failure> {
        let tries = self.count_try(&session.user_id, client).await?;
        let by_code = !proof.code.trim().is_empty()
            && self
                .use_code(&session.user_id, session.otp_generation, &proof.code)
                .await?;
        if !by_code {
            let user = self.store.find_console_user(&session.email.to_lowercase()).await?;
            let hash = user.map(|user| user.password_hash);
            if !self.passwords.verify(proof.password, hash).await? {
                return Err(Failure::new(Code::AuthForbidden, "the password or code is wrong"));
            }
        }
        self.forget_tries(&tries).await;
        Ok(self
            .store
            .confirm_console_session(&session.id_hash, self.clock.now())
            .await?)
    }

    /// Replaces the person's password. Other sessions of the person end.
    pub async fn change_password(&self, session: &OpenSession, password: String) -> Result<(), Failure> {
        let hash = self.hash_new_password(password, &session.email).await?;
        let now = self.clock.now();
        self.store
            .change_console_password(&session.user_id, &hash, &session.id_hash, now)
            .await?;
        self.audit
            .append(
                &session.org,
                &session.user_id,
                "console.password",
                &session.user_id,
                json!({}),
            )
            .await
    }

    /// Replaces the person's recovery codes. They are shown once.
    pub async fn new_recovery_codes(&self, session: &OpenSession) -> Result<Vec<String>, Failure> {
        let codes = self.replace_recovery_codes(&session.user_id).await?;
        self.audit
            .append(
                &session.org,
                &session.user_id,
                "console.recovery-codes",
                &session.user_id,
                json!({}),
            )
            .await?;
        Ok(codes)
    }

    /// Checks a new password for a person.
    pub(super) async fn hash_new_password(&self, password: String, email: &str) -> Result<String, Failure> {
        check_quality(&password, email)?;
        self.passwords.hash(password).await
    }
}

fn refused() -> Failure {
    Failure::new(Code::AuthForbidden, "e-mail address, password or code is wrong")
}
