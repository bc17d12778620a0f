//! Passkeys: the vectors of the specification, garbage, and people on a real database.

mod authenticator;
mod people;
mod vectors;

use ciborium::{Value, cbor};
use proptest::prelude::*;
use ring::signature::{Ed25519KeyPair, KeyPair};
use url::Url;

use super::{
    authenticator_data::AuthenticatorData,
    public_key::PublicKey,
    responses::{Assertion, Refused, Registered, Registration, Used},
    *,
};
use authenticator::bytes;
use vectors::Made;

pub fn site(url: &str) -> RelyingParty {
    RelyingParty::of(Some(&Url::parse(url).unwrap()), 0).unwrap()
}

fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn of_hex(hex: &str) -> Vec<u8> {
    hex::decode(hex).unwrap()
}

fn check(made: &Made, attestation: &[u8], site: &RelyingParty) -> Result<Registered, Refused> {
    let answer = json!({
        "id": encode(&of_hex(made.id)),
        "clientDataJSON": encode(&of_hex(made.client_data)),
        "attestationObject": encode(attestation),
        "transports": ["usb"],
    });
    Registration::parse(&answer.to_string())?.check(site)
}

fn check_use(data: &[u8], client: &[u8], key: &[u8], site: &RelyingParty) -> Result<Used, Refused> {
    let answer = json!({
        "id": "AA",
        "clientDataJSON": encode(client),
        "authenticatorData": encode(data),
        "signature": encode(&of_hex(vectors::SIGNATURE)),
        "userHandle": null,
    });
    Assertion::parse(&answer.to_string())?.check(site, key, true)
}

#[test]
fn registration_of_specification_is_accepted() {
    let (made, site) = (vectors::SELF_SIGNED, site("https://example.org"));
    let attestation = of_hex(made.attestation);
    let registered = check(&made, &attestation, &site).unwrap();
    assert_eq!(registered.id, encode(&of_hex(made.id)));
    assert_eq!((registered.sign_count, registered.transports.as_str()), (0, "usb"));
    assert!(registered.is_backup_eligible && registered.is_backed_up);
    assert_eq!(PublicKey::parse(&registered.public_key).unwrap().algorithm(), -7);
    // The last byte of the signature of the attestation.
    let mut changed = attestation.clone();
    changed[101] ^= 1;
    assert_eq!(
        check(&made, &changed, &site),
        Err(Refused("wrong signature of the attestation"))
    );
    assert_eq!(
        check(&made, &[&attestation[..], &[0]].concat(), &site),
        Err(Refused("damaged attestation"))
    );
    let other = Made {
        id: vectors::NOT_VERIFIED.id,
        ..made
    };
    assert_eq!(
        check(&other, &attestation, &site),
        Err(Refused("ids of the credential differ"))
    );
}

#[test]
fn registrations_of_other_kinds_are_refused() {
    let own = site("https://example.org");
    let refused = |made: &Made, site: &RelyingParty| check(made, &of_hex(made.attestation), site).unwrap_err().0;
    assert_eq!(refused(&vectors::NOT_VERIFIED, &own), "person not verified");
    assert_eq!(
        refused(&vectors::IN_A_FRAME, &own),
        "answer from a frame of another site"
    );
    let port = site("https://example.org:8443");
    assert_eq!(refused(&vectors::SELF_SIGNED, &port), "answer from another origin");
    let made = vectors::SELF_SIGNED;
    let with_chain = |attestation: &[u8]| {
        let mut value: Value = ciborium::from_reader(attestation).unwrap();
        let statement = &mut value.as_map_mut().unwrap()[1].1;
        let chain = Value::Array(vec![Value::Bytes(vec![1])]);
        statement.as_map_mut().unwrap().push((Value::from("x5c"), chain));
        bytes(&value)
    };
    let attested = check(&made, &with_chain(&of_hex(made.attestation)), &own);
    assert_eq!(attested, Err(Refused("attestation that was not asked for")));
}

#[test]
fn assertion_of_specification_is_accepted() {
    let (data, client) = (of_hex(vectors::AUTHENTICATOR_DATA), of_hex(vectors::CLIENT_DATA));
    let (key, own) = (of_hex(vectors::KEY), site("https://example.org"));
    let used = check_use(&data, &client, &key, &own);
    assert_eq!(
        used,
        Ok(Used {
            sign_count: 0,
            is_backed_up: false
        })
    );
    assert_eq!(
        check_use(&data, &client, &key, &site("https://a.example")),
        Err(Refused("answer from another origin"))
    );
    let with = |at: usize, mask: u8| {
        let mut changed = data.clone();
        changed[at] ^= mask;
        check_use(&changed, &client, &key, &own).unwrap_err().0
    };
    assert_eq!(with(0, 1), "answer for another host");
    assert_eq!(with(32, 1), "person not present");
    assert_eq!(with(32, 4), "person not verified");
    assert_eq!(with(32, 8), "eligibility for backup has changed");
    assert_eq!(with(32, 0x40), "damaged authenticator data");
    assert_eq!(with(36, 1), "wrong signature");
    let registration = of_hex(vectors::SELF_SIGNED.client_data);
    assert_eq!(
        check_use(&data, &registration, &key, &own),
        Err(Refused("answer of another ceremony"))
    );
}

#[test]
fn keys_of_all_offered_algorithms_verify() {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let x = Value::Bytes(pair.public_key().as_ref().to_vec());
    let key = PublicKey::parse(&bytes(&cbor!({ 1 => 1, 3 => -8, -1 => 6, -2 => x }).unwrap())).unwrap();
    assert!(key.verifies(b"message", pair.sign(b"message").as_ref()));
    assert!(!key.verifies(b"other", pair.sign(b"message").as_ref()));

    let (n, e) = (Value::Bytes(of_hex(vectors::RSA_MODULUS)), Value::Bytes(vec![1, 0, 1]));
    let key = PublicKey::parse(&bytes(&cbor!({ 1 => 3, 3 => -257, -1 => n, -2 => e }).unwrap())).unwrap();
    let signature = of_hex(vectors::RSA_SIGNATURE);
    assert!(key.verifies(vectors::RSA_MESSAGE, &signature));
    assert!(!key.verifies(b"other", &signature));
    let offered = [key.algorithm(), -7, -8];
    assert!(ALGORITHMS.iter().all(|algorithm| offered.contains(algorithm)));
}

#[test]
fn keys_of_other_kinds_are_unknown() {
    let point = || Value::Bytes(vec![1; 32]);
    let parse = |value: Value| PublicKey::parse(&bytes(&value));
    assert!(parse(cbor!({ 1 => 2, 3 => -7, -1 => 1, -2 => point(), -3 => point() }).unwrap()).is_some());
    for (why, value) in [
        (
            "another curve",
            cbor!({ 1 => 2, 3 => -7, -1 => 2, -2 => point(), -3 => point() }).unwrap(),
        ),
        (
            "another algorithm",
            cbor!({ 1 => 2, 3 => -47, -1 => 1, -2 => point(), -3 => point() }).unwrap(),
        ),
        (
            "a type that does not fit",
            cbor!({ 1 => 1, 3 => -7, -1 => 1, -2 => point(), -3 => point() }).unwrap(),
        ),
        (
            "compressed",
            cbor!({ 1 => 2, 3 => -7, -1 => 1, -2 => point(), -3 => true }).unwrap(),
        ),
        (
            "a small modulus",
            cbor!({ 1 => 3, 3 => -257, -1 => point(), -2 => point() }).unwrap(),
        ),
        ("no map", Value::Array(Vec::new())),
    ] {
        assert_eq!(parse(value), None, "{why}");
    }
    let twice = Value::Map(vec![
        (1.into(), 2.into()),
        (1.into(), 1.into()),
        (3.into(), Value::from(-7)),
    ]);
    assert_eq!(parse(twice), None, "two readers would differ");
}

/// One of several texts, with some bytes replaced.
fn damaged(original: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let length = original.len();
    prop::collection::vec((0..length, any::<u8>()), 1..6).prop_map(move |changes| {
        let mut bytes = original.clone();
        for (at, value) in changes {
            bytes[at] = value;
        }
        bytes
    })
}

proptest! {
    #[test]
    fn garbage_is_refused_without_a_panic(garbage in prop::collection::vec(any::<u8>(), 0..300), text in ".{0,200}") {
        let site = site("https://example.org");
        prop_assert!(AuthenticatorData::parse(&garbage).is_none_or(|data| data.credential.is_none()));
        prop_assert!(PublicKey::parse(&garbage).is_none());
        prop_assert!(check(&vectors::SELF_SIGNED, &garbage, &site).is_err());
        prop_assert!(check_use(&garbage, &garbage, &garbage, &site).is_err());
        prop_assert!(Registration::parse(&text).is_err() && Assertion::parse(&text).is_err());
    }

    #[test]
    fn damaged_registration_is_refused(attestation in damaged(of_hex(vectors::SELF_SIGNED.attestation))) {
        let site = site("https://example.org");
        let original = of_hex(vectors::SELF_SIGNED.attestation);
        prop_assert!(attestation == original || check(&vectors::SELF_SIGNED, &attestation, &site).is_err());
    }

    #[test]
    fn damaged_assertion_is_refused(
        data in damaged(of_hex(vectors::AUTHENTICATOR_DATA)), client in damaged(of_hex(vectors::CLIENT_DATA)),
    ) {
        let site = site("https://example.org");
        let (right_data, right_client) = (of_hex(vectors::AUTHENTICATOR_DATA), of_hex(vectors::CLIENT_DATA));
        let key = of_hex(vectors::KEY);
        prop_assert!(data == right_data || check_use(&data, &right_client, &key, &site).is_err());
        prop_assert!(client == right_client || check_use(&right_data, &client, &key, &site).is_err());
    }
}
