//! What a fuzzer tries on a vendor's webhooks: a body that is signed, so that it is read, and a request in which nothing is.
//! Must not panic and must not take long; nothing else is asked of it.

use std::{sync::OnceLock, time::Duration};

use butt_dial_domain::{
    Address, Channel, Clock,
    clock::Timestamp,
    ports::webhook::{WebhookRequest, Webhooks},
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

struct Ears {
    vendor: &'static Vendor,
    webhooks: std::sync::Arc<dyn Webhooks>,
    now: Timestamp,
}

static EARS: OnceLock<Ears> = OnceLock::new();

pub fn open(vendor: &str) {
    EARS.get_or_init(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Reading what is known of numbers takes seconds in a build like this, once.
        Address::parse(Channel::Sms, "+14155550123").expect("a number");
        let vendor = find(vendor).expect("a vendor");
        let credentials = vendor.simulated_credentials("http://127.0.0.1:1");
        let http = loopback_client().expect("a client");
        let connected = (vendor.connect)(&credentials, &http, Duration::from_secs(1)).expect("credentials");
        Ears {
            vendor,
            webhooks: connected.webhooks.expect("it calls us"),
            now: Clock::System.now(),
        }
    });
}

pub fn attempt(input: &[u8]) {
    let ears = EARS.get().expect("open");
    ears.read_signed(input);
    ears.verify_anything(input);
}

impl Ears {
    /// The input is the body.
    fn read_signed(&self, body: &[u8]) {
        let mut request = self.request("?mid=msg_1", body);
        for (name, value) in (self.vendor.inbound.as_ref().expect("people").sign)(&request.url, body, self.now) {
            insert(&mut request.headers, name, value.as_bytes());
        }
        let trusted = self.webhooks.verify(&request);
        // What Twilio signs is a form's fields, and not every body has some.
        assert!(trusted.is_ok() || self.vendor.manifest.id == "twilio", "{trusted:?}");
        let notices = self.webhooks.read(&request);
        assert!(notices == self.webhooks.read(&request), "read otherwise again");
    }

    /// The input is a signature, an id and a time as Svix has them, a content type and a query, a line each; then the body.
    fn verify_anything(&self, input: &[u8]) {
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
            assert!(self.webhooks.verify(&request).is_err(), "believed");
            let _ = self.webhooks.read(&request);
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

/// Leaves out what no HTTP server would let pass.
fn insert(headers: &mut HeaderMap, name: &str, value: &[u8]) {
    if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_bytes(value)) {
        headers.insert(name, value);
    }
}
