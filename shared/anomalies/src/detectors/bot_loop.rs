//! Two programs that answer each other: a long, fast, alternating exchange with one contact, on whatever channel.

use butt_dial_domain::clock::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{baseline::as_float, finding::Finding, setting::Setting};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Fast answers of the contact within fifteen minutes.
    pub turns: usize,
    /// An answer within this time is fast.
    pub answer_seconds: i64,
    /// Fast answers by mail within fifteen minutes. People do not write many mails in that time.
    #[serde(default = "mail_turns")]
    pub mail_turns: usize,
    /// An answer by mail within this time is fast.
    #[serde(default = "mail_answer_seconds")]
    pub mail_answer_seconds: i64,
    /// The share of fast answers among its messages.
    pub min_share: f64,
    /// How long the agent's messages to the contact are refused then. 0: they are not.
    #[serde(default = "pause_minutes")]
    pub pause_minutes: u32,
}

// Files of operators that were written before these parameters existed do without them.
fn mail_turns() -> usize {
    10
}

fn mail_answer_seconds() -> i64 {
    60
}

fn pause_minutes() -> u32 {
    60
}

/// The messages between an agent and a contact within fifteen minutes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Of the agent, in any order.
    pub sent: Vec<Timestamp>,
    /// Of the contact, in any order.
    pub received: Vec<Timestamp>,
    /// The contact without its address.
    pub contact: String,
    pub is_mail: bool,
}

impl Parameters {
    /// Returns how many fast answers an exchange has, and within which time an answer is fast.
    pub fn limits(&self, is_mail: bool) -> (usize, i64) {
        match is_mail {
            true => (self.mail_turns, self.mail_answer_seconds),
            false => (self.turns, self.answer_seconds),
        }
    }
}

pub fn detect(setting: &Setting<Parameters>, facts: &Facts) -> Option<Finding> {
    let (turns, answer_seconds) = setting.parameters.limits(facts.is_mail);
    let mut all: Vec<(Timestamp, bool)> = facts.sent.iter().map(|at| (*at, true)).collect();
    all.extend(facts.received.iter().map(|at| (*at, false)));
    all.sort_unstable();
    let answers = all.windows(2).filter(|pair| pair[0].1 && !pair[1].1);
    let fast = answers
        .filter(|pair| (pair[1].0 - pair[0].0).num_seconds() <= answer_seconds)
        .count();
    let share = as_float(i64::try_from(fast).unwrap_or(i64::MAX))
        / as_float(i64::try_from(facts.received.len().max(1)).unwrap_or(i64::MAX));
    (fast >= turns && share >= setting.parameters.min_share).then(|| {
        setting.finding(
            format!(
                "a contact ({}) answered {fast} of {} messages within {} seconds each, as a program does{}",
                facts.contact,
                facts.sent.len(),
                answer_seconds,
                match setting.parameters.pause_minutes {
                    0 => String::new(),
                    minutes => format!(
                        "; messages to it are paused for up to {minutes} minutes, and to end the pause at once, dismiss this anomaly \
                         if a person answers there"
                    ),
                }
            ),
            json!({
                "contact": facts.contact, "sent": facts.sent.len(), "received": facts.received.len(), "fastAnswers": fast,
                "share": share, "answerSeconds": answer_seconds, "windowMinutes": 15,
            }),
        )
    })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::parameters::Parameters as All;

    /// Builds an exchange: the agent answers after a second, the contact after these seconds.
    fn exchange(answers: impl Iterator<Item = i64>) -> Facts {
        let mut at = Timestamp::from_timestamp(1_795_392_000, 0).unwrap();
        let mut facts = Facts {
            contact: "+14*******99".into(),
            ..Facts::default()
        };
        for seconds in answers {
            at += TimeDelta::seconds(1);
            facts.sent.push(at);
            at += TimeDelta::seconds(seconds);
            facts.received.push(at);
        }
        facts
    }

    fn trips(facts: &Facts) -> bool {
        detect(&All::built_in().unwrap().bot_loop, facts).is_some()
    }

    #[test]
    fn programs_that_answer_mails_trip_earlier() {
        let mails = |count: i64, seconds: i64| Facts {
            is_mail: true,
            ..exchange((0..count).map(|_| seconds))
        };
        assert!(trips(&mails(10, 40)));
        assert!(!trips(&mails(9, 40)) && !trips(&mails(10, 80)));
    }

    #[test]
    fn two_programs_that_answer_each_other_trip() {
        let facts = exchange((0..40).map(|n| 1 + n % 4));
        let found = detect(&All::built_in().unwrap().bot_loop, &facts).unwrap();
        assert_eq!(found.numbers["fastAnswers"], 40);
        let mut unordered = facts;
        unordered.sent.reverse();
        assert!(trips(&unordered));
    }

    #[test]
    fn person_who_types_does_not_trip() {
        // Fast words in between, as in a real chat.
        let facts = exchange((0..40).map(|n| if n % 3 == 0 { 5 } else { 12 + n }));
        assert!(!trips(&facts));
    }

    #[test]
    fn short_fast_exchange_does_not_trip() {
        assert!(!trips(&exchange((0..8).map(|_| 2))));
    }

    #[test]
    fn notifications_without_answers_do_not_trip() {
        let facts = exchange((0..40).map(|_| 2));
        assert!(!trips(&Facts {
            received: Vec::new(),
            ..facts
        }));
    }
}
