//! The content filter: credentials, phishing, public link shorteners, threats and illegal goods. The patterns are narrow,
//! because refusing normal messages is the worse mistake. `corpus/` holds texts of both kinds; the tests check them.

use std::sync::LazyLock;

use butt_dial_domain::Code;
use regex::RegexSet;

use crate::{Facts, Verdict};

struct Pattern {
    regex: &'static str,
    reason: &'static str,
}

const fn pattern(regex: &'static str, reason: &'static str) -> Pattern {
    Pattern { regex, reason }
}

const SECRET: &str = "the text holds a credential; secrets do not belong in messages";
const PHISHING: &str = "the text asks for credentials or payment the way phishing does";
const SHORTENER: &str = "public link shorteners are blocked by carriers; use the full link";
const THREAT: &str = "the text contains a threat";
const DRUGS: &str = "the text offers goods that carriers do not carry (drugs, weapons)";

const PATTERNS: &[Pattern] = &[
    pattern(r"-----BEGIN [A-Z ]*PRIVATE KEY-----", SECRET),
    pattern(r"\bAKIA[0-9A-Z]{16}\b", SECRET),
    pattern(r"\b(?:ghp|gho|github_pat)_[A-Za-z0-9_]{30,}", SECRET),
    pattern(r"\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{32,}", SECRET),
    pattern(r"\bxox[abprs]-[A-Za-z0-9-]{20,}", SECRET),
    pattern(r"\bbd[ato]_[A-Za-z0-9_-]{43}\b", SECRET),
    pattern(
        r"(?i)\b(?:verify|confirm|update|validate|unlock)\b.{0,40}\b(?:account|password|bank|card|identity)\b.{0,60}(?:https?://|www\.)",
        PHISHING,
    ),
    pattern(
        r"(?i)\b(?:account|card|paypal|netflix|bank)\b.{0,40}\b(?:suspended|locked|limited|deactivated)\b.{0,80}(?:https?://|www\.)",
        PHISHING,
    ),
    pattern(
        r"(?i)\b(?:send|give|reply|text|tell)\b.{0,20}\b(?:your|ur)\b.{0,20}\b(?:password|pin code|cvv|social security number|ssn|seed phrase)\b",
        PHISHING,
    ),
    pattern(
        r"(?i)\b(?:gift ?cards?|bitcoin|btc)\b.{0,60}\b(?:irs|arrest|warrant|police)\b",
        PHISHING,
    ),
    pattern(
        r"(?i)\b(?:irs|arrest|warrant|police)\b.{0,60}\b(?:gift ?cards?|bitcoin|btc)\b",
        PHISHING,
    ),
    pattern(
        r"(?i)\byou(?:'ve| have)? won\b.{0,60}\b(?:claim|prize)\b.{0,60}(?:https?://|www\.)",
        PHISHING,
    ),
    pattern(
        r"(?i)(?:https?://)?\b(?:bit\.ly|tinyurl\.com|goo\.gl|ow\.ly|is\.gd|buff\.ly|t\.ly|cutt\.ly|rb\.gy)/\S",
        SHORTENER,
    ),
    pattern(
        r"(?i)\b(?:i(?:'ll| will| am going to|'m going to|'m gonna)|we(?:'ll| will)) (?:kill|murder|shoot|stab|rape|hurt) (?:you|u|your)\b",
        THREAT,
    ),
    pattern(r"(?i)\b(?:kill|hang) yourself\b", THREAT),
    pattern(
        r"(?i)\b(?:buy|order|selling|sell|deliver(?:ed|y)?|get)\b.{0,30}\b(?:cocaine|heroin|meth|fentanyl|mdma|lsd|ghost guns?)\b",
        DRUGS,
    ),
];

#[expect(
    clippy::expect_used,
    reason = "the patterns are constants, and the tests below compile every one"
)]
static SET: LazyLock<RegexSet> =
    LazyLock::new(|| RegexSet::new(PATTERNS.iter().map(|p| p.regex)).expect("constant patterns"));

pub fn decide(facts: &Facts<'_>) -> Verdict {
    let content = facts.content;
    let texts = [&content.subject, &content.body, &content.html];
    let variables = content.template.iter().flat_map(|template| template.variables.values());
    texts
        .into_iter()
        .flatten()
        .chain(variables)
        .find_map(|text| find(text))
        .map_or(Verdict::Allow, block)
}

/// Decides on a text outside of a message.
pub fn decide_text(text: &str) -> Verdict {
    find(text).map_or(Verdict::Allow, block)
}

fn block(reason: &'static str) -> Verdict {
    Verdict::Block {
        code: Code::ContentBlocked,
        reason,
        hint: "change the text; sending it again as it is will not help",
    }
}

fn find(text: &str) -> Option<&'static str> {
    SET.matches(text).iter().next().map(|index| PATTERNS[index].reason)
}

#[cfg(test)]
mod tests {
    use super::find;

    const REFUSED: &str = include_str!("../corpus/refused.txt");
    const HARMLESS: &str = include_str!("../corpus/harmless.txt");

    fn texts(corpus: &str) -> impl Iterator<Item = String> {
        corpus
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with("##"))
            .map(|line| line.replace("\\n", "\n"))
    }

    #[test]
    fn blocks_refused_corpus() {
        assert!(texts(REFUSED).count() >= 30);
        for text in texts(REFUSED) {
            assert!(find(&text).is_some(), "passed: {text}");
        }
    }

    #[test]
    fn allows_harmless_corpus() {
        assert!(texts(HARMLESS).count() >= 60);
        for text in texts(HARMLESS) {
            assert_eq!(find(&text), None, "refused: {text}");
        }
    }
}
