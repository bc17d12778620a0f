//! Signed notes and checkpoints of C2SP, and the receipts that contain them (tlog-proof). No I/O.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use crate::hash::{Hash, digest};

/// The type of an Ed25519 key in a note.
const ED25519_KEY: u8 = 1;
const PROOF_HEADER: &str = "c2sp.org/tlog-proof@v1";

/// Signs the checkpoints of a log. Must not be printed.
pub struct Signer {
    name: String,
    key: Ed25519KeyPair,
}

/// Verifies the checkpoints of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    pub name: String,
    pub key: [u8; 32],
}

/// The statement of a checkpoint: the log has this root at this size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    pub origin: String,
    pub size: u64,
    pub root: Hash,
}

impl Signer {
    /// `name` identifies the log: without white space and `+`. `None`: the seed is no key.
    pub fn new(name: &str, seed: &[u8; 32]) -> Option<Self> {
        Some(Self {
            name: name.to_owned(),
            key: Ed25519KeyPair::from_seed_unchecked(seed).ok()?,
        })
    }

    pub fn verifier(&self) -> Verifier {
        let mut key = [0; 32];
        key.copy_from_slice(self.key.public_key().as_ref());
        Verifier {
            name: self.name.clone(),
            key,
        }
    }

    /// Signs a text that ends with a line break. Returns the note.
    pub fn sign(&self, text: &str) -> String {
        let id = self.verifier().id();
        let signature = [&id, self.key.sign(text.as_bytes()).as_ref()].concat();
        let signature = BASE64_STANDARD.encode(signature);
        format!("{text}\n\u{2014} {} {signature}\n", self.name)
    }

    /// Signs the size and root of the log. The name of the key is its origin.
    pub fn checkpoint(&self, size: u64, root: &Hash) -> String {
        let root = BASE64_STANDARD.encode(root);
        self.sign(&format!("{}\n{size}\n{root}\n", self.name))
    }
}

impl Verifier {
    /// Identifies the key in signature lines.
    pub fn id(&self) -> [u8; 4] {
        let hash = digest(&[self.name.as_bytes(), b"\n", &[ED25519_KEY], &self.key]);
        [hash[0], hash[1], hash[2], hash[3]]
    }

    /// Writes the key for verifiers of other programs.
    pub fn vkey(&self) -> String {
        let key = BASE64_STANDARD.encode([&[ED25519_KEY], &self.key[..]].concat());
        format!("{}+{}+{key}", self.name, hex::encode(self.id()))
    }

    /// Returns the text of a note that the key has signed. Signatures of other keys do not count.
    pub fn open<'a>(&self, note: &'a str) -> Option<&'a str> {
        let (text, signatures) = note.rsplit_once("\n\n")?;
        let text = &note[..text.len() + 1];
        let mut verified = false;
        for line in signatures.lines() {
            let (name, signature) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
            let bytes = BASE64_STANDARD.decode(signature).ok()?;
            let (id, signature) = bytes.split_at_checked(4)?;
            if name == self.name && id == self.id() {
                let key = UnparsedPublicKey::new(&ED25519, &self.key);
                key.verify(text.as_bytes(), signature).ok()?;
                verified = true;
            }
        }
        verified.then_some(text)
    }

    /// Returns what a checkpoint of this log states. `None`: it is not signed by the key, or of another log.
    pub fn open_checkpoint(&self, note: &str) -> Option<Checkpoint> {
        let mut lines = self.open(note)?.lines();
        let origin = lines.next().filter(|origin| *origin == self.name)?.to_owned();
        let size = lines.next()?.parse().ok()?;
        let root = BASE64_STANDARD.decode(lines.next()?).ok()?.try_into().ok()?;
        Some(Checkpoint { origin, size, root })
    }
}

/// Writes a receipt: the place of a leaf in a signed tree. `extra` is for the holder, and not authenticated by the log.
pub fn receipt(extra: Option<&[u8]>, index: u64, proof: &[Hash], checkpoint: &str) -> String {
    let extra = extra.map(|extra| format!("extra {}\n", BASE64_STANDARD.encode(extra)));
    let hashes: String = proof
        .iter()
        .map(|hash| format!("{}\n", BASE64_STANDARD.encode(hash)))
        .collect();
    format!(
        "{PROOF_HEADER}\n{}index {index}\n{hashes}\n{checkpoint}",
        extra.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const VKEY: &str = "example.com/receipts+568fe56e+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c";
    const RECEIPT: &str = "c2sp.org/tlog-proof@v1\nindex 1\nAippeebat6pa5MPl5F9+l3ESp+Y1k4INvsHsc4ok+Tw=\n\
        WX/LMSgtNGVMIA00GPylcFxkjr8ybsc9jd7xGEH4dtg=\n\nexample.com/receipts\n3\n\
        NmQuc8JUCrEh46a/lUWwokmCzYMOsT080Z3jzmwCHsE=\n\n\u{2014} example.com/receipts \
        Vo/lbhd6hV9Q49Ytem7dmJsitDIuUQyU7U21SpkBJrflxuu1Mqa4tQVps5upPmVYFz9LZucTPE853kiWCLa+GW2n5gY=\n";
    const WITNESS: &str = "\u{2014} witness.example/w1 3xwKNQAAAABlU/EAlNI++m8Uhk6Y7hyMnHzelSBs9KwMbQXWrHAekRDHwXohDytRRIAPEDrLVyGM79Y2mnmX+vqS9gbIhgtIWE/FCw==\n";

    fn signer() -> Signer {
        Signer::new("example.com/receipts", &[1; 32]).unwrap()
    }

    fn root() -> Hash {
        let [a, b, c] = [b"a", b"b", b"c"].map(|entry| crate::hash::leaf(entry));
        crate::hash::node(&crate::hash::node(&a, &b), &c)
    }

    #[test]
    fn signs_receipts_as_the_published_vector() {
        assert_eq!(signer().verifier().vkey(), VKEY);
        let proof = [b"a", b"c"].map(|entry| crate::hash::leaf(entry));
        assert_eq!(receipt(None, 1, &proof, &signer().checkpoint(3, &root())), RECEIPT);
    }

    #[test]
    fn opens_notes_of_the_specification() {
        let key = BASE64_STANDARD
            .decode("AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
            .unwrap();
        let verifier = Verifier {
            name: "example.com/foo".into(),
            key: key[1..].try_into().unwrap(),
        };
        assert_eq!(hex::encode(verifier.id()), "530d903a");
        let text = "This is an example message.\n";
        let note = format!(
            "{text}\n\u{2014} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
        );
        assert_eq!(verifier.open(&note), Some(text));
        assert_eq!(verifier.open(&note.replace("example m", "other m")), None);
    }

    #[test]
    fn opens_checkpoints_with_other_signatures() {
        let (_, note) = RECEIPT.split_once("\n\n").unwrap();
        let expected = Checkpoint {
            origin: "example.com/receipts".into(),
            size: 3,
            root: root(),
        };
        let verifier = signer().verifier();
        assert_eq!(verifier.open_checkpoint(note), Some(expected.clone()));
        assert_eq!(verifier.open_checkpoint(&format!("{note}{WITNESS}")), Some(expected));
        for damaged in [
            note.replace("\n3\n", "\n4\n"),
            note.replace("receipts Vo/", "receipts Wo/"),
            note.replace("lbhd6", "lbhd7"),
            note.replace("example.com", "example.org"),
            WITNESS.to_owned(),
            String::new(),
        ] {
            assert_eq!(verifier.open_checkpoint(&damaged), None, "{damaged}");
        }
    }

    #[test]
    fn receipt_contains_extra_before_the_index() {
        let text = receipt(Some(b"{}"), 0, &[], &signer().checkpoint(1, &[7; 32]));
        assert!(text.starts_with("c2sp.org/tlog-proof@v1\nextra e30=\nindex 0\n\nexample.com/receipts\n1\n"));
    }
}
