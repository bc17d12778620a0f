//! The answers of a browser: what they contain, and all checks of WebAuthn Level 3, sections 7.1 and 7.2, that need no database.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ciborium::Value;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{
    authenticator_data::AuthenticatorData,
    cbor,
    public_key::{ALGORITHMS, PublicKey},
    relying_party::RelyingParty,
};

/// The longest answer, as JSON.
const MAX_ANSWER: usize = 32 * 1_024;
const MAX_TRANSPORTS: usize = 8;
const MAX_TRANSPORT: usize = 20;

/// Why an answer is refused. For the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused(pub &'static str);

/// The ceremonies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ceremony {
    Registration,
    Assertion,
}

impl Ceremony {
    fn name(self) -> &'static str {
        match self {
            Self::Registration => "webauthn.create",
            Self::Assertion => "webauthn.get",
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
    origin: String,
    #[serde(default)]
    cross_origin: bool,
    top_origin: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RegistrationJson {
    id: String,
    #[serde(rename = "clientDataJSON")]
    client_data: String,
    attestation_object: String,
    #[serde(default)]
    transports: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AssertionJson {
    id: String,
    #[serde(rename = "clientDataJSON")]
    client_data: String,
    authenticator_data: String,
    signature: String,
    user_handle: Option<String>,
}

/// The answer of a browser that has made a passkey. Not checked.
pub struct Registration {
    id: String,
    client_data: Vec<u8>,
    attestation: Vec<u8>,
    transports: Vec<String>,
}

/// The answer of a browser that has used a passkey. Not checked.
pub struct Assertion {
    /// The id of the passkey, in base64url.
    pub id: String,
    client_data: Vec<u8>,
    authenticator_data: Vec<u8>,
    signature: Vec<u8>,
    /// In base64url.
    pub user_handle: Option<String>,
}

/// A new passkey that has passed all checks.
#[derive(Debug, PartialEq, Eq)]
pub struct Registered {
    /// Base64url.
    pub id: String,
    /// COSE.
    pub public_key: Vec<u8>,
    pub sign_count: u32,
    pub is_backup_eligible: bool,
    pub is_backed_up: bool,
    /// Separated by commas.
    pub transports: String,
}

/// A use that has passed all checks.
#[derive(Debug, PartialEq, Eq)]
pub struct Used {
    pub sign_count: u32,
    pub is_backed_up: bool,
}

impl Registration {
    pub fn parse(json: &str) -> Result<Self, Refused> {
        let read: RegistrationJson = read(json)?;
        let mut transports = read.transports;
        transports.retain(|name| {
            name.len() <= MAX_TRANSPORT && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        });
        transports.truncate(MAX_TRANSPORTS);
        Ok(Self {
            id: read.id,
            client_data: decode(&read.client_data)?,
            attestation: decode(&read.attestation_object)?,
            transports,
        })
    }

    /// Returns the challenge that the answer is for. It names the ceremony that was begun.
    pub fn challenge(&self) -> Result<String, Refused> {
        challenge_of(&self.client_data)
    }

    /// Checks everything but the challenge and whether the id is new.
    pub fn check(&self, site: &RelyingParty) -> Result<Registered, Refused> {
        check_client(&self.client_data, Ceremony::Registration, site)?;
        let damaged = Refused("damaged attestation");
        let (attestation, rest) = cbor::read(&self.attestation).ok_or(damaged)?;
        let field = |name: &str| cbor::field(&attestation, &name.into());
        let bytes = field("authData").and_then(Value::as_bytes).ok_or(damaged)?;
        let data = AuthenticatorData::parse(bytes).ok_or(Refused("damaged authenticator data"))?;
        if !rest.is_empty() {
            return Err(damaged);
        }
        check_authenticator(&data, site)?;
        let credential = data.credential.as_ref().ok_or(Refused("no new key"))?;
        let key = PublicKey::parse(credential.public_key).ok_or(Refused("key of an unknown algorithm"))?;
        if !ALGORITHMS.contains(&key.algorithm()) {
            return Err(Refused("algorithm not offered"));
        }
        let format = field("fmt").and_then(Value::as_text).ok_or(damaged)?;
        let statement = field("attStmt").filter(|statement| statement.is_map()).ok_or(damaged)?;
        check_statement(format, statement, &key, &signed(bytes, &self.client_data))?;
        let id = BASE64_URL_SAFE_NO_PAD.encode(credential.id);
        if id != self.id {
            return Err(Refused("ids of the credential differ"));
        }
        Ok(Registered {
            id,
            public_key: credential.public_key.to_vec(),
            sign_count: data.sign_count,
            is_backup_eligible: data.is_backup_eligible(),
            is_backed_up: data.is_backed_up(),
            transports: self.transports.join(","),
        })
    }
}

impl Assertion {
    pub fn parse(json: &str) -> Result<Self, Refused> {
        let read: AssertionJson = read(json)?;
        Ok(Self {
            id: read.id,
            client_data: decode(&read.client_data)?,
            authenticator_data: decode(&read.authenticator_data)?,
            signature: decode(&read.signature)?,
            user_handle: read.user_handle.filter(|handle| !handle.is_empty()),
        })
    }

    /// Returns the challenge that the answer is for. It names the ceremony that was begun.
    pub fn challenge(&self) -> Result<String, Refused> {
        challenge_of(&self.client_data)
    }

    /// Checks everything but the challenge, the person, and whether the counter grows.
    pub fn check(&self, site: &RelyingParty, public_key: &[u8], is_backup_eligible: bool) -> Result<Used, Refused> {
        check_client(&self.client_data, Ceremony::Assertion, site)?;
        let data = AuthenticatorData::parse(&self.authenticator_data);
        let data = data.ok_or(Refused("damaged authenticator data"))?;
        check_authenticator(&data, site)?;
        if data.is_backup_eligible() != is_backup_eligible {
            return Err(Refused("eligibility for backup has changed"));
        }
        let key = PublicKey::parse(public_key).ok_or(Refused("stored key is not readable"))?;
        if !key.verifies(&signed(&self.authenticator_data, &self.client_data), &self.signature) {
            return Err(Refused("wrong signature"));
        }
        Ok(Used {
            sign_count: data.sign_count,
            is_backed_up: data.is_backed_up(),
        })
    }
}

fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, Refused> {
    if json.len() > MAX_ANSWER {
        return Err(Refused("answer too long"));
    }
    serde_json::from_str(json).map_err(|_| Refused("answer is not readable"))
}

fn decode(text: &str) -> Result<Vec<u8>, Refused> {
    let decoded = BASE64_URL_SAFE_NO_PAD.decode(text);
    decoded.map_err(|_| Refused("answer is not base64url"))
}

fn challenge_of(client_data: &[u8]) -> Result<String, Refused> {
    Ok(read_client(client_data)?.challenge)
}

fn read_client(client_data: &[u8]) -> Result<ClientData, Refused> {
    // A mark of the byte order is removed, as the specification demands.
    let text = client_data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(client_data);
    serde_json::from_slice(text).map_err(|_| Refused("client data is not readable"))
}

fn check_client(client_data: &[u8], ceremony: Ceremony, site: &RelyingParty) -> Result<(), Refused> {
    let client = read_client(client_data)?;
    if client.kind != ceremony.name() {
        return Err(Refused("answer of another ceremony"));
    }
    if client.origin != site.origin() {
        return Err(Refused("answer from another origin"));
    }
    if client.cross_origin || client.top_origin.is_some() {
        return Err(Refused("answer from a frame of another site"));
    }
    Ok(())
}

fn check_authenticator(data: &AuthenticatorData<'_>, site: &RelyingParty) -> Result<(), Refused> {
    if data.rp_id_hash != Sha256::digest(site.id()).as_slice() {
        return Err(Refused("answer for another host"));
    }
    if !data.is_user_present() {
        return Err(Refused("person not present"));
    }
    if !data.is_user_verified() {
        return Err(Refused("person not verified"));
    }
    if data.is_backed_up() && !data.is_backup_eligible() {
        return Err(Refused("backed up without being eligible"));
    }
    Ok(())
}

/// Checks the statement about the authenticator. None is asked for; a browser may pass on that the key has signed itself.
fn check_statement(format: &str, statement: &Value, key: &PublicKey, signed: &[u8]) -> Result<(), Refused> {
    let is_empty = statement.as_map().is_some_and(Vec::is_empty);
    let field = |name: &str| cbor::field(statement, &name.into());
    match format {
        "none" if is_empty => Ok(()),
        "packed" if field("x5c").is_none() => {
            let algorithm = field("alg").and_then(cbor::number);
            let signature = field("sig").and_then(Value::as_bytes);
            let is_right = algorithm == Some(key.algorithm())
                && signature.is_some_and(|signature| key.verifies(signed, signature));
            match is_right {
                true => Ok(()),
                false => Err(Refused("wrong signature of the attestation")),
            }
        }
        _ => Err(Refused("attestation that was not asked for")),
    }
}

/// Returns what the key signs.
fn signed(authenticator_data: &[u8], client_data: &[u8]) -> Vec<u8> {
    [authenticator_data, &Sha256::digest(client_data)].concat()
}
