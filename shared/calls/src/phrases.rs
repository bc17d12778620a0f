//! Localized prompts: texts that neither the agent nor a model writes. The built-in prompts are in `deploy/phrases.toml`; an
//! operator's file of the same form overrides them. The keys of that file must stay.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use butt_dial_domain::call::{CallInfo, Direction};
use serde::Deserialize;
use toml::{Table, Value};

/// The spoken language of a call without one.
pub(crate) const DEFAULT_LANGUAGE: &str = "en-US";

const BUILT_IN: &str = include_str!("../../../deploy/phrases.toml");
/// Used for a language that the catalog does not have.
const FALLBACK: &str = "en";
/// Placeholder for the name under which the agent calls or answers.
const NAME: &str = "{}";

/// The prompts of one language.
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
    /// The announcement of a recording. Empty, as in files of former releases: nothing is recorded in this language.
    #[serde(default)]
    pub recorded: String,
    pub thanks: String,
    pub unavailable: String,
}

impl Phrases {
    fn validate(&self) -> Result<(), &'static str> {
        let is_nameless = |phrase: &str| !phrase.contains(NAME);
        if is_nameless(&self.greeting) || is_nameless(&self.calling) || is_nameless(&self.away) {
            return Err("greeting, calling and away need {} in place of the name");
        }
        if self.disclosure.trim().is_empty() {
            return Err("disclosure must state that the caller talks with a machine");
        }
        let fillers: BTreeSet<&str> = self.fillers.iter().map(|filler| filler.trim()).collect();
        if fillers.len() < 2 || fillers.contains("") {
            return Err("fillers need at least two different phrases");
        }
        Ok(())
    }

    /// Returns the first words of a call: the disclosure that an AI is speaking, and the greeting. An outbound call also
    /// states its caller.
    pub(crate) fn greet(&self, info: &CallInfo) -> String {
        let greeting = match (&info.plan.greeting, info.direction) {
            (Some(greeting), _) => greeting.clone(),
            (None, Direction::Inbound) => with_name(&self.greeting, &info.name),
            (None, Direction::Outbound) => String::new(),
        };
        match info.direction {
            Direction::Inbound => format!("{} {greeting}", self.disclosure),
            Direction::Outbound => format!("{} {greeting}", with_name(&self.calling, &info.name)),
        }
    }
}

/// The prompts of all languages.
#[derive(Clone, Debug)]
pub struct PromptCatalog {
    languages: BTreeMap<String, Arc<Phrases>>,
    fallback: Arc<Phrases>,
}

impl Default for PromptCatalog {
    #[expect(
        clippy::expect_used,
        reason = "the text is part of the program, and a test parses it"
    )]
    fn default() -> Self {
        Self::parse("").expect("the built-in prompts")
    }
}

impl PromptCatalog {
    /// Parses prompts in the form of `deploy/phrases.toml` and merges them over the built-in ones. An error names the
    /// language and the problem.
    pub fn parse(text: &str) -> Result<Self, String> {
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
            phrases
                .validate()
                .map_err(|problem| format!("[{language}] {problem}"))?;
            Ok((language.to_ascii_lowercase(), Arc::new(phrases)))
        };
        let languages: BTreeMap<_, _> = languages.into_iter().map(read).collect::<Result<_, String>>()?;
        let fallback = languages.get(FALLBACK).cloned().ok_or("[en] is missing")?;
        Ok(Self { languages, fallback })
    }

    /// Returns the prompts for a BCP 47 tag: of the region, else of the language, else English.
    pub fn get(&self, language: &str) -> Arc<Phrases> {
        self.find(language).unwrap_or_else(|| self.fallback.clone())
    }

    /// Returns the prompts for a BCP 47 tag: of the region, else of the language.
    pub fn find(&self, language: &str) -> Option<Arc<Phrases>> {
        let tag = language.replace('_', "-").to_ascii_lowercase();
        let primary = tag.split('-').next().unwrap_or_default();
        let found = self.languages.get(&tag).or_else(|| self.languages.get(primary));
        found.cloned()
    }
}

/// Replaces the placeholder in a phrase by the name.
pub(crate) fn with_name(phrase: &str, name: &str) -> String {
    phrase.replace(NAME, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_fillers_and_a_name_placeholder() {
        let catalog = PromptCatalog::parse("").unwrap();
        for language in ["en-US", "de-DE", "fr", "es_MX"] {
            let phrases = catalog.get(language);
            assert!(phrases.fillers.len() >= 4, "{language}");
            assert!(with_name(&phrases.away, "Ann").contains("Ann"));
        }
        assert_eq!(catalog.get("tlh").goodbye, "Goodbye.");
        assert_eq!(catalog.get("de-AT").goodbye, "Auf Wiederhören.");
    }

    #[test]
    fn operator_phrases_override_built_in_ones() {
        let catalog = PromptCatalog::parse("[en]\ngoodbye = \"So long.\"\n[de-AT]\ngoodbye = \"Baba.\"\n");
        assert!(
            catalog.unwrap_err().starts_with("[de-AT] missing field"),
            "a new language needs every phrase"
        );
        let catalog = PromptCatalog::parse("[en]\ngoodbye = \"So long.\"").unwrap();
        assert_eq!(catalog.get("en-GB").goodbye, "So long.");
        assert_eq!(catalog.get("en-GB").thanks, PromptCatalog::default().get("en").thanks);
    }

    #[test]
    fn rejects_invalid_phrases() {
        for (text, wrong) in [
            ("[en]\ngoodby = \"x\"", "goodby"),
            ("[en]\nfillers = [\"Hm.\", \"Hm.\"]", "two different"),
            ("[en]\naway = \"Nobody is there.\"", "{}"),
            ("[en]\ndisclosure = \" \"", "machine"),
            ("en = 1", "table"),
            ("[en", "TOML"),
        ] {
            let error = PromptCatalog::parse(text).unwrap_err();
            assert!(error.contains(wrong), "{error}");
        }
    }
}
