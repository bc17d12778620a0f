//! Trust sessions: an agent notes for a time that a contact has proven the own address, by a one-time code, or that it is
//! trusted by another way.

use butt_dial_domain::{Address, Channel, Clock, Code, Failure, clock::Timestamp};
use butt_dial_identity::Caller;
use butt_dial_store::{NewTrust, Store, TrustSession};
use chrono::TimeDelta;

/// After a confirmed code.
const DEFAULT_MINUTES: u32 = 60;
const MAX_MINUTES: u32 = butt_dial_domain::bounds::TRUST_MINUTES;
const MAX_METHOD: usize = butt_dial_domain::bounds::TRUST_METHOD;

/// The trust of an agent in a contact.
#[derive(Clone, Debug)]
pub struct TrustState {
    /// The last session, which may be over.
    pub session: Option<TrustSession>,
    pub is_trusted: bool,
}

impl TrustState {
    /// Returns the state in a word for the API.
    pub fn status(&self) -> &'static str {
        match &self.session {
            None => "none",
            Some(_) if self.is_trusted => "trusted",
            Some(session) if session.revoked_at.is_some() => "revoked",
            Some(_) => "expired",
        }
    }
}

/// Grants, reads and ends trust. Cheap to clone.
#[derive(Clone)]
pub struct Trust {
    store: Store,
    clock: Clock,
}

impl Trust {
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// Returns the caller's trust in a contact.
    pub async fn find(&self, caller: &Caller, contact: &Address) -> Result<TrustState, Failure> {
        let agent = &caller.agent()?.agent.id;
        let session = self.store.find_trust(agent, &contact.contact_key()).await?;
        let now = self.clock.now();
        Ok(TrustState {
            is_trusted: session.as_ref().is_some_and(|session| session.is_open(now)),
            session,
        })
    }

    /// Opens a trust session, in place of a former one. `minutes`: 1 to 43,200, an hour by default. Returns its end.
    pub async fn grant(
        &self,
        caller: &Caller,
        contact: &Address,
        method: &str,
        minutes: Option<u32>,
    ) -> Result<Timestamp, Failure> {
        self.grant_by_key(caller, &contact.contact_key(), method, minutes).await
    }

    /// As [`Self::grant`], for the key of a contact.
    pub async fn grant_by_key(
        &self,
        caller: &Caller,
        contact: &str,
        method: &str,
        minutes: Option<u32>,
    ) -> Result<Timestamp, Failure> {
        let minutes = minutes.unwrap_or(DEFAULT_MINUTES);
        if !(1..=MAX_MINUTES).contains(&minutes) {
            return Err(Failure::new(
                Code::InvalidArgument,
                format!("durationMinutes is 1 to {MAX_MINUTES}"),
            ));
        }
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if method.is_empty() || method.len() > MAX_METHOD || !method.chars().all(is_word) {
            return Err(Failure::new(
                Code::InvalidArgument,
                "channel is manual, or one of sms, whatsapp, email, line, voice",
            ));
        }
        let agent = &caller.agent()?.agent;
        let now = self.clock.now();
        let expires_at = now + TimeDelta::minutes(minutes.into());
        let new = NewTrust {
            org: &agent.org_id,
            agent: &agent.id,
            contact,
            method,
            granted_by: caller.principal.token.as_str(),
            expires_at,
        };
        self.store.grant_trust(&new, now).await?;
        Ok(expires_at)
    }

    /// Ends the caller's trust in a contact. Returns false when there was none.
    pub async fn revoke(&self, caller: &Caller, contact: &Address) -> Result<bool, Failure> {
        let agent = &caller.agent()?.agent.id;
        let revoked = self
            .store
            .revoke_trust(agent, &contact.contact_key(), self.clock.now())
            .await?;
        Ok(revoked)
    }
}

/// Parses the address of a contact on any channel. Fails with `InvalidRecipient`.
pub fn parse_contact(text: &str) -> Result<(Channel, Address), Failure> {
    let channels = [Channel::Email, Channel::Sms, Channel::Line, Channel::Whatsapp];
    let mut parsed = channels
        .into_iter()
        .filter_map(|channel| Some((channel, Address::parse(channel, text).ok()?)));
    parsed.next().ok_or_else(|| {
        Failure::new(
            Code::InvalidRecipient,
            "invalid recipient: this is no telephone number in E.164 format, e-mail address or id of a contact",
        )
        .hint("give one address, such as +14155550123 or ann@example.com")
    })
}
