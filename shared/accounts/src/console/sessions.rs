//! Sessions: a random secret in a cookie. Every request reads the session, so its end counts at once on every replica.

use std::{collections::HashSet, net::IpAddr};

use butt_dial_domain::{Code, Failure, OrgId, clock::Timestamp};
use butt_dial_store::{NewConsoleSession, OpenSession};
use chrono::TimeDelta;

use super::{Client, Console, OtpSetup, generate_secret, hash};

/// The longest life of a session.
const LIFETIME: TimeDelta = TimeDelta::days(7);
/// A session that is not used for this time ends.
pub(crate) const IDLE: TimeDelta = TimeDelta::hours(12);
/// How often the use of a session is written down.
const TOUCH_AFTER: TimeDelta = TimeDelta::minutes(1);
/// How long a proof counts for actions that need a fresh one.
const PROOF_LIFETIME: TimeDelta = TimeDelta::minutes(15);
const MAX_BROWSER: usize = 120;

/// A new session. Its secret is shown to the browser once.
pub struct Session {
    pub secret: String,
    pub lifetime_seconds: i64,
}

/// A session, as its person sees it.
pub struct SessionView {
    /// Public: the beginning of the hash.
    pub id: String,
    pub is_this: bool,
    pub created_at: Timestamp,
    pub seen_at: Timestamp,
    pub address: String,
    pub browser: String,
}

impl Console {
    pub(super) async fn create_session(&self, user: &str, org: &OrgId, client: &Client) -> Result<Session, Failure> {
        let (secret, now) = (generate_secret(), self.clock.now());
        let browser: String = client
            .browser
            .chars()
            .filter(|c| !c.is_control())
            .take(MAX_BROWSER)
            .collect();
        let new = NewConsoleSession {
            hash: &hash(&secret),
            user,
            org,
            expires_at: now + LIFETIME,
            address: &masked(client.address),
            browser: &browser,
        };
        self.store.create_console_session(&new, now).await?;
        Ok(Session {
            secret,
            lifetime_seconds: LIFETIME.num_seconds(),
        })
    }

    /// Finds the open session of a secret.
    pub async fn find_session(&self, secret: &str) -> Result<Option<OpenSession>, Failure> {
        let now = self.clock.now();
        let found = self.store.find_console_session(&hash(secret), now - IDLE, now).await?;
        if let Some(session) = found.as_ref().filter(|session| session.seen_at + TOUCH_AFTER < now) {
            self.store.touch_console_session(&session.id_hash, now).await?;
        }
        Ok(found)
    }

    /// Finds which of these sessions are still open, each with the organizations of its person. For streams, which outlive requests.
    pub async fn find_open_sessions(&self, hashes: &[&str]) -> Result<HashSet<(String, OrgId)>, Failure> {
        let now = self.clock.now();
        Ok(self.store.find_open_console_sessions(hashes, now - IDLE, now).await?)
    }

    /// Returns whether a session is still open, and its person still a member.
    #[cfg(test)]
    pub async fn is_open(&self, session: &OpenSession, org: &OrgId) -> Result<bool, Failure> {
        let open = self.find_open_sessions(&[&session.id_hash]).await?;
        Ok(open.contains(&(session.id_hash.clone(), org.clone())))
    }

    /// Returns whether the person has proved a short time ago to be the one that signed in.
    pub fn is_confirmed(&self, session: &OpenSession) -> bool {
        session.confirmed_at + PROOF_LIFETIME > self.clock.now()
    }

    /// Chooses the organization that the pages show.
    pub async fn choose_org(&self, session: &OpenSession, org: &str) -> Result<(), Failure> {
        let found = session
            .memberships
            .iter()
            .find(|membership| membership.org_id.as_str() == org);
        let Some(membership) = found else {
            return Err(Failure::new(Code::NotFound, "you are no member of this organization"));
        };
        Ok(self
            .store
            .choose_console_org(&session.id_hash, &membership.org_id)
            .await?)
    }

    /// Lists the open sessions of the person.
    pub async fn list_sessions(&self, session: &OpenSession) -> Result<Vec<SessionView>, Failure> {
        let found = self
            .store
            .list_console_sessions(&session.user_id, self.clock.now())
            .await?;
        let views = found.into_iter().map(|other| SessionView {
            is_this: other.id_hash == session.id_hash,
            id: public_id(&other.id_hash).to_owned(),
            created_at: other.created_at,
            seen_at: other.seen_at,
            address: other.address,
            browser: other.browser,
        });
        Ok(views.collect())
    }

    /// Ends the session of a request.
    pub async fn sign_out(&self, session: &OpenSession) -> Result<(), Failure> {
        self.store
            .end_console_session(&session.user_id, &session.id_hash)
            .await?;
        Ok(())
    }

    /// Ends one of the person's sessions, by its public id.
    pub async fn end_session(&self, session: &OpenSession, id: &str) -> Result<(), Failure> {
        let found = self
            .store
            .list_console_sessions(&session.user_id, self.clock.now())
            .await?;
        let found = found.into_iter().find(|other| public_id(&other.id_hash) == id);
        let Some(other) = found else {
            return Err(Failure::new(Code::NotFound, "this session has ended already"));
        };
        self.store.end_console_session(&session.user_id, &other.id_hash).await?;
        Ok(())
    }

    /// Ends the person's other sessions. Returns their number.
    pub async fn end_other_sessions(&self, session: &OpenSession) -> Result<u64, Failure> {
        let ended = self
            .store
            .end_other_console_sessions(&session.user_id, &session.id_hash);
        Ok(ended.await?)
    }

    /// Returns whether the session admits to the pages. A password alone does not: an authenticator is to be set up first.
    pub fn is_complete(session: &OpenSession) -> bool {
        session.has_otp || (session.has_passkey && !session.has_password)
    }

    /// Fails unless the person may set an authenticator up now: a code of it is a proof, so a person with another way in proves first
    /// to be the one that signed in.
    fn check_otp_setup(&self, session: &OpenSession) -> Result<(), Failure> {
        match session.has_otp {
            true => Err(Failure::new(Code::Conflict, "your authenticator is set up already")),
            false if session.has_passkey => self.require_confirmed(session),
            false => Ok(()),
        }
    }

    /// Returns what the person's authenticator needs. Only as long as the secret is not confirmed.
    pub fn otp_setup(&self, session: &OpenSession) -> Result<OtpSetup, Failure> {
        self.check_otp_setup(session)?;
        Ok(self.otp_setup_of(&session.user_id, session.otp_generation, &session.email))
    }

    /// Confirms that the authenticator is set up. Returns the recovery codes, which are shown once.
    pub async fn confirm_otp(
        &self,
        session: &OpenSession,
        code: &str,
        client: &Client,
    ) -> Result<Vec<String>, Failure> {
        let tries = self.count_try(&session.user_id, client).await?;
        self.check_otp_setup(session)?;
        if !self.use_code(&session.user_id, session.otp_generation, code).await? {
            return Err(super::invalid(
                "code",
                "the code is not right; take the one that is shown now",
            ));
        }
        self.forget_tries(&tries).await;
        self.replace_recovery_codes(&session.user_id).await
    }
}

/// Returns the public id of a session: the beginning of its hash.
pub(crate) fn public_id(hash: &str) -> &str {
    hash.get(..16).unwrap_or(hash)
}

/// Shortens the words of a browser about itself.
pub fn browser_name(text: &str) -> String {
    let name = ["Edg", "Firefox", "Chrome", "Safari"]
        .into_iter()
        .find(|name| text.contains(name));
    let system = ["Windows", "Android", "iPhone", "Mac OS", "Linux"]
        .into_iter()
        .find(|name| text.contains(name));
    match (name, system) {
        (Some(name), Some(system)) => format!("{} on {system}", name.replace("Edg", "Edge")),
        (Some(name), None) => name.to_owned(),
        _ => text.chars().take(40).collect(),
    }
}

/// Masks an address: enough to recognize one's own network.
pub(super) fn masked(address: Option<IpAddr>) -> String {
    match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V4(v4)) if v4.is_loopback() => "this machine".into(),
        Some(IpAddr::V6(v6)) if v6.is_loopback() => "this machine".into(),
        Some(IpAddr::V4(v4)) => {
            let [a, b, c, _] = v4.octets();
            format!("{a}.{b}.{c}.x")
        }
        Some(IpAddr::V6(v6)) => {
            let [a, b, c, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:…")
        }
        None => "unknown".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortens_browsers() {
        let chrome =
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36";
        assert_eq!(browser_name(chrome), "Chrome on Linux");
        assert_eq!(browser_name("curl/8.0"), "curl/8.0");
    }

    #[test]
    fn masks_the_address_of_a_client() {
        let mask = |text: &str| masked(text.parse().ok());
        assert_eq!(mask("203.0.113.7"), "203.0.113.x");
        assert_eq!(mask("2001:db8:1:2::7"), "2001:db8:1:…");
        assert_eq!(mask("127.0.0.1"), "this machine");
        assert_eq!(mask(""), "unknown");
    }
}
