//! An authenticator and its browser, as tests need them: it makes real signatures, and says what a test wants.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ciborium::{Value, cbor};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::json;
use sha2::{Digest, Sha256};

/// Present, verified, eligible for backup and backed up.
pub const USUAL: u8 = 0x1d;
const WITH_KEY: u8 = 0x40;

pub struct Authenticator {
    key: EcdsaKeyPair,
    id: Vec<u8>,
    pub flags: u8,
    pub count: u32,
    pub origin: String,
    pub host: String,
    /// In base64url.
    pub user_handle: String,
}

impl Authenticator {
    pub fn new(id: u8) -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        Self {
            key: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref(), &random).unwrap(),
            id: vec![id; 32],
            flags: USUAL,
            count: 0,
            origin: "https://console.example".into(),
            host: "console.example".into(),
            user_handle: String::new(),
        }
    }

    /// Makes a passkey with the options of a server. Returns the answer of the browser.
    pub fn make(&mut self, options: &serde_json::Value) -> String {
        self.user_handle = options["user"]["id"].as_str().unwrap().to_owned();
        let point = self.key.public_key().as_ref();
        let (x, y) = (Value::Bytes(point[1..33].to_vec()), Value::Bytes(point[33..].to_vec()));
        let cose = bytes(&cbor!({ 1 => 2, 3 => -7, -1 => 1, -2 => x, -3 => y }).unwrap());
        let mut data = self.data(self.flags | WITH_KEY);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend(&self.id);
        data.extend(cose);
        let statement = Value::Map(Vec::new());
        let data = Value::Bytes(data);
        let attestation = bytes(&cbor!({ "fmt" => "none", "attStmt" => statement, "authData" => data }).unwrap());
        let client = self.client("webauthn.create", options["challenge"].as_str().unwrap());
        json!({
            "id": BASE64_URL_SAFE_NO_PAD.encode(&self.id),
            "clientDataJSON": BASE64_URL_SAFE_NO_PAD.encode(client),
            "attestationObject": BASE64_URL_SAFE_NO_PAD.encode(attestation),
            "transports": ["internal", "<script>"],
        })
        .to_string()
    }

    /// Uses the passkey with the options of a server. Returns the answer of the browser.
    pub fn answer(&mut self, options: &serde_json::Value) -> String {
        let data = self.data(self.flags);
        let client = self.client("webauthn.get", options["challenge"].as_str().unwrap());
        let signed = [&data[..], &Sha256::digest(&client)].concat();
        let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap();
        json!({
            "id": BASE64_URL_SAFE_NO_PAD.encode(&self.id),
            "clientDataJSON": BASE64_URL_SAFE_NO_PAD.encode(client),
            "authenticatorData": BASE64_URL_SAFE_NO_PAD.encode(data),
            "signature": BASE64_URL_SAFE_NO_PAD.encode(signature),
            "userHandle": self.user_handle,
        })
        .to_string()
    }

    fn data(&self, flags: u8) -> Vec<u8> {
        let mut data = Sha256::digest(&self.host).to_vec();
        data.push(flags);
        data.extend(self.count.to_be_bytes());
        data
    }

    fn client(&self, kind: &str, challenge: &str) -> Vec<u8> {
        json!({ "type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": false })
            .to_string()
            .into_bytes()
    }
}

pub fn bytes(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}
