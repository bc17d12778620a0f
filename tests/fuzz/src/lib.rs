//! Fuzz targets for the vendors' webhooks. Each input is tried as a signed body, which is read, and as a request with an
//! unverified signature. Reading must not panic, must be fast and must be deterministic.

use std::{sync::OnceLock, time::Duration};

use butt_dial_domain::{
    Address, Channel, Clock,
    clock::Timestamp,
    ports::webhook::{VerificationError, WebhookRequest, Webhooks},
};
use butt_dial_providers::{Vendor, find, http::loopback_client};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
pub use libfuzzer_sys;

/// `fuzz_webhooks!("twilio")`
#[macro_export]
macro_rules! fuzz_webhooks {
    ($vendor:literal) => {
        $crate::libfuzzer_sys::fuzz_target!(
            init: $crate::open($vendor),
            |input: &[u8]| $crate::attempt(input)
        );
    };
}

struct Harness {
    vendor: &'static Vendor,
    webhooks: std::sync::Arc<dyn Webhooks>,
    now: Timestamp,
}

static HARNESS: OnceLock<Harness> = OnceLock::new();

pub fn open(vendor: &str) {
    HARNESS.get_or_init(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Loads the phone number metadata, which takes seconds in this build.
        Address::parse(Channel::Sms, "+14155550123").expect("a number");
        let vendor = find(vendor).expect("a vendor");
        let credentials = vendor.simulated_credentials("http://127.0.0.1:1");
        let http = loopback_client().expect("a client");
        let connected = (vendor.connect)(&credentials, &http, Duration::from_secs(1)).expect("credentials");
        Harness {
            vendor,
            webhooks: connected.webhooks.expect("webhooks"),
            now: Clock::System.now(),
        }
    });
}

pub fn attempt(input: &[u8]) {
    let harness = HARNESS.get().expect("open");
    harness.read_signed(input);
    harness.reject_unsigned(input);
}

impl Harness {
    /// Signs and reads the input as a body.
    fn read_signed(&self, body: &[u8]) {
        let mut request = self.request("?mid=msg_1", body);
        for (name, value) in (self.vendor.inbound.as_ref().expect("an inbound simulation").sign)(&request.url, body, self.now) {
            insert(&mut request.headers, name, value.as_bytes());
        }
        let expected = match self.vendor.manifest.id {
            // Twilio signs the decoded fields, so a body that is not a form has no valid signature.
            "twilio" if !is_form(body) => Err(VerificationError::WrongSignature),
            _ => Ok(()),
        };
        assert_eq!(self.webhooks.verify(&request), expected);
        let notices = self.webhooks.parse(&request);
        assert!(notices == self.webhooks.parse(&request), "a second read differs");
    }

    /// Reads the input as one line each of signature, Svix id, Svix timestamp, content type and query, then the body. The
    /// signature must be rejected.
    fn reject_unsigned(&self, input: &[u8]) {
        let mut parts = input.splitn(6, |byte| *byte == b'\n');
        let mut next = || parts.next().unwrap_or_default();
        let headers = [
            (self.webhooks.signature_header(), next()),
            ("svix-id", next()),
            ("svix-timestamp", next()),
            ("content-type", next()),
        ];
        let query = String::from_utf8_lossy(next()).into_owned();
        let mut request = self.request(&format!("?{query}"), next());
        for (name, value) in headers {
            insert(&mut request.headers, name, value);
        }
        for method in [Method::POST, Method::GET] {
            request.method = method;
            assert!(self.webhooks.verify(&request).is_err(), "accepted");
            let _ = self.webhooks.parse(&request);
            let _ = self.webhooks.handshake(&request);
        }
    }

    fn request(&self, query: &str, body: &[u8]) -> WebhookRequest {
        WebhookRequest {
            method: Method::POST,
            url: format!("https://bd.example.com/webhooks/{}/any{query}", self.vendor.manifest.id),
            headers: HeaderMap::new(),
            body: body.to_vec().into(),
            received_at: self.now,
        }
    }
}

/// Returns whether Twilio's adapter decodes the body as a form: valid escapes, UTF-8, at most 20,000 fields.
fn is_form(body: &[u8]) -> bool {
    let pairs: Vec<&[u8]> = body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).collect();
    let mut texts = pairs.iter().flat_map(|pair| pair.splitn(2, |byte| *byte == b'='));
    pairs.len() <= 20_000 && texts.all(|text| unescape(text).is_some_and(|text| String::from_utf8(text).is_ok()))
}

fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut parts = text.split(|byte| *byte == b'%');
    let mut unescaped = parts.next()?.to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
        unescaped.push(u8::from_str_radix(digits, 16).ok()?);
        unescaped.extend(rest);
    }
    Some(unescaped)
}

/// Adds a header, unless it is invalid in HTTP.
fn insert(headers: &mut HeaderMap, name: &str, value: &[u8]) {
    if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_bytes(value)) {
        headers.insert(name, value);
    }
}
