//! A rule: data about where, when and to what it applies. Its evaluator is code, one file in `rules/`.

use std::sync::Arc;

use butt_dial_domain::{Channel, SendPurpose, clock::Timestamp};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::{
    facts::Facts,
    hours::{Hours, OpeningTime},
    rules::{self, Observation},
};

/// The effect of a rule on a message that it fires on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Severity {
    /// The message is sent with an addition.
    Insert,
    /// The message is sent, and the caller gets the advice.
    Advise,
    /// The message is sent at the next allowed time.
    Defer,
    /// The message waits for the approval of a person.
    Hold,
    /// The message is refused.
    Block,
}

/// The code that evaluates a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, strum::EnumIter, strum::IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Evaluator {
    DoNotContact,
    ConsentRevoked,
    Destination,
    EmergencyNumber,
    WhatsappWindow,
    ConsentRequired,
    QuietHours,
    Frequency,
    PostalAddress,
    Disclosure,
    /// Fires on every message that the rule applies to.
    Always,
}

impl Evaluator {
    /// A rule set without these is refused: they protect the person, and no operator can drop them.
    pub const MANDATORY: [Self; 4] = [
        Self::DoNotContact,
        Self::ConsentRevoked,
        Self::Destination,
        Self::EmergencyNumber,
    ];

    fn function(self) -> fn(&Rule, &Facts) -> Option<Observation> {
        match self {
            Self::DoNotContact => rules::do_not_contact::evaluate,
            Self::ConsentRevoked => rules::consent_revoked::evaluate,
            Self::Destination => rules::destination::evaluate,
            Self::EmergencyNumber => rules::emergency_number::evaluate,
            Self::WhatsappWindow => rules::whatsapp_window::evaluate,
            Self::ConsentRequired => rules::consent_required::evaluate,
            Self::QuietHours => rules::quiet_hours::evaluate,
            Self::Frequency => rules::frequency::evaluate,
            Self::PostalAddress => rules::postal_address::evaluate,
            Self::Disclosure => rules::disclosure::evaluate,
            Self::Always => rules::always::evaluate,
        }
    }
}

/// A rule, as a file of the rule set has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Stored with decisions, so an id never changes its meaning.
    pub id: Arc<str>,
    /// Increased with each change of the rule.
    pub version: u32,
    pub evaluator: Evaluator,
    pub severity: Severity,
    /// The law or the contract that the rule comes from.
    pub source: String,
    /// When a person has last compared the rule with its source.
    pub reviewed: toml::value::Datetime,
    #[serde(default)]
    effective_from: Option<toml::value::Datetime>,
    /// The first day on which the rule is no longer in force.
    #[serde(default)]
    effective_until: Option<toml::value::Datetime>,
    /// The places of recipients: ISO 3166 codes, such as `US`, `US-FL`. Empty: everywhere.
    #[serde(default)]
    pub jurisdictions: Vec<String>,
    /// Empty: all channels.
    #[serde(default)]
    pub channels: Vec<Channel>,
    /// Empty: all purposes.
    #[serde(default)]
    pub purposes: Vec<SendPurpose>,
    /// Further purposes, for which the rule only advises.
    #[serde(default)]
    pub advise_for: Vec<SendPurpose>,
    /// Of `quiet-hours`: when messages are allowed, such as `mon-fri 08:00-21:00`. A day that is not named is closed.
    #[serde(default)]
    pub hours: Vec<String>,
    /// Of `quiet-hours`: federal holidays of the US are closed.
    #[serde(default)]
    pub closed_on_holidays: bool,
    /// Of `frequency`: messages to one person within 24 hours.
    #[serde(default)]
    pub max_per_day: Option<u32>,
    /// Of `consent-required`: the kinds of recorded consent that suffice. Empty: every kind.
    #[serde(default)]
    pub consent_kinds: Vec<String>,
    #[serde(skip)]
    opening: Hours,
    #[serde(skip)]
    dates: (Option<NaiveDate>, Option<NaiveDate>),
}

impl Rule {
    /// Checks the parameters and prepares them. The error names the mistake.
    pub(crate) fn prepare(mut self) -> Result<Self, String> {
        let id = self.id.clone();
        let problem = |text: &str| format!("rule {id}: {text}");
        if self.id.is_empty() || self.version == 0 {
            return Err(problem("id and version are required; versions begin with 1"));
        }
        match self.evaluator {
            Evaluator::QuietHours if self.hours.is_empty() => return Err(problem("hours are required")),
            Evaluator::Frequency if self.max_per_day.is_none() => return Err(problem("max_per_day is required")),
            evaluator if self.severity == Severity::Defer && evaluator != Evaluator::QuietHours => {
                return Err(problem("only quiet-hours can defer"));
            }
            evaluator if (self.severity == Severity::Insert) != (evaluator == Evaluator::Disclosure) => {
                return Err(problem("disclosure inserts, and nothing else does"));
            }
            Evaluator::Always if self.severity != Severity::Hold => {
                return Err(problem("always can only hold"));
            }
            _ => {}
        }
        let date = |given: &Option<toml::value::Datetime>| match given {
            None => Ok(None),
            Some(given) => match parse_date(given) {
                Some(date) => Ok(Some(date)),
                None => Err(problem("a date has the form 2026-01-31")),
            },
        };
        let dates = (date(&self.effective_from)?, date(&self.effective_until)?);
        self.opening = Hours::parse(&self.hours).map_err(|error| problem(&error))?;
        self.dates = dates;
        Ok(self)
    }

    /// Returns what the rule does to a message with these facts if it fires; `None`: it does not apply.
    pub(crate) fn severity_for(&self, facts: &Facts) -> Option<Severity> {
        let (from, until) = self.dates;
        let today = facts.at.date_naive();
        let in_force = from.is_none_or(|from| from <= today) && until.is_none_or(|until| today < until);
        let on_channel = self.channels.is_empty() || self.channels.contains(&facts.channel);
        if !in_force || !on_channel || !self.is_in_jurisdiction(facts) {
            return None;
        }
        if self.advise_for.contains(&facts.purpose) {
            return Some(Severity::Advise);
        }
        let has_purpose = self.purposes.is_empty() || self.purposes.contains(&facts.purpose);
        let is_settled = self.severity == Severity::Hold && facts.is_approved;
        (has_purpose && !is_settled).then_some(self.severity)
    }

    fn is_in_jurisdiction(&self, facts: &Facts) -> bool {
        let here = facts.place.jurisdictions();
        self.jurisdictions.is_empty()
            || self
                .jurisdictions
                .iter()
                .any(|one| here.iter().any(|other| other == one))
    }

    /// Evaluates the rule for a message that it applies to. `None`: the message complies.
    pub(crate) fn evaluate(&self, facts: &Facts) -> Option<Observation> {
        self.evaluator.function()(self, facts)
    }

    /// Returns whether the rule allows a message at this time in this zone.
    pub(crate) fn opening_at(&self, at: Timestamp, zone: chrono_tz::Tz) -> OpeningTime {
        self.opening.opening_at(at, zone, self.closed_on_holidays)
    }

    /// Returns the allowed hours as they stand in the rule.
    pub(crate) fn hours_text(&self) -> String {
        self.hours.join(", ")
    }
}

fn parse_date(given: &toml::value::Datetime) -> Option<NaiveDate> {
    let date = given.date?;
    NaiveDate::from_ymd_opt(date.year.into(), date.month.into(), date.day.into())
}
