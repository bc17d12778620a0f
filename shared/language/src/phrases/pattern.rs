//! The automaton of all patterns of a subject, read from the text files of the languages.
//!
//! A line is a pattern: a section's name, a colon and groups of words. A group is a list of alternatives, `a|b`, of which one
//! follows; in brackets, `[a|b]`, it may be left out. An alternative is a word, a phrase (`do_not`), a stem (`call*`), a class of
//! words such as names (`%name`), or a list of the file (`@calls`), which a line `@calls = call|ring` defines. `..` permits up to
//! three words, and `...` up to six, between which clauses may begin. `<` demands that a clause begins here, `>` that it ends, and
//! `<<` and `>>` the same of the text. Words of the sections `filler` and `joint` before and after do not count; those of `joint`,
//! such as "and", begin a clause.

use std::collections::{HashMap, HashSet};

use super::word::{CLASSES, is_ideograph};
use crate::keywords::normalize::{fold, words};

/// How strict an edge of a pattern is: 0 is anywhere, 1 at the edge of a clause, 2 at the edge of the text.
pub(crate) type Edge = u8;

/// A group of single words that stand for each other.
pub(crate) type Set = u32;
pub(crate) type Node = u32;

pub(crate) struct State<K> {
    /// The nodes that a word of the set leads to.
    pub words: Vec<(Set, Node)>,
    /// The node that any word leads to.
    pub any: Option<Node>,
    /// The nodes that no word leads to.
    pub skips: Vec<Node>,
    pub accepts: Option<(K, Edge)>,
    /// The next word may begin a clause.
    pub crosses: bool,
}

pub(crate) struct Automaton<K> {
    pub states: Vec<State<K>>,
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

impl<K> Default for State<K> {
    fn default() -> Self {
        Self {
            words: Vec::new(),
            any: None,
            skips: Vec::new(),
            accepts: None,
            crosses: false,
        }
    }
}

impl<K> Default for Automaton<K> {
    fn default() -> Self {
        Self {
            states: Vec::new(),
            starts: HashMap::new(),
            fillers: HashSet::new(),
            joints: HashSet::new(),
            exact: HashMap::new(),
            stems: HashMap::new(),
            sets: HashMap::new(),
        }
    }
}

type Lists = HashMap<String, Vec<String>>;

impl<K: Copy> Automaton<K> {
    /// Reads the patterns of the files; `kind` reads the name of a section. Returns the first line that is malformed.
    pub(crate) fn read<'a>(
        files: impl IntoIterator<Item = &'a str>,
        kind: fn(&str) -> Option<K>,
    ) -> Result<Self, String> {
        let mut automaton = Self::default();
        for file in files {
            let mut lists = Lists::new();
            for line in file.lines().map(str::trim) {
                if !line.is_empty() && !line.starts_with('#') {
                    automaton.add(line, &mut lists, kind).ok_or_else(|| line.to_owned())?;
                }
            }
        }
        Ok(automaton)
    }

    /// Returns the sets that a form of a word is in.
    pub(crate) fn sets_of<'a>(&'a self, form: &'a str) -> impl Iterator<Item = Set> + 'a {
        let ends = form.char_indices().map(|(at, c)| at + c.len_utf8());
        let stems = ends.filter_map(move |end| self.stems.get(&form[..end])).flatten();
        self.exact.get(form).into_iter().flatten().chain(stems).copied()
    }

    fn add(&mut self, line: &str, lists: &mut Lists, kind: fn(&str) -> Option<K>) -> Option<()> {
        if let Some(list) = line.strip_prefix('@') {
            let (name, text) = list.split_once('=')?;
            let choices = choices(text.trim(), lists)?;
            lists.insert(name.trim().to_owned(), choices);
            return Some(());
        }
        let (section, text) = line.split_once(':')?;
        match section {
            "filler" => self.fillers.extend(text.split_whitespace().map(plain)),
            "joint" => self.joints.extend(text.split_whitespace().map(plain)),
            _ => self.add_pattern(kind(section)?, text, lists)?,
        }
        Some(())
    }

    fn add_pattern(&mut self, kind: K, text: &str, lists: &Lists) -> Option<()> {
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

    /// Lets the words of all patterns be in several clauses.
    pub(crate) fn cross_clauses(&mut self) {
        for state in &mut self.states {
            state.crosses = true;
        }
    }

    /// Returns how many sets there are.
    pub(crate) fn set_count(&self) -> usize {
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
        if CLASSES.contains(&choice) {
            choices.push(choice.to_owned());
            continue;
        }
        let words: Vec<String> = choice.split('_').flat_map(|word| separate(plain(word))).collect();
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

/// Separates the characters of a script without spaces, of which each is a word.
fn separate(word: String) -> Vec<String> {
    if word.chars().any(is_ideograph) {
        word.chars().map(String::from).collect()
    } else {
        vec![word]
    }
}
