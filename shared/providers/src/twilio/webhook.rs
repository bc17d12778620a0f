//! `X-Twilio-Signature`: proves that the sender knows the account's auth token (Twilio, Webhooks security). Input is
//! not trimmed or normalized, all fields count, and the comparison takes constant time.

use std::collections::HashMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use url::form_urlencoded;

use crate::Secret;

pub const HEADER: &str = "X-Twilio-Signature";

/// The request data besides the URL.
#[derive(Clone, Copy)]
pub enum Payload<'a> {
    /// The decoded fields of a form; empty for GET, with its fields in the URL.
    Form(&'a [(String, String)]),
    /// Any other body; its hash is in the URL as `bodySHA256`.
    Raw(&'a [u8]),
}

/// Signs like Twilio, for the simulator.
pub fn sign(token: &Secret, url: &str, payload: Payload<'_>) -> String {
    let fields = signed_fields(payload);
    STANDARD.encode(mac(token, without_fragment(url), &fields).finalize().into_bytes())
}

/// Returns whether one of the account's tokens made this signature. During a rotation there are two tokens.
///
/// `url` is the configured address, never one built from `Host` or `X-Forwarded-*`. Twilio signs it with or without
/// the port, and sometimes with the query in an older encoding, so up to four variants are tried.
pub fn verify(tokens: &[Secret], url: &str, payload: Payload<'_>, signature: &str) -> bool {
    let Ok(signature) = STANDARD.decode(signature) else {
        return false;
    };
    let url = without_fragment(url);
    if let Payload::Raw(body) = payload
        && !states_hash_of(url, body)
    {
        return false;
    }
    let mut variants = vec![without_port(url), with_port(url)];
    variants.extend(variants.clone().iter().filter_map(|url| with_legacy_query(url)));
    // Each variant costs a pass over the body; usually two remain.
    variants.sort_unstable();
    variants.dedup();
    // Sorted once, because a request can have many fields.
    let fields = signed_fields(payload);
    tokens.iter().any(|token| {
        let mut matches = variants
            .iter()
            .map(|url| mac(token, url, &fields).verify_slice(&signature).is_ok());
        matches.any(|matches| matches)
    })
}

/// Returns the hash that Twilio puts into `bodySHA256`.
pub fn body_hash(body: &[u8]) -> String {
    hex::encode(Sha256::digest(body))
}

fn mac(token: &Secret, url: &str, fields: &[(&[u8], &[u8])]) -> Hmac<Sha1> {
    // HMAC takes keys of any length (RFC 2104), so this can't fail.
    let mut mac =
        Hmac::<Sha1>::new_from_slice(token.expose().as_bytes()).unwrap_or_else(|_| Hmac::new(&Default::default()));
    mac.update(url.as_bytes());
    for (name, value) in fields {
        mac.update(name);
        mac.update(value);
    }
    mac
}

/// Returns the fields in signing order.
fn signed_fields(payload: Payload<'_>) -> Vec<(&[u8], &[u8])> {
    let Payload::Form(fields) = payload else {
        return Vec::new();
    };
    let mut fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
        .collect();
    fields.sort_unstable();
    // A value that is repeated under one name counts once.
    fields.dedup();
    fields
}

fn states_hash_of(url: &str, body: &[u8]) -> bool {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let stated = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "bodySHA256");
    stated.is_some_and(|(_, hash)| hash == body_hash(body))
}

fn without_fragment(url: &str) -> &str {
    url.split_once('#').map_or(url, |(url, _)| url)
}

/// Splits into scheme with `://`, authority, and the rest from the path on.
fn parts(url: &str) -> Option<(&str, &str, &str)> {
    let authority = url.find("://")? + 3;
    let rest = url[authority..].find(['/', '?']).map_or(url.len(), |at| authority + at);
    Some((&url[..authority], &url[authority..rest], &url[rest..]))
}

/// Returns the authority without port, and whether it had one. The colons of userinfo and of an IPv6 address are not
/// ports.
fn split_port(authority: &str) -> (&str, bool) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => (host, true),
        _ => (authority, false),
    }
}

fn without_port(url: &str) -> String {
    match parts(url) {
        Some((scheme, authority, rest)) => format!("{scheme}{}{rest}", split_port(authority).0),
        None => url.to_owned(),
    }
}

fn with_port(url: &str) -> String {
    match parts(url) {
        Some((scheme, authority, rest)) if !split_port(authority).1 => {
            let port = if scheme.eq_ignore_ascii_case("http://") {
                80
            } else {
                443
            };
            format!("{scheme}{authority}:{port}{rest}")
        }
        _ => url.to_owned(),
    }
}

/// Reencodes the query like Node's `querystring`: values of one name together, and all characters escaped except
/// letters, digits and `-_.!~*'()`.
fn with_legacy_query(url: &str) -> Option<String> {
    let (before, query) = url.split_once('?').filter(|(_, query)| !query.is_empty())?;
    let mut names: Vec<(String, Vec<String>)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match places.get(name.as_ref()) {
            Some(place) => names[*place].1.push(value.into_owned()),
            None => {
                places.insert(name.to_string(), names.len());
                names.push((name.into_owned(), vec![value.into_owned()]));
            }
        }
    }
    let mut pairs = Vec::new();
    for (name, values) in &names {
        pairs.extend(values.iter().map(|value| format!("{}={}", escape(name), escape(value))));
    }
    Some(format!("{before}?{}", pairs.join("&")))
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://mycompany.com/myapp.php?foo=1&bar=2";
    const PLAIN: &str = "RSOYDt4T1cUTdK1PDd93/VVr8B8=";
    const WITH_PORT: &str = "kvajT1Ptam85bY51eRf/AJRuM3w=";

    fn token() -> Secret {
        Secret::new("12345")
    }

    fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn call() -> Vec<(String, String)> {
        fields(&[
            ("To", "+18005551212"),
            ("Digits", "1234"),
            ("CallSid", "CA1234567890ABCDE"),
            ("From", "+14158675309"),
            ("Caller", "+14158675309"),
        ])
    }

    #[test]
    fn signs_forms_like_the_reference_vectors() {
        let call = call();
        assert_eq!(sign(&token(), URL, Payload::Form(&call)), PLAIN);
        let with_port = URL.replace(".com/", ".com:443/");
        assert_eq!(sign(&token(), &with_port, Payload::Form(&call)), WITH_PORT);
        let media = fields(&[("MediaUrl", "b"), ("MediaUrl", "a"), ("MediaUrl", "a")]);
        assert_eq!(
            sign(&token(), "https://example.com/hook", Payload::Form(&media)),
            "V0Iw3UFbGr+Xc+QuZb+HEXOOAjA="
        );
    }

    #[test]
    fn signs_json_like_the_reference_vector() {
        let body = br#"{"property": "value", "boolean": true}"#;
        let hash = "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620";
        assert_eq!(body_hash(body), hash);
        let url = format!("https://mycompany.com/myapp.php?bodySHA256={hash}");
        let signature = "y77kIzt2vzLz71DgmJGsen2scGs=";
        assert_eq!(sign(&token(), &url, Payload::Raw(body)), signature);
        assert!(verify(&[token()], &url, Payload::Raw(body), signature));
        assert!(!verify(&[token()], &url, Payload::Raw(b"{}"), signature));
        let bare = "https://mycompany.com/myapp.php";
        let signature = sign(&token(), bare, Payload::Raw(body));
        assert!(
            !verify(&[token()], bare, Payload::Raw(body), &signature),
            "no hash, no proof of the body"
        );
    }

    #[test]
    fn accepts_signature_with_or_without_port() {
        let call = call();
        for url in [
            URL.to_owned(),
            URL.replace(".com/", ".com:443/"),
            format!("{URL}#rc=3&rp=ct"),
        ] {
            for signature in [PLAIN, WITH_PORT] {
                assert!(verify(&[token()], &url, Payload::Form(&call), signature), "{url}");
            }
        }
        let other_port = URL.replace(".com/", ".com:8443/");
        assert!(verify(&[token()], &other_port, Payload::Form(&call), PLAIN));
        assert!(!verify(&[token()], &other_port, Payload::Form(&call), WITH_PORT));
        assert_eq!(with_port("http://u:pw@[::1]/x"), "http://u:pw@[::1]:80/x");
        assert_eq!(without_port("http://u:pw@h:81?x=:1"), "http://u:pw@h?x=:1");
    }

    #[test]
    fn accepts_signature_over_legacy_query_encoding() {
        let signed = "https://example.com/hook?a=it's%20(ok)&b=&a=2";
        let call = call();
        let configured = "https://example.com/hook?a=it%27s+%28ok%29&a=2&b=";
        assert_eq!(
            with_legacy_query(signed).as_deref(),
            Some("https://example.com/hook?a=it's%20(ok)&a=2&b=")
        );
        let legacy = sign(
            &token(),
            "https://example.com:443/hook?a=it's%20(ok)&a=2&b=",
            Payload::Form(&call),
        );
        assert!(verify(&[token()], configured, Payload::Form(&call), &legacy));
    }

    #[test]
    fn accepts_both_rotation_tokens_only() {
        let call = call();
        let (old, new, other) = (token(), Secret::new("67890"), Secret::new("1234"));
        let signature = sign(&new, URL, Payload::Form(&call));
        assert!(verify(&[old.clone(), new], URL, Payload::Form(&call), &signature));
        assert!(!verify(&[old, other], URL, Payload::Form(&call), &signature));
        assert!(!verify(&[], URL, Payload::Form(&call), &signature));
    }

    #[test]
    fn rejects_changes_of_any_field() {
        let mut call = call();
        call.push(("Blank".into(), String::new()));
        let with_blank = sign(&token(), URL, Payload::Form(&call));
        assert_ne!(with_blank, PLAIN);
        call[1].1.push(' ');
        assert!(!verify(&[token()], URL, Payload::Form(&call), &with_blank));
        for junk in ["", "=", "RSOYDt4T1cUTdK1PDd93/VVr8B8", "not base64!", "AAAA"] {
            assert!(!verify(&[token()], URL, Payload::Form(&call), junk));
        }
    }
}
