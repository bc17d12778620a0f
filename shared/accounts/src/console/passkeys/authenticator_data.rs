//! The statement of an authenticator about a ceremony: the host, the presence and the verification of the person, its counter, and at a
//! registration the new key (WebAuthn Level 3, section 6.1).

use super::cbor;

const HASH: usize = 32;
const HEADER: usize = HASH + 1 + 4;
const AAGUID: usize = 16;
/// The longest id of a credential.
const MAX_ID: usize = 1_023;

const USER_PRESENT: u8 = 1;
const USER_VERIFIED: u8 = 1 << 2;
const BACKUP_ELIGIBLE: u8 = 1 << 3;
const BACKED_UP: u8 = 1 << 4;
const HAS_CREDENTIAL: u8 = 1 << 6;
const HAS_EXTENSIONS: u8 = 1 << 7;

#[derive(Debug, PartialEq, Eq)]
pub struct AuthenticatorData<'a> {
    pub rp_id_hash: &'a [u8],
    flags: u8,
    pub sign_count: u32,
    /// The new key of a registration.
    pub credential: Option<NewCredential<'a>>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct NewCredential<'a> {
    pub id: &'a [u8],
    /// COSE.
    pub public_key: &'a [u8],
}

impl<'a> AuthenticatorData<'a> {
    /// Parses all bytes. `None`: they are damaged.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (header, mut rest) = bytes.split_at_checked(HEADER)?;
        let (rp_id_hash, fixed) = header.split_at(HASH);
        let (flags, count) = fixed.split_first()?;
        let credential = match flags & HAS_CREDENTIAL {
            0 => None,
            _ => {
                let (credential, after) = parse_credential(rest)?;
                rest = after;
                Some(credential)
            }
        };
        if flags & HAS_EXTENSIONS != 0 {
            let (extensions, after) = cbor::read(rest)?;
            extensions.as_map()?;
            rest = after;
        }
        rest.is_empty().then_some(Self {
            rp_id_hash,
            flags: *flags,
            sign_count: u32::from_be_bytes(count.try_into().ok()?),
            credential,
        })
    }

    pub fn is_user_present(&self) -> bool {
        self.flags & USER_PRESENT != 0
    }

    pub fn is_user_verified(&self) -> bool {
        self.flags & USER_VERIFIED != 0
    }

    pub fn is_backup_eligible(&self) -> bool {
        self.flags & BACKUP_ELIGIBLE != 0
    }

    pub fn is_backed_up(&self) -> bool {
        self.flags & BACKED_UP != 0
    }
}

fn parse_credential(bytes: &[u8]) -> Option<(NewCredential<'_>, &[u8])> {
    let (_aaguid, rest) = bytes.split_at_checked(AAGUID)?;
    let (length, rest) = rest.split_at_checked(2)?;
    let length = usize::from(u16::from_be_bytes(length.try_into().ok()?));
    if length == 0 || length > MAX_ID {
        return None;
    }
    let (id, rest) = rest.split_at_checked(length)?;
    let (_, after) = cbor::read(rest)?;
    let public_key = &rest[..rest.len() - after.len()];
    Some((NewCredential { id, public_key }, after))
}
