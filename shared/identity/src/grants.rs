//! The checks of a restricted token: every one refuses with `AuthForbidden`, and none names what else the token may do.

use std::sync::Arc;

use butt_dial_domain::{Address, Channel, Code, Failure, Grants, Restriction, TokenBudget};

use crate::Caller;

impl Caller {
    /// Returns the caller's grants. `None`: its token is not restricted.
    pub fn grants(&self) -> Option<&Grants> {
        self.principal
            .restriction
            .as_ref()
            .map(|restriction| &restriction.grants)
    }

    /// Returns the caller with the restriction of a token, for work that is done for it later.
    #[must_use]
    pub fn restricted(&self, restriction: Arc<Restriction>) -> Self {
        let mut caller = self.clone();
        caller.principal.restriction = Some(restriction);
        caller
    }

    /// Returns the budget of the caller's token, if it has a separate one.
    pub fn token_budget(&self) -> Option<TokenBudget> {
        self.principal.restriction.as_ref()?.token_budget()
    }

    /// Returns whether the token is granted an operation.
    pub fn may_use(&self, name: &str, is_read_only: bool) -> bool {
        self.grants()
            .is_none_or(|grants| grants.allows_tool(name, is_read_only))
    }

    /// Fails unless the token is granted an operation.
    pub fn require_tool(&self, name: &str, is_read_only: bool) -> Result<(), Failure> {
        match self.may_use(name, is_read_only) {
            true => Ok(()),
            false => Err(refuse("tools", "this token is not granted this operation")),
        }
    }

    /// Fails unless the token is granted a channel.
    pub fn require_channel(&self, channel: Channel) -> Result<(), Failure> {
        match self.grants().is_none_or(|grants| grants.allows_channel(channel)) {
            true => Ok(()),
            false => Err(refuse("channels", "this token is not granted this channel").on(channel)),
        }
    }

    /// Fails unless the token is granted a channel, and a person on it. `colleague` is the id of the agent behind the address,
    /// if the caller has named the agent.
    pub fn require_recipient(
        &self,
        channel: Channel,
        address: &Address,
        colleague: Option<&str>,
    ) -> Result<(), Failure> {
        self.require_channel(channel)?;
        let is_granted = |grants: &Grants| {
            grants.allows_recipient(address) || colleague.is_some_and(|host_id| grants.allows_colleague(host_id))
        };
        match self.grants().is_none_or(is_granted) {
            true => Ok(()),
            false => Err(refuse_recipient().on(channel)),
        }
    }

    /// Fails unless the token is granted an agent of the same organization, by its host's id.
    pub fn require_colleague(&self, host_id: &str) -> Result<(), Failure> {
        match self.grants().is_none_or(|grants| grants.allows_colleague(host_id)) {
            true => Ok(()),
            false => Err(refuse_recipient()),
        }
    }

    /// Returns whether the token may talk with every person that calls or is called.
    pub fn may_take_any_call(&self) -> bool {
        self.grants().is_none_or(Grants::allows_any_call)
    }
}

fn refuse_recipient() -> Failure {
    refuse("recipients", "this token is not granted this recipient")
}

fn refuse(part: &'static str, message: &'static str) -> Failure {
    tracing::info!(part, "restricted token refused");
    Failure::new(Code::AuthForbidden, message)
        .hint("an administrator can create a token that is granted it")
        .detail("grant", part)
}

#[cfg(test)]
mod tests {
    use butt_dial_domain::{Scope, grants::Recipients};

    use super::*;

    fn restricted(scope: Scope, grants: Grants) -> Caller {
        let mut caller = Caller::anonymous();
        caller.principal.scope = scope;
        caller.restricted(Arc::new(Restriction {
            budget: "tok_1".into(),
            grants,
        }))
    }

    #[test]
    fn restricted_token_is_never_an_administrator() {
        let caller = restricted(Scope::SuperAdmin, Grants::default());
        assert!(caller.require(Scope::Agent).is_ok());
        for scope in [Scope::OrgAdmin, Scope::SuperAdmin] {
            assert!(caller.require(scope).is_err(), "{scope}");
        }
    }

    #[test]
    fn refusals_name_the_part_and_no_other_recipient() {
        let grants = Grants {
            channels: Some([Channel::Sms].into()),
            tools: Some(["send_message".to_owned()].into()),
            recipients: Some(Recipients::parse(&["+14155550123".to_owned(), "agent:bo".to_owned()]).unwrap()),
            ..Grants::default()
        };
        let caller = restricted(Scope::Agent, grants);
        let ann = Address::parse(Channel::Sms, "+14155550123").unwrap();
        let other = Address::parse(Channel::Sms, "+14155550199").unwrap();
        assert!(caller.require_recipient(Channel::Sms, &ann, None).is_ok());
        assert!(caller.require_recipient(Channel::Sms, &other, Some("bo")).is_ok());
        for (refusal, part) in [
            (caller.require_recipient(Channel::Sms, &other, None), "recipients"),
            (caller.require_recipient(Channel::Sms, &other, Some("al")), "recipients"),
            (caller.require_recipient(Channel::Whatsapp, &ann, None), "channels"),
            (caller.require_colleague("al"), "recipients"),
            (caller.require_tool("comms_get_me", true), "tools"),
        ] {
            let refusal = refusal.unwrap_err();
            let text = refusal.envelope().to_string();
            assert_eq!(
                (refusal.code, refusal.details["grant"].as_str()),
                (Code::AuthForbidden, Some(part))
            );
            assert!(!text.contains("+1415") && !text.contains("send_message"), "{text}");
        }
        assert!(!caller.may_take_any_call() && caller.token_budget().is_none());
    }
}
