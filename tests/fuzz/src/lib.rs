//! Fuzz targets for the vendors' webhooks. Each input is tried as a signed body, which is read, and as a request with an
//! unverified signature. Reading must not panic, must be fast and must be deterministic.

pub mod texts;

use std::{sync::OnceLock, time::Duration};

use butt_dial_domain::{
    Address, Channel, Clock,
    clock::Timestamp,
    ports::webhook::{VerificationError, WebhookRequest, Webhooks},
};
use butt_dial_providers::{SimulatorState, Vendor, find, http::loopback_client};
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
        for (name, value) in
            (self.vendor.inbound.as_ref().expect("an inbound simulation").sign)(&SimulatorState::new(Clock::System), &request.url, body, self.now)
        {
            insert(&mut request.headers, name, value.as_bytes());
        }
        let expected = match self.vendor.manifest.id {
            "twilio" if !self.is_signable(body) => Err(VerificationError::WrongSignature),
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

    /// Returns whether Twilio can sign the body: a form that names the simulated account or none.
    fn is_signable(&self, body: &[u8]) -> bool {
        let Some(fields) = decode_form(body) else {
            return false;
        };
        let account = fields.iter().find(|(name, _)| name == "AccountSid");
        account.is_none_or(|(_, sid)| sid.is_empty() || sid == self.vendor.simulated_settings[0].1)
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

/// Decodes a form like Twilio's adapter: valid escapes, UTF-8, at most 20,000 fields.
fn decode_form(body: &[u8]) -> Option<Vec<(String, String)>> {
    let pairs = body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    let fields = pairs.map(|pair| {
        let mut parts = pair.splitn(2, |byte| *byte == b'=').map(unescape);
        let (name, value) = (parts.next()??, parts.next().unwrap_or_else(|| Some(Vec::new()))?);
        Some((String::from_utf8(name).ok()?, String::from_utf8(value).ok()?))
    });
    let fields: Vec<_> = fields.collect::<Option<_>>()?;
    (fields.len() <= 20_000).then_some(fields)
}

fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let text: Vec<u8> = text
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    let mut parts = text.split(|byte| *byte == b'%');
    let mut unescaped = parts.next()?.to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits)
            .ok()
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
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
