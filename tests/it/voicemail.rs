//! Voicemail while its model misbehaves: the caller always hears a sensible reply and leaves exactly one message.

use butt_dial_providers::simulator::{
    InjectedFault,
    calls::{Call, Sound},
};
use serde_json::Value;

use crate::support::{Cluster, WAIT_TIMEOUT, expect_heard_once, hears, says};

const ANN: &str = "+14155550123";
const MODEL: &str = "anthropic";

fn overloaded() -> InjectedFault {
    InjectedFault::Refuse {
        status: 529,
        code: "overloaded_error".into(),
    }
}

/// A person calls while the agent is offline, and voicemail asks for a name.
async fn call_voicemail(cluster: &Cluster, person: &str) -> Call {
    let call = cluster.carriers.dial(person, &cluster.account.phone).await.unwrap();
    hears(&call, "your name.").await;
    call
}

/// Answers the remaining questions of voicemail, to the end of the call.
async fn leave_message(call: &Call) {
    for (words, reply) in [
        ("+1 415 555 0123", "reason"),
        ("The boiler leaks", "best time"),
        ("After five", "Goodbye."),
    ] {
        says(call, words).await;
        hears(call, reply).await;
    }
    assert!(call.wait_for_end(WAIT_TIMEOUT).await, "{:#?}", call.transcript());
}

/// Returns the voicemails, and proves that there is exactly one per call.
async fn expect_one_voicemail_per_call(cluster: &Cluster, count: usize) -> Vec<Value> {
    let voicemails = cluster.voicemails(count).await;
    assert_eq!(voicemails.len(), count, "{voicemails:#?}");
    for voicemail in &voicemails {
        let same = voicemails.iter().filter(|other| other["callId"] == voicemail["callId"]);
        assert_eq!(same.count(), 1, "{voicemails:#?}");
    }
    voicemails
}

profiles! {
    with [("MODEL_TIMEOUT_SECONDS", "1")];
    async fn retries_failed_model_without_audible_gap(cluster: &Cluster) {
        cluster.carriers.set_pace(0.05);
        let faults = [
            InjectedFault::ServerError,
            overloaded(),
            InjectedFault::RateLimit { retry_after: None },
            InjectedFault::Decline,
            InjectedFault::Trickle { delay_ms: 200 },
        ];
        for fault in &faults {
            let call = call_voicemail(cluster, ANN).await;
            cluster.carriers.inject_fault(MODEL, fault.clone(), 1);
            says(&call, "My name is Ann.").await;
            hears(&call, "called back on?").await;
            leave_message(&call).await;
            expect_heard_once(&call, &["your name.", "called back on?", "reason for your call?", "Goodbye."]);
        }
        for voicemail in expect_one_voicemail_per_call(cluster, faults.len()).await {
            assert_eq!(voicemail["body"], "Ann called about The boiler leaks.", "{voicemail}");
        }
    }
}

profiles! {
    with [("MODEL_TIMEOUT_SECONDS", "1")];
    async fn speaks_partial_reply_and_retries_broken_model_stream(cluster: &Cluster) {
        cluster.carriers.set_pace(0.05);
        let faults = [
            InjectedFault::StallMidStream,
            InjectedFault::EndMidStream,
            InjectedFault::ResetMidStream,
            InjectedFault::ErrorMidStream { code: "overloaded_error".into() },
        ];
        for fault in &faults {
            let call = call_voicemail(cluster, ANN).await;
            cluster.carriers.inject_fault(MODEL, fault.clone(), 1);
            says(&call, "My name is Ann.").await;
            hears(&call, "Thank you. What number can you").await;
            assert!(call.wait_for_quiet(WAIT_TIMEOUT).await);
            // A reset may overtake the data sent before it; then nothing was received, and the request was retried at
            // once.
            let is_whole = call.heard_text().contains("called back on?");
            assert!(!is_whole || *fault == InjectedFault::ResetMidStream, "{fault:?}: {}", call.heard_text());
            if !is_whole {
                says(&call, "Hello?").await;
                hears(&call, "called back on?").await;
            }
            leave_message(&call).await;
        }
        for voicemail in expect_one_voicemail_per_call(cluster, faults.len()).await {
            assert_eq!(voicemail["body"], "Ann called about The boiler leaks.", "{voicemail}");
        }
    }
}

profiles! {
    with [("MODEL_TIMEOUT_SECONDS", "1")];
    async fn records_voicemail_when_model_is_unavailable(cluster: &Cluster) {
        cluster.carriers.set_pace(0.05);
        let faults = [
            InjectedFault::ServerError,
            overloaded(),
            InjectedFault::StallBeforeAccept,
            InjectedFault::Decline,
            // A failure that is not retried.
            InjectedFault::Refuse { status: 401, code: "authentication_error".into() },
        ];
        for (n, fault) in faults.iter().enumerate() {
            let call = call_voicemail(cluster, ANN).await;
            cluster.carriers.inject_fault(MODEL, fault.clone(), 2);
            says(&call, "My name is Ann.").await;
            hears(&call, "I can't answer that right now.").await;
            let beeps = call.wait_until(|state| state.heard.iter().any(|heard| heard.sound == Sound::Beep), WAIT_TIMEOUT).await;
            assert!(beeps, "{fault:?}: {:#?}", call.transcript());
            assert!(call.say("The boiler leaks.").await);
            // Half of the callers hang up after speaking, the others stay silent.
            if n % 2 == 0 {
                call.hang_up().await;
            }
            assert!(call.wait_for_end(WAIT_TIMEOUT).await);
            assert_eq!(call.state().recordings[0].text, "The boiler leaks.");
            cluster.carriers.clear_faults(MODEL);
        }
        for voicemail in expect_one_voicemail_per_call(cluster, faults.len()).await {
            let transcript = voicemail["voiceTranscription"].as_str().unwrap();
            assert!(transcript.contains("Caller: My name is Ann."), "{voicemail}");
            assert_eq!(voicemail["attachments"].as_array().map(Vec::len), Some(1), "{voicemail}");
        }
    }
}

profiles! {
    with [("MODEL_TIMEOUT_SECONDS", "1")];
    async fn keeps_transcript_when_caller_hangs_up_before_beep(cluster: &Cluster) {
        cluster.carriers.set_pace(0.05);
        let call = call_voicemail(cluster, ANN).await;
        cluster.carriers.inject_fault(MODEL, overloaded(), 2);
        says(&call, "My name is Ann.").await;
        hears(&call, "I can't answer").await;
        call.hang_up().await;
        assert!(call.wait_for_end(WAIT_TIMEOUT).await);
        let voicemails = expect_one_voicemail_per_call(cluster, 1).await;
        assert_eq!(voicemails[0]["body"], "My name is Ann.");
        assert!(voicemails[0].get("attachments").is_none(), "{}", voicemails[0]);
    }
}

profiles! {
    with [("MODEL_TIMEOUT_SECONDS", "1")];
    async fn says_goodbye_when_caller_is_silent_after_beep(cluster: &Cluster) {
        cluster.carriers.set_pace(0.05);
        let call = call_voicemail(cluster, ANN).await;
        cluster.carriers.inject_fault(MODEL, overloaded(), 2);
        says(&call, "My name is Ann.").await;
        hears(&call, "leave a message after the beep.").await;
        assert!(call.wait_for_end(WAIT_TIMEOUT).await);
        assert!(call.heard_text().ends_with("Goodbye."), "{}", call.heard_text());
        assert!(call.state().recordings.is_empty());
        let voicemails = expect_one_voicemail_per_call(cluster, 1).await;
        assert_eq!(voicemails[0]["body"], "My name is Ann.");
    }
}
