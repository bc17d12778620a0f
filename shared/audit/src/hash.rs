//! The hashes of the log: leaves and nodes of RFC 6962, and the chain over the leaves. No I/O.

use sha2::{Digest, Sha256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// Hashes an entry as a leaf of the tree (RFC 6962, 2.1).
pub fn leaf(entry: &[u8]) -> Hash {
    digest(&[&[0], entry])
}

/// Hashes two subtrees as their parent.
pub fn node(left: &Hash, right: &Hash) -> Hash {
    digest(&[&[1], left, right])
}

/// Returns the root of a tree without leaves.
pub fn empty_root() -> Hash {
    digest(&[])
}

/// Returns the value that the chain of a log begins with. It contains the log, so that no log passes as another.
pub fn genesis(log: &str) -> Hash {
    digest(&[b"butt-dial audit chain 1\n", log.as_bytes()])
}

/// Continues a chain with a leaf.
pub fn chain(previous: &Hash, leaf: &Hash) -> Hash {
    digest(&[previous, leaf])
}

pub(crate) fn digest(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_STANDARD};

    use super::*;

    #[test]
    fn hashes_as_the_published_vectors() {
        for (hash, expected) in [
            (leaf(b"a"), "Aippeebat6pa5MPl5F9+l3ESp+Y1k4INvsHsc4ok+Tw="),
            (leaf(b"b"), "V+s1YV1H807HFMrN9f10YIpejhAnJOgLJLKHwMJ7ajE="),
            (leaf(b"c"), "WX/LMSgtNGVMIA00GPylcFxkjr8ybsc9jd7xGEH4dtg="),
            (empty_root(), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
        ] {
            assert_eq!(BASE64_STANDARD.encode(hash), expected);
        }
    }

    #[test]
    fn chains_of_logs_differ_from_the_beginning() {
        assert_ne!(genesis("org_1"), genesis("org_2"));
        let one = leaf(b"a");
        assert_ne!(chain(&genesis("org_1"), &one), chain(&genesis("org_2"), &one));
    }
}
