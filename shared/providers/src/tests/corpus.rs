//! The webhook bodies in `fuzz-corpus/<vendor>/`: the seeds of fuzzing and its findings. The file name states the
//! expectation: `genuine-` is read, `ignored-` gives no event, `hostile-` does no harm. Call callbacks are
//! `ignored-voice-` and `hostile-voice-`: they hold no message, and the voice port reads or refuses them. Frames of
//! conversation sockets are in `fuzz-corpus/<vendor>-frames/`.

use std::{collections::BTreeMap, fs, path::PathBuf};

use axum::http::{HeaderMap, Method};
use butt_dial_domain::{
    Clock,
    inbound::WebhookEvent,
    ports::{voice::IncomingFrame, webhook::WebhookRequest},
};

use super::{harness::DEADLINE, install_tls};
use crate::{VENDORS, http};

const KINDS: [&str; 3] = ["genuine", "ignored", "hostile"];

fn folder(vendor: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz-corpus")
        .join(vendor)
}

pub fn files(vendor: &str) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder(vendor)).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect()
}

#[test]
fn corpus_call_callbacks_and_frames_match_their_names() {
    install_tls();
    let http = http::client().unwrap();
    for vendor in VENDORS {
        let id = vendor.manifest.id;
        let credentials = vendor.simulated_credentials("http://127.0.0.1:1");
        let Some(voice) = (vendor.connect)(&credentials, &http, DEADLINE).unwrap().voice else {
            continue;
        };
        let (mut read, mut refused) = (0, 0);
        for (name, body) in files(id).into_iter().filter(|(name, _)| name.contains("-voice-")) {
            let request = WebhookRequest {
                method: Method::POST,
                url: format!("https://bd.example.com/webhooks/{id}/voice"),
                headers: HeaderMap::new(),
                body: body.into(),
                received_at: Clock::System.now(),
            };
            let report = voice.parse_report(&request);
            assert_eq!(report.is_ok(), name.starts_with("ignored-"), "{id}/{name}: {report:?}");
            read += u32::from(report.is_ok());
            refused += u32::from(report.is_err());
        }
        assert!(read > 0 && refused > 0, "{id}: {read} read, {refused} refused");
        for (name, frame) in files(&format!("{id}-frames")) {
            let read = voice.parse_frame(std::str::from_utf8(&frame).unwrap());
            let (kind, _) = name.split_once('-').unwrap();
            match (kind, read) {
                ("hostile", Err(_)) | ("ignored", Ok(IncomingFrame::Other)) => {}
                ("genuine", Ok(read)) if read != IncomingFrame::Other => {}
                _ => panic!("{id}: {name} is not what its name says"),
            }
        }
    }
}

#[test]
fn corpus_bodies_match_their_names() {
    install_tls();
    let http = http::client().unwrap();
    for vendor in VENDORS.iter().filter(|vendor| vendor.inbound.is_some()) {
        let id = vendor.manifest.id;
        let credentials = vendor.simulated_credentials("http://127.0.0.1:1");
        let webhooks = (vendor.connect)(&credentials, &http, DEADLINE)
            .unwrap()
            .webhooks
            .unwrap();
        let mut seen = BTreeMap::from(KINDS.map(|kind| (kind, 0)));
        for (name, body) in files(id) {
            let mut headers = HeaderMap::new();
            for (name, value) in [
                ("svix-id", "msg_1"),
                ("svix-timestamp", "1"),
                (webhooks.signature_header(), "AAAA"),
            ] {
                headers.insert(name, value.parse().unwrap());
            }
            let content_type = if name.ends_with(".form") {
                "application/x-www-form-urlencoded"
            } else {
                "application/json"
            };
            headers.insert("content-type", content_type.parse().unwrap());
            let request = WebhookRequest {
                method: Method::POST,
                url: format!("https://bd.example.com/webhooks/{id}/any"),
                headers,
                body: body.into(),
                received_at: Clock::System.now(),
            };
            assert!(webhooks.verify(&request).is_err(), "{id}/{name} is not signed");
            let mut notices = webhooks.parse(&request);
            // A skipped entry is counted only.
            if let Ok(events) = &mut notices {
                events.retain(|event| !matches!(event, WebhookEvent::Skipped(_)));
            }
            let (kind, _) = name.split_once('-').unwrap();
            *seen.get_mut(kind).unwrap() += 1;
            match kind {
                "genuine" => assert!(notices.is_ok_and(|notices| !notices.is_empty()), "{id}/{name}"),
                "ignored" => assert_eq!(notices, Ok(Vec::new()), "{id}/{name}"),
                // A hostile body may be refused or partly read; it must only return.
                _ => drop(notices),
            }
        }
        assert!(seen.values().all(|count| *count > 0), "{id}: {seen:?}");
    }
}
