//! The members of an organization: people with a role. The last owner stays.

use butt_dial_domain::{Code, Failure, OrgId, Scope};
use butt_dial_identity::Caller;
use butt_dial_store::{Member, MemberChange, Membership, Role};
use serde_json::json;

use crate::{Accounts, profile::Mailbox};

const MAX_REASON_LENGTH: usize = butt_dial_domain::bounds::REASON;

/// Parses a role. The Python client names an administrator by the scope of the token.
pub fn parse_role(text: &str) -> Result<Role, Failure> {
    match text {
        "org-admin" => Ok(Role::Admin),
        other => other.parse().map_err(|_| {
            Failure::new(
                Code::InvalidArgument,
                "role is one of owner, org-admin, operator, billing, viewer",
            )
            .detail("fields", vec!["role"])
        }),
    }
}

/// Returns the name of a role as clients read it.
pub fn role_name(role: Role) -> &'static str {
    match role {
        Role::Admin => "org-admin",
        other => other.as_str(),
    }
}

impl Accounts {
    /// Lists the organizations of the owner of the caller's organization, with the owner's address.
    pub async fn list_memberships(&self, caller: &Caller) -> Result<(Option<String>, Vec<Membership>), Failure> {
        let Some(owner) = self.account(caller).await?.owner_email else {
            return Ok((None, Vec::new()));
        };
        let memberships = self.store.list_memberships(&owner.to_lowercase()).await?;
        Ok((Some(owner), memberships))
    }

    /// Lists the members of an organization that the caller administers.
    pub async fn list_members(&self, caller: &Caller, org: &OrgId) -> Result<Vec<Member>, Failure> {
        self.require_administrator(caller, org).await?;
        Ok(self.store.list_members(org).await?)
    }

    /// Adds a member, or changes the role of one. Returns the normalized address.
    pub async fn add_member(
        &self,
        caller: &Caller,
        org: &OrgId,
        email: &str,
        role: Role,
        reason: Option<&str>,
    ) -> Result<String, Failure> {
        self.require_administrator(caller, org).await?;
        let (mailbox, reason) = (Mailbox::parse("email", email)?, clean_reason(reason)?);
        let actor = caller.principal.token.as_str();
        let added = (mailbox.address.as_str(), mailbox.key.as_str());
        let detail = json!({ "role": role.as_str(), "reason": reason });
        let change = self.audit.change(org, actor, "member.add", &masked(&mailbox), detail);
        let added = change.add_member(org, added, role, actor, reason, self.clock.now());
        check(added.await?)?;
        Ok(mailbox.address)
    }

    /// Removes a member. The last owner can't be removed.
    pub async fn remove_member(
        &self,
        caller: &Caller,
        org: &OrgId,
        email: &str,
        reason: Option<&str>,
    ) -> Result<(), Failure> {
        self.require_administrator(caller, org).await?;
        let (mailbox, reason) = (Mailbox::parse("email", email)?, clean_reason(reason)?);
        let detail = json!({ "reason": reason });
        let actor = caller.principal.token.as_str();
        let change = self
            .audit
            .change(org, actor, "member.remove", &masked(&mailbox), detail);
        check(change.remove_member(org, &mailbox.key).await?)
    }

    /// Checks that the caller administers the organization. A foreign one is answered like an unknown one.
    pub(crate) async fn require_administrator(&self, caller: &Caller, org: &OrgId) -> Result<(), Failure> {
        caller.require(Scope::OrgAdmin)?;
        let is_allowed = match &caller.principal.org {
            Some(own) => own == org,
            None => self.store.find_organization(org).await?.is_some(),
        };
        match is_allowed {
            true => Ok(()),
            false => Err(Failure::new(Code::NotFound, "there is no such organization")),
        }
    }
}

fn check(change: MemberChange) -> Result<(), Failure> {
    match change {
        MemberChange::Done => Ok(()),
        MemberChange::Unknown => Err(Failure::new(Code::NotFound, "the organization has no such member")),
        MemberChange::LastOwner => Err(Failure::new(
            Code::Conflict,
            "the last owner of an organization can't be removed",
        )
        .hint("make another member owner first")),
    }
}

fn clean_reason(reason: Option<&str>) -> Result<Option<&str>, Failure> {
    let reason = reason.map(str::trim).filter(|reason| !reason.is_empty());
    match reason.is_some_and(|reason| reason.chars().count() > MAX_REASON_LENGTH) {
        true => Err(Failure::new(
            Code::InvalidArgument,
            format!("reason has at most {MAX_REASON_LENGTH} characters"),
        )),
        false => Ok(reason),
    }
}

/// The audit log outlives the member, so it holds no whole address.
pub(crate) fn masked(mailbox: &Mailbox) -> String {
    let first: String = mailbox.key.chars().take(1).collect();
    format!("{first}***@{}", mailbox.domain())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_have_names_of_client_and_design() {
        assert_eq!(parse_role("org-admin").unwrap(), Role::Admin);
        assert_eq!(parse_role("admin").unwrap(), Role::Admin);
        assert_eq!(parse_role("viewer").unwrap(), Role::Viewer);
        assert!(parse_role("root").is_err());
    }
}
