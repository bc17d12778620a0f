//! The administrator's telephone number: confirmed with a code, and needed to rotate the team token.

use butt_dial_domain::{Address, ChallengeId, Channel, Code, Failure, OrgId};
use butt_dial_identity::Caller;
use serde_json::json;

use crate::{Accounts, ChallengeOwner, CodeRequest, phone_hint};

const PURPOSE: &str = "admin phone";

/// A code on its way to an administrator.
pub struct AdminCode {
    pub challenge: ChallengeId,
    pub phone_hint: String,
    /// Only where carriers are simulated.
    pub dev_otp: Option<String>,
}

impl Accounts {
    /// Sends a code to a number that is to become the administrator's.
    pub async fn set_phone(&self, caller: &Caller, phone: &str) -> Result<AdminCode, Failure> {
        let org = self.account(caller).await?.id;
        refuse_agent(caller)?;
        let number = Address::parse(Channel::Sms, phone.trim()).map_err(|error| {
            Failure::new(Code::PhoneInvalid, error.to_string())
                .hint("pass a number in E.164 form, such as +14155550123")
        })?;
        self.send_code(&org, PURPOSE, number.as_str()).await
    }

    /// Confirms the number with the code. It replaces the former one. Returns a hint of it.
    pub async fn confirm_phone(&self, caller: &Caller, challenge: &str, code: &str) -> Result<String, Failure> {
        let org = self.account(caller).await?.id;
        refuse_agent(caller)?;
        let owner = owner(&org);
        let id = ChallengeId::from(challenge);
        let confirmed = self.challenges.verify(&owner, &id, PURPOSE, code).await?;
        let actor = caller.principal.token.as_str();
        let change = self
            .audit
            .change(&org, actor, "organization.phone", org.as_str(), json!({}));
        change.set_admin_phone(&org, &confirmed.address).await?;
        Ok(phone_hint(&confirmed.address))
    }

    pub(crate) async fn send_code(&self, org: &OrgId, purpose: &str, phone: &str) -> Result<AdminCode, Failure> {
        let request = CodeRequest {
            owner: owner(org),
            purpose,
            sender: self.installation.sender(Channel::Sms).await?,
            to: phone,
            channels: &[Channel::Sms],
            template: None,
            language: None,
        };
        let sent = self.challenges.send(request).await?;
        Ok(AdminCode {
            challenge: sent.challenge,
            phone_hint: phone_hint(phone),
            dev_otp: sent.dev_otp,
        })
    }
}

/// The organization itself confirms the codes of its administrator.
pub(crate) fn owner(org: &OrgId) -> ChallengeOwner {
    ChallengeOwner {
        org: org.clone(),
        agent: None,
    }
}

pub(crate) fn refuse_agent(caller: &Caller) -> Result<(), Failure> {
    match caller.principal.agent {
        Some(_) => Err(Failure::new(
            Code::AuthForbidden,
            "an agent can't change the access of its organization",
        )
        .hint("use a team token")),
        None => Ok(()),
    }
}
