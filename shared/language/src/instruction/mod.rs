//! Finds text that instructs the agent that reads it: "ignore previous instructions", faked messages of the system, requests for
//! prompts and secrets, encoded and invisible text. A finding is advice for the agent and its operator. This module never drops
//! or changes a text, and a text without finding is not safe: an agent must not trust any text of a contact.
//!
//! Patterns of words, one file per language in `patterns/`, are one automaton that reads the words of a text once; see
//! `phrases/pattern.rs` for their form. A section is named for its confidence and kind, and a veto removes the patterns that share
//! a word with it ("you told me to ignore the instructions"). The language of a text is unknown, so the patterns of all languages
//! count. Words are compared without case, accents, invisible characters, look-alike letters and digits in place of letters; common
//! words of attacks are also found misspelt, in separate letters and without spaces. The structure of a text is checked without
//! regard to its language: role markers and tool calls, links, hidden text, and encoded text, which is decoded once.
//!
//! The corpora in `corpus/` have files for development and held-out files, which only measure. Found are all of 1,150 attacks and
//! none of 2,755 benign lines, of the held-out files 274 of 275 attacks (0.996) and 4 of 1,225 benign lines, and none of the 2,310
//! benign lines of `revocation/corpus/`. The held-out attacks overstate the recall, because one author wrote them and the patterns.
//! Of three published lists of attacks by other authors, 83 of 121, 92 of 130 and 54 of 88 were found when they were first read
//! (0.68 together), so attacks in new words often remain unnoticed.

mod encoded;
mod hidden;
mod links;
mod markers;
mod spelling;
#[cfg(test)]
mod tests;
mod text;

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::phrases::{matcher, pattern::Automaton, word::Word};

/// In bytes: the rest of a longer text is not read.
const MAX_TEXT: usize = 64 * 1024;

/// The patterns of the languages. Those of Chinese and Japanese are few.
const PATTERNS: &[&str] = &[
    include_str!("patterns/en.txt"),
    include_str!("patterns/es.txt"),
    include_str!("patterns/fr.txt"),
    include_str!("patterns/de.txt"),
    include_str!("patterns/pt.txt"),
    include_str!("patterns/it.txt"),
    include_str!("patterns/nl.txt"),
    include_str!("patterns/pl.txt"),
    include_str!("patterns/he.txt"),
    include_str!("patterns/ar.txt"),
    include_str!("patterns/zh.txt"),
    include_str!("patterns/ja.txt"),
];

#[expect(clippy::expect_used, reason = "the patterns are constants, and the tests read them")]
static AUTOMATON: LazyLock<Automaton<Section>> = LazyLock::new(|| {
    let mut automaton = Automaton::read(PATTERNS.iter().copied(), Section::of).expect("well-formed patterns");
    automaton.cross_clauses();
    automaton
});

/// The aim of a text, or the way in which it hides its aim.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumIter,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Kind {
    /// To ignore or replace its instructions or its role.
    Override,
    /// The text imitates messages of the system, the agent or a tool.
    RoleMarker,
    /// To disclose its instructions or tools.
    PromptDisclosure,
    /// To disclose secrets of its operator, or data of other contacts.
    SecretDisclosure,
    /// To call a tool or to execute code.
    ToolUse,
    /// To send messages, data or money to others.
    ThirdPartySend,
    /// Instructions are encoded.
    EncodedPayload,
    /// A link or an image would carry data away.
    ExfiltrationLink,
    /// Text is invisible to a person.
    HiddenText,
}

#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Confidence {
    Likely,
    Certain,
}

/// The strongest sign that a text instructs the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub kind: Kind,
    pub confidence: Confidence,
}

/// Finds instructions to the agent in a message, the text or HTML of a mail, or transcribed speech. Reads the first 64 KiB, in
/// linear time.
pub fn find(text: &str) -> Option<Finding> {
    let text = &text[..text.floor_char_boundary(MAX_TEXT)];
    let plain = text::plain(text);
    let words = text::read(&plain);
    let by_words = find_in_words(&words);
    let finding = |kind| move |confidence| Finding { kind, confidence };
    // Of several with the same confidence, the last one counts.
    [
        by_words,
        markers::find_tool_call(&plain).map(finding(Kind::ToolUse)),
        markers::find_role(&plain).map(finding(Kind::RoleMarker)),
        links::find(&plain).map(finding(Kind::ExfiltrationLink)),
        encoded::find(text, &plain, &words, is_instruction).map(finding(Kind::EncodedPayload)),
        hidden::find(text, &plain, by_words.is_some()).map(finding(Kind::HiddenText)),
    ]
    .into_iter()
    .flatten()
    .max_by_key(|finding| finding.confidence)
}

/// Whether a decoded text has words that instruct the agent.
fn is_instruction(decoded: &str) -> bool {
    find_in_words(&text::read(&text::plain(decoded))).is_some()
}

/// A section of the pattern files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    Finding(Finding),
    Veto,
}

impl Section {
    fn of(name: &str) -> Option<Self> {
        if name == "veto" {
            return Some(Self::Veto);
        }
        let (confidence, kind) = name.split_once(' ')?;
        Some(Self::Finding(Finding {
            kind: kind.parse().ok()?,
            confidence: confidence.parse().ok()?,
        }))
    }
}

/// Returns the first finding of the highest confidence that no veto forbids.
fn find_in_words(words: &[Word]) -> Option<Finding> {
    let (hits, _) = matcher::run(&AUTOMATON, words);
    if hits.is_empty() {
        return None;
    }
    let mut forbidden = vec![false; words.len()];
    for hit in hits.iter().filter(|hit| hit.kind == Section::Veto) {
        forbidden[hit.start..=hit.end].fill(true);
    }
    let mut found: Option<Finding> = None;
    for hit in &hits {
        let Section::Finding(finding) = hit.kind else { continue };
        let is_stronger = found.is_none_or(|found| finding.confidence > found.confidence);
        if is_stronger && !forbidden[hit.start..=hit.end].contains(&true) {
            found = Some(finding);
        }
    }
    found
}
