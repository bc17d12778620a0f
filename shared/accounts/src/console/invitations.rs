//! Invitations into an organization, by a link that is valid once. A link of the operator also sets a new way in, for people
//! who can't sign in any more; other links never do, so that an invitation takes over no account.

use butt_dial_domain::{Code, Failure, OrgId, clock::Timestamp};
use butt_dial_store::{Access, Invitation, NewInvitation, OpenSession, Role};
use chrono::TimeDelta;
use serde_json::json;

use super::{Client, Console, Session, WayIn, generate_secret, hash};
use crate::profile::Mailbox;

const LIFETIME: TimeDelta = TimeDelta::days(3);
const RECOVERY_LIFETIME: TimeDelta = TimeDelta::hours(1);
/// The inviter of links that the machine's operator makes.
const OPERATOR: &str = "operator";

/// A stored invitation.
pub struct InvitationView {
    /// Public: the hash of the secret.
    pub id: String,
    pub org_name: String,
    pub email: String,
    pub role: Role,
    pub invited_by: String,
    pub expires_at: Timestamp,
}

/// The way in of an invited person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvitedAs {
    /// Chooses a first way in, or a new one: a passkey, or a password.
    New,
    /// Has an account already.
    Known,
}

impl Console {
    /// Returns the role of the session's person in an organization.
    pub fn role_of(session: &OpenSession, org: &OrgId) -> Option<Role> {
        let mut memberships = session.memberships.iter();
        memberships
            .find(|membership| &membership.org_id == org)
            .map(|membership| membership.role)
    }

    /// Invites a person. Returns the secret of the link. Only owners invite owners.
    pub async fn invite(&self, session: &OpenSession, org: &OrgId, email: &str, role: Role) -> Result<String, Failure> {
        let own = Self::role_of(session, org);
        let may = match own {
            Some(Role::Owner) => true,
            Some(Role::Admin) => role != Role::Owner,
            _ => false,
        };
        if !may {
            return Err(Failure::new(
                Code::AuthForbidden,
                "your role does not include this invitation",
            ));
        }
        let mailbox = Mailbox::parse("email", email)?;
        let (secret, now) = (generate_secret(), self.clock.now());
        let new = NewInvitation {
            hash: &hash(&secret),
            org,
            email: (&mailbox.address, &mailbox.key),
            role,
            invited_by: &session.email,
            expires_at: now + LIFETIME,
        };
        self.store.create_invitation(&new, now).await?;
        let detail = json!({ "role": role.as_str() });
        self.audit
            .append(org, &session.user_id, "member.invite", mailbox.domain(), detail)
            .await?;
        Ok(secret)
    }

    /// Makes a link for a member who can't sign in any more. Returns its secret. For the operator of the machine.
    pub async fn recover(&self, email: &str) -> Result<String, Failure> {
        let mailbox = Mailbox::parse("email", email)?;
        let memberships = self.store.list_memberships(&mailbox.key).await?;
        let Some(first) = memberships.first() else {
            return Err(Failure::new(Code::NotFound, "there is no member with this address"));
        };
        let (secret, now) = (generate_secret(), self.clock.now());
        let new = NewInvitation {
            hash: &hash(&secret),
            org: &first.org_id,
            email: (&mailbox.address, &mailbox.key),
            role: first.role,
            invited_by: OPERATOR,
            expires_at: now + RECOVERY_LIFETIME,
        };
        self.store.create_invitation(&new, now).await?;
        self.audit
            .append(&first.org_id, OPERATOR, "member.recover", mailbox.domain(), json!({}))
            .await?;
        Ok(secret)
    }

    /// Lists the open invitations of an organization.
    pub async fn list_invitations(&self, org: &OrgId) -> Result<Vec<InvitationView>, Failure> {
        let found = self.store.list_invitations(org, self.clock.now()).await?;
        Ok(found.into_iter().map(view).collect())
    }

    /// Withdraws an invitation.
    pub async fn withdraw(&self, session: &OpenSession, org: &OrgId, id: &str) -> Result<(), Failure> {
        if !self.store.delete_invitation(org, id).await? {
            return Err(Failure::new(Code::NotFound, "this invitation is not open any more"));
        }
        self.audit
            .append(
                org,
                &session.user_id,
                "member.uninvite",
                id.get(..12).unwrap_or(id),
                json!({}),
            )
            .await
    }

    /// Finds an invitation by the secret of its link.
    pub async fn find_invitation(&self, secret: &str) -> Result<Option<(InvitationView, InvitedAs)>, Failure> {
        let Some(found) = self.find_open(secret).await? else {
            return Ok(None);
        };
        let invited = self.invited_as(&found).await?;
        Ok(Some((view(found), invited)))
    }

    /// Accepts an invitation. A person with a new way in is signed in; others sign in as usual (`None`).
    pub async fn accept_invitation(
        &self,
        secret: &str,
        way: WayIn<'_>,
        client: &Client,
    ) -> Result<Option<Session>, Failure> {
        let tries = self.count_try("invitation", client).await?;
        let gone = || Failure::new(Code::LinkExpired, "this link was used, or has expired");
        let found = self.find_open(secret).await?.ok_or_else(gone)?;
        self.forget_tries(&tries).await;
        let (hash, passkey);
        let access = match (self.invited_as(&found).await?, way) {
            (InvitedAs::Known, _) => None,
            (InvitedAs::New, WayIn::Password(password)) => {
                hash = self.hash_new_password(password, &found.email_key).await?;
                Some(Access::Password(&hash))
            }
            (InvitedAs::New, WayIn::Passkey { answer, site }) => {
                passkey = self.check_invitation_passkey(&found.token_hash, answer, site).await?;
                Some(Access::Passkey(&passkey))
            }
        };
        let accepted = self.store.accept_invitation(&found, access, self.clock.now());
        let user = accepted.await?.ok_or_else(gone)?;
        let with = match access {
            Some(Access::Password(_)) => json!("password"),
            Some(Access::Passkey(_)) => json!("passkey"),
            None => json!(null),
        };
        let detail = json!({ "role": found.role.as_str(), "newAccess": with });
        self.audit
            .append(&found.org_id, &user, "member.join", &user, detail)
            .await?;
        match access {
            Some(_) => Ok(Some(self.create_session(&user, &found.org_id, client).await?)),
            None => Ok(None),
        }
    }

    async fn find_open(&self, secret: &str) -> Result<Option<Invitation>, Failure> {
        Ok(self.store.find_invitation(&hash(secret), self.clock.now()).await?)
    }

    async fn invited_as(&self, invitation: &Invitation) -> Result<InvitedAs, Failure> {
        if invitation.invited_by == OPERATOR {
            return Ok(InvitedAs::New);
        }
        Ok(match self.store.find_console_user(&invitation.email_key).await? {
            Some(_) => InvitedAs::Known,
            None => InvitedAs::New,
        })
    }
}

fn view(invitation: Invitation) -> InvitationView {
    InvitationView {
        id: invitation.token_hash,
        org_name: invitation.org_name,
        email: invitation.email,
        role: invitation.role,
        invited_by: invitation.invited_by,
        expires_at: invitation.expires_at,
    }
}
