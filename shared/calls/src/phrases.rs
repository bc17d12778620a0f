//! What is said on a call that neither the agent nor a model has written, by language: `deploy/phrases.toml`, and over it the
//! operator's own file.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::Deserialize;
use toml::{Table, Value};

const BUILT_IN: &str = include_str!("../../../../deploy/phrases.toml");
/// Spoken where a language is not known.
const DEFAULT: &str = "en";
/// Stands for whom the call is with.
const NAME: &str = "{}";

/// One language's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phrases {
    pub disclosure: String,
    pub greeting: String,
    pub calling: String,
    pub fillers: Vec<String>,
    pub apology: String,
    pub away: String,
    pub who_calls: String,
    pub missed: String,
    pub still_there: String,
    pub goodbye: String,
    pub not_reached: String,
    pub time_is_up: String,
    #[serde(rename = "money_is_up")]
    pub credit_exhausted: String,
    pub record: String,
    pub thanks: String,
    pub unavailable: String,
}

impl Phrases {
    fn check(&self) -> Result<(), &'static str> {
        let nameless = |phrase: &str| !phrase.contains(NAME);
        if nameless(&self.greeting) || nameless(&self.calling) || nameless(&self.away) {
            return Err("greeting, calling and away need {} where the name belongs");
        }
        if self.disclosure.trim().is_empty() {
            return Err("disclosure: people have to be told that they talk with a machine");
        }
        let fillers: BTreeSet<&str> = self.fillers.iter().map(|filler| filler.trim()).collect();
        if fillers.len() < 2 || fillers.contains("") {
            return Err("fillers: at least two different ones");
        }
        Ok(())
    }
}

/// All languages'.
#[derive(Clone, Debug)]
pub struct PromptCatalog {
    languages: BTreeMap<String, Arc<Phrases>>,
    default: Arc<Phrases>,
}

impl Default for PromptCatalog {
    #[expect(clippy::expect_used, reason = "a part of the program, and a test reads it")]
    fn default() -> Self {
        Self::with("").expect("the built-in phrases")
    }
}

impl PromptCatalog {
    /// The phrases of `text`, in the form of `deploy/phrases.toml`, over those built in. An error says what is wrong where.
    pub fn with(text: &str) -> Result<Self, String> {
        let parse = |text: &str| text.parse::<Table>().map_err(|error| error.to_string());
        let mut languages = parse(BUILT_IN)?;
        for (language, own) in parse(text)? {
            let Value::Table(own) = own else {
                return Err(format!("{language}: a language is a table such as [en]"));
            };
            match languages.entry(&language).or_insert_with(|| Value::Table(Table::new())) {
                Value::Table(phrases) => phrases.extend(own),
                _ => return Err(format!("{language}: a language is a table such as [en]")),
            }
        }
        let read = |(language, phrases): (String, Value)| {
            let phrases: Phrases = phrases
                .try_into()
                .map_err(|error| format!("[{language}] {}", error.message()))?;
            phrases.check().map_err(|wrong| format!("[{language}] {wrong}"))?;
            Ok((language.to_ascii_lowercase(), Arc::new(phrases)))
        };
        let languages: BTreeMap<_, _> = languages.into_iter().map(read).collect::<Result<_, String>>()?;
        let default = languages.get(DEFAULT).cloned().ok_or("[en] is missing")?;
        Ok(Self { languages, default })
    }

    /// By BCP 47: the language of the region, or the language, or English.
    pub fn of(&self, language: &str) -> Arc<Phrases> {
        let tag = language.replace('_', "-").to_ascii_lowercase();
        let primary = tag.split('-').next().unwrap_or_default();
        let found = self.languages.get(&tag).or_else(|| self.languages.get(primary));
        found.unwrap_or(&self.default).clone()
    }
}

/// The phrase with the name in its place.
pub fn with(phrase: &str, name: &str) -> String {
    phrase.replace(NAME, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_fillers_that_differ_and_says_what_it_is() {
        let catalog = PromptCatalog::with("").unwrap();
        for language in ["en-US", "de-DE", "fr", "es_MX"] {
            let phrases = catalog.of(language);
            assert!(phrases.fillers.len() >= 4, "{language}");
            assert!(with(&phrases.away, "Ann").contains("Ann"));
        }
        assert_eq!(catalog.of("tlh").goodbye, "Goodbye.");
        assert_eq!(catalog.of("de-AT").goodbye, "Auf Wiederhören.");
    }

    #[test]
    fn an_operators_phrases_stand_in_place_of_ours() {
        let catalog = PromptCatalog::with("[en]\ngoodbye = \"So long.\"\n[de-AT]\ngoodbye = \"Baba.\"\n");
        assert!(
            catalog.unwrap_err().starts_with("[de-AT] missing field"),
            "a language is whole"
        );
        let catalog = PromptCatalog::with("[en]\ngoodbye = \"So long.\"").unwrap();
        assert_eq!(catalog.of("en-GB").goodbye, "So long.");
        assert_eq!(catalog.of("en-GB").thanks, PromptCatalog::default().of("en").thanks);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (text, wrong) in [
            ("[en]\ngoodby = \"x\"", "goodby"),
            ("[en]\nfillers = [\"Hm.\", \"Hm.\"]", "two different"),
            ("[en]\naway = \"Nobody is there.\"", "{}"),
            ("[en]\ndisclosure = \" \"", "machine"),
            ("en = 1", "table"),
            ("[en", "TOML"),
        ] {
            let error = PromptCatalog::with(text).unwrap_err();
            assert!(error.contains(wrong), "{error}");
        }
    }
}
