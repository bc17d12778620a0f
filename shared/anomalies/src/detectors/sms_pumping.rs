//! SMS pumping: texts to many neighbouring numbers without answers and confirmed codes, because their owner shares the price of each
//! text with a carrier.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{baseline::as_float, finding::Finding, setting::Setting};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Different numbers within one block of a thousand.
    pub min_numbers: i64,
    /// Answers per text at most.
    pub max_reply_rate: f64,
    /// Confirmed codes per sent code at most.
    pub max_confirmed_rate: f64,
}

/// Texts of an agent within fifteen minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Different numbers in the block of a thousand with the most of them.
    pub numbers: i64,
    /// Blocks with many numbers.
    pub blocks: i64,
    /// To these blocks.
    pub sent: i64,
    /// Messages that the agent has received.
    pub replies: i64,
    pub codes: i64,
    pub confirmed_codes: i64,
    pub is_announced: bool,
}

pub fn detect(setting: &Setting<Parameters>, facts: &Facts) -> Option<Finding> {
    let limits = &setting.parameters;
    let is_silent = as_float(facts.replies) <= limits.max_reply_rate * as_float(facts.sent);
    let is_confirmed =
        facts.codes > 0 && as_float(facts.confirmed_codes) > limits.max_confirmed_rate * as_float(facts.codes);
    (facts.numbers >= limits.min_numbers && is_silent && !is_confirmed && !facts.is_announced).then(|| {
        setting.finding(
            format!(
                "{} texts went to {} neighbouring numbers within 15 minutes, with {} answers and {} of {} codes confirmed",
                facts.sent, facts.numbers, facts.replies, facts.confirmed_codes, facts.codes
            ),
            json!({
                "numbersInBlock": facts.numbers, "blocks": facts.blocks, "sent": facts.sent, "replies": facts.replies,
                "codes": facts.codes, "confirmedCodes": facts.confirmed_codes, "windowMinutes": 15,
            }),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::Parameters as All;

    /// Builds the facts from a trace of numbers, each with whether its owner confirms the code.
    fn facts(trace: impl Iterator<Item = (String, bool)>) -> Facts {
        let mut blocks = std::collections::HashMap::<String, std::collections::HashSet<String>>::new();
        let (mut codes, mut confirmed_codes) = (0, 0);
        for (number, confirms) in trace {
            let block = number[..number.len() - 3].to_owned();
            blocks.entry(block).or_default().insert(number);
            codes += 1;
            confirmed_codes += i64::from(confirms);
        }
        let numbers = blocks.values().map(|numbers| numbers.len()).max().unwrap_or_default();
        Facts {
            numbers: i64::try_from(numbers).unwrap(),
            blocks: 1,
            sent: codes,
            replies: 0,
            codes,
            confirmed_codes,
            is_announced: false,
        }
    }

    fn trips(facts: &Facts) -> bool {
        detect(&All::built_in().unwrap().sms_pumping, facts).is_some()
    }

    #[test]
    fn codes_to_sequential_numbers_without_answers_trip() {
        let trace = (0..60).map(|n| (format!("+23480312340{n:02}"), false));
        let facts = facts(trace);
        assert!(trips(&facts));
        let found = detect(&All::built_in().unwrap().sms_pumping, &facts).unwrap();
        assert_eq!(found.numbers["numbersInBlock"], 60);
    }

    #[test]
    fn codes_to_customers_do_not_trip() {
        // Numbers of real people are all over the numbering plan, and most of them confirm.
        let trace = (0..400_u64).map(|n| (format!("+1415{:07}", n * 7_919_777 % 10_000_000), n % 10 < 8));
        assert!(!trips(&facts(trace)));
    }

    #[test]
    fn employees_of_one_company_do_not_trip() {
        // A company owns a block of numbers, but its people confirm or answer.
        let confirmed = facts((0..60).map(|n| (format!("+14155550{n:03}"), n % 4 > 0)));
        assert!(!trips(&confirmed));
        let answered = Facts {
            codes: 0,
            confirmed_codes: 0,
            replies: 12,
            ..confirmed
        };
        assert!(!trips(&answered));
    }

    #[test]
    fn announced_campaign_does_not_trip() {
        let silent = facts((0..60).map(|n| (format!("+14155550{n:03}"), false)));
        assert!(trips(&silent));
        assert!(!trips(&Facts {
            is_announced: true,
            ..silent
        }));
    }
}
