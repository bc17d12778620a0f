//! The files of a crate depend on each other in one direction only.
//!
//! File A depends on file B if A names an item of B outside of tests, in a `use` or in a path. Two things do not count:
//! a file that uses items of its parent modules (`mod.rs` and `lib.rs` may define what their children share), and a
//! parent that declares or re-exports its children. A circle is a group of files that all depend on each other, directly
//! or through others. Methods are not seen: `call.end()` makes no arrow to the file that defines `end`.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Finding,
    modules::{ModulePath, Modules},
    source::Source,
    tree::{Tree, is_test},
};

/// For each module, the modules that it depends on, and the line of the first reference to each.
type Graph<'a> = BTreeMap<ModulePath<'a>, BTreeMap<ModulePath<'a>, usize>>;

pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut crates: BTreeMap<&str, Vec<(&str, &Source)>> = BTreeMap::new();
    for (path, source) in tree.rust().filter(|(path, _)| !is_test(path)) {
        if let Some((folder, file)) = path.split_once("/src/") {
            crates.entry(folder).or_default().push((file, source));
        }
    }
    let mut findings = Vec::new();
    for (folder, mut files) in crates {
        if files.iter().any(|(file, _)| *file == "lib.rs") {
            files.retain(|(file, _)| *file != "main.rs");
        }
        let modules = Modules::read(files);
        let graph = graph(&modules);
        for circle in circles(&graph) {
            findings.push(finding(folder, &modules, &graph, &circle));
        }
    }
    findings
}

fn graph<'a>(modules: &Modules<'a>) -> Graph<'a> {
    let mut graph = Graph::new();
    for (from, module) in &modules.0 {
        let mut offsets: BTreeMap<ModulePath<'a>, usize> = BTreeMap::new();
        for reference in &module.references {
            let Some(to) = modules.resolve(from, reference) else {
                continue;
            };
            if !from.starts_with(&to) {
                let first = offsets.entry(to).or_insert(reference.at);
                *first = reference.at.min(*first);
            }
        }
        graph.insert(from.clone(), offsets);
    }
    graph
}

/// Returns the groups of two or more modules that reach each other.
fn circles<'a>(graph: &Graph<'a>) -> Vec<BTreeSet<ModulePath<'a>>> {
    let reached: BTreeMap<_, _> = graph.keys().map(|module| (module, reachable(graph, module))).collect();
    let mut circles: BTreeSet<BTreeSet<ModulePath<'a>>> = BTreeSet::new();
    for (module, others) in &reached {
        let mutual = others
            .iter()
            .filter(|other| reached.get(other).is_some_and(|back| back.contains(*module)));
        let circle: BTreeSet<_> = mutual.cloned().collect();
        if circle.len() > 1 {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

fn reachable<'a>(graph: &Graph<'a>, from: &ModulePath<'a>) -> BTreeSet<ModulePath<'a>> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(module) = open.pop() {
        for next in graph.get(module).into_iter().flat_map(BTreeMap::keys) {
            if seen.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    seen
}

/// Describes a circle by its arrows, one a line.
fn finding<'a>(folder: &str, modules: &Modules<'a>, graph: &Graph<'a>, circle: &BTreeSet<ModulePath<'a>>) -> Finding {
    let mut problem = format!("circle of {} files", circle.len());
    let mut first = None;
    for from in circle {
        let Some(module) = modules.0.get(from) else { continue };
        let arrows = graph
            .get(from)
            .into_iter()
            .flatten()
            .filter(|(to, _)| circle.contains(*to));
        for (to, at) in arrows {
            let line = module.source.line(*at);
            first.get_or_insert((module.file, line));
            let to = modules.0.get(to).map_or("", |module| module.file);
            problem += &format!("\n    {folder}/src/{}:{line} uses {to}", module.file);
        }
    }
    let (file, line) = first.unwrap_or_default();
    let hint = "move the shared items into a file below both, or pass them as arguments";
    Finding::new(format!("{folder}/src/{file}"), line, problem, hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{places, tree::tests::tree_of};

    fn check_files(files: &[(&str, &str)]) -> Vec<String> {
        places(check(&tree_of(files)))
    }

    const LIB: (&str, &str) = ("x/src/lib.rs", "mod a; mod b; mod c;");

    #[test]
    fn accepts_files_that_depend_in_one_direction() {
        let files = [
            LIB,
            ("x/src/a.rs", "use crate::b::B;"),
            ("x/src/b.rs", "use crate::c::C;"),
            ("x/src/c.rs", ""),
        ];
        assert!(check_files(&files).is_empty());
    }

    #[test]
    fn rejects_a_circle_of_siblings() {
        let files = [
            LIB,
            ("x/src/a.rs", "\nuse super::b::B;"),
            ("x/src/b.rs", "fn f() { crate::c::g() }"),
            ("x/src/c.rs", "use crate::{a::A};"),
        ];
        let findings = check(&tree_of(&files));
        assert_eq!(findings.len(), 1);
        assert!(
            findings[0].problem.contains("circle of 3 files"),
            "{}",
            findings[0].problem
        );
        for arrow in [
            "x/src/a.rs:2 uses b.rs",
            "x/src/b.rs:1 uses c.rs",
            "x/src/c.rs:1 uses a.rs",
        ] {
            assert!(findings[0].problem.contains(arrow), "{}", findings[0].problem);
        }
    }

    #[test]
    fn accepts_children_that_use_their_parent() {
        let files = [
            ("x/src/lib.rs", "mod a; fn f() { a::g() }"),
            ("x/src/a/mod.rs", "mod b; pub use b::B; pub struct A; fn g() { b::h() }"),
            ("x/src/a/b.rs", "use super::A; use crate::f;"),
        ];
        assert!(check_files(&files).is_empty());
    }

    #[test]
    fn rejects_a_circle_through_a_parent() {
        let files = [
            ("x/src/lib.rs", "mod a; mod c;"),
            ("x/src/a/mod.rs", "mod b; fn g() { b::h() }"),
            ("x/src/a/b.rs", "use crate::c::C;"),
            ("x/src/c.rs", "use crate::a::g;"),
        ];
        assert_eq!(check_files(&files), ["x/src/a/mod.rs:1"]);
    }

    #[test]
    fn ignores_tests() {
        let files = [
            LIB,
            ("x/src/a.rs", "use crate::b::B;"),
            ("x/src/b.rs", "#[cfg(test)]\nmod tests { use crate::a::A; }"),
            ("x/src/b/tests.rs", "use crate::a::A;"),
        ];
        assert!(check_files(&files).is_empty());
    }
}
