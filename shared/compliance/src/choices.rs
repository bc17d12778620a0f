//! The choices that an organization has about compliance.

use butt_dial_domain::{Clock, Code, Failure, OrgId};
use butt_dial_store::{AuditEntry, Store};
use serde_json::json;

pub use butt_dial_store::ComplianceChoices;

/// Characters of a postal address.
const MAX_ADDRESS: usize = butt_dial_domain::bounds::POSTAL_ADDRESS;
/// Characters of a disclosure.
const MAX_DISCLOSURE: usize = butt_dial_domain::bounds::DISCLOSURE;

/// Reads and sets the choices of organizations. Cheap to clone.
#[derive(Clone)]
pub struct Choices {
    store: Store,
    clock: Clock,
}

impl Choices {
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    pub async fn find(&self, org: &OrgId) -> Result<ComplianceChoices, Failure> {
        let found = self.store.find_compliance_choices(org).await?;
        found.ok_or_else(|| Failure::new(Code::NotFound, "there is no organization with this id"))
    }

    /// Stores the choices. Sends obey them within a second. `actor` is the id of a token. Fails with `InvalidArgument` if the address
    /// is longer than 300 characters or has control characters other than line breaks, or if the disclosure is not one line of at most 200
    /// characters.
    pub async fn set(&self, org: &OrgId, actor: &str, given: ComplianceChoices) -> Result<ComplianceChoices, Failure> {
        let trimmed = |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let choices = ComplianceChoices {
            postal_address: trimmed(given.postal_address),
            disclosure_text: trimmed(given.disclosure_text),
            ..given
        };
        let is_bad = |address: &str| {
            address.chars().count() > MAX_ADDRESS || address.chars().any(|c| c.is_control() && c != '\n')
        };
        if choices.postal_address.as_deref().is_some_and(is_bad) {
            return Err(Failure::new(
                Code::InvalidArgument,
                format!("postalAddress has at most {MAX_ADDRESS} characters, and no control characters"),
            ));
        }
        let is_long = |text: &str| text.chars().count() > MAX_DISCLOSURE || text.chars().any(char::is_control);
        if choices.disclosure_text.as_deref().is_some_and(is_long) {
            return Err(Failure::new(
                Code::InvalidArgument,
                format!("aiDisclosureText is one line of at most {MAX_DISCLOSURE} characters"),
            ));
        }
        let detail = json!({
            "refusesWaiting": choices.refuses_waiting, "hasPostalAddress": choices.postal_address.is_some(),
            "discloses": choices.discloses, "disclosureText": choices.disclosure_text,
            "confirmsTainted": choices.confirms_tainted,
        });
        let entry = AuditEntry::new(Some(org), actor, "compliance.choices", org.as_str(), self.clock.now());
        let change = self.store.change(entry.with_detail(detail));
        change.set_compliance_choices(org, &choices).await?;
        Ok(choices)
    }
}
