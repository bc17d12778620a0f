//! The Deepgram adapter against its simulator, over real HTTP.

use butt_dial_testkit::transcription_conformance;

use super::{API_KEY, Client, VENDOR, wire::Response};
use crate::{
    http,
    tests::{install_tls, transcription_harness::TranscriptionHarness},
};

transcription_conformance!(super::open);

async fn open() -> TranscriptionHarness {
    TranscriptionHarness::start(&VENDOR).await
}

#[test]
fn joins_channels_and_prefers_given_language() {
    let read = |body: &str, language| serde_json::from_str::<Response>(body).ok()?.transcript(language);
    let two = r#"{"results":{"channels":[{"detected_language":"fr","alternatives":[{"transcript":"Oui"}]},
        {"alternatives":[{"transcript":"Non"}]}]}}"#;
    let transcript = read(two, None).unwrap();
    assert_eq!(
        (transcript.text.as_str(), transcript.language.as_deref()),
        ("Oui\nNon", Some("fr"))
    );
    assert_eq!(read(two, Some("de")).unwrap().language.as_deref(), Some("de"));
    for none in [
        "{}",
        r#"{"results":{"channels":[]}}"#,
        r#"{"results":{"channels":[{"alternatives":[]}]}}"#,
    ] {
        assert!(read(none, None).is_none(), "{none}");
    }
}

#[test]
fn rejects_keys_that_no_header_carries() {
    install_tls();
    let credentials = VENDOR.simulated_credentials("http://127.0.0.1:1").with(API_KEY, "a\nb");
    assert!(Client::new(&credentials, http::client().unwrap()).is_err());
}
