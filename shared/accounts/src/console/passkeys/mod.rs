//! Passkeys (WebAuthn Level 3): how a person makes one, signs in with it, and proves again with it to be the person of a session. A
//! passkey replaces password and code, because its device verifies the person. Only public keys are stored.

mod authenticator_data;
mod cbor;
mod ceremonies;
mod public_key;
mod relying_party;
mod responses;
#[cfg(test)]
mod tests;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use butt_dial_domain::{Code, Failure, clock::Timestamp};
use butt_dial_store::{NewPasskey, OpenSession, Passkey, PasskeyRemoval, StoreError};
use serde_json::{Value, json};

use super::{Client, Console, Session, generate_secret, hash, invalid};
use ceremonies::{LIFETIME, Purpose};
use public_key::ALGORITHMS;
use responses::{Assertion, Refused, Registration};

pub use relying_party::RelyingParty;

/// Passkeys of one person.
const MAX_PASSKEYS: u32 = 20;
const MAX_NAME: usize = 60;

/// A passkey, as its person sees it.
pub struct PasskeyView {
    /// Public: the beginning of a hash.
    pub id: String,
    pub name: String,
    /// The host that it is for.
    pub host: String,
    /// It exists on several devices of the person.
    pub is_synchronized: bool,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
}

impl Console {
    /// Begins the claim of the installation with a passkey. Returns the options for the browser.
    pub async fn begin_claim(
        &self,
        key: &str,
        email: &str,
        site: &RelyingParty,
        client: &Client,
    ) -> Result<Value, Failure> {
        let mailbox = self.check_claim(key, email, client).await?;
        self.registration_options(Purpose::Claim, &generate_secret(), &mailbox.address, &[], site, client)
            .await
    }

    /// Begins the acceptance of an invitation with a passkey. Returns the options for the browser.
    pub async fn begin_invitation(&self, secret: &str, site: &RelyingParty, client: &Client) -> Result<Value, Failure> {
        let Some((invitation, super::InvitedAs::New)) = self.find_invitation(secret).await? else {
            return Err(Failure::new(Code::LinkExpired, "this link was used, or has expired"));
        };
        let purpose = Purpose::Invitation(invitation.id);
        self.registration_options(purpose, &generate_secret(), &invitation.email, &[], site, client)
            .await
    }

    /// Begins a further passkey of a person. Returns the options for the browser.
    pub async fn begin_passkey(
        &self,
        session: &OpenSession,
        site: &RelyingParty,
        client: &Client,
    ) -> Result<Value, Failure> {
        self.require_confirmed(session)?;
        let known = self.store.list_passkeys(&session.user_id).await?;
        let handle = known
            .first()
            .map_or_else(generate_secret, |passkey| passkey.user_handle.clone());
        let purpose = Purpose::Add(session.id_hash.clone());
        self.registration_options(purpose, &handle, &session.email, &known, site, client)
            .await
    }

    /// Begins a sign-in. Returns the options for the browser.
    pub async fn begin_sign_in(&self, site: &RelyingParty, client: &Client) -> Result<Value, Failure> {
        let challenge = self.begin(Purpose::SignIn, "", client).await?;
        Ok(assertion_options(&challenge, &[], site))
    }

    /// Begins a proof for actions that need a fresh one. Returns the options for the browser.
    pub async fn begin_proof(
        &self,
        session: &OpenSession,
        site: &RelyingParty,
        client: &Client,
    ) -> Result<Value, Failure> {
        let known = self.store.list_passkeys(&session.user_id).await?;
        let challenge = self
            .begin(Purpose::Confirm(session.id_hash.clone()), "", client)
            .await?;
        Ok(assertion_options(&challenge, &known, site))
    }

    /// Adds a passkey to the person of a session.
    pub async fn add_passkey(
        &self,
        session: &OpenSession,
        name: &str,
        answer: &str,
        site: &RelyingParty,
    ) -> Result<(), Failure> {
        self.require_confirmed(session)?;
        let purpose = Purpose::Add(session.id_hash.clone());
        let passkey = self.check_registration(&purpose, name, answer, site).await?;
        let added = self
            .store
            .add_passkey(&session.user_id, &passkey, MAX_PASSKEYS, self.clock.now());
        if !added.await.map_err(or_known)? {
            return Err(Failure::new(
                Code::Conflict,
                format!("you have {MAX_PASSKEYS} passkeys; remove one first"),
            ));
        }
        self.note_passkey(session, "console.passkey-add", &passkey.credential_id)
            .await
    }

    /// Lists the passkeys of the person of a session.
    pub async fn list_passkeys(&self, session: &OpenSession) -> Result<Vec<PasskeyView>, Failure> {
        let found = self.store.list_passkeys(&session.user_id).await?;
        Ok(found.into_iter().map(view).collect())
    }

    /// Removes a passkey of the person of a session, by its public id. The last way in stays. Sessions stay open.
    pub async fn remove_passkey(&self, session: &OpenSession, id: &str, site: &RelyingParty) -> Result<(), Failure> {
        self.require_confirmed(session)?;
        let found = self.store.list_passkeys(&session.user_id).await?;
        let found = found.iter().find(|passkey| public_id(&passkey.credential_id) == id);
        let unknown = || Failure::new(Code::NotFound, "you have no such passkey any more");
        let passkey = found.ok_or_else(unknown)?;
        let removed = self
            .store
            .remove_passkey(&session.user_id, &passkey.credential_id, site.id());
        match removed.await? {
            PasskeyRemoval::Removed => {}
            PasskeyRemoval::Unknown => return Err(unknown()),
            PasskeyRemoval::LastWayIn => {
                return Err(
                    Failure::new(Code::Conflict, "this passkey is your only way in").hint("add another passkey first")
                );
            }
            PasskeyRemoval::OfOthersToo => return Err(Failure::internal()),
        }
        self.note_passkey(session, "console.passkey-remove", &passkey.credential_id)
            .await
    }

    /// Signs in the person of a passkey. Failures are counted for the limits and the anomaly detectors.
    pub async fn sign_in_with_passkey(
        &self,
        answer: &str,
        site: &RelyingParty,
        client: &Client,
    ) -> Result<Session, Failure> {
        let signed_in = self.check_passkey_sign_in(answer, site, client).await;
        self.count_unless_signed_in(&signed_in).await;
        signed_in
    }

    async fn check_passkey_sign_in(
        &self,
        answer: &str,
        site: &RelyingParty,
        client: &Client,
    ) -> Result<Session, Failure> {
        let assertion = Assertion::parse(answer).map_err(refused)?;
        let passkey = self.store.find_passkey(&assertion.id).await?;
        let email = match &passkey {
            Some(passkey) => self.store.find_console_address(&passkey.user_id).await?,
            None => None,
        };
        // Guesses of unknown keys count together.
        let tries = self.count_try(email.as_deref().unwrap_or("passkey"), client).await?;
        let (Some(passkey), Some(email)) = (passkey, email) else {
            return Err(refused(Refused("unknown passkey")));
        };
        if assertion.user_handle.as_deref() != Some(&passkey.user_handle) {
            return Err(refused(Refused("passkey of another person")));
        }
        self.use_passkey(&assertion, &passkey, &Purpose::SignIn, site).await?;
        self.forget_tries(&tries).await;
        self.admit(&passkey.user_id, &email, "passkey", client).await
    }

    /// Accepts a passkey as the proof for actions that need a fresh one.
    pub async fn confirm_with_passkey(
        &self,
        session: &OpenSession,
        answer: &str,
        site: &RelyingParty,
        client: &Client,
    ) -> Result<(), Failure> {
        let tries = self.count_try(&session.user_id, client).await?;
        let assertion = Assertion::parse(answer).map_err(refused)?;
        let passkey = self.store.find_passkey(&assertion.id).await?;
        let own = passkey.filter(|passkey| passkey.user_id == session.user_id);
        let passkey = own.ok_or_else(|| refused(Refused("unknown passkey")))?;
        let handle = assertion.user_handle.as_deref();
        if handle.is_some_and(|handle| handle != passkey.user_handle) {
            return Err(refused(Refused("passkey of another person")));
        }
        let purpose = Purpose::Confirm(session.id_hash.clone());
        self.use_passkey(&assertion, &passkey, &purpose, site).await?;
        self.forget_tries(&tries).await;
        Ok(self
            .store
            .confirm_console_session(&session.id_hash, self.clock.now())
            .await?)
    }

    /// Checks the passkey of a claim.
    pub(super) async fn check_claim_passkey(&self, answer: &str, site: &RelyingParty) -> Result<NewPasskey, Failure> {
        self.check_registration(&Purpose::Claim, "", answer, site).await
    }

    /// Checks the passkey of an invitation.
    pub(super) async fn check_invitation_passkey(
        &self,
        invitation: &str,
        answer: &str,
        site: &RelyingParty,
    ) -> Result<NewPasskey, Failure> {
        let purpose = Purpose::Invitation(invitation.to_owned());
        self.check_registration(&purpose, "", answer, site).await
    }

    async fn check_registration(
        &self,
        purpose: &Purpose,
        name: &str,
        answer: &str,
        site: &RelyingParty,
    ) -> Result<NewPasskey, Failure> {
        let answer = Registration::parse(answer).map_err(refused)?;
        let begun = self.end(&answer.challenge().map_err(refused)?, purpose).await?;
        let begun = begun.ok_or_else(expired)?;
        let made = answer.check(site).map_err(refused)?;
        if self.store.find_passkey(&made.id).await?.is_some() {
            return Err(known());
        }
        Ok(NewPasskey {
            credential_id: made.id,
            user_handle: begun.user_handle,
            rp_id: site.id().to_owned(),
            name: clean_name(name),
            public_key: BASE64_URL_SAFE_NO_PAD.encode(made.public_key),
            sign_count: made.sign_count.into(),
            is_backup_eligible: made.is_backup_eligible,
            is_backed_up: made.is_backed_up,
            transports: made.transports,
        })
    }

    /// Checks the use of a passkey and notes it.
    async fn use_passkey(
        &self,
        assertion: &Assertion,
        passkey: &Passkey,
        purpose: &Purpose,
        site: &RelyingParty,
    ) -> Result<(), Failure> {
        let challenge = assertion.challenge().map_err(refused)?;
        self.end(&challenge, purpose).await?.ok_or_else(expired)?;
        let key = BASE64_URL_SAFE_NO_PAD.decode(&passkey.public_key).unwrap_or_default();
        let used = assertion
            .check(site, &key, passkey.is_backup_eligible)
            .map_err(refused)?;
        let noted = self.store.use_passkey(
            &passkey.credential_id,
            used.sign_count.into(),
            used.is_backed_up,
            self.clock.now(),
        );
        match noted.await? {
            true => Ok(()),
            false => Err(refused(Refused("removed, or the counter does not grow"))),
        }
    }

    async fn registration_options(
        &self,
        purpose: Purpose,
        handle: &str,
        email: &str,
        known: &[Passkey],
        site: &RelyingParty,
        client: &Client,
    ) -> Result<Value, Failure> {
        let challenge = self.begin(purpose, handle, client).await?;
        let algorithms: Vec<Value> = ALGORITHMS
            .iter()
            .map(|alg| json!({ "type": "public-key", "alg": alg }))
            .collect();
        Ok(json!({
            "rp": { "id": site.id(), "name": "Butt-Dial" },
            "user": { "id": handle, "name": email, "displayName": email },
            "challenge": challenge,
            "pubKeyCredParams": algorithms,
            "timeout": LIFETIME.as_millis(),
            "excludeCredentials": descriptors(known, site),
            "authenticatorSelection": { "residentKey": "required", "requireResidentKey": true, "userVerification": "required" },
            "attestation": "none",
        }))
    }

    pub(super) fn require_confirmed(&self, session: &OpenSession) -> Result<(), Failure> {
        match self.is_confirmed(session) {
            true => Ok(()),
            false => Err(Failure::new(Code::AuthForbidden, "confirm first that it is you")),
        }
    }

    async fn note_passkey(&self, session: &OpenSession, action: &str, credential_id: &str) -> Result<(), Failure> {
        let detail = json!({ "passkey": public_id(credential_id) });
        self.audit
            .append(&session.org, &session.user_id, action, &session.user_id, detail)
            .await
    }
}

fn assertion_options(challenge: &str, known: &[Passkey], site: &RelyingParty) -> Value {
    json!({
        "challenge": challenge,
        "rpId": site.id(),
        "timeout": LIFETIME.as_millis(),
        "userVerification": "required",
        "allowCredentials": descriptors(known, site),
    })
}

fn descriptors(known: &[Passkey], site: &RelyingParty) -> Vec<Value> {
    let of_site = known.iter().filter(|passkey| passkey.rp_id == site.id());
    let descriptors = of_site.map(|passkey| {
        let transports: Vec<&str> = passkey.transports.split(',').filter(|name| !name.is_empty()).collect();
        json!({ "type": "public-key", "id": passkey.credential_id, "transports": transports })
    });
    descriptors.collect()
}

fn view(passkey: Passkey) -> PasskeyView {
    PasskeyView {
        id: public_id(&passkey.credential_id),
        name: passkey.name,
        host: passkey.rp_id,
        is_synchronized: passkey.is_backed_up,
        created_at: passkey.created_at,
        last_used_at: passkey.last_used_at,
    }
}

/// Returns the public id of a passkey: the beginning of a hash.
pub(crate) fn public_id(credential_id: &str) -> String {
    let mut hash = hash(credential_id);
    hash.truncate(16);
    hash
}

fn clean_name(name: &str) -> String {
    let name: String = name.trim().chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
    match name.is_empty() {
        true => "Passkey".into(),
        false => name,
    }
}

fn refused(reason: Refused) -> Failure {
    tracing::warn!(reason = reason.0, "passkey refused");
    Failure::new(Code::AuthForbidden, "this passkey is not accepted here").hint("try again, or sign in another way")
}

fn expired() -> Failure {
    tracing::info!("passkey answer without a ceremony");
    Failure::new(Code::AuthForbidden, "this took too long, or was answered already").hint("try again")
}

fn known() -> Failure {
    invalid("passkey", "this passkey is known already; make a new one")
}

fn or_known(error: StoreError) -> Failure {
    match error {
        StoreError::Conflict => known(),
        other => other.into(),
    }
}
