//! Hours in which messages are allowed, in the local time of the recipient: in every zone in which the person may be.

use butt_dial_domain::{Code, clock::Timestamp};

use super::Observation;
use crate::{facts::Facts, hours::OpeningTime, place::Place, rule::Rule};

pub fn evaluate(rule: &Rule, facts: &Facts) -> Option<Observation> {
    if facts.is_colleague || facts.is_undeclared_fiction() {
        return None;
    }
    let mut zones = facts.place.zones().iter();
    let closed = zones.find(|zone| rule.opening_at(facts.at, **zone) != OpeningTime::Open)?;
    let local = facts.at.with_timezone(closed).format("%a %H:%M");
    Some(Observation::new(
        Code::OutsideAllowedHours,
        format!(
            "it is {local} in {closed}, and messages of this purpose are allowed {}",
            rule.hours_text()
        ),
        "wait for the allowed hours, or declare the purpose that applies",
    ))
}

/// Returns `at` if all rules allow it in all zones, and otherwise the next time at which one of them opens. `None`: one of them stays
/// closed for weeks.
pub fn next_opening(rules: &[&Rule], place: &Place, at: Timestamp) -> Option<Timestamp> {
    let mut latest = at;
    for rule in rules {
        for zone in place.zones() {
            match rule.opening_at(at, *zone) {
                OpeningTime::Open => {}
                OpeningTime::ClosedUntil(until) => latest = latest.max(until?),
            }
        }
    }
    Some(latest)
}
