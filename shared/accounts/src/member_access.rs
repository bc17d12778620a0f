//! The ways by which members of an organization use the console, for its administrators: their sessions and their passkeys. Secrets
//! and whole addresses of clients are not part of it.

use butt_dial_domain::{Code, Failure, OrgId, clock::Timestamp};
use butt_dial_identity::Caller;
use butt_dial_store::{Passkey, PasskeyRemoval};
use serde_json::json;
use url::Url;

use crate::{
    Accounts,
    console::{IDLE, RelyingParty, browser_name, passkey_id, session_id},
    members::masked,
    profile::Mailbox,
};

/// An open session of a member.
pub struct MemberSessionView {
    /// Public: the beginning of a hash.
    pub id: String,
    pub email: String,
    pub created_at: Timestamp,
    pub seen_at: Timestamp,
    pub expires_at: Timestamp,
    /// Masked.
    pub address: String,
    /// Such as `Chrome on Linux`.
    pub browser: String,
}

/// A passkey of a member.
pub struct MemberPasskey {
    /// Public: the beginning of a hash.
    pub id: String,
    pub name: String,
    pub host: String,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
}

impl Accounts {
    /// Lists the open sessions of members in the console, the last used one first. At most 500.
    pub async fn list_member_sessions(&self, caller: &Caller, org: &OrgId) -> Result<Vec<MemberSessionView>, Failure> {
        self.require_administrator(caller, org).await?;
        let now = self.clock.now();
        let found = self.store.list_member_sessions(org, now - IDLE, now).await?;
        let views = found.into_iter().map(|session| MemberSessionView {
            id: session_id(&session.id_hash).to_owned(),
            email: session.email,
            created_at: session.created_at,
            seen_at: session.seen_at,
            expires_at: session.expires_at,
            address: session.address,
            browser: browser_name(&session.browser),
        });
        Ok(views.collect())
    }

    /// Ends a session of a member, by its public id.
    pub async fn end_member_session(&self, caller: &Caller, org: &OrgId, id: &str) -> Result<(), Failure> {
        self.require_administrator(caller, org).await?;
        let gone = || Failure::new(Code::NotFound, "there is no such session, or it has ended already");
        let now = self.clock.now();
        let found = self.store.list_member_sessions(org, now - IDLE, now).await?;
        let found = found.iter().find(|session| session_id(&session.id_hash) == id);
        let session = found.ok_or_else(gone)?;
        let (actor, detail) = (caller.principal.token.as_str(), json!({}));
        let change = self.audit.change(org, actor, "member.end-session", id, detail);
        match change.end_member_session(org, &session.id_hash).await? {
            true => Ok(()),
            false => Err(gone()),
        }
    }

    /// Ends all sessions of a member. Returns their number.
    pub async fn end_member_sessions(&self, caller: &Caller, org: &OrgId, email: &str) -> Result<u64, Failure> {
        let mailbox = self.find_member(caller, org, email).await?;
        let (actor, target) = (caller.principal.token.as_str(), masked(&mailbox));
        let change = self.audit.change(org, actor, "member.end-sessions", &target, json!({}));
        Ok(change.end_member_sessions(org, &mailbox.key).await?)
    }

    /// Lists the passkeys of a member, the oldest first.
    pub async fn list_member_passkeys(
        &self,
        caller: &Caller,
        org: &OrgId,
        email: &str,
    ) -> Result<Vec<MemberPasskey>, Failure> {
        let mailbox = self.find_member(caller, org, email).await?;
        let found = self.store.list_member_passkeys(org, &mailbox.key).await?;
        Ok(found.into_iter().map(view).collect())
    }

    /// Removes a passkey of a member, by its public id. The last way in stays. Sessions stay open.
    pub async fn remove_member_passkey(
        &self,
        caller: &Caller,
        org: &OrgId,
        email: &str,
        id: &str,
    ) -> Result<(), Failure> {
        let mailbox = self.find_member(caller, org, email).await?;
        let unknown = || Failure::new(Code::NotFound, "the member has no such passkey");
        let found = self.store.list_member_passkeys(org, &mailbox.key).await?;
        let found = found.iter().find(|passkey| passkey_id(&passkey.credential_id) == id);
        let passkey = found.ok_or_else(unknown)?;
        let (actor, detail) = (caller.principal.token.as_str(), json!({ "passkey": id }));
        let change = self
            .audit
            .change(org, actor, "member.remove-passkey", &masked(&mailbox), detail);
        let public = self.links.as_deref().and_then(|link| Url::parse(link).ok());
        let site = RelyingParty::of(public.as_ref(), 0);
        let host = site.as_ref().map_or("", RelyingParty::id);
        match change.remove_member_passkey(org, passkey, host).await? {
            PasskeyRemoval::Removed => Ok(()),
            PasskeyRemoval::Unknown => Err(unknown()),
            PasskeyRemoval::LastWayIn => Err(Failure::new(
                Code::Conflict,
                "this passkey is the only way in of the member",
            )
            .hint("remove the member, or end the member's sessions")),
            PasskeyRemoval::OfOthersToo => Err(Failure::new(
                Code::Conflict,
                "the member belongs to other organizations, which rely on this passkey too",
            )
            .hint("ask the member to remove it")),
        }
    }

    /// Checks that the caller administers the organization, and that the person is a member of it.
    async fn find_member(&self, caller: &Caller, org: &OrgId, email: &str) -> Result<Mailbox, Failure> {
        let members = self.list_members(caller, org).await?;
        let mailbox = Mailbox::parse("email", email)?;
        let is_known = members
            .iter()
            .any(|member| Mailbox::parse("email", &member.email).is_ok_and(|known| known.key == mailbox.key));
        match is_known {
            true => Ok(mailbox),
            false => Err(Failure::new(Code::NotFound, "the organization has no such member")),
        }
    }
}

fn view(passkey: Passkey) -> MemberPasskey {
    MemberPasskey {
        id: passkey_id(&passkey.credential_id),
        name: passkey.name,
        host: passkey.rp_id,
        created_at: passkey.created_at,
        last_used_at: passkey.last_used_at,
    }
}
