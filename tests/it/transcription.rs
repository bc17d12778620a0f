//! Transcription of voice notes and recordings: in the event, or in a second event when the transcriber is late.

use butt_dial_domain::{Channel, Clock};
use butt_dial_providers::{PersonMessage, simulator::InjectedFault};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{RequestExt as _, error_code, eventually, sms};

const ANN: &str = "+14155550123";

fn voice_note(to: &str, said: &str) -> PersonMessage {
    let mut note = PersonMessage::new(Channel::Whatsapp, ANN, to, "");
    note.media = vec![format!("voice:{said}")];
    note
}

profiles! {
    async fn voice_note_has_transcript(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let spent = async || agent.call("comms_get_usage_dashboard", json!({})).await.unwrap().to_string();
        let before = spent().await;
        cluster.deliver_accepted(voice_note(&cluster.account.phone, "Stop")).await;
        let event = agent.expect_events(1).await.remove(0);
        assert_eq!((&event["isVoiceMessage"], &event["voiceTranscription"]), (&json!(true), &json!("Stop")));
        assert_eq!((&event["body"], &event["voiceLanguage"]), (&json!("Stop"), &json!("en")));
        assert_eq!(event["parts"], json!([{ "type": "media", "attachment": 0, "kind": "voice" }]));
        assert!(event.get("keyword").is_none(), "spoken words are no keyword");
        assert_ne!(spent().await, before, "the transcription is charged");
        // A picture is no recording.
        let mut picture = PersonMessage::new(Channel::Whatsapp, ANN, &cluster.account.phone, "");
        picture.media = vec!["picture".into()];
        cluster.deliver_accepted(picture).await;
        let event = agent.expect_events(1).await.remove(0);
        assert!(event.get("voiceTranscription").is_none() && event.get("isVoiceMessage").is_none(), "{event}");
        assert_eq!(event["body"], "[image]");
    }
}

profiles! {
    async fn spoken_message_revokes_consent(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let note = voice_note(&cluster.account.phone, "Please stop sending me these messages.");
        cluster.deliver_accepted(note).await;
        let event = agent.expect_events(1).await.remove(0);
        assert_eq!(event["revocation"], json!({ "certainty": "clear", "wrongNumber": false }), "{event}");
        let refused = agent.send(sms(ANN, "Good news")).await.unwrap_err();
        assert_eq!(error_code(&refused), "CONTACT_OPTED_OUT");
        let path = format!("/api/v1/consents?contact={}", ANN.replace('+', "%2B"));
        let reply = cluster.gateways.get(&path).bearer_auth(&cluster.account.team_token).reply().await;
        let ledger = reply.expect(200).to_string();
        assert!(ledger.contains("spoken"), "{ledger}");
    }
}

profiles! {
    async fn organization_switches_transcription_off(cluster: &Cluster) {
        let agent = cluster.rest().await;
        let set = async |token: &str, enabled: bool| -> Value {
            let request = cluster.gateways.request(Method::PUT, "/api/v1/transcription");
            let request = request.json(&json!({ "enabled": enabled })).bearer_auth(token);
            let reply = request.reply().await;
            json!([reply.status, reply.body["available"]])
        };
        let team = cluster.account.team_token.clone();
        assert_eq!(set(&cluster.account.token, false).await[0], 403);
        assert_eq!(set(&team, false).await, json!([200, true]));
        cluster.deliver_accepted(voice_note(&cluster.account.phone, "One")).await;
        let event = agent.expect_events(1).await.remove(0);
        assert!(event.get("voiceTranscription").is_none(), "{event}");
        assert_eq!(set(&team, true).await, json!([200, true]));
        cluster.deliver_accepted(voice_note(&cluster.account.phone, "Two")).await;
        assert_eq!(agent.expect_events(1).await[0]["voiceTranscription"], "Two");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_transcript_completes_event() {
    let cluster = crate::support::Cluster::embedded(&[("TRANSCRIPTION_VENDOR", "deepgram")]).await;
    let agent = cluster.rest().await;
    cluster
        .carriers
        .inject_fault("deepgram", InjectedFault::ServerErrorAfterAccept, 1);
    cluster
        .deliver_accepted(voice_note(&cluster.account.phone, "Late"))
        .await;
    let event = agent.expect_events(1).await.remove(0);
    assert!(event.get("voiceTranscription").is_none(), "{event}");
    assert_eq!(event["transcriptPending"], 0);
    let now = Clock::System.now();
    let later = eventually("the transcript arrives", async || {
        // Makes the next attempt due now.
        let later = now + chrono::TimeDelta::minutes(5);
        cluster.store.claim_deferred_bodies(16, later, now).await.unwrap();
        agent.poll_messages().await.pop()
    })
    .await;
    assert_eq!(
        (&later["completes"], &later["messageId"]),
        (&event["id"], &event["messageId"])
    );
    assert_eq!(
        (&later["voiceTranscription"], &later["isVoiceMessage"]),
        (&json!("Late"), &json!(true))
    );
    assert!(later.get("transcriptPending").is_none(), "{later}");
    cluster.shut_down().await;
}
