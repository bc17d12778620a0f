//! Public keys of passkeys in the form COSE (RFC 9052, RFC 9053), and the check of their signatures. The algorithms are those that
//! browsers and systems use: ES256, EdDSA with Ed25519, and RS256, which Windows Hello needs.

use ciborium::Value;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};

use super::cbor;

/// The algorithms that are offered, the preferred one first.
pub const ALGORITHMS: [i64; 3] = [ES256, EDDSA, RS256];
const ES256: i64 = -7;
const EDDSA: i64 = -8;
const RS256: i64 = -257;

/// The labels of the fields.
const KEY_TYPE: i64 = 1;
const ALGORITHM: i64 = 3;
const CURVE: i64 = -1;
const X: i64 = -2;
const Y: i64 = -3;
const MODULUS: i64 = -1;
const EXPONENT: i64 = -2;
/// The values of `KEY_TYPE`.
const OKP: i64 = 1;
const EC2: i64 = 2;
const RSA: i64 = 3;
/// The values of `CURVE`.
const P256: i64 = 1;
const CURVE_ED25519: i64 = 6;
/// In bytes.
const MIN_MODULUS: usize = 256;
const MAX_MODULUS: usize = 1_024;

/// A public key of one of `ALGORITHMS`.
#[derive(Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// The uncompressed point.
    Es256([u8; 65]),
    EdDsa([u8; 32]),
    Rs256 {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
}

impl PublicKey {
    /// Parses a key. `None`: it is damaged, or of an algorithm that was not offered.
    pub fn parse(cose: &[u8]) -> Option<Self> {
        let (value, rest) = cbor::read(cose)?;
        if !rest.is_empty() {
            return None;
        }
        let number = |label: i64| cbor::number(cbor::field(&value, &label.into())?);
        let bytes = |label: i64| cbor::field(&value, &label.into()).and_then(Value::as_bytes);
        match (number(KEY_TYPE)?, number(ALGORITHM)?) {
            (EC2, ES256) if number(CURVE)? == P256 => {
                let (x, y): (&[u8; 32], &[u8; 32]) = (bytes(X)?[..].try_into().ok()?, bytes(Y)?[..].try_into().ok()?);
                let mut point = [4; 65];
                point[1..33].copy_from_slice(x);
                point[33..].copy_from_slice(y);
                Some(Self::Es256(point))
            }
            (OKP, EDDSA) if number(CURVE)? == CURVE_ED25519 => Some(Self::EdDsa(bytes(X)?[..].try_into().ok()?)),
            (RSA, RS256) => {
                let modulus = without_zeros(bytes(MODULUS)?);
                let is_usual = (MIN_MODULUS..=MAX_MODULUS).contains(&modulus.len());
                is_usual.then_some(Self::Rs256 {
                    modulus,
                    exponent: without_zeros(bytes(EXPONENT)?),
                })
            }
            _ => None,
        }
    }

    pub fn algorithm(&self) -> i64 {
        match self {
            Self::Es256(_) => ES256,
            Self::EdDsa(_) => EDDSA,
            Self::Rs256 { .. } => RS256,
        }
    }

    /// Returns whether the signature is of the message and of this key.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let result = match self {
            Self::Es256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(message, signature),
            Self::EdDsa(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature),
            Self::Rs256 { modulus, exponent } => RsaPublicKeyComponents {
                n: modulus,
                e: exponent,
            }
            .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature),
        };
        result.is_ok()
    }
}

fn without_zeros(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().skip_while(|byte| *byte == 0).collect()
}
