//! The Merkle tree of a log (RFC 6962, 2.1), over hashes that are stored in tiles of 256: level 0 is the leaves, and a hash of
//! level n + 1 is the root of a full tile of level n. A root and a proof need a few tiles, whatever the size. No I/O.

use std::collections::{BTreeSet, HashMap};

use crate::hash::{self, Hash};

/// Hashes of a tile.
const WIDTH: u64 = 256;
/// Levels of the binary tree in one level of tiles.
const HEIGHT: u32 = 8;

/// The place of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    pub level: u32,
    pub number: u64,
}

/// A range of stored hashes of one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub level: u32,
    pub first: u64,
    pub count: u64,
}

impl Tile {
    /// Returns the hashes of the tile in a tree of this size.
    pub fn range(self, size: u64) -> Range {
        let first = self.number * WIDTH;
        let count = (size >> (HEIGHT * self.level)).saturating_sub(first).min(WIDTH);
        Range {
            level: self.level,
            first,
            count,
        }
    }
}

/// Tiles that were read, to compute from. Each has its hashes, and those of the complete subtrees over them, by height.
#[derive(Default)]
pub struct Tiles(HashMap<Tile, Vec<Vec<Hash>>>);

impl Tiles {
    pub fn contains(&self, tile: Tile) -> bool {
        self.0.contains_key(&tile)
    }

    pub fn insert(&mut self, tile: Tile, hashes: Vec<Hash>) {
        let mut heights = vec![hashes];
        while let Some(below) = heights.last().filter(|below| below.len() > 1) {
            let pairs = below.as_chunks::<2>().0;
            heights.push(pairs.iter().map(|[left, right]| hash::node(left, right)).collect());
        }
        self.0.insert(tile, heights);
    }

    /// Returns the root of a tree of this size. `None`: a tile is missing or too short.
    pub fn root(&self, size: u64) -> Option<Hash> {
        if size == 0 {
            return Some(hash::empty_root());
        }
        root(0, size, &mut |subtree| self.complete(subtree))
    }

    /// Returns the hashes that prove that the leaf is in a tree of this size, the sibling first. `None`: a tile is missing, or the
    /// leaf is not in the tree.
    pub fn proof(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        let mut path = Vec::new();
        prove(index, 0, size, &mut |subtree| self.complete(subtree), &mut path).then_some(path)
    }

    fn complete(&self, subtree: Subtree) -> Option<Hash> {
        let (tile, height, offset) = subtree.place();
        self.0.get(&tile)?.get(height)?.get(offset).copied()
    }
}

/// Lists the tiles that the root of a tree of this size needs.
pub fn tiles_of_root(size: u64) -> BTreeSet<Tile> {
    let mut tiles = BTreeSet::new();
    if size > 0 {
        root(0, size, &mut |subtree| {
            tiles.insert(subtree.place().0);
            Some(Hash::default())
        });
    }
    tiles
}

/// Lists the tiles that the proof of a leaf in a tree of this size needs.
pub fn tiles_of_proof(index: u64, size: u64) -> BTreeSet<Tile> {
    let mut tiles = BTreeSet::new();
    let mut note = |subtree: Subtree| {
        tiles.insert(subtree.place().0);
        Some(Hash::default())
    };
    prove(index, 0, size, &mut note, &mut Vec::new());
    tiles
}

/// Returns whether the proof leads from the leaf to the root.
pub fn is_proven(index: u64, size: u64, leaf: &Hash, proof: &[Hash], expected: &Hash) -> bool {
    // RFC 9162, 2.1.3.2.
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, *leaf);
    for step in proof {
        if last == 0 {
            return false;
        }
        if at % 2 == 1 || at == last {
            hash = hash::node(step, &hash);
            while at.is_multiple_of(2) && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = hash::node(&hash, step);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *expected
}

/// Lists the stored hashes that `grow` needs besides the new leaves.
pub fn tails(old: u64, new: u64) -> Vec<Range> {
    let mut tails = Vec::new();
    for level in 0.. {
        let (before, after) = (old >> (HEIGHT * level), new >> (HEIGHT * level));
        if after / WIDTH == before / WIDTH {
            break;
        }
        if before % WIDTH > 0 {
            tails.push(Range {
                level,
                first: before - before % WIDTH,
                count: before % WIDTH,
            });
        }
    }
    tails
}

/// A hash above the leaves, with its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    pub level: u32,
    pub number: u64,
    pub hash: Hash,
}

/// Returns the hashes above the leaves that come to be when a tree of the size `old` gets these leaves. `tails` are the hashes of
/// `tails(old, new)`, by level. `None`: they have other lengths.
pub fn grow(old: u64, leaves: &[Hash], tails: &HashMap<u32, Vec<Hash>>) -> Option<Vec<Node>> {
    let mut nodes = Vec::new();
    let mut added = leaves.to_vec();
    for level in 0.. {
        let before = old >> (HEIGHT * level);
        let partial = before % WIDTH;
        if partial + (added.len() as u64) < WIDTH {
            return Some(nodes);
        }
        let mut hashes = match partial {
            0 => Vec::new(),
            _ => tails.get(&level).filter(|tail| tail.len() as u64 == partial)?.clone(),
        };
        hashes.append(&mut added);
        let first = before / WIDTH;
        let full = hashes.as_chunks::<{ WIDTH as usize }>().0;
        for (number, tile) in (first..).zip(full) {
            let hash = fold(tile);
            nodes.push(Node {
                level: level + 1,
                number,
                hash,
            });
            added.push(hash);
        }
    }
    None
}

/// The roots of the complete subtrees of a tree that grows leaf by leaf.
#[derive(Clone, Default)]
pub struct Frontier {
    size: u64,
    roots: Vec<Hash>,
}

impl Frontier {
    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn push(&mut self, leaf: &Hash) {
        let mut hash = *leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.roots.pop() {
                hash = hash::node(&left, &hash);
            }
        }
        self.roots.push(hash);
        self.size += 1;
    }

    pub fn root(&self) -> Hash {
        let joined = self
            .roots
            .iter()
            .rev()
            .copied()
            .reduce(|right, left| hash::node(&left, &right));
        joined.unwrap_or_else(hash::empty_root)
    }
}

/// A complete subtree of `2^height` leaves.
#[derive(Clone, Copy)]
struct Subtree {
    height: u32,
    number: u64,
}

impl Subtree {
    /// Returns the tile with its hashes, and its height and offset in it.
    fn place(self) -> (Tile, usize, usize) {
        let (level, rest) = (self.height / HEIGHT, self.height % HEIGHT);
        let width = WIDTH >> rest;
        let tile = Tile {
            level,
            number: self.number / width,
        };
        (tile, rest as usize, (self.number % width) as usize)
    }
}

type Complete<'a> = dyn FnMut(Subtree) -> Option<Hash> + 'a;

/// Returns the root of the leaves from `first` to `end`, which are a subtree.
fn root(first: u64, end: u64, complete: &mut Complete<'_>) -> Option<Hash> {
    let size = end - first;
    if size.is_power_of_two() && first.is_multiple_of(size) {
        return complete(Subtree {
            height: size.trailing_zeros(),
            number: first / size,
        });
    }
    let middle = first + split(size);
    let left = root(first, middle, complete);
    let right = root(middle, end, complete);
    Some(hash::node(&left?, &right?))
}

fn prove(index: u64, first: u64, end: u64, complete: &mut Complete<'_>, path: &mut Vec<Hash>) -> bool {
    if index < first || index >= end {
        return false;
    }
    if end - first == 1 {
        return true;
    }
    let middle = first + split(end - first);
    let (inside, other) = match index < middle {
        true => ((first, middle), (middle, end)),
        false => ((middle, end), (first, middle)),
    };
    let is_proven = prove(index, inside.0, inside.1, complete, path);
    let Some(sibling) = root(other.0, other.1, complete) else {
        return false;
    };
    path.push(sibling);
    is_proven
}

/// Returns the largest power of two below `size`, which is at least 2.
fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// Returns the root of a complete subtree over these hashes.
pub fn fold(hashes: &[Hash]) -> Hash {
    match hashes {
        [] => hash::empty_root(),
        [one] => *one,
        many => {
            let (left, right) = many.split_at(many.len() / 2);
            hash::node(&fold(left), &fold(right))
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_STANDARD};

    use super::*;

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|n| hash::leaf(&n.to_be_bytes())).collect()
    }

    /// The definition of RFC 6962, without tiles.
    fn plain_root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => hash::empty_root(),
            [one] => *one,
            many => {
                let (left, right) = many.split_at(split(many.len() as u64) as usize);
                hash::node(&plain_root(left), &plain_root(right))
            }
        }
    }

    /// Stores leaves in steps as the sealer does, and keeps every hash by its level.
    struct Stored(Vec<Vec<Hash>>);

    impl Stored {
        fn of(leaves: &[Hash], step: usize) -> Self {
            let mut levels = vec![Vec::new()];
            for some in leaves.chunks(step) {
                let old = levels[0].len() as u64;
                let tails = tails(old, old + some.len() as u64).into_iter().map(|tail| {
                    let stored: &Vec<Hash> = &levels[tail.level as usize];
                    (tail.level, stored[tail.first as usize..].to_vec())
                });
                let nodes = grow(old, some, &tails.collect()).unwrap();
                levels[0].extend(some);
                for node in nodes {
                    if levels.len() <= node.level as usize {
                        levels.push(Vec::new());
                    }
                    assert_eq!(levels[node.level as usize].len() as u64, node.number);
                    levels[node.level as usize].push(node.hash);
                }
            }
            Self(levels)
        }

        fn tiles(&self, tiles: BTreeSet<Tile>, size: u64) -> Tiles {
            let mut read = Tiles::default();
            for tile in tiles {
                let Range { level, first, count } = tile.range(size);
                let hashes = &self.0[level as usize][first as usize..(first + count) as usize];
                read.insert(tile, hashes.to_vec());
            }
            read
        }
    }

    #[test]
    fn three_leaves_have_the_published_root_and_proof() {
        let leaves: Vec<Hash> = [b"a", b"b", b"c"].map(|entry| hash::leaf(entry)).to_vec();
        let stored = Stored::of(&leaves, 1);
        let root = stored.tiles(tiles_of_root(3), 3).root(3).unwrap();
        assert_eq!(
            BASE64_STANDARD.encode(root),
            "NmQuc8JUCrEh46a/lUWwokmCzYMOsT080Z3jzmwCHsE="
        );
        let proof = stored.tiles(tiles_of_proof(1, 3), 3).proof(1, 3).unwrap();
        assert_eq!(proof, [leaves[0], leaves[2]]);
        assert!(is_proven(1, 3, &leaves[1], &proof, &root));
    }

    #[test]
    fn every_leaf_is_proven_in_every_size() {
        let leaves = leaves(300);
        let stored = Stored::of(&leaves, 7);
        for size in [1, 2, 3, 4, 5, 8, 200, 255, 256, 257, 300] {
            let root = stored.tiles(tiles_of_root(size), size).root(size).unwrap();
            assert_eq!(root, plain_root(&leaves[..size as usize]));
            for index in 0..size {
                let proof = stored
                    .tiles(tiles_of_proof(index, size), size)
                    .proof(index, size)
                    .unwrap();
                let leaf = &leaves[index as usize];
                assert!(is_proven(index, size, leaf, &proof, &root), "{index} of {size}");
                assert!(!is_proven(index, size, &[9; 32], &proof, &root));
                assert!(!is_proven(index + 1, size, leaf, &proof, &root));
            }
            assert!(Tiles::default().proof(size, size).is_none());
        }
    }

    #[test]
    fn frontier_has_the_root_of_each_size() {
        let leaves = leaves(300);
        let mut frontier = Frontier::default();
        assert_eq!(frontier.root(), hash::empty_root());
        for (n, leaf) in leaves.iter().enumerate() {
            frontier.push(leaf);
            assert_eq!(frontier.size(), n as u64 + 1);
            assert_eq!(frontier.root(), plain_root(&leaves[..=n]));
        }
    }

    #[test]
    fn big_trees_need_few_tiles() {
        let (size, leaves) = (70_000, leaves(70_000));
        for step in [1_000, 33_333, 70_000] {
            let stored = Stored::of(&leaves, step);
            assert_eq!(stored.0.iter().map(Vec::len).collect::<Vec<_>>(), [70_000, 273, 1]);
            let root = stored.tiles(tiles_of_root(size), size).root(size).unwrap();
            assert_eq!(root, plain_root(&leaves));
            for index in [0, 255, 256, 65_535, 65_536, 69_999] {
                let tiles = tiles_of_proof(index, size);
                assert!(tiles.len() <= 5, "{} tiles", tiles.len());
                let proof = stored.tiles(tiles, size).proof(index, size).unwrap();
                assert!(is_proven(index, size, &leaves[index as usize], &proof, &root));
            }
        }
    }

    #[test]
    fn missing_tiles_give_no_root() {
        let stored = Stored::of(&leaves(300), 300);
        assert_eq!(Tiles::default().root(300), None);
        let mut short = stored.tiles(tiles_of_root(300), 300);
        short.insert(Tile { level: 0, number: 1 }, leaves(3));
        assert_eq!(short.root(300), None);
        assert!(grow(255, &leaves(1), &HashMap::new()).is_none());
    }
}
