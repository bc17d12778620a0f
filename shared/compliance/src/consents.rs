//! Consent that agents record and read. Sends obey the same rows. The word of a person is not overruled.

use butt_dial_domain::{Address, AgentId, Channel, Clock, Code, Failure, OrgId, clock::Timestamp};
use butt_dial_store::{ConsentInForce, ConsentRecord, ConsentStatus, RecordedConsent, Store};

/// Characters of the description of a source and of a note.
const MAX_TEXT: usize = butt_dial_domain::bounds::CONSENT_TEXT;

/// The kinds of consent that can be recorded.
pub const CONSENT_KINDS: [&str; 3] = ["express", "implied", "transactional"];

/// The consent of a person, as sends obey it.
#[derive(Clone, Debug)]
pub struct ConsentState {
    /// `None`: never recorded.
    pub in_force: Option<ConsentInForce>,
    /// The last entry of an agent, if it is the one in force.
    pub recorded: Option<RecordedConsent>,
}

impl ConsentState {
    pub fn is_granted(&self) -> bool {
        self.status() == Some(ConsentStatus::Granted)
    }

    pub fn status(&self) -> Option<ConsentStatus> {
        self.in_force.as_ref().map(|consent| consent.status)
    }

    /// Returns whether the person has opted out. Only the person can undo it.
    pub fn is_opt_out_of_person(&self) -> bool {
        self.in_force.as_ref().is_some_and(ConsentInForce::is_opt_out_of_person)
    }

    pub fn changed_at(&self) -> Option<Timestamp> {
        self.in_force.as_ref().map(|consent| consent.updated_at)
    }
}

/// A consent to record.
pub struct NewConsent<'a> {
    pub org: &'a OrgId,
    pub agent: &'a AgentId,
    /// The id of the token.
    pub actor: &'a str,
    pub channel: Channel,
    pub contact: &'a Address,
    /// One of [`CONSENT_KINDS`].
    pub kind: &'a str,
    /// How the person has consented.
    pub source: Option<&'a str>,
    pub notes: Option<&'a str>,
}

/// Records and reads consent. Cheap to clone.
#[derive(Clone)]
pub struct Consents {
    store: Store,
    clock: Clock,
}

impl Consents {
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// Returns the consent that sends to the contact on this channel obey.
    pub async fn find(&self, org: &OrgId, channel: Channel, contact: &Address) -> Result<ConsentState, Failure> {
        let in_force = self.store.find_consent(org, channel, contact.as_str()).await?;
        let is_recorded = |consent: &ConsentInForce| consent.source == butt_dial_store::RECORDED_BY_AGENT;
        let recorded = match in_force.as_ref().is_some_and(is_recorded) {
            true => self.store.find_recorded_consent(org, contact.as_str()).await?,
            false => None,
        };
        Ok(ConsentState { in_force, recorded })
    }

    /// Records that a person has consented. Fails with `ContactOptedOut` when the person has opted out.
    pub async fn record(&self, new: &NewConsent<'_>) -> Result<(), Failure> {
        if !CONSENT_KINDS.contains(&new.kind) {
            return Err(Failure::new(
                Code::InvalidArgument,
                "consentType must be one of express, implied, transactional",
            ));
        }
        check_text("source", new.source)?;
        check_text("notes", new.notes)?;
        let record = ConsentRecord {
            org: new.org,
            agent: new.agent,
            actor: new.actor,
            channel: new.channel,
            address: new.contact.as_str(),
            granted: true,
            kind: Some(new.kind),
            source: new.source,
            notes: new.notes,
        };
        match self.store.record_agent_consent(&record, self.clock.now()).await? {
            true => Ok(()),
            false => Err(Failure::new(
                Code::ContactOptedOut,
                "this contact has opted out; a record of an agent does not undo that",
            )
            .on(new.channel)
            .hint("only the contact can undo this, by writing START to your address")),
        }
    }

    /// Records that a person is not to be contacted any more. Cancels what is scheduled.
    pub async fn revoke(
        &self,
        org: &OrgId,
        agent: &AgentId,
        actor: &str,
        channel: Channel,
        contact: &Address,
    ) -> Result<(), Failure> {
        let record = ConsentRecord {
            org,
            agent,
            actor,
            channel,
            address: contact.as_str(),
            granted: false,
            kind: None,
            source: None,
            notes: None,
        };
        self.store.record_agent_consent(&record, self.clock.now()).await?;
        Ok(())
    }
}

fn check_text(field: &'static str, text: Option<&str>) -> Result<(), Failure> {
    match text.is_some_and(|text| text.chars().count() > MAX_TEXT) {
        true => Err(Failure::new(
            Code::InvalidArgument,
            format!("{field} has at most {MAX_TEXT} characters"),
        )),
        false => Ok(()),
    }
}
