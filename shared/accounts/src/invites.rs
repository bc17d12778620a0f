//! Invite codes: the operator of an installation issues them, and each permits one registration.

use butt_dial_domain::{Code, Failure, Scope, clock::Timestamp};
use butt_dial_identity::Caller;
use butt_dial_store::{NewOneTimeToken, OneTimeKind};
use chrono::TimeDelta;

use crate::{
    Accounts,
    secrets::{self, Secret},
};

const MAX_LIFETIME_DAYS: u32 = butt_dial_domain::bounds::INVITE_DAYS;

impl Accounts {
    /// Creates an invite code that is valid for 1 to 365 days. Returns the code and its end.
    pub async fn create_invite(&self, caller: &Caller, days: u32) -> Result<(String, Timestamp), Failure> {
        caller.require(Scope::SuperAdmin)?;
        if !(1..=MAX_LIFETIME_DAYS).contains(&days) {
            let message = format!("expiresInDays is 1 to {MAX_LIFETIME_DAYS}");
            return Err(Failure::new(Code::InvalidArgument, message));
        }
        let (code, now) = (Secret::short(), self.clock.now());
        let expires_at = now + TimeDelta::days(days.into());
        let token = NewOneTimeToken {
            hash: &code.hash,
            kind: OneTimeKind::Invite,
            org: None,
            detail: None,
            expires_at,
        };
        self.store.create_one_time_token(&token, now).await?;
        Ok((code.plain, expires_at))
    }

    pub(crate) async fn is_invite_valid(&self, code: &str) -> Result<bool, Failure> {
        let found = self
            .store
            .find_one_time_token(&secrets::hash(code), OneTimeKind::Invite)
            .await?;
        Ok(found.is_some_and(|invite| invite.used_at.is_none() && invite.expires_at > self.clock.now()))
    }

    /// Uses a code up. Returns false when another registration was first.
    pub(crate) async fn use_invite(&self, code: &str) -> Result<bool, Failure> {
        let hash = secrets::hash(code);
        let used = self
            .store
            .consume_one_time_token(&hash, OneTimeKind::Invite, self.clock.now());
        Ok(used.await?)
    }
}
