//! Sign-in with password and one-time password, and the proof that actions with consequences need again. All refusals are the
//! same, and take the same time, so that they tell no stranger which accounts exist.

use butt_dial_domain::{Code, Failure};
use butt_dial_store::{ConsoleUser, OpenSession};
use serde_json::json;

use super::{Client, Console, RelyingParty, Session, passwords::check_quality, sessions::masked};
use crate::profile::Mailbox;

/// The secrets of a sign-in.
pub struct Credentials {
    pub email: String,
    pub password: String,
    /// Of the authenticator, or a recovery code.
    pub code: String,
}

/// The first way in of a new person.
pub enum WayIn<'a> {
    Password(String),
    /// The answer of the browser that has made a passkey.
    Passkey {
        answer: &'a str,
        site: &'a RelyingParty,
    },
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
        self.count_unless_signed_in(&signed_in).await;
        signed_in
    }

    pub(super) async fn count_unless_signed_in(&self, signed_in: &Result<Session, Failure>) {
        let failure = signed_in.as_ref().err();
        if failure.is_some_and(|failure| failure.code != Code::ServiceUnavailable) {
            self.count_failed_sign_in().await;
        }
    }

    async fn check_sign_in(&self, credentials: Credentials, client: &Client) -> Result<Session, Failure> {
        let key = Mailbox::parse("email", &credentials.email).map(|mailbox| mailbox.key);
        let key = key.unwrap_or_else(|_| credentials.email.trim().to_lowercase());
        let tries = self.count_try(&key, client).await?;
        let user = self.store.find_console_user(&key).await?;
        let hash = user.as_ref().and_then(ConsoleUser::password);
        let is_right = self.passwords.verify(credentials.password, hash).await?;
        let Some(user) = user.filter(|_| is_right) else {
            return Err(refused());
        };
        if !self.is_code_right(&user, &credentials.code).await? {
            return Err(refused());
        }
        self.forget_tries(&tries).await;
        self.admit(&user.user_id, &key, "password", client).await
    }

    /// Opens the session of a person that has proved the identity.
    pub(super) async fn admit(
        &self,
        user: &str,
        email_key: &str,
        with: &str,
        client: &Client,
    ) -> Result<Session, Failure> {
        let memberships = self.store.list_memberships(email_key).await?;
        let Some(first) = memberships.first() else {
            return Err(
                Failure::new(Code::AuthForbidden, "you are no member of an organization any more")
                    .hint("ask an owner for an invitation"),
            );
        };
        let session = self.create_session(user, &first.org_id, client).await?;
        let detail = json!({ "from": masked(client.address), "with": with });
        self.audit
            .append(&first.org_id, user, "console.sign-in", user, detail)
            .await?;
        Ok(session)
    }

    /// Returns whether the code admits. A person who has only a new password needs none, and sets an authenticator up next.
    async fn is_code_right(&self, user: &ConsoleUser, code: &str) -> Result<bool, Failure> {
        if user.otp_step.is_none() {
            return Ok(!user.has_passkey);
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
            let hash = user.as_ref().and_then(ConsoleUser::password);
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

    /// Replaces the person's password, or adds the first one. Other sessions of the person end.
    pub async fn change_password(&self, session: &OpenSession, password: String) -> Result<(), Failure> {
        let hash = self.hash_new_password(password, &session.email).await?;
        let now = self.clock.now();
        let changed = self
            .store
            .change_console_password(&session.user_id, &hash, &session.id_hash, now);
        if !changed.await? {
            return Err(
                Failure::new(Code::Conflict, "a password needs an authenticator besides")
                    .hint("set the authenticator up first"),
            );
        }
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
