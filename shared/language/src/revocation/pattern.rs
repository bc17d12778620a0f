//! The automaton of all patterns, read from the text files of the languages.
//!
//! A line is a pattern: a section's name, a colon and groups of words. A group is a list of alternatives, `a|b`, of which one
//! follows; in brackets, `[a|b]`, it may be left out. An alternative is a word, a phrase (`do_not`), a stem (`call*`), a name with a capital letter (`%name`) or a list
//! of the file (`@calls`), which a line `@calls = call|ring` defines. `..` stands for up to three words, and `...` for up to six, between which clauses may begin.
//! `<` demands that a clause begins here, `>` that it ends, and `<<` and `>>` the same of the text. Words of the sections
//! `filler` and `joint` before and after do not count; those of `joint`, such as "and", begin a clause.

use std::collections::{HashMap, HashSet};

use super::text::NAME;
use crate::keywords::normalize::{fold, words};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Consent is revoked.
    Clear,
    /// Perhaps consent is revoked.
    Likely,
    /// As `Clear`: the number is not that of the person.
    Wrong,
    /// As `Likely`: the number is not that of the person.
    LikelyWrong,
    /// The words mean something else: no pattern counts that shares a word with it.
    Veto,
    /// A pattern that shares a word with it is not clear.
    Doubt,
}

/// How strict an edge of a pattern is: 0 is anywhere, 1 at the edge of a clause, 2 at the edge of the text.
pub(super) type Edge = u8;

/// A group of single words that stand for each other.
pub(super) type Set = u32;
pub(super) type Node = u32;

#[derive(Default)]
pub(super) struct State {
    /// The nodes that a word of the set leads to.
    pub words: Vec<(Set, Node)>,
    /// The node that any word leads to.
    pub any: Option<Node>,
    /// The nodes that no word leads to.
    pub skips: Vec<Node>,
    pub accepts: Option<(Kind, Edge)>,
    /// The next word may begin a clause.
    pub crosses: bool,
}

#[derive(Default)]
pub(super) struct Automaton {
    pub states: Vec<State>,
    /// By the set of the first word.
    pub starts: HashMap<Set, Vec<(Edge, Node)>>,
    pub fillers: HashSet<String>,
    pub joints: HashSet<String>,
    exact: HashMap<String, Vec<Set>>,
    stems: HashMap<String, Vec<Set>>,
    sets: HashMap<Vec<String>, Set>,
}

/// In words.
const SHORT_GAP: usize = 3;
const LONG_GAP: usize = 6;

type Lists = HashMap<String, Vec<String>>;

impl Automaton {
    /// Reads the patterns of the files. Returns the first line that is malformed.
    pub(super) fn read<'a>(files: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut automaton = Self::default();
        for file in files {
            let mut lists = Lists::new();
            for line in file.lines().map(str::trim) {
                if !line.is_empty() && !line.starts_with('#') {
                    automaton.add(line, &mut lists).ok_or_else(|| line.to_owned())?;
                }
            }
        }
        Ok(automaton)
    }

    /// Returns the sets that a form of a word is in.
    pub(super) fn sets_of<'a>(&'a self, form: &'a str) -> impl Iterator<Item = Set> + 'a {
        let ends = form.char_indices().map(|(at, c)| at + c.len_utf8());
        let stems = ends.filter_map(move |end| self.stems.get(&form[..end])).flatten();
        self.exact.get(form).into_iter().flatten().chain(stems).copied()
    }

    fn add(&mut self, line: &str, lists: &mut Lists) -> Option<()> {
        if let Some(list) = line.strip_prefix('@') {
            let (name, text) = list.split_once('=')?;
            let choices = choices(text.trim(), lists)?;
            lists.insert(name.trim().to_owned(), choices);
            return Some(());
        }
        let (section, text) = line.split_once(':')?;
        let kind = match section {
            "clear" => Kind::Clear,
            "likely" => Kind::Likely,
            "wrong" => Kind::Wrong,
            "likely-wrong" => Kind::LikelyWrong,
            "veto" => Kind::Veto,
            "doubt" => Kind::Doubt,
            "filler" => {
                self.fillers.extend(text.split_whitespace().map(plain));
                return Some(());
            }
            "joint" => {
                self.joints.extend(text.split_whitespace().map(plain));
                return Some(());
            }
            _ => return None,
        };
        self.add_pattern(kind, text, lists)
    }

    fn add_pattern(&mut self, kind: Kind, text: &str, lists: &Lists) -> Option<()> {
        let mut groups: Vec<&str> = text.split_whitespace().collect();
        let edge = |group: Option<&&str>, sign: char| {
            group.map_or(0, |group| {
                let is_edge = group.len() <= 2 && group.chars().all(|c| c == sign);
                if is_edge { group.len() as Edge } else { 0 }
            })
        };
        let (begin, end) = (edge(groups.first(), '<'), edge(groups.last(), '>'));
        groups.drain(..usize::from(begin > 0));
        groups.truncate(groups.len() - usize::from(end > 0));
        let first = self.state();
        let mut at = first;
        for group in groups {
            at = self.add_group(group, at, lists)?;
        }
        self.states[at as usize].accepts = Some((kind, end));
        let mut open = vec![first];
        while let Some(node) = open.pop() {
            let state = &self.states[node as usize];
            // A pattern that can begin with any word, or that consists of none, can't be found by its first word.
            if state.any.is_some() || node == at {
                return None;
            }
            for (set, next) in &state.words {
                self.starts.entry(*set).or_default().push((begin, *next));
            }
            open.extend(&state.skips);
        }
        Some(())
    }

    fn add_group(&mut self, group: &str, mut at: Node, lists: &Lists) -> Option<Node> {
        if group.bytes().all(|b| b == b'.') {
            let length = match group.len() {
                2 => SHORT_GAP,
                3 => LONG_GAP,
                _ => return None,
            };
            let last = self.state();
            self.states[last as usize].crosses = length == LONG_GAP;
            for _ in 0..length {
                let next = self.state();
                self.states[at as usize].crosses = length == LONG_GAP;
                self.states[at as usize].any = Some(next);
                self.states[at as usize].skips.push(last);
                at = next;
            }
            self.states[at as usize].skips.push(last);
            return Some(last);
        }
        let optional = group.strip_prefix('[').and_then(|group| group.strip_suffix(']'));
        let end = self.state();
        if optional.is_some() {
            self.states[at as usize].skips.push(end);
        }
        let choices = choices(optional.unwrap_or(group), lists)?;
        let (phrases, single): (Vec<_>, Vec<_>) = choices.into_iter().partition(|choice| choice.contains(' '));
        if !single.is_empty() {
            let set = self.set(single);
            self.states[at as usize].words.push((set, end));
        }
        for phrase in phrases {
            let words: Vec<&str> = phrase.split(' ').collect();
            let mut node = at;
            for (place, word) in words.iter().enumerate() {
                let next = if place + 1 == words.len() { end } else { self.state() };
                let set = self.set(vec![(*word).to_owned()]);
                self.states[node as usize].words.push((set, next));
                node = next;
            }
        }
        Some(end)
    }

    fn state(&mut self) -> Node {
        self.states.push(State::default());
        (self.states.len() - 1) as Node
    }

    fn set(&mut self, mut choices: Vec<String>) -> Set {
        choices.sort_unstable();
        choices.dedup();
        if let Some(set) = self.sets.get(&choices) {
            return *set;
        }
        let set = self.sets.len() as Set;
        for choice in &choices {
            let (known, word) = match choice.strip_suffix('*') {
                Some(stem) => (&mut self.stems, stem),
                None => (&mut self.exact, choice.as_str()),
            };
            known.entry(word.to_owned()).or_default().push(set);
        }
        self.sets.insert(choices, set);
        set
    }

    /// Returns how many sets there are.
    pub(super) fn set_count(&self) -> usize {
        self.sets.len()
    }
}

/// Returns the alternatives of a group, in plain form.
fn choices(text: &str, lists: &Lists) -> Option<Vec<String>> {
    let mut choices = Vec::new();
    for choice in text.split('|').map(str::trim) {
        if let Some(name) = choice.strip_prefix('@') {
            choices.extend(lists.get(name)?.iter().cloned());
            continue;
        }
        if choice == NAME {
            choices.push(NAME.to_owned());
            continue;
        }
        let words: Vec<String> = choice.split('_').map(plain).collect();
        if words.iter().any(|word| word.trim_end_matches('*').is_empty()) {
            return None;
        }
        choices.push(words.join(" "));
    }
    Some(choices)
}

fn plain(word: &str) -> String {
    let star = if word.ends_with('*') { "*" } else { "" };
    let folded: Vec<String> = words(word).iter().map(|word| fold(word)).collect();
    folded.concat() + star
}
