//! Proof that an answer came from this installation: `doctor` asks the public address, and every replica can answer, because all of
//! them have the same key. Questions are authenticated as well: others learn nothing about the proxy, and get no keyed hash of
//! a text that they choose.

use butt_dial_vault::{Vault, mac};

/// Proves and verifies answers. Cheap to clone.
#[derive(Clone)]
pub struct InstallationProof {
    key: [u8; 32],
}

/// A question: a random text, and its keyed hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    nonce: String,
    tag: String,
}

/// How a request came to the replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum PathOfRequest {
    Direct,
    TrustedProxy,
    /// A proxy that is not in `TRUSTED_PROXIES`.
    UnknownProxy,
}

impl PathOfRequest {
    /// `is_forwarded`: the request has a header of a proxy. `is_trusted`: the peer is a trusted proxy.
    pub fn new(is_forwarded: bool, is_trusted: bool) -> Self {
        match (is_trusted, is_forwarded) {
            (true, _) => Self::TrustedProxy,
            (false, true) => Self::UnknownProxy,
            (false, false) => Self::Direct,
        }
    }

    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl Question {
    /// Reads the query of a request. `None`: it is no question.
    pub fn parse(query: &str) -> Option<Self> {
        let find = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
        };
        Some(Self {
            nonce: find("nonce").filter(|nonce| nonce.len() == 32)?,
            tag: find("tag")?,
        })
    }

    /// Returns the query of a request.
    pub fn query(&self) -> String {
        format!("nonce={}&tag={}", self.nonce, self.tag)
    }
}

impl InstallationProof {
    pub fn new(vault: &Vault) -> Self {
        Self {
            key: vault.key("proof of the public address"),
        }
    }

    /// Makes a new question.
    pub fn ask(&self) -> Question {
        let nonce = hex::encode(rand::random::<[u8; 16]>());
        let tag = hex::encode(self.question_tag(&nonce));
        Question { nonce, tag }
    }

    /// Returns whether a holder of the key asked this.
    pub fn asked(&self, question: &Question) -> bool {
        self.agree(&question.tag, self.question_tag(&question.nonce))
    }

    pub fn answer(&self, question: &Question, path: PathOfRequest) -> String {
        hex::encode(self.answer_tag(question, path))
    }

    /// Returns whether a holder of the key answered this.
    pub fn answered(&self, question: &Question, path: PathOfRequest, proof: &str) -> bool {
        self.agree(proof, self.answer_tag(question, path))
    }

    fn question_tag(&self, nonce: &str) -> [u8; 32] {
        mac(&self.key, &[b"question", nonce.as_bytes()])
    }

    fn answer_tag(&self, question: &Question, path: PathOfRequest) -> [u8; 32] {
        let parts = [
            b"answer".as_slice(),
            question.nonce.as_bytes(),
            path.as_str().as_bytes(),
        ];
        mac(&self.key, &parts)
    }

    /// Compares hashes of both: they differ in unpredictable places, so the time of the comparison reveals nothing.
    fn agree(&self, given: &str, expected: [u8; 32]) -> bool {
        let hash = |text: &[u8]| mac(&self.key, &[b"compared", text]);
        hash(given.as_bytes()) == hash(hex::encode(expected).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(secret: &[u8]) -> InstallationProof {
        InstallationProof::new(&Vault::new(secret))
    }

    #[test]
    fn replicas_of_one_installation_prove_answers() {
        let (one, other) = (proof(b"key of the installation"), proof(b"key of the installation"));
        let question = one.ask();
        let received = Question::parse(&question.query()).unwrap();
        assert!(other.asked(&received));
        let answer = other.answer(&received, PathOfRequest::UnknownProxy);
        assert!(one.answered(&question, PathOfRequest::UnknownProxy, &answer));
        assert!(
            !one.answered(&question, PathOfRequest::Direct, &answer),
            "the path is part of the proof"
        );
        assert!(
            !one.answered(&one.ask(), PathOfRequest::UnknownProxy, &answer),
            "the proof is of one question"
        );
    }

    #[test]
    fn other_installation_neither_asks_nor_answers() {
        let (mine, foreign) = (proof(b"mine"), proof(b"foreign"));
        let question = mine.ask();
        assert!(!foreign.asked(&question));
        let forged = foreign.answer(&question, PathOfRequest::Direct);
        assert!(!mine.answered(&question, PathOfRequest::Direct, &forged));
        for query in ["", "nonce=1&tag=2", "nonce", "tag=00"] {
            assert_eq!(Question::parse(query), None, "{query}");
        }
    }
}
