//! The content filter: credentials, phishing, public link shorteners, threats and illegal goods. The patterns are narrow,
//! because refusing normal messages is the worse mistake. `corpus/` holds texts of both kinds; the tests check them.
//!
//! One pass over the text finds the words of all patterns; a pattern matches when its words follow each other closely enough
//! on one line. So the time grows with the length of the text only, whatever it consists of. Regular expressions with counted
//! gaps take a hundred times longer on texts that are made for it.

mod matcher;
mod patterns;

use butt_dial_domain::{Code, message::Content};

use super::Observation;
use matcher::find;

pub fn evaluate(content: &Content) -> Option<Observation> {
    let texts = [&content.subject, &content.body, &content.html];
    let variables = content.template.iter().flat_map(|template| template.variables.values());
    texts
        .into_iter()
        .flatten()
        .map(String::as_str)
        .chain(variables.map(String::as_str))
        .chain(content.rich.iter().flat_map(|rich| rich.texts()))
        .find_map(find)
        .map(observe)
}

/// Decides on a text outside of a message.
pub fn evaluate_text(text: &str) -> Option<Observation> {
    find(text).map(observe)
}

fn observe(fact: &'static str) -> Observation {
    Observation::new(
        Code::ContentBlocked,
        fact,
        "change the text; sending it again as it is will not help",
    )
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

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

    #[test]
    fn words_count_as_whole_words_in_any_script() {
        assert!(find("kill yourself").is_some());
        assert!(find("é kill yourself é").is_some());
        for text in ["ékill yourself", "kill yourselfé", "skill yourself", "kill\nyourself"] {
            assert_eq!(find(text), None, "{text}");
        }
    }

    #[test]
    fn gaps_count_characters_of_one_line() {
        let text = |gap: &str| format!("verify{gap}account www.example.com");
        assert!(find(&text(&" ".repeat(40))).is_some());
        assert!(find(&text(&format!(" {} ", "é".repeat(38)))).is_some());
        assert_eq!(find(&text(&" ".repeat(41))), None);
        assert_eq!(find(&text(" \n ")), None);
        // The last word before the next one counts.
        let repeated = format!("verify {} verify my account www.example.com", "x".repeat(99));
        assert!(find(&repeated).is_some());
    }

    #[test]
    fn credentials_need_their_exact_form() {
        let key = |length: usize| format!("AKIA{}", "A".repeat(length));
        assert!(find(&key(16)).is_some());
        assert!(find(&format!("x {} y", key(16))).is_some());
        for text in [key(15), key(17), key(16).to_lowercase(), format!("x{}", key(16))] {
            assert_eq!(find(&text), None, "{text}");
        }
        assert!(find("-----BEGIN RSA PRIVATE KEY-----").is_some());
        assert_eq!(find("-----BEGIN PUBLIC KEY-----"), None);
    }

    #[test]
    fn time_is_linear_for_hostile_text() {
        let hostile =
            "é verify account suspended send your irs buy you won claim i will -----BEGIN AKIA sk- ".repeat(16_000);
        let started = Instant::now();
        assert_eq!(find(&hostile), None);
        // A hundredth of that on a build with optimizations.
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    }
}
