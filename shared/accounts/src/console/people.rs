//! The callers that sessions act as, and the marks of the set-up.

use std::sync::Arc;

use butt_dial_domain::{Failure, OrgId, Principal, Scope, TokenId};
use butt_dial_identity::{Caller, find_visible_agent};
use butt_dial_store::{OpenSession, Role};
use serde_json::{Value, json};

use super::Console;

/// A signed-in person in one organization.
#[derive(Clone)]
pub struct ConsoleMember {
    pub session: Arc<OpenSession>,
    pub org: OrgId,
    pub org_name: String,
    pub role: Role,
}

impl ConsoleMember {
    /// Chooses the organization of a session. `None`: the person is a member of none.
    pub fn of(session: OpenSession) -> Option<Self> {
        let chosen = session
            .memberships
            .iter()
            .find(|membership| membership.org_id == session.org);
        let membership = chosen.or_else(|| session.memberships.first())?.clone();
        Some(Self {
            org: membership.org_id,
            org_name: membership.org_name,
            role: membership.role,
            session: Arc::new(session),
        })
    }

    /// Returns the caller of operations on the organization. The console checks the person's role before each.
    pub fn caller(&self) -> Caller {
        self.caller_with(Scope::OrgAdmin, Some(self.org.clone()))
    }

    /// Returns the caller of operations on the installation. `None`: the person does not operate it.
    pub fn operator(&self) -> Option<Caller> {
        let is_operator = self.session.is_operator;
        is_operator.then(|| self.caller_with(Scope::SuperAdmin, None))
    }

    fn caller_with(&self, scope: Scope, org: Option<OrgId>) -> Caller {
        Caller {
            principal: Principal {
                token: TokenId::from(self.session.user_id.as_str()),
                scope,
                org,
                agent: None,
                restriction: None,
            },
            profile: None,
        }
    }
}

impl Console {
    /// Returns a caller that acts as an agent of the member's organization.
    pub async fn as_agent(&self, member: &ConsoleMember, agent: &str) -> Result<Caller, Failure> {
        let profile = find_visible_agent(&self.store, &member.caller(), agent).await?;
        let mut caller = member.caller_with(Scope::Agent, Some(member.org.clone()));
        caller.principal.agent = Some(profile.agent.id.clone());
        caller.profile = Some(Arc::new(profile));
        Ok(caller)
    }

    /// Notes in the audit log what a person has done as an agent.
    pub async fn note_action(
        &self,
        member: &ConsoleMember,
        action: &str,
        target: &str,
        detail: Value,
    ) -> Result<(), Failure> {
        self.audit
            .append(&member.org, &member.session.user_id, action, target, detail)
            .await
    }

    /// Lists the steps of the organization's set-up that are completed or left out.
    pub async fn list_marks(&self, org: &OrgId) -> Result<Vec<String>, Failure> {
        Ok(self.store.list_marks(org).await?)
    }

    /// Marks a step of the organization's set-up.
    pub async fn mark(&self, member: &ConsoleMember, mark: &str) -> Result<(), Failure> {
        self.store.add_mark(&member.org, mark, self.clock.now()).await?;
        self.note_action(member, "console.mark", mark, json!({})).await
    }
}
