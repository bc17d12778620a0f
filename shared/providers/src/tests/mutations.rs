//! Random mutations of webhook bodies and frames, thousands per vendor. Reading must be fast, must not panic and must
//! be deterministic. `tests/fuzz` runs the long search.

use std::{
    ops::Range,
    panic::{self, AssertUnwindSafe},
    thread,
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, HeaderName, Method};
use butt_dial_domain::{
    Clock,
    ports::webhook::{VerificationError, WebhookRequest, Webhooks},
};

use super::{corpus, harness::DEADLINE, install_tls};
use crate::{
    VENDORS, Vendor, http,
    simulator::SimulatorState,
    twilio::{self, form::Form},
};

const ROUNDS: u64 = 20_000;
/// `MUTATION_SEED=<number>` selects another seed.
const SEED: u64 = 0x5eed;
const MAX_BODY_BYTES: usize = 8_192;
/// For a debug build on a busy machine. Quadratic parsing takes longer.
const TIME_LIMIT: Duration = Duration::from_secs(2);

/// Tokens with a meaning for one of the parsers.
const TOKENS: [&str; 24] = [
    "\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "null",
    "true",
    "-1",
    "1e999",
    "99999999999999999999",
    "\\ud800",
    "\\u0000",
    "\\",
    "&",
    "=",
    "%",
    "%00",
    "%ff",
    "+",
    "whatsapp:",
    "\u{0}",
    "é👍",
];

#[test]
fn mutated_webhook_bodies_do_no_harm() {
    let seed = std::env::var("MUTATION_SEED").map_or(SEED, |seed| seed.parse().unwrap());
    println!("MUTATION_SEED={seed}");
    install_tls();
    thread::scope(|scope| {
        for vendor in VENDORS.iter().filter(|vendor| vendor.inbound.is_some()) {
            scope.spawn(move || mutate_bodies(vendor, seed));
        }
    });
}

#[test]
fn mutated_callbacks_and_frames_do_no_harm() {
    let seed = std::env::var("MUTATION_SEED").map_or(SEED, |seed| seed.parse().unwrap());
    println!("MUTATION_SEED={seed}");
    install_tls();
    for vendor in VENDORS {
        let credentials = vendor.simulated_credentials("http://127.0.0.1:1");
        let connected = (vendor.connect)(&credentials, &http::client().unwrap(), DEADLINE).unwrap();
        let Some(voice) = connected.voice else { continue };
        let id = vendor.manifest.id;
        let forms: Vec<Vec<u8>> = corpus::files(id)
            .into_iter()
            .filter(|(name, _)| name.contains("-voice-"))
            .map(|(_, body)| body)
            .collect();
        let frames: Vec<Vec<u8>> = corpus::files(&format!("{id}-frames")).into_values().collect();
        for form in &forms {
            // The first use loads the phone number metadata, which is slow.
            let _ = voice.parse_report(&signed(vendor, form, form));
        }
        let mut read = 0;
        for round in 0..ROUNDS {
            let mut rng = SeededRng(seed ^ round.wrapping_mul(0x2545_f491_4f6c_dd1d));
            let (form, frame) = (rng.broken(&forms), rng.broken(&frames));
            let request = signed(vendor, &form, &form);
            let start = Instant::now();
            assert!(
                voice.parse_report(&request) == voice.parse_report(&request),
                "round {round}: {}",
                form.escape_ascii()
            );
            read += u64::from(voice.parse_frame(&String::from_utf8_lossy(&frame)).is_ok());
            assert!(start.elapsed() < TIME_LIMIT, "round {round}: {}", frame.escape_ascii());
        }
        assert!(read > ROUNDS / 10, "{id}: {read} could be read");
    }
}

fn mutate_bodies(vendor: &Vendor, seed: u64) {
    let credentials = vendor.simulated_credentials("http://127.0.0.1:1");
    let connected = (vendor.connect)(&credentials, &http::client().unwrap(), DEADLINE).unwrap();
    let webhooks = connected.webhooks.unwrap();
    let bodies: Vec<Vec<u8>> = corpus::files(vendor.manifest.id).into_values().collect();
    for body in &bodies {
        // The first use loads the phone number metadata, which is slow.
        read_signed(vendor, &*webhooks, body);
    }
    let mut read = 0;
    for round in 0..ROUNDS {
        // Each round has its own seed, so it can be repeated alone.
        let body = SeededRng(seed ^ round.wrapping_mul(0x2545_f491_4f6c_dd1d)).broken(&bodies);
        let start = Instant::now();
        let read_ok = panic::catch_unwind(AssertUnwindSafe(|| {
            if round.is_multiple_of(8) {
                repeat_and_forge(vendor, &*webhooks, &body);
            }
            read_signed(vendor, &*webhooks, &body)
        }));
        let what = || format!("{}, round {round}: {}", vendor.manifest.id, body.escape_ascii());
        read += u64::from(read_ok.unwrap_or_else(|_| panic!("{}", what())));
        assert!(start.elapsed() < TIME_LIMIT, "{:?} for {}", start.elapsed(), what());
    }
    // Otherwise the test would only cover refusals.
    assert!(read > ROUNDS / 10, "{}: {read} could be read", vendor.manifest.id);
}

/// Reads a signed body and returns whether that succeeded.
fn read_signed(vendor: &Vendor, webhooks: &dyn Webhooks, body: &[u8]) -> bool {
    let request = signed(vendor, body, body);
    let expected = match vendor.manifest.id {
        "twilio" if !is_signable(body) => Err(VerificationError::WrongSignature),
        _ => Ok(()),
    };
    assert_eq!(webhooks.verify(&request), expected);
    webhooks.parse(&request).is_ok()
}

/// Returns whether Twilio can sign the body: a form that names the simulated account or none.
fn is_signable(body: &[u8]) -> bool {
    Form::decode(body).is_ok_and(|form| {
        let account = twilio::VENDOR.simulated_settings[0].1;
        form.find("AccountSid").is_none_or(|sid| sid == account)
    })
}

fn repeat_and_forge(vendor: &Vendor, webhooks: &dyn Webhooks, body: &[u8]) {
    let request = signed(vendor, body, &[body, b"x"].concat());
    assert_eq!(
        webhooks.verify(&request),
        Err(VerificationError::WrongSignature),
        "signed for another body"
    );
    assert!(
        webhooks.parse(&request) == webhooks.parse(&request),
        "a second read differs"
    );
}

/// Builds a request with one body and the signature of another.
fn signed(vendor: &Vendor, body: &[u8], other: &[u8]) -> WebhookRequest {
    let url = format!("https://bd.example.com/webhooks/{}/any?mid=msg_1", vendor.manifest.id);
    let received_at = Clock::System.now();
    let headers =
        (vendor.inbound.as_ref().unwrap().sign)(&SimulatorState::new(Clock::System), &url, other, received_at)
            .into_iter();
    let headers = headers.map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()));
    WebhookRequest {
        method: Method::POST,
        headers: HeaderMap::from_iter(headers),
        body: body.to_vec().into(),
        url,
        received_at,
    }
}

/// SplitMix64: deterministic on all machines.
struct SeededRng(u64);

impl SeededRng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `end`, or 0.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end.max(1) as u64)).unwrap()
    }

    fn pick<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.below(among.len())]
    }

    /// Returns one of the bodies after a few mutations.
    fn broken(&mut self, bodies: &[Vec<u8>]) -> Vec<u8> {
        let mut body = self.pick(bodies).clone();
        for _ in 0..=self.below(3) {
            if self.next().is_multiple_of(2) {
                self.swap(&mut body);
            } else {
                self.break_once(&mut body, bodies);
            }
        }
        body.truncate(MAX_BODY_BYTES);
        body
    }

    /// Replaces a value or a name, which keeps the JSON or form valid.
    fn swap(&mut self, body: &mut Vec<u8>) {
        let spans = spans(body);
        if spans.is_empty() {
            return;
        }
        let (here, there) = (self.pick(&spans).clone(), self.pick(&spans).clone());
        let text = match self.next() % 3 {
            0 => self.pick(&TOKENS).as_bytes().to_vec(),
            1 => body[there].repeat(1 + self.below(20)),
            _ => body[there].to_vec(),
        };
        drop(body.splice(here, text));
    }

    fn break_once(&mut self, body: &mut Vec<u8>, bodies: &[Vec<u8>]) {
        let (one, two) = (self.below(body.len()), self.below(body.len()));
        let (from, to) = (one.min(two), one.max(two));
        let chance = self.next();
        match chance % 8 {
            0 | 1 if !body.is_empty() => body[from] ^= 1 << ((chance >> 32) % 8),
            2 if !body.is_empty() => body[from] = (chance >> 32) as u8,
            3 => body.truncate(to),
            4 => drop(body.drain(from..to)),
            5 => body.extend_from_within(from..to),
            6 => {
                let other = self.pick(bodies);
                let start = self.below(other.len());
                body.truncate(to);
                body.extend_from_slice(&other[start..]);
            }
            _ => {
                let word = self.pick(&TOKENS).bytes();
                drop(body.splice(from..from, word));
            }
        }
    }
}

/// Returns the ranges between the delimiters of JSON and forms.
fn spans(body: &[u8]) -> Vec<Range<usize>> {
    let mut start = 0;
    let parts = body.split(|byte| b"\"{}[],:&=".contains(byte)).map(|part| {
        let span = start..start + part.len();
        start = span.end + 1;
        span
    });
    parts.filter(|span| !span.is_empty()).collect()
}
