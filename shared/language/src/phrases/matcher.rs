//! Runs the automaton over the words of a text, once. The work for a word is bounded by the number of states.

use super::{
    pattern::{Automaton, Edge, Node},
    word::Word,
};

/// A pattern that fits the words from `start` to `end`.
#[derive(Clone, Copy)]
pub(crate) struct Hit<K> {
    pub kind: K,
    pub start: usize,
    pub end: usize,
}

/// Which states are active, and the latest word at which the way to each began.
struct Active {
    nodes: Vec<(Node, usize)>,
    /// By node: the word at which it was reached last, counted from one.
    reached: Vec<usize>,
}

impl Active {
    /// Adds a node and those that no word leads to.
    fn add<K>(&mut self, automaton: &Automaton<K>, node: Node, start: usize, at: usize) {
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            if self.reached[node as usize] == at {
                continue;
            }
            self.reached[node as usize] = at;
            self.nodes.push((node, start));
            open.extend(&automaton.states[node as usize].skips);
        }
    }
}

/// Returns all patterns that fit, and how many states were active in sum.
pub(crate) fn run<K: Copy>(automaton: &Automaton<K>, words: &[Word]) -> (Vec<Hit<K>>, usize) {
    let (starts, ends) = edges(automaton, words);
    let (mut hits, mut work) = (Vec::new(), 0);
    let mut active = Active {
        nodes: Vec::new(),
        reached: vec![0; automaton.states.len()],
    };
    // By set: the word that was in it last, counted from one.
    let mut seen = vec![0; automaton.set_count()];
    for (at, word) in words.iter().enumerate() {
        let stamp = at + 1;
        let mut sets = Vec::new();
        for set in word.forms.iter().flat_map(|form| automaton.sets_of(form)) {
            if seen[set as usize] != stamp {
                seen[set as usize] = stamp;
                sets.push(set);
            }
        }
        // Later starts come first, so that the shortest way to a node counts.
        let before = std::mem::take(&mut active.nodes);
        for set in sets {
            for (edge, node) in automaton.starts.get(&set).into_iter().flatten() {
                if starts[at] >= *edge {
                    active.add(automaton, *node, at, stamp);
                }
            }
        }
        if !word.starts_sentence {
            for (node, start) in before {
                let state = &automaton.states[node as usize];
                if word.starts_clause && !state.crosses {
                    continue;
                }
                if let Some(next) = state.any {
                    active.add(automaton, next, start, stamp);
                }
                for (set, next) in &state.words {
                    if seen[*set as usize] == stamp {
                        active.add(automaton, *next, start, stamp);
                    }
                }
            }
        }
        work += active.nodes.len();
        active
            .nodes
            .sort_unstable_by_key(|(_, start)| std::cmp::Reverse(*start));
        for (node, start) in &active.nodes {
            if let Some((kind, edge)) = automaton.states[*node as usize].accepts
                && ends[at] >= edge
            {
                hits.push(Hit {
                    kind,
                    start: *start,
                    end: at,
                });
            }
        }
    }
    (hits, work)
}

/// Returns for each word whether a clause or the text begins with it, and ends with it, fillers aside.
fn edges<K>(automaton: &Automaton<K>, words: &[Word]) -> (Vec<Edge>, Vec<Edge>) {
    let is_in =
        |known: &std::collections::HashSet<String>, word: &Word| word.forms.iter().any(|form| known.contains(form));
    let joints: Vec<bool> = words.iter().map(|word| is_in(&automaton.joints, word)).collect();
    let fillers: Vec<bool> = words
        .iter()
        .zip(&joints)
        .map(|(word, is_joint)| *is_joint || is_in(&automaton.fillers, word))
        .collect();
    let last = words.len().saturating_sub(1);
    let (mut starts, mut ends): (Vec<Edge>, Vec<Edge>) = (vec![0; words.len()], vec![0; words.len()]);
    for at in 0..words.len() {
        let begins = if at == 0 {
            2
        } else {
            Edge::from(words[at].starts_clause || joints[at])
        };
        let after = if at > 0 && fillers[at - 1] { starts[at - 1] } else { 0 };
        starts[at] = begins.max(after);
    }
    for at in (0..words.len()).rev() {
        let stops = match words.get(at + 1) {
            None => 2,
            Some(next) => Edge::from(next.starts_clause || joints[at + 1]),
        };
        let before = if at < last && fillers[at + 1] { ends[at + 1] } else { 0 };
        ends[at] = stops.max(before);
    }
    (starts, ends)
}
