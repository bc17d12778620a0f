//! The choice of a sender: which of an agent's own senders, or of the pool of its organization, a message leaves from.

use chrono::TimeDelta;
use phonenumber::metadata::DATABASE;
use serde::{Deserialize, Serialize};

use crate::{AgentId, ChannelId, ProviderAccountId};

/// The identity of an agent: the senders that it uses.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum IdentityMode {
    /// Its own senders.
    #[default]
    Dedicated,
    /// The pool of its organization.
    Shared,
    /// Its own senders where it has any, otherwise the pool.
    Hybrid,
}

/// The account at the vendor that a sender belongs to.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantNames,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum IsolationMode {
    /// One account for all; organizations are separated in the database.
    #[default]
    SingleAccount,
    SubaccountPerCustomer,
    SubaccountPerAgent,
}

/// How long after its last message a sender of the pool serves an agent for a contact, unless an operator sets it.
pub const BINDING: TimeDelta = TimeDelta::days(30);

/// The country in which numbers send texts only after a registration.
pub const US: &str = "US";
/// The digits after +1 of toll-free numbers.
const TOLLFREE_CODES: [&str; 7] = ["800", "833", "844", "855", "866", "877", "888"];

/// Returns whether a number in E.164 form is a toll-free number of North America.
pub fn is_tollfree(number: &str) -> bool {
    number
        .strip_prefix("+1")
        .and_then(|rest| rest.get(..3))
        .is_some_and(|code| TOLLFREE_CODES.contains(&code))
}

/// Returns the country of a phone number in E.164 form, as two letters. Several countries share some calling codes; a number that
/// fits none of their plans belongs to the main one.
pub fn country_of(number: &str) -> Option<String> {
    let parsed = phonenumber::parse(None, number).ok()?;
    let known = parsed.country().id().map(|id| id.as_ref().to_owned());
    known.or_else(|| {
        let sharing = DATABASE.by_code(&parsed.country().code())?;
        let main = sharing.iter().find(|country| country.is_main_country_for_code());
        main.or(sharing.first()).map(|country| country.id().to_owned())
    })
}

/// A sender that a message could leave from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub id: ChannelId,
    pub address: String,
    /// Two letters; `None` for addresses without a country.
    pub country: Option<String>,
    /// The account with its version. `None`: the installation's account.
    pub account: Option<(ProviderAccountId, i64)>,
    pub is_pooled: bool,
    pub is_primary: bool,
    pub is_paused: bool,
    /// False: a US number that is not registered yet; carriers in the US block its texts.
    pub is_registered: bool,
    /// The agent that the sender serves for this contact, if it is pooled.
    pub bound_to: Option<AgentId>,
}

impl Candidate {
    /// Returns whether carriers in this country carry the sender's texts.
    pub fn may_send_to(&self, country: Option<&str>) -> bool {
        self.is_registered || country != Some(US)
    }
}

/// Why a sender was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum SenderReason {
    /// The request names it.
    Explicit,
    /// The contact knows the agent by it.
    BoundToContact,
    OwnInCountry,
    Own,
    PoolInCountry,
    Pool,
}

/// Why no sender can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSender {
    /// There is none.
    Missing,
    /// The request names one that the agent may not use.
    NotUsable,
    /// All are paused.
    Paused,
    /// Every sender of the pool serves another agent for this contact.
    PoolExhausted,
}

/// A reason, and the senders that it applies to.
type Choice<'a> = (SenderReason, &'a dyn Fn(&Candidate) -> bool);

/// Chooses the sender of a message. Order: the one that the request names; the one that the contact knows the agent by; an own
/// one in the contact's country; an own one; one of the pool in the contact's country; one of the pool. Among equals the primary
/// one is used, then the one with the lowest id. A number that carriers in the contact's country block, because it is not registered,
/// is used only if there is no other.
pub fn select_sender<'a>(
    agent: &AgentId,
    mode: IdentityMode,
    candidates: &'a [Candidate],
    country: Option<&str>,
    named: Option<&str>,
) -> Result<(&'a Candidate, SenderReason), NoSender> {
    let mut known: Vec<&Candidate> = candidates
        .iter()
        .filter(|candidate| match mode {
            IdentityMode::Dedicated => !candidate.is_pooled,
            // An upgrade keeps conversations: a sender of the pool that serves this agent stays usable.
            IdentityMode::Shared | IdentityMode::Hybrid => true,
        })
        .collect();
    // After an upgrade from the pool to an own sender, replies to the pool still reach the agent.
    if mode == IdentityMode::Dedicated {
        let bound = candidates
            .iter()
            .filter(|c| c.is_pooled && c.bound_to.as_ref() == Some(agent));
        known.extend(bound.filter(|_| named.is_some()));
    }
    known.sort_by(|a, b| (!a.is_primary, &a.id).cmp(&(!b.is_primary, &b.id)));
    let is_free = |candidate: &Candidate| candidate.bound_to.as_ref().is_none_or(|bound| bound == agent);
    if let Some(named) = named {
        let found = known
            .iter()
            .find(|candidate| candidate.address == named || candidate.id.as_str() == named);
        return match found {
            None => Err(NoSender::NotUsable),
            Some(candidate) if candidate.is_paused => Err(NoSender::Paused),
            Some(candidate) if !is_free(candidate) => Err(NoSender::PoolExhausted),
            Some(candidate) => Ok((candidate, SenderReason::Explicit)),
        };
    }
    if known.is_empty() {
        return Err(NoSender::Missing);
    }
    let usable: Vec<&Candidate> = known.iter().copied().filter(|candidate| !candidate.is_paused).collect();
    if usable.is_empty() {
        return Err(NoSender::Paused);
    }
    let (legal, blocked): (Vec<&Candidate>, Vec<&Candidate>) =
        usable.into_iter().partition(|candidate| candidate.may_send_to(country));
    let in_country = |candidate: &Candidate| country.is_some() && candidate.country.as_deref() == country;
    let choices: [Choice<'_>; 5] = [
        (SenderReason::BoundToContact, &|c| {
            c.is_pooled && c.bound_to.as_ref() == Some(agent) && mode == IdentityMode::Shared
        }),
        (SenderReason::OwnInCountry, &|c| !c.is_pooled && in_country(c)),
        (SenderReason::Own, &|c| !c.is_pooled),
        (SenderReason::PoolInCountry, &|c| {
            c.is_pooled && is_free(c) && in_country(c)
        }),
        (SenderReason::Pool, &|c| c.is_pooled && is_free(c)),
    ];
    // In the mode `shared` the pool comes before own senders.
    let is_own = |reason: SenderReason| matches!(reason, SenderReason::OwnInCountry | SenderReason::Own);
    let ordered = choices
        .iter()
        .filter(|(reason, _)| mode != IdentityMode::Shared || !is_own(*reason))
        .chain(
            choices
                .iter()
                .filter(|(reason, _)| mode == IdentityMode::Shared && is_own(*reason)),
        );
    let ordered: Vec<&Choice<'_>> = ordered.collect();
    for usable in [legal, blocked] {
        for (reason, fits) in &ordered {
            if let Some(found) = usable.iter().find(|candidate| fits(candidate)) {
                return Ok((found, *reason));
            }
        }
    }
    Err(NoSender::PoolExhausted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_country_of_shared_calling_codes() {
        for (number, country) in [
            ("+14155550123", Some("US")),
            ("+14165550123", Some("CA")),
            ("+442079460000", Some("GB")),
            // Reserved for fiction, so no plan has it.
            ("+447700900555", Some("GB")),
            ("+4917612345678", Some("DE")),
            ("+881612345678", Some("001")),
            ("+999123456789", None),
            ("ann", None),
        ] {
            assert_eq!(country_of(number).as_deref(), country, "{number}");
        }
    }

    fn candidate(id: &str, country: &str, pooled: bool, bound: Option<&str>) -> Candidate {
        Candidate {
            id: id.into(),
            address: format!("+1{id}"),
            country: Some(country.into()),
            account: None,
            is_pooled: pooled,
            is_primary: false,
            is_paused: false,
            is_registered: true,
            bound_to: bound.map(AgentId::from),
        }
    }

    type Expected = Result<(&'static str, SenderReason), NoSender>;
    /// The name of the case, the mode, the senders, the contact's country, the named sender, and the choice.
    type Case = (
        &'static str,
        IdentityMode,
        Vec<Candidate>,
        Option<&'static str>,
        Option<&'static str>,
        Expected,
    );

    #[test]
    fn chooses_senders_in_the_order_of_the_rules() {
        use IdentityMode::{Dedicated, Hybrid, Shared};
        let own_us = || candidate("1", "US", false, None);
        let own_gb = || candidate("2", "GB", false, None);
        let pool_us = || candidate("3", "US", true, None);
        let pool_gb = || candidate("4", "GB", true, None);
        let taken = || candidate("5", "US", true, Some("other"));
        let bound = || candidate("6", "US", true, Some("me"));
        let paused = || Candidate {
            is_paused: true,
            ..own_us()
        };
        let unregistered = |candidate: Candidate| Candidate {
            is_registered: false,
            ..candidate
        };
        let primary = || Candidate {
            is_primary: true,
            ..candidate("9", "FR", false, None)
        };
        let cases: Vec<Case> = vec![
            (
                "own in the country",
                Dedicated,
                vec![own_us(), own_gb()],
                Some("GB"),
                None,
                Ok(("2", SenderReason::OwnInCountry)),
            ),
            (
                "own elsewhere",
                Dedicated,
                vec![own_us(), own_gb()],
                Some("DE"),
                None,
                Ok(("1", SenderReason::Own)),
            ),
            (
                "the primary one first",
                Dedicated,
                vec![own_us(), primary()],
                Some("DE"),
                None,
                Ok(("9", SenderReason::Own)),
            ),
            (
                "no pool for dedicated",
                Dedicated,
                vec![pool_us()],
                Some("US"),
                None,
                Err(NoSender::Missing),
            ),
            (
                "hybrid prefers own",
                Hybrid,
                vec![pool_gb(), own_us()],
                Some("GB"),
                None,
                Ok(("1", SenderReason::Own)),
            ),
            (
                "hybrid without own",
                Hybrid,
                vec![pool_us(), pool_gb()],
                Some("GB"),
                None,
                Ok(("4", SenderReason::PoolInCountry)),
            ),
            (
                "the known one",
                Shared,
                vec![pool_gb(), bound()],
                Some("GB"),
                None,
                Ok(("6", SenderReason::BoundToContact)),
            ),
            (
                "shared prefers the pool",
                Shared,
                vec![own_us(), pool_gb()],
                Some("US"),
                None,
                Ok(("4", SenderReason::Pool)),
            ),
            (
                "not one that serves another",
                Shared,
                vec![taken(), pool_gb()],
                Some("US"),
                None,
                Ok(("4", SenderReason::Pool)),
            ),
            (
                "all serve others",
                Shared,
                vec![taken()],
                Some("US"),
                None,
                Err(NoSender::PoolExhausted),
            ),
            (
                "shared falls back to own",
                Shared,
                vec![taken(), own_us()],
                Some("US"),
                None,
                Ok(("1", SenderReason::OwnInCountry)),
            ),
            (
                "paused",
                Dedicated,
                vec![paused()],
                Some("US"),
                None,
                Err(NoSender::Paused),
            ),
            (
                "a registered one first",
                Dedicated,
                vec![unregistered(own_us()), own_gb()],
                Some("US"),
                None,
                Ok(("2", SenderReason::Own)),
            ),
            (
                "a registered one of the pool before an own one",
                Hybrid,
                vec![unregistered(own_us()), pool_gb()],
                Some("US"),
                None,
                Ok(("4", SenderReason::Pool)),
            ),
            (
                "an unregistered one if there is no other",
                Hybrid,
                vec![unregistered(own_us()), unregistered(pool_us()), taken()],
                Some("US"),
                None,
                Ok(("1", SenderReason::OwnInCountry)),
            ),
            (
                "unregistered, but for another country",
                Dedicated,
                vec![unregistered(own_us()), own_gb()],
                Some("DE"),
                None,
                Ok(("1", SenderReason::Own)),
            ),
            (
                "unregistered and named",
                Dedicated,
                vec![unregistered(own_us()), own_gb()],
                Some("US"),
                Some("+11"),
                Ok(("1", SenderReason::Explicit)),
            ),
            ("nothing", Hybrid, vec![], Some("US"), None, Err(NoSender::Missing)),
            (
                "named",
                Dedicated,
                vec![own_us(), own_gb()],
                Some("US"),
                Some("+12"),
                Ok(("2", SenderReason::Explicit)),
            ),
            (
                "named of the pool",
                Dedicated,
                vec![own_us(), pool_us()],
                Some("US"),
                Some("+13"),
                Err(NoSender::NotUsable),
            ),
            (
                "named after an upgrade",
                Dedicated,
                vec![own_us(), bound()],
                Some("US"),
                Some("+16"),
                Ok(("6", SenderReason::Explicit)),
            ),
            (
                "named but taken",
                Shared,
                vec![taken()],
                Some("US"),
                Some("+15"),
                Err(NoSender::PoolExhausted),
            ),
            (
                "named but unknown",
                Hybrid,
                vec![own_us()],
                Some("US"),
                Some("+19"),
                Err(NoSender::NotUsable),
            ),
        ];
        let agent = AgentId::from("me");
        for (name, mode, candidates, country, named, expected) in cases {
            let chosen = select_sender(&agent, mode, &candidates, country, named);
            let chosen = chosen.map(|(candidate, reason)| (candidate.id.as_str(), reason));
            assert_eq!(chosen, expected, "{name}");
        }
    }
}
