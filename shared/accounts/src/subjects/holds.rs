//! Legal holds on an organization or a person.

use butt_dial_domain::{Address, Code, Failure, OrgId, clock::Timestamp, ids};
use butt_dial_store::{AuditEntry, LegalHold, WHOLE_ORGANIZATION};
use serde_json::json;

use super::{Person, Subjects};

const MAX_REASON: usize = butt_dial_domain::bounds::REASON;
const PREFIX: &str = "hld_";

/// A hold, as its organization sees it.
#[derive(Clone, Debug)]
pub struct Hold {
    pub id: String,
    /// `false`: it is about one person.
    pub is_of_organization: bool,
    pub reason: String,
    pub actor: String,
    pub created_at: Timestamp,
}

impl From<LegalHold> for Hold {
    fn from(hold: LegalHold) -> Self {
        Self {
            is_of_organization: hold.contact_hash == WHOLE_ORGANIZATION,
            id: hold.id,
            reason: hold.reason,
            actor: hold.actor,
            created_at: hold.created_at,
        }
    }
}

impl Subjects {
    /// Puts a hold on a person, or on the organization without one. The reason must not name the person.
    pub async fn put_hold(
        &self,
        org: &OrgId,
        actor: &str,
        contact: Option<&Address>,
        reason: &str,
    ) -> Result<Hold, Failure> {
        let reason = reason.trim();
        if reason.is_empty() || reason.chars().count() > MAX_REASON || reason.chars().any(char::is_control) {
            return Err(Failure::new(
                Code::InvalidArgument,
                format!("the reason is one line of at most {MAX_REASON} characters"),
            ));
        }
        let hashes = match contact {
            Some(contact) => Person::find(&self.store, &self.vault, org, contact).await?.hashes,
            None => vec![WHOLE_ORGANIZATION.to_owned()],
        };
        let now = self.clock.now();
        let hold = LegalHold {
            id: format!("{PREFIX}{}", ids::unique()),
            contact_hash: hashes[0].clone(),
            reason: reason.to_owned(),
            actor: actor.to_owned(),
            created_at: now,
        };
        let entry = AuditEntry::new(Some(org), actor, "legal_hold.put", &hold.id, now);
        let of = if contact.is_some() { "contact" } else { "organization" };
        let entry = entry.with_detail(json!({ "of": of, "reason": reason }));
        if !self.store.change(entry).put_hold(org, &hashes, &hold).await? {
            return Err(Failure::new(Code::Conflict, "a legal hold is in force already").hint("list the holds"));
        }
        Ok(hold.into())
    }

    pub async fn list_holds(&self, org: &OrgId) -> Result<Vec<Hold>, Failure> {
        let found = self.store.list_holds(org).await?;
        Ok(found.into_iter().map(Hold::from).collect())
    }

    /// Releases a hold. Fails with `NotFound` if there is none.
    pub async fn release_hold(&self, org: &OrgId, actor: &str, id: &str) -> Result<(), Failure> {
        let entry = AuditEntry::new(Some(org), actor, "legal_hold.release", id, self.clock.now());
        match self.store.change(entry).release_hold(org, id).await? {
            true => Ok(()),
            false => Err(Failure::new(Code::NotFound, "there is no legal hold with this id").hint("list the holds")),
        }
    }
}
