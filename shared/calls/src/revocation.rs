//! Revocations of consent in the words of a caller: "stop calling me" (47 CFR 64.1200(a)(10)). The agent gets them with the turn, and the
//! conclusion of the call brings a clear one into the consent ledger.

use butt_dial_domain::{
    inbound::Keyword,
    spoken_revocation::{RevocationCertainty, SpokenRevocation},
};
use butt_dial_language::{Certainty, keyword, revocation};

/// Finds a revocation in what a caller has said. A single word such as "stop" can be meant for the speech that it interrupts, so it
/// is only likely.
pub(crate) fn heard(words: &str) -> Option<SpokenRevocation> {
    let found = revocation(words);
    let is_keyword = keyword(words) == Some(Keyword::Stop);
    if found.is_none() && !is_keyword {
        return None;
    }
    let is_clear = found.is_none_or(|found| found.certainty == Certainty::Clear) && !is_one_word(words);
    Some(SpokenRevocation {
        certainty: match is_clear {
            true => RevocationCertainty::Clear,
            false => RevocationCertainty::Likely,
        },
        wrong_number: found.is_some_and(|found| found.wrong_number),
    })
}

/// Returns whether the words are one word, perhaps repeated.
fn is_one_word(words: &str) -> bool {
    let mut all = words
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase);
    let first = all.next();
    all.all(|word| Some(word) == first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_callers_revoke_consent() {
        use RevocationCertainty::{Clear, Likely};
        for (words, expected) in [
            ("Please stop calling me.", Some((Clear, false))),
            ("Um, take me off your list, please.", Some((Clear, false))),
            ("Don't ever call this number again!", Some((Clear, false))),
            ("H\u{f6}ren Sie auf, mich anzurufen.", Some((Clear, false))),
            ("Stop.", Some((Likely, false))),
            ("Stop, stop!", Some((Likely, false))),
            ("Can you call me again tomorrow?", None),
            ("Stop by the shop and pick it up.", None),
            ("No, thank you.", None),
        ] {
            let found = heard(words).map(|found| (found.certainty, found.wrong_number));
            assert_eq!(found, expected, "{words}");
        }
        let wrong = heard("You have the wrong number, don't call here again.").unwrap();
        assert!(wrong.wrong_number && wrong.is_clear(), "{wrong:?}");
    }

    #[test]
    fn later_words_do_not_weaken_a_revocation() {
        let (clear, likely) = (heard("Stop calling me.").unwrap(), heard("Stop.").unwrap());
        assert_eq!((clear.and(likely), likely.and(clear)), (clear, clear));
    }
}
