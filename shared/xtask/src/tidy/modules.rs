//! The modules of a crate, one per file: which items a file defines, which paths it names, and which file a path
//! leads to. Works on tokens: it knows neither types nor methods, so a call of a method makes no arrow.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use super::source::Source;

/// The path of a module, from the root of its crate.
pub type ModulePath<'a> = Vec<&'a str>;

/// Re-exports are followed up to this depth.
const MAX_REEXPORTS: usize = 8;

pub struct Module<'a> {
    pub file: &'a str,
    pub source: &'a Source,
    /// Paths in the code and in imports that are not public.
    pub references: Vec<Reference<'a>>,
    imports: Vec<Import<'a>>,
    items: BTreeSet<&'a str>,
    children: BTreeSet<&'a str>,
}

pub struct Reference<'a> {
    pub at: usize,
    pub path: Vec<&'a str>,
    /// The number of inline modules around it: so many `super` stay in the file.
    depth: usize,
}

struct Import<'a> {
    name: &'a str,
    reference: Reference<'a>,
    is_public: bool,
}

/// The modules of one crate.
pub struct Modules<'a>(pub BTreeMap<ModulePath<'a>, Module<'a>>);

impl<'a> Modules<'a> {
    /// Reads the modules from the files of a crate's `src`, with their paths relative to it.
    pub fn read(files: impl IntoIterator<Item = (&'a str, &'a Source)>) -> Self {
        let modules = files
            .into_iter()
            .filter_map(|(file, source)| Some((module_path(file)?, Module::read(file, source))));
        let mut modules: BTreeMap<_, _> = modules.collect();
        for (path, module) in &mut modules {
            module.add_references(path);
        }
        Self(modules)
    }

    /// Returns the module that defines what the reference of module `from` names; `None` outside of this crate.
    pub fn resolve(&self, from: &[&'a str], reference: &Reference<'a>) -> Option<ModulePath<'a>> {
        self.resolve_from(from, reference, 0)
    }

    fn resolve_from(&self, from: &[&'a str], reference: &Reference<'a>, reexports: usize) -> Option<ModulePath<'a>> {
        let (mut module, mut rest) = self.start(from, reference)?;
        while let Some((first, after)) = rest.split_first() {
            let mut child = module.clone();
            child.push(*first);
            if !self.0.contains_key(&child) {
                break;
            }
            (module, rest) = (child, after);
        }
        let here = self.0.get(&module)?;
        if let Some(name) = rest.first()
            && reexports < MAX_REEXPORTS
            && !here.items.contains(name)
        {
            let mut imports = here.imports.iter().filter(|import| import.name == *name);
            let found = imports.find_map(|import| self.resolve_from(&module, &import.reference, reexports + 1));
            return Some(found.unwrap_or(module));
        }
        Some(module)
    }

    /// Returns the module at which the path starts, and the rest of the path.
    fn start<'r>(&self, from: &[&'a str], reference: &'r Reference<'a>) -> Option<(ModulePath<'a>, &'r [&'a str])> {
        let path = reference.path.as_slice();
        match *path.first()? {
            "crate" => Some((Vec::new(), &path[1..])),
            "self" => Some((from.to_vec(), &path[1..])),
            "super" => {
                let count = path.iter().take_while(|segment| **segment == "super").count();
                let up = count.saturating_sub(reference.depth);
                let parent = from.get(..from.len().checked_sub(up)?)?;
                Some((parent.to_vec(), &path[count..]))
            }
            first => {
                let is_child = self.0.get(from)?.children.contains(first);
                is_child.then(|| (from.to_vec(), path))
            }
        }
    }
}

/// Returns the module of a file below `src`; `None` for programs in `src/bin`.
fn module_path(file: &str) -> Option<ModulePath<'_>> {
    let mut path: Vec<&str> = file.strip_suffix(".rs")?.split('/').collect();
    if path.first() == Some(&"bin") {
        return None;
    }
    if path.last() == Some(&"mod") || path == ["lib"] || path == ["main"] {
        path.pop();
    }
    Some(path)
}

#[derive(Clone, Copy)]
struct Token<'a> {
    at: usize,
    text: &'a str,
}

impl Token<'_> {
    fn is_name(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphanumeric() || c == '_')
    }
}

/// Splits the code outside of tests into identifiers, `::` and single characters.
fn tokens(source: &Source) -> Vec<Token<'_>> {
    let code = source.code.as_str();
    let bytes = code.as_bytes();
    let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || !byte.is_ascii();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let length = match byte {
            byte if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            byte if in_name(byte) => bytes[at..].iter().take_while(|byte| in_name(byte)).count(),
            b':' if bytes.get(at + 1) == Some(&b':') => 2,
            _ => 1,
        };
        if !source.in_test(at) {
            tokens.push(Token {
                at,
                text: &code[at..at + length],
            });
        }
        at += length;
    }
    tokens
}

impl<'a> Module<'a> {
    fn read(file: &'a str, source: &'a Source) -> Self {
        let mut module = Self {
            file,
            source,
            references: Vec::new(),
            imports: Vec::new(),
            items: BTreeSet::new(),
            children: BTreeSet::new(),
        };
        let tokens = tokens(source);
        let mut inline: Vec<Range<usize>> = Vec::new();
        let mut next = 0;
        while let Some(token) = tokens.get(next) {
            let text = |ahead: usize| tokens.get(next + ahead).map_or("", |token| token.text);
            let after_path = next > 0 && matches!(tokens[next - 1].text, "::" | "." | "'");
            match token.text {
                "use" if text(1) != "<" => {
                    next = module.read_import(&tokens, next, &inline);
                    continue;
                }
                "mod" if text(2) == ";" => {
                    module.children.insert(tokens[next + 1].text);
                }
                "mod" if text(2) == "{" => inline.push(source.bracketed(tokens[next + 2].at)),
                "fn" | "struct" | "enum" | "trait" | "type" | "const" | "static" | "union" => {
                    module.items.insert(text(1));
                }
                "macro_rules" => {
                    module.items.insert(text(2));
                }
                _ if token.is_name() && text(1) == "::" && !after_path => {
                    let path = path_at(&tokens, next);
                    next += 2 * path.len() - 1;
                    let depth = depth(&inline, token.at);
                    module.references.push(Reference {
                        at: token.at,
                        path,
                        depth,
                    });
                    continue;
                }
                _ => {}
            }
            next += 1;
        }
        module
    }

    /// Reads the `use` at token `start`. Returns the token after it.
    fn read_import(&mut self, tokens: &[Token<'a>], start: usize, inline: &[Range<usize>]) -> usize {
        let end = tokens[start..].iter().position(|token| token.text == ";");
        let end = end.map_or(tokens.len(), |offset| start + offset);
        let is_public = start > 0 && is_visibility(tokens, start - 1);
        let depth = depth(inline, tokens[start].at);
        let mut leaves = Vec::new();
        read_tree(&tokens[start + 1..end], &mut 0, &[], &mut leaves);
        for Leaf { name, path, at } in leaves {
            self.imports.push(Import {
                name,
                reference: Reference { at, path, depth },
                is_public,
            });
        }
        end + 1
    }

    /// Counts imports as references, except re-exports from files below this one.
    fn add_references(&mut self, own_path: &[&str]) {
        for Import {
            reference, is_public, ..
        } in &self.imports
        {
            let is_below = match reference.path.split_first() {
                Some((&"self", _)) => true,
                Some((&"crate", rest)) => rest.starts_with(own_path),
                Some((first, _)) => self.children.contains(first),
                None => true,
            };
            if !(*is_public && is_below) {
                self.references.push(Reference {
                    at: reference.at,
                    path: reference.path.clone(),
                    depth: reference.depth,
                });
            }
        }
    }
}

fn depth(inline: &[Range<usize>], at: usize) -> usize {
    inline.iter().filter(|range| range.contains(&at)).count()
}

/// Whether the token ends a `pub` or `pub(..)`.
fn is_visibility(tokens: &[Token<'_>], last: usize) -> bool {
    match tokens[last].text {
        "pub" => true,
        ")" => tokens[..last].iter().rev().take(5).any(|token| token.text == "pub"),
        _ => false,
    }
}

/// Reads the segments `a::b::c` that start at a token.
fn path_at<'a>(tokens: &[Token<'a>], start: usize) -> Vec<&'a str> {
    let mut path = vec![tokens[start].text];
    let mut next = start + 1;
    while tokens.get(next).is_some_and(|token| token.text == "::")
        && let Some(token) = tokens.get(next + 1)
        && token.is_name()
    {
        path.push(token.text);
        next += 2;
    }
    path
}

/// One name that a `use` brings into scope.
struct Leaf<'a> {
    name: &'a str,
    path: Vec<&'a str>,
    at: usize,
}

/// Expands a tree of imports, from token `next` to the end of its list.
fn read_tree<'a>(tokens: &[Token<'a>], next: &mut usize, prefix: &[&'a str], leaves: &mut Vec<Leaf<'a>>) {
    let (mut path, mut alias, mut at) = (prefix.to_vec(), None, None);
    while let Some(token) = tokens.get(*next) {
        *next += 1;
        match token.text {
            "{" => {
                read_tree(tokens, next, &path, leaves);
                path.clear();
            }
            "," | "}" => {
                push_leaf(&path, prefix, alias, at, leaves);
                if token.text == "}" {
                    return;
                }
                (path, alias, at) = (prefix.to_vec(), None, None);
            }
            "as" => {
                alias = tokens.get(*next).map(|token| token.text);
                *next += 1;
            }
            "::" => {}
            segment => {
                at = Some(token.at);
                path.push(segment);
            }
        }
    }
    push_leaf(&path, prefix, alias, at, leaves);
}

fn push_leaf<'a>(
    path: &[&'a str],
    prefix: &[&'a str],
    alias: Option<&'a str>,
    at: Option<usize>,
    leaves: &mut Vec<Leaf<'a>>,
) {
    let Some(at) = at.filter(|_| path.len() > prefix.len()) else {
        return;
    };
    let mut path = path.to_vec();
    if path.len() > 1 && path.last() == Some(&"self") {
        path.pop();
    }
    if let Some(name) = alias.or_else(|| path.last().copied()) {
        leaves.push(Leaf { name, path, at });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The files that each reference of `a/b.rs` leads to.
    fn resolved(text: &str, others: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<(&str, Source)> = others
            .iter()
            .chain(&[("a/b.rs", text)])
            .map(|(file, text)| (*file, Source::new(text)))
            .collect();
        let modules = Modules::read(sources.iter().map(|(file, source)| (*file, source)));
        let from = vec!["a", "b"];
        let targets = modules.0[&from].references.iter().filter_map(|reference| {
            let target = modules.resolve(&from, reference)?;
            Some(modules.0[&target].file.to_owned())
        });
        targets.collect()
    }

    const OTHERS: &[(&str, &str)] = &[
        ("lib.rs", "mod a; mod c; pub use c::Thing;"),
        ("a/mod.rs", "mod b; mod d; pub use d::{Inner as Outer}; pub struct Own;"),
        ("a/d.rs", "pub struct Inner;"),
        ("c.rs", "pub struct Thing; pub fn f() {}"),
    ];

    #[test]
    fn resolves_paths_in_imports_and_code() {
        assert_eq!(resolved("use crate::c::{self, f};", OTHERS), ["c.rs", "c.rs"]);
        assert_eq!(resolved("use super::{Own, d::Inner};", OTHERS), ["a/mod.rs", "a/d.rs"]);
        assert_eq!(
            resolved("fn g() { crate::c::f::<u8>(); super::d::Inner }", OTHERS),
            ["c.rs", "a/d.rs"]
        );
        assert_eq!(resolved("use super::super::c::*;", OTHERS), ["c.rs"]);
        assert!(resolved("use std::io; fn g(x: &str) { io::stdin(); x.parse::<u8>() }", OTHERS).is_empty());
    }

    #[test]
    fn follows_reexports_to_the_definition() {
        assert_eq!(
            resolved("use super::Outer; use crate::Thing;", OTHERS),
            ["a/d.rs", "c.rs"]
        );
    }

    #[test]
    fn ignores_tests_and_reexports_of_children() {
        assert!(resolved("#[cfg(test)]\nmod tests { use crate::c::f; }", OTHERS).is_empty());
        let with_child = [OTHERS, &[("a/b/e.rs", "pub struct E;")]].concat();
        assert!(resolved("mod e; pub use e::E; pub(super) use self::e::E as F;", &with_child).is_empty());
        assert_eq!(
            resolved("mod e; use e::E; fn g() { e::E }", &with_child),
            ["a/b/e.rs", "a/b/e.rs"]
        );
        assert_eq!(resolved("pub use super::d::Inner;", OTHERS), ["a/d.rs"]);
    }

    #[test]
    fn counts_super_from_an_inline_module() {
        assert_eq!(
            resolved("mod inline { use super::x; use super::super::d::Inner; }", OTHERS),
            ["a/b.rs", "a/d.rs"]
        );
    }
}
