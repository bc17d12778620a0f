//! The verification mail once more.

use butt_dial_domain::{Code, Failure, OrgId};
use butt_dial_store::{NewOneTimeToken, OneTimeKind, OrgStatus};

use crate::{Accounts, Profile, mails::LINK_LIFETIME, secrets::Secret};

/// The result of a repeated mail.
pub struct Resent {
    pub verification_sent: bool,
    /// Why no mail was sent.
    pub reason: Option<String>,
    /// Only where carriers are simulated.
    pub dev_verification_token: Option<String>,
}

impl Accounts {
    /// Mails the link of a pending registration again. An organization that does not exist gets the same answer, and no mail.
    pub async fn resend_verification(&self, org: &OrgId) -> Result<Resent, Failure> {
        self.take_resend(org.as_str()).await?;
        let found = self.store.find_organization(org).await?;
        if found
            .as_ref()
            .is_some_and(|found| found.status != OrgStatus::Pending || found.verified_at.is_some())
        {
            return Err(Failure::new(
                Code::AlreadyVerified,
                "this organization is verified already",
            ));
        }
        let (link, now) = (Secret::long(), self.clock.now());
        let newest = self
            .store
            .find_newest_one_time_token(org, OneTimeKind::Verification)
            .await?;
        let (Some(found), Some(newest)) = (found, newest) else {
            return Ok(Resent {
                verification_sent: true,
                reason: None,
                dev_verification_token: self.for_tests(&link.plain),
            });
        };
        let token = NewOneTimeToken {
            hash: &link.hash,
            kind: OneTimeKind::Verification,
            org: Some(org),
            detail: newest.detail.as_deref(),
            expires_at: now + LINK_LIFETIME,
        };
        self.store.register_organization(org, None, &[token], now).await?;
        let profile = Profile::parse(newest.detail.as_deref())?;
        let owner = found.owner_email.ok_or_else(Failure::internal)?;
        let sent = self.mail_registration(&owner, &profile, &link, false).await;
        Ok(Resent {
            verification_sent: sent.is_ok(),
            reason: sent.err().map(|failure| failure.message.into_owned()),
            dev_verification_token: self.for_tests(&link.plain),
        })
    }
}
